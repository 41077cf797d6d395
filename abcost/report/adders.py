"""What graphs of adders save, in rows that the terminal and the page show."""

from __future__ import annotations

from collections.abc import Callable

from abcost.cost.adders import Adders
from abcost.report import quantity
from abcost.report.report import Report

TITLE = "Constants as graphs of adders, outputs on their own -> shared"
NOTE = (
    "Both built whole, a position per cycle, each adder as wide as its sums; without those of biases. "
    "Their weights are wiring: stored nowhere."
)


def columns(report: Report) -> tuple[str, ...]:
    """Headings: a layer, its shape, and what is counted and priced, before and after."""
    area = "LUTs" if report.table.technology == "fpga" else "area, um2"
    return ("layer", "constants", "adders", "-> shared", area, "-> shared", "energy", "-> shared")


def rows(report: Report) -> list[tuple[str, ...]]:
    """One per dot product of the last stage that is a graph, and what is left of each sum; empty without such."""
    field = "luts" if report.table.technology == "fpga" else "area_um2"
    found = []
    for one in report.stages[-1].adders:
        cells = [one.layer or one.node, f"{one.inputs} x {one.outputs}"]
        for before, after, text_of in (
            (float(one.csd.adders), float(one.graph.adders), quantity.amount),
            (_cost(one.csd, field), _cost(one.graph, field), quantity.amount),
            (_cost(one.csd, "energy_pj"), _cost(one.graph, "energy_pj"), quantity.energy),
        ):
            cells += [text_of(before), _with_share(before, after, text_of)]
        found.append(tuple(cells))
    return found


def _cost(of: Adders, field: str) -> float | None:
    found: float | None = getattr(of.costs["value"], field)
    return found


def _with_share(before: float | None, after: float | None, text_of: Callable[[float | None], str]) -> str:
    share = "" if not before or after is None else f" ({after / before:.0%})"
    return text_of(after) + share
