"""Descriptions of engines: in whole numbers equal to the reference interpreter, and priced as counted by hand."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from abcost.accelerator.design.constants import levels
from abcost.accelerator.design.designer import Designer
from abcost.accelerator.design.dot import Leaf
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.design.weights import weight_words
from abcost.accelerator.folding import Folding
from abcost.core.kinds import OpKind
from abcost.cost.organisation import Unit
from abcost.emit.make import find_engine
from abcost.emit.rows import rows_of
from engine_graphs import FRACTION_BITS, Made, engine_cases
from layers import OWN_SLOPES, agrees, design_of, network, prepared

LAYERS = [
    # 64 channels in groups that padding takes whole; scale, alpha, residual, biases, RPReLU, threshold
    ("reactnet_18", "layer1.0.conv1", 4, 64),
    ("reactnet_18", "layer1.0.conv1", 8, 192),
    ("reactnet_18", "layer2.0.conv1", 1, 576),
    ("reactnet_18", "conv1", 8, 27),  # the stem: real products
    ("reactnet_18", "fc", 5, 64),  # a bias
    ("reactnet_a", "feature.1.binary_3x3", 4, 36),
    ("own", "conv1", 2, 9),
    ("own", "conv2", 8, 72),  # all weights are constants; a global pool behind it
    ("own", "conv2", 4, 9),
    ("detach", "block.conv", 3, 12),  # stride 2
    ("where", "linear", 5, 32),  # the dot product alone
]


@pytest.mark.parametrize(("name", "layer", "pe", "simd"), LAYERS)
def test_layers_of_models_equal_the_interpreter(name, layer, pe, simd):
    net = network(name)
    design = design_of(net, layer, pe=pe, simd=simd)
    assert not design.unwritten
    assert agrees(net, design, windows=32)


@given(engine_cases())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_engine_equals_the_interpreter(case):
    """Kinds, chains and foldings at random; a thousand and more were run when it was written."""
    net, pe, simd, leaf = case
    design = design_of(net, "dot", pe=pe, simd=simd, leaf=leaf)
    assume(not design.unwritten)
    assert agrees(net, design)


def test_a_wrong_weight_is_seen():
    net = network("own")
    design = design_of(net, "conv2", pe=2, simd=24)
    engine = design.engine
    weight = engine.dot.consts["weight"]
    turned = weight.values.clone()
    turned[5, 3, 1, 1] *= -1
    dot = replace(engine.dot, consts={**engine.dot.consts, "weight": replace(weight, values=turned)})
    assert agrees(net, design)
    assert not agrees(net, replace(design, engine=replace(engine, dot=dot)))


def test_levels_of_a_comparison():
    """At 2 fraction bits: the least x in steps of 1/4 from which a comparison holds, or its inverse.

    x >= 0.5 from step 2 on. Negative gain: -(x - 0.5) >= 0 is not (x >= 3 steps). Where 0 is -1: x > 0.5 from step 3
    on, and x < 0.5 is not (x >= 2 steps). A gain of 0 is a sign of 0: always, or never.
    """
    made = Made(0, (1, 3, 1, 1))
    found = {}
    for at_zero in (1, -1):
        name = made.node(
            OpKind.THRESHOLD, attrs={"at_zero": at_zero}, level=made.per_channel([0.5] * 3),
            gain=made.per_channel([2.0, -2.0, 0.0]),
        )  # fmt: skip
        found[at_zero] = levels(made.edit.draft(name), NumberFormat(8, 2), 2)
    assert found[1][:2] == [2, 3]
    assert found[1][2] < -(2**32)
    assert found[-1][:2] == [3, 2]
    assert found[-1][2] > 2**32


# What is priced


def needed(engine, fraction_bits):
    """Bits of the constants of the chain, by role: the shortest two's complement that holds every rounded value."""
    found = {"value": []}
    for work in engine.chain:
        for role, constant in work.node.consts.items():
            values = [round(v * 2**fraction_bits) for v in constant.real().flatten().tolist()]
            bits = next(n for n in range(1, 33) if all(-(2 ** (n - 1)) <= v < 2 ** (n - 1) for v in values))
            if role == "value":
                found["value"].append(bits)
            else:
                found[role] = bits
    return found


