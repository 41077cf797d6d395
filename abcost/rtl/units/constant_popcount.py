"""Popcounts of the same bits against several constant words, side by side: what PE lanes with weights of their own are.

Synthesis takes the weights into the first counters, and lanes share what they have in common: the sum of three bits is
the same for all weights but for its inversion, its carry is one of four functions. So they are priced together.
"""

from __future__ import annotations

import hashlib
import random

from abcost.core.bits import popcount_bits
from abcost.core.integer import popcount
from abcost.core.lazy import torch
from abcost.errors import UsageError
from abcost.rtl.forms import Each, Interpolated, Terms
from abcost.rtl.sweep import Sample, Sweep
from abcost.rtl.unit import Port, Unit, Values, template
from abcost.rtl.units.xnor_popcount import plain_popcount

CONSTANT_BITS = (4, 8, 9, 16, 24, 32, 36, 64)
QUICK_CONSTANT_BITS = (4, 16, 36)
CONSTANT_LANES = (1, 2, 4, 8, 16, 32, 64)
HELD_CONSTANT = ((12, 4), (18, 16), (20, 1), (30, 8), (27, 2))
CELL_BITS, QUICK_CELL_BITS = (4, 9, 16, 24, 36), (4, 16, 36)
CELL_LANES, QUICK_CELL_LANES = (1, 2, 4, 8, 16, 64), (1, 4, 16)
MOST_CONSTANT = 1200
"""Most bits times lanes that are measured but of 36 bits: larger ones take minutes each."""


DRAWS, MOST_DRAWN = 3, 300
"""Sets of words of each size, and the most bits times lanes of which there are so many: few words vary by a tenth."""


def constant_words(bits: int, lanes: int, draw: int = 0) -> tuple[int, ...]:
    """Random words, as weights of a trained layer look to synthesis."""
    generator = random.Random(f"constant {bits} {lanes}" + (f" {draw}" if draw else ""))
    return tuple(generator.getrandbits(bits) for _ in range(lanes))


def taken(lanes: int, width: int, lane: int) -> str:
    """The count of one lane in the output, which has no bits to select from where it is one bit."""
    return "p" if lanes * width == 1 else f"p[{lane * width} +: {width}]"


def _sweep(*, quick: bool) -> Sweep:
    """LUTs of a lane rise with its bits and fall with the lanes that share; priced in such groups of lanes."""
    grid = [
        (n, lanes)
        for n in (QUICK_CONSTANT_BITS if quick else CONSTANT_BITS)
        for lanes in CONSTANT_LANES
        if n * lanes <= MOST_CONSTANT or n == 36
    ]
    samples = [
        Sample({"bits": n, "choices": lanes}, {"bits": n, "words": constant_words(n, lanes, draw)}, out)
        for sizes, out in ((grid, False), (HELD_CONSTANT, True))
        for n, lanes in sizes
        for draw in range(DRAWS if n * lanes <= MOST_DRAWN else 1)
    ]
    return Sweep(Each("choices", Interpolated("bits")), tuple(samples), cells=_on_cells(quick=quick))


def _on_cells(*, quick: bool) -> Sweep:
    """Fewer sizes, for gates follow a law: lanes share the less the more bits there are."""
    bits, lanes = (QUICK_CELL_BITS, QUICK_CELL_LANES) if quick else (CELL_BITS, CELL_LANES)
    grid = [((n, count), False) for n in bits for count in lanes if n * count <= MOST_CONSTANT]
    sizes = [*grid, *((size, True) for size in HELD_CONSTANT)]
    samples = tuple(
        Sample({"bits": n, "choices": count}, {"bits": n, "words": constant_words(n, count)}, out)
        for (n, count), out in sizes
    )
    return Sweep(Terms(("max(0, bits - 4) ** 1.2 * choices ** 0.8", "choices ** 0.4")), samples)


@template(
    "constant_popcount",
    "`choices` popcounts of the same `bits` inputs, each against a constant word",
    sweep=_sweep,
    stepped=True,
)
def constant_popcount(*, bits: int, words: tuple[int, ...]) -> Unit:
    """p_l = number of i in 0 … bits - 1 in which a_i is bit i of word l. Raises UsageError for words beyond `bits`."""
    if not words or not all(0 <= word < 1 << bits for word in words):
        raise UsageError(f"constant popcounts of {bits} bits need words from 0 to 2**{bits} - 1")
    counter = plain_popcount(bits=bits)
    width = popcount_bits(bits)
    digest = hashlib.sha256(repr((bits, words)).encode()).hexdigest()[:8]
    lanes = [
        f"    {counter.name} lane{i} (.a(~(a ^ {bits}'h{word:x})), .p({taken(len(words), width, i)}));"
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
