"""ReActNet-A: a MobileNet-like chain of 3x3 and 1x1 binary convolutions."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from abcost.errors import UsageError
from abcost.models.recipe import Recipe
from abcost.models.registry import MODELS
from abcost.models.variance import reactnet_a_betas
from abcost.nn import concatenate, rprelu, scaled_convolution, shifted_sign

WIDTH = 32  # channels of the stem
DEPTHS = (1, 2, 2, 6, 2)  # blocks per stage; the first of each doubles the channels


class Stem(nn.Module):
    """3x3 real convolution, (N, 3, H, W) -> (N, out, H/stride, W/stride)."""

    def __init__(self, recipe: Recipe, out_ch: int, stride: int) -> None:
        super().__init__()
        self.conv1 = recipe.real_conv(3, out_ch, 3, stride)
        self.bn1 = recipe.norm(out_ch)

    def forward(self, x: Tensor) -> Tensor:
        """Features of images."""
        features: Tensor = self.bn1(self.conv1(x))
        return features


class Block(nn.Module):
    """3x3 part, then 1x1 part; (N, in, H, W) -> (N, out, H/stride, W/stride), out = in or 2*in.

        o1 = rprelu1(alpha * conv3x3(sign(beta1*(x + b11/beta1))) + pool(x))     pool: 2x2 if stride 2
        a2 = sign(beta2*(o1 + b21/beta2))
        o2 = rprelu2(alpha * conv1x1(a2) + o1)                                        if out = in
        o2 = rprelu2(concat(alpha * c1(a2) + o1, alpha * c2(a2) + o1))                if out = 2*in

    Source: Liu et al., ReActNet, ECCV 2020; alpha and beta: A&B BNN (Ma et al., CVPR 2024).
    """

    def __init__(
        self, recipe: Recipe, in_ch: int, out_ch: int, stride: int, betas: tuple[float, float]
    ) -> None:
        super().__init__()
        self.move11 = recipe.move(in_ch, betas[0])
        self.sign1 = recipe.sign(betas[0])
        self.binary_3x3 = recipe.conv(in_ch, in_ch, 3, stride)
        self.scale1 = recipe.scale(in_ch)
        self.pooling = nn.AvgPool2d(2, 2) if stride == 2 else nn.Identity()
        self.move12 = recipe.move(in_ch)
        self.prelu1 = recipe.prelu(in_ch)
        self.move13 = recipe.move(in_ch)

        self.move21 = recipe.move(in_ch, betas[1])
        self.sign2 = recipe.sign(betas[1])
        self.doubles = out_ch != in_ch
        if self.doubles:
            self.binary_pw_down1 = recipe.conv(in_ch, in_ch, 1)
            self.scale2_1 = recipe.scale(in_ch)
            self.binary_pw_down2 = recipe.conv(in_ch, in_ch, 1)
            self.scale2_2 = recipe.scale(in_ch)
        else:
            self.binary_pw = recipe.conv(in_ch, in_ch, 1)
            self.scale2 = recipe.scale(in_ch)
        self.move22 = recipe.move(out_ch)
        self.prelu2 = recipe.prelu(out_ch)
        self.move23 = recipe.move(out_ch)

    def forward(self, x: Tensor) -> Tensor:
        """Both parts."""
        branch = scaled_convolution(shifted_sign(x, self.move11, self.sign1), self.binary_3x3, self.scale1)
        o1 = rprelu(branch + self.pooling(x), self.move12, self.prelu1, self.move13)

        a2 = shifted_sign(o1, self.move21, self.sign2)
        if self.doubles:
            first = scaled_convolution(a2, self.binary_pw_down1, self.scale2_1)
            second = scaled_convolution(a2, self.binary_pw_down2, self.scale2_2)
            o2 = concatenate([first + o1, second + o1], self.binary_pw_down1.groups)
        else:
            o2 = scaled_convolution(a2, self.binary_pw, self.scale2) + o1
        return rprelu(o2, self.move22, self.prelu2, self.move23)


class ReActNetA(nn.Module):
    """Stem, 13 blocks, global average pool, linear classifier; (N, 3, H, W) -> (N, num_classes).

    Stem of stride 2 for "imagenet", 1 for "cifar".  A stage is a run of blocks with the same output channels:
    64 | 128, 128 | 256, 256 | 512 x6 | 1024, 1024 as published.  Its first block doubles the channels, and
    halves the size in every stage but the first.  The recipe's `base_width` is the stem's, of which all
    others are multiples: stage k = 1, 2, … has 2**k times as many; `blocks` are those of the stages.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        if recipe.network.stem_width is not None:
            raise UsageError(
                f"stem_width {recipe.network.stem_width}: the stem of reactnet_a has base_width channels, of which "
                "all others are multiples; give --base-width instead"
            )
        depths = recipe.depths(DEPTHS)
        stem, *stages = recipe.widths(1 + len(depths), WIDTH)
        widths = [stem, *(width for width, depth in zip(stages, depths, strict=True) for _ in range(depth))]
        pairs = list(pairwise(widths))  # (in, out) of every block
        # the first block doubles its channels at stride 1
        strides = [2 if number > 0 and out_ch != in_ch else 1 for number, (in_ch, out_ch) in enumerate(pairs)]
        layers: list[nn.Module] = [Stem(recipe, stem, 2 if recipe.stem == "imagenet" else 1)]
        scales = reactnet_a_betas(strides, recipe.alpha)
        for (in_ch, out_ch), stride, betas in zip(pairs, strides, scales, strict=True):
            layers.append(Block(recipe, in_ch, out_ch, stride, betas))
        self.feature = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(widths[-1], recipe.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images."""
        x = self.feature(x)  # (N, 1024, H/32, W/32); cifar: H/16, W/16
        x = self.flatten(self.avgpool(x))  # (N, 1024)
        logits: Tensor = self.fc(x)
        return logits


@MODELS.add("reactnet_a")
def reactnet_a(recipe: Recipe) -> nn.Module:
    """ReActNet-A: 13 blocks of 3x3 and 1x1 binary convolutions, 32 to 1024 channels.

    Every variant doubles channels with two 1x1 convolutions of the same activation; in the batch-norm
    baseline, as in the original ReActNet, each has a batch norm of its own.
    """
    return ReActNetA(recipe)
