"""Weights as stored signed digits: decoded by hand they are the weights, digit by digit."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.design.signed_digits import digit_words, digits_of
from abcost.accelerator.engine_memory import memories, stored_word, weight_word
from abcost.accelerator.folding import Folding
from abcost.errors import UsageError
from engine_graphs import FRACTION_BITS, WIDTH, Made


def digits_engine(seed=0, channels=4, taken=2, kernel=2):
    made = Made(seed, (1, 2, 3, 3))
    made.stem(taken)
    made.conv(channels, kernel, binary=False, digits=True)
    net = made.network()
    return net, net.engines[1]


def decoded(code, word):
    """What a stored digit says, place by place: a code counts down from the highest place, four are an index."""
    places = list(range(word))
    bits = (len(places) - 1).bit_length()
    place, plus, there = code & (1 << bits) - 1, code >> bits & 1, code >> (bits + 1) & 1
    at = place if len(places) <= 4 else places[-1] - place
    return there * (1 if plus else -1) * 2**at


@given(st.integers(0, 200))
def test_the_digits_of_a_weight_add_up_to_it(seed):
    net, engine = digits_engine(seed)
    word = weight_word(engine, net.number)
    codes = digit_words(engine, net.number, word)
    assert codes.shape == (engine.digits, *engine.dot.consts["weight"].values.shape)
    for i, weight in enumerate(engine.dot.consts["weight"].values.flatten().tolist()):
        digits = [decoded(int(code), word) for code in codes.flatten(1)[:, i]]
        assert sum(digits) == Fraction(weight) * 2**FRACTION_BITS


def test_a_digit_takes_its_place_sign_and_presence():
    # 9-bit weights have digits at places 0 to 8: 4 bits of code
    assert digits_of(9).bits == 4 + 2
    assert digits_of(4).bits == 2 + 2  # 0 to 3


def test_the_memory_holds_every_digit():
    """4 channels of 8 taps in 2 x 4 lanes are 4 words of 8 weights; each digit has a word of its own."""
    net, engine = digits_engine()
    (stored,) = [m for m in memories(engine, Folding(2, 4), net.graph, net.number) if m.role == "weights"]
    assert (stored.width, stored.depth) == (8 * stored_word(engine, net.number), 4 * engine.digits)
    assert stored_word(engine, net.number) == digits_of(weight_word(engine, net.number)).bits


def test_cycles_are_those_of_every_digit():
    _, engine = digits_engine()
    assert engine.cycles(2, 4) == engine.positions * (4 // 2) * (8 // 4) * engine.digits


def test_a_format_at_which_a_weight_has_more_digits_is_refused():
    """0.75 at 6 fraction bits is 48 = 64 - 16; rounded to other bits a weight may have more than the layer was told."""
    _, engine = digits_engine()
    few = replace(engine, digits=1, words={})
    number = NumberFormat(WIDTH, FRACTION_BITS)
    with pytest.raises(UsageError, match="has more than 1 signed digits at 6 fraction bits"):
        digit_words(few, number, weight_word(few, number))
