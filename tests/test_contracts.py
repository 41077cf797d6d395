"""abcost's own things keep the contracts that it ships for plug-ins, and the contracts notice what is broken."""

from __future__ import annotations

import dataclasses
import itertools
from typing import ClassVar

import pytest
import torch
from torch import nn

from abcost.core import replay as replays
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.cost import TARGETS, bundled_targets, cost_models_dir
from abcost.data import DATA, load
from abcost.errors import UsageError
from abcost.models import catalogue
from abcost.models.registry import MODELS
from abcost.report.format import FORMATS
from abcost.rewrite.rule import Match, rules
from abcost.rewrite.rules.unit_scale import UnitScale
from abcost.rtl.forms import LINEAR
from abcost.rtl.sweep import Sample, Sweep
from abcost.rtl.unit import build, template, templates
from abcost.testing import (
    check_data,
    check_format,
    check_handler,
    check_model,
    check_plugin,
    check_rule,
    check_target,
    check_unit,
)
from abcost.trace import handler
from abcost.trace.registry import handlers
from simulators import need_simulator

FALLING = {
    "asic-gt2n": {"shift_select", "qprelu"},
    "asic-osu018": {"shift_select", "qprelu"},
    "asic-sg13g2": {"shift_select", "qprelu"},
    "asic-sky130": {"popcount", "shift_select", "qprelu"},
    "fpga-ecp5": {"shift_select", "qprelu", "rom"},
    "fpga-ecp5-delay": {"shift_select", "qprelu"},
    "fpga-ice40": {"shift_select", "qprelu", "rom"},
    "fpga-lut6": {"popcount", "shift_select", "qprelu", "qprelu_add", "rom"},
}
"""Measured laws that fall: where multiplexers give way to barrel shifters, and of the smallest ROMs and popcounts."""


@pytest.fixture(autouse=True)
def forgetful(monkeypatch):
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(replays, "_REGISTERED", dict(replays._REGISTERED))
    for registry in (DATA, FORMATS, MODELS, TARGETS, handlers, rules, templates):
        registry.names()
        for name in ("_items", "_owners"):
            monkeypatch.setattr(registry, name, dict(getattr(registry, name)))


