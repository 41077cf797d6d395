"""Your own binary network from Python: what it costs, layer by layer, before and after, and what a wider one would.

python examples/own_model.py
"""

from __future__ import annotations

import torch
from torch import nn

import abcost


class Sign(torch.autograd.Function):
    """Sign with the gradient of a clipped identity, as most binary networks define it."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.sign(x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (x.abs() <= 1)


class BinaryConv(nn.Conv2d):
    """Weights are their signs, times their mean size per output channel."""

    def forward(self, x):
        scale = self.weight.abs().mean(dim=(1, 2, 3), keepdim=True)
        return self._conv_forward(x, scale * Sign.apply(self.weight), self.bias)


class Net(nn.Module):
    """A stem, one binary block, a classifier; (N, 1, 16, 16) -> (N, 10)."""

    def __init__(self, width):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.body = BinaryConv(width, width, 3, padding=1, bias=False)
        self.act = nn.PReLU(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = self.stem(x)
        x = self.act(self.body(Sign.apply(x))) + x
        return self.head(x.mean(dim=(2, 3)))


def main():
    """Print multiplications by origin and LUTs of two widths, then the layers of the first."""
    for width in (16, 32):
        report = abcost.analyze(Net(width), target="fpga-lut6", input_shape=(1, 1, 16, 16))
        first, last = report.stages[0], report.stages[-1]
        print(f"{width} channels, {report.to_dict()['parameters']:,} parameters")
        for stage in (first, last):
            origins = {origin.value: count for origin, count in stage.tally.by_origin().items() if count}
            print(f"  {stage.name}: multiplications {origins}, LUTs {stage.cost.luts:,.0f}")
    rows = abcost.analyze(Net(16), target="fpga-lut6", input_shape=(1, 1, 16, 16)).to_dict()["layers"]
    print("layers of the last stage, 16 channels")
    for row in rows:
        if row["stage"] == last.name:
            print(f"  {row['name']:8} {row['ops']}")


if __name__ == "__main__":
    main()
