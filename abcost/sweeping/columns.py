"""What is shown of a sweep: the keys that differ between rows, and the results that some row knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from abcost.report import quantity
from abcost.sweeping.row import SweepRow

Show = Callable[[SweepRow], tuple[str, float | None]]


@dataclass(frozen=True, slots=True)
class Column:
    """One of a table. cells: text and the number that it stands for, None for text and for what is unknown."""

    title: str
    cells: tuple[tuple[str, float | None], ...]
    words: bool = False


def fixed(rows: Sequence[SweepRow]) -> str:
    """What all rows have in common, in words."""
    said = [rows[0].model.partition(",")[0]] if _one_network(rows) else []
    for title, show in _KEYS:
        texts = {show(row)[0] for row in rows}
        if len(texts) == 1 and (text := texts.pop()):
            said.append(_IN_WORDS.get(title, "{}").format(text))
    return ", ".join(said)


def columns(rows: Sequence[SweepRow], front: Sequence[SweepRow]) -> list[Column]:
    """Keys that differ, what came of it, whether it is on the front, and why not."""
    keys = [_column(title, show, rows, words=title in _WORDS) for title, show in _KEYS]
    if _one_network(rows):
        options = tuple((row.model.partition(",")[2] or "as published", None) for row in rows)
        keys[0] = Column("model", options, words=True)
    found = [
        column
        for column in keys
        if len(set(column.cells)) > 1 and not (column.title == "target" and _implied(rows))
    ]
    for title, show in _RESULTS:
        column = _column(title, show, rows, words=title in _WORDS)
        if any(text not in ("", "unknown") for text, _ in column.cells):
            found.append(column)
    marks = tuple(("yes" if row in front else "", None) for row in rows)
    found.append(Column("front", marks, words=True))
    if any(row.why for row in rows):
        found.append(Column("why", tuple((row.why, None) for row in rows), words=True))
    return found


def _one_network(rows: Sequence[SweepRow]) -> bool:
    """Whether the models differ by their options alone, so that their name need not stand in every row."""
    return len({row.model for row in rows}) > 1 and len({row.model.partition(",")[0] for row in rows}) == 1


def _implied(rows: Sequence[SweepRow]) -> bool:
    """Whether each device has one target, so that it says that too."""
    pairs = {(row.device, row.target) for row in rows}
    return all(row.device for row in rows) and len(pairs) == len({device for device, _ in pairs})


def reasons(rows: Sequence[SweepRow]) -> list[str]:
    """Why rows are not what was asked for, each once."""
    return list(dict.fromkeys(row.why for row in rows if row.why))


def describe(row: SweepRow) -> str:
    """A row in one line: what it is, and what came of it."""
    keys = [f"{row.width_bits} bits", *([row.folding] if row.folding else [])]
    keys += [f"{row.wanted_fps:g} frames/s wanted"] if row.wanted_fps is not None else []
    where = f"{row.target}, {row.device}" if row.device else row.target
    return f"{row.model} on {where}, {', '.join(keys)}"


def _column(title: str, show: Show, rows: Sequence[SweepRow], *, words: bool) -> Column:
    return Column(title, tuple(show(row) for row in rows), words)


def _text(name: str) -> Show:
    return lambda row: (str(getattr(row, name) or ""), None)


def _number(name: str, shown: Callable[[float], str] = quantity.count) -> Show:
    """Unknown where a row that can be has no value; nothing where the row cannot be."""

    def show(row: SweepRow) -> tuple[str, float | None]:
        value = getattr(row, name)
        if value is None:
            return "" if row.answer == "impossible" else "unknown", None
        return shown(value), float(value)

    return show


def _given(name: str) -> Show:
    """A column of what was asked for: empty where it was not."""
    return lambda row: (
        (f"{value:g}", float(value)) if (value := getattr(row, name)) is not None else ("", None)
    )


def _share(row: SweepRow) -> tuple[str, float | None]:
    if row.device_share is None:
        return "", None
    return f"{row.device_share:.0%} {_RESOURCES.get(row.scarcest or '', row.scarcest)}", row.device_share


def _energy(row: SweepRow) -> tuple[str, float | None]:
    text, value = _number("energy_uj", quantity.three_digits)(row)
    if value is None or row.energy_uj_low is None or row.energy_uj_high is None:
        return text, value
    low, high = quantity.three_digits(row.energy_uj_low), quantity.three_digits(row.energy_uj_high)
    return text if low == high else f"{text} ({low}-{high})", value


_KEYS: tuple[tuple[str, Show], ...] = (
    ("model", _text("model")),
    ("target", _text("target")),
    ("device", _text("device")),
    ("bits", _given("width_bits")),
    ("folding", _text("folding")),
    ("wanted", _given("wanted_fps")),
)
_RESULTS: tuple[tuple[str, Show], ...] = (
    ("answer", _text("answer")),
    ("frames/s", _number("fps", quantity.three_digits)),
    ("latency (ms)", _number("latency_ms", quantity.three_digits)),
    ("LUTs", _number("luts")),
    ("DSPs", _number("dsps")),
    ("blocks", _number("blocks")),
    ("area (um2)", _number("area_um2")),
    ("device share", _share),
    ("energy (uJ)", _energy),
    ("cycles", _number("cycles")),
    ("MACs", _number("macs")),
    ("multiplications", _number("multiplications")),
    ("flip-flops", _number("ffs")),
    ("URAM", _number("uram")),
    ("Fmax (MHz)", _number("fmax_mhz", quantity.three_digits)),
    ("parameters (KiB)", _number("weight_kib", quantity.three_digits)),
)
_RESOURCES = {
    "luts": "LUTs",
    "ffs": "flip-flops",
    "dsps": "DSPs",
    "lutram": "LUT RAM",
    "uram": "URAM",
    "spram": "SPRAM",
}
_WORDS = frozenset(("model", "target", "device", "folding", "answer"))
_IN_WORDS = {"bits": "{} bits", "wanted": "{} frames/s wanted", "folding": "folded as {} says"}
