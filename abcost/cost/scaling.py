"""Factors from one process node and supply voltage to another, read from `cost_models/scaling/`.

Logic, after Stillmaker & Baas 2017:

    energy factor = f_to(V_to) / f_from(V_from),   f(V) = a2 V**2 + a1 V + a0     one fit per node
    area factor   = a matrix, node by node; the voltage does not enter

On-chip memory has its own factor, and only one is known: from the figures of Horowitz 2014 (45 nm, 0.9 V) to
those of Jouppi et al. 2021 (7 nm), per capacity: 1.3 to 7 times less, where logic takes 10 times less even at
the same 0.9 V. So the logic factor is never lent to it. DRAM has no factor: it is another process.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from abcost.cost.bundled import cost_models_dir
from abcost.cost.entry import Source
from abcost.errors import UsageError

LOGIC = Source(
    name="stillmaker2017",
    title="Stillmaker & Baas, Scaling equations for the accurate prediction of CMOS device performance, 2017",
    where="doi:10.1016/j.vlsi.2017.02.002, coefficients as in hwcomponents 1.0.114 scaling/techscaling.py",
    note="energy factor = f_to(V_to) / f_from(V_from), f = a2 V**2 + a1 V + a0; area by a matrix",
)
SRAM = Source(
    name="sram-45nm-7nm",
    title="SRAM of Jouppi et al. 2021 (7 nm) over that of Horowitz 2014 (45 nm, 0.9 V), per capacity",
    where="doi:10.1109/ISCA52012.2021.00010 Table 2; doi:10.1109/ISSCC.2014.6757323 Fig. 1.1.9",
    note="7.5/10 at 8 KB, 8.5/20 at 32 KB, 14/100 at 1 MB; the voltage at 7 nm is not stated",
)

_HIGHEST = (
    1.8  # volt; no bound of a fit, only a guard against slips such as millivolts: no node here runs higher
)


@dataclass(frozen=True, slots=True)
class Corner:
    """A process node and its supply voltage."""

    nm: int
    volt: float

    def __str__(self) -> str:
        return f"{self.nm} nm, {self.volt:g} V"


@dataclass(frozen=True, slots=True)
class LogicFactor:
    """What logic is multiplied with, each rounded to six digits so that the stated factor is the applied one."""

    energy: float
    area: float


@dataclass(frozen=True, slots=True)
class _Node:
    fit: tuple[float, float, float]  # a2, a1, a0
    area_to: Mapping[int, float]

    def energy(self, volt: float) -> float:
        a2, a1, a0 = self.fit
        return a2 * volt**2 + a1 * volt + a0

    @property
    def lowest(self) -> float:
        """Voltage below which the fit rises as the voltage falls: -a1 / (2 a2). There it describes nothing."""
        a2, a1, _ = self.fit
        return -a1 / (2 * a2)


def logic_factor(source: Corner, to: Corner) -> LogicFactor:
    """Factor of energy and area of logic from one corner to the other.

    Raises UsageError for a node that is not tabulated (none is interpolated) and for a voltage that its fit
    cannot answer: below the minimum of the parabola, or above 1.8 V. The data at hand name no closer range.
    """
    nodes = _nodes()
    for option, corner in (("--from-node", source), ("--node", to)):
        if corner.nm not in nodes:
            known = ", ".join(map(str, nodes))
            raise UsageError(f"{option} {corner.nm}: no scaling factors for {corner.nm} nm (known: {known})")
    for option, corner in (("--from-voltage", source), ("--voltage", to)):
        lowest = nodes[corner.nm].lowest
        if not lowest < corner.volt <= _HIGHEST:  # not-a-number fails too
            raise UsageError(
                f"{option} {corner.volt:g}: the energy fit of {corner.nm} nm answers "
                f"above {lowest:.3f} V and up to {_HIGHEST} V only"
            )
    energy = nodes[to.nm].energy(to.volt) / nodes[source.nm].energy(source.volt)
    return LogicFactor(float(f"{energy:.6g}"), nodes[source.nm].area_to[to.nm])


def sram_factor(source: Corner, to: Corner, capacity_bits: int, access_bits: int) -> float | None:
    """Factor of the energy of one access, None where none is published."""
    for row in _rows("sram_45nm_7nm.csv"):
        same_size = (int(row["capacity_bits"]), int(row["access_bits"])) == (capacity_bits, access_bits)
        same_ends = (int(row["from_nm"]), float(row["from_voltage_V"]), int(row["to_nm"])) == (
            source.nm,
            source.volt,
            to.nm,
        )
        if same_size and same_ends:
            return float(row["to_pJ"]) / float(row["from_pJ"])
    return None


def _nodes() -> dict[int, _Node]:
    rows = _rows("stillmaker2017.csv")
    names = [int(row["node_nm"]) for row in rows]
    return {
        name: _Node(
            fit=(float(row["e_a2"]), float(row["e_a1"]), float(row["e_a0"])),
            area_to={to: float(row[f"area_to_{to}nm"]) for to in names},
        )
        for name, row in zip(names, rows, strict=True)
    }


def _rows(name: str) -> list[dict[str, str]]:
    path: Path = cost_models_dir() / "scaling" / name
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
