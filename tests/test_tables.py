"""Functions in hardware: errors of the tables over every input, and counts of every realisation by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from abcost.classify.functions import REALISED
from abcost.core.kinds import OpKind
from abcost.core.tables import ABSOLUTE, NAMES, RELATIVE, WORDS, approximate
from abcost.errors import GraphError
from abcost.pipeline import analyze
from strategies import single, traced
from test_classify import primitives

FRACTION = 12
EXACT = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "erfc": torch.erfc,
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "softplus": F.softplus,
    "log_sigmoid": F.logsigmoid,
    "elu": F.elu,
    "exp of x <= 0": torch.exp,
    "reciprocal": torch.reciprocal,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "log": torch.log,
    "log2": torch.log2,
    "log10": torch.log10,
    "exp": torch.exp,
    "exp2": torch.exp2,
    "sin": torch.sin,
    "cos": torch.cos,
}


def inputs(name, width):
    """Every value of the format that the function takes."""
    x = torch.arange(-(2 ** (width - 1)), 2 ** (width - 1), dtype=torch.float64) / 2**FRACTION
    if name in ("sqrt", "rsqrt", "log", "log2", "log10"):
        return x[x > 0]
    if name in ("exp of x <= 0", "elu"):  # of an ELU the table serves what is below 0
        return x[x <= 0] if name.startswith("exp") else x[x < 0]
    return x[x != 0] if name == "reciprocal" else x


@pytest.mark.parametrize("width", [16, 20])
@pytest.mark.parametrize("name", NAMES)
def test_stated_errors_hold_for_every_input_and_are_no_larger_than_need_be(name, width):
    x = inputs(name, width)
    found = approximate(name, x, width=width, fraction_bits=FRACTION)
    step, largest = 2.0**-FRACTION, 2.0 ** (width - 1 - FRACTION)
    exact = EXACT[name](x)
    held = exact.abs() < largest - step  # beyond, the result saturates
    assert torch.equal(torch.round(found / step) * step, found)
    assert float(found[held].abs().max()) <= largest
    error = (found - exact).abs()[held]
    if name in ABSOLUTE:
        worst, stated = float(error.max()), ABSOLUTE[name]
    else:
        worst, stated = float(((error - step) / exact[held].abs()).max()), RELATIVE[name]
    assert worst <= stated
    if width == 20:
        assert worst >= 0.93 * stated  # the bound says what happens


def test_what_saturates_is_the_largest_value():
    x = torch.tensor([2.0**-FRACTION, -(2.0**-FRACTION)], dtype=torch.float64)
    largest = 8 - 2.0**-FRACTION
    found = approximate("reciprocal", x, width=16, fraction_bits=FRACTION)
    assert found.tolist() == [largest, -largest]
    assert (
        approximate("exp", torch.tensor([7.0]).double(), width=16, fraction_bits=FRACTION).item() == largest
    )


def test_every_function_has_an_error_and_no_other_name_is_computed():
    assert set(ABSOLUTE) | set(RELATIVE) == set(NAMES)
    assert not set(ABSOLUTE) & set(RELATIVE)
    with pytest.raises(GraphError, match="no table is stated for 'gamma'"):
        approximate("gamma", torch.zeros(1), width=16, fraction_bits=FRACTION)


def test_realised_operators_are_ones_of_torch():
    for name in REALISED:
        packet, overload = name.split(".")
        assert hasattr(getattr(torch.ops.aten, packet), overload), name


def rounding(x, how):
    """The stated realisations of roundings, on whole numbers of 2**-FRACTION."""
    one, mask = 1 << FRACTION, (1 << FRACTION) - 1
    if how == "ceil":
        return (x + mask) >> FRACTION
    if how == "trunc":
        return (x + torch.where(x < 0, mask, 0)) >> FRACTION
    total = x + one // 2
    result = total >> FRACTION
    tie = (total & mask) == 0
    return torch.where(tie, result & ~1, result)


@pytest.mark.parametrize("how", ["ceil", "trunc", "round"])
def test_roundings_are_exact_for_every_input(how):
    x = torch.arange(-(2**15), 2**15)
    exact = getattr(torch, how)(x.double() / 2**FRACTION)
    assert torch.equal(rounding(x, how).double(), exact)


N = 6
CLAMP = {"compare": 2 * N, "mux": 2 * N, "rom": N}
BEHIND = {"compare": 2 * N, "mux": 3 * N, "rom": N, "add": N}
SQRT = {"compare": 4 * N, "mux": 8 * N, "rom": N}
LOG = {"compare": 4 * N, "mux": 4 * N, "rom": 2 * N, "add": N}
EXP = {"multiply": N, "rom": N, "mux": 5 * N, "compare": N}
RECIPROCAL = {"compare": 5 * N, "mux": 11 * N, "rom": N, "add": 2 * N}


def plus(*parts):
    return {name: sum(part.get(name, 0) for part in parts) for name in {k for part in parts for k in part}}


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (torch.abs, {"add": N, "mux": N}),
        (torch.floor, {}),
        (torch.ceil, {"add": N}),
        (torch.trunc, {"add": N, "mux": N}),
        (torch.round, {"add": N, "compare": N, "mux": N}),
        (F.hardsigmoid, {"add": N, "mux": 2 * N, "compare": N, "multiply": N}),
        (F.hardswish, {"add": N, "mux": 2 * N, "compare": N, "multiply": 2 * N}),
        (torch.sigmoid, CLAMP),
        (torch.tanh, CLAMP),
        (torch.erf, CLAMP),
        (F.gelu, BEHIND),
        (F.silu, BEHIND),
        (F.mish, BEHIND),
        (F.softplus, BEHIND),
        (F.logsigmoid, BEHIND),
        (F.elu, {"compare": N, "mux": 2 * N, "rom": N}),
        (F.selu, {"compare": N, "mux": 2 * N, "rom": N, "multiply": N}),
        (torch.reciprocal, RECIPROCAL),
        (torch.sqrt, SQRT),
        (torch.rsqrt, plus(SQRT, {"compare": N, "mux": N})),
        (torch.log, LOG),
        (torch.log1p, plus(LOG, {"add": N})),
        (torch.exp, EXP),
        (torch.sin, {"multiply": N, "rom": N}),
        (torch.cos, {"multiply": N, "rom": N}),
        (lambda x: x**0.5, SQRT),
        (lambda x: x**-0.5, plus(SQRT, {"compare": N, "mux": N})),
        (lambda x: x**3, {"multiply": 2 * N}),
        (lambda x: x**7, {"multiply": 4 * N}),  # x2, x3 = x2 x, x6 = x3 x3, x7 = x6 x
        (lambda x: x**-2, plus(RECIPROCAL, {"multiply": N})),
        (lambda x: x**1.3, plus(LOG, {"multiply": N}, EXP)),
        (lambda x: x**x, plus(LOG, {"multiply": N}, EXP)),
        (torch.atan, {"function": N}),  # no realisation is stated: no price
    ],
)
def test_counts_of_realisations(function, wanted):
    assert primitives(traced(lambda m, x: function(x), (2, 3))) == wanted


RECORDED = {
    "log2.default": ([{"in": 0}], {"compare": 4 * N, "mux": 4 * N, "rom": N}),
    "log10.default": ([{"in": 0}], LOG),
    "exp2.default": ([{"in": 0}], {"rom": N, "mux": 5 * N, "compare": N}),
    "expm1.default": ([{"in": 0}], plus(EXP, {"add": N})),
    "erfc.default": ([{"in": 0}], CLAMP),
    "celu.default": ([{"in": 0}, 2.0], {"compare": N, "mux": 2 * N, "rom": N}),
    "pow.Scalar": ([3.0, {"in": 0}], EXP),
    "div.Tensor_mode": ([{"in": 0}, {"in": 0}, "floor"], plus(RECIPROCAL, {"multiply": N})),
}


@pytest.mark.parametrize("name", RECORDED)
def test_counts_of_recorded_calls(name):
    arguments, wanted = RECORDED[name]
    assert primitives(single(OpKind.FUNCTION, (2, 3), (2, 3), {"aten": name, "args": arguments})) == wanted


def test_a_quotient_towards_0_and_a_power_of_2():
    def counted(name, arguments):
        return primitives(single(OpKind.FUNCTION, (2, 3), (2, 3), {"aten": name, "args": arguments}))

    trunc = counted("div.Tensor_mode", [{"in": 0}, {"in": 0}, "trunc"])
    assert trunc == plus(RECIPROCAL, {"multiply": N}, {"add": N, "mux": N})
    assert counted("pow.Scalar", [2.0, {"in": 0}]) == {"rom": N, "mux": 5 * N, "compare": N}


@pytest.mark.parametrize("rounding", [torch.round, torch.floor, torch.ceil, torch.trunc])
def test_whole_numbers_are_rounded_already(rounding):
    assert primitives(traced(lambda m, x: rounding(torch.sign(x)), (2, 3))) == {"sign": N}


def test_a_table_has_no_more_words_than_there_are_operands():
    report = analyze(nn.Sigmoid(), input_shape=(1, 6), width=8, target="fpga-lut6")
    (unit,) = [u for u in report.to_dict()["stages"][0]["units"] if u["unit"] == "rom"]
    assert (unit["depth"], unit["width"], unit["count"]) == (2**8, 8, 1)
    report = analyze(nn.Sigmoid(), input_shape=(1, 6), width=16, target="fpga-lut6")
    (unit,) = [u for u in report.to_dict()["stages"][0]["units"] if u["unit"] == "rom"]
    assert (unit["depth"], unit["width"]) == (WORDS, 16)


def test_units_of_one_element_work_side_by_side():
    report = analyze(nn.Sigmoid(), input_shape=(1, 6), target="fpga-lut6")
    units = {u["unit"]: u["count"] for u in report.to_dict()["stages"][0]["units"]}
    assert units == {"compare": 2, "mux": 2, "rom": 1}


@pytest.mark.parametrize("target", ["fpga-lut6", "fpga-ice40", "fpga-ecp5"])
def test_ordinary_networks_have_totals_where_the_table_has_roms(target):
    network = nn.Sequential(nn.Linear(6, 6), nn.GELU(), nn.LayerNorm(6), nn.Sigmoid(), nn.Softmax(1))
    cost = analyze(network, input_shape=(1, 6), target=target).to_dict()["stages"][-1]["cost"]
    assert all(cost[name] is not None and math.isfinite(cost[name]) for name in ("luts", "ffs", "dsps"))
