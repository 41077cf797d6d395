"""Networks of a user's own to train and to search: with RPReLU, with real slopes, and ones that cannot be trained."""

import torch
from torch import nn

from abcost.nn import BinaryActivation, BinaryConv2d, LearnableBias, QuantizedPReLU, Scale, StandardizedConv2d


class Net(nn.Module):
    """A stem, one binary block with RPReLU, a classifier."""

    def __init__(self, width, step, prelu, classes=10):
        super().__init__()
        convolution = BinaryConv2d if step == 2 else StandardizedConv2d
        self.stem = StandardizedConv2d(3, width, 3, 2)
        self.sign = BinaryActivation(1.0)
        self.conv = convolution(width, width, 3, 1)
        self.scale = Scale(0.25)
        self.move1, self.act, self.move2 = LearnableBias(width), prelu(width), LearnableBias(width)
        self.fc = nn.Linear(width, classes)

    def forward(self, x):
        x = self.stem(x)
        x = self.scale(self.conv(self.sign(x))) + x
        x = self.move2(self.act(self.move1(x)))
        return self.fc(x.mean(dim=(2, 3)).view(len(x), -1))


def two_steps(width=4, step=2):
    return Net(width, step, QuantizedPReLU)


def one_step(width=4):
    return Net(width, 2, QuantizedPReLU)


def real_slopes():
    return Net(4, 2, nn.PReLU)


def three_classes():
    return Net(4, 2, QuantizedPReLU, classes=3)


def without_slopes():
    return Net(4, 2, lambda _: nn.ReLU())


class Still(nn.Module):
    def forward(self, x):
        return torch.zeros(len(x), 10)


def still():
    return Still()