class Scaled(nn.Module):
    """A factor in front of a rectifier."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.register_buffer("factor", torch.tensor([[factor]]))

    def forward(self, x):
        return torch.relu(x * self.factor + 1) - 2


class Cumulated(nn.Module):
    """An operator that abcost does not know."""

    def forward(self, x):
        return torch.cumsum(x, 1)


# what abcost's own things keep


def test_a_network_of_the_zoo():
    check_model("birealnet_18", variants=("ab", "bn"))


@pytest.mark.parametrize("name", FORMATS.names())
def test_formats(name):
    check_format(name)


def test_a_data_set():
    check_data("digits")


@pytest.mark.parametrize("name", bundled_targets())
def test_targets(name):
    check_target(name, falling=FALLING.get(name, ()))


def test_a_rule():
    check_rule("unit-scale", Scaled(), (1, 4), untouched=[Scaled(0.75)])


def test_a_handler():
    handler("cumsum", kind=OpKind.FUNCTION, replay=torch.ops.aten.cumsum.default)
    check_handler("cumsum.default", Cumulated(), (2, 5))


def test_units():
    need_simulator()
    check_unit("compare", {"width": 4}, {"width": 9})
    check_unit("accumulate", {"width": 6})


# what they notice


def broken(match):
    return pytest.raises(AssertionError, match=match)


def test_a_plugin_that_is_not_installed():
    with broken(r"^no entry point for abcost is installed by 'abcost-other'"):
        check_plugin("abcost-other")


@pytest.mark.parametrize(
    ("replay", "match"),
    [
        (lambda x, axis, _dtype: x.cumsum(axis) + 1e-6, "traced differs from model by 1e-06 at output"),
        (lambda x, axis, _dtype: x.cumsum(axis).round(decimals=1), "traced differs from model"),
    ],
)
def test_a_replay_that_is_not_the_operator(replay, match):
    handler("cumsum", kind=OpKind.FUNCTION, replay=replay)
    with broken(match):
        check_handler("cumsum.default", Cumulated(), (2, 5))


def test_a_handler_without_a_replay():
    handler("cumsum", kind=OpKind.FUNCTION)
    with broken(
        r"^handler of cumsum\.default: the graph asks to run aten\.cumsum\.default, which is not one of the"
    ):
        check_handler("cumsum.default", Cumulated(), (2, 5))


def test_a_handler_whose_operator_is_not_called():
    handler("cumsum", kind=OpKind.FUNCTION, replay=torch.ops.aten.cumsum.default)
    with broken(
        r"^handler of cumsum\.default: Scaled does not call it, but add\.Tensor, .*, relu\.default, sub"
    ):
        check_handler("cumsum.default", Scaled(), (1, 4))
    with broken(r"^handler of logcumsumexp: none is registered$"):
        check_handler("logcumsumexp", Cumulated(), (1, 4))


def test_a_handler_that_records_another_operation():
    @handler("cumsum")
    def twice(call):
        return call.emit(OpKind.ADD, [call.input("self"), call.input("self")])

    with broken("traced differs from model"):
        check_handler("cumsum.default", Cumulated(), (2, 5))


class AnyScale(UnitScale):
    """x * f -> x, which only f = 1 keeps."""

    def check(self, graph, node, _options):
        return Match((node, *graph.users(node)), "as if it were nothing", **self.claim)

    claim: ClassVar = {}


class Admitted(AnyScale):
    """The same, and says so."""

    claim: ClassVar = {"exact": False}


def test_a_rule_that_says_exact_and_is_not():
    rules.add("any-scale")(AnyScale())
    with broken(r"^rule any-scale: .* changes by 0\.\d+ \(fixed point, normal\), though the rule says exact"):
        check_rule("any-scale", Scaled(0.75), (1, 4))


def test_a_rule_that_does_not_say_how_inexact_it_is():
    rules.add("admitted")(Admitted())
    with broken(r"^rule admitted on .* is not exact and does not say its error and error_unit$"):
        check_rule("admitted", Scaled(0.75), (1, 4))


def test_a_rule_that_does_not_fire_or_fires_too_often():
    with broken(r"^rule unit-scale does not fire on Scaled: it has no node of its kinds$"):
        check_rule("unit-scale", Scaled(0.75), (1, 4))
    with broken(r"^rule unit-scale fires on Scaled, which it should leave$"):
        check_rule("unit-scale", Scaled(), (1, 4), untouched=[Scaled()])


def test_a_rule_without_an_equation():
    class Silent(UnitScale):
        phase = Phase.LOWER

    Silent.__doc__ = None
    rules.add("silent")(Silent())
    with broken("^rule silent: its class has no docstring"):
        check_rule("silent", Scaled(), (1, 4))


def unit_like(**changes):
    @template("mine", "width bits", sweep=changes.pop("sweep", None))
    def mine(*, width):
        """Mine."""
        return dataclasses.replace(build("compare", width=width), **changes)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"body": "    assign y = a > b;"}, r"^unit compare_w4: Verilog and model differ: vector \d+: in "),
        ({"name": "two words"}, "^unit mine: 'two words' is no identifier of Verilog$"),
        ({"model": lambda v: {"z": v["a"]}}, r"^unit compare_w4: its model gives \['z'\], not \['y'\]$"),
        (
            {"model": lambda v: {"y": v["a"]}},
            r"^unit compare_w4: y leaves 0 … 1, which is what its port holds$",
        ),
    ],
)
def test_units_that_are_wrong(changes, match):
    need_simulator()
    unit_like(**changes)
    with broken(match):
        check_unit("mine", {"width": 4})


def test_units_of_one_name():
    unit_like(name="always")
    with broken(r"^unit mine: always is the name of two sizes, \{'width': 4\}$"):
        check_unit("mine", {"width": 4}, {"width": 5})


@pytest.mark.parametrize(
    ("samples", "match"),
    [
        ([Sample({"width": 4}, {"width": 4})], "1 samples are too few to fit a law$"),
        ([Sample({"width": w}, {"width": w}) for w in (4, 5)], "no sample is held out to test the law$"),
        ([Sample({"width": 4}, {"width": 4})] * 2, "compare_w4 is sampled twice$"),
        (
            [Sample({"breadth": 4}, {"width": 4})],
            r"sizes of compare_w4 are \{'breadth': 4\}, not of width, bits, ",
        ),
    ],
)
def test_sweeps_that_are_wrong(samples, match):
    need_simulator()
    unit_like(sweep=lambda *, quick: Sweep(LINEAR, tuple(samples)))
    with broken(f"^unit mine, sweep: {match}"):
        check_unit("mine", {"width": 4})


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (
            "[32, 3.1]]",
            "[32, 0.1]]",
            r"energy_pj of multiply falls from 0\.2 to 0\.\d+ as width grows from 8 to 9",
        ),
        ('target = "asic-45nm"', 'target = "other"', r"^target mine: its table calls it 'other'$"),
    ],
)
def test_targets_that_are_wrong(tmp_path, old, new, match):
    text = (cost_models_dir() / "asic-45nm.toml").read_text()
    assert old in text
    text = text.replace(old, new).replace('target = "asic-45nm"', 'target = "mine"')
    (tmp_path / "mine.toml").write_text(text)
    TARGETS.add("mine")(tmp_path / "mine.toml")
    with broken(match):
        check_target("mine")


@pytest.mark.parametrize(
    ("render", "match"),
    [
        (lambda reports, view: reports[0].model, "the last line does not end$"),
        (lambda reports, view: 3, "gives a int, not text$"),
        (lambda reports, view: f"{reports[0].table.target}\n", "the model is not named$"),
        (lambda reports, view: f"{reports[0].model}\n", "the target fpga-lut6 is not named$"),
        (
            lambda reports, view: f"{reports[0].model} {reports[0].table.target} {next(TICKS)}\n",
            "another text the second time$",
        ),
    ],
)
def test_formats_that_are_wrong(render, match):
    FORMATS.add("mine")(render)
    with broken(f"^format mine.*: {match}"):
        check_format("mine")


TICKS = itertools.count()


class Jumpy:
    """A split whose images depend on how often they were read."""

    def __init__(self, split):
        self._split, self._reads = split, 0

    def __getattr__(self, name):
        return getattr(self._split, name)

    def __len__(self):
        return len(self._split)

    def batch(self, indices, *, epoch, augment):
        self._reads += 1
        images, labels = self._split.batch(indices, epoch=epoch, augment=augment)
        return images + self._reads * augment, labels


def leak(data):
    """Ten images of the training are tested too."""
    return dataclasses.replace(data, test=data.train.subset(torch.arange(len(data.test))))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (leak, r"^data set mine: images are in two splits: \d+ in train and test$"),
        (lambda d: dataclasses.replace(d, train=Jumpy(d.train)), "train: augmentation is not repeatable$"),
        (
            lambda d: dataclasses.replace(d, classes=(*d.classes, "ten")),
            r"train: classes \[10\] are without images",
        ),
        (lambda d: dataclasses.replace(d, input_shape=(3, 9, 9)), r"not float32 of \(16, 3, 9, 9\)$"),
        (
            lambda d: dataclasses.replace(d, preset="mine"),
            "^data set mine: preset 'mine' is none of imagenet, ",
        ),
    ],
)
def test_data_sets_that_are_wrong(change, match):
    @DATA.add("mine")
    def mine(root, options):
        data = load("digits", seed=options.seed, select_on=options.select_on)
        return data if options.select_on == "test" else change(data)

    with broken(match):
        check_data("mine")


class Wrong(nn.Module):
    """Takes any image, answers with ten numbers."""

    def __init__(self, outputs=10, *, unused=False):
        super().__init__()
        self.fc = nn.Linear(3, outputs)
        if unused:
            self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return self.fc(x.mean((2, 3)))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (
            lambda recipe: Wrong(),
            r"^model mine, ab, step 1: 3 images and 7 classes give scores of shape \(3, 10\)$",
        ),
        (lambda recipe: Wrong(7, unused=True), "^model mine, ab, step 1: unused gets no finite gradient$"),
        (
            lambda recipe: Wrong(recipe.num_classes, unused=recipe.step == 2),
            "^model mine, ab: tensors of step 1 and",
        ),
    ],
)
def test_models_that_are_wrong(make, match):
    make.__doc__ = "Mine."
    MODELS.add("mine")(make)
    with broken(match):
        check_model("mine", base_width=None, blocks=None)


def test_a_variant_that_a_model_does_not_have():
    """It is refused as such, and not listed."""

    def mine(recipe):
        """Mine."""
        if recipe.variant == "bn":
            raise UsageError("mine has no batch norm")
        if recipe.variant == "bn-free":
            raise KeyError("bn-free")
        return Wrong(recipe.num_classes)

    MODELS.add("mine")(mine)
    with broken(r"^model mine: bn-free raises KeyError: 'bn-free'; a variant that a model does not have is"):
        check_model("mine", base_width=None, blocks=None, variants=("ab",))
    assert "mine" in [entry.name for entry in catalogue()]
    assert "mine" not in [entry.name for entry in catalogue(variant="bn")]


def test_a_model_without_a_description():
    MODELS.add("mine")(lambda recipe: Wrong())
    with broken(r"^model mine: the first line of its factory's docstring is what abcost models shows$"):
        check_model("mine")
