"""What a report format is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from abcost.registry import Registry

if TYPE_CHECKING:  # the report loads torch, which the command line must not before it parses
    from abcost.report.report import Report

By = Literal["layer", "block", "kind"]
Detail = Literal["brief", "usual", "full"]


@dataclass(frozen=True, slots=True)
class View:
    """How to show it. width: columns of the terminal; colour: whether escape codes are wanted.

    detail: brief, the verdict alone; usual, with its tables; full, with conventions and the figures that were used.
    """

    by: By = "block"
    width: int = 100
    colour: bool = False
    detail: Detail = "usual"


class Format(Protocol):
    """Renders one or more reports of the same model (one per target) as text."""

    def __call__(self, reports: Sequence[Report], view: View, /) -> str:
        """The whole text, ending in a newline."""
        ...


FORMATS: Registry[Format] = Registry("report format", "abcost.report", "abcost.formats")
