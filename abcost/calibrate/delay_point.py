"""What is placed and routed for a delay law: one unit at one size, between registers; and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from abcost.calibrate.point import Role
from abcost.rtl.registered import TOP, registered_source
from abcost.rtl.unit import Unit, build, templates
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
        return build(self.op, **self.parameters)

    @cached_property
    def source(self) -> str:
        """Verilog of the unit between registers; its top is `registered`."""
        return registered_source(self.unit)

    def job(self, mapping: str, seed: int) -> RouteJob:
        """Place and route of the point with one seed."""
        sources = ((SOURCE, self.source), *self.unit.all_files.items())
        return RouteJob(
            self.unit.name, TOP, sources, seed, mapping, memories=not templates.get(self.op).in_luts
        )


@dataclass(frozen=True, slots=True)
class MeasuredDelay:
    """One seed of one point.

    fmax_mhz: as the tool says, of the slowest path; logic_ns: what of that path is no wire.
    left_out_ns: what the tool leaves out of it (`left_out_ns` in abcost.synth.route).
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
    logic_ns: float
    left_out_ns: float
    luts: float
    logic_cells: int
    limit: str

    @property
    def delay_ns(self) -> float:
        """1 / Fmax, and what was left out of it."""
        return 1000 / self.fmax_mhz + self.left_out_ns
