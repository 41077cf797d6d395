"""A module between registers, so that a clock can be measured through it: register -> module -> register.

    si -> shift register (one flip-flop per input bit) -> module -> one flip-flop per output bit

Two pins are enough for any number of ports. The registers behind the outputs drive nothing and are kept by
their attribute, so nothing pulls them away from the module; the shift register is the shortest path there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from abcost.rtl.unit import Unit

Clear = Literal["none", "behind", "both"]

TOP = "registered"
"""Name of the module that `registered_source` makes."""


def registered_source(unit: Unit, *, clear: Clear = "none") -> str:
    """Verilog of module `registered` (clk, si) around one instance of `unit`, with all that it needs.

    clear: which registers have one, see `between_registers`.
    """
    inputs = {port.name: port.bits for port in unit.inputs}
    outputs = {port.name: port.bits for port in unit.outputs}
    clock = "clk" if unit.clocked else None
    return f"{unit.source}\n{between_registers(unit.name, inputs, outputs, clock=clock, clear=clear)}"


def between_registers(
    name: str,
    inputs: Mapping[str, int],
    outputs: Mapping[str, int],
    *,
    clock: str | None,
    clear: Clear = "none",
) -> str:
    """Verilog of module `registered` (clk, si) around an instance of module `name`.

    inputs, outputs: port -> bits, without the clock; clock: its clock port, None if it has none.
    clear: which registers have an asynchronous clear by a pin: those behind, so that no block of a multiplier takes
    them in; those in front too, so that none of them stands in for a register of the module that delays an input,
    as the next one of the shift register could.
    """
    read, made = sum(inputs.values()), sum(outputs.values())
    links = [] if clock is None else [f".{clock}(clk)"]
    for vector, ports in (("in", inputs), ("made", outputs)):
        at = 0
        for port, bits in ports.items():
            links.append(f".{port}({vector}[{at} +: {bits}])")
            at += bits
    last = max(1, read - 1)
    front = _cleared("in") if clear == "both" else ("", "")
    behind = ("", "") if clear == "none" else _cleared("out")
    pin = "" if clear == "none" else "    input clear,\n"
    return f"""module {TOP} (
    input clk,
{pin}    input si
);
    reg [{last}:0] in;
    always @(posedge clk{front[0]}) {front[1]}in <= {{in[{last - 1}:0], si}};
    (* keep *) wire [{made - 1}:0] made;
    {name} inside ({", ".join(links)});
    (* keep *) reg [{made - 1}:0] out;
    always @(posedge clk{behind[0]}) {behind[1]}out <= made;
endmodule
"""


def _cleared(register: str) -> tuple[str, str]:
    """What its block is sensitive to, and what it does first."""
    return " or posedge clear", f"if (clear) {register} <= 0; else "
