"""Memory macros of a process: which there are, laws over words and bits between them, and banks of them.

    macros = Macros.load("sram-sg13g2")
    macros.bank(300, 100)             # of real macros: 2 of 512x64, side by side
    macros.at("read_pj", 300, 100)    # what a macro of just that size would take, by the law, with its held-out error

Files are TOML, `cost_models/memories/NAME.toml`, written by `abcost calibrate NAME` from Liberty files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from abcost.cost import document as doc
from abcost.cost.bundled import cost_models_dir
from abcost.cost.formula import Formula, shown
from abcost.errors import CostError, UsageError
from abcost.registry import unknown_name

SCHEMA = 1
UNITS: Mapping[str, str] = {
    "area_um2": "um2",
    "read_pj": "pJ",
    "write_pj": "pJ",
    "idle_pj": "pJ",
    "leakage_nw": "nW",
    "access_ns": "ns",
}
"""Figures of a macro, and their units; in the order in which they are shown."""
_TURNED = ("data_pj", "address_pj")
_SIZES = ("words", "bits")
_HEAD = ("schema", "memory", "title", "node", "voltage_v", "note", "macro", "law")
_MACRO = ("name", *_SIZES, *UNITS, *_TURNED, "file", "sha256", "doubts")
_LAW = ("formula", "held_out_mean", "held_out_worst")
MOST_BITS, MOST_WORDS = 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class Sram:
    """One macro. Area in um2, energies in pJ, leakage power in nW, time in ns; None: unknown.

    read_pj, write_pj, idle_pj: of a cycle of the clock, inputs at rest. data_pj, address_pj: of one transition of a bit
    of what is written, and of the address. file, sha256: the Liberty file. doubts: why figures are unknown.
    """

    name: str
    words: int
    bits: int
    area_um2: float
    read_pj: float | None
    write_pj: float | None
    idle_pj: float | None
    leakage_nw: float | None
    access_ns: float | None
    data_pj: float | None
    address_pj: float | None
    file: str
    sha256: str
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SramLaw:
    """A figure over `depth` (words) and `bits`. Errors: of macros that the law was fitted without, relative."""

    formula: Formula
    held_out_mean: float
    held_out_worst: float


@dataclass(frozen=True, slots=True)
class Bank:
    """Equal macros: `rows` behind each other, of which one works at a time, and `columns` side by side, which all do.

    What selects among the rows is not part of it.
    """

    macro: Sram
    rows: int
    columns: int

    @property
    def count(self) -> int:
        """Macros."""
        return self.rows * self.columns

    @property
    def area_um2(self) -> float:
        """Area of all macros, in square micrometres."""
        return self.count * self.macro.area_um2

    @property
    def read_pj(self) -> float | None:
        """Picojoule of one read of a whole word; rows that do not work are idle."""
        return self._access(self.macro.read_pj)

    @property
    def write_pj(self) -> float | None:
        """Picojoule of one write of a whole word, inputs at rest."""
        return self._access(self.macro.write_pj)

    @property
    def leakage_nw(self) -> float | None:
        """Leakage power of all macros, in nanowatt."""
        return None if self.macro.leakage_nw is None else self.count * self.macro.leakage_nw

    def _access(self, energy: float | None) -> float | None:
        idle = self.macro.idle_pj
        if energy is None or (idle is None and self.rows > 1):
            return None
        return self.columns * (energy + (self.rows - 1) * (idle or 0.0))


@dataclass(frozen=True, slots=True)
class Macros:
    """The macros of one process; `load` reads them."""

    name: str
    title: str
    node: str
    voltage_v: float
    note: str
    macros: tuple[Sram, ...]
    laws: Mapping[str, SramLaw]

    @classmethod
    def load(cls, name_or_path: str | Path) -> Macros:
        """Bundled macros, or those of a file of one's own (.toml). Raises UnknownName, CostError."""
        path = Path(name_or_path)
        if path.suffix != ".toml":
            if str(name_or_path) not in names():
                raise unknown_name("memory", str(name_or_path), names())
            path = folder() / f"{name_or_path}.toml"
        table, _ = doc.read_document(path)
        with doc.located(str(path)):
            doc.check_keys(table, _HEAD)
            if table.get("schema") != SCHEMA:
                raise CostError(f"schema must be {SCHEMA}, got {shown(table.get('schema'))}")
            macros = tuple(map(_macro, doc.tables(table, "macro")))
            if not macros:
                raise CostError("has no [[macro]]")
            voltage = _figure(table, "voltage_v")
            if voltage is None:
                raise CostError("voltage_v is missing")
            return cls(
                doc.text(table, "memory"), doc.text(table, "title"), doc.text(table, "node"), voltage,
                doc.text(table, "note", default=""), macros, _laws(table.get("law", {})),
            )  # fmt: skip

    def bank(self, words: int, bits: int) -> Bank:
        """The smallest bank of equal macros that holds so many words of so many bits; of equal ones that of fewest.

        Raises UsageError for sizes below 1 or beyond any memory.
        """
        _check(words, bits)
        banks = [Bank(m, -(-words // m.words), -(-bits // m.bits)) for m in self.macros]
        return min(banks, key=lambda b: (b.area_um2, b.count, b.macro.name))

    def at(self, figure: str, words: int, bits: int) -> float:
        """What a macro of this size would take, by the law. Raises CostError outside the sizes that there are."""
        if figure not in self.laws:
            raise CostError(f"{self.name} has no law of {figure}; laws: {', '.join(self.laws) or 'none'}")
        for name, value in (("words", words), ("bits", bits)):
            there = [getattr(macro, name) for macro in self.macros]
            if not min(there) <= value <= max(there):
                raise CostError(
                    f"{self.name} has macros of {min(there)} to {max(there)} {name}, not of {value}"
                )
        return self.laws[figure].formula.at({"depth": words, "bits": bits})


def folder() -> Path:
    """Folder of the bundled files."""
    return cost_models_dir() / "memories"


def names() -> list[str]:
    """Bundled memories, sorted."""
    return sorted(path.stem for path in folder().glob("*.toml"))


def _check(words: int, bits: int) -> None:
    for name, value, most in (("words", words, MOST_WORDS), ("bits", bits, MOST_BITS)):
        if type(value) is not int or not 1 <= value <= most:
            raise UsageError(f"{name} of a memory must be a whole number from 1 to {most:,}, got {value!r}")


def _macro(table: Mapping[str, Any]) -> Sram:
    doc.check_keys(table, _MACRO)
    name = doc.text(table, "name")
    with doc.located(f"macro {name}"):
        figures = {figure: _figure(table, figure) for figure in (*UNITS, *_TURNED)}
        if not figures["area_um2"]:
            raise CostError("area_um2 is missing, or 0")
        values: dict[str, Any] = {
            "name": name, **{size: doc.integer(table, size) for size in _SIZES}, **figures,
            "file": doc.text(table, "file"), "sha256": doc.text(table, "sha256"),
            "doubts": doc.texts(table, "doubts") if "doubts" in table else (),
        }  # fmt: skip
    return Sram(**{field.name: values[field.name] for field in fields(Sram)})


def _figure(table: Mapping[str, Any], key: str) -> float | None:
    """A number of at least 0; None where it is not there."""
    value = table.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
        raise CostError(f"{key} must be a number of at least 0, got {shown(value)}")
    return float(value)


def _laws(table: Any) -> dict[str, SramLaw]:
    if not isinstance(table, dict):
        raise CostError(f"law must be written as [law.area_um2] sections, got {shown(table)}")
    doc.check_keys(table, UNITS)
    found = {}
    for name, law in table.items():
        with doc.located(f"law.{name}"):
            doc.check_keys(law, _LAW)
            formula = Formula.parse(doc.text(law, "formula"))
            strange = formula.variables - {"depth", "bits"}
            if strange:
                raise CostError(f"formula must be over depth and bits, not {', '.join(sorted(strange))}")
            mean, worst = (_figure(law, key) for key in _LAW[1:])
            if mean is None or worst is None:
                raise CostError("held_out_mean and held_out_worst are missing")
            found[name] = SramLaw(formula, mean, worst)
    return found
