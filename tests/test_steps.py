"""Monotone chains in front of signs and quantisers are comparisons: random chains against their levels, to the bit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from abcost.core.interpret import FixedPoint, Floating, execute
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import Constant
from abcost.rewrite import RewriteOptions, rewrite
from strategies import FRACTION_BITS, STEP, const, graph_of

CHANNELS = 3
OPTIONS = RewriteOptions(fraction_bits=FRACTION_BITS)
_FACTORS = st.sampled_from([0.7, -1.3, 0.0, 2.0, 0.01, -0.25, 3.0])
_OFFSETS = st.sampled_from([0.0, 0.4, -2.3, 0.5, STEP, -7.0])
_SLOPES = st.sampled_from([0.3, 0.0, 0.7, 1.6])  # powers of two are shifts by then


def per_channel(draw, values):
    count = draw(st.sampled_from([1, CHANNELS]))
    return const([draw(values) for _ in range(count)]).values.reshape(1, count, 1, 1)


@st.composite
def chains(draw, ends):
    """A graph: x (whole numbers, or reals) -> up to five monotone steps -> a decision."""
    whole = draw(st.booleans())
    count = draw(st.integers(8, 40))
    shape = (1, CHANNELS, 1, 2 * count + 1)
    steps = [("root", OpKind.NEGATE, shape, ["x0"], {}, {})]
    if whole:  # clamp and round leave the whole numbers -count … count
        steps.append(
            ("root2", OpKind.FUNCTION, shape, ["root"], {"aten": "round.default", "args": [{"in": 0}]}, {})
        )
        steps.append(
            ("root3", OpKind.CLAMP, shape, ["root2"], {"min": -float(count), "max": float(count)}, {})
        )
        steps.append(("tap", OpKind.SIGN, shape, ["root3"], {"at_zero": 1}, {}))  # so that it has two readers
    last = "root3" if whole else "root"
    for number in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["scale", "bias", "prelu", "clamp", "negate"]))
        name = f"s{number}"
        factor, offset = per_channel(draw, _FACTORS), per_channel(draw, _OFFSETS)
        steps.append(
            {
                "scale": (name, OpKind.SCALE, shape, [last], {}, {"factor": Constant(factor)}),
                "bias": (name, OpKind.ADD_CONST, shape, [last], {}, {"value": Constant(offset)}),
                "prelu": (
                    name,
                    OpKind.PRELU,
                    shape,
                    [last],
                    {},
                    {"slope": Constant(per_channel(draw, _SLOPES))},
                ),
                "clamp": (
                    name,
                    OpKind.CLAMP,
                    shape,
                    [last],
                    {"min": -1.0, "max": draw(st.sampled_from([1.0, 6.0]))},
                    {},
                ),
                "negate": (name, OpKind.NEGATE, shape, [last], {}, {}),
            }[kind]
        )
        last = name
    steps += draw(ends(shape, last))
    if whole:
        steps.append(("sum", OpKind.ADD, shape, [steps[-1][0], "tap"], {}, {}))
    return graph_of(*steps, inputs=(shape,)), whole, count


@st.composite
def signs(draw, shape, last):
    kind = draw(st.sampled_from(["sign", "threshold", "compare"]))
    level = {"level": const(draw(_OFFSETS))}
    if kind == "sign":
        return [("y", OpKind.SIGN, shape, [last], {"at_zero": draw(st.sampled_from([0, 1, -1]))}, {})]
    if kind == "threshold":
        return [("y", OpKind.THRESHOLD, shape, [last], {"at_zero": draw(st.sampled_from([0, 1, -1]))}, level)]
    relation = draw(st.sampled_from(["gt", "ge", "lt", "le"]))
    return [("y", OpKind.COMPARE, shape, [last], {"relation": relation}, level)]


@st.composite
def quantisers(draw, shape, last):
    low, high = draw(st.sampled_from([(0.0, 3.0), (-2.0, 1.0), (-1.0, 1.0), (0.0, 15.0)]))
    rounded = {"aten": draw(st.sampled_from(["round.default", "floor.default"])), "args": [{"in": 0}]}
    clamp, rounding = {"min": low, "max": high}, OpKind.FUNCTION
    if draw(st.booleans()):
        return [("r", rounding, shape, [last], rounded, {}), ("y", OpKind.CLAMP, shape, ["r"], clamp, {})]
    return [("c", OpKind.CLAMP, shape, [last], clamp, {}), ("y", rounding, shape, ["c"], rounded, {})]


def inputs(whole, count, shape):
    """All whole numbers, or a fine net with the steps of the fixed-point grid around 0."""
    if whole:
        row = torch.arange(-count, count + 1, dtype=torch.float64)
    else:
        row = torch.cat(
            [torch.linspace(-9, 9, shape[-1] - 9, dtype=torch.float64), torch.arange(-4, 5) * STEP]
        )
        row = torch.round(row / STEP) * STEP
    return row.expand(shape).contiguous()


def held_to_the_bit(drawn):
    graph, whole, count = drawn
    after = rewrite(graph, Phase.LOWER, OPTIONS)
    assert after.exact
    x = inputs(whole, count, graph.node("x0").shape)
    for arithmetic in (FixedPoint(FRACTION_BITS), Floating(hardware_sign=True)):
        (old,), (new,) = (execute(g, [x], arithmetic).values() for g in (graph, after.graph))
        assert torch.equal(old, new), arithmetic
    return after.graph


@given(chains(signs))
def test_a_chain_in_front_of_a_sign_is_one_comparison(drawn):
    after = held_to_the_bit(drawn)
    left = {n.kind for n in after} & {OpKind.SCALE, OpKind.PRELU, OpKind.ADD_CONST}
    assert not left or "s0" in after  # declined: rounded constants turned it round
    assert len(after.of_kind(OpKind.SIGN, OpKind.THRESHOLD, OpKind.COMPARE)) <= 2  # the tap, too


@given(chains(quantisers))
def test_a_quantiser_is_as_many_comparisons_as_it_has_steps(drawn):
    after = held_to_the_bit(drawn)
    for node in after.of_kind(OpKind.QUANTISE):
        assert node.consts["levels"].values.shape[0] == node.attrs["levels"] - 1


def lowered(*steps, shape=(1, 2, 1, 4)):
    return rewrite(graph_of(*steps, inputs=(shape,)), Phase.LOWER, OPTIONS)


def test_levels_by_hand():
    # batch norm 0.5 * y - 1 is >= 0 from y = 2 on; -0.5 * y - 1 up to y = -2
    shape = (1, 2, 1, 4)
    after = lowered(
        (
            "s",
            OpKind.SCALE,
            shape,
            ["x0"],
            {},
            {"factor": Constant(const([0.5, -0.5]).values.reshape(1, 2, 1, 1))},
        ),
        ("b", OpKind.ADD_CONST, shape, ["s"], {}, {"value": const(-1.0)}),
        ("z", OpKind.SIGN, shape, ["b"], {"at_zero": 0}, {}),
    )
    (node,) = after.graph.of_kind(OpKind.THRESHOLD)
    assert after.graph.inputs("z") == ("x0",)
    assert node.consts["level"].real().flatten().tolist() == [2.0, -2.0]
    assert node.consts["level"].fixed.flatten().tolist() == [2.0, -2.0]
    assert node.consts["gain"].values.flatten().tolist() == [1, -1]


def test_a_channel_of_gain_0_is_constant():
    shape = (1, 2, 1, 4)
    after = lowered(
        ("s", OpKind.SCALE, shape, ["x0"], {}, {"factor": const(0.0)}),
        (
            "b",
            OpKind.ADD_CONST,
            shape,
            ["s"],
            {},
            {"value": Constant(const([0.5, -0.5]).values.reshape(1, 2, 1, 1))},
        ),
        ("z", OpKind.SIGN, shape, ["b"], {"at_zero": 0}, {}),
    )
    x = torch.linspace(-100, 100, 8, dtype=torch.float64).reshape(shape)
    for arithmetic in (FixedPoint(FRACTION_BITS), Floating(hardware_sign=True)):
        (found,) = execute(after.graph, [x], arithmetic).values()
        assert found[0, :, 0].tolist() == [[1.0] * 4, [-1.0] * 4]


@pytest.mark.parametrize("limit", [1.0, 6.0])
def test_a_clamp_that_only_a_sign_reads_goes(limit):
    shape = (1, 2, 1, 4)
    after = lowered(
        ("c", OpKind.CLAMP, shape, ["x0"], {"min": -1.0, "max": limit}, {}),
        ("z", OpKind.SIGN, shape, ["c"], {"at_zero": 0}, {}),
    )
    assert [n.kind for n in after.graph][1:-1] == [OpKind.SIGN]


def test_a_falling_prelu_stays():
    shape = (1, 2, 1, 4)
    after = lowered(
        ("p", OpKind.PRELU, shape, ["x0"], {}, {"slope": const([0.25, -0.3])}),
        ("z", OpKind.SIGN, shape, ["p"], {"at_zero": 0}, {}),
    )
    assert after.graph.inputs("z") == ("p",)


def test_a_value_that_is_read_elsewhere_stays():
    shape = (1, 2, 1, 4)
    after = lowered(
        ("s", OpKind.SCALE, shape, ["x0"], {}, {"factor": const(0.3)}),
        ("z", OpKind.SIGN, shape, ["s"], {"at_zero": 0}, {}),
        ("sum", OpKind.ADD, shape, ["s", "z"], {}, {}),
    )
    assert after.graph.inputs("z") == ("s",)
