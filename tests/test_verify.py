"""Verification by execution: it holds for right rules, and catches wrong ones."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from abcost.core.adders.of_node import graph_of as graph_of_adders
from abcost.core.inputs import InputSpec, of_models_type
from abcost.core.interpret import FixedPoint
from abcost.core.kinds import OpKind
from abcost.core.lockstep import distance
from abcost.core.node import Constant
from abcost.errors import GraphError, ModelError, UsageError
from abcost.models.subject import Request, Subject, resolve
from abcost.pipeline import analyze, verify_subject
from abcost.rewrite import RewriteOptions
from abcost.rewrite.rule import Match
from abcost.rewrite.rules.bias_sign import BiasSign
from abcost.rewrite.rules.fold_global_pool import FoldGlobalPool
from abcost.rewrite.rules.pool_to_shift import PoolToShift
from abcost.rewrite.rules.quantise_slopes import QuantiseSlopes
from abcost.rewrite.rules.remove_mask import PositiveScaleBeforeSign
from abcost.rewrite.rules.scale_to_shift import ScaleToShift
from abcost.rewrite.rules.select_prelu import SelectPrelu
from abcost.rewrite.rules.signed_digits import SignedDigits
from abcost.rewrite.rules.step_function import StepFunction
from abcost.rewrite.rules.straight_through import StraightThrough
from abcost.trace.double import float64_only
from abcost.trace.tracer import Tracer
from abcost.verifying import Comparison, Verification, double_copy, threshold_probe
from strategies import STEP, Module, const, graph_of

EXACT = RewriteOptions()
CSD = RewriteOptions(constant_multiply="csd")
EVERYTHING = RewriteOptions(constant_multiply="csd", weight_scale="po2")


class Net(nn.Module):
    """A binary block with everything that the rules change, between two real convolutions."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.move = nn.Parameter(torch.tensor([0.3, -0.2, 0.0, 0.5]).reshape(1, 4, 1, 1))
        self.weight = nn.Parameter(torch.randn(4, 4, 3, 3))
        self.slope = nn.Parameter(torch.tensor([0.25, 0.5, 0.125, 2.0]))
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        x = F.avg_pool2d(self.stem(x), 2)
        a = x + (torch.sign(torch.tanh(1.5 * (1.7 * (x + self.move)))) - x).detach()
        x = 0.25 * F.conv2d(a, 0.5 * self.weight.sign(), padding=1) + x
        x = F.prelu(x, self.slope)
        return self.fc(x.mean((2, 3)))


def subject(model, *shapes, trained=True):
    inputs = tuple(shape if isinstance(shape, InputSpec) else InputSpec(shape) for shape in shapes)
    return Subject(model, "mine", None, inputs, trained=trained)


NET = (1, 2, 6, 6)


def verified(model, *shapes, options=EXACT):
    return verify_subject(subject(model, *shapes), options)


def failures(found):
    return [comparison for comparison in found.comparisons if not comparison.holds]


# right rules


def test_everything_holds():
    found = verified(Net(), NET)
    assert found.holds
    assert failures(found) == []
    pairs = {(c.before, c.after) for c in found.comparisons}
    assert pairs == {
        ("model", "traced"), ("traced", "mask_removed"), ("mask_removed", "rprelu_quantized"),
        ("rprelu_quantized", "add_and_bit"),
    }  # fmt: skip
    assert {c.inputs for c in found.comparisons} == {"normal", "zeros", "border", "thresholds"}
    assert {c.arithmetic for c in found.comparisons} == {"float64", "fixed point", "floating point"}


def test_exact_stages_agree_to_the_bit():
    for comparison in verified(Net(), NET).comparisons:
        if comparison.arithmetic == "fixed point":
            assert comparison.promised
            assert comparison.error == 0
            assert comparison.compared > 100


def test_signs_are_counted():
    found = verified(Net(), NET)
    assert found.signs == 4 * 3 * 3
    assert found.zero_signs == 0
    zero = verified(Module(lambda m, x: torch.sign(x * 0.0)), (1, 5))
    assert (zero.zero_signs, zero.signs, zero.sign_convention_error) == (5, 5, 1.0)


def test_the_verified_model_is_a_copy():
    model = Net().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    verified(model, NET)
    assert model.training
    assert all(tensor.dtype == torch.float32 for tensor in model.state_dict().values())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.get_default_dtype() == torch.float32


