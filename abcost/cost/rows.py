"""Every figure of a table as one row: what it says, where it holds, how sure it is, and who says so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from abcost.cost.entry import Figure, MemoryLevel, Source, weakest
from abcost.cost.table import CostTable


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One figure of one unit. A composed one has the sources and the least confidence of its parts."""

    unit: str
    field: str
    law: str
    low: str | None
    high: str | None
    valid: str
    method: str
    confidence: str
    sources: tuple[Source, ...]
    note: str

    def __str__(self) -> str:
        bounds = [
            f"{name} {law}" for name, law in (("low", self.low), ("high", self.high)) if law is not None
        ]
        law = "; ".join([f"{self.unit} {self.field} = {self.law}", *bounds])
        cited = " + ".join(f"[{source.name}] {source}" for source in self.sources)
        return f"{law} | {self.valid} | {self.method} | {self.confidence} | {cited}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values; `sources` with title and place."""
        return {
            "unit": self.unit,
            "field": self.field,
            "law": self.law,
            "low": self.low,
            "high": self.high,
            "valid": self.valid,
            "method": self.method,
            "confidence": self.confidence,
            "sources": [
                {"id": source.name, "title": source.title, "where": source.where} for source in self.sources
            ],
            "note": self.note,
        }


def table_rows(table: CostTable) -> tuple[FigureRow, ...]:
    """All figures of the units in the order of the table's report, then the memory levels."""
    figures = [_of_figure(table, figure) for found in table.figures.values() for figure in found]
    levels = table.memory.levels.values() if table.memory else ()
    return (*figures, *(_of_level(table, level) for level in levels))


def law_text(law: str, parts: Iterable[str]) -> str:
    """A law as a reader sees it: formula, points, or the units it is the sum of."""
    total = " + ".join(parts)
    if not total:
        return law
    return total if law == "1" else f"{law} * ({total})"


def _of_figure(table: CostTable, figure: Figure) -> FigureRow:
    ground = tuple(_ground(table, figure))
    confidences = [part.confidence for part in ground]
    sources = dict.fromkeys(name for part in ground for name in part.sources)
    return FigureRow(
        unit=figure.op,
        field=figure.field,
        law=law_text(figure.law.text, figure.parts),
        low=None if figure.low is None else figure.low.text,
        high=None if figure.high is None else figure.high.text,
        valid=", ".join(f"{name} {valid}" for name, valid in figure.valid.items()) or "always",
        method=figure.method,
        confidence=weakest([*confidences, "derived"]) if figure.parts else figure.confidence,
        sources=tuple(table.sources[name] for name in sources),
        note=figure.note,
    )


def _ground(table: CostTable, figure: Figure) -> Iterable[Figure]:
    """The figure itself, or all that a sum rests on, parts of parts included."""
    if not figure.parts:
        yield figure
    for part in figure.parts:
        for found in table.figures[part, figure.field]:
            yield from _ground(table, found)


def _of_level(table: CostTable, level: MemoryLevel) -> FigureRow:
    return FigureRow(
        unit=level.name,
        field="energy_pj",
        law=f"{level.energy_pj:g}",
        low=None if level.low_pj is None else f"{level.low_pj:g}",
        high=None if level.high_pj is None else f"{level.high_pj:g}",
        valid=f"per access of {level.access_bits} bits",
        method="derived" if level.confidence == "derived" else "cited",
        confidence=level.confidence,
        sources=tuple(table.sources[name] for name in level.sources),
        note=level.note,
    )
