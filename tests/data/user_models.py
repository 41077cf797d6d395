"""A user's model file: what `abcost analyze tests/data/user_models.py:factory` is pointed at in the tests."""

import sys

import torch
from torch import nn

from abcost.nn import BinaryActivation, BinaryConv2d, QuantizedPReLU, Scale


class Small(nn.Module):
    """One block of A&B BNN between a stem and a classifier; meant for 1x3x8x8."""

    def __init__(self, classes=10):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.sign = BinaryActivation(2.0)
        self.conv = BinaryConv2d(8, 8, 3)
        self.alpha = Scale(0.25)
        self.prelu = QuantizedPReLU(8)
        self.pool = nn.AvgPool2d(2)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, classes)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.alpha(self.conv(self.sign(x)))
        x = self.pool(self.prelu(x))
        return self.fc(self.mean(x).flatten(1))


class Sequence(nn.Sequential):
    """No binary layer, hardly any work."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
        )


class OddNames(nn.Module):
    """Layer names that graph formats must escape."""

    def __init__(self):
        super().__init__()
        self.add_module('a "quoted" \\ <layer> & more', nn.Conv2d(3, 4, 1))

    def forward(self, x):
        return next(iter(self.children()))(x)


class LowPrecision(nn.Module):
    """A weight that numpy has no type for."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1, dtype=torch.bfloat16)

    def forward(self, x):
        return self.conv(x.to(torch.bfloat16))


class Talkative(Sequence):
    """Prints while it is built and while it runs."""

    def __init__(self):
        print("building")  # noqa: T201
        super().__init__()

    def forward(self, x):
        print("running")  # noqa: T201
        return super().forward(x)


class Broken(nn.Module):
    """Its forward raises, with a message of two lines."""

    def forward(self, x):
        raise ValueError("first line\nsecond line")


class Leaving(nn.Module):
    """Its forward ends the program."""

    def forward(self, x):
        sys.exit(7)


def raising():
    """Raise while building."""
    raise OSError("no such dataset")


def leaving():
    """End the program while building."""
    sys.exit(7)


def number():
    """Give something that is no model."""
    return 42


ready = Sequence()
