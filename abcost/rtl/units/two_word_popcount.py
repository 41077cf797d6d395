"""Popcounts of the same bits against two constant words each, chosen by a flag: PE lanes whose memory has two words.

A weight is 0, 1, the flag or its inversion, so that a full adder of three products reads three bits and the flag: one
LUT4 for each output. A memory in front of a popcount would hide that from synthesis, at up to twice the LUTs.
"""

from __future__ import annotations

import hashlib

import torch

from abcost.core.integer import popcount
from abcost.core.precision import popcount_bits
from abcost.errors import UsageError
from abcost.rtl.unit import Port, Unit, Values, flag, templates
from abcost.rtl.units.xnor_popcount import popcount_of_bits


@templates.add("two_word_popcount")
def two_word_popcount(*, bits: int, words: tuple[tuple[int, int], ...], masked: bool = False) -> Unit:
    """p_l = number of i in 0 … bits - 1 in which a_i is bit i of word l of the two that flag s chooses.

    masked: of those with m_i = 1 only. Raises UsageError for words beyond `bits`.
    """
    if not words or not all(0 <= word < 1 << bits for pair in words for word in pair):
        raise UsageError(f"popcounts of {bits} bits need pairs of words from 0 to 2**{bits} - 1")
    counter = popcount_of_bits(bits=bits)
    width = popcount_bits(bits)
    digest = hashlib.sha256(repr((bits, words)).encode()).hexdigest()[:8]
    inside = " & m" if masked else ""
    lines = []
    for i, (low, high) in enumerate(words):
        lines += [
            f"    wire [{bits - 1}:0] same{i} = ~(a ^ (s ? {bits}'h{high:x} : {bits}'h{low:x})){inside};",
            f"    {counter.name} lane{i} (.a(same{i}), .p(p[{i * width} +: {width}]));",
        ]
    table = torch.tensor([[[word >> i & 1 for i in range(bits)] for word in pair] for pair in words])

    def model(v: Values) -> dict[str, torch.Tensor]:
        chosen = table[:, v["s"].reshape(-1).long()].transpose(0, 1)
        same = v["a"].reshape(-1, 1, bits) == chosen
        if masked:
            same &= v["m"].reshape(-1, 1, bits) == 1
        return {"p": popcount(same.reshape(-1, bits)).reshape(len(v["a"]), len(words))}

    masks = (Port("m", 1, bits, signed=False),) if masked else ()
    return Unit(
        name=f"two_word_popcount{'_masked' * masked}_n{bits}_l{len(words)}_{digest}",
        inputs=(Port("a", 1, bits, signed=False), flag("s"), *masks),
        outputs=(Port("p", width, len(words), signed=False),),
        body="\n".join(lines),
        model=model,
        needs=(counter,),
    )
