"""The page of `mapped_blocks.py`: estimate and mapped, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

SETS = {
    "seen": "Engines that were seen while the estimates were mended",
    "unseen": "Engines that were not",
    "network": "Whole network",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One block on the cells of one target. Energies of one inference in nJ.

    flat_um2: of synthesis across units; 0: not done.
    """

    target: str
    set: str
    block: str
    what: str
    cycles: int
    estimate_um2: float
    mapped_um2: float
    flat_um2: float
    flip_flops: int
    estimate_nj: float
    estimate_low_nj: float
    estimate_high_nj: float
    mapped_nj: float
    mapped_low_nj: float
    mapped_high_nj: float
    clock_nj: float
    tool: str
    library: str
    date: str

    @property
    def area_error(self) -> float:
        """Of the estimate."""
        return self.estimate_um2 / self.mapped_um2 - 1

    @property
    def flat_error(self) -> float | None:
        """Of the estimate, against synthesis across units."""
        return self.estimate_um2 / self.flat_um2 - 1 if self.flat_um2 else None

    @property
    def energy_error(self) -> float:
        """Of the estimate."""
        return self.estimate_nj / self.mapped_nj - 1

    @property
    def text(self) -> str:
        """In one line."""
        return (
            f"{self.target} {self.block}: {self.estimate_um2:,.0f} um2 for {self.mapped_um2:,.0f} "
            f"({self.area_error:+.1%}; flat {_percent(self.flat_error)}), {self.estimate_nj:.4g} nJ for "
            f"{self.mapped_nj:.4g} ({self.energy_error:+.1%})"
        )


def page(rows: Sequence[Row]) -> str:
    """The report."""
    return "\n".join(
        [*_head(rows), *_means(rows), *(line for name in SETS for line in _set(name, rows)), *_TAIL]
    )


def _head(rows: Sequence[Row]) -> Iterator[str]:
    tools = ", ".join(sorted({row.tool for row in rows}))
    dates = sorted({row.date for row in rows})
    yield "# Blocks of standard cells: estimate beside synthesis\n"
    yield f"Written by `benchmarks/mapped_blocks.py LIBERTY_ROOT --report` with {tools}, {' to '.join(dates)}.\n"
    for library in sorted({row.library for row in rows}):
        yield f"- {library}"
    yield ""


_INTRO = """Mean of absolute errors of the estimates; in brackets the worst. Wanted: area within 6 %, energy within
15 %.
"""


def _means(rows: Sequence[Row]) -> Iterator[str]:
    yield _INTRO
    yield "| cells | blocks | number | area | energy of cells | area, units not kept apart |"
    yield "|---|---|---|---|---|---|"
    for target in dict.fromkeys(row.target for row in rows):
        for name in SETS:
            found = [row for row in rows if (row.target, row.set) == (target, name)]
            if found:
                errors = (
                    _mean(found, lambda r: r.area_error),
                    _mean(found, lambda r: r.energy_error),
                    _mean(found, lambda r: r.flat_error),
                )
                yield f"| {target} | {name} | {len(found)} | {' | '.join(errors)} |"
    yield ""


def _percent(error: float | None) -> str:
    return "-" if error is None else f"{error:+.1%}"


def _mean(rows: Sequence[Row], error: Callable[[Row], float | None]) -> str:
    found = [one for row in rows if (one := error(row)) is not None]
    if not found:
        return "-"
    return f"{mean(map(abs, found)):.1%} ({max(found, key=abs):+.1%})"


def _set(name: str, rows: Sequence[Row]) -> Iterator[str]:
    found = [row for row in rows if row.set == name]
    if not found:
        return
    yield f"## {SETS[name]}\n"
    yield (
        "| cells | block | estimate, um2 | mapped | error | flat | flip-flops | estimate, nJ | mapped, nJ | error |"
        " of it clock | what |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|"
    for r in found:
        flat = f"{r.flat_um2:,.0f}" if r.flat_um2 else "-"
        yield (
            f"| {r.target} | {r.block} | {r.estimate_um2:,.0f} | {r.mapped_um2:,.0f} | {r.area_error:+.1%} | "
            f"{flat} | {r.flip_flops:,} | {r.estimate_nj:.4g} ({r.estimate_low_nj:.4g} to "
            f"{r.estimate_high_nj:.4g}) | {r.mapped_nj:.4g} ({r.mapped_low_nj:.4g} to {r.mapped_high_nj:.4g}) | "
            f"{r.energy_error:+.1%} | {r.clock_nj / r.mapped_nj:.0%} | {r.what} |"
        )
    yield ""


_TAIL = [
    "## How to read it\n",
    "- Mapped: the Verilog that abcost writes, whose units are modules of their own that synthesis keeps apart, as they"
    " are priced; multipliers and lone wires are not. Flat: the same without these borders. What is saved there is an"
    " estimate's error too for who flattens: sums between registers become narrower, constants go further.",
    "- Energy: transitions of the mapped netlist under rows of the network, without delays (low) and with one unit of"
    " delay per cell (high), and their geometric mean; the estimate is that of `abcost analyze` without leakage. Both"
    " count the clock at the pins of all flip-flops in every cycle; no clock tree, no wires.",
    "- Weights are ROMs of gates, rows of pools registers; line buffers stand outside an engine, and inside the"
    " network. Macros are not mapped: their figures are those of their own Liberty file.",
    "",
]
