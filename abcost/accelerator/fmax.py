"""The highest clock of a design, as a result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fmax:
    """In MHz; None where a unit has no delay. low, high: from the least and most that was measured of the slowest unit.

    limited_by: the layer and the unit. missing: units without a delay. foreign: why the table's delays do not count.
    """

    value: float | None
    low: float | None
    high: float | None
    limited_by: str
    missing: tuple[str, ...] = ()
    foreign: str = ""

    @property
    def unknown(self) -> str:
        """Why there is no value; "" where there is one."""
        return f"no delay of {', '.join(self.missing)}" if self.missing else self.foreign

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; null where unknown."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "limited_by": self.limited_by or None,
            "missing": list(self.missing),
            "unknown": self.unknown or None,
        }
