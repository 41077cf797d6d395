"""FIFOs as Verilog: of a residual operand, which an engine takes in its own time, and of the logits."""

from __future__ import annotations

from torch import Tensor

from abcost.accelerator.design.buffers import Buffer, chunks
from abcost.emit.verilog import span
from abcost.emit.window import chosen, gathering, memory_style
from abcost.rtl.unit import Port, Unit, Values, flag


def fifo_unit(name: str, buffer: Buffer, *, pe: int | None) -> Unit:
    """Ports: push, push_data, room; take, data; for folds of PE elements starts and enough, else there.

    enough: the operands of a whole fold are there. there: data is valid. A pixel that is read several times keeps its
    words until the last time.
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
    low = (buffer.margin - 1).bit_length()
    limit = buffer.depth // buffer.margin - 1  # in margins: what may be there so that one of them is free
    last = f"{n}'d{buffer.depth - 1}"
    lines = [
        f"{memory_style(buffer)} reg [{buffer.word_bits - 1}:0] memory [0:{buffer.depth - 1}];",
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
        f"wire [{n - 1}:0] after = read_at == {last} ? {n}'d0 : read_at + {n}'d1;",
        *_passes(buffer, n),
        f"reg [{buffer.word_bits - 1}:0] read;",
        f"wire [{n - 1}:0] next_at = ~pop ? read_at : again ? first_at : after;",
        "always @(posedge clk) begin",
        "    if (write) memory[write_at] <= word_in;",
        "    read <= memory[next_at];",
        "    written <= write & ~reset;",
        f"    space <= ~(reset | {_at_least(level, low, limit)});  // a margin of {buffer.margin} words is free",
        "    if (reset) begin write_at <= 0; read_at <= 0; level <= 0; end",
        "    else begin",
        f"        if (write) write_at <= write_at == {last} ? {n}'d0 : write_at + {n}'d1;",
        "        read_at <= next_at;",
        f"        if (written != gone) level <= level + {{{{{level - 1}{{gone}}}}, 1'b1}};  // one more or one less",
        "    end",
        "end",
    ]


def _passes(buffer: Buffer, bits: int) -> list[str]:
    """`gone`: a word is read for the last time; `again`: the pixel is read from its first word on once more."""
    passes, words = buffer.edge.passes, buffer.words_per_pixel
    if passes == 1:
        return ["wire gone = pop;", "wire again = 1'b0;", f"wire [{bits - 1}:0] first_at = {bits}'d0;"]
    lines = [f"// a pixel of {words} words is read {passes} times", f"reg [{bits - 1}:0] first_at;"]
    for name, count, moves in (("word", words, "pop"), ("pass", passes, "pop & word_end")):
        width = max(1, (count - 1).bit_length())
        if count == 1:
            lines.append(f"wire {name}_end = 1'b1;")
            continue
        lines += [
            f"reg {span(width)}{name};",
            f"wire {name}_end = {name} == {width}'d{count - 1};",
            f"always @(posedge clk) if (reset) {name} <= 0; else if ({moves}) {name} <= "
            f"{name}_end ? {width}'d0 : {name} + {width}'d1;",
        ]
    return [
        *lines,
        "wire gone = pop & pass_end;",
        "wire again = word_end & ~pass_end;",
        "always @(posedge clk) if (reset) first_at <= 0; else if (gone & word_end) first_at <= after;",
    ]


def _at_least(bits: int, low: int, limit: int) -> str:
    """Whether level[bits - 1:low] >= limit, bit by bit: a comparison would become a chain of carries."""
    wide = bits - low
    cases = []
    for i in range(wide):
        above = [f"level[{low + j}]" for j in range(i + 1, wide) if limit >> j & 1]
        if not limit >> i & 1:
            cases.append(" & ".join([f"level[{low + i}]", *above]))
    cases.append(" & ".join(f"level[{low + j}]" for j in range(wide) if limit >> j & 1) or "1'b1")
    return " | ".join(f"({case})" for case in cases)


def _there() -> list[str]:
    return ["assign there = level != 0;"]


def _enough(buffer: Buffer, pe: int) -> list[str]:
    """Counts elements that no fold has begun to use; folds that read a pixel again need no more of them."""
    more, less = chunks(buffer, pe)
    bits = max(buffer.depth * more, less).bit_length()
    both, fewer = (more - less) & ((1 << bits) - 1), -less & ((1 << bits) - 1)
    change = f"~begins ? {bits}'d{more} : written ? {bits}'d{both} : {bits}'d{fewer}"
    return [
        *_begins(buffer, pe),
        f"// what no fold that has begun needs, in parts of {buffer.word // more}",
        f"reg [{bits - 1}:0] unused;",
        f"assign enough = seen | (unused {'!= 0' if less == 1 else f'>= {bits}' + chr(39) + f'd{less}'});",
        f"wire [{bits - 1}:0] change = {change};",
        "always @(posedge clk) if (reset) unused <= 0; else if (written | begins) unused <= unused + change;",
    ]


def _begins(buffer: Buffer, pe: int) -> list[str]:
    """`seen`: the next fold reads what an earlier one has read; `begins`: a fold begins that does not."""
    edge = buffer.edge
    if edge.passes == 1:
        return ["wire seen = 1'b0;", "wire begins = starts;"]
    folds = edge.map.channels // pe
    count = folds * edge.passes
    bits = (count - 1).bit_length()
    return [
        f"reg {span(bits)}fold;",
        f"always @(posedge clk) if (reset) fold <= 0; else if (starts) fold <= fold == {bits}'d{count - 1} ? "
        f"{bits}'d0 : fold + {bits}'d1;",
        f"wire seen = fold >= {bits}'d{folds};",
        "wire begins = starts & ~seen;",
    ]
