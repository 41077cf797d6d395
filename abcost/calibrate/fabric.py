"""What a transition costs on an FPGA: `cost_models/fabric/FLOW.toml`, readings from print with their sources.

    low, value, high = least, geometric mean and greatest of the readings             (pJ)

A file has [toggle], [clock] and [block] (each with confidence, note and readings), [memory] as in a cost table with
readings for its energies, and the sources that these cite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abcost.cost import cost_models_dir
from abcost.cost import document as doc
from abcost.cost.entry import CONFIDENCES, Source
from abcost.cost.reader import UNKNOWN, read_sources
from abcost.errors import CostError

_TOP = ("schema", "flow", "toggle", "clock", "block", "memory", "source")
_LEVEL = ("name", "access_bits", "capacity_bits", "confidence", "note", "reading")


@dataclass(frozen=True, slots=True)
class Reading:
    """One figure of print: of what, in pJ, from which source."""

    what: str
    pj: float
    source: str


@dataclass(frozen=True, slots=True)
class Range:
    """Several readings of one quantity."""

    readings: tuple[Reading, ...]
    confidence: str
    note: str

    @property
    def low(self) -> float:
        """Least of the readings in pJ."""
        return min(reading.pj for reading in self.readings)

    @property
    def value(self) -> float:
        """Geometric mean of the readings in pJ."""
        return math.exp(sum(math.log(reading.pj) for reading in self.readings) / len(self.readings))

    @property
    def high(self) -> float:
        """Greatest of the readings in pJ."""
        return max(reading.pj for reading in self.readings)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources, each once."""
        return tuple(dict.fromkeys(reading.source for reading in self.readings))


@dataclass(frozen=True, slots=True)
class Level:
    """A memory: energy of one access of so many bits."""

    name: str
    access_bits: int
    capacity_bits: int
    energy: Range


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of one flow. weights, activations: names of levels, or "unknown"."""

    flow: str
    toggle: Range
    clock: Range
    block: Range
    levels: tuple[Level, ...]
    weights: str
    activations: str
    sources: Mapping[str, Source]


def figures_file(flow: str) -> Path:
    """Where the figures of a flow are kept."""
    return cost_models_dir() / "fabric" / f"{flow}.toml"


def read_fabric(file: Path) -> Figures:
    """The figures of a file. Raises CostError with the file, the section and what to do."""
    table, _ = doc.read_document(file)
    with doc.located(str(file)):
        doc.check_keys(table, _TOP)
        if table.get("schema") != 1:
            raise CostError("schema = 1 is missing at the top; this abcost reads schema 1 only")
        sources = read_sources(table)
        ranges = {}
        for name in ("toggle", "clock", "block"):
            with doc.located(name):
                section = doc.section(table, name)
                doc.check_keys(section, ("confidence", "note", "reading"))
                ranges[name] = _range(section)
        memory = doc.section(table, "memory")
        with doc.located("memory"):
            doc.check_keys(memory, ("weights", "activations", "level"))
            levels = tuple(_level(level) for level in doc.tables(memory, "level"))
            names = (*(level.name for level in levels), UNKNOWN)
            served = {what: doc.choice(memory, what, names) for what in ("weights", "activations")}
        found = Figures(
            doc.text(table, "flow"),
            ranges["toggle"],
            ranges["clock"],
            ranges["block"],
            levels,
            served["weights"],
            served["activations"],
            sources,
        )
        _check_citations(found)
        return found


def _range(section: Mapping[str, Any]) -> Range:
    readings = tuple(_reading(reading) for reading in doc.tables(section, "reading"))
    if not readings:
        raise CostError("needs at least one reading with what, pj and source")
    return Range(readings, doc.choice(section, "confidence", CONFIDENCES), doc.text(section, "note"))


def _reading(reading: Mapping[str, Any]) -> Reading:
    doc.check_keys(reading, ("what", "pj", "source"))
    pj = reading.get("pj")
    if isinstance(pj, bool) or not isinstance(pj, int | float) or not 0 < pj < 1e9:
        raise CostError(f"pj must be an energy above 0 in picojoule, got {pj!r}")
    return Reading(doc.text(reading, "what"), float(pj), doc.text(reading, "source"))


def _level(level: Mapping[str, Any]) -> Level:
    doc.check_keys(level, _LEVEL)
    return Level(
        doc.text(level, "name"),
        doc.integer(level, "access_bits"),
        doc.integer(level, "capacity_bits"),
        _range(level),
    )


def _check_citations(found: Figures) -> None:
    """Raise CostError for a source that is cited but not given, or given but not cited."""
    ranges: Sequence[Range] = (
        found.toggle,
        found.clock,
        found.block,
        *(level.energy for level in found.levels),
    )
    cited = {source for each in ranges for source in each.sources}
    if cited != set(found.sources):
        odd = ", ".join(sorted(cited ^ set(found.sources)))
        raise CostError(f"sources must be given and cited, each of them: check {odd}")