FORMS = {
    "where, float32 by default": (
        lambda m, x: m.fc(torch.where(x >= 0, 1.0, -1.0)), [(1, 5)], {"fc": nn.Linear(5, 2)},
    ),
    "two inputs": (lambda m, a, b: a.sign() + b, [(1, 4), (1, 4)], {}),
    "indices": (lambda m, i: m.e(i).sign(), [InputSpec((1, 3), torch.int64)], {"e": nn.Embedding(5, 2)}),
    "returned parameter": (lambda m, x: (m.w, x.sign()), [(1, 4)], {"w": nn.Parameter(torch.ones(3))}),
    "dict": (lambda m, x: {"b": x.sign(), "a": x * 0.25}, [(1, 4)], {}),
    "data dependent": (lambda m, x: x.sign() if x.sum() > -1e9 else x, [(1, 4)], {}),
    "batch": (lambda m, x: m.c(x.sign()), [(3, 2, 4, 4)], {"c": nn.Conv2d(2, 2, 3)}),
    "padded pool": (lambda m, x: F.avg_pool2d(x, 2, padding=1), [(1, 2, 4, 4)], {}),
    "zero padding of signs": (
        lambda m, x: F.conv2d(x.sign(), m.w.sign(), padding=1), [(1, 2, 4, 4)],
        {"w": nn.Parameter(torch.randn(2, 2, 3, 3, generator=torch.Generator().manual_seed(0)))},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FORMS))
def test_models_of_other_forms_hold(name):
    function, shapes, members = FORMS[name]
    assert verified(Module(function, **members), *shapes).holds


AFTER = ("add_and_bit", "add_and_bit, rounding")


def test_graphs_of_adders_hold():
    found = verified(Net(), NET, options=RewriteOptions(constant_multiply="graph"))
    assert found.holds
    after = [c for c in found.comparisons if (c.after, c.arithmetic) == ("add_and_bit", "fixed point")]
    assert [c.error for c in after] == [0.0] * len(after)
    assert {c.inputs for c in after} == {"normal", "zeros", "border", "thresholds"}


@pytest.mark.parametrize("options", [EXACT, CSD, EVERYTHING], ids=["exact", "csd", "csd and po2"])
def test_reactnet_18_holds(options):
    found = verify_subject(resolve(Request("reactnet_18", preset="cifar10")), options)
    assert found.holds
    assert not failures(found)
    fixed = {
        name: [c for c in found.comparisons if c.after == name and c.arithmetic == "fixed point"]
        for name in AFTER
    }
    assert all(c.promised and c.error == 0 for c in fixed["add_and_bit"])
    # rounding weight scales is lossy, and executed apart
    assert [c.promised for c in fixed["add_and_bit, rounding"]] == [False] * (
        4 if options is EVERYTHING else 0
    )


def test_the_error_of_rounded_constants_is_reported():
    found = verified(Net(), NET, options=CSD)
    assert found.holds  # fixed point rounds the same constants anyway
    errors = {entry.node: entry.error for entry in found.changes}
    assert set(errors) == {"stem/conv", "fc/linear"}
    for name, error in errors.items():
        weight = dict(Net().named_parameters())[f"{name.split('/')[0]}.weight"].detach().double()
        assert error == pytest.approx(float((weight - torch.round(weight * 4096) / 4096).abs().max()))
        assert 0 < error <= 2.0**-13
    floating = [c for c in found.comparisons if c.arithmetic == "floating point" and c.after == "add_and_bit"]
    assert all(not c.promised and c.error > 0 for c in floating)


def test_lossy_slopes_are_not_promised_and_their_error_is_seen():
    model = Net()
    model.slope.data = torch.tensor([0.3, 0.6, 0.1, 1.7])
    found = verified(model, NET)
    assert found.holds
    lossy = [c for c in found.comparisons if c.after == "rprelu_quantized, rounding"]
    assert lossy
    assert not any(c.promised for c in lossy)
    assert all(c.promised for c in found.comparisons if c.after == "rprelu_quantized")
    assert found.error_of("rprelu_quantized") > 0
    assert found.error_of("add_and_bit") == 0
    assert found.error_of("no_such_stage") is None


# wrong rules are caught, and where they are wrong is said


def shift_by_one_more(self, edit, _graph, node, match):
    edit.replace(node, kind=OpKind.SHIFT, consts={"exponent": const(match.data["exponent"] + 1)})


def threshold_of_the_wrong_sign(self, edit, _graph, node, match):
    edit.replace(node, match.data["x"], kind=OpKind.THRESHOLD, consts={"level": Constant(match.data["bias"])})


def threshold_off_by_a_step(self, edit, _graph, node, match):
    level = {"level": Constant(STEP - match.data["bias"].double())}
    edit.replace(node, match.data["x"], kind=OpKind.THRESHOLD, consts=level)


