"""A residual binary network of a user: odd map sizes, a linear layer over a whole map, a shortcut around two layers."""

import torch
import torch.nn.functional as F
from torch import nn


class BinaryConv2d(nn.Conv2d):
    def forward(self, x):
        weight = self.weight.sign().detach() + self.weight - self.weight.detach()
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1)
        self.conv1 = BinaryConv2d(6, 6, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(6)
        self.conv2 = BinaryConv2d(6, 6, (3, 2), padding=0, bias=False)
        self.norm2 = nn.BatchNorm2d(6)
        self.act = nn.PReLU()
        self.fc = nn.Linear(6 * 5 * 5, 4)

    def forward(self, x):
        x = self.stem(x)
        y = self.act(self.norm1(self.conv1(torch.sign(x))))
        x = x + y
        z = self.act(self.norm2(self.conv2(torch.sign(x))))
        return self.fc(z.flatten(1))


def factory():
    torch.manual_seed(5)
    net = Net()
    with torch.no_grad():
        for norm in (net.norm1, net.norm2):
            norm.running_mean.normal_(std=2.0)
            norm.running_var.uniform_(4.0, 60.0)
            norm.weight.normal_()
            norm.bias.normal_()
    return net
