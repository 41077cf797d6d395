"""Initialised memory with one read port: the weights of an engine."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from abcost.core.lazy import torch
from abcost.errors import UsageError
from abcost.rtl.forms import Factors
from abcost.rtl.sweep import DelaySweep, Sample
from abcost.rtl.unit import Port, Unit, template
from abcost.rtl.units.rom import BANK, MOST_BITS, random_words, rom

STYLES = {"block": "block", "lutram": "logic", "rom": "logic"}
"""Where a memory goes (`rom`: into gates) -> the value of the synthesis attributes `rom_style` and `ram_style`.

To Yosys "distributed" is RAM of LUTs, which holds nothing at the start: an error for what is never written.
"""


MOST_SHARING = 16
"""Words of which two bits may be alike by chance; with more, no two bits of random weights are."""
GROUP = 16
"""Bits of one table in LUTs: Yosys shares LUTs among the bits of wide tables of many words, and takes more of them, not
fewer: 256 bits of 64 words 6.5 LUT4 a bit on ECP5 as one table, 4.1 in groups of 16 (Yosys 0.70, mapped for area).
"""


@template("memory", "`depth` words of width bits, initialised, with one read port")
def memory(*, bits: int, words: tuple[int, ...], place: str = "block", file: str = "") -> Unit:
    """data = words[address], one bit each at data[i], from the next clock edge on.

    words: unsigned, `bits` bits; file: hexadecimal, one word a line, from which the Verilog is initialised (default:
    named after its contents). Raises UsageError for a place that is none, or words that do not fit.
    """
    if place not in STYLES:
        raise UsageError(f"a memory is placed in {' or '.join(STYLES)}, got {place}")
    if len(words) < 2 or not all(0 <= word < 1 << bits for word in words):
        raise UsageError(f"a memory of {bits} bits needs two words or more that fit, got {len(words)}")
    digest = hashlib.sha256(repr((bits, words)).encode()).hexdigest()[:8]
    address = (len(words) - 1).bit_length()
    table = torch.tensor([[word >> i & 1 for i in range(bits)] for word in words], dtype=torch.int64)
    unit = Unit(
        name=f"memory_b{bits}_d{len(words)}_{digest}",
        inputs=(Port("address", address, signed=False),),
        outputs=(Port("data", 1, bits, signed=False),),
        body="",
        model=lambda v: {"data": table[v["address"]]},
        clocked=True,
        protocol=lambda rows: {"address": rows["address"] % len(words)},
    )
    if place == "rom":
        return _in_groups(unit, bits, words, MOST_BITS)
    if place == "lutram" and len(words) > MOST_SHARING:
        whole = len(words) // BANK * BANK
        return _in_groups(unit, bits, words[:whole] + _repeated(words[whole:]), GROUP)
    name, style = file or f"memory_{digest}.hex", STYLES[place]
    return replace(
        unit,
        body=(
            f'    (* rom_style = "{style}", ram_style = "{style}" *) reg [{bits - 1}:0] words [0:{len(words) - 1}];\n'
            f"    reg [{bits - 1}:0] read;\n"
            f'    initial $readmemh("{name}", words);\n'
            "    always @(posedge clk) read <= words[address];\n"
            "    assign data = read;"
        ),
        files={name: hex_file(bits, words)},
    )


def _in_groups(unit: Unit, bits: int, words: tuple[int, ...], group: int) -> Unit:
    """The unit made of tables of `group` bits that synthesis keeps apart, each with its own register."""
    tables, lines = {}, []
    for low in range(0, bits, group):
        width = min(group, bits - low)
        table = rom(width=width, contents=tuple(word >> low & (1 << width) - 1 for word in words))
        tables[table.name] = replace(table, keep=True)
        place = f"data[{low + width - 1}:{low}]" if bits > 1 else "data"
        lines.append(f"    {table.name} bits{low} (.clk(clk), .address(address), .data({place}));")
    return replace(unit, body="\n".join(lines), needs=tuple(tables.values()))


def _repeated(words: tuple[int, ...]) -> tuple[int, ...]:
    """All words that an address names: what exceeds a power of two is repeated, so that it needs no further bits."""
    if len(words) < 2:
        return words
    half = 1 << ((len(words) - 1).bit_length() - 1)
    rest = _repeated(words[half:])
    return words[:half] + rest * (half // len(rest))


def hex_file(bits: int, words: tuple[int, ...]) -> str:
    """The text of the file from which the Verilog is initialised."""
    digits = (bits + 3) // 4
    return "".join(f"{word:0{digits}x}\n" for word in words)


def _delays(dsp: int, *, quick: bool) -> DelaySweep:
    """Delays of one block to eight, side by side and behind each other."""
    del dsp
    sizes = [(8, 512), (16, 1024), (8, 4096)]
    sizes += [] if quick else [(2, 2048), (36, 512), (64, 512), (8, 2048), (16, 4096)]
    samples = [
        Sample(
            {"width": w, "depth": d},
            {"bits": w, "words": tuple(word % (1 << w) for word in random_words(w, d))},
            (w, d) == (8, 2048),
        )
        for w, d in sizes
    ]
    return DelaySweep(Factors(("log2(width)", "log2(depth)", "1")), tuple(samples))


@template(
    "block_read",
    "read of a block RAM, `depth` words of width bits: from its clock to a register",
    delays=_delays,
)
def block_read(*, bits: int, words: tuple[int, ...]) -> Unit:
    """A memory in blocks of RAM."""
    return memory(bits=bits, words=words, place="block")
