"""What tells one variant of a network from another: which layers its blocks are built from."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from abcost.errors import UsageError
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

VARIANTS = ("ab", "bn-free", "bn")
STEMS = ("imagenet", "cifar")
STEPS = (1, 2)
MOST_BLOCKS = 1000  # a guard against slips: nothing longer has been published


@dataclass(frozen=True, slots=True)
class Recipe:
    """The arguments of `build`, checked, and the layers they ask for.

    ==========  =======================  ========================  ==================
    part        ab                       bn-free                   bn
    ==========  =======================  ========================  ==================
    sign        mask and sign of beta*x  mask and sign of beta*x   sign of x
    after conv  alpha                    alpha                     batch norm
    slopes      powers of two            real                      real
    weights     standardised             standardised              as trained
    ==========  =======================  ========================  ==================

    Raises UnknownName (variant, stem) and UsageError (step, num_classes, base_width, blocks,
    alpha_exponent).
    Source: A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739).
    """

    variant: str = "ab"
    step: int = 2  # 1: real weights in the blocks; 2: binary
    stem: str = "imagenet"
    num_classes: int = 1000
    base_width: int | None = None  # channels of the first stage (reactnet_a: of the stem); None: as published
    blocks: tuple[int, ...] | None = None  # per stage, one entry for each; None: as published
    alpha_exponent: int | None = None  # residual scale 2**alpha_exponent; None: as published, -2
    channel_scale: bool = True  # False: binary weights have no scale per channel (BNN)

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise unknown_name("variant", self.variant, VARIANTS)
        if self.stem not in STEMS:
            raise unknown_name("stem", self.stem, STEMS)
        if self.step not in STEPS:
            raise UsageError(f"step must be 1 (real weights) or 2 (binary weights), got {self.step!r}")
        if type(self.num_classes) is not int or self.num_classes < 1:
            raise UsageError(f"num_classes must be a whole number >= 1, got {self.num_classes!r}")
        if self.base_width is not None and (type(self.base_width) is not int or self.base_width < 1):
            raise UsageError(f"base_width must be a whole number >= 1, got {self.base_width!r}")
        if self.blocks is not None:
            _check_blocks(self.blocks)
        if self.alpha_exponent is not None:
            _check_alpha(self.alpha_exponent, self.variant)

    @property
    def batch_norm(self) -> bool:
        """Whether this is the batch-norm baseline, without alpha, beta and weight standardisation."""
        return self.variant == "bn"

    @property
    def alpha(self) -> float:
        """Residual scale: what a block adds to its shortcut is multiplied by it."""
        return ALPHA if self.alpha_exponent is None else 2.0**self.alpha_exponent

    def depths(self, published: tuple[int, ...]) -> tuple[int, ...]:
        """Blocks per stage."""
        return published if self.blocks is None else self.blocks

    def widths(self, stages: int, published: int) -> tuple[int, ...]:
        """Channels per stage, doubling from one to the next; `published` are those of the first.

        >>> Recipe(base_width=16).widths(3, 64)
        (16, 32, 64)
        """
        base = published if self.base_width is None else self.base_width
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


def _check_alpha(exponent: int, variant: str) -> None:
    """Raises UsageError unless the variant has an alpha, and its exponent is one that hardware would shift by."""
    if type(exponent) is not int or not -16 <= exponent <= 0:
        raise UsageError(f"alpha_exponent must be a whole number between -16 and 0, got {exponent!r}")
    if variant == "bn":
        raise UsageError(f"alpha_exponent {exponent}: the batch-norm baseline has no alpha; leave it out")


def _check_blocks(blocks: tuple[int, ...]) -> None:
    """Raises UsageError unless every stage has a block, and there are not so many that building takes minutes."""
    if (
        type(blocks) is not tuple
        or not blocks
        or any(type(depth) is not int or depth < 1 for depth in blocks)
    ):
        raise UsageError(f"blocks must be a tuple of whole numbers >= 1, one per stage, got {blocks!r}")
    if sum(blocks) > MOST_BLOCKS:
        raise UsageError(
            f"blocks {','.join(map(str, blocks))} are {sum(blocks):,}, and at most {MOST_BLOCKS:,} can be built"
        )
