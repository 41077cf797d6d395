"""What a checkpoint of abcost says about its network needs no option; what contradicts it is refused."""

from __future__ import annotations

import json

import pytest
import torch

from abcost.cli import run
from abcost.errors import CheckpointError, UsageError
from abcost.models import TrainedAs, build, read_checkpoint
from abcost.models.subject import Request, resolve
from abcost.nn import BinaryConv2d, StandardizedConv2d

CONFIG = {
    "preset": "digits", "num_classes": 3, "base_width": 4, "blocks": [1, 2], "input_shape": [3, 12, 10],
    "lr": 1e-3, "optimizer": None,
}  # fmt: skip
SAID = {"schema": 1, "model": "reactnet_18", "variant": "bn-free", "step": 1, "epoch": 7, "optimizer": None}


def trained(step=1):
    torch.manual_seed(4)
    return build(
        "reactnet_18", variant="bn-free", step=step, stem="cifar", num_classes=3, base_width=4, blocks=(1, 2)
    )


def write(path, **changes):
    content = {**SAID, "state_dict": trained().state_dict(), "metrics": {}, "config": CONFIG, **changes}
    torch.save(content, path)
    return path


@pytest.fixture
def checkpoint(tmp_path):
    return write(tmp_path / "best.pt")


def test_what_is_read(checkpoint):
    assert read_checkpoint(checkpoint).origin == TrainedAs(
        model="reactnet_18", variant="bn-free", step=1, preset="digits", num_classes=3, base_width=4,
        blocks=(1, 2), input_shape=(3, 12, 10),
    )  # fmt: skip


def test_published_checkpoints_say_nothing(tmp_path):
    torch.save(trained().state_dict(), tmp_path / "bare.h5")
    torch.save({"epoch": 256, "step": "one", "state_dict": trained().state_dict()}, tmp_path / "other.pt")
    assert read_checkpoint(tmp_path / "bare.h5").origin == TrainedAs()
    assert read_checkpoint(tmp_path / "other.pt").origin == TrainedAs()


def test_the_network_is_built_as_it_was_trained(checkpoint):
    subject = resolve(Request("reactnet_18", checkpoint=checkpoint))
    wanted = trained().state_dict()
    found = subject.model.state_dict()
    assert list(found) == list(wanted)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert type(subject.model.layer1[0].conv1) is StandardizedConv2d  # step 1
    assert [spec.shape for spec in subject.inputs] == [(1, 3, 12, 10)]
    assert (subject.variant, subject.trained) == ("bn-free", True)
    assert (subject.network.base_width, subject.network.blocks) == (4, (1, 2))


def test_step_2_is_told_from_step_1(tmp_path):
    path = write(tmp_path / "step2.pt", step=2, state_dict=trained(step=2).state_dict())
    assert type(resolve(Request("reactnet_18", checkpoint=path)).model.layer1[0].conv1) is BinaryConv2d


def test_what_it_does_not_say_is_the_default_or_asked_for(tmp_path):
    config = {"preset": "digits", "num_classes": None, "base_width": None, "input_shape": None}
    full = build("reactnet_18", variant="bn-free", stem="cifar", num_classes=10, blocks=(1,))
    path = write(tmp_path / "few.pt", config=config, step=None, state_dict=full.state_dict())
    subject = resolve(Request("reactnet_18", blocks=(1,), checkpoint=path))
    assert type(subject.model.layer1[0].conv1) is BinaryConv2d
    assert subject.model.fc.out_features == 10  # of the preset that the checkpoint names
    assert [spec.shape for spec in subject.inputs] == [(1, 3, 8, 8)]


def test_the_same_said_twice_is_no_contradiction(checkpoint):
    asked = Request(
        "reactnet_18", variant="bn-free", step=1, preset="digits", num_classes=3, base_width=4, blocks=(1, 2),
        checkpoint=checkpoint,
    )  # fmt: skip
    assert resolve(asked).model.fc.out_features == 3


