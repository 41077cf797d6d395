"""Memory macros from Liberty files to a file of cost_models/memories: figures, laws over words and bits, their errors.

    figure = a + b bits + c depth + d bits depth          (depth: words), least squares of relative errors, b, c, d >= 0

The error of a law is that of macros which it was fitted without, each in turn. A law that misses them by more than
`MOST_HELD_OUT` on average is not written, nor one of fewer macros than it has factors and one more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from abcost.calibrate.fit import fit
from abcost.calibrate.point import Measured, Point
from abcost.cost.formula import Formula
from abcost.cost.sram import SCHEMA, UNITS
from abcost.errors import ToolError
from abcost.rtl.forms import Terms
from abcost.synth.macros import Macro, read_macros

MOST_HELD_OUT = 0.10
"""Mean error over macros held out above which a law is not written."""
_TERMS = ("1", "bits", "depth", "bits * depth")


@dataclass(frozen=True, slots=True)
class Memory:
    """What a name stands for; macros come from the files that are given."""

    name: str
    title: str
    node: str
    files: str  # how their Liberty files are called
    note: str


MEMORIES: Mapping[str, Memory] = {
    memory.name: memory
    for memory in (
        Memory(
            "sram-sg13g2",
            "IHP SG13G2, SRAM macros RM_IHPSG13_1P of one port, typical corner",
            "130 nm",
            "RM_IHPSG13_1P_*_typ_1p20V_25C.lib",
            "One port of each macro, its self-test port at rest. Energies are those of the clock's edges. What an "
            "input takes is stated per pin, and grows with the width of the word as that of a whole bus would (0.021 "
            "pJ at 8 bits, 0.167 at 64): taken per pin, 32 turning bits of data add 5 % to a write of 1024x64. Leakage "
            "power is the same per bit in all files: they were computed, not measured.",
        ),
        Memory(
            "sram-sky130",
            "SkyWater sky130, SRAM macros of OpenRAM, one port that reads and writes and one that reads",
            "130 nm",
            "sky130_sram_1rw1r_*_TT_1p8V_25C.lib",
            "Areas and leakage power alone: the files' energies and access times cannot be.",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Held:
    """Errors of a law over macros that it was fitted without, relative; formula: of all macros."""

    formula: str
    mean: float
    worst: float


def measure(files: Sequence[Path]) -> list[tuple[Macro, Path]]:
    """All macros with their files, the smallest first. Raises ToolError; also for one that stands there twice."""
    found = [(macro, file) for file in files for macro in read_macros(file)]
    for macro, file in found:
        others = [other for other, of in found if other.name == macro.name and of != file]
        if others:
            raise ToolError(f"{file}: {macro.name} stands in another of the files too: leave one out")
    voltages = {macro.voltage_v for macro, _ in found}
    if len(voltages) > 1:
        raise ToolError(
            f"macros of {', '.join(f'{v:g}' for v in sorted(voltages))} V: give those of one corner"
        )
    return sorted(found, key=lambda of: (of[0].words * of[0].bits, of[0].words, of[0].name))


def laws(macros: Sequence[Macro]) -> dict[str, Held]:
    """A law of each figure that all macros have, and that is not 0 throughout."""
    found = {}
    for name in UNITS:
        values = [getattr(macro, name) for macro in macros]
        if None in values or not any(values) or len(macros) < len(_TERMS) + 1:
            continue
        errors = [
            abs(_at(_fitted([m for m in macros if m is not left_out], name), left_out) - value) / value
            for left_out, value in zip(macros, values, strict=True)
        ]
        found[name] = Held(_fitted(macros, name), sum(errors) / len(errors), max(errors))
    return found


def _fitted(macros: Sequence[Macro], name: str) -> str:
    # the field is called as that of cells is, whose factors may be as small as they are
    points = [
        Measured(Point("sram", {"bits": m.bits, "depth": m.words}, {}), {"area_um2": getattr(m, name)})
        for m in macros
    ]
    return str(fit(Terms(_TERMS), points)[0].laws["area_um2"].value)


def _at(formula: str, macro: Macro) -> float:
    return Formula.parse(formula).at({"bits": macro.bits, "depth": macro.words})


def head_line(memory: Memory) -> str:
    """The first line of a file, by which it is known."""
    return f"# Memory macros, written by `abcost calibrate {memory.name}` with a --liberty for each file named below."


def text(memory: Memory, found: Sequence[tuple[Macro, Path]]) -> tuple[str, dict[str, Held]]:
    """The file, the same bytes for the same Liberty files, and the laws that were too far off to be in it."""
    macros = [macro for macro, _ in found]
    every = laws(macros)
    kept = {name: law for name, law in every.items() if law.mean <= MOST_HELD_OUT}
    lines = [
        head_line(memory),
        f"schema = {SCHEMA}",
        f"memory = {json.dumps(memory.name)}",
        f"title = {json.dumps(memory.title)}",
        f"node = {json.dumps(memory.node)}",
        f"voltage_v = {macros[0].voltage_v:g}",
        f"note = {json.dumps(memory.note, ensure_ascii=False)}",
    ]
    for macro, file in found:
        lines += ["", "[[macro]]", *_entries(macro)]
        lines += [f"file = {json.dumps(file.name)}", f"sha256 = {json.dumps(_digest(file))}"]
        if macro.doubts:
            lines.append(f"doubts = {json.dumps(list(macro.doubts), ensure_ascii=False)}")
    for name, law in kept.items():
        lines += ["", f"[law.{name}]", f"formula = {json.dumps(law.formula)}"]
        lines += [f"held_out_mean = {law.mean:.4f}", f"held_out_worst = {law.worst:.4f}"]
    return "\n".join(lines) + "\n", {name: law for name, law in every.items() if name not in kept}


def _entries(macro: Macro) -> list[str]:
    named = {name: getattr(macro, name) for name in (*UNITS, "data_pj", "address_pj")}
    figures = [f"{name} = {float(value):.9g}" for name, value in named.items() if value is not None]
    return [f"name = {json.dumps(macro.name)}", f"words = {macro.words}", f"bits = {macro.bits}", *figures]


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
