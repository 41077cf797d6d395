"""A module between registers, so that a clock can be measured through it: register -> module -> register.

    si -> shift register (one flip-flop per input bit) -> module -> one flip-flop per output bit

Two pins are enough for any number of ports. The registers behind the outputs drive nothing and are kept by
their attribute, so nothing pulls them away from the module; the shift register is the shortest path there is.
"""

from __future__ import annotations

from collections.abc import Mapping

from abcost.rtl.unit import Unit

TOP = "registered"
"""Name of the module that `registered_source` makes."""


def registered_source(unit: Unit, *, apart: bool = False) -> str:
    """Verilog of module `registered` (clk, si) around one instance of `unit`, with all that it needs.

    apart: with a pin `clear`, see `between_registers`.
    """
    inputs = {port.name: port.bits for port in unit.inputs}
    outputs = {port.name: port.bits for port in unit.outputs}
    clock = "clk" if unit.clocked else None
    return f"{unit.source}\n{between_registers(unit.name, inputs, outputs, clock=clock, apart=apart)}"


def between_registers(
    name: str,
    inputs: Mapping[str, int],
    outputs: Mapping[str, int],
    *,
    clock: str | None,
    apart: bool = False,
) -> str:
    """Verilog of module `registered` (clk, si) around an instance of module `name`.

    inputs, outputs: port -> bits, without the clock; clock: its clock port, None if it has none.
    apart: the registers behind the module have an asynchronous clear by a pin, so that no block of a multiplier
    takes them in; those in front feed each other, and so none takes them anyway.
    """
    read, made = sum(inputs.values()), sum(outputs.values())
    links = [] if clock is None else [f".{clock}(clk)"]
    for vector, ports in (("in", inputs), ("made", outputs)):
        at = 0
        for port, bits in ports.items():
            links.append(f".{port}({vector}[{at} +: {bits}])")
            at += bits
    last = max(1, read - 1)
    edge, clear = (" or posedge clear", "if (clear) out <= 0; else ") if apart else ("", "")
    pin = "    input clear,\n" if apart else ""
    return f"""module {TOP} (
    input clk,
{pin}    input si
);
    reg [{last}:0] in;
    always @(posedge clk) in <= {{in[{last - 1}:0], si}};
    (* keep *) wire [{made - 1}:0] made;
    {name} inside ({", ".join(links)});
    (* keep *) reg [{made - 1}:0] out;
    always @(posedge clk{edge}) {clear}out <= made;
endmodule
"""
