"""The sliding window in front of an engine, as Verilog: words in, taps of one step out.

Words stand in a memory that is used round and round. The address of a tap moves by a constant from step to step (which
one, counters say), so that nothing is multiplied; a tap outside the map is masked, for which there are few cases.
A step is issued when its taps are there and whoever reads the engine has room; the rows of the map that no later step
reads are given back at the end of a row of positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from abcost.accelerator.design.buffers import Buffer, WindowRead
from abcost.accelerator.design.network import StageWindow
from abcost.accelerator.design.schedule import by_position, freed_rows
from abcost.emit.verilog import span
from abcost.rtl.unit import Port, Unit, Values, flag


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of a window: its buffer, and how it moves. zeros: taps outside become 0; else `inside` says which.

    passes, folds: each position is read so many times for a fold, and so many folds.
    """

    window: StageWindow
    buffer: Buffer
    passes: int
    folds: int
    zeros: bool
    inside: bool

    @property
    def reading(self) -> WindowRead:
        """What a step reads."""
        reading = self.buffer.reading
        assert reading is not None  # noqa: S101 - the buffer of a window has one
        return reading


def window_unit(name: str, shape: Shape) -> Unit:
    """Ports: push, push_data, room; may, may_start, starts; valid, a and where the engine reads it inside."""
    buffer, reading = shape.buffer, shape.reading
    bits = buffer.edge.bits
    signed = bits > 1
    inputs = [
        flag("reset"), flag("push"), Port("push_data", bits, buffer.arriving, signed=signed), flag("may"),
        flag("may_start"),
    ]  # fmt: skip
    outputs = [
        flag("room"), flag("starts"), flag("valid"),
        Port("a", bits, reading.elements * reading.ports, signed=signed),
    ]  # fmt: skip
    if shape.inside:
        outputs.append(Port("inside", 1, reading.ports, signed=False))
    lines = [*_written(shape), *_counters(shape), *_taps(shape), *_issue(shape), *_read(shape)]
    return Unit(
        name=name, inputs=tuple(inputs), outputs=tuple(outputs), body="\n".join(f"    {line}" for line in lines),
        model=_no_model, clocked=True,
    )  # fmt: skip


def _no_model(_values: Values) -> dict[str, Tensor]:
    raise NotImplementedError(
        "a window is interpreted as a whole: abcost.accelerator.design.network_interpret"
    )


def memory_style(buffer: Buffer) -> str:
    """Attributes of a memory that is written: where it goes, and that nothing is read in the cycle that writes it."""
    style = "distributed" if buffer.place == "lutram" else "block"
    return f'(* no_rw_check, ram_style = "{style}" *)'


def gathering(buffer: Buffer) -> list[str]:
    """Lines that put arriving elements together: `write` and `word_in`."""
    bits = buffer.edge.bits
    parts = buffer.word // buffer.arriving
    if parts == 1:
        return ["wire write = push;", f"wire {span(buffer.word_bits)}word_in = push_data;"]
    one = buffer.arriving * bits
    kept = (parts - 1) * one
    count = (parts - 1).bit_length()
    shifted = "push_data" if parts == 2 else f"{{push_data, gathered[{kept - 1}:{one}]}}"
    return [
        f"// {parts} pushes make a word",
        f"reg {span(kept)}gathered;",
        f"reg {span(count)}pushes;",
        f"wire last_push = pushes == {count}'d{parts - 1};",
        "wire write = push & last_push;",
        f"wire {span(buffer.word_bits)}word_in = {{push_data, gathered}};",
        "always @(posedge clk) begin",
        f"    if (push) gathered <= {shifted};",
        "    if (reset) pushes <= 0;",
        f"    else if (push) pushes <= last_push ? {count}'d0 : pushes + {count}'d1;",
        "end",
    ]


def chosen(word: str, number: str, parts: int, bits: int) -> str:
    """The part of a word that a number says, `bits` bits each."""
    width = (parts - 1).bit_length()
    found = f"{word}[{parts - 1}]" if bits == 1 else f"{word}[{parts * bits - 1}:{(parts - 1) * bits}]"
    for part in reversed(range(parts - 1)):
        low = part * bits
        one = f"{word}[{low}]" if bits == 1 else f"{word}[{low + bits - 1}:{low}]"
        found = f"{number} == {width}'d{part} ? {one} : {found}"
    return found


def _bits(shape: Shape) -> int:
    """Bits of an address, without the bit that tells rounds apart."""
    return (shape.buffer.depth - 1).bit_length()


