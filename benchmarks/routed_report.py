"""The report of `routed.py`: errors of estimates by set and part, and what each engine takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from routed_cases import ECP5, ICE40, Case


@dataclass(frozen=True, slots=True)
class Point:
    """One placement of one engine. ffs and cells: without those of the registers around it.

    delay_ns: of the slowest path between registers, with what nextpnr leaves out of it (`left_out_ns`);
    begins, ends: its first and last cell. sources: a hash of the Verilog. tools: and their versions.
    """

    set: str
    case: str
    part: str
    mapping: str
    seed: int
    luts: float
    cells: int
    ffs: float
    dsps: float
    blocks: float
    harness_ffs: int
    delay_ns: float
    logic_ns: float
    left_out_ns: float
    begins: str
    ends: str
    sources: str
    tools: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the description of an engine says.

    cells: logic cells where the family counts those, else LUTs; slowest: the unit that limits the clock;
    untimed: units without a delay.
    """

    luts: float
    cells: float
    ffs: float
    dsps: float
    blocks: float
    delay_ns: float | None
    slowest: str
    untimed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One engine: what was routed, and what was estimated."""

    case: Case
    set: str
    points: tuple[Point, ...]
    estimate: Estimate

    @property
    def routed_mhz(self) -> tuple[float, float, float]:
        """Mean, least and most over the seeds; the mean is of delays."""
        delays = [p.delay_ns for p in self.points]
        return 1000 * len(delays) / sum(delays), 1000 / max(delays), 1000 / min(delays)

    @property
    def logic(self) -> tuple[float, float]:
        """Estimated and routed: LUTs, or logic cells where the family counts those."""
        first = self.points[0]
        if self.case.part == ECP5:
            return self.estimate.luts, first.luts
        return self.estimate.cells, sum(p.cells for p in self.points) / len(self.points)

    @property
    def ffs(self) -> tuple[float, float]:
        """Estimated and routed."""
        return self.estimate.ffs, self.points[0].ffs

    @property
    def mhz(self) -> tuple[float, float] | None:
        """Estimated and routed; None where the table has no delay."""
        delay = self.estimate.delay_ns
        return None if delay is None else (1000 / delay, self.routed_mhz[0])

    @property
    def exact(self) -> bool:
        """Whether blocks and DSPs are as estimated."""
        first = self.points[0]
        return (self.estimate.blocks, self.estimate.dsps) == (first.blocks, first.dsps)


Pair = tuple[float, float]
WANTED: tuple[tuple[str, Callable[[Row], Pair | None], float, float | None], ...] = (
    ("logic", lambda row: row.logic, 0.03, 0.08),
    ("flip-flops", lambda row: row.ffs, 0.06, None),
    ("Fmax", lambda row: row.mhz, 0.08, 0.15),
)
"""What, the pair of it, and the mean and worst error that are wanted."""


def report(rows: Sequence[Row], cases: int) -> str:
    """The whole text. cases: how many engines are listed, routed or not."""
    return "\n".join(_lines(rows, cases)) + "\n"


def _lines(rows: Sequence[Row], cases: int) -> Iterator[str]:
    placed = sum(len(row.points) for row in rows)
    yield "# Engines after placing and routing"
    yield ""
    yield "Written by `benchmarks/routed.py`, which says how; placements: `cost_models/points/routed.csv`."
    yield f"{len(rows)} of {cases} listed engines are routed, in {placed} placements"
    yield "(" + "; ".join(sorted({p.tools for row in rows for p in row.points})) + ")."
    yield "Logic: LUT4 on ECP5, logic cells on iCE40. Errors: estimate / routed - 1, of the clock against the mean"
    yield "of the seeds. Seen: what descriptions and prices were worked on with; unseen: listed before any of it was"
    yield "synthesized."
    yield ""
    yield "| part | set | engines | quantity | mean error | worst | wanted |"
    yield "|---|---|---|---|---|---|---|"
    for part in (ECP5, ICE40):
        for group in ("seen", "unseen"):
            mine = [row for row in rows if row.set == group and row.case.part == part]
            if mine:
                yield from _errors(part, group, mine)
    yield ""
    yield from _required([row for row in rows if row.set == "required"])
    for group in ("seen", "unseen", "required"):
        mine = [row for row in rows if row.set == group]
        if mine:
            yield f"## {group.capitalize()}"
            yield ""
            yield from _table(mine)
            yield ""


def _errors(part: str, group: str, rows: Sequence[Row]) -> Iterator[str]:
    for what, pair_of, mean_wanted, worst_wanted in WANTED:
        pairs = [pair for row in rows if (pair := pair_of(row)) is not None]
        wanted = f"mean {mean_wanted:.0%}" + (f", worst {worst_wanted:.0%}" if worst_wanted else "")
        if not pairs:
            yield f"| {part} | {group} | {len(rows)} | {what} | the table has no delays | | {wanted} |"
            continue
        errors = [abs(a / b - 1) for a, b in pairs]
        mean, worst = sum(errors) / len(errors), max(errors)
        met = mean <= mean_wanted and (worst_wanted is None or worst <= worst_wanted)
        yield (
            f"| {part} | {group} | {len(pairs)} | {what} | {mean:.1%} | {worst:.1%} | "
            f"{wanted}: {'met' if met else 'not met'} |"
        )
    exact = sum(row.exact for row in rows)
    answer = "met" if exact == len(rows) else "not met"
    yield f"| {part} | {group} | {len(rows)} | blocks and DSPs | {exact} of {len(rows)} exact | | exact: {answer} |"


def _required(rows: Sequence[Row]) -> Iterator[str]:
    """Engines that have to meet 100 MHz, LUTs over those of the mapping for area."""
    if not rows:
        return
    area: dict[tuple[int, int], float] = {}
    for row in rows:
        if row.case.mapping == "area":
            key = (row.case.pe, row.case.simd)
            area[key] = min(area.get(key, row.logic[1]), row.logic[1])
    yield "Engines of 576 taps with their weights in block RAM that have to meet 100 MHz with at most 1.25 times"
    yield "the LUTs of the mapping for area:"
    yield ""
    yield "| engine | blocks | LUTs | of the area mapping | Fmax, MHz (least of the seeds) | met |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        mean, least, _ = row.routed_mhz
        base = area.get((row.case.pe, row.case.simd))
        ratio = None if base is None else row.logic[1] / base
        met = least >= 100 and ratio is not None and ratio <= 1.25 and row.points[0].blocks > 0
        share = "area mapping not routed" if ratio is None else f"{ratio:.2f}"
        yield (
            f"| {row.case.name} | {row.points[0].blocks:.0f} | {row.logic[1]:.0f} | {share} | "
            f"{mean:.1f} ({least:.1f}) | {'yes' if met else 'no'} |"
        )
    yield ""


def _table(rows: Sequence[Row]) -> Iterator[str]:
    columns = ("engine", "logic: estimate, routed", "flip-flops", "blocks", "DSPs",
               "MHz: estimate, routed (least to most, seeds)", "limited by")  # fmt: skip
    yield f"| {' | '.join(columns)} |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        e, first = row.estimate, row.points[0]
        mean, least, most = row.routed_mhz
        clock = "unknown" if row.mhz is None else f"{row.mhz[0]:.1f}"
        wrong = "" if row.mhz is None else f", {row.mhz[0] / mean - 1:+.1%}"
        yield (
            f"| {row.case.name} | {_pair(*row.logic)} | {_pair(*row.ffs)} | "
            f"{e.blocks:.0f}, {first.blocks:.0f} | {e.dsps:.0f}, {first.dsps:.0f} | "
            f"{clock}, {mean:.1f} ({least:.1f} to {most:.1f}, {len(row.points)}){wrong} | "
            f"{e.slowest or 'unknown'} |"
        )


def _pair(estimated: float, routed: float) -> str:
    return f"{estimated:.0f}, {routed:.0f}, {estimated / routed - 1:+.1%}"
