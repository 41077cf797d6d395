"""Transitions of a mapped FPGA netlist in one operation, under the random inputs of `abcost.synth.activity`."""

from __future__ import annotations

from dataclasses import dataclass

from abcost.rtl.unit import Unit
from abcost.synth.activity import activity_of
from abcost.synth.fabric import Fabric


@dataclass(frozen=True, slots=True)
class Toggles:
    """Counts per operation; what counts as which: see `abcost.synth.fabric`.

    settled, routed   transitions without delays: of all nets that cells drive, and of those that take routing
    hops              transitions with one unit of delay per cell, glitches included, once for each reader
    registers         clocked flip-flops; one operation is one clock cycle
    blocks            multiplier blocks
    """

    settled: float
    routed: float
    hops: float
    registers: int
    blocks: int


def toggles_of(unit: Unit, fabric: Fabric, *, seed: int = 0) -> Toggles:
    """Transitions of one operation of `unit`, whose netlist this is. Deterministic in `seed`.

    Raises ToolError where the netlist does not compute what the unit's model says.
    """
    activity = activity_of(unit, fabric.netlist, seed=seed)
    low, high = activity.low / activity.operations, activity.high / activity.operations
    if unit.clocked:  # what the clock moves is counted in registers
        clock = list(fabric.netlist.inputs["clk"])
        low[clock] = high[clock] = 0
    return Toggles(
        float(low @ fabric.settled),
        float(low @ fabric.routed),
        float(high @ fabric.hops),
        fabric.registers,
        fabric.blocks,
    )
