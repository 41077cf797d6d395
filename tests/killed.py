"""A training that is killed on the way; runs in processes of its own."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import torch

from abcost.train import files, run
from abcost.train.config import Config
from training import noise

EPOCHS = 4


def steps():
    return tuple(
        Config(
            model="reactnet_18", step=step, base_width=4, blocks=(1, 1), epochs=EPOCHS, batch_size=8, lr=1e-2,
            slope_lr=5e-2, clip=0.02, seed=3, threads=1, accelerator="cpu",
            slopes={"layer1.0.prelu": (-4, -2, -1)},
        )
        for step in (1, 2)
    )  # fmt: skip


def train(folder, *, after=None, writing=None):
    """Train both steps, or go on with them. SIGKILL after so many seconds, or in the middle of the n-th file."""
    torch.manual_seed(hash(folder))  # where torch's random numbers stand must not matter
    run.load = lambda *_, **__: noise(48)
    if after is not None:
        timer = threading.Timer(after, lambda: os.kill(os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()
    if writing is not None:
        _die_in_the_middle(writing)
    run.train(steps(), Path(folder), resume=True)


def _die_in_the_middle(number):
    """Write the `number`-th tensors half, and stop there as a killed process would."""
    real, count = torch.save, 0

    def save(content, file):
        nonlocal count
        count += 1
        start = file.tell()
        real(content, file)
        if count == number:
            file.truncate(start + (file.tell() - start) // 2)
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    files.torch = type("Torch", (), {"save": staticmethod(save)})
