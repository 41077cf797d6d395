"""From wishes (device, clock, frames per second) to an organisation, or the most that fits and what limits it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from abcost.accelerator.devices import Device
from abcost.accelerator.pipelined import Pipelined
from abcost.accelerator.result import Organised
from abcost.accelerator.shared import Shared
from abcost.core.graph import OpGraph
from abcost.cost.table import CostTable
from abcost.errors import UsageError

KINDS: dict[str, type[Pipelined | Shared]] = {"pipelined": Pipelined, "shared": Shared}
DEFAULT_CLOCK_MHZ = 100.0
_STEPS = 24
"""Bisections of the frame interval: enough to tell any two foldings apart."""


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
        if self.fps is not None and not 0 < self.fps < 1e9:
            raise UsageError(f"--fps must be above 0 and below 1e9, got {self.fps:g}")
        if not 0 < self.clock_mhz <= 10_000:
            raise UsageError(f"--clock-mhz must be above 0 and at most 10000, got {self.clock_mhz:g}")
        if self.kind not in KINDS:
            raise UsageError(f"--organisation {self.kind!r} is unknown; choose {' or '.join(KINDS)}")


class Architecture(Protocol):
    """A way to organise a graph, ordered by frame interval in cycles."""

    @property
    def shortest(self) -> int:
        """Of the fastest one."""

    @property
    def longest(self) -> int:
        """Of the smallest one."""

    def slowest_engine(self) -> str:
        """What sets `shortest`."""

    def build(self, interval: float, *, device: Device | None, clock_mhz: float) -> Organised:
        """The smallest one that is at least so fast."""


def organise(
    graph: OpGraph, table: CostTable, *, width: int, fraction_bits: int, wishes: Wishes
) -> Organised:
    """The smallest organisation that does what is wished; else the fastest that fits, with `limit` saying why."""
    architecture: Architecture = KINDS[wishes.kind](graph, table, width=width, fraction_bits=fraction_bits)
    clock, device = wishes.clock_mhz, wishes.device

    def build(interval: float) -> Organised:
        return replace(architecture.build(interval, device=device, clock_mhz=clock), wanted_fps=wishes.fps)

    if wishes.fps is not None:
        wanted = build(clock * 1e6 / wishes.fps)
        if wanted.fits or wanted.unknown:
            return wanted
    return _most(architecture, build, clock)


def _most(architecture: Architecture, build: _Build, clock: float) -> Organised:
    """Bisect between the fastest and the slowest organisation for the fastest that fits the device."""
    fast, slow = float(architecture.shortest), float(architecture.longest)
    best = build(fast)
    if not best.over:
        return replace(
            best,
            limit=f"{architecture.slowest_engine()} needs {best.interval:,} cycles per inference when it is fully "
            f"unrolled: {best.fps:.6g} frames per second at {clock:g} MHz",
        )
    refused, best = best, build(slow)
    if best.over:
        return replace(best, limit=f"even the smallest folding exceeds the device: {_excess(best)}")
    for _ in range(_STEPS):
        middle = (fast * slow) ** 0.5
        tried = build(middle)
        if tried.over:
            fast, refused = middle, tried
        else:
            slow, best = middle, tried
    return replace(
        best,
        limit=f"at most {best.fps:.6g} frames per second fit; the next faster folding exceeds the device: "
        f"{_excess(refused)}",
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
            f"{used[name] or 0:,.0f} of {available:,} {name} ({largest.resources[name] or 0:,.0f} in {largest.name})"
        )
    return "; ".join(texts)