def test_units_by_hand():
    """ReActNet-18, 64 channels of 576 taps in 4 lanes of 64 taps: 9 steps, so one chain serves all four lanes.

    A step is one kernel position, inside the image or not as a whole, in 2 leaves of 32 bits.
    """
    net = network("reactnet_18")
    engine = find_engine(net.engines, "layer1.0.conv1")
    found = Counter()
    for unit in Designer(net.graph, net.number).units(engine, Folding(4, 64)):
        found[replace(unit, count=1)] += unit.count
    stored = needed(engine, fraction_bits=8)
    wanted = Counter(
        {
            Unit("xnor_popcount", 1, 1, bits=32): 4 * 2,
            Unit("register", 1, 6): 4 * 2 + 5,  # 0 … 32; the channel on its way from the first ROM to the last
            Unit("add", 1, 7): 4,  # 0 … 64
            Unit("register", 1, 7): 4,
            Unit("accumulate", 1, 10): 4,  # 0 … 576
            Unit("accumulate", 1, 4): 1,  # 0 … 9 kernel positions inside
            Unit("register", 1, 4): 4 + 1,  # they wait for the sums, and while these are shifted out
            Unit("mux", 1, 10): 4 - 1,  # sums one after another: the last one is only loaded
            Unit("register", 1, 10): 4,
            # 2p - K and the scale of the weights; alpha = 2**-2 is wiring, and so is K, 64 times the positions
            # of gates: -576 … 576 times the scale
            Unit("scale_dot", 1, 16, bits=576, gates=(Unit("product", 1, 11, bits=stored["factor"]),)): 1,
            Unit("add", 1, 16): 1 + 2,  # residual, biases
            Unit("compare", 1, 16): 1,
            # -7 … 2, of which 1 and 0 are 1 + 2 below the largest
            Unit("qprelu", 1, 16, exponents=10, choices=10, span=9, left=2, factored=0, inner=3): 1,
            Unit("register", 1, 16): 5,  # scale, residual, bias, RPReLU, bias
            Unit("rom", 1, 4, depth=64): 1,  # shift amounts 0 … 9
            # 9 steps; 16 folds * 9 steps of weights; 4 sums of a turn; 64 channels
            Unit("counter", 1, 4): 1,
            Unit("counter", 1, 8): 1,
            Unit("counter", 1, 2): 1,
            Unit("counter", 1, 6): 1,
            Unit("register", 1, 1): (
                4 * 64 + 2 * 64  # weights behind the memory's own register; activations as late as they
                + 2 + 4 + 4  # inside: up to the popcounts; first, valid: up to the accumulator
                + 5  # that the sums are complete
                + 1 + 7  # that a value comes: up to 2p - K; from there to the threshold
                + 1  # the threshold
            ),
        }
    )  # fmt: skip
    assert found == wanted + Counter(
        Unit("rom", 1, bits, depth=64) for bits in (stored["factor"], *stored["value"], stored["level"])
    )


@given(st.integers(1, 200), st.integers(2, 40))
def test_leaves_are_even_and_no_larger_than_asked(taps, most):
    """A popcount without padding: ceil(taps / most) leaves, whose sizes differ by at most one."""
    made = Made(1, (1, 1, 1, 1))
    made.stem(taps)
    made.sign()
    made.conv(2, 1, binary=True)
    assume(taps > 1)  # one bit plus or minus one is a bit
    design = design_of(made.network(), "dot", pe=1, simd=taps, leaf=Leaf(bits=most))
    sizes = [part.parameters["bits"] for part in design.sums.parts if part.op == "xnor_popcount"]
    assert sum(sizes) == taps
    assert len(sizes) == math.ceil(taps / most)
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("pe", "simd", "lanes"), [(4, 64, 1), (16, 64, 2), (64, 576, 64), (8, 1, 1), (32, 288, 16)]
)
def test_the_chain_keeps_pace_with_as_few_lanes_as_can_be(pe, simd, lanes):
    """PE sums in 576 / SIMD steps: 4 in 9, 16 in 9 (2 a step are enough, 1 is not), 64 in 1, 8 in 576, 32 in 2."""
    design = design_of(network("reactnet_18"), "layer1.0.conv1", pe=pe, simd=simd)
    assert design.lanes == lanes


# What refuses to be written


def test_several_bits_are_asked_for_where_a_chain_computes():
    made = Made(2, (1, 2, 2, 2))
    made.stem(3)
    made.sign()
    made.conv(4, 1, binary=True)
    made.sign()
    attrs = {"axes": [2, 3], "keepdim": True, "taps": 4, "whole": True}
    made.node(OpKind.MAX_POOL, "pool", attrs, (1, 4, 1, 1))
    design = design_of(made.network(), "dot", pe=1, simd=3)
    assert design.unwritten == ("pool: it computes with bits",)


# Rows by hand


