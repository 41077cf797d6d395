"""Devices: how much of each resource a part has (`cost_models/devices.csv`), with source and confidence."""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from abcost.cost.bundled import cost_models_dir
from abcost.errors import UsageError
from abcost.registry import unknown_name


@dataclass(frozen=True, slots=True)
class Family:
    """What a family's memory blocks can be: (width, depth) shapes of one block, and the tables that fit it.

    lutram: whether LUTs can be written; where they cannot, they hold constants only.
    blocks_per_bram36: how many blocks one 36 kbit block RAM is, None where the family has none.
    """

    name: str
    block: str
    shapes: tuple[tuple[int, int], ...]
    targets: tuple[str, ...]
    lutram_depth: int  # words of one bit that one LUT holds
    blocks_per_bram36: int | None = None
    lutram: bool = True


_BRAM18 = ((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024), (36, 512))
"""FINN@39f0c9a matrixvectoractivation.py, after AMD UG573 Table 1-10."""
URAM = ((72, 4096),)
"""FINN@39f0c9a util/basic.py mem_primitives; LUT RAM of 64x1 per LUT6 is from there too."""

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("7-series", "BRAM18", _BRAM18, ("fpga-lut6",), 64, 2),
        Family("UltraScale+", "BRAM18", _BRAM18, ("fpga-lut6",), 64, 2),
        Family(
            "iCE40",
            "EBR 4k",
            ((2, 2048), (4, 1024), (8, 512), (16, 256)),
            ("fpga-ice40",),
            16,
            lutram=False,
        ),
        Family("ECP5", "EBR 18k", _BRAM18, ("fpga-ecp5",), 16),
    )
}


@dataclass(frozen=True, slots=True)
class Device:
    """One part. `blocks`: memory blocks of its family; `uram`: 72 x 4096 bit blocks."""

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


def _device(row: dict[str, str]) -> Device:
    return Device(
        part=row["part"],
        board=row["board"],
        family=FAMILIES[row["family"]],
        luts=int(row["luts"]),
        ffs=int(row["ffs"]),
        dsps=int(row["dsps"]),
        blocks=int(row["blocks"]),
        uram=int(row["uram"]),
        source=row["source"],
        confidence=row["confidence"],
        note=row["note"],
    )


def device(part: str) -> Device:
    """The part of this name, in capitals or not. Raises UnknownName with the nearest."""
    known = {name.lower(): found for name, found in devices().items()}
    if part.lower() not in known:
        raise unknown_name("device", part, devices())
    return known[part.lower()]


def check_target(found: Device | None, target: str, technology: str) -> None:
    """Raises UsageError if a table's figures are not those of the device's family, or of no FPGA at all."""
    if technology != "fpga":
        fitting = (found.family if found else FAMILIES["7-series"]).targets[0]
        raise UsageError(
            f"--device and --fps size an FPGA, target {target} is not one; use --target {fitting}"
        )
    if found is None:
        return
    known = {name for family in FAMILIES.values() for name in family.targets}
    if target in known and target not in found.family.targets:
        raise UsageError(
            f"--device {found.part} is {found.family.name}, whose target is {found.family.targets[0]}, not {target}"
        )
