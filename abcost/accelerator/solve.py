"""From wishes (device, clock, frames per second) to an organisation, or the most that fits and what limits it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from abcost.accelerator.devices import Device
from abcost.accelerator.pipelined import Pipelined
from abcost.accelerator.result import Organised, name_of
from abcost.accelerator.shared import Shared
from abcost.core.graph import OpGraph
from abcost.cost.table import CostTable
from abcost.errors import UsageError

KINDS: dict[str, Callable[..., Architecture]] = {"pipelined": Pipelined, "shared": Shared}
DEFAULT_CLOCK_MHZ = 100.0
LEAST_CLOCK_MHZ = 1e-6  # one cycle a second
LEAST_FPS = 1e-6  # one frame in twelve days
_ROUNDING = 1 + 1e-9


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked of the hardware; `fps` None: as fast as the device allows."""

    device: Device | None = None
    fps: float | None = None
    clock_mhz: float = DEFAULT_CLOCK_MHZ
    kind: str = "pipelined"

    def __post_init__(self) -> None:
        if self.device is None and self.fps is None:
            raise UsageError("an accelerator needs --device, --fps, or both")
        if self.fps is not None and not LEAST_FPS <= self.fps < 1e9:
            raise UsageError(f"--fps must be at least {LEAST_FPS:g} and below 1e9, got {self.fps:g}")
        if not LEAST_CLOCK_MHZ <= self.clock_mhz <= 10_000:
            raise UsageError(
                f"--clock-mhz must be at least {LEAST_CLOCK_MHZ:g} and at most 10000, got {self.clock_mhz:g}"
            )
        if self.kind not in KINDS:
            raise UsageError(f"--organisation {self.kind!r} is unknown; choose {' or '.join(KINDS)}")


class Architecture(Protocol):
    """A way to organise a graph, ordered by frame interval in cycles."""

    @property
    def intervals(self) -> list[int]:
        """Of all that there are, fastest first."""

    def slowest_engine(self) -> str:
        """What sets the shortest."""

    def build(self, interval: float, *, device: Device | None, clock_mhz: float) -> Organised:
        """The smallest one that is at least so fast, or the fastest."""


def organise(
    graph: OpGraph, table: CostTable, *, width: int, fraction_bits: int, wishes: Wishes
) -> Organised:
    """The smallest organisation that does what is wished; else the fastest that fits, with `limit` saying why.

    All intervals are tried in order: which resources are short changes from one to the next, and a faster
    organisation may fit where a slower one does not. At each, foldings are those worth least by fixed rates of LUTs
    per DSP and block: a device short of one of them could be served a little better by others.
    """
    architecture: Architecture = KINDS[wishes.kind](graph, table, width=width, fraction_bits=fraction_bits)
    intervals = architecture.intervals

    def build(interval: float) -> Organised:
        made = architecture.build(interval, device=wishes.device, clock_mhz=wishes.clock_mhz)
        return replace(made, wanted_fps=wishes.fps)

    if wishes.fps is not None:
        longest = longest_interval(wishes.fps, wishes.clock_mhz)
        enough = [interval for interval in intervals if interval <= longest]
        for interval in reversed(enough):
            found = build(interval)
            if not found.over:
                return found
    return _most(intervals, build, architecture.slowest_engine())


def longest_interval(fps: float, clock_mhz: float) -> float:
    """Cycles per frame at which so many frames per second are reached."""
    return clock_mhz * 1e6 / fps * _ROUNDING


def _most(intervals: Sequence[int], build: _Build, slowest: str) -> Organised:
    """The fastest that fits the device, and what keeps it from being faster."""
    refused: Organised | None = None
    for interval in intervals:
        found = build(interval)
        if found.unknown:
            return found
        if found.over:
            refused = found
            continue
        most = f"at most {found.fps:.6g} frames per second"
        if refused is None:
            limit = f"{most} at {found.clock_mhz:g} MHz: fully unrolled, {slowest} needs {found.interval:,} cycles"
        else:
            limit = f"{most} fit; the next faster folding exceeds the device: {_excess(refused)}"
        return replace(found, limit=limit)
    smallest = build(intervals[-1])
    return replace(
        smallest, limit=f"nothing fits: even the smallest folding exceeds the device: {_excess(smallest)}"
    )


class _Build(Protocol):
    def __call__(self, interval: float) -> Organised: ...


def _excess(refused: Organised) -> str:
    """What exceeds the device, and which layer takes most of it."""
    used = refused.resources
    texts = []
    for name in refused.over:
        largest = max(refused.layers, key=lambda layer: layer.resources[name] or 0)
        available = getattr(refused.device, name)
        texts.append(
            f"{used[name] or 0:,.0f} of {available:,} {name_of(name, refused.device)} "
            f"({largest.resources[name] or 0:,.0f} in {largest.name})"
        )
    return "; ".join(texts)
