"""What a format of comparisons is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from abcost.comparing.delta import Comparison
from abcost.registry import Registry
from abcost.report.format import View


class ComparisonFormat(Protocol):
    """Renders comparisons with one first side as text."""

    def __call__(self, found: Sequence[Comparison], view: View, /) -> str:
        """The whole text, ending in a newline."""
        ...


COMPARISON_FORMATS: Registry[ComparisonFormat] = Registry("format of comparisons", "abcost.comparing")
