"""Which network: one value, whose properties every command, call and file reads from."""

from __future__ import annotations

import json

import pytest
import torch

import abcost
from abcost.cli import run
from abcost.errors import AbcostError, CheckpointError, ModelError, UnknownName, UsageError
from abcost.models import NetworkSpec, TrainedAs, build, read_checkpoint
from abcost.models.network import PROPERTIES, REDUCTIONS, FormOptions, ShapeOptions, parsed
from abcost.models.subject import Request, resolve
from abcost.training.config import Config

SPEC = NetworkSpec("reactnet_18", variant="bn-free", step=1, preset="digits", base_width=4, blocks=(1, 2))
PLAIN = {
    "model": "reactnet_18", "variant": "bn-free", "step": 1, "preset": "digits", "base_width": 4, "blocks": [1, 2],
}  # fmt: skip


# to and from plain values


def test_plain_values_and_back():
    plain = SPEC.to_dict()
    assert {name: value for name, value in plain.items() if value is not None} == PLAIN
    assert set(plain) == {"model", *PROPERTIES}
    assert NetworkSpec.from_dict(json.loads(json.dumps(plain))) == SPEC
    assert NetworkSpec.from_dict(PLAIN) == SPEC
    assert NetworkSpec.from_dict({"model": "net.onnx"}) == NetworkSpec("net.onnx")


@pytest.mark.parametrize(
    ("plain", "error", "said"),
    [
        ({**PLAIN, "base_widht": 4}, UnknownName, "no property of a network 'base_widht'; did you mean 'base_width'?"),
        ({"variant": "ab"}, UsageError, "model must be the name of a network, as abcost models lists them, got None"),
        ({**PLAIN, "variant": "bnfree"}, UnknownName, "no variant 'bnfree'; did you mean 'bn-free'?"),
        ({**PLAIN, "variant": 1}, UnknownName, "no variant '1'"),
        ({**PLAIN, "preset": "mnist"}, UnknownName, "no preset 'mnist'; did you mean 'mnist5k'?"),
        ({**PLAIN, "step": 3}, UsageError, "step must be 1 (real weights) or 2 (binary weights), got 3"),
        ({**PLAIN, "num_classes": 0}, UsageError, "num_classes must be a whole number >= 1, got 0"),
        ({**PLAIN, "base_width": True}, UsageError, "base_width must be a whole number >= 1, got True"),
        ({**PLAIN, "blocks": [2, 0]}, UsageError, "blocks must be a tuple of whole numbers >= 1, one per stage, got"),
        ({**PLAIN, "blocks": "2,2"}, UsageError, "blocks must be a tuple of whole numbers >= 1, one per stage, got"),
        ({**PLAIN, "blocks": [999, 2]}, UsageError, "blocks 999,2 are 1,001, and at most 1,000 can be built"),
        ({**PLAIN, "alpha_exponent": 1}, UsageError, "alpha_exponent must be a whole number between -16 and 0, got 1"),
        (
            {**PLAIN, "variant": "bn", "alpha_exponent": -3}, UsageError,
            "alpha_exponent -3: the batch-norm baseline has no alpha; leave it out",
        ),
    ],
)  # fmt: skip
def test_strange_values_are_refused_by_name(plain, error, said):
    with pytest.raises(error) as caught:
        NetworkSpec.from_dict(plain)
    assert issubclass(error, AbcostError)
    assert str(caught.value).startswith(said)


def test_text_of_properties():
    assert [parsed("variant", "bn"), parsed("base_width", "16"), parsed("blocks", "2,1")] == [
        "bn",
        16,
        (2, 1),
    ]
    with pytest.raises(UsageError, match=r"^base_width=x is not a number$"):
        parsed("base_width", "x")
    with pytest.raises(UsageError, match=r"^--blocks '2,x' is not of the form 2,2,2: blocks of every stage$"):
        parsed("blocks", "2,x")


# what it is made into


def test_what_was_not_said_is_the_paper_on_imagenet():
    assert NetworkSpec("reactnet_18").resolved() == NetworkSpec(
        "reactnet_18", variant="ab", step=2, preset="imagenet", num_classes=1000
    )
    assert NetworkSpec("reactnet_18", preset="cifar100").resolved().num_classes == 100
    assert SPEC.resolved().said() == {**SPEC.said(), "num_classes": 10}


def test_it_builds_what_build_builds():
    torch.manual_seed(1)
    made = SPEC.build()
    torch.manual_seed(1)
    wanted = build(
        "reactnet_18", variant="bn-free", step=1, stem="cifar", num_classes=10, base_width=4, blocks=[1, 2]
    )
    found = made.state_dict()
    assert list(found) == list(wanted.state_dict())
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.state_dict().items())