def slope_of_one_less(self, edit, _graph, node, match):
    edit.replace(node, kind=OpKind.SHIFT_PRELU, consts={"exponent": const(match.data["exponent"] - 1)})


def pool_without_shift(self, edit, graph, node, _match):
    edit.replace(node, kind=OpKind.SUM_POOL)


def fold_without_divisor(self, edit, graph, node, match):
    FOLD(self, edit, graph, node, match)
    edit.replace(match.data["linear"], attrs=dict(match.data["linear"].attrs))


FOLD = FoldGlobalPool.apply
WRONG = {
    "shift by k + 1": (ScaleToShift, shift_by_one_more, "add_and_bit"),
    "threshold with the wrong sign": (BiasSign, threshold_of_the_wrong_sign, "add_and_bit"),
    "threshold off by one step": (BiasSign, threshold_off_by_a_step, "add_and_bit"),
    "slope one less": (QuantiseSlopes, slope_of_one_less, "rprelu_quantized"),
    "pool without its shift": (PoolToShift, pool_without_shift, "add_and_bit"),
    "global pool without its divisor": (FoldGlobalPool, fold_without_divisor, "add_and_bit"),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_wrong_rule_is_caught(name, monkeypatch):
    rule, broken, stage = WRONG[name]
    monkeypatch.setattr(rule, "apply", broken)
    found = verified(Net(), NET)
    assert not found.holds
    caught = failures(found)
    assert {c.after for c in caught} == {stage}
    assert all(c.error > 0 for c in caught)
    assert all(c.where for c in caught)


def test_where_a_shift_went_wrong_is_named(monkeypatch):
    # without a sum behind it, the scale itself is the node of the largest error
    monkeypatch.setattr(ScaleToShift, "apply", shift_by_one_more)
    found = verified(Module(lambda m, x: m.inner(x), inner=Module(lambda m, x: 0.25 * x)), (1, 5))
    assert {c.where for c in failures(found)} == {"inner/scale"}


def test_removing_a_negative_factor_is_caught(monkeypatch):
    def check(self, graph, node, _options):
        users = graph.users(node)
        return Match((node, *users), "any factor") if all(u.kind is OpKind.SIGN for u in users) else None

    monkeypatch.setattr(PositiveScaleBeforeSign, "check", check)
    found = verified(Module(lambda m, x: torch.sign(-1.5 * x) + 1), (1, 5))
    assert not found.holds
    assert {c.after for c in failures(found)} == {"mask_removed"}


@pytest.mark.parametrize(
    ("rule", "function"),
    [
        (StepFunction, lambda m, x: torch.where(x >= 0, 1.0, -1.0)),
        (SelectPrelu, lambda m, x: torch.where(x >= 0, x, 0.25 * x)),
        (StraightThrough, lambda m, x: x + (x.sign() - x)),
    ],
)
def test_a_wrong_recognition_is_caught_against_the_model(rule, function, monkeypatch):
    def broken(self, edit, graph, node, match):
        edit.replace(
            node, [next(n.name for n in graph if n.kind is OpKind.INPUT)], kind=OpKind.NEGATE, consts={}
        )

    monkeypatch.setattr(rule, "apply", broken)
    found = verified(Module(function), (1, 5))
    assert not found.holds
    assert failures(found)[0].before == "model"
    assert failures(found)[0].where == "output"


def test_wrong_digits_are_caught(monkeypatch):
    def broken(self, edit, graph, node, match):
        role = "factor" if node.kind is OpKind.SCALE else "weight"
        consts = {**node.consts, role: Constant(match.data["values"] + STEP)}
        edit.replace(node, attrs={**node.attrs, "csd_fraction_bits": 12}, consts=consts)

    monkeypatch.setattr(SignedDigits, "apply", broken)
    found = verified(Net(), NET, options=CSD)
    assert {c.after for c in failures(found)} == {"add_and_bit"}


def test_a_wrong_adder_is_caught(monkeypatch):
    def broken(node):
        graph = graph_of_adders(node)
        first = graph.adds[0]
        return dataclasses.replace(graph, adds=(first._replace(subtract=not first.subtract), *graph.adds[1:]))

    monkeypatch.setattr("abcost.core.adders.of_node.graph_of", broken)
    found = verified(Net(), NET, options=RewriteOptions(constant_multiply="graph"))
    assert {c.after for c in failures(found) if c.arithmetic == "fixed point"} == {"add_and_bit"}


def test_a_threshold_at_the_border_needs_the_probe(monkeypatch):
    # normal inputs never fall on a threshold; the probe puts every sign there
    monkeypatch.setattr(BiasSign, "apply", threshold_off_by_a_step)
    found = verified(Module(lambda m, x: torch.sign(torch.relu(x) * x + 0.3)), (1, 4, 5, 5))
    assert "thresholds" in {c.inputs for c in failures(found)}


# single parts


def test_the_probe_puts_signs_on_and_around_their_thresholds():
    # the sign of 3 * (a + 0.5) says whether a >= -0.5
    before = graph_of(
        ("a", OpKind.NEGATE, (1, 6), ["x0"], {}, {}),
        ("b", OpKind.ADD_CONST, (1, 6), ["a"], {}, {"value": const(0.5)}),
        ("s", OpKind.SCALE, (1, 6), ["b"], {}, {"factor": const(3.0)}),
        ("y", OpKind.SIGN, (1, 6), ["s"], {"at_zero": 0}, {}),
        inputs=((1, 6),),
    )
    after = graph_of(
        ("a", OpKind.NEGATE, (1, 6), ["x0"], {}, {}),
        ("y", OpKind.THRESHOLD, (1, 6), ["a"], {"at_zero": 1}, {"level": const(-0.5)}),
        inputs=((1, 6),),
    )
    overrides = threshold_probe(before, after, FixedPoint(12))
    assert list(overrides) == ["a"]
    assert (overrides["a"] + 0.5).flatten().tolist() == [-STEP, 0, STEP, -STEP, 0, STEP]


def test_the_probe_takes_the_levels_of_a_quantiser_in_turn():
    levels = const([[1.0], [3.0]])
    attrs = {"levels": 3, "step": 1.0, "offset": -1.0}
    graph = graph_of(
        ("a", OpKind.NEGATE, (1, 6), ["x0"], {}, {}),
        ("y", OpKind.QUANTISE, (1, 6), ["a"], attrs, {"levels": levels}),
        inputs=((1, 6),),
    )
    found = threshold_probe(graph, graph, FixedPoint(12))["a"].flatten().tolist()
    assert found == [1 - STEP, 1, 1 + STEP, 3 - STEP, 3, 3 + STEP]


def test_an_input_is_no_probe():
    graph = graph_of(("y", OpKind.SIGN, (1, 4), ["x0"], {"at_zero": 0}, {}))
    assert threshold_probe(graph, graph, FixedPoint(12)) == {}


def comparison(**changes):
    base = Comparison("a", "b", "fixed point", "normal", 0.0, 0.0, "y", 4, promised=True)
    return dataclasses.replace(base, **changes)


def test_a_promise_is_kept_or_not():
    assert comparison().holds
    assert not comparison(error=1e-300).holds
    assert comparison(error=1e-300, tolerance=1e-9).holds
    assert comparison(error=5.0, promised=False).holds
    assert not comparison(error=float("nan")).holds
    assert not Verification((comparison(), comparison(error=1.0)), (), 0, 0, 0.0, 0.0, 12).holds


def test_infinity_equals_itself_and_not_a_number_equals_nothing():
    inf, nan = float("inf"), float("nan")
    values = torch.tensor([inf, -inf, 1.0]).double()
    assert distance(values, values) == 0
    assert distance(values, torch.tensor([inf, inf, 1.0]).double()) == inf
    assert distance(values, torch.tensor([inf, -inf, nan]).double()) == inf
    assert distance(values, values[:2]) == inf  # another shape
    assert distance(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5])) == 0.5
    assert distance(torch.empty(0), torch.empty(0)) == 0


