"""A stem of another width than the first stage, from every face to the network, its counts and its checkpoint."""

from __future__ import annotations

import json

import pytest
import torch

import abcost
from abcost.cli import run
from abcost.errors import CheckpointError, UsageError
from abcost.models import NetworkSpec, build, read_checkpoint
from abcost.models.subject import Request, resolve

SHAPE = {"base_width": 8, "blocks": (1,), "stem_width": 4}
OPTIONS = ("--base-width", "8", "--blocks", "1", "--stem-width", "4")
PIXELS = 8 * 8  # of digits; one stage, so that nothing is halved

MACS = {
    "16x16": 9 * 3 * 4 * PIXELS + 8 * 10,  # stem 3 -> 4, classifier 8 -> 10
    "1x1": 9 * 4 * 8 * PIXELS,  # the block's convolution, 4 -> 8
    "16x1": 4 * 8 * PIXELS,  # its shortcut, which reads real numbers
}
PARAMETERS = (
    (9 * 3 * 4 + 4)  # stem, with its gains
    + (9 * 4 * 8 + 8)  # convolution
    + (4 * 8 + 8)  # shortcut
    + (4 + 3 * 8)  # move0; move1, slopes, move2
    + (8 * 10 + 10)  # classifier
)


def test_counts_by_hand(capsys):
    assert run(["analyze", "reactnet_18", "--preset", "digits", *OPTIONS, "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["macs"]["by_bits"] == MACS
    assert report["parameters"] == PARAMETERS
    assert report["settings"]["stem_width"] == 4
    assert report == abcost.analyze("reactnet_18", preset="digits", **SHAPE).to_dict()


def test_it_is_said_where_the_network_is_named(capsys):
    assert run(["analyze", "reactnet_18", "--preset", "digits", *OPTIONS, "--brief"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "reactnet_18 (ab, base width 8, blocks 1, stem width 4), 1x3x8x8" in text


def test_as_a_side_of_a_comparison():
    found = abcost.compare(
        "reactnet_18,preset=digits,base_width=8,blocks=1,stem_width=4",
        "reactnet_18,preset=digits,base_width=8,blocks=1",
    ).to_dict()
    (one,) = found
    assert one["settings"]["stem_width"] == {"before": "4", "after": None}


@pytest.mark.parametrize("variant", ["ab", "bn"])
@pytest.mark.parametrize("name", ["birealnet_18", "bnn_18", "reactnet_18", "xnornet_18"])
def test_every_residual_network_has_it(name, variant):
    model = build(
        name, variant=variant, stem="cifar", num_classes=3, base_width=6, blocks=(2, 1), stem_width=5
    )
    first, second = model.layer1
    assert (model.conv1.out_channels, first.conv1.in_channels, first.conv1.out_channels) == (5, 5, 6)
    assert (second.conv1.in_channels, model.fc.in_features) == (6, 12)
    assert model(torch.randn(2, 3, 8, 8)).shape == (2, 3)


def test_as_wide_as_the_first_stage_is_as_published():
    names = [
        {
            key: tuple(tensor.shape)
            for key, tensor in build("reactnet_18", stem="cifar", **shape).state_dict().items()
        }
        for shape in ({"blocks": (1, 1)}, {"blocks": (1, 1), "stem_width": 64})
    ]
    assert names[0] == names[1]


def test_reactnet_a_has_none(capsys):
    with pytest.raises(
        UsageError, match=r"^stem_width 4: the stem of reactnet_a has base_width channels, .* --base-width"
    ):
        NetworkSpec("reactnet_a", stem_width=4).build()
    assert run(["analyze", "reactnet_18", "--stem-width", "0"]) == 2
    assert capsys.readouterr().err == "error: stem_width must be a whole number >= 1, got 0\n"


def test_training_writes_it_and_search_reads_it(tmp_path):
    trained = abcost.train("reactnet_18", tmp_path / "run", step=2, epochs=1, **SHAPE)
    assert trained.metrics["parameters"] == PARAMETERS
    assert read_checkpoint(trained.checkpoint).origin.stem_width == 4
    subject = resolve(Request("reactnet_18", checkpoint=trained.checkpoint))
    assert subject.model.conv1.out_channels == 4
    with pytest.raises(
        UsageError, match=r"^--stem-width 5 contradicts checkpoint .*, which was trained with 4; leave"
    ):
        resolve(Request("reactnet_18", checkpoint=trained.checkpoint, stem_width=5))
    options = {"init": trained.checkpoint, "base_width": 8, "blocks": (1,)}
    with pytest.raises(abcost.Impossible, match=r"^no design of reactnet_18 meets budget luts=1: "):
        abcost.search("reactnet_18", tmp_path / "s", budget="luts=1", stem_width=4, **options)
    with pytest.raises(CheckpointError, match=r"does not fit the model"):
        abcost.search("reactnet_18", tmp_path / "s", **options)
