"""What `abcost targets memories` answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from abcost.cost.sram import UNITS, Bank, Macros, Sram, names
from abcost.errors import CostError

if TYPE_CHECKING:
    from rich.table import Table


_SHOWN = {
    "area_um2": "mm2",
    "read_pj": "read, pJ",
    "write_pj": "write, pJ",
    "leakage_nw": "leaks, nW",
    "access_ns": "access, ns",
}


@dataclass(frozen=True, slots=True)
class MemoriesAnswer:
    """As JSON, and for people."""

    content: dict[str, Any]
    grids: Sequence[Table]
    notes: Sequence[str]


def listed(name: str | None) -> MemoriesAnswer:
    """All macros with their figures, and the laws between them."""
    every = _every(name)
    content = {
        found.name: {
            "title": found.title, "node": found.node, "voltage_v": found.voltage_v, "note": found.note,
            "macros": [asdict(macro) for macro in found.macros],
            "laws": {
                figure: {
                    "formula": law.formula.text,
                    "held_out_mean": law.held_out_mean,
                    "held_out_worst": law.held_out_worst,
                }
                for figure, law in found.laws.items()
            },
        }
        for found in every
    }  # fmt: skip
    grids, notes = [], []
    for found in every:
        grid = _grid(f"{found.name}: {found.title} ({found.node}, {found.voltage_v:g} V)", "words x bits")
        for macro in found.macros:
            grid.add_row(_size(macro), *_cells({name: getattr(macro, name) for name in _SHOWN}))
        grids.append(grid)
        notes += [
            f"{found.name} {figure} = {law.formula.text} {UNITS[figure]} (depth: words); macros held out: mean "
            f"{law.held_out_mean:.1%}, worst {law.held_out_worst:.1%}"
            for figure, law in found.laws.items()
        ]
        notes += [f"{macro.name}: unknown: {doubt}" for macro in found.macros for doubt in macro.doubts]
        notes.append(f"{found.name}: {', '.join(macro.name for macro in found.macros)}")
        notes.append(f"{found.name}: {found.note}")
    return MemoriesAnswer({"schema": 1, "memories": content}, grids, notes)


def banks(name: str | None, words: int, bits: int) -> MemoriesAnswer:
    """The smallest bank of each process, and what one macro of that size would take by its laws."""
    title = f"{words:,} words of {bits} bits"
    grid = _grid(title, "memory", "macros")
    answers, notes = {}, []
    for found in _every(name):
        bank = found.bank(words, bits)
        values = _values(bank)
        by_law = {}
        for figure in found.laws:
            try:
                by_law[figure] = found.at(figure, words, bits)
            except CostError as error:
                notes.append(f"no law: {error}")
                break
        grid.add_row(found.name, f"{bank.rows}x{bank.columns} of {_size(bank.macro)}", *_cells(values))
        if by_law:
            grid.add_row("", "one, by law", *_cells(by_law))
        answers[found.name] = {
            "macro": bank.macro.name, "rows": bank.rows, "columns": bank.columns, **values, "by_law": by_law,
        }  # fmt: skip
    notes.append(
        "rows x columns: rows stand behind each other, of which one works at a time; what selects is not counted"
    )
    return MemoriesAnswer({"schema": 1, "words": words, "bits": bits, "banks": answers}, [grid], notes)


def _size(macro: Sram) -> str:
    return f"{macro.words}x{macro.bits}"


def _every(name: str | None) -> list[Macros]:
    return [Macros.load(each) for each in ([name] if name else names())]


def _values(bank: Bank) -> dict[str, float | None]:
    idle = bank.macro.idle_pj
    return {
        "area_um2": bank.area_um2, "read_pj": bank.read_pj, "write_pj": bank.write_pj,
        "idle_pj": None if idle is None else bank.count * idle,
        "leakage_nw": bank.leakage_nw, "access_ns": bank.macro.access_ns,
    }  # fmt: skip


def _cells(values: Mapping[str, float | None]) -> list[str]:
    """Texts of the columns `_SHOWN`; an area is in mm2."""
    found = {name: values.get(name) for name in _SHOWN}
    area = found["area_um2"]
    found["area_um2"] = None if area is None else area / 1e6
    return ["unknown" if value is None else f"{value:.4g}" for value in found.values()]


def _grid(title: str, *columns: str) -> Table:
    from abcost.report.drawing import grid

    return grid(title, *columns, *_SHOWN.values(), text_columns=len(columns))
