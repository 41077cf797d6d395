"""Parameter ROM: per-channel constants, read by channel; a register holds what was read."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

from abcost.core.lazy import torch
from abcost.errors import UsageError
from abcost.rtl.forms import Curve, Pieces, Terms
from abcost.rtl.sweep import DelaySweep, Sample, Sweep, marked
from abcost.rtl.unit import Port, Unit, check_width, template

BANK = 256
"""Words that four LUT6 and the multiplexers beside them hold of one bit; deeper ROMs are several, each with its
register, and a multiplexer behind them: one large table maps to up to 1.8 times as many LUTs.
"""

MOST_BITS = 32
"""Widest that is measured; wider memories are several side by side."""

DEPTHS = (2, 3, 4, 5, 6, 8, 12, 16, 32, 64, 96, 128, 192, 256, 320, 512, 640, 1024)
HELD_DEPTHS = (7, 10, 28, 56, 112, 232, 448, 900)
SMALL = 8
QUICK_DEPTHS = (2, 4, 8, 16, 64, 128, 256)
QUICK_HELD_DEPTHS = (28, 112)
CELL_DEPTHS = (2, 3, 4, 6, 8, 12, 16, 32, 64, 128, 256, 512, 1024)
DRAWN_BITS, MOST_DRAWS, QUICK_DRAWS = 384, 6, 3
"""What gates make of few random bits is a matter of luck: so many bits of contents are drawn, and their mean taken."""


def random_words(bits: int, depth: int, draw: int = 0) -> tuple[int, ...]:
    """Random words; of a small ROM, words whose columns are neither equal nor inverted, as far as there are so many.

    draw: which of several contents of one size; 0 is what FPGAs are measured with.
    """
    generator = random.Random(f"{depth} {bits} {draw}" if draw else f"{depth} {bits}")
    if depth > SMALL:
        return tuple(generator.randrange(-(1 << (bits - 1)), 1 << (bits - 1)) for _ in range(depth))
    if draw:
        return _words(_drawn_columns(bits, depth, generator), bits, depth)
    columns = [
        1 + 11 * i % ((1 << depth - 1) - 1) for i in range(bits)
    ]  # 11 divides no 2**(depth - 1) - 1 up to there
    return _words(columns, bits, depth)


def _drawn_columns(bits: int, depth: int, generator: random.Random) -> list[int]:
    """Columns of a small ROM in random order, each once before any comes again."""
    every = list(range(1, 1 << depth - 1))  # none is constant, and none the complement of another
    found: list[int] = []
    while len(found) < bits:
        found += generator.sample(every, min(len(every), bits - len(found)))
    return found


def _words(columns: Sequence[int], bits: int, depth: int) -> tuple[int, ...]:
    """Signed words whose bit i is columns[i]."""
    words = [sum((column >> row & 1) << i for i, column in enumerate(columns)) for row in range(depth)]
    return tuple(word - (word >> (bits - 1) << bits) for word in words)


def _sample(width: int, depth: int, *, out: bool) -> Sample:
    size = {"width": width, "depth": depth}
    return Sample(size, {"width": width, "contents": random_words(width, depth)}, out)


def _on_cells(*, quick: bool) -> Sweep:
    """Gates share between columns and between words: of random bits they take about their number to the power 0.87.

    Beside them stand the registers, one for each bit and bank, as far as columns differ; then the multiplexer.
    """
    depths = marked(QUICK_DEPTHS, QUICK_HELD_DEPTHS) if quick else marked(CELL_DEPTHS, HELD_DEPTHS)
    widths = (1, 8, 32) if quick else (1, 2, 4, 8, 16, 32)
    most = QUICK_DRAWS if quick else MOST_DRAWS
    samples = [
        Sample({"width": width, "depth": depth}, {"width": width, "contents": contents}, out)
        for depth, out in depths
        for width in widths
        for contents in _drawn(width, depth, most)
    ]
    distinct = "min(width, 2 ** min(depth - 1, 9) - 1)"
    terms = (f"{distinct} * ceil(depth / {BANK})", f"({distinct} * depth) ** 0.87", "depth", "1")
    return Sweep(Terms(terms), tuple(samples), drawn=True)


def _drawn(width: int, depth: int, most: int) -> list[tuple[int, ...]]:
    """Contents of one size: one where it has many bits, or all columns that there are; else up to `most`."""
    every = width >= (1 << depth - 1) - 1
    draws = 1 if every else max(1, min(most, DRAWN_BITS // (width * depth)))
    first = 1 if depth <= SMALL else 0
    return list(dict.fromkeys(random_words(width, depth, first + i) for i in range(draws)))


def _sweep(*, quick: bool) -> Sweep:
    """The sweep from 1 bit to words of 32. One LUT6 holds 64 words of a bit; LUT4s and cells select word by word."""
    depths = marked(QUICK_DEPTHS, QUICK_HELD_DEPTHS) if quick else marked(DEPTHS, HELD_DEPTHS)
    widths = (1, 8, 32) if quick else (1, 2, 4, 8, 16, 32)
    samples = [_sample(width, depth, out=out) for depth, out in depths for width in widths]
    banks, rest = f"ceil(depth / {BANK})", f"(depth - {BANK} * floor(depth / {BANK}))"  # see the template
    blocks = f"4 * floor(depth / {BANK}) + min(1, {rest}) * 2 ** ceil(log2(max(1, {rest} / 64)))"  # of one LUT6 per bit
    forms = (
        Terms(("min(width, 2 ** min(depth - 1, 9) - 1)",)),  # so many columns differ
        Terms((f"width * ({blocks} + min(1, {banks} - 1))",)),
        Terms((f"width * {banks}", f"ceil(log2({banks}))")),
        Terms(("width", "1")),
        Terms(("width * 2 ** ceil(log2(depth))", "width", "1")),
        Terms(("width * depth", "width", "1")),
    )
    return Sweep(Pieces("depth", forms, covering=True), tuple(samples), cells=_on_cells(quick=quick))


def _delays(dsp: int, *, quick: bool) -> DelaySweep:
    """Words in LUTs, whose own registers are behind them: address register -> LUTs -> register.

    Of 16 bits: narrow ones are faster (1 bit of 256 words 4.7 instead of 7.2 ns, mapped for area), wider ones
    read more columns side by side with the same address.
    """
    del dsp
    depths = marked((2, 16, 256), (64,)) if quick else marked((2, 8, 16, 32, 256, 512, 1024), (64,))
    on_cells = marked(QUICK_DEPTHS, QUICK_HELD_DEPTHS) if quick else marked(CELL_DEPTHS, HELD_DEPTHS)
    cells = tuple(
        Sample({"width": 16, "depth": depth}, {"width": 16, "contents": contents}, out)
        for depth, out in on_cells
        for contents in _drawn(16, depth, QUICK_DRAWS if quick else MOST_DRAWS)
    )
    of = tuple(_sample(16, depth, out=out) for depth, out in depths)
    return DelaySweep(Curve("depth"), of, DelaySweep(Curve("depth"), cells))


@template("rom", "`depth` words of width bits, in LUTs or gates", sweep=_sweep, delays=_delays, in_luts=True)
def rom(*, width: int, contents: tuple[int, ...]) -> Unit:
    """data = contents[address], signed, from the next clock edge on. Beyond the last word some word is read."""
    check_width(width, least=1)
    low, high = (-(1 << (width - 1)), (1 << width) - 1)
    if len(contents) < 2 or not all(low <= word <= high for word in contents):
        raise UsageError(f"a ROM of {width} bits needs two words or more that fit, got {len(contents)}")
    bits = (len(contents) - 1).bit_length()
    table = torch.tensor([_word(contents, address) for address in range(2**bits)])
    digest = hashlib.sha256(repr((width, contents)).encode()).hexdigest()[:8]
    return Unit(
        name=f"rom_w{width}_d{len(contents)}_{digest}",
        inputs=(Port("address", bits, signed=False),),
        outputs=(Port("data", width),),
        body=_body(width, bits, contents),
        model=lambda v: {"data": table[v["address"]]},
        clocked=True,
    )


def _word(contents: tuple[int, ...], address: int) -> int:
    """The word at an address: beyond the last bank that bank is read, beyond the last word of a bank that word."""
    start = min(address // BANK, (len(contents) - 1) // BANK) * BANK
    return contents[min(start + address % BANK, len(contents) - 1)]


def _body(width: int, bits: int, contents: tuple[int, ...]) -> str:
    banks = [contents[i : i + BANK] for i in range(0, len(contents), BANK)]
    low = min(bits, (BANK - 1).bit_length())
    lines = [
        _bank(f"bank{i}", bank, width, "address" if bits == low else f"address[{low - 1}:0]", low)
        for i, bank in enumerate(banks)
    ]
    chosen = f"bank{len(banks) - 1}"
    if len(banks) > 1:
        lines.append(
            f"    reg [{bits - low - 1}:0] chosen;\n"
            f"    always @(posedge clk) chosen <= address[{bits - 1}:{low}];"
        )
        for i in reversed(range(len(banks) - 1)):
            chosen = f"chosen == {i} ? bank{i} : {chosen}"
    return "\n".join([*lines, f"    assign data = {chosen};"])


def _bank(name: str, words: tuple[int, ...], width: int, address: str, bits: int) -> str:
    """All words that the address can name, for a table with an end maps to a comparison beside it.

    In logic by its attribute: from about 2,060 bits on Yosys would take a block of RAM, which is not what is priced.
    """
    mask, digits = (1 << width) - 1, (width + 3) // 4
    every = (*words, *(words[-1:] * ((1 << bits) - len(words))))
    cases = "".join(
        f"            {bits}'d{i}: {name} <= {width}'h{word & mask:0{digits}x};\n"
        for i, word in enumerate(every)
    )
    return (
        f"    reg [{width - 1}:0] {name};\n"
        f'    always @(posedge clk)\n        (* rom_style = "logic" *) case ({address})\n{cases}        endcase'
    )
