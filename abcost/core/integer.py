"""Integer arithmetic of the hardware, on int64 tensors: what the RTL units compute and the interpreter executes.

A fixed-point value with F fraction bits is held as the integer value * 2**F. Right shifts are arithmetic:
they round towards minus infinity.
"""

from __future__ import annotations

from abcost.core.lazy import torch


def shift(x: torch.Tensor, exponent: torch.Tensor | int) -> torch.Tensor:
    """floor(x * 2**exponent), elementwise; `exponent` broadcasts.

    >>> shift(torch.tensor([5, -5]), -1).tolist(), shift(torch.tensor([5, -5]), 2).tolist()
    ([2, -3], [20, -20])
    """
    exponent = torch.as_tensor(exponent, dtype=torch.int64).expand(x.shape)
    right = torch.bitwise_right_shift(x, (-exponent).clamp(0, 63))
    return torch.where(exponent < 0, right, torch.bitwise_left_shift(x, exponent.clamp(0, 63)))


def shift_prelu(x: torch.Tensor, exponent: torch.Tensor | int) -> torch.Tensor:
    """Power-of-two PReLU: x where x >= 0, floor(x * 2**exponent) elsewhere (quantized RPReLU of A&B BNN)."""
    return torch.where(x >= 0, x, shift(x, exponent))


def prelu(x: torch.Tensor, slope: torch.Tensor, fraction_bits: int) -> torch.Tensor:
    """PReLU with a slope of `fraction_bits` fraction bits: floor(x * slope / 2**fraction_bits) where x < 0."""
    return torch.where(x >= 0, x, shift(x * slope, -fraction_bits))


def popcount(bits: torch.Tensor) -> torch.Tensor:
    """Ones along the last axis of a tensor of 0 and 1."""
    return bits.to(torch.int64).sum(-1)


def binary_dot(ones: torch.Tensor, taps: int) -> torch.Tensor:
    """2p - K: the dot product of two vectors of K = `taps` signs, p = `ones` of which agree."""
    return 2 * ones - taps


def at_least(x: torch.Tensor, level: torch.Tensor | int) -> torch.Tensor:
    """The hardware sign: 1 where x >= level, 0 elsewhere (one bit; 1 stands for +1, 0 for -1)."""
    return (x >= level).to(torch.int64)


def wrap(x: torch.Tensor, width: int) -> torch.Tensor:
    """The low `width` bits as a signed integer (two's complement).

    >>> wrap(torch.tensor([127, 128, -129]), 8).tolist()
    [127, -128, 127]
    """
    if width >= 64:
        return x
    return torch.bitwise_right_shift(torch.bitwise_left_shift(x, 64 - width), 64 - width)
