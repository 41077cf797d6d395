"""The block diagram of a circuit as SVG: engines from top to bottom, and the buffers between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

_BOX, _HIGH, _STEP, _MARGIN = 350, 58, 104, 24  # px of an engine; from engine to engine
_LETTERS = 48  # of a name
_TRACK = 26  # px between buffers that go past engines
_ENDS = ("s_axis", "m_axis")
_Run = tuple[int, int, Mapping[str, Any]]
"""Rows from which and to which a buffer runs, and the buffer."""


def block_diagram(report: Mapping[str, Any]) -> str:
    """The diagram of what build.json says. An engine's bar is the share of the interval in which it works."""
    estimate = report["estimate"]
    rows = [_ENDS[0], *(layer["name"] for layer in report["layers"]), _ENDS[1]]
    place = {name: row for row, name in enumerate(rows)}
    past: list[_Run] = []
    lines: list[_Run] = []
    for buffer in report["buffers"]:
        start, end = place[buffer["producer"] or _ENDS[0]], place[buffer["consumer"] or _ENDS[1]]
        (lines if end == start + 1 and not buffer["residual"] else past).append((start, end, buffer))
    resources = {layer["name"]: layer for layer in estimate["layers"]}
    parts = [_straight(start, buffer) for start, _, buffer in lines]
    parts += [_around(track, *one) for track, one in zip(_tracks(past), past, strict=True)]
    for layer in report["layers"]:
        parts.append(
            _engine(
                place[layer["name"]], layer, resources.get(layer["name"], {}), estimate["cycles_per_image"]
            )
        )
    parts += [_end(place[name], name) for name in _ENDS]
    wide = 2 * _MARGIN + _BOX + _TRACK * (2 + max(_tracks(past), default=0)) + 210
    title = f"{report['model']}: engines and the buffers between them"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {len(rows) * _STEP}" width="{wide}" '
        f'font-family="sans-serif" font-size="12" role="img" aria-label={quoteattr(title)}>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>'
    )


def _tracks(past: Sequence[_Run]) -> list[int]:
    """The track of each buffer that goes past engines: the first that is free where it runs."""
    taken: list[list[tuple[int, int]]] = []
    found = []
    for start, end, _ in past:
        free = (t for t, runs in enumerate(taken) if all(end <= a or start >= b for a, b in runs))
        track = next(free, len(taken))
        if track == len(taken):
            taken.append([])
        taken[track].append((start, end))
        found.append(track)
    return found


def _top(row: int) -> int:
    return _MARGIN + row * _STEP


def _engine(row: int, layer: Mapping[str, Any], takes: Mapping[str, Any], interval: int) -> str:
    y, busy = _top(row), layer["cycles"] / interval
    amounts = ", ".join(
        f"{takes[key]:,.0f} {name}"
        for key, name in (("luts", "LUTs"), ("dsps", "DSPs"), ("blocks", "blocks"))
        if takes.get(key)
    )
    lines = (
        f'<tspan font-weight="bold">{escape(_short(layer["name"]))}</tspan>',
        f"PE {layer['pe']}, SIMD {layer['simd']}: {layer['cycles']:,} cycles, {busy:.0%} of the interval",
        f"estimated {amounts}" if amounts else "",
    )
    text = "".join(
        f'<text x="{_MARGIN + 8}" y="{y + 17 + 16 * i}">{line}</text>' for i, line in enumerate(lines)
    )
    return (
        f"<g><title>{escape(layer['name'])}</title>"
        f'<rect x="{_MARGIN}" y="{y}" width="{_BOX}" height="{_HIGH}" rx="4" fill="#eef3f8" stroke="#44617b"/>'
        f'<rect x="{_MARGIN}" y="{y + _HIGH - 4}" width="{_BOX * min(1.0, busy):.0f}" height="4" fill="#0072b2"/>'
        f"{text}</g>"
    )


def _short(name: str) -> str:
    """What fits in a box."""
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"


def _end(row: int, name: str) -> str:
    y = _top(row) + (_HIGH - 26 if name == _ENDS[0] else 0)
    return (
        f'<rect x="{_MARGIN + 90}" y="{y}" width="{_BOX - 180}" height="26" rx="13" fill="#ffffff" stroke="#44617b"/>'
        f'<text x="{_MARGIN + _BOX // 2}" y="{y + 17}" text-anchor="middle">{name}</text>'
    )


def _label(buffer: Mapping[str, Any]) -> str:
    return f"{buffer['depth']:,} x {buffer['bits']} bits"


def _told(buffer: Mapping[str, Any]) -> str:
    return f"<title>{escape(buffer['tensor'])}: at most {buffer['filled']} words held</title>"


def _straight(row: int, buffer: Mapping[str, Any]) -> str:
    x, top, bottom = _MARGIN + _BOX // 2, _top(row) + _HIGH, _top(row + 1)
    return (
        f'<g>{_told(buffer)}<line x1="{x}" y1="{top}" x2="{x}" y2="{bottom}" stroke="#808080"/>'
        f'<text x="{x + 8}" y="{(top + bottom) // 2 + 4}">{_label(buffer)}</text></g>'
    )


def _around(track: int, start: int, end: int, buffer: Mapping[str, Any]) -> str:
    left, side = _MARGIN + _BOX, _MARGIN + _BOX + _TRACK * (track + 1)
    top, bottom = _top(start) + _HIGH - 14, _top(end) + 14
    dashed = ' stroke-dasharray="5 3"' if buffer["residual"] else ""
    return (
        f'<g>{_told(buffer)}<path d="M{left},{top} H{side} V{bottom} H{left}" fill="none" stroke="#808080"{dashed}/>'
        f'<text x="{side + 6}" y="{(top + bottom) // 2 + 4 + 14 * (track % 2)}">{_label(buffer)}'
        f"{', residual' if buffer['residual'] else ''}</text></g>"
    )
