"""What is placed and routed for a delay law: one unit at one size, between registers; and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from abcost.calibrate.memories import block_read
from abcost.calibrate.point import Role, unit_of
from abcost.rtl.registered import TOP, registered_source
from abcost.rtl.unit import Unit
from abcost.synth.route import RouteJob

SOURCE = "unit.v"


@dataclass(frozen=True)
class DelayPoint:
    """`op` built with `parameters`; `size` is the same in the variables of a cost table."""

    op: str
    size: Mapping[str, int]
    parameters: Mapping[str, Any]
    role: Role = "fit"

    @cached_property
    def unit(self) -> Unit:
        """The hardware between the registers."""
        return block_read(**self.parameters) if self.op == "block_read" else unit_of(self.op, self.parameters)

    @cached_property
    def source(self) -> str:
        """Verilog of the unit between registers; its top is `registered`."""
        return registered_source(self.unit)

    def job(self, mapping: str, seed: int) -> RouteJob:
        """Place and route of the point with one seed."""
        return RouteJob(self.unit.name, TOP, ((SOURCE, self.source),), seed, mapping)


@dataclass(frozen=True, slots=True)
class MeasuredDelay:
    """One seed of one point.

    limit: what the slowest path goes through: "unit", or "chain" where the registers in front of the unit are
    slower among themselves than through it, which makes the delay an upper end.
    """

    op: str
    module: str
    size: Mapping[str, int]
    role: Role
    mapping: str
    seed: int
    fmax_mhz: float
    luts: float
    logic_cells: int
    limit: str

    @property
    def delay_ns(self) -> float:
        """1 / Fmax."""
        return 1000 / self.fmax_mhz
