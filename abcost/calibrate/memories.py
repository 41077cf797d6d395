"""Memories that only a clock is measured of: what they cost is counted in blocks, not in LUTs."""

from __future__ import annotations

import torch

from abcost.rtl.unit import Port, Unit, Values, check_width, flag


def block_read(*, width: int, depth: int) -> Unit:
    """A memory in block RAM of `depth` words: one port writes, the other reads; data is there a clock later.

    It is written between a read and the next, for a memory that nobody writes might not become a block RAM.
    """
    check_width(width, least=1)
    bits = (depth - 1).bit_length()

    def model(values: Values) -> dict[str, torch.Tensor]:
        kept, rows = dict.fromkeys(range(1 << bits), 0), []
        for address, at, word, store in zip(
            *(values[name].tolist() for name in ("address", "at", "word", "store")), strict=True
        ):
            rows.append(kept[address])  # the old word, where both are the same
            if store:
                kept[at] = word
        return {"data": torch.tensor(rows)}

    return Unit(
        name=f"block_read_w{width}_d{depth}",
        inputs=(
            Port("address", bits, signed=False),
            Port("at", bits, signed=False),
            Port("word", width, signed=False),
            flag("store"),
        ),
        outputs=(Port("data", width, signed=False),),
        body=(
            f'    (* ram_style = "block" *) reg [{width - 1}:0] memory [0:{depth - 1}];\n'
            f"    reg [{width - 1}:0] read;\n"
            "    always @(posedge clk) begin\n"
            "        if (store) memory[at] <= word;\n"
            "        read <= memory[address];\n"
            "    end\n"
            "    assign data = read;"
        ),
        model=model,
        clocked=True,
    )
