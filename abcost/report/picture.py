"""The op graph as SVG: block by block, before and after, coloured by class, surviving multiplications marked.

A node has the colour of the first class of `CLASSES` that it has an operation of, and its number of operations.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from abcost.classify.tally import tally
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.primitives import OpClass
from abcost.report import quantity
from abcost.report.layout import BlockLayout, layout

CLASSES = {
    OpClass.MULTIPLY: "#d55e00",
    OpClass.BITOP: "#009e73",
    OpClass.ADD: "#56b4e9",
    OpClass.SHIFT: "#e69f00",
    OpClass.COMPARE: "#cc79a7",
    OpClass.OTHER: "#c9c9c9",
}
"""Class -> colour, dearest first; all with black text at a contrast of 4.5 or more."""

_BOX, _HIGH, _GAP, _STEP = 132, 36, 14, 58  # of a node's box; between columns; from row to row
_MARGIN, _TITLE = 16, 40
_AT = 16  # from the right end of a box to where a shortcut leaves or meets it
_LANE = 10  # between the lines of shortcuts, beside the boxes
_RATIO = 1.6  # width to height that the whole picture comes near to


@dataclass(frozen=True, slots=True)
class Panel:
    """One block at one stage."""

    svg: str
    width: int
    height: int
    multiplications: int


def panels(graph: OpGraph, width: int) -> dict[str, Panel]:
    """Block -> its drawing; a real element has `width` bits."""
    counts: dict[str, Counter[OpClass]] = {}
    for row in tally(graph, width).rows:
        counts.setdefault(row.node.name, Counter())[row.count.primitive.op_class] += row.count.count
    return {block: _panel(graph, found, counts) for block, found in layout(graph).items()}


def whole(before: OpGraph, after: OpGraph, names: tuple[str, str], title: str, width: int) -> str:
    """A picture of its own: the blocks in rows, each twice; `names` of the two stages."""
    sides = (panels(before, width), panels(after, width))
    blocks = list(dict.fromkeys([*sides[0], *sides[1]]))
    cells = []
    for block in blocks:
        pair = [side.get(block) for side in sides]
        wide = sum(p.width if p else 2 * _MARGIN for p in pair) + _MARGIN
        high = max(p.height for p in pair if p) + _TITLE
        cells.append((block, pair, wide, high))
    area = sum(wide * high for _, _, wide, high in cells)
    limit = max(*(wide for _, _, wide, _ in cells), math.sqrt(area * _RATIO))
    x, y, tallest, widest, parts = 0, 3 * _TITLE, 0, 0, []
    for block, pair, wide, high in cells:
        if x and x + wide > limit:
            x, y, tallest = 0, y + tallest + _MARGIN, 0
        parts.append(_cell(block, pair, names, x, y, wide, high))
        x, tallest, widest = x + wide + _MARGIN, max(tallest, high), max(widest, x + wide)
    height = y + tallest + _MARGIN
    heading = (
        f'<text x="{_MARGIN}" y="26" font-size="20" font-weight="bold">{escape(title)}</text>'
        f'<text x="{_MARGIN}" y="50">left: {escape(names[0])}, right: {escape(names[1])}; '
        "thick border: multiplications; dashed: past other operations, such as shortcuts</text>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {max(widest, 640)} {height}" '
        f'font-family="sans-serif" font-size="12" role="img" aria-label={quoteattr(title)}>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{heading}{legend(_MARGIN, 62)}{"".join(parts)}</svg>\n'
    )


def legend(x: int, y: int) -> str:
    """Classes with their colours."""
    boxes = []
    for i, (op_class, colour) in enumerate(CLASSES.items()):
        left = x + 100 * i
        boxes.append(
            f'<rect x="{left}" y="{y}" width="92" height="22" rx="3" fill="{colour}"/>'
            f'<text x="{left + 46}" y="{y + 15}" text-anchor="middle">{op_class.value}</text>'
        )
    return "".join(boxes)


def _cell(
    block: str, pair: list[Panel | None], names: tuple[str, str], x: int, y: int, wide: int, high: int
) -> str:
    """A block before and after, with its name and how many multiplications it has."""
    counts = " → ".join(quantity.count(p.multiplications) if p else "-" for p in pair)
    label = f"{block or '(model)'}: {counts} multiplications"
    parts = [
        f'<g transform="translate({x},{y})"><title>{escape(label)}, {escape(names[0])} and {escape(names[1])}</title>'
        f'<rect width="{wide}" height="{high}" fill="none" stroke="#999999"/>'
        f'<text x="8" y="18" font-weight="bold">{escape(block or "(model)")}</text>'
        f'<text x="8" y="33">multiplications {counts}</text>'
    ]
    left = 0
    for panel in pair:
        if panel is not None:
            parts.append(f'<g transform="translate({left},{_TITLE})">{panel.svg}</g>')
        left += (panel.width if panel else 2 * _MARGIN) + _MARGIN
    return "".join([*parts, "</g>"])


def _panel(graph: OpGraph, found: BlockLayout, counts: dict[str, Counter[OpClass]]) -> Panel:
    past = [edge for edge in found.edges if _rows_between(found, edge) > 1]
    parts = [_edge(found, source, name) for source, name in found.edges if (source, name) not in past]
    parts += [_shortcut(found, *edge, lane) for lane, edge in enumerate(past)]
    later = [name for name in found.entering if found.places[name].row]
    for name, blocks in found.entering.items():
        said = f"from {', '.join(b or '(model)' for b in blocks)}"
        if name in later:
            parts.append(_from_outside(found, name, len(past) + later.index(name), said))
        else:
            x, y = _corner(found, name)
            parts.append(_line(x + _BOX / 2, y - 16, x + _BOX / 2, y, said))
    multiplications = 0
    for name in found.places:
        of = counts.get(name, Counter())
        multiplications += of[OpClass.MULTIPLY]
        parts.append(_node(graph, found, name, of))
    width = _right(found) + (len(past) + len(later)) * _LANE + _MARGIN
    return Panel("".join(parts), width, found.rows * _STEP + _MARGIN, multiplications)


def _corner(found: BlockLayout, name: str) -> tuple[float, float]:
    place = found.places[name]
    return _MARGIN + place.column * (_BOX + _GAP), _MARGIN + place.row * _STEP


def _node(graph: OpGraph, found: BlockLayout, name: str, counts: Counter[OpClass]) -> str:
    node = graph.node(name)
    x, y = _corner(found, name)
    main = next((c for c in CLASSES if counts[c]), None)
    colour = CLASSES[main] if main else "#ffffff"
    border = 'stroke="#000000" stroke-width="3"' if counts[OpClass.MULTIPLY] else 'stroke="#666666"'
    lines = [f"{quantity.count(counts[c])} {c.value}" for c in CLASSES if counts[c]]
    told = [f"{node.kind.value} {name}", "x".join(map(str, node.shape)), *lines, node.source]
    shown = lines[0] if lines else ("" if node.kind in (OpKind.INPUT, OpKind.OUTPUT) else "wiring")
    middle = f'x="{x + _BOX / 2:g}" text-anchor="middle" fill="#000000"'
    return (
        f"<g><title>{escape(chr(10).join(text for text in told if text))}</title>"
        f'<rect x="{x:g}" y="{y:g}" width="{_BOX}" height="{_HIGH}" rx="4" fill="{colour}" {border}/>'
        f'<text {middle} y="{y + 15:g}">{escape(node.kind.value)}</text>'
        f'<text {middle} y="{y + 29:g}" font-size="10">{shown}</text></g>'
    )


def _edge(found: BlockLayout, source: str, name: str) -> str:
    """Straight to the next row."""
    x1, y1 = _corner(found, source)
    x2, y2 = _corner(found, name)
    return _line(x1 + _BOX / 2, y1 + _HIGH, x2 + _BOX / 2, y2, "")


def _shortcut(found: BlockLayout, source: str, name: str, lane: int) -> str:
    """Past other rows: between the rows to a lane of its own beside all boxes, so that no box hides it."""
    x, y = _corner(found, source)
    start = f"M{x + _BOX - _AT:g},{y + _HIGH:g} V{y + _HIGH + (_STEP - _HIGH) / 3:g}"
    return _past(found, start, name, lane, f"{source} to {name}")


def _from_outside(found: BlockLayout, name: str, lane: int, said: str) -> str:
    """Line from another block to a row that is not the first: down a lane of its own, with the name of the block."""
    beside, (_, y) = _beside(found, lane), _corner(found, name)
    place = f'x="{beside - 3:g}" y="{y - 9:g}" text-anchor="end"'
    label = f'<text {place} font-size="9" fill="#000000">{escape(said)}</text>'
    return _past(found, f"M{beside:g},0", name, lane, said) + label


def _past(found: BlockLayout, start: str, name: str, lane: int, said: str) -> str:
    x, y = _corner(found, name)
    path = f"{start} H{_beside(found, lane):g} V{y - (_STEP - _HIGH) / 3:g} H{x + _BOX - _AT:g} V{y:g}"
    return (
        f'<path class="shortcut" d="{path}" fill="none" stroke="#404040" stroke-dasharray="5 2">'
        f"<title>{escape(said)}</title></path>"
    )


def _beside(found: BlockLayout, lane: int) -> int:
    """Distance of a lane from the left edge."""
    return _right(found) + (lane + 1) * _LANE


def _rows_between(found: BlockLayout, edge: tuple[str, str]) -> int:
    return found.places[edge[1]].row - found.places[edge[0]].row


def _right(found: BlockLayout) -> int:
    """Right end of the boxes of the widest row."""
    return round(found.columns * (_BOX + _GAP) - _GAP + _MARGIN)


def _line(x1: float, y1: float, x2: float, y2: float, title: str) -> str:
    inside = f"<title>{escape(title)}</title>" if title else ""
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="#808080">{inside}</line>'
