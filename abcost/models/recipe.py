"""What tells one variant of a network from another: which layers its blocks are built from."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from abcost.models.network import NetworkSpec
from abcost.models.variance import ALPHA
from abcost.nn import (
    ApproxSign,
    BinaryActivation,
    BinaryConv2d,
    FixedScaleConv2d,
    LearnableBias,
    MeanScaledConv2d,
    QuantizedPReLU,
    Scale,
    SignConv2d,
    StandardizedConv2d,
    WeightedConv2d,
)
from abcost.registry import unknown_name

STEMS = ("imagenet", "cifar")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A network that is to be built, with its stem, and the layers it asks for.

    ==========  =======================  ========================  ==================
    part        ab                       bn-free                   bn
    ==========  =======================  ========================  ==================
    sign        mask and sign of beta*x  mask and sign of beta*x   sign of x
    after conv  alpha                    alpha                     batch norm
    slopes      powers of two            real                      real
    weights     standardised             standardised              as trained
    ==========  =======================  ========================  ==================

    Raises UnknownName for a stem that there is not.
    Source: A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739).
    """

    network: NetworkSpec
    stem: str = "imagenet"
    channel_scale: bool = True  # False: binary weights have no scale per channel (BNN)

    def __post_init__(self) -> None:
        if self.stem not in STEMS:
            raise unknown_name("stem", self.stem, STEMS)

    @property
    def variant(self) -> str:
        """One of `VARIANTS`."""
        return self.network.variant or "ab"

    @property
    def step(self) -> int:
        """1: real weights in the blocks; 2: binary."""
        return self.network.step or 2

    @property
    def num_classes(self) -> int:
        """Outputs of the classifier."""
        return self.network.num_classes or 1000

    @property
    def batch_norm(self) -> bool:
        """Whether this is the batch-norm baseline, without alpha, beta and weight standardisation."""
        return self.variant == "bn"

    @property
    def alpha(self) -> float:
        """Residual scale: what a block adds to its shortcut is multiplied by it."""
        exponent = self.network.alpha_exponent
        return ALPHA if exponent is None else 2.0**exponent

    def depths(self, published: tuple[int, ...]) -> tuple[int, ...]:
        """Blocks per stage."""
        return self.network.blocks or published

    def widths(self, stages: int, published: int) -> tuple[int, ...]:
        """Channels per stage, doubling from one to the next; `published` are those of the first.

        >>> Recipe(NetworkSpec("reactnet_18", base_width=16)).widths(3, 64)
        (16, 32, 64)
        """
        base = self.network.base_width or published
        return tuple(base * 2**stage for stage in range(stages))

    def conv(self, in_ch: int, out_ch: int, kernel: int, stride: int = 1) -> nn.Conv2d:
        """Convolution that is binary in step 2 and real in step 1; both have the same parameters."""
        if self.step == 1:
            return self.real_conv(in_ch, out_ch, kernel, stride, gain=self.channel_scale)
        binary: type[WeightedConv2d]
        if self.batch_norm:
            binary = MeanScaledConv2d if self.channel_scale else SignConv2d
        else:
            binary = BinaryConv2d if self.channel_scale else FixedScaleConv2d
        return binary(in_ch, out_ch, kernel, stride)

    def real_conv(
        self, in_ch: int, out_ch: int, kernel: int, stride: int = 1, *, gain: bool = True
    ) -> nn.Conv2d:
        """Convolution that is real in both steps."""
        if self.batch_norm:
            return nn.Conv2d(in_ch, out_ch, kernel, stride, kernel // 2, bias=False)
        return StandardizedConv2d(in_ch, out_ch, kernel, stride, gain=gain)

    def sign(self, beta: float) -> nn.Module:
        """Binary activation."""
        return ApproxSign() if self.batch_norm else BinaryActivation(beta)

    def move(self, channels: int, beta: float = 1.0) -> nn.Module:
        """Trainable shift; `beta` is that of the sign behind it."""
        return LearnableBias(channels, 1.0 if self.batch_norm else beta)

    def scale(self, channels: int) -> nn.Module:
        """What follows a convolution of a block: alpha, or batch norm."""
        return nn.BatchNorm2d(channels) if self.batch_norm else Scale(self.alpha)

    def norm(self, channels: int) -> nn.Module:
        """What follows a stem or shortcut convolution: nothing, or batch norm."""
        return nn.BatchNorm2d(channels) if self.batch_norm else nn.Identity()

    def prelu(self, channels: int) -> nn.Module:
        """PReLU of a block. Real slopes start at nn.PReLU's 1/4, which is a power of two until trained."""
        return QuantizedPReLU(channels) if self.variant == "ab" else nn.PReLU(channels)
