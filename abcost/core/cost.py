"""What something costs in hardware: energy per execution, and the resources of one unit.

Units: energy in picojoule (1 pJ = 1e-12 J), area in square micrometres of silicon, leakage power in nanowatt, FPGA
resources in sites (LUT6 look-up tables, flip-flops, DSP slices). `None` says that the target has no table for the
field; it is never read as 0 and it survives addition: a sum with an unknown part is unknown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from abcost.errors import CostError

FIELDS: tuple[str, ...] = ("energy_pj", "luts", "ffs", "dsps", "area_um2", "leakage_nw")
"""The fields of `Cost`, in the order of every report."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one thing; each field is a number >= 0, or None where the target has no table for it.

        (a + b).f = a.f + b.f      None if either is None
        a.scaled(n).f = n * a.f    None if a.f is None, unless n = 0

    Raises CostError for a negative, infinite or not-a-number field.

    >>> (Cost(energy_pj=0.5, luts=32) + Cost(energy_pj=0.25)).to_dict()
    {'energy_pj': 0.75, 'luts': None, 'ffs': None, 'dsps': None, 'area_um2': None, 'leakage_nw': None}
    """

    energy_pj: float | None = None  # picojoule per execution, dynamic only
    luts: float | None = None  # LUT6 sites of one unit
    ffs: float | None = None  # flip-flops of one unit
    dsps: float | None = None  # DSP slices of one unit
    area_um2: float | None = None  # square micrometres of one unit, cells only
    leakage_nw: float | None = None  # nanowatt of one unit, drawn as long as it has power

    def __post_init__(self) -> None:
        for name in FIELDS:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise CostError(f"a cost must be a finite number >= 0, got {name} = {value}")

    def __add__(self, other: Cost) -> Cost:
        if not isinstance(other, Cost):
            return NotImplemented
        return Cost(
            energy_pj=_sum(self.energy_pj, other.energy_pj),
            luts=_sum(self.luts, other.luts),
            ffs=_sum(self.ffs, other.ffs),
            dsps=_sum(self.dsps, other.dsps),
            area_um2=_sum(self.area_um2, other.area_um2),
            leakage_nw=_sum(self.leakage_nw, other.leakage_nw),
        )

    def scaled(self, n: float) -> Cost:
        """Cost of `n` of these. None of a thing costs nothing, so `scaled(0)` is ZERO even where unknown.

        Raises CostError for a negative or non-finite n.
        """
        if not (math.isfinite(n) and n >= 0):
            raise CostError(f"a cost is scaled by a finite number >= 0, got {n}")
        if n == 0:
            return ZERO
        return Cost(**{name: None if value is None else value * n for name, value in self.to_dict().items()})

    def to_dict(self) -> dict[str, float | None]:
        """The fields by name, in the order of FIELDS; None stays None (JSON null)."""
        return {name: getattr(self, name) for name in FIELDS}


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b


ZERO = Cost(energy_pj=0, luts=0, ffs=0, dsps=0, area_um2=0, leakage_nw=0)
"""Costs nothing, known for sure: start of every sum."""
