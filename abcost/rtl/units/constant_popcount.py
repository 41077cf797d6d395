"""Popcounts of the same bits against several constant words, side by side: what PE lanes with weights of their own are.

Synthesis takes the weights into the first counters, and lanes share what they have in common: the sum of three bits is
the same for all weights but for its inversion, its carry is one of four functions. So they are priced together.
"""

from __future__ import annotations

import hashlib

import torch

from abcost.core.integer import popcount
from abcost.core.precision import popcount_bits
from abcost.errors import UsageError
from abcost.rtl.unit import Port, Unit, Values, templates
from abcost.rtl.units.xnor_popcount import popcount_of_bits


@templates.add("constant_popcount")
def constant_popcount(*, bits: int, words: tuple[int, ...]) -> Unit:
    """p_l = number of i in 0 … bits - 1 in which a_i is bit i of word l. Raises UsageError for words beyond `bits`."""
    if not words or not all(0 <= word < 1 << bits for word in words):
        raise UsageError(f"constant popcounts of {bits} bits need words from 0 to 2**{bits} - 1")
    counter = popcount_of_bits(bits=bits)
    width = popcount_bits(bits)
    digest = hashlib.sha256(repr((bits, words)).encode()).hexdigest()[:8]
    lanes = [
        f"    {counter.name} lane{i} (.a(~(a ^ {bits}'h{word:x})), .p(p[{i * width} +: {width}]));"
        for i, word in enumerate(words)
    ]
    table = torch.tensor([[word >> i & 1 for i in range(bits)] for word in words])

    def model(v: Values) -> dict[str, torch.Tensor]:
        a = v["a"].reshape(-1, 1, bits)
        return {"p": popcount((a == table[None]).reshape(-1, bits)).reshape(len(a), len(words))}

    return Unit(
        name=f"constant_popcount_n{bits}_l{len(words)}_{digest}",
        inputs=(Port("a", 1, bits, signed=False),),
        outputs=(Port("p", width, len(words), signed=False),),
        body="\n".join(lanes),
        model=model,
        needs=(counter,),
    )
