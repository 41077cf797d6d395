"""A cost table at another node and voltage: new table text from an old one; nothing else scales anything.

    law of energy -> factor * law        bounds alike; points are multiplied one by one
    law of area   -> factor * law
    SRAM          -> by its own factor where one is published, else left out
    DRAM          -> as cited

Every scaled figure is `derived` and at most as sure as `derived`; its note names factor and source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from abcost.cost import document as doc
from abcost.cost import toml_text as toml
from abcost.cost.entry import PRICED, MemoryLevel, weakest
from abcost.cost.formula import Formula
from abcost.cost.reader import UNKNOWN
from abcost.cost.scaling import LOGIC, SRAM, Corner, LogicFactor, logic_factor, sram_factor
from abcost.cost.table import CostTable, locate
from abcost.errors import CostError, UsageError

_NODE = re.compile(r"(\d{1,4}) nm(?:, (\d+(?:\.\d+)?) V)?")


@dataclass(frozen=True, slots=True)
class Scaled:
    """The text of the new table, and what was done, for people."""

    text: str
    notes: tuple[str, ...]


def scale(name_or_path: str, to: Corner, *, from_node: int | None, from_voltage: float | None) -> Scaled:
    """The table at `to`. `from_node` and `from_voltage` only where the table itself does not state them.

    Raises UsageError for an FPGA table, a node or voltage without factor, a corner that contradicts the table or is
    its own; CostError and UnknownName for a table that cannot be read.
    """
    table = CostTable.load(name_or_path)
    if table.technology != "asic":
        raise UsageError(
            f"{table.target} is an FPGA table: its fabric is fixed, factors of standard-cell logic do not hold for it"
        )
    source = _corner(table, from_node, from_voltage)
    if source == to:
        raise UsageError(f"{table.target} is at {to} already; name another --node or --voltage")
    raw, _ = doc.read_document(locate(name_or_path))
    logic = logic_factor(source, to)
    levels, memory_notes = _levels(table, source, to)
    energy = f"logic energy x {logic.energy:g}, logic area x {logic.area:g} ({LOGIC.name})"
    unscaled = [what for what, there in (("leakage", table.leaks), ("delays", table.timing)) if there]
    left_out = [f"{' and '.join(unscaled)} left out: no factor scales them"] if unscaled else []
    notes = (f"{table.target} from {source} to {to}: {energy}", *memory_notes, *left_out)
    entries = [_entry(entry, logic, source, to) for entry in raw["entry"]]
    head = {
        "schema": 1,
        "target": f"{table.target}-{to.nm}nm-{to.volt:g}V",
        "title": f"{table.title}, scaled to {to}",
        "technology": table.technology,
        "node": str(to),
        "default_width": table.default_width,
        "note": _note(f"Scaled by abcost, not measured. {'. '.join(notes)}. Before scaling: {table.note}"),
    }
    blocks = [
        f"# Written by `abcost targets scale`, from table version {table.digest}; scale again rather than edit.\n"
        + "\n".join(f"{toml.key(name)} = {toml.value(item)}" for name, item in head.items())
        + "\n",
        *_memory(table, levels),
        *(toml.section("[[entry]]", entry) for entry in entries),
        *_sources(table, [*entries, *levels]),
    ]
    return Scaled("\n".join(blocks), notes)


def _corner(table: CostTable, from_node: int | None, from_voltage: float | None) -> Corner:
    """The corner that the table's `node` says, else the user. Raises UsageError if none does, or they contradict."""
    stated = _NODE.fullmatch(table.node)
    nm = int(stated[1]) if stated else None
    volt = float(stated[2]) if stated and stated[2] else None
    for what, said, given in (("node", nm, from_node), ("voltage", volt, from_voltage)):
        option = f"--from-{what}"
        if said is None and given is None:
            raise UsageError(
                f"{table.target} does not state its {what} (node = {table.node!r}); give {option}"
            )
        if said is not None and given is not None and said != given:
            raise UsageError(f"{option} {given:g} contradicts {table.target}, which is at {table.node}")
    return Corner(int(nm or from_node or 0), float(volt or from_voltage or 0))


def _entry(entry: Mapping[str, Any], logic: LogicFactor, source: Corner, to: Corner) -> dict[str, object]:
    """An entry with scaled laws; a composed one stays, for its parts are scaled."""
    if "compose" in entry:
        return dict(entry)
    factors = {"energy_pj": logic.energy, "area_um2": logic.area}
    other = [name for name in PRICED if name in entry and name not in (*factors, *_LEFT_OUT)]
    if other:
        raise UsageError(f"{entry['op']} prices {other[0]}, which no factor scales; take it out of the table")
    scaled: dict[str, object] = {}
    for name, item in entry.items():
        if name in factors:
            scaled[name] = _law(item, factors[name])
        elif name in ("low", "high"):
            scaled[name] = {
                field: _law(law, factors[field]) for field, law in item.items() if field not in _LEFT_OUT
            }
        elif name not in _LEFT_OUT:
            scaled[name] = item
    done = [f"{label} x {factors[name]:g}" for name, label in _LABELS.items() if name in entry]
    how = f"scaled from {source} to {to}: {', '.join(done)} (Stillmaker & Baas 2017)"
    scaled["source"] = _with(doc.texts(entry, "source"), LOGIC.name)
    scaled["method"] = "derived"
    scaled["confidence"] = weakest(["derived", entry["confidence"]])
    scaled["note"] = _note(f"{how}; before: {entry['note']}" if entry.get("note") else how)
    return scaled


