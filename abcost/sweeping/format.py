"""What a format of sweeps is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from abcost.registry import Registry
from abcost.report.format import View

if TYPE_CHECKING:
    from abcost.sweeping.result import Sweep


class SweepFormat(Protocol):
    """Renders a sweep as text."""

    def __call__(self, found: Sweep, view: View, /) -> str:
        """The whole text, ending in a newline."""
        ...


SWEEP_FORMATS: Registry[SweepFormat] = Registry("format of sweeps", "abcost.sweeping")