def test_what_cannot_be_built_says_with_what():
    with pytest.raises(
        ModelError, match=r"^reactnet_18 cannot be built with variant ab, .*num_classes 10{11}: "
    ):
        NetworkSpec("reactnet_18", num_classes=10**11).build()
    with pytest.raises(UnknownName, match=r"did you mean 'reactnet_18'\?"):
        NetworkSpec("reactnet_19").build()


def test_image_sizes_are_checked_without_computing():
    small = NetworkSpec("reactnet_18", preset="digits")
    small.check_images((1, 3, 8, 8))  # 8 -> 4 -> 2 -> 1: four stages
    with pytest.raises(
        ModelError, match=r"shape 1x3x4x4: .*; reactnet_18 halves the size in every stage but the"
    ):
        small.check_images((1, 3, 4, 4))


def test_only_what_reduces_makes_another_network():
    assert SPEC.reduction() == {"base_width": 4, "blocks": [1, 2]}
    assert NetworkSpec("reactnet_18", variant="bn", step=1, preset="digits", num_classes=3).reduction() == {}
    assert NetworkSpec("reactnet_18", alpha_exponent=-3).reduction() == {}


# whoever says more is one too


def test_a_request_and_a_config_are_networks():
    asked = Request("reactnet_18", preset="digits", base_width=4)
    assert asked.network == NetworkSpec("reactnet_18", preset="digits", base_width=4)
    assert resolve(asked).network == asked.network.resolved()
    config = Config(model="reactnet_18", base_width=4, blocks=(1,), epochs=3)
    assert config.network == NetworkSpec("reactnet_18", variant="ab", step=2, base_width=4, blocks=(1,))
    assert Config.from_dict(config.to_dict()) == config
    assert set(config.to_dict()) >= {"model", *PROPERTIES} - {"num_classes"}


def test_merging_with_a_checkpoint():
    trained = TrainedAs("reactnet_18", variant="bn-free", base_width=4, blocks=(1, 2))
    assert NetworkSpec("reactnet_18", preset="digits").completed(trained, "best.pt") == NetworkSpec(
        "reactnet_18", preset="digits", variant="bn-free", base_width=4, blocks=(1, 2)
    )
    assert SPEC.completed(TrainedAs(), "bare.pt") == SPEC
    with pytest.raises(
        UsageError,
        match=r"^--blocks 2 contradicts checkpoint 'best\.pt', which was trained with 1,2; leave --blocks",
    ):
        NetworkSpec("reactnet_18", blocks=(2,)).completed(trained, "best.pt")


def test_a_checkpoint_whose_values_cannot_go_together(tmp_path):
    content = {"schema": 1, "model": "reactnet_18", "variant": "bn", "config": {"alpha_exponent": -3}}
    torch.save({**content, "state_dict": {}}, tmp_path / "odd.pt")
    with pytest.raises(CheckpointError, match=r"says that its config is .*, which abcost does not know"):
        read_checkpoint(tmp_path / "odd.pt")


# every face has every property


def test_options_of_calls_are_the_properties():
    assert set(ShapeOptions.__annotations__) == set(REDUCTIONS)
    assert set(FormOptions.__annotations__) == set(PROPERTIES) - {"step", "num_classes"}
    assert set(abcost.ZooOptions.__annotations__) == {*FormOptions.__annotations__, "step", "model_args"}


@pytest.mark.parametrize(
    ("command", "without"),
    [
        *((name, set()) for name in ("analyze", "verify", "graph", "export", "build", "rtl")),
        ("evaluate", {"num_classes"}),
        ("train", {"num_classes"}),
        ("search", set(PROPERTIES) - set(REDUCTIONS)),
    ],
)
def test_commands_have_an_option_for_every_property(command, without, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert run([command, "--help"]) == 0
    out = capsys.readouterr().out
    for name in set(PROPERTIES) - without:
        assert f"--{name.replace('_', '-')} " in out, name


def test_alpha_is_an_option_of_every_command_that_reads_networks(capsys):
    # weights are drawn alike, so that nothing but alpha and the beta that follows it tells the graphs apart
    tiny = ["graph", "reactnet_18", "--preset", "digits", "--base-width", "4", "--blocks", "1"]
    found = []
    for exponent in ("-2", "-1"):
        assert run([*tiny, "--alpha-exponent", exponent]) == 0
        found.append(json.loads(capsys.readouterr().out)["nodes"])
    assert [node["kind"] for node in found[0]] == [node["kind"] for node in found[1]]
    assert found[0] != found[1]
