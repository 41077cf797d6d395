"""A chart of a page: Plotly's data and layout, with the words that stand in for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#b2912f", "#7f7f7f", "#a6761d",
    "#1b9e77",
)  # fmt: skip
"""Told apart by most people who see few colours: Okabe and Ito's, and some more."""


@dataclass(frozen=True, slots=True)
class Chart:
    """data, layout: as Plotly takes them; colours of text, grid and background are the page's.

    alternative: what the chart shows, in words, for those who do not see it. commands: name of a point (its
    `customdata`) -> shell command, shown and copied when the point is chosen.
    """

    identifier: str
    caption: str
    alternative: str
    data: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any] = field(default_factory=dict)
    height: int = 360
    commands: Mapping[str, str] = field(default_factory=dict)

    kind = "chart"

    @property
    def plain(self) -> dict[str, Any]:
        """Plain values for the page's script."""
        return {
            "data": list(self.data),
            "layout": dict(self.layout),
            "height": self.height,
            "commands": dict(self.commands),
        }
