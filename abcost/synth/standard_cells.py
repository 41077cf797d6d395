"""The standard cells that a synthesis may use: one Liberty text, made of the files of a library.

ABC reads the first file of several as the library and merges the others into it, which fails where the first has
inverters and buffers only; the Yosys of PyPI reads no gzip; and both take isolation cells for logic. So the mapper is
never given the user's files, but one file with the cells of all that are for logic, whatever their order: area, pins,
functions and timing as they stand there.

Of flip-flops it holds one, the cheapest that samples a plain input at the rising clock edge:

    cost = area                              where an output shows the state
    cost = area + area of an inverter        where all outputs show its complement

Clear and preset may be there; Yosys ties them to their inactive value.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from abcost.core.reading import same_file
from abcost.errors import ToolError, UsageError
from abcost.synth.function import Function
from abcost.synth.groups import MOST_BYTES, Group, groups_of, read_liberty_bytes
from abcost.synth.liberty import Cell, FlipFlop, Library, library_of, units_of

_TABLES = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
_OUTLINE = ("pin", "ff")
_KEPT = (*_OUTLINE, "timing", *_TABLES)
"""Groups of a cell that mapping reads; power is read from the user's files."""

_HEAD = ("time_unit", "voltage_unit", "leakage_power_unit", "nom_voltage", "default_max_transition")


@dataclass(frozen=True, slots=True)
class StandardCells:
    """What a synthesis is given (`text`), the same cells with their energies, and where they are from.

    outline: the text without timing; flip_flop: the only one; sources: (name, SHA-256) of each file.
    """

    text: str
    outline: str
    library: Library
    flip_flop: str
    sources: tuple[tuple[str, str], ...]

    @property
    def digest(self) -> str:
        """SHA-256 of both texts."""
        return hashlib.sha256(f"{self.text}\0{self.outline}".encode()).hexdigest()

    @property
    def clock_pj(self) -> float:
        """Energy of one clock cycle of a flip-flop that keeps its state, in pJ: both edges at its clock pin.

        2 * (1/2 C V**2 + internal power of the pin), as `abcost.synth.activity` counts it.
        """
        cell = self.library.cells[self.flip_flop]
        if cell.flip_flop is None:
            raise AssertionError(f"{self.flip_flop} is no flip-flop")
        pin = cell.pins[cell.flip_flop.clocked_on.names[0]]
        return pin.capacitance * self.library.voltage**2 + 2 * pin.energy(pin.capacitance)

    @property
    def provenance(self) -> str:
        """Files and digests, as a cost table cites them."""
        return "; ".join(f"{name}, sha256 {digest}" for name, digest in self.sources)


def read_standard_cells(files: Sequence[Path], *, dont_use: Sequence[str] = ()) -> StandardCells:
    """The cells of all files, which belong to one library in one corner.

    dont_use: patterns (`*`, `?`, `[…]`) of names of cells to leave out.

    Raises ToolError with file, line, cell and reason for a file that is damaged, too large or of other units, for a
    cell that two files have, and where there is no inverter, gate or flip-flop; UsageError for a pattern that fits
    no cell.
    """
    sources, roots, size = [], [], 0
    for file in sorted(
        files, key=lambda file: file.name
    ):  # the order in which they are given changes nothing
        if any(same_file(file, other) for other in files if other is not file):
            raise UsageError(f"{file}: the file is given twice; name it once")
        content = read_liberty_bytes(file)
        sources.append((file.name, hashlib.sha256(content).hexdigest()))
        roots.append(groups_of(content, str(file)))
        size += len(roots[-1].source.text)
        if size > MOST_BYTES:
            raise ToolError(f"{file}: the Liberty files have more than {MOST_BYTES:,} bytes together")
    return _standard_cells(roots, dont_use, tuple(sources))


def _standard_cells(
    roots: Sequence[Group], dont_use: Sequence[str], sources: tuple[tuple[str, str], ...]
) -> StandardCells:
    _check_units(roots)
    groups = _groups(roots)
    for pattern in dont_use:
        if not any(fnmatchcase(name, pattern) for name in groups):
            raise UsageError(
                f"--dont-use {pattern!r} fits no cell of {roots[0].source.name}; check the pattern"
            )
    libraries = [library_of(root) for root in roots]
    cells = {n: c for library in libraries for n, c in library.cells.items() if not _fits(n, dont_use)}
    left_out = {n: why for library in libraries for n, why in library.left_out.items()}
    left_out |= {n: "--dont-use" for n in groups if _fits(n, dont_use)}
    flip_flop = _cheapest_flip_flop(roots[0], cells)
    left_out |= {
        n: "flip-flop that is not needed" for n, c in cells.items() if c.flip_flop and n != flip_flop
    }
    cells = {n: c for n, c in cells.items() if n not in left_out}
    library = Library(libraries[0].name, libraries[0].voltage, cells, left_out)
    suffixes = {root.source.name: f"__{i}" if len(roots) > 1 else "" for i, root in enumerate(roots)}
    head = [f"library ({_name(library.name)}) {{", *_head(roots[0])]
    lines, outline = list(head), list(head)
    for root in roots:
        for template in root.of("lu_table_template"):
            lines += _lines(template, suffixes[root.source.name])
    for name in cells:
        lines += _lines(groups[name], suffixes[groups[name].source.name])
        outline += _lines(groups[name], "", kept=_OUTLINE)
    return StandardCells(_text(lines), _text(outline), library, flip_flop, sources)


