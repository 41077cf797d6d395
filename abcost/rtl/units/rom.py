"""Parameter ROM: per-channel constants, read by channel; a register holds what was read."""

from __future__ import annotations

import hashlib

import torch

from abcost.errors import UsageError
from abcost.rtl.unit import Port, Unit, check_width, templates

BANK = 256
"""Words that four LUT6 and the multiplexers beside them hold of one bit; deeper ROMs are several, each with its
register, and a multiplexer behind them: one large table maps to up to 1.8 times as many LUTs.
"""


@templates.add("rom")
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
    """Beyond the last bank it is read, beyond the last word of a bank that word."""
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
