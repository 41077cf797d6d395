"""Parameter ROM: per-channel constants, read by channel."""

from __future__ import annotations

import hashlib

import torch

from abcost.errors import UsageError
from abcost.rtl.unit import Port, Unit, check_width, templates

BLOCK = 64  # words that one LUT6 holds of one bit


@templates.add("rom")
def rom(*, width: int, contents: tuple[int, ...]) -> Unit:
    """data = contents[address], signed; an address beyond the last word reads some word."""
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
    )


def _word(contents: tuple[int, ...], address: int) -> int:
    """Beyond the last block its twin is read, beyond the last word of a block that word."""
    start = min(address // BLOCK, (len(contents) - 1) // BLOCK) * BLOCK
    return contents[min(start + address % BLOCK, len(contents) - 1)]


def _body(width: int, bits: int, contents: tuple[int, ...]) -> str:
    """Blocks of 64 words, and a multiplexer tree over the blocks: one LUT6 per bit and block."""
    blocks = [contents[i : i + BLOCK] for i in range(0, len(contents), BLOCK)]
    live = [f"block{i}" for i in range(len(blocks))]
    lines = [_block(name, block, width, bits) for name, block in zip(live, blocks, strict=True)]
    live += [live[-1]] * ((1 << (len(live) - 1).bit_length()) - len(live))
    level = 0
    while len(live) > 1:
        select = f"address[{(BLOCK - 1).bit_length() + level}]"
        level += 1
        merged = []
        for i in range(0, len(live), 2):
            if live[i] != live[i + 1]:
                name = f"m{level}_{i // 2}"
                lines.append(f"    wire [{width - 1}:0] {name} = {select} ? {live[i + 1]} : {live[i]};")
                merged.append(name)
            else:
                merged.append(live[i])
        live = merged
    return "\n".join([*lines, f"    assign data = {live[0]};"])


def _block(name: str, words: tuple[int, ...], width: int, bits: int) -> str:
    low = min(bits, (BLOCK - 1).bit_length())
    mask, digits = (1 << width) - 1, (width + 3) // 4
    cases = "".join(
        f"            {low}'d{address}: {name} = {width}'h{word & mask:0{digits}x};\n"
        for address, word in enumerate(words[:-1])
    )
    span = f"[{low - 1}:0]" if bits > 1 else ""
    return (
        f"    reg [{width - 1}:0] {name};\n"
        f"    always @* begin\n        case (address{span})\n"
        f"{cases}"
        f"            default: {name} = {width}'h{words[-1] & mask:0{digits}x};\n"
        "        endcase\n    end"
    )