def test_values_beyond_fixed_point_are_refused_and_not_skipped():
    with pytest.raises(GraphError, match=r"^fixed-point execution met inf, too large for 12 fraction bits$"):
        verified(Module(lambda m, x: (x * 0.0 - 1).sign().add(1).log()), (1, 4))


def test_a_model_that_cannot_be_copied():
    class Stubborn(nn.Module):
        def __deepcopy__(self, memo):
            raise RuntimeError("one of a kind")

        def forward(self, x):
            return x

    with pytest.raises(
        ModelError, match=r"^verification needs a float64 copy of the model, which failed: one of a kind$"
    ):
        double_copy(Stubborn())


class Mixed(nn.Module):
    """Casts and types of its own wherever a model can have them; a plain attribute beside parameters and buffers."""

    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(2, 4, 3, bias=False), nn.Linear(4, 2)
        self.level = torch.full((1, 4, 1, 1), 0.25, dtype=dtype)
        self.to(dtype)
        self.dtype = dtype

    def forward(self, x):
        signs = torch.sign(self.conv(x).float()).half().to(self.dtype)
        signs = torch.where(signs > self.level, signs, torch.zeros(1, dtype=torch.float32).to(self.dtype))
        held = torch.ones(1, 4, 1, 1, dtype=torch.float16)
        held.mul_(2)
        mean = (signs.float() * held.float()).mean((2, 3), dtype=torch.float32).type_as(x)
        return self.fc(mean).to(torch.bfloat16).float()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_a_model_of_any_floating_type_takes_inputs_of_its_own(dtype):
    """Its casts are nothing in the float64 copy, as they are in the fixed-point data path."""
    torch.manual_seed(0)
    model = Mixed(dtype)
    found = verified(model, (1, 2, 6, 6))
    assert found.holds
    assert found.comparisons[0].error < 1e-9  # against the model itself
    report = analyze(model, input_shape=(1, 2, 6, 6), verify=True)
    assert report.fvcore_ran
    assert report.capture == "shapes"
    assert [w for w in report.warnings if "fvcore" in w] == []
    macs = 16 * 4 * 18 + 4 * 2  # 4x4 positions, 4 channels of 2 * 3 * 3 taps; the linear layer
    assert report.fvcore_macs == macs == report.stages[0].tally.macs.total


