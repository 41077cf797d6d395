"""Popcounts of the same bits against two constant words each, chosen by a flag: PE lanes whose memory has two words.

A weight is 0, 1, the flag or its inversion, so that a full adder of three products reads three bits and the flag: one
LUT4 for each output. A memory in front of a popcount would hide that from synthesis, at up to twice the LUTs.
"""

from __future__ import annotations

import hashlib

from abcost.core.bits import popcount_bits
from abcost.core.integer import popcount
from abcost.core.lazy import torch
from abcost.errors import UsageError
from abcost.rtl.forms import Each, Interpolated, Terms
from abcost.rtl.sweep import Sample, Sweep
from abcost.rtl.unit import Port, Unit, Values, flag, template
from abcost.rtl.units.constant_popcount import (
    CELL_TERMS,
    CONSTANT_LANES,
    MOST_CONSTANT,
    constant_words,
    taken,
)
from abcost.rtl.units.xnor_popcount import plain_popcount

TWO_WORD_BITS = (8, 16, 24, 32, 36)
CELL_BITS, CELL_LANES = (4, 9, 16, 36), (1, 4, 16)
HELD_TWO_WORD = ((12, 4), (20, 16), (30, 8), (18, 2))
_ON_CELLS = Terms((*CELL_TERMS, "bits * choices"))
"""As constant popcounts, and what no lane shares: each weight is chosen by the lane's own flag."""


def _sweep(*, quick: bool) -> Sweep:
    """The sweep of constant popcounts, with two random words a lane."""
    bits = TWO_WORD_BITS[::2] if quick else TWO_WORD_BITS
    grid = [(n, lanes) for n in bits for lanes in CONSTANT_LANES if n * lanes <= MOST_CONSTANT]
    samples = [
        Sample({"bits": n, "choices": lanes}, {"bits": n, "words": _pairs(n, lanes)}, out)
        for sizes, out in ((grid, False), (HELD_TWO_WORD, True))
        for n, lanes in sizes
    ]
    return Sweep(Each("choices", Interpolated("bits")), tuple(samples), cells=_on_cells())


def _on_cells() -> Sweep:
    """The sweep of constant popcounts on cells, with fewer sizes."""
    sizes = [((n, lanes), False) for n in CELL_BITS for lanes in CELL_LANES]
    sizes += [(size, True) for size in HELD_TWO_WORD]
    samples = tuple(
        Sample({"bits": n, "choices": lanes}, {"bits": n, "words": _pairs(n, lanes)}, out)
        for (n, lanes), out in sizes
    )
    return Sweep(_ON_CELLS, samples)


def _pairs(bits: int, lanes: int) -> tuple[tuple[int, int], ...]:
    first, second = (constant_words(bits, lanes, draw) for draw in range(2))
    return tuple(zip(first, second, strict=True))


@template(
    "masked_two_word_popcount",
    "two_word_popcount of `bits` inputs with a mask bit each",
    sweep=_sweep,
    stepped=True,
)
def masked_two_word_popcount(*, bits: int, words: tuple[tuple[int, int], ...]) -> Unit:
    """Two-word popcounts of those bits with m_i = 1 only."""
    return two_word_popcount(bits=bits, words=words, masked=True)


@template(
    "two_word_popcount",
    "`choices` popcounts of the same `bits` inputs, each against one of two constant words",
    sweep=_sweep,
    stepped=True,
)
def two_word_popcount(*, bits: int, words: tuple[tuple[int, int], ...], masked: bool = False) -> Unit:
    """p_l = number of i in 0 … bits - 1 in which a_i is bit i of word l of the two that flag s chooses.

    masked: of those with m_i = 1 only. Raises UsageError for words beyond `bits`.
    """
    if not words or not all(0 <= word < 1 << bits for pair in words for word in pair):
        raise UsageError(f"popcounts of {bits} bits need pairs of words from 0 to 2**{bits} - 1")
    counter = plain_popcount(bits=bits)
    width = popcount_bits(bits)
    digest = hashlib.sha256(repr((bits, words)).encode()).hexdigest()[:8]
    inside = " & m" if masked else ""
    lines = []
    for i, (low, high) in enumerate(words):
        lines += [
            f"    wire [{bits - 1}:0] same{i} = ~(a ^ (s ? {bits}'h{high:x} : {bits}'h{low:x})){inside};",
            f"    {counter.name} lane{i} (.a(same{i}), .p({taken(len(words), width, i)}));",
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
