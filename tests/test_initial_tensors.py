"""Fresh networks: the same seed gives the tensors of the published code, bit for bit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from abcost.models import build

REFERENCE = Path(__file__).parent / "data" / "reference" / "initial_tensors.json"
NETWORKS = json.loads(REFERENCE.read_text())["networks"]


@pytest.mark.parametrize("case", NETWORKS)
def test_seed_2023_gives_the_published_tensors(case):
    name, step = case.split("|")
    torch.manual_seed(2023)
    model = build(name, step=int(step.removeprefix("step")), stem="cifar", num_classes=10)
    found = {
        key: hashlib.sha256(tensor.numpy().tobytes()).hexdigest()[:16]
        for key, tensor in model.state_dict().items()
    }
    assert found == NETWORKS[case]
    assert list(found) == list(NETWORKS[case])  # optimisers and checkpoints count on the order


def drawn(name, step, width, blocks, classes):
    """What the published code draws, one tensor after the other: a stage's shortcut comes before its blocks."""
    binary = step == 2
    found = {"conv1.weight": nn.Conv2d(3, width, 3, bias=False).weight}
    in_ch = width
    for stage, count in enumerate(blocks, 1):
        out_ch = width * 2 ** (stage - 1)
        if stage > 1:
            place = "downsample.0" if name == "xnornet_18" else "downsample.1"
            of_signs = binary and name != "birealnet_18"
            found[f"layer{stage}.0.{place}.weight"] = convolution(out_ch, in_ch, 1, of_signs)
        for block in range(count):
            found[f"layer{stage}.{block}.conv1.weight"] = convolution(out_ch, in_ch, 3, binary)
            in_ch = out_ch
    classifier = nn.Linear(in_ch, classes)
    return {**found, "fc.weight": classifier.weight, "fc.bias": classifier.bias}


def convolution(out_ch, in_ch, kernel, binary):
    if binary:
        return torch.rand(out_ch, in_ch, kernel, kernel) * 0.001
    return nn.Conv2d(in_ch, out_ch, kernel, bias=False).weight


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("name", ["reactnet_18", "reactnet_34", "birealnet_18", "xnornet_18"])
def test_random_tensors_are_drawn_in_the_published_order(name, step):
    torch.manual_seed(5)
    wanted = drawn(name, step, 4, (2, 3, 1), 7)
    torch.manual_seed(5)
    model = build(name, step=step, stem="cifar", num_classes=7, base_width=4, blocks=(2, 3, 1))
    found = model.state_dict()
    for key, tensor in wanted.items():
        assert torch.equal(found[key], tensor), key
    constant = {key: tensor for key, tensor in found.items() if key not in wanted}
    for key, tensor in constant.items():  # gains, shifts, slopes: nothing is drawn for them
        assert tensor.unique().numel() == 1, key
