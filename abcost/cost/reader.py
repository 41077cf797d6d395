"""Head, sources and memory of a cost table -> checked records; the caller adds the file to each reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abcost.cost import document as doc
from abcost.cost.entry import CONFIDENCES, Clock, Figure, MemoryLevel, MemoryLevels, Source
from abcost.cost.formula import shown
from abcost.cost.timing import Timing
from abcost.errors import CostError

HEAD = (
    "schema",
    "target",
    "title",
    "technology",
    "node",
    "default_width",
    "note",
    "mapping",
    "memory",
    "clock",
    "source",
    "entry",
    "timing",
)
TECHNOLOGIES = ("asic", "fpga")
UNKNOWN = "unknown"  # in the place of a memory's name: no figure, so memory energy is unknown
DEFAULT_WIDTH = 16  # bits, where a table does not say

_SOURCE = ("title", "where", "note")
_LEVEL = ("name", "energy_pj", "low", "high", "access_bits", "capacity_bits", "source", "confidence", "note")


def check_head(table: Mapping[str, Any]) -> None:
    """Raise CostError unless the top of the file is `schema = 1` and holds known keys only."""
    if table.get("schema") != 1 or isinstance(table["schema"], bool):
        raise CostError("schema = 1 is missing at the top; this abcost reads schema 1 only")
    doc.check_keys(table, HEAD)


def read_sources(table: Mapping[str, Any]) -> dict[str, Source]:
    """`[source.NAME]` sections by name. Raises CostError."""
    sources = {}
    for name, value in doc.section(table, "source").items():
        with doc.located(f"source {shown(name)}"):
            if not isinstance(value, dict):
                raise CostError("must be a section [source.NAME]")
            doc.check_keys(value, _SOURCE)
            sources[name] = Source(
                name=name,
                title=doc.text(value, "title"),
                where=doc.text(value, "where"),
                note=doc.text(value, "note", default=""),
            )
    return sources


def read_memory(table: Mapping[str, Any]) -> MemoryLevels | None:
    """The `[memory]` section, or None if the table has none. Raises CostError."""
    memory = doc.section(table, "memory")
    if not memory:
        return None
    with doc.located("memory"):
        doc.check_keys(memory, ("weights", "activations", "level"))
        levels: dict[str, MemoryLevel] = {}
        for number, entry in enumerate(doc.tables(memory, "level"), start=1):
            with doc.located(f"level {number}"):
                level = _level(entry)
                if level.name == UNKNOWN:
                    raise CostError(f"{UNKNOWN!r} says that there is no figure; name the memory otherwise")
                if level.name in levels:
                    raise CostError(f"{level.name!r} is given twice; keep one")
                levels[level.name] = level
        return MemoryLevels(
            levels=levels,
            weights=levels.get(doc.choice(memory, "weights", (*levels, UNKNOWN))),
            activations=levels.get(doc.choice(memory, "activations", (*levels, UNKNOWN))),
        )


def read_clock(table: Mapping[str, Any]) -> Clock | None:
    """The `[clock]` section, or None if the table has none. Raises CostError."""
    clock = doc.section(table, "clock")
    if not clock:
        return None
    with doc.located("clock"):
        doc.check_keys(clock, ("energy_pj", "source", "confidence", "note"))
        energy = _energy(clock, "energy_pj")
        if energy is None:
            raise CostError("energy_pj is missing; give the energy of one register and cycle in picojoule")
        return Clock(
            energy,
            doc.texts(clock, "source"),
            doc.choice(clock, "confidence", CONFIDENCES),
            doc.text(clock, "note", default=""),
        )


def _level(entry: Mapping[str, Any]) -> MemoryLevel:
    doc.check_keys(entry, _LEVEL)
    low, energy, high = (_energy(entry, key) for key in ("low", "energy_pj", "high"))
    if energy is None:
        raise CostError("energy_pj is missing; give the energy of one access in picojoule")
    if not (energy if low is None else low) <= energy <= (energy if high is None else high):
        raise CostError(f"needs low <= energy_pj <= high, got {low}, {energy}, {high}")
    return MemoryLevel(
        name=doc.text(entry, "name"),
        energy_pj=energy,
        low_pj=low,
        high_pj=high,
        access_bits=doc.integer(entry, "access_bits"),
        capacity_bits=doc.integer(entry, "capacity_bits") if "capacity_bits" in entry else None,
        sources=doc.texts(entry, "source"),
        confidence=doc.choice(entry, "confidence", CONFIDENCES),
        note=doc.text(entry, "note", default=""),
    )


def _energy(entry: Mapping[str, Any], key: str) -> float | None:
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e300:
        raise CostError(f"{key} must be an energy above 0 in picojoule, got {shown(value)}")
    return float(value)


def check_citations(
    figures: tuple[Figure, ...],
    memory: MemoryLevels | None,
    timing: Timing | None,
    sources: Mapping[str, Source],
    clock: Clock | None = None,
) -> None:
    """Raise CostError for a source that is cited but not given, or given but not cited."""
    cited = {name: f"entry {figure.entry} ({figure.op})" for figure in figures for name in figure.sources}
    for level in memory.levels.values() if memory else ():
        cited |= dict.fromkeys(level.sources, f"memory level {level.name}")
    if clock is not None:
        cited |= dict.fromkeys(clock.sources, "clock")
    if timing is not None:
        cited |= {timing.source: "timing"}
    for name, where in cited.items():
        if name not in sources:
            hint = doc.suggestion(name, sources)
            raise CostError(f"{where}: source {shown(name)} is not given; add [source.{name}]; {hint}")
    for name in sources:
        if name not in cited:
            raise CostError(f"source {shown(name)} is cited by no entry; cite it or remove it")