def test_another_input_size_is_no_contradiction(checkpoint):
    from abcost.core.inputs import InputSpec

    asked = Request("reactnet_18", inputs=(InputSpec((1, 3, 16, 16)),), checkpoint=checkpoint)
    assert [spec.shape for spec in resolve(asked).inputs] == [(1, 3, 16, 16)]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"variant": "ab"}, "--variant ab contradicts checkpoint {}, which was trained with bn-free; leave --variant"),
        ({"step": 2}, "--step 2 contradicts checkpoint {}, which was trained with 1; leave --step out"),
        ({"preset": "cifar10"}, "--preset cifar10 contradicts checkpoint {}, which was trained with digits; leave"),
        ({"num_classes": 10}, "--num-classes 10 contradicts checkpoint {}, which was trained with 3; leave --num"),
        ({"base_width": 8}, "--base-width 8 contradicts checkpoint {}, which was trained with 4; leave --base-width"),
        ({"blocks": (2, 2)}, "--blocks 2,2 contradicts checkpoint {}, which was trained with 1,2; leave --blocks out"),
    ],
)  # fmt: skip
def test_contradictions(asked, said, checkpoint):
    with pytest.raises(UsageError) as caught:
        resolve(Request("reactnet_18", checkpoint=checkpoint, **asked))
    assert str(caught.value).startswith(said.format(repr(str(checkpoint))))


def test_another_network(checkpoint):
    with pytest.raises(
        UsageError,
        match=r"best\.pt' is of reactnet_18, not of birealnet_18; name the network that was trained$",
    ):
        resolve(Request("birealnet_18", checkpoint=checkpoint))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": 3}, "its model is 3, which abcost does not know"),
        ({"variant": "abc"}, "its variant is 'abc', which"),
        ({"step": 3}, "its step is 3, which"),
        ({"step": True}, "its step is True, which"),
        ({"config": [1]}, r"its config is [1], which"),
        ({"config": {**CONFIG, "preset": "mnist"}}, "its preset is 'mnist', which"),
        ({"config": {**CONFIG, "preset": ["digits"]}}, "its preset is ['digits'], which"),
        ({"config": {**CONFIG, "num_classes": 0}}, "its num_classes is 0, which"),
        ({"config": {**CONFIG, "base_width": 2.5}}, "its base_width is 2.5, which"),
        ({"config": {**CONFIG, "blocks": []}}, "its blocks is [], which"),
        ({"config": {**CONFIG, "blocks": "1,2"}}, "its blocks is '1,2', which"),
        ({"config": {**CONFIG, "input_shape": [12, 10]}}, "its input_shape is [12, 10], which"),
        ({"config": {**CONFIG, "input_shape": [3, 12, -1]}}, "its input_shape is [3, 12, -1], which"),
        ({"config": {**CONFIG, "preset": torch.ones(3)}}, "its preset is tensor([1., 1., 1.]), which"),
    ],
)
def test_values_that_no_abcost_writes(changes, said, tmp_path):
    path = write(tmp_path / "strange.pt", **changes)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"checkpoint {str(path)!r} says that {said}")
    assert message.endswith("does not know; it is damaged, or of a newer abcost")


# on the command line


def test_analyze_verify_and_graph_take_it_from_there(checkpoint, capsys):
    options = ["reactnet_18", "--checkpoint", str(checkpoint), "--format", "json"]
    assert run(["analyze", *options]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["variant"], report["input_shape"]) == ("bn-free", [1, 3, 12, 10])
    assert report["settings"]["blocks"] == [1, 2]
    assert report["parameters"] == sum(p.numel() for p in trained().parameters())
    assert run(["verify", *options]) == 0
    assert json.loads(capsys.readouterr().out)["holds"]
    assert run(["graph", *options, "--no-constants"]) == 0
    inputs = [node for node in json.loads(capsys.readouterr().out)["nodes"] if node["kind"] == "input"]
    assert [node["shape"] for node in inputs] == [[1, 3, 12, 10]]


def test_rtl_takes_it_from_there(tmp_path):
    made = build("reactnet_18", stem="cifar", num_classes=3, base_width=4, blocks=(1, 2))
    path = write(tmp_path / "ab.pt", variant="ab", step=2, state_dict=made.state_dict())
    out = tmp_path / "layer"
    asked = ["rtl", "reactnet_18", "--checkpoint", str(path), "--layer", "layer2.1.conv1", "--out", str(out)]
    assert run(asked) == 0
    assert list(out.glob("*.v"))


def test_a_contradiction_is_one_line(checkpoint, capsys):
    assert run(["analyze", "reactnet_18", "--checkpoint", str(checkpoint), "--step", "2"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"error: --step 2 contradicts checkpoint {str(checkpoint)!r}, which was trained with 1; leave --step out\n"
    )
