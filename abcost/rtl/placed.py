"""A unit as it stands in a larger design: one instance inside a module with the same ports.

Synthesis optimizes the top module before it flattens the others into it, so a unit that is the top itself maps
differently: a popcount takes a tenth more LUTs alone than anywhere it is used.
"""

from __future__ import annotations

from abcost.rtl.unit import Unit


def placed(unit: Unit) -> Unit:
    """The module around one instance of `unit`; it computes the same."""
    ports = [port.name for port in (*unit.inputs, *unit.outputs)]
    clock = [".clk(clk)"] if unit.clocked else []
    wires = ", ".join([*clock, *(f".{name}({name})" for name in ports)])
    return Unit(
        name=f"{unit.name}_placed",
        inputs=unit.inputs,
        outputs=unit.outputs,
        body=f"    {unit.name} unit ({wires});",
        model=unit.model,
        clocked=unit.clocked,
        needs=(unit,),
        protocol=unit.protocol,
        warm_up=unit.warm_up,
    )
