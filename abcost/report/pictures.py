"""Pictures of a network before and after: SVG, and a page whose blocks fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from abcost.core.graph import OpGraph
from abcost.html.page import Picture, Section, render_page
from abcost.html.table import Table, TableCell, number, text
from abcost.registry import Registry
from abcost.report.picture import CLASSES, Panel, legend, panels, whole


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is drawn. names: of the two stages; width: bits of a real element."""

    title: str
    before: OpGraph
    after: OpGraph
    names: tuple[str, str]
    width: int


class PictureFormat(Protocol):
    """Renders a network as a picture."""

    def __call__(self, drawn: Drawn, /) -> str:
        """The whole text."""
        ...


PICTURES: Registry[PictureFormat] = Registry("picture format", "abcost.report")


@PICTURES.add("svg")
def to_svg(drawn: Drawn) -> str:
    """Everything at once; for a browser or a vector editor."""
    return whole(drawn.before, drawn.after, drawn.names, drawn.title, drawn.width)


@PICTURES.add("html")
def to_html(drawn: Drawn) -> str:
    """A table of blocks, then each of them to unfold."""
    sides = (panels(drawn.before, drawn.width), panels(drawn.after, drawn.width))
    blocks = list(dict.fromkeys([*sides[0], *sides[1]]))
    overview = Table(
        "blocks",
        "Blocks and their multiplications",
        ("block", *drawn.names),
        tuple(
            (text(block or "(model)"), *(_multiplications(side.get(block)) for side in sides)) for block in blocks
        ),
    )  # fmt: skip
    colours = Picture(
        "legend",
        "Colours by class; a thick border has multiplications",
        _boxed(legend(0, 0), 100 * len(CLASSES), 24),
    )
    pictures = []
    for i, block in enumerate(blocks):
        found = [(name, side[block]) for name, side in zip(drawn.names, sides, strict=True) if block in side]
        pictures.append(
            Section(
                f"block-{i}",
                block or "(model)",
                tuple(
                    Picture(
                        f"block-{i}-{name.replace('_', '-')}",
                        f"{block or '(model)'} at {name}: {panel.multiplications:,} multiplications",
                        _boxed(panel.svg, panel.width, panel.height),
                    )
                    for name, panel in found
                ),
                folded=True,
            )
        )
    facts = (
        f"Left {drawn.names[0]}, right {drawn.names[1]}. Point at a box for its shape, operations and source line. "
        "Dashed lines go past other operations, as shortcuts do.",
    )
    return render_page(drawn.title, facts, [Section("overview", "Overview", (overview, colours)), *pictures])


def _multiplications(panel: Panel | None) -> TableCell:
    """Cell with the multiplications of a block; empty where a stage does not have the block any more."""
    return text("") if panel is None else number(panel.multiplications)


def _boxed(svg: str, width: int, height: int) -> str:
    """Text is black: the boxes are light in both themes."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12">{svg}</svg>'
    )
