"""Twenty steps of the recipe in float64, against a plain implementation that shares no code with abcost."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import plain_recipe
from abcost.training import loop
from abcost.training.config import Config
from abcost.training.context import RunContext
from abcost.training.recipes import CIFAR, IMAGENET, WEIGHT_DECAY
from abcost.training.runtime import start
from training import Losses, noise

WIDTHS, BLOCKS, CLASSES = (8, 16), (2, 2), 4
EPOCHS, BATCHES, SIZE = 4, 5, 8  # 20 steps at 4 learning rates


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("setting", ["cifar", "imagenet"])
def test_twenty_steps(setting, step, tmp_path, monkeypatch):
    imagenet = setting == "imagenet"
    data = noise(
        BATCHES * SIZE + 3,
        side=32 if imagenet else 8,
        classes=CLASSES,
        preset="imagenet" if imagenet else "digits",
    )
    p = plain_recipe.parameters(WIDTHS, BLOCKS, CLASSES, stem_kernel=7 if imagenet else 3, seed=step)
    torch.save({name: tensor.clone() for name, tensor in p.items()}, tmp_path / "start.pt")
    torch.manual_seed(1)
    linear = nn.Linear(3 * 32 * 32, CLASSES).double()
    monkeypatch.setattr(loop, "load_teacher", lambda *_: nn.Sequential(nn.Flatten(), linear))

    published = {**(IMAGENET if imagenet else CIFAR), "weight_decay": WEIGHT_DECAY[step]}
    recipe = {**published, "epochs": EPOCHS, "batch_size": SIZE}
    config = Config(
        model="reactnet_18",
        step=step,
        base_width=WIDTHS[0],
        blocks=BLOCKS,
        precision="64",
        threads=1,
        **recipe,
    )
    listener = Losses()
    context = RunContext(start(config), data, tmp_path, listener, lambda: False)
    loop.train_step(config, context, start=tmp_path / "start.pt")

    orders = data.train.read
    assert [len(set(order.tolist())) for order in orders] == [BATCHES * SIZE] * EPOCHS  # 3 are left out
    assert not torch.equal(orders[0], orders[1])
    epochs = [
        [(data.train.images[i].double(), data.train.labels[i]) for i in order.split(SIZE)] for order in orders
    ]
    before = {name: tensor.clone() for name, tensor in p.items()}
    losses = plain_recipe.train(
        p, epochs, blocks=BLOCKS, step=step, imagenet=imagenet, lr=1e-3,
        factor=0.02 if imagenet else 0.001, decay=5e-6 if step == 1 else 0.0,
        teacher=(lambda images: linear(images.flatten(1)).detach()) if imagenet else None,
    )  # fmt: skip
    assert len(losses) == 20
    assert listener.losses == pytest.approx(losses, rel=0, abs=1e-9)
    trained = torch.load(tmp_path / "last.pt", weights_only=True)["state_dict"]
    assert list(trained) != []
    assert set(trained) == set(p)
    for name, tensor in p.items():
        torch.testing.assert_close(trained[name], tensor, rtol=0, atol=1e-9, msg=name)
        assert (tensor - before[name]).abs().max() > 1e-4, name  # the comparison is of something that moved
