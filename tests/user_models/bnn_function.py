"""A binary network written with a custom autograd.Function; knows nothing of any cost tool."""

import torch
import torch.nn.functional as F
from torch import nn


class BinarySign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sign()

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1)


class BinaryConv2d(nn.Conv2d):
    """Weights mean|W| * sign(W), the mean per output channel."""

    def forward(self, x):
        scale = self.weight.abs().mean(dim=(1, 2, 3), keepdim=True)
        return F.conv2d(x, scale * BinarySign.apply(self.weight), None, self.stride, self.padding)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = BinaryConv2d(8, 8, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.act = nn.PReLU(8)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.bn1(self.conv1(x))
        x = self.act(self.bn2(self.conv2(BinarySign.apply(x))) + x)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


def factory():
    return Net()
