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
        """The energy of so many of it."""
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


@dataclass(frozen=True, slots=True)
class Power:
    """Of a block of silicon while it works. leakage: of one inference, which is part of its energy too.

    period_s: time between two inferences. operations: of one inference, two for each multiply-accumulate of a dot
    product, whatever its bits.
    """

    energy: Spent
    leakage: Spent
    period_s: float
    operations: int

    def to_dict(self) -> dict[str, Any]:
        """Milliwatt by what spends it, and TOPS/W; null where a figure is unknown.

        mW     = energy of an inference / time between two of them
        TOPS/W = operations of an inference / its energy, leakage included, in 10**12 per joule
        """
        known, leak = not self.energy.missing, not self.leakage.missing
        total = self.energy.value * 1e-3 / self.period_s
        leaking = self.leakage.value * 1e-3 / self.period_s
        return {
            "total_mw": total if known else None,
            "dynamic_mw": total - leaking if known and leak else None,
            "leakage_mw": leaking if leak else None,
            "operations": self.operations,
            "tops_per_w": self.operations / self.energy.value / 1e6 if known and self.energy.value else None,
        }