def _written(shape: Shape) -> Iterator[str]:
    buffer, n = shape.buffer, _bits(shape)
    yield from gathering(buffer)
    yield f"// words that came, and those that are no longer needed, modulo {2 << n}"
    yield f"reg [{n}:0] written;"
    yield f"reg [{n}:0] freed;"
    yield "reg space;"
    yield "assign room = space;"
    yield f"wire [{n}:0] held = written - freed;"
    yield "always @(posedge clk) begin"
    low = (buffer.margin - 1).bit_length()
    full = f"held[{n}] | (&held[{n - 1}:{low}])" if low < n else f"held[{n}] | (held[{n - 1}:0] != 0)"
    yield f"    space <= ~(reset | {full});  // less than the last {buffer.margin} words are free: no"
    yield f"    written <= reset ? {n + 1}'d0 : written + {{{n}'d0, write}};"
    yield "end"
    for port in range(buffer.copies):
        yield f"{memory_style(buffer)} reg [{buffer.word_bits - 1}:0] memory{port} [0:{buffer.depth - 1}];"
        yield f"always @(posedge clk) if (write) memory{port}[written[{n - 1}:0]] <= word_in;"


def loops(shape: Shape) -> list[tuple[str, int]]:
    """Counters of a step, the fastest first: (name, how far it counts); one that counts to 1 is not written."""
    window, reading, buffer = shape.window, shape.reading, shape.buffer
    return [
        ("part", buffer.word // reading.elements if reading.ports == 1 else 1),
        ("word", buffer.words_per_pixel),
        ("column", window.kernel[1] // reading.columns),
        ("row", window.kernel[0] // reading.rows),
        ("pass", shape.passes),
        ("fold", shape.folds),
        ("x", window.positions[1]),
        ("y", window.positions[0]),
    ]


def moves(shape: Shape) -> list[int]:
    """Words that the address moves by when each counter of `loops` goes on, those before it starting again."""
    window, reading, buffer = shape.window, shape.reading, shape.buffer
    word = buffer.words_per_pixel
    line = window.source.columns * word
    strides = [
        0,
        1,
        reading.columns * window.dilation[1] * word,
        reading.rows * window.dilation[0] * line,
        0,
        0,
        window.stride[1] * word,
        window.stride[0] * line,
    ]
    found, back = [], 0
    for (_, count), stride in zip(loops(shape), strides, strict=True):
        found.append(stride - back)
        back += (count - 1) * stride
    return [*found, window.source.pixels * word - back]  # the next image


def origin(shape: Shape) -> int:
    """The address of the first tap of an image, relative to its first word."""
    window, word = shape.window, shape.buffer.words_per_pixel
    return -(window.padding[0] * window.source.columns + window.padding[1]) * word


def _counters(shape: Shape) -> Iterator[str]:
    yield "// which step this is"
    yield "wire issue;"
    enable = "issue"
    for name, count in loops(shape):
        if count == 1:
            continue
        bits = (count - 1).bit_length()
        yield f"reg {span(bits)}{name};"
        yield f"wire {name}_end = {name} == {bits}'d{count - 1};"
        yield (
            f"always @(posedge clk) if (reset) {name} <= 0; "
            f"else if ({enable}) {name} <= {name}_end ? {bits}'d0 : {name} + {bits}'d1;"
        )
        enable += f" & {name}_end"


def _taps(shape: Shape) -> Iterator[str]:
    """The address of the first tap, and which taps of the step are inside the map."""
    n = _bits(shape)
    used = [
        (name, move) for (name, count), move in zip(loops(shape), moves(shape), strict=False) if count > 1
    ]
    mask = (2 << n) - 1
    width = n + 1
    move = f"{width}'d{moves(shape)[-1] & mask}"
    for name, by in reversed(used):
        move = f"~{name}_end ? {width}'d{by & mask} :\n        {move}"
    yield f"reg [{n}:0] tap;"
    yield f"wire [{n}:0] move = {move};"
    yield (
        f"always @(posedge clk) if (reset) tap <= {width}'d{origin(shape) & mask}; else if (issue) tap <= tap + move;"
    )
    for port, (i, j) in enumerate(_ports(shape)):
        yield f"wire inside{port} = {_inside(shape, i, j)};"


def _ports(shape: Shape) -> list[tuple[int, int]]:
    return [(i, j) for i in range(shape.reading.rows) for j in range(shape.reading.columns)]


def _inside(shape: Shape, i: int, j: int) -> str:
    """Whether the pixel (i, j) of a step is in the map: all cases in which it is not are listed."""
    window, reading = shape.window, shape.reading
    outside = []
    axes = (
        ("row", "y", i, reading.rows, 0, window.source.rows),
        ("column", "x", j, reading.columns, 1, window.source.columns),
    )
    counts = dict(loops(shape))
    for tap, position, offset, at_once, axis, size in axes:
        for k in range(window.kernel[axis] // at_once):
            at = (k * at_once + offset) * window.dilation[axis] - window.padding[axis]
            beyond = [
                p for p in range(window.positions[axis]) if not 0 <= p * window.stride[axis] + at < size
            ]
            if not beyond:
                continue
            places = []
            for p in beyond:
                terms = [_equals(tap, k, counts[tap]), _equals(position, p, counts[position])]
                places.append(" & ".join(term for term in terms if term) or "1'b1")
            outside += places
    return f"~({' | '.join(f'({case})' for case in outside)})" if outside else "1'b1"


def _equals(name: str, value: int, count: int) -> str:
    return "" if count == 1 else f"{name} == {(count - 1).bit_length()}'d{value}"


def _issue(shape: Shape) -> Iterator[str]:
    n, buffer, window = _bits(shape), shape.buffer, shape.window
    word = buffer.words_per_pixel
    line = window.source.columns * word
    yield "// a step is issued when its taps are there, and its results have room"
    there = []
    for port, (i, j) in enumerate(_ports(shape)):
        offset = (i * window.dilation[0] * line + j * window.dilation[1] * word) & ((2 << n) - 1)
        at = f"(tap + {n + 1}'d{offset})" if offset else "tap"
        yield f"wire [{n}:0] tap{port} = {at};"
        yield f"wire [{n}:0] ahead{port} = written + ~tap{port};  // written - tap - 1"
        there.append(f"(~inside{port} | ~ahead{port}[{n}])")
    counts = dict(loops(shape))
    inner = [name for name in ("part", "word", "column", "row", "pass") if counts[name] > 1]
    first = " & ".join(_equals(name, 0, counts[name]) for name in inner) or "1'b1"
    yield f"wire first = {first};"
    yield f"assign issue = may & (may_start | ~first) & {' & '.join(there)};"
    yield "assign starts = issue & first;"
    yield from _freeing(shape)


def _freeing(shape: Shape) -> Iterator[str]:
    n, window, word = _bits(shape), shape.window, shape.buffer.words_per_pixel
    names = loops(shape)
    outer = 7 if by_position(window) else 8
    ends = " & ".join(f"{name}_end" for name, count in names[: outer - 1] if count > 1) or "1'b1"
    width = n + 1
    if by_position(window):
        amount = f"{width}'d{word}"
    else:
        amounts = freed_rows(window)
        usual = max(set(amounts), key=amounts.count)
        line = window.source.columns * word
        amount = f"{width}'d{usual * line}"
        bits = max(1, (len(amounts) - 1).bit_length())
        for i, rows in enumerate(amounts):
            if rows != usual:
                amount = f"y == {bits}'d{i} ? {width}'d{rows * line} :\n        {amount}"
    yield (
        f"always @(posedge clk) if (reset) freed <= {width}'d0; else if (issue & {ends})\n"
        f"        freed <= freed + ({amount});"
    )


def _read(shape: Shape) -> Iterator[str]:
    """Two registers: of the memory, and of what is selected and masked."""
    n, buffer, reading = _bits(shape), shape.buffer, shape.reading
    one = reading.elements * buffer.edge.bits
    parts = buffer.word // reading.elements
    count = (parts - 1).bit_length()
    yield "reg issued, valid_now;"
    yield "assign valid = valid_now;"
    yield "always @(posedge clk) begin issued <= issue & ~reset; valid_now <= issued & ~reset; end"
    if parts > 1:
        yield f"reg {span(count)}chosen;"
        yield "always @(posedge clk) chosen <= part;"
    for port in range(reading.ports):
        yield f"reg [{buffer.word_bits - 1}:0] read{port};"
        yield f"always @(posedge clk) read{port} <= memory{port}[tap{port}[{n - 1}:0]];"
        taken = f"read{port}"
        if parts > 1:
            yield f"wire {span(one)}taken{port} = {chosen(f'read{port}', 'chosen', parts, one)};"
            taken = f"taken{port}"
        yield f"reg {span(one)}a{port};"
        if shape.inside or shape.zeros:
            yield f"reg was_inside{port};"
            yield f"always @(posedge clk) was_inside{port} <= inside{port};"
        if shape.zeros:
            yield f"always @(posedge clk) if (~was_inside{port}) a{port} <= 0; else a{port} <= {taken};"
        else:
            yield f"always @(posedge clk) a{port} <= {taken};"
        if shape.inside:
            yield f"reg is_inside{port};"
            yield f"always @(posedge clk) is_inside{port} <= was_inside{port};"
    ports = list(reversed(range(reading.ports)))
    yield f"assign a = {{{', '.join(f'a{port}' for port in ports)}}};"
    if shape.inside:
        yield f"assign inside = {{{', '.join(f'is_inside{port}' for port in ports)}}};"
