"""FIFOs as Verilog: of a residual operand, which an engine takes in its own time, and of the logits."""

from __future__ import annotations

from torch import Tensor

from abcost.accelerator.design.buffers import Buffer, chunks
from abcost.emit.verilog import span
from abcost.emit.window import chosen, gathering
from abcost.rtl.unit import Port, Unit, Values, flag


def fifo_unit(name: str, buffer: Buffer, *, pe: int | None) -> Unit:
    """Ports: push, push_data, room; take, data; for folds of PE elements starts and enough, else there.

    enough: the operands of a whole fold are there. there: data is valid.
    """
    bits = buffer.edge.bits
    signed = bits > 1
    inputs = [
        flag("reset"),
        flag("push"),
        Port("push_data", bits, buffer.arriving, signed=signed),
        flag("take"),
    ]
    outputs = [flag("room"), Port("data", bits, buffer.read, signed=signed)]
    if pe is None:
        outputs.append(flag("there"))
    else:
        inputs.append(flag("starts"))
        outputs.append(flag("enough"))
    lines = [*gathering(buffer), *_memory(buffer), *(_there() if pe is None else _enough(buffer, pe))]
    return Unit(
        name=name, inputs=tuple(inputs), outputs=tuple(outputs), body="\n".join(f"    {line}" for line in lines),
        model=_no_model, clocked=True,
    )  # fmt: skip


def _no_model(_values: Values) -> dict[str, Tensor]:
    raise NotImplementedError("a FIFO computes nothing")


def _memory(buffer: Buffer) -> list[str]:
    """The memory, whose word to be read next stands in a register; a word is counted when that can be."""
    n = max(1, (buffer.depth - 1).bit_length())
    level = buffer.depth.bit_length()
    parts = buffer.word // buffer.read
    one = buffer.read * buffer.edge.bits
    limit = buffer.depth - buffer.margin
    last = f"{n}'d{buffer.depth - 1}"
    lines = [
        f"(* no_rw_check *) reg [{buffer.word_bits - 1}:0] memory [0:{buffer.depth - 1}];",
        f"reg [{n - 1}:0] write_at, read_at;",
        f"reg [{level - 1}:0] level;",
        "reg written, space;",
        "assign room = space;",
    ]
    if parts > 1:
        count = (parts - 1).bit_length()
        lines += [
            f"// a word is taken in {parts} parts",
            f"reg {span(count)}part;",
            f"wire last_part = part == {count}'d{parts - 1};",
            "wire pop = take & last_part;",
            "always @(posedge clk) if (reset) part <= 0; "
            f"else if (take) part <= last_part ? {count}'d0 : part + {count}'d1;",
            f"assign data = {chosen('read', 'part', parts, one)};",
        ]
    else:
        lines += ["wire pop = take;", "assign data = read;"]
    return [
        *lines,
        f"reg [{buffer.word_bits - 1}:0] read;",
        f"wire [{n - 1}:0] next_at = ~pop ? read_at : read_at == {last} ? {n}'d0 : read_at + {n}'d1;",
        "always @(posedge clk) begin",
        "    if (write) memory[write_at] <= word_in;",
        "    read <= memory[next_at];",
        "    written <= write & ~reset;",
        f"    space <= ~reset & (level <= {level}'d{limit});",
        "    if (reset) begin write_at <= 0; read_at <= 0; level <= 0; end",
        "    else begin",
        f"        if (write) write_at <= write_at == {last} ? {n}'d0 : write_at + {n}'d1;",
        "        read_at <= next_at;",
        f"        level <= level + {{{level - 1}'d0, written}} - {{{level - 1}'d0, pop}};"
        if level > 1
        else "        level <= level + written - pop;",
        "    end",
        "end",
    ]


def _there() -> list[str]:
    return ["assign there = level != 0;"]


def _enough(buffer: Buffer, pe: int) -> list[str]:
    """Counts elements that no fold has begun to use."""
    more, less = chunks(buffer, pe)
    bits = max(buffer.depth * more, less).bit_length()
    return [
        f"// what no fold that has begun needs, in parts of {buffer.word // more}",
        f"reg [{bits - 1}:0] unused;",
        f"assign enough = unused >= {bits}'d{less};",
        "always @(posedge clk) if (reset) unused <= 0; else",
        f"    unused <= unused + (written ? {bits}'d{more} : {bits}'d0) - (starts ? {bits}'d{less} : {bits}'d0);",
    ]
