"""A training that is killed on the way; runs in processes of its own."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path

import torch

from abcost.training import files, run
from abcost.training.config import Config
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


def train(folder, *, after=None, writing=None, counted=None):
    """Train both steps, or go on with them.

    after: SIGKILL once so many functions were called or left, of Python or of C: a moment that does not depend on the
    machine. writing: SIGKILL in the middle of the n-th file. counted: file that gets the number of calls.
    """
    torch.manual_seed(hash(folder))  # where torch's random numbers stand must not matter
    run.load = lambda *_, **__: noise(48)
    if after is not None or counted is not None:
        done = _count(after)
    if writing is not None:
        _die_in_the_middle(writing)
    run.train(steps(), Path(folder), resume=True)
    if counted is not None:
        sys.setprofile(None)
        Path(counted).write_text(str(next(done)))


def _count(last):
    """Count calls from here on; SIGKILL at the `last`-th."""
    done = itertools.count()

    def see(*_):
        if next(done) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(see)
    return done


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
