"""Devices: how much of each resource a part has (`cost_models/devices.csv`), with source and confidence."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

from abcost.accelerator.cells import Cells
from abcost.core.reading import check_columns, read_text
from abcost.cost.bundled import cost_models_dir
from abcost.cost.entry import CONFIDENCES
from abcost.errors import UsageError, one_line
from abcost.registry import unknown_name

COUNTS = ("luts", "ffs", "dsps", "blocks", "uram")
NEEDED = ("part", "family", *COUNTS, "source", "confidence")
"""Columns of a description; `board`, `note`, `part_number` with its source, and those of OPTIONAL may be there too."""
OPTIONAL = ("lutram", "spram")
MEMORY = ("bandwidth_gb_s", "memory_source", "memory_confidence")
"""Columns of a memory outside: all of them or none; `memory` says what it is."""

_PART_NUMBER = re.compile(r"[A-Za-z0-9-]{1,60}", re.ASCII)  # it stands in scripts
_MOST_BYTES = 100_000
_NUMBER = re.compile(r"\s*[0-9]{1,10}\s*", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{1,6}(\.[0-9]{1,9})?", re.ASCII)
_MOST_BANDWIDTH = 100_000  # GB/s; stacked memories have some thousand
_MOST_COUNT = 10**9  # of any resource; the largest parts have some ten million LUTs


@dataclass(frozen=True, slots=True)
class LutRam:
    """What LUTs hold that are written: `words` words of `bits` bits in `luts` LUTs.

    selects: LUTs that a bit takes for every further bank of so many words.
    """

    words: int
    bits: int
    luts: int
    selects: int = 0


@dataclass(frozen=True, slots=True)
class Family:
    """What a family's memory blocks can be: (width, depth) shapes of one block, and the tables that fit it.

    rom: (words, LUTs of one bit of a ROM of so many, with the LUTs that select among them), measured; words between
    two of them take what is between, from the next multiple of rom_step on, more words in proportion. On LUT4s:
    Yosys 0.70, tables of 16 bits as `abcost.rtl.units.memory` writes them, mapped for area.
    ram: None where LUTs cannot be written.
    blocks_per_bram36: how many blocks one 36 kbit block RAM is, None where the family has none.
    cells: what counts on a part is logic cells, of which its column `luts` has the number; None: LUTs count.
    selects: LUTs that a bit takes for every further row of blocks behind each other, at least 1; a row is `row` blocks
    deep. Measured: Yosys 0.70 takes 1, 3, 6, 13, 27 and 53 LUT4 a bit for 2 to 64 rows on ECP5 and iCE40, 1, 1 and 5.6
    LUT6 for 2, 4 and 16 RAMB36 on 7-series (memories of 9 to 36 bits, mapped for area).
    beside: its synthesis, Yosys', puts rows of blocks side by side and selects what is read: 9216 words of 4 bits are
    1024 rows of 9 words, two blocks of 18 bits, where rows of blocks would be three. level: bits of the row that one
    level of selecting LUTs takes: two where LUTs have multiplexers behind them or six inputs.
    foreign_delays: (part whose delays a table of the family may have, why they are not those of this family).
    """

    name: str
    block: str
    shapes: tuple[tuple[int, int], ...]
    targets: tuple[str, ...]
    rom: tuple[tuple[int, float], ...]
    ram: LutRam | None
    rom_step: int = 1
    blocks_per_bram36: int | None = None
    cells: Cells | None = None
    selects: float = 6 / 7
    row: int = 1
    beside: bool = False
    level: int = 2
    foreign_delays: tuple[tuple[str, str], ...] = ()

    def rom_luts(self, width: int, depth: int) -> int:
        """LUTs of a ROM: of every bit, and what selects among its words."""
        words = -(-depth // self.rom_step) * self.rom_step
        before, each = 0, 0.0
        for most, luts in self.rom:
            if words <= most:
                share = 1.0 if not before else (words - before) / (most - before)
                return ceil(width * (each + share * (luts - each)))
            before, each = most, luts
        return ceil(width * each * words / before)


_BRAM18 = ((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024), (36, 512))
"""FINN@39f0c9a matrixvectoractivation.py, after AMD UG573 Table 1-10."""
URAM = (72, 4096)
"""FINN@39f0c9a util/basic.py mem_primitives; LUT RAM of 64x1 per LUT6 is from there too."""

SPRAM = (16, 16384)
"""Width and depth of an SPRAM of iCE40 UltraPlus: one port, and nothing in it when the part starts, so that it holds no
constants (projectf.io/posts/spram-ice40-fpga; Yosys' ice40/spram.txt has one port and no initial contents).
"""

_IN_LUT6 = ((64, 1.0), (256, 4.0), (320, 320 / 57))
_IN_ECP5 = (
    (16, 1.0), (17, 1.0), (18, 1.6), (20, 1.8),
    (24, 2.0), (32, 2.0), (36, 3.3), (40, 3.8), (48, 4.1), (64, 4.1), (72, 6.4), (80, 7.9),
    (96, 9.1), (128, 9.8), (160, 15.1), (192, 18.7), (256, 22.5), (512, 51), (640, 67),
)  # fmt: skip
_IN_ICE40 = (
    (16, 1.0), (24, 3.1), (32, 3.9), (40, 5.8), (48, 6.8), (64, 9.1), (96, 13.8), (128, 18), (256, 35.5),
    (512, 65), (1024, 118),
)  # fmt: skip
_LUT6 = LutRam(64, 1, 1)
_LUT4 = LutRam(16, 4, 6, selects=1)
"""ECP5: four LUT4 hold 16 x 4 bits, and two more of the same PFU write them (Lattice TN1264; nextpnr-ecp5 counts them
as RAM and RAMW LUTs). A word behind several banks is selected bit by bit: Yosys 0.70 takes 18 LUT4 for 32 words of 16
bits beside their eight TRELLIS_DPR16X4, 52 for 64 beside sixteen."""

_ICE40 = Family(
    "iCE40",
    "EBR 4k",
    ((2, 2048), (4, 1024), (8, 512), (16, 256)),
    ("fpga-ice40",),
    _IN_ICE40,
    None,
    cells=Cells(),
    beside=True,
    level=1,
)
_SLOWER = "the delays of the table are of an iCE40 UP5K, whose process is slower"

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("7-series", "BRAM18", _BRAM18, ("fpga-lut6",), _IN_LUT6, _LUT6, 64, 2, selects=0.36, row=2),
        Family("UltraScale+", "BRAM18", _BRAM18, ("fpga-lut6",), _IN_LUT6, _LUT6, 64, 2, selects=0.36, row=2),
        _ICE40,
        replace(_ICE40, name="iCE40 LP/HX", foreign_delays=(("iCE40UP5K-SG48", _SLOWER),)),
        Family("ECP5", "EBR 18k", _BRAM18, ("fpga-ecp5", "fpga-ecp5-delay"), _IN_ECP5, _LUT4, beside=True),
    )
}


@dataclass(frozen=True, slots=True)
class Device:
    """One part, with the memory of its board.

    luts: logic cells where the family counts those; lutram: how many LUTs can be written (None: not said, and not
    checked); blocks: memory blocks of its family; uram: 72 x 4096 bit blocks; spram: see SPRAM.
    bandwidth_gb_s: peak of the memory outside, 10**9 bytes per second; None where there is none.
    part_number: a common one as the vendor's tool names it, with package and speed grade; "" where it is not said.
    """

    part: str
    board: str
    family: Family
    luts: int
    ffs: int
    dsps: int
    blocks: int
    uram: int
    source: str
    confidence: str
    note: str
    lutram: int | None = None
    spram: int = 0
    memory: str = ""
    bandwidth_gb_s: float | None = None
    memory_source: str = ""
    memory_confidence: str = ""
    part_number: str = ""
    part_number_source: str = ""

    @property
    def usable_luts(self) -> int:
        """LUTs that surely have a place; fewer than there are logic cells where those count."""
        cells = self.family.cells
        return self.luts if cells is None else int(self.luts / cells.per_lut)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; `targets`: the cost tables whose figures are those of its family."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "family"}
        return {
            **plain,
            "family": self.family.name,
            "memory_block": self.family.block,
            "targets": list(self.family.targets),
        }


@cache
def devices() -> dict[str, Device]:
    """All known parts by name."""
    path = cost_models_dir() / "devices.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return {row["part"]: _device(row) for row in csv.DictReader(file)}


@cache
def boards() -> dict[str, str]:
    """Board, in small letters -> its part: those whose memory outside is the one that the part's row states."""
    path = cost_models_dir() / "boards.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return {row["board"]: row["part"] for row in csv.DictReader(file)}


def part_named(text: str) -> str:
    """The part of a board; any other text as it is."""
    return boards().get(text.lower(), text)


def _device(row: Mapping[str, str]) -> Device:
    """Raises KeyError, ValueError or TypeError for a row that is not whole; UsageError for a bad part number."""
    numbers = {name: _count(name, row[name]) for name in COUNTS}
    lutram, spram = (_count(name, row[name]) if row.get(name) else None for name in OPTIONAL)
    bandwidth = _bandwidth(row)
    return Device(
        part=row["part"],
        board=row.get("board") or "",
        family=FAMILIES[row["family"]],
        source=row["source"],
        confidence=row["confidence"],
        note=row.get("note") or "",
        lutram=0 if FAMILIES[row["family"]].ram is None else lutram,
        spram=spram or 0,
        memory=row.get("memory") or "",
        bandwidth_gb_s=bandwidth,
        memory_source=row.get("memory_source") or "",
        memory_confidence=row.get("memory_confidence") or "",
        part_number=_part_number(row.get("part_number") or ""),
        part_number_source=row.get("part_number_source") or "",
        **numbers,
    )


def _part_number(text: str) -> str:
    if text and not _PART_NUMBER.fullmatch(text):
        raise UsageError(f"a part_number of --device is letters, digits and dashes, got {text[:40]!r}")
    return text


def _bandwidth(row: Mapping[str, str]) -> float | None:
    text = (row.get("bandwidth_gb_s") or "").strip()
    if not text:
        return None
    if not _DECIMAL.fullmatch(text) or not 0 < float(text) <= _MOST_BANDWIDTH:
        raise ValueError(f"bandwidth_gb_s is {text[:40]!r}, not above 0 and at most {_MOST_BANDWIDTH:,}")
    return float(text)


def _count(name: str, text: str) -> int:
    if text.strip().startswith("-"):
        raise ValueError(f"a count is negative, {name} {text[:40]}")
    if not _NUMBER.fullmatch(text) or int(text) > _MOST_COUNT:
        raise ValueError(f"{name} is {text[:40]!r}, not between 0 and {_MOST_COUNT:,}")
    return int(text)


def device(part: str) -> Device:
    """The part of this name or of the board of this name, in capitals or not, or that of your own .csv file.

    Raises UnknownName with the nearest; UsageError for a file that does not describe one part.
    """
    if part.lower().endswith(".csv"):
        return _own(Path(part))
    known = {name.lower(): found for name, found in devices().items()}
    name = part_named(part).lower()
    if name not in known:
        raise unknown_name("device", part, [*devices(), *boards()])
    return known[name]


def _own(path: Path) -> Device:
    """A file with the columns of cost_models/devices.csv and one row."""
    text = read_text(path, f"--device {path}", UsageError, most=_MOST_BYTES)
    try:
        table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        rows = list(table)
    except (ValueError, csv.Error) as error:
        raise UsageError(f"--device {path} is not CSV: {one_line(error)}") from error
    check_columns(table.fieldnames or (), f"--device {path}", UsageError)
    if len(rows) != 1:
        raise UsageError(f"--device {path} has {len(rows)} rows: describe one part")
    (row,) = rows
    if None in row:
        raise UsageError(f"--device {path} has more values than columns: quote texts that hold a comma")
    missing = [name for name in NEEDED if not row.get(name)]
    if missing:
        raise UsageError(f"--device {path} lacks {', '.join(missing)} (columns: {', '.join(NEEDED)})")
    if row["family"] not in FAMILIES:
        raise unknown_name(f"family in {path}", row["family"], FAMILIES)
    if row["confidence"] not in CONFIDENCES:
        raise unknown_name(f"confidence in {path}", row["confidence"], CONFIDENCES)
    stated = [name for name in MEMORY if row.get(name)]
    if stated and len(stated) < len(MEMORY):
        absent = [name for name in MEMORY if name not in stated]
        raise UsageError(
            f"--device {path} states a memory by {', '.join(stated)} and lacks {', '.join(absent)}: give all or none"
        )
    if stated and row["memory_confidence"] not in CONFIDENCES:
        raise unknown_name(f"memory_confidence in {path}", row["memory_confidence"], CONFIDENCES)
    try:
        return _device(row)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"--device {path}: {', '.join(COUNTS)} must be whole numbers: {one_line(error)}"
        ) from error