_LABELS = {"energy_pj": "energy", "area_um2": "area"}
_LEFT_OUT = ("leakage_nw",)
"""What measured tables have and no factor scales."""


def _law(law: Any, factor: float) -> object:
    """The law times the factor, in its own form. Raises CostError if a formula becomes too long to read back."""
    match law:
        case str():
            text = f"{factor!r} * ({law})"
            Formula.parse(text)
            return text
        case {"points": points}:
            return {**law, "points": [[size, _times(value, factor)] for size, value in points]}
    return _times(law, factor)


def _times(value: float, factor: float) -> float:
    return float(f"{value * factor:.12g}")  # 0.1 * 0.3 is 0.03, not 0.030000000000000002


def _levels(table: CostTable, source: Corner, to: Corner) -> tuple[list[dict[str, object]], list[str]]:
    """Memory levels that the new table has, and a line on each kind."""
    if table.memory is None:
        return [], ["the table has no memory figures"]
    kept: list[dict[str, object]] = []
    scaled, dropped, cited = [], [], []
    for level in table.memory.levels.values():
        if level.capacity_bits is None and "dram" in level.name.lower():
            cited.append(level.name)
            kept.append(_level(level, 1, "DRAM is not scaled: as cited"))
            continue
        factor = sram_factor(source, to, level.capacity_bits or 0, level.access_bits)
        if factor is None:
            dropped.append(level.name)
            continue
        scaled.append(f"{level.name} x {factor:g}")
        kept.append(_level(level, factor, f"scaled from {source} to {to.nm} nm: x {factor:g} ({SRAM.title})"))
    notes = []
    if scaled:
        notes.append(f"SRAM by its own factor: {', '.join(scaled)} ({SRAM.name})")
    if dropped:
        notes.append(
            f"left out: {', '.join(dropped)}; a factor for SRAM is published from 45 nm, 0.9 V to 7 nm only "
            "(8 KB, 32 KB, 1 MB), and the logic factor does not hold for it: memory energy is unknown where they served"
        )
    if cited:
        notes.append(f"DRAM stays as cited: {', '.join(cited)}")
    return kept, notes


def _level(level: MemoryLevel, factor: float, how: str) -> dict[str, object]:
    scaled = factor != 1
    values = {"energy_pj": level.energy_pj, "low": level.low_pj, "high": level.high_pj}
    return {
        "name": level.name,
        **{name: _times(value, factor) for name, value in values.items() if value is not None},
        "access_bits": level.access_bits,
        **({} if level.capacity_bits is None else {"capacity_bits": level.capacity_bits}),
        "source": _with(level.sources, SRAM.name) if scaled else list(level.sources),
        "confidence": weakest(["derived", level.confidence]) if scaled else level.confidence,
        "note": _note(f"{how}; before: {level.note}" if level.note else how),
    }


def _memory(table: CostTable, levels: list[dict[str, object]]) -> list[str]:
    if table.memory is None or not levels:
        return []
    names = {level["name"] for level in levels}
    roles = {"weights": table.memory.weights, "activations": table.memory.activations}
    serves = {role: level.name if level and level.name in names else UNKNOWN for role, level in roles.items()}
    return [
        toml.section("[memory]", serves),
        *(toml.section("[[memory.level]]", level) for level in levels),
    ]


def _sources(table: CostTable, citing: list[dict[str, object]]) -> list[str]:
    """Those that are still cited, and the sources of the factors."""
    cited = {name for item in citing if "source" in item for name in doc.texts(item, "source")}
    sources = {**table.sources, LOGIC.name: LOGIC, SRAM.name: SRAM}
    return [
        toml.section(
            f"[source.{toml.key(name)}]",
            {"title": s.title, "where": s.where, **({"note": s.note} if s.note else {})},
        )
        for name, s in sources.items()
        if name in cited
    ]


def _with(names: tuple[str, ...], name: str) -> list[str]:
    """Each once: a table can be scaled again."""
    return list(dict.fromkeys((*names, name)))


def _note(text: str) -> str:
    joined = " ".join(text.split())
    if len(joined) > doc.MAX_TEXT:
        raise CostError(f"a note becomes longer than {doc.MAX_TEXT} characters by scaling; shorten it first")
    return joined
