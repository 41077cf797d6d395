"""Energy of one inference, of which a part may be unknown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Spent:
    """Microjoule per inference of what has a figure, and the names of what has none."""

    value: float = 0.0
    low: float = 0.0
    high: float = 0.0
    missing: frozenset[str] = frozenset()

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.value + other.value,
            self.low + other.low,
            self.high + other.high,
            self.missing | other.missing,
        )

    def times(self, factor: float) -> Spent:
        """So many of it."""
        return replace(self, value=self.value * factor, low=self.low * factor, high=self.high * factor)

    def to_dict(self) -> dict[str, Any]:
        """value, low and high, null where a part has no figure; `known`: the sum of those that have one."""
        whole = not self.missing
        return {
            "value": self.value if whole else None,
            "low": self.low if whole else None,
            "high": self.high if whole else None,
            "known": self.value,
            "missing": sorted(self.missing),
        }
