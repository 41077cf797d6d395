"""From a goal (device, clock, frames per second) to an accelerator, or the most that fits and what limits it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from abcost.accelerator.clock import Delays, check_timed, fmax_of, leaf_for
from abcost.accelerator.devices import Device
from abcost.accelerator.hardware import hardware_of
from abcost.accelerator.own_folding import NO_FOLDING, OwnFolding
from abcost.accelerator.pipelined import Pipelined
from abcost.accelerator.placing import WEIGHTS, Weights
from abcost.accelerator.result import BANDWIDTH, Accelerator, Part, name_of
from abcost.accelerator.shared import Shared
from abcost.accelerator.silicon.silicon import Silicon
from abcost.core.graph import OpGraph
from abcost.cost.table import CostTable
from abcost.errors import UsageError

KINDS: dict[str, Callable[..., Architecture]] = {"pipelined": Pipelined, "shared": Shared}
DEFAULT_CLOCK_MHZ = 100.0
LEAST_CLOCK_MHZ = 1e-6  # one cycle a second
MOST_CLOCK_MHZ = 10_000.0
_TRIES = 4
LEAST_FPS = 1e-6  # one frame in twelve days
_ROUNDING = 1 + 1e-9


@dataclass(frozen=True, slots=True)
class AcceleratorGoal:
    """What the user asked of the hardware; `fps` None: as fast as the device allows.

    weights: where they are kept; None: on the chip, and outside what does not fit where the device has a memory there.
    folding: of layers, by the user. fastest: the highest clock that is met, whatever `clock_mhz` says.
    streamed: only foldings that a circuit of the whole network can have.
    """

    device: Part | None = None
    fps: float | None = None
    clock_mhz: float = DEFAULT_CLOCK_MHZ
    kind: str = "pipelined"
    weights: Weights | None = None
    folding: OwnFolding = NO_FOLDING
    fastest: bool = False
    streamed: bool = False

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
        if self.weights not in (None, *WEIGHTS):
            raise UsageError(f"--weights {self.weights!r} is unknown; choose {' or '.join(WEIGHTS)}")
        if (
            self.weights == "external"
            and isinstance(self.device, Device)
            and self.device.bandwidth_gb_s is None
        ):
            raise UsageError(
                f"--weights external: {self.device.part} has no memory outside; a device of your own states one by "
                "the column bandwidth_gb_s"
            )
        if self.folding is not NO_FOLDING and self.kind != "pipelined":
            raise UsageError(
                "--folding gives every layer an engine of its own size, and --organisation shared has one engine for "
                "all layers: leave one of the two out"
            )


class Architecture(Protocol):
    """A way to organise a graph, ordered by frame interval in cycles."""

    @property
    def intervals(self) -> list[int]:
        """All frame intervals that there are, in cycles, fastest first."""

    def slowest_engine(self) -> str:
        """The engine that sets the shortest interval, and how it is folded then."""

    def too_large(self, interval: float) -> bool:
        """Whether what `build` makes is certain to exceed the part; False where only building tells."""

    def build(self, interval: float, *, clock_mhz: float, weights: Weights | None = None) -> Accelerator:
        """The smallest one that is at least so fast, or the fastest."""


def organise(
    graph: OpGraph, table: CostTable, *, width: int, fraction_bits: int, goal: AcceleratorGoal
) -> Accelerator:
    """The smallest organisation that reaches the goal; else the fastest that fits, with `limit` saying why.

    All intervals are tried in order: which resources are short changes from one to the next, and a faster
    organisation may fit where a slower one does not. At each, foldings are those worth least by fixed rates of LUTs
    per DSP and block: a device short of one of them could be served a little better by others.
    """
    delays = Delays(table, goal.device)
    if not goal.fastest:
        return _at_clock(graph, delays, width=width, fraction_bits=fraction_bits, goal=goal)
    check_timed(table)
    wanted = replace(goal, fastest=False, clock_mhz=MOST_CLOCK_MHZ)
    for _ in range(
        _TRIES
    ):  # leaves as narrow as the clock wants; then as wide as the clock that is met allows
        found = _at_clock(graph, delays, width=width, fraction_bits=fraction_bits, goal=wanted)
        if found.fmax is None or found.fmax.value is None:
            default = replace(wanted, clock_mhz=DEFAULT_CLOCK_MHZ)
            found = _at_clock(graph, delays, width=width, fraction_bits=fraction_bits, goal=default)
            return replace(found, limit=_unknown_clock(found))
        if found.clock_met:
            break
        wanted = replace(wanted, clock_mhz=found.fmax.value)
    return found


def _unknown_clock(found: Accelerator) -> str:
    why = "" if found.fmax is None else found.fmax.unknown
    return f"the highest clock is unknown, {found.clock_mhz:g} MHz is the default: {why}"


def _at_clock(
    graph: OpGraph, delays: Delays, *, width: int, fraction_bits: int, goal: AcceleratorGoal
) -> Accelerator:
    """The accelerator for the goal at its clock, with leaves as wide as that allows."""
    table = delays.table
    leaf = leaf_for(table, goal.clock_mhz, width)
    own: dict[str, Any] = {} if goal.folding is NO_FOLDING else {"folding": goal.folding}
    if goal.streamed:
        own["streamed"] = True
    hardware = hardware_of(table, goal.device, goal.clock_mhz)
    architecture: Architecture = KINDS[goal.kind](
        graph,
        table,
        width=width,
        fraction_bits=fraction_bits,
        leaf=leaf,
        hardware=hardware,
        **own,
    )
    intervals = architecture.intervals

    def build(interval: float) -> Accelerator:
        made = architecture.build(interval, clock_mhz=goal.clock_mhz, weights=goal.weights)
        return replace(made, wanted_fps=goal.fps)

    found = None
    if goal.fps is not None:
        longest = longest_interval(goal.fps, goal.clock_mhz)
        enough = [interval for interval in reversed(intervals) if interval <= longest]
        tried = (build(interval) for interval in enough if not architecture.too_large(interval))
        found = next((made for made in tried if not made.over), None)
    if found is None:
        found = _most(intervals, build, architecture.too_large, architecture.slowest_engine())
    silicon = hardware if isinstance(hardware, Silicon) else None
    return replace(found, fmax=fmax_of(found.layers, delays, silicon))


def longest_interval(fps: float, clock_mhz: float) -> float:
    """Cycles per frame at which so many frames per second are reached."""
    return clock_mhz * 1e6 / fps * _ROUNDING


def _most(intervals: Sequence[int], build: _Build, too_large: _TooLarge, slowest: str) -> Accelerator:
    """The fastest that fits the device, and what keeps it from being faster."""
    refused: int | None = None
    for interval in intervals:
        found = None if too_large(interval) else build(interval)
        if found is not None and found.unknown:
            return found
        if found is None or found.over:
            refused = interval
            continue
        most = f"at most {found.fps:.6g} frames per second"
        if refused is None:
            limit = f"{most} at {found.clock_mhz:g} MHz: {slowest} needs {found.interval:,} cycles"
        else:
            limit = f"{most} fit; the next faster folding exceeds the device: {_excess(build(refused))}"
        return replace(found, limit=limit)
    smallest = build(intervals[-1])
    given = smallest.folding is not None and not smallest.folding.found
    which = "the folding given" if given else "even the smallest folding"
    return replace(smallest, limit=f"nothing fits: {which} exceeds the device: {_excess(smallest)}")


_Build = Callable[[float], Accelerator]
_TooLarge = Callable[[float], bool]


def _excess(refused: Accelerator) -> str:
    """What exceeds the device, and which layer takes most of it."""
    return "; ".join(_too_much(name, refused) for name in refused.over)


def _too_much(name: str, refused: Accelerator) -> str:
    of_device = name_of(name, refused.device)
    available = getattr(refused.device, name)
    if name == BANDWIDTH:
        largest = max(refused.layers, key=lambda layer: layer.external_bits)
        part = largest.external_bits * refused.fps / 8e9
        return (
            f"{refused.most(name):.3g} of {available:.3g} {of_device} at {refused.fps:.6g} frames per second "
            f"({part:.3g} for weights of {largest.name})"
        )
    largest = max(refused.layers, key=lambda layer: layer.resources[name] or 0)
    in_largest = largest.resources[name] or 0
    counted = " LUTs" if of_device == "logic cells" else ""
    return f"{refused.most(name):,.0f} of {available:,.0f} {of_device} ({in_largest:,.0f}{counted} in {largest.name})"
