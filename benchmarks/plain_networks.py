"""ReActNet-18 and ReActNet-A for CIFAR as one would write them from the papers: what `train_step.py` measures against.

Every formula is written with torch's own operations and differentiated by autograd; only the sign has a gradient of
its own. Nothing is shared with abcost but the names of the parameters, so that both hold the same weights.
Source: A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739), block shapes of ReActNet (Liu et al., ECCV 2020).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

ALPHA = 0.25  # residual scale


class SmoothedSign(torch.autograd.Function):
    """sign(v), with the gradient 6*sigmoid(3v)*(1 - sigmoid(3v))."""

    @staticmethod
    def forward(ctx: Any, v: Tensor) -> Tensor:
        """Sign of v."""
        ctx.save_for_backward(v)
        return torch.sign(v)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Times the slope of the smooth sign."""
        (v,) = ctx.saved_tensors
        s = torch.sigmoid(3 * v)
        return grad * 6 * s * (1 - s)


def smoothed_sign(v: Tensor) -> Tensor:
    """sign(v) by `SmoothedSign`."""
    result: Tensor = SmoothedSign.apply(v)  # type: ignore[no-untyped-call]
    return result


class Conv(nn.Conv2d):
    """Convolution with gain * W^, or in step 2 with gain * mean|W^| * sign(W^)."""

    def __init__(self, in_ch: int, out_ch: int, kernel: int, stride: int = 1, *, binary: bool) -> None:
        super().__init__(in_ch, out_ch, kernel, stride, kernel // 2, bias=False)
        self.gain = nn.Parameter(torch.ones(out_ch, 1, 1, 1))
        self.binary = binary

    def forward(self, x: Tensor) -> Tensor:
        """Convolution of x."""
        w = self.weight
        mean = torch.mean(w, dim=(1, 2, 3), keepdim=True)
        std = torch.std(w, dim=(1, 2, 3), keepdim=True, unbiased=False)
        w = w[0].numel() ** -0.5 * (w - mean) / (std + 1e-5)
        if self.binary:
            scale = torch.mean(torch.abs(w), dim=(1, 2, 3), keepdim=True).detach()
            clipped = torch.clamp(w, -1.0, 1.0)
            w = (scale * torch.sign(w)).detach() - clipped.detach() + clipped
        return functional.conv2d(x, self.gain * w, None, self.stride, self.padding)


class Move(nn.Module):
    """x + bias/beta."""

    def __init__(self, channels: int, beta: float = 1.0) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        """Shifted x."""
        return x + self.bias.expand_as(x) / self.beta


class PowerPReLU(nn.Module):
    """PReLU with the slope 2**round(L_alpha); the gradient passes the rounding."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.L_alpha = nn.Parameter(torch.full((channels,), -3.0))

    def forward(self, x: Tensor) -> Tensor:
        """PReLU of x."""
        exponent = torch.round(self.L_alpha).detach() - self.L_alpha.detach() + self.L_alpha
        return functional.prelu(x, 2**exponent)


class ReActBlock(nn.Module):
    """3x3 block of ReActNet-18."""

    def __init__(self, in_ch: int, out_ch: int, stride: int, beta: float, *, binary: bool) -> None:
        super().__init__()
        self.beta = beta
        self.move0 = Move(in_ch, beta)
        self.conv1 = Conv(in_ch, out_ch, 3, stride, binary=binary)
        self.move1, self.prelu, self.move2 = Move(out_ch), PowerPReLU(out_ch), Move(out_ch)
        self.downsample = (
            nn.Identity()
            if in_ch == out_ch
            else nn.Sequential(nn.AvgPool2d(2, 2), Conv(in_ch, out_ch, 1, binary=binary))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Residual branch and shortcut, then RPReLU."""
        branch = ALPHA * self.conv1(smoothed_sign(self.move0(x) * self.beta))
        out: Tensor = self.move2(self.prelu(self.move1(branch + self.downsample(x))))
        return out


class ReActNet18(nn.Module):
    """(N, 3, 32, 32) -> (N, classes)."""

    def __init__(self, classes: int, *, binary: bool) -> None:
        super().__init__()
        self.conv1 = Conv(3, 64, 3, binary=False)
        in_ch, variance = 64, 1.0
        for stage, out_ch in enumerate((64, 128, 256, 512), start=1):
            blocks = []
            for number in range(4):
                beta = variance**-0.5
                stride = 2 if in_ch != out_ch else 1
                blocks.append(ReActBlock(in_ch, out_ch, stride, beta, binary=binary))
                if number == 0 and stage > 1:
                    variance = 1.0  # the shortcut convolution makes a fresh start
                elif number > 0:
                    variance += ALPHA**2
                in_ch = out_ch
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(512, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.conv1(x)
        for stage in (1, 2, 3, 4):
            x = self.get_submodule(f"layer{stage}")(x)
        logits: Tensor = self.fc(functional.adaptive_avg_pool2d(x, 1).flatten(1))
        return logits


class ABlock(nn.Module):
    """3x3 and 1x1 block of ReActNet-A."""

    def __init__(
        self, in_ch: int, out_ch: int, stride: int, betas: tuple[float, float], *, binary: bool
    ) -> None:
        super().__init__()
        self.betas = betas
        self.move11 = Move(in_ch, betas[0])
        self.binary_3x3 = Conv(in_ch, in_ch, 3, stride, binary=binary)
        self.pool = nn.AvgPool2d(2, 2) if stride == 2 else nn.Identity()
        self.move12, self.prelu1, self.move13 = Move(in_ch), PowerPReLU(in_ch), Move(in_ch)
        self.move21 = Move(in_ch, betas[1])
        self.doubles = in_ch != out_ch
        if self.doubles:
            self.binary_pw_down1 = Conv(in_ch, in_ch, 1, binary=binary)
            self.binary_pw_down2 = Conv(in_ch, in_ch, 1, binary=binary)
        else:
            self.binary_pw = Conv(in_ch, in_ch, 1, binary=binary)
        self.move22, self.prelu2, self.move23 = Move(out_ch), PowerPReLU(out_ch), Move(out_ch)

    def forward(self, x: Tensor) -> Tensor:
        """Both parts."""
        branch = ALPHA * self.binary_3x3(smoothed_sign(self.move11(x) * self.betas[0]))
        o1 = self.move13(self.prelu1(self.move12(branch + self.pool(x))))
        a2 = smoothed_sign(self.move21(o1) * self.betas[1])
        if self.doubles:
            halves = [ALPHA * self.binary_pw_down1(a2) + o1, ALPHA * self.binary_pw_down2(a2) + o1]
            o2 = torch.cat(halves, dim=1)
        else:
            o2 = ALPHA * self.binary_pw(a2) + o1
        out: Tensor = self.move23(self.prelu2(self.move22(o2)))
        return out


class Stem(nn.Module):
    """First convolution of ReActNet-A."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Conv(3, 32, 3, binary=False)

    def forward(self, x: Tensor) -> Tensor:
        """Features."""
        features: Tensor = self.conv1(x)
        return features


class ReActNetA(nn.Module):
    """(N, 3, 32, 32) -> (N, classes)."""

    def __init__(self, classes: int, *, binary: bool) -> None:
        super().__init__()
        widths = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
        v1, v2 = 1.0, 1.0 + ALPHA**2  # expected variances in front of the two signs
        layers: list[nn.Module] = [Stem()]
        for number, (in_ch, out_ch) in enumerate(pairwise(widths)):
            stride = 2 if in_ch != out_ch and number > 0 else 1
            layers.append(ABlock(in_ch, out_ch, stride, (v1**-0.5, v2**-0.5), binary=binary))
            v1 = 1.0 if stride == 2 else v2 + ALPHA**2
            v2 = v1 + ALPHA**2
        self.feature = nn.Sequential(*layers)
        self.fc = nn.Linear(1024, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.fc(functional.adaptive_avg_pool2d(self.feature(x), 1).flatten(1))
        return logits


NETWORKS = {"reactnet_18": ReActNet18, "reactnet_a": ReActNetA}


def clip(parameters: Iterable[nn.Parameter], factor: float) -> None:
    """Adaptive gradient clipping, one parameter at a time."""
    for p in parameters:
        if p.grad is None:
            continue
        dims = tuple(range(1, p.dim())) or (0,)
        norm = torch.linalg.vector_norm(p.detach(), dim=dims, keepdim=True).clamp(min=1e-3)
        grad_norm = torch.linalg.vector_norm(p.grad, dim=dims, keepdim=True)
        limit = factor * norm
        clipped = p.grad * (limit / grad_norm.clamp(min=1e-6))
        p.grad.copy_(torch.where(grad_norm > limit, clipped, p.grad))