def test_an_input_of_another_type_may_be_named():
    assert InputSpec.parse("1x3:bfloat16").dtype == torch.bfloat16
    assert InputSpec.parse("1x3:float16").dtype == torch.float16
    integers = (InputSpec((1, 3), torch.int64),)
    assert of_models_type(integers, nn.Linear(3, 2).double()) == integers
    assert of_models_type((InputSpec((1, 3)),), nn.Linear(3, 2).double())[0].dtype == torch.float64
    assert of_models_type((InputSpec((1, 3)),), nn.ReLU())[0].dtype == torch.float32


RANDOM = {
    "rand": lambda m, x: x.sign() * torch.rand(4),
    "bernoulli": lambda m, x: x + torch.bernoulli(torch.full((4,), 0.5)),
}


@pytest.mark.parametrize("name", sorted(RANDOM))
def test_a_random_model_is_said_to_be_one(name):
    with pytest.raises(
        ModelError,
        match=r"^two runs of the model on the same input differ by up to [\d.]+: it draws random numbers in forward "
        r"\(torch\.rand, bernoulli, dropout that is always on\) or keeps state between calls; a model that answers one "
        r"input in two ways cannot be verified$",
    ):
        verified(Module(RANDOM[name]), (16, 4))


def test_analysis_warns_of_random_numbers():
    report = analyze(Module(RANDOM["rand"]), input_shape=(1, 4))
    assert [w for w in report.warnings if w.startswith("the model draws random numbers")]
    assert not [
        w
        for w in analyze(Module(lambda m, x: m.d(x), d=nn.Dropout()), input_shape=(1, 4)).warnings
        if "random" in w
    ]


def test_the_default_type_is_put_back():
    with pytest.raises(
        ModelError, match=r"verification runs the model in float64, which failed: .* has no attribute 'no'"
    ):
        verified(Module(lambda m, x: x if isinstance(x, Tracer) else [].no), (1, 4))
    assert torch.get_default_dtype() == torch.float32
    with float64_only():
        assert (torch.ones(2).float() + torch.zeros(2, dtype=torch.half)).dtype == torch.float64
        held = torch.zeros(2, dtype=torch.int8)
        held.add_(1)
        assert held.tolist() == [1, 1]
    narrow = torch.zeros(2)
    with float64_only():
        narrow.add_(1)  # what is written keeps its type
    assert (narrow.dtype, narrow.tolist()) == (torch.float32, [1, 1])


@pytest.mark.parametrize("bits", [0, 21])
def test_fraction_bits_have_limits(bits):
    with pytest.raises(UsageError, match=rf"^--fraction-bits {bits} is not between 1 and 20$"):
        verified(Net(), NET, options=RewriteOptions(fraction_bits=bits))


@pytest.mark.parametrize("bits", [1, 4, 20])
def test_exact_rules_are_exact_at_every_precision(bits):
    assert verified(Net(), NET, options=RewriteOptions(fraction_bits=bits)).holds


def test_the_same_verification_every_time():
    first, second = verified(Net(), NET), verified(Net(), NET)
    assert first == second


def test_user_file_by_name():
    path = Path(__file__).parent / "user_models" / "bnn_where.py"
    request = Request(f"{path}:factory", inputs=(InputSpec((1, 1, 8, 8)),))
    assert verify_subject(resolve(request), EXACT).holds