def own_by_hand(fraction_bits, row, column):
    """Bits of a window with the positions inside, its residual input and its results in steps of 2**-F.

    y = prelu(bn2(conv2(sign x)) + x); bn2(c * s) = c * s * g + b, where s = mean |W| and g = gamma / sqrt(var + eps).
    Bits are channel by channel, kernel position by kernel position outside.
    """
    model, _, _ = prepared("own")
    net = network("own", fraction_bits=fraction_bits)
    grid = 2.0**fraction_bits
    weight = model.conv2.weight.detach().double()
    gain = (model.bn2.weight / torch.sqrt(model.bn2.running_var + model.bn2.eps)).detach().double()
    bias = (model.bn2.bias - model.bn2.running_mean * gain).detach().double()
    x = net.values["bn1/add_const"][0]
    bits, inside, signs = [], [], []
    for i in range(3):
        for j in range(3):
            r, c = row + i - 1, column + j - 1
            there = 0 <= r < 8 and 0 <= c < 8
            inside.append(int(there))
            bits += [int(there and float(x[k, r, c]) >= 0) for k in range(8)]
            signs += [[bool(weight[channel, k, i, j] >= 0) for channel in range(8)] for k in range(8)]
    results = []
    for channel in range(8):
        taps = [t for t in range(72) if inside[t // 8]]
        dot = sum(1 if bool(bits[t]) == signs[t][channel] else -1 for t in taps)
        scaled = dot * round(float(weight[channel].abs().mean()) * grid)  # an integer times a grid value
        normed = scaled * round(float(gain[channel]) * grid) >> fraction_bits
        residual = int(x[channel, row, column] * grid)
        total = normed + round(float(bias[channel]) * grid) + residual
        exponent = int(math.log2(OWN_SLOPES[channel]))
        bent = total if total >= 0 else total << exponent if exponent > 0 else total >> -exponent
        results.append((residual, bent))
    return bits, inside, results


def test_rows_are_the_definition_in_integers():
    """All 64 windows, 28 of which touch padding, 3 steps of 24 taps, one lane behind the sums: in Python's integers."""
    net = network("own", fraction_bits=10)
    design = design_of(net, "conv2", pe=2, simd=24)
    rows = rows_of(net.graph, net.values, design, windows=None)
    assert [work.node.kind for work in design.engine.chain] == [
        OpKind.SCALE, OpKind.SCALE, OpKind.ADD_CONST, OpKind.ADD, OpKind.SHIFT_PRELU, OpKind.SUM_POOL, OpKind.SHIFT
    ]  # fmt: skip
    assert design.lanes == 1
    assert rows.inputs["a"].shape == (64 * 3, 24)
    assert rows.inputs["inside"].shape == (64 * 3, 3)  # 8 channels are inside or outside together
    assert rows.sides["x0"].shape == (64 * 8, 1)
    sums = [0] * 8
    for row in range(8):
        for column in range(8):
            bits, inside, results = own_by_hand(10, row, column)
            window = 8 * row + column
            held = [bit for position, bit in enumerate(bits) if inside[position // 8]]
            steps = rows.inputs["a"][3 * window : 3 * window + 3].flatten().tolist()
            assert [bit for position, bit in enumerate(steps) if inside[position // 8]] == held
            assert rows.inputs["inside"][3 * window : 3 * window + 3].flatten().tolist() == inside
            assert rows.sides["x0"][8 * window : 8 * window + 8].flatten().tolist() == [x for x, _ in results]
            sums = [total + y for total, (_, y) in zip(sums, results, strict=True)]
    # the mean of 64 pixels is a shift by 6
    assert rows.expected["y0"].flatten().tolist() == [total >> 6 for total in sums]


def test_results_are_torchs_own_within_the_fixed_point_step():
    """Against the model's own forward in float64, with d = 2**-F.

    x: 27 inputs below 4 times weights off by d/2, and inputs off by d times weights below 0.2; gains below 1.6.
    y: a scale off by d/2 times 72 times a gain; a gain off by d/2 times 72 * 0.12; three cuts; slopes up to 2.
    """
    step = 2.0**-11
    model, inputs, _ = prepared("own")
    ours = network("own", width=18, fraction_bits=11).values
    ours_x, ours_y = ours["bn1/add_const"], ours["act/prelu"]
    seen = {}
    handle = model.act.register_forward_hook(lambda _m, _i, output: seen.update(y=output))
    with torch.no_grad():
        x = model.bn1(model.conv1(inputs[0].double()))
        model(inputs[0].double())
    handle.remove()
    off_x = 1.6 * (27 * 4 / 2 + 27 * 0.2 + 2) * step
    assert (ours_x - x).abs().max() < off_x
    flipped = (torch.sign(ours_x) != torch.sign(x)).any(1).double()
    whole = F.max_pool2d(flipped, 3, stride=1)[0] == 0  # windows in which rounding changed no sign
    assert whole.sum() >= 18  # of 36
    difference = (ours_y - seen["y"])[0, :, 1:7, 1:7][:, whole]
    assert difference.abs().max() < 2 * (off_x + (72 * 1.6 + 72 * 0.12) / 2 * step + 3 * step)


def test_weights_are_stored_fold_by_fold():
    """Kernel position by kernel position, channels inside; lane 0 lowest."""
    design = design_of(network("own"), "conv2", pe=2, simd=24)
    weight = prepared("own")[0].conv2.weight >= 0
    flat = weight.to(torch.int64).permute(0, 2, 3, 1).reshape(8, 72)
    rows = weight_words(design)
    assert rows.shape == (12, 48)
    for fold in range(4):
        for step in range(3):
            taps = slice(24 * step, 24 * step + 24)
            lanes = torch.cat([flat[2 * fold, taps], flat[2 * fold + 1, taps]])
            assert torch.equal(rows[3 * fold + step], lanes)


def test_the_grid_of_these_tests_is_coarse_enough_to_cut():
    """Factors and slopes of the random chains are off the grid, so that products are cut and constants rounded."""
    assert (0.3 * 2**FRACTION_BITS) % 1 != 0
