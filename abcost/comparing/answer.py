"""One side against others, and whether conditions hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from abcost.comparing.condition import Condition
from abcost.comparing.delta import Comparison, compare
from abcost.comparing.format import COMPARISON_FORMATS
from abcost.comparing.saved import ComparedSide
from abcost.report.format import View


@dataclass(frozen=True, slots=True, repr=False)
class Compared:
    """What `abcost.compare` returns: the first side with each of the others, in their order.

    broken: conditions that hold though they must not, a line each; what is unknown is among them.
    """

    comparisons: tuple[Comparison, ...]
    broken: tuple[str, ...] = ()

    def __repr__(self) -> str:
        answer = f"{len(self.broken)} conditions broken" if self.broken else "no condition broken"
        return f"<Compared: {len(self.comparisons)} with the first side, {answer}; .summary()>"

    @property
    def holds(self) -> bool:
        """Whether no condition is broken."""
        return not self.broken

    def summary(self) -> str:
        """Totals, settings and layers that differ, as `abcost compare` shows them on 80 columns."""
        return COMPARISON_FORMATS.get("rich")(self.comparisons, View(width=80)).rstrip("\n")

    def to_csv(self) -> str:
        """A row per quantity of a stage or of a layer, changed or not; units are those of the reports."""
        return COMPARISON_FORMATS.get("csv")(self.comparisons, View())

    def to_dict(self) -> list[dict[str, Any]]:
        """JSON-able, as `abcost compare --format json` writes it."""
        return [comparison.to_dict() for comparison in self.comparisons]


def compared(
    first: ComparedSide, others: Sequence[ComparedSide], conditions: Sequence[Condition] = ()
) -> Compared:
    """Everything that differs. Raises UnknownName or UsageError for a condition on what neither side has."""
    found = tuple(compare(first, other) for other in others)
    broken = [
        f"{c.after.name}: {text}"
        for c in found
        for condition in conditions
        if (text := condition.broken(c.last))
    ]
    return Compared(found, tuple(broken))