def _text(lines: Sequence[str]) -> str:
    return "\n".join([*lines, "}"]) + "\n"


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _groups(roots: Sequence[Group]) -> dict[str, Group]:
    """Cell -> its group, of all files. Raises ToolError for a cell that two of them have."""
    groups: dict[str, Group] = {}
    for root in roots:
        for cell in root.of("cell"):
            other = groups.get(cell.name)
            if other is not None and other.source is not cell.source:
                raise cell.error(f"{other.source.name} has it already, so they are no parts of one library")
            groups[cell.name] = cell
    return groups


def _check_units(roots: Sequence[Group]) -> None:
    """Raise ToolError unless all files have the units and the voltage of the first one."""
    first = units_of(roots[0])
    for root in roots[1:]:
        for attribute in ("time", "farads", "volts", "nominal", "leakage"):
            mine, wanted = getattr(units_of(root), attribute), getattr(first, attribute)
            if mine != wanted:
                names = {"farads": "capacitive_load_unit", "nominal": "nom_voltage"}
                names |= {"time": "time_unit", "volts": "voltage_unit", "leakage": "leakage_power_unit"}
                raise root.error(f"{names[attribute]} is another than in {roots[0].source.name}")


def _cheapest_flip_flop(root: Group, cells: Mapping[str, Cell]) -> str:
    """The flip-flop to use. Raises ToolError without one, and without what `abc` needs beside it."""
    logic = [cell for cell in cells.values() if cell.flip_flop is None]
    inverters = [cell.area for cell in logic if _is(cell, "10")]
    for what, tables in (("inverter", ["10"]), ("buffer", ["01"]), ("NAND2 or NOR2", ["1110", "1000"])):
        if not any(_is(cell, table) for cell in logic for table in tables):
            raise root.error(
                f"no {what} that may be used, which mapping needs; give all files of the library"
            )
    costs = []
    for name, cell in cells.items():
        shown = None if cell.flip_flop is None else _shows(cell, cell.flip_flop)
        if shown is not None:
            costs.append((cell.area + (0.0 if shown else min(inverters)), len(cell.pins), name))
    if not costs:
        raise root.error(
            "no flip-flop of one plain input and the rising clock edge that may be used; "
            "give all files of the library"
        )
    return min(costs)[2]


def _is(cell: Cell, table: str) -> bool:
    """Whether the only output of a cell has this truth table."""
    outputs = [pin.function for pin in cell.pins.values() if pin.direction == "output"]
    function = outputs[0] if len(outputs) == 1 else None
    return (
        function is not None
        and 2 ** len(function.names) == len(table)
        and _rows(function) == [bit == "1" for bit in table]
    )


def _rows(function: Function) -> list[bool]:
    """The truth table of a function of few names; the first name is the slowest."""
    count = len(function.names)
    bits = {
        name: np.array([[row >> (count - 1 - i) & 1 for row in range(2**count)]], dtype=np.uint64)
        for i, name in enumerate(function.names)
    }
    return [bool(bit) for bit in np.broadcast_to(function.at(bits) & np.uint64(1), (1, 2**count))[0]]


def _plain(function: Function | None) -> tuple[str, bool] | None:
    """(name, whether it is inverted) of a function that is one name or its complement."""
    if function is None or len(function.names) != 1:
        return None
    rows = _rows(function)
    return None if rows[0] == rows[1] else (function.names[0], rows[0])


def _shows(cell: Cell, rule: FlipFlop) -> bool | None:
    """Whether some output of a flip-flop follows its input, not only the complement; None if it is of no use here."""
    clock, data = _plain(rule.clocked_on), _plain(rule.next_state)
    others = [_plain(function) for function in (rule.clear, rule.preset) if function is not None]
    if clock is None or clock[1] or data is None or None in others:
        return None
    needed = {clock[0], data[0], *(other[0] for other in others if other)}
    inputs = {pin.name for pin in cell.pins.values() if pin.direction == "input"}
    if inputs != needed:
        return None
    found = []
    for pin in cell.pins.values():
        if pin.direction == "output":
            output = _plain(pin.function)
            if output is None or output[0] not in (rule.state, rule.inverted):
                return None
            found.append((output[0] == rule.inverted) ^ output[1] ^ data[1])
    return not all(found) if found else None


def _head(root: Group) -> Iterator[str]:
    yield "  delay_model : table_lookup;"
    yield f"  capacitive_load_unit ({root.complex['capacitive_load_unit'][0]});"
    for attribute in _HEAD:
        if attribute in root.simple:
            yield f"  {attribute} : {root.simple[attribute][0]};"


def _lines(group: Group, suffix: str, depth: int = 1, kept: Sequence[str] = _KEPT) -> Iterator[str]:
    """A group as it stands in its file, with no groups in it but those; suffix: of its templates' names."""
    names = group.names
    if group.kind in (*_TABLES, "lu_table_template"):
        names = tuple(name if name == "scalar" else name + suffix for name in names)
    space = "  " * depth
    yield f"{space}{group.kind} ({', '.join(map(_name, names))}) {{"
    for attribute, (value, _) in group.simple.items():
        yield f"{space}  {attribute} : {' '.join(value.split())};"
    for attribute, (value, _) in group.complex.items():
        yield f"{space}  {attribute} ({' '.join(value.split())});"
    for inner in group.of(*kept):
        yield from _lines(inner, suffix, depth + 1, kept)
    yield f"{space}}}"


def _name(name: str) -> str:
    return name if re.fullmatch(r"\w+", name) else f'"{name}"'
