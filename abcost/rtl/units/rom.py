"""Parameter ROM: per-channel constants, read by channel."""

from __future__ import annotations

import hashlib

import torch

from abcost.errors import UsageError
from abcost.rtl.unit import Port, Unit, check_width, templates


@templates.add("rom")
def rom(*, width: int, contents: tuple[int, ...]) -> Unit:
    """data = contents[address], signed; addresses beyond the last word read the last."""
    check_width(width, least=1)
    low, high = (-(1 << (width - 1)), (1 << width) - 1)
    if len(contents) < 2 or not all(low <= word <= high for word in contents):
        raise UsageError(f"a ROM of {width} bits needs two words or more that fit, got {len(contents)}")
    bits = (len(contents) - 1).bit_length()
    mask = (1 << width) - 1
    digits = (width + 3) // 4
    cases = "".join(
        f"            {bits}'d{address}: word = {width}'h{word & mask:0{digits}x};\n"
        for address, word in enumerate(contents[:-1])
    )
    table = torch.tensor([*contents, *[contents[-1]] * (2**bits - len(contents))])
    digest = hashlib.sha256(repr((width, contents)).encode()).hexdigest()[:8]
    return Unit(
        name=f"rom_w{width}_d{len(contents)}_{digest}",
        inputs=(Port("address", bits, signed=False),),
        outputs=(Port("data", width),),
        body=(
            f"    reg [{width - 1}:0] word;\n"
            "    always @* begin\n        case (address)\n"
            f"{cases}"
            f"            default: word = {width}'h{contents[-1] & mask:0{digits}x};\n"
            "        endcase\n    end\n    assign data = word;"
        ),
        model=lambda v: {"data": table[v["address"]]},
    )
