"""Slopes, scales, pools and constants as shifts and adds."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from abcost.classify import tally
from abcost.core.adders.of_node import in_adders
from abcost.core.interpret import FixedPoint, execute
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.rewrite import RewriteOptions
from rewriting import (
    EXACT,
    SHAPE,
    assert_equal_values,
    binary_conv,
    edge_values,
    fired,
    kinds,
    near,
    reason,
    through,
)
from strategies import STEP, traced

# slopes


def quantised(slopes):
    graph = traced(lambda m, x: F.prelu(x, m.slope), SHAPE, slope=nn.Parameter(torch.tensor(slopes)))
    after, log = through(graph, Phase.ROUND_SLOPES, Phase.QUANTISE_SLOPES)
    return graph, after, log


def test_slopes_that_are_powers_of_two_are_exact_shifts():
    before, after, log = quantised([0.125, 2.0])
    assert kinds(after) == ["shift_prelu"]
    assert after.of_kind(OpKind.SHIFT_PRELU)[0].consts["exponent"].values.flatten().tolist() == [-3, 1]
    assert all(entry.exact and entry.error is None for entry in log)
    assert_equal_values(before, after)


def test_other_positive_slopes_are_rounded_and_the_error_is_said():
    _, after, log = quantised([0.3, 0.25])
    # log2(0.3) = -1.74 -> -2
    assert after.of_kind(OpKind.SHIFT_PRELU)[0].consts["exponent"].values.flatten().tolist() == [-2, -2]
    rounding, shifting = log
    assert (rounding.rule, rounding.exact, shifting.rule, shifting.exact) == (
        "round-slopes", False, "quantise-slopes", True,
    )  # fmt: skip
    assert rounding.error == pytest.approx(0.3 - 0.25)
    assert rounding.error_unit == "largest |slope - 2**e|"


def test_slopes_that_were_not_rounded_stay():
    graph = traced(lambda m, x: F.prelu(x, m.slope), SHAPE, slope=nn.Parameter(torch.tensor([0.3, 0.25])))
    after, log = through(graph, Phase.QUANTISE_SLOPES)
    assert kinds(after) == ["prelu"]
    assert reason(log, "quantise-slopes") == "slopes are no powers of two"


@pytest.mark.parametrize(("slopes", "count"), [([0.0, 0.25], 1), ([-0.1, -0.25], 2)])
def test_slopes_that_are_not_positive_stay(slopes, count):
    _, after, log = quantised(slopes)
    assert kinds(after) == ["prelu"]
    assert reason(log, "quantise-slopes") == f"{count} of 2 slopes are not positive and have no power of two"


# lowering


def lowered(function, *shapes, options=EXACT, **members):
    graph, _ = through(traced(function, *(shapes or (SHAPE,)), **members), Phase.RECOGNISE)
    after, log = through(graph, Phase.ROUND_SCALES, Phase.LOWER, options=options)
    return graph, after, log


@pytest.mark.parametrize(
    ("factor", "exponents"), [(0.25, [-2]), (4.0, [2]), (torch.tensor([[[0.5]], [[8.0]]]), [-1, 3])]
)
def test_powers_of_two_are_shifts(factor, exponents):
    before, after, _ = lowered(lambda m, x: factor * x)
    assert kinds(after) == ["shift"]
    assert after.of_kind(OpKind.SHIFT)[0].consts["exponent"].values.flatten().tolist() == exponents
    assert_equal_values(before, after)


@pytest.mark.parametrize(
    ("factor", "count"),
    [(0.3, "1 of 1"), (-0.5, "1 of 1"), (0.0, "1 of 1"), (torch.tensor([[[0.5]], [[0.3]]]), "1 of 2")],
)
def test_other_scales_stay_multiplications(factor, count):
    _, after, log = lowered(lambda m, x: factor * x)
    assert kinds(after) == ["scale"]
    assert reason(log, "scale-to-shift") == f"{count} factors are no power of two: stays a multiplication"


def test_weight_scales_are_rounded_on_request_only():
    options = RewriteOptions(weight_scale="po2")
    _, after, log = lowered(
        lambda m, x: 0.3 * m.conv(x.sign()), conv=binary_conv([0.3, 0.5, 0.9]), options=options
    )
    assert kinds(after) == ["sign", "conv", "shift", "scale"]
    # log2: -1.74, -1, -0.15 -> -2, -1, 0; largest relative change: 0.25/0.3 - 1 = -1/6
    assert after.of_kind(OpKind.SHIFT)[0].consts["exponent"].values.flatten().tolist() == [-2, -1, 0]
    rounding, shifting = [entry for entry in log if entry.fired]
    assert (rounding.rule, rounding.exact, shifting.rule, shifting.exact) == (
        "round-weight-scales", False, "scale-to-shift", True,
    )  # fmt: skip
    assert rounding.error == pytest.approx(1 / 6, abs=1e-6)
    _, kept, _ = lowered(lambda m, x: m.conv(x.sign()), conv=binary_conv([0.3, 0.5, 0.9]))
    assert kinds(kept) == ["sign", "conv", "scale"]


def test_weight_scales_that_are_not_positive_cannot_be_rounded():
    conv = binary_conv([0.3, 0.0, 0.9])
    _, after, log = lowered(
        lambda m, x: m.conv(x.sign()), conv=conv, options=RewriteOptions(weight_scale="po2")
    )
    assert kinds(after) == ["sign", "conv", "scale"]
    assert (
        reason(log, "round-weight-scales") == "a weight scale is not positive and has no power of two near it"
    )


@pytest.mark.parametrize(("kernel", "by"), [(2, -2), (4, -4), ((1, 2), -1), (1, 0)])
def test_pools_of_two_to_the_k_taps_are_sums_and_shifts(kernel, by):
    before, after, _ = lowered(lambda m, x: F.avg_pool2d(x, kernel))
    assert kinds(after) == ["sum_pool", "shift"]
    assert int(after.of_kind(OpKind.SHIFT)[0].consts["exponent"].values) == by
    assert_equal_values(before, after)


def test_padding_counts_as_taps_of_zero():
    before, after, _ = lowered(lambda m, x: F.avg_pool2d(x, 2, stride=1, padding=1))
    assert kinds(after) == ["sum_pool", "shift"]
    assert_equal_values(before, after)


def test_forty_nine_taps_are_no_shift():
    _, after, log = lowered(lambda m, x: F.avg_pool2d(x, 7), (1, 2, 14, 14))
    assert kinds(after) == ["avg_pool"]
    assert (
        reason(log, "pool-to-shift")
        == "49 taps is not a power of two: 1/49 must go into the next layer or stay"
    )
    assert (
        reason(log, "fold-global-pool")
        == "no linear layer of its own follows to take in 1/49: stays a multiplication"
    )


def test_the_global_pool_goes_into_the_classifier():
    before, after, log = lowered(
        lambda m, x: m.fc(F.adaptive_avg_pool2d(x, 1).flatten(1)), (1, 2, 7, 7), fc=nn.Linear(2, 3)
    )
    assert kinds(after) == ["sum_pool", "wiring", "linear"]
    assert after.of_kind(OpKind.LINEAR)[0].attrs["divisor"] == 49
    assert fired(log) == ["fold-global-pool"]
    x = [edge_values((1, 2, 7, 7))]
    (old,), (new,) = execute(before, x, FixedPoint(12)).values(), execute(after, x, FixedPoint(12)).values()
    assert torch.equal(old, new)
    near(before, after, x[0])


def pool_read_twice(m, x):
    pooled = x.mean((2, 3))
    return m.fc(pooled) + pooled.sum()


GLOBAL_POOLS_THAT_STAY = {
    "read twice": pool_read_twice,
    "linear is binary": lambda m, x: F.linear(x.mean((2, 3)), torch.tensor([[1.0, -1.0], [1.0, 1.0]])),
    "nonlinear in between": lambda m, x: m.fc(F.relu(x.mean((2, 3)))),
    "concatenated with a constant": lambda m, x: m.wide(torch.cat([x.mean((2, 3)), torch.ones(1, 1)], 1)),
    "padded with a constant": lambda m, x: m.wide(F.pad(x.mean((2, 3)), (0, 1), value=0.5)),
}


@pytest.mark.parametrize("name", sorted(GLOBAL_POOLS_THAT_STAY))
def test_global_pools_that_stay(name):
    before, after, log = lowered(
        GLOBAL_POOLS_THAT_STAY[name], (1, 2, 3, 3), fc=nn.Linear(2, 3), wide=nn.Linear(3, 3)
    )
    assert "avg_pool" in kinds(after)
    assert reason(log, "fold-global-pool").endswith("take in 1/9: stays a multiplication")
    assert_equal_values(before, after)


def test_padding_with_zeros_is_no_obstacle():
    before, after, _ = lowered(
        lambda m, x: m.fc(F.pad(x.mean((2, 3)), (0, 1))), (1, 2, 3, 3), fc=nn.Linear(3, 3)
    )
    assert "avg_pool" not in kinds(after)
    near(before, after, edge_values((1, 2, 3, 3)))


def biased(function, **members):
    return lowered(function, b=nn.Parameter(torch.tensor([0.5, -0.3]).reshape(1, 2, 1, 1)), **members)


@pytest.mark.parametrize("sign", [torch.sign, lambda x: torch.where(x > 0, 1.0, -1.0)])
def test_bias_and_sign_are_a_threshold(sign):
    before, after, _ = biased(lambda m, x: sign(x + m.b))
    assert kinds(after) == ["threshold"]
    level = after.of_kind(OpKind.THRESHOLD)[0].consts["level"].values.flatten()
    assert level.tolist() == pytest.approx([-0.5, 0.3])
    # exactly on the thresholds, and a step around them, in fixed point: 0.3 is 1229 steps
    on = torch.tensor([-0.5, 1229 * STEP]).double().reshape(1, 2, 1, 1)
    x = on + STEP * (torch.arange(32).reshape(SHAPE) % 3 - 1)
    assert_equal_values(before, after, x)


def test_a_bias_with_other_readers_stays():
    def forward(m, x):
        y = x + m.b
        return y.sign() * y

    _, after, log = biased(forward)
    assert kinds(after) == ["add_const", "sign", "multiply"]
    assert reason(log, "bias-sign") == "the biased value has other readers, so the addition stays"


def test_a_bias_that_expands_stays():
    _, after, log = lowered(lambda m, x: (x + torch.ones(3, 1, 1, 1)).sign())
    assert kinds(after) == ["add_const", "sign"]
    assert reason(log, "bias-sign") == "the bias also expands its input"


# signed digits


CSD = RewriteOptions(constant_multiply="csd")


def test_constants_in_signed_digits():
    before, after, log = lowered(lambda m, x: 0.3 * x, options=CSD)
    (node,) = after.of_kind(OpKind.SCALE)
    assert node.attrs["csd_fraction_bits"] == 12
    assert float(node.consts["factor"].values) == round(0.3 * 4096) / 4096
    (entry,) = [entry for entry in log if entry.fired]
    assert entry.exact
    assert entry.error == pytest.approx(abs(0.3 - round(0.3 * 4096) / 4096))
    x = [edge_values(SHAPE)]
    (old,), (new,) = execute(before, x, FixedPoint(12)).values(), execute(after, x, FixedPoint(12)).values()
    assert torch.equal(old, new)
    assert sum(tally(after, 16).by_origin().values()) == 0


def test_real_convolutions_and_classifiers_in_signed_digits():
    _, after, _ = lowered(
        lambda m, x: m.fc(m.conv(x).flatten(1)), options=CSD, conv=nn.Conv2d(2, 3, 3), fc=nn.Linear(12, 2)
    )
    assert sum(tally(after, 16).by_origin().values()) == 0


# graphs of adders


GRAPH = RewriteOptions(constant_multiply="graph")


def test_real_convolutions_and_classifiers_as_graphs_of_adders():
    torch.manual_seed(0)
    before, after, log = lowered(
        lambda m, x: m.fc(m.side(m.conv(x)).flatten(1)),
        options=GRAPH,
        conv=nn.Conv2d(2, 3, 3, stride=2, padding=2),
        side=nn.Conv2d(3, 4, 1, bias=False),
        fc=nn.Linear(36, 2),
    )
    dots = after.of_kind(OpKind.CONV, OpKind.LINEAR)
    assert [in_adders(node) for node in dots] == [True] * 3
    assert sum(tally(after, 16).by_origin().values()) == 0
    found = [entry for entry in log if entry.rule == "adder-graph"]
    assert [(entry.fired, entry.exact, entry.error) for entry in found] == [(True, True, None)] * 3
    x = [edge_values(SHAPE)]
    (old,), (new,) = execute(before, x, FixedPoint(12)).values(), execute(after, x, FixedPoint(12)).values()
    assert torch.equal(old, new)
    (coarse,), (same,) = (execute(g, x, FixedPoint(6)).values() for g in (before, after))
    assert torch.equal(coarse, same)  # on a coarser grid the constants are others, and the adders are not run


def test_sums_of_real_values_with_signs_as_graphs_of_adders():
    torch.manual_seed(1)
    weight = nn.Parameter(torch.randn(6, 2, 2, 2))
    before, after, log = lowered(lambda m, x: F.conv2d(x, m.weight.sign()), options=GRAPH, weight=weight)
    (node,) = after.of_kind(OpKind.CONV)
    assert in_adders(node)
    assert "csd_fraction_bits" not in node.attrs
    (entry,) = [entry for entry in log if entry.rule == "adder-graph"]
    negative = int((weight < 0).flatten(1).all(1).sum())  # minus a sum of eight takes one more
    assert entry.detail.startswith(f"{6 * 7 + negative} adders of outputs on their own -> ")
    x = [edge_values(SHAPE)]
    (old,), (new,) = execute(before, x, FixedPoint(12)).values(), execute(after, x, FixedPoint(12)).values()
    assert torch.equal(old, new)


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (nn.Conv2d(2, 4, 3, groups=2), "grouped or transposed: stays as it is"),
        (nn.Conv2d(2, 1, 1), "2 adders share nothing: stays as it is"),
    ],
)
def test_what_makes_no_graph_of_adders_stays_in_signed_digits(layer, why):
    with torch.no_grad():
        weights = torch.tensor([0.75, 1.0])  # of the second: 1 - 1/4 and 1, three digits, two adders
        layer.weight.copy_(weights.reshape(1, 2, 1, 1) if layer.groups == 1 else torch.randn(4, 1, 3, 3))
    _, after, log = lowered(lambda m, x: m.layer(x), options=GRAPH, layer=layer)
    (node,) = after.of_kind(OpKind.CONV)
    assert node.attrs["csd_fraction_bits"] == 12
    assert not in_adders(node)
    assert reason(log, "adder-graph") == why


def test_signed_digits_leave_shifts_and_binary_products_alone():
    _, after, log = lowered(lambda m, x: 0.25 * m.conv(x.sign()), options=CSD, conv=binary_conv(1.0))
    assert kinds(after) == ["sign", "conv", "shift"]
    assert fired(log) == ["scale-to-shift"]


def test_signed_digits_only_on_request():
    _, _, log = lowered(lambda m, x: 0.3 * x)
    assert fired(log) == []
