"""The silicon that a block may take: an area, and how much of it cells fill. Bundled ones are `cost_models/dies.csv`.

    area of a block = cells / utilisation + macros

Cells are those of logic, ROMs and register files; a macro has the area that its Liberty file states.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

from abcost.cost.bundled import cost_models_dir
from abcost.errors import UsageError

UTILISATION = 0.5
"""Share of a core's area that cells fill where nobody says otherwise: the default of OpenLane's FP_CORE_UTIL, 50 %
(OpenLane documentation, "Floorplanning")."""
MOST_MM2 = 1e6  # more than a wafer


@dataclass(frozen=True, slots=True)
class Die:
    """A place for a block. part: its name; area_mm2: of the core, None: as much as it takes; utilisation: see above.

    targets: cost tables of the cells that are made there; () where any will do.
    """

    part: str
    area_mm2: float | None = None
    utilisation: float = UTILISATION
    targets: tuple[str, ...] = ()
    source: str = ""
    confidence: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if self.area_mm2 is not None and not 0 < self.area_mm2 <= MOST_MM2:
            raise UsageError(f"--area-mm2 must be above 0 and at most {MOST_MM2:g}, got {self.area_mm2:g}")
        if not 0 < self.utilisation <= 1:
            raise UsageError(f"--utilisation is a share above 0 and at most 1, got {self.utilisation:g}")

    @property
    def area_um2(self) -> float | None:
        """Square micrometres; None where it is not limited."""
        return None if self.area_mm2 is None else self.area_mm2 * 1e6

    @property
    def bandwidth_gb_s(self) -> None:
        """None: nothing is known of a memory outside."""
        return

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


ANYWHERE = Die("any area")
"""Where only a rate is wished."""


@cache
def dies() -> dict[str, Die]:
    """All bundled ones by name."""
    path = cost_models_dir() / "dies.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return {row["die"]: _die(row) for row in csv.DictReader(file)}


def _die(row: Mapping[str, str]) -> Die:
    return Die(
        part=row["die"],
        area_mm2=float(row["area_mm2"]),
        targets=tuple(row["targets"].split()),
        source=row["source"],
        confidence=row["confidence"],
        note=row["note"],
    )


def die_of(found: object, area_mm2: float | None = None, utilisation: float | None = None) -> Die:
    """The die that was named, if one was, with an area of the user's own or a utilisation. Raises UsageError."""
    if found is not None and not isinstance(found, Die):
        raise UsageError(
            "--area-mm2 and --utilisation are of silicon, --device is an FPGA: leave one of the two out"
        )
    if found is not None and area_mm2 is not None:
        raise UsageError(
            f"--device {found.part} has an area of its own, --area-mm2 another: leave one of the two out"
        )
    base = found or (ANYWHERE if area_mm2 is None else Die(f"{area_mm2:g} mm2", area_mm2))
    return base if utilisation is None else replace(base, utilisation=utilisation)
