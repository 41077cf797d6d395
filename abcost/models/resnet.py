"""The ResNet shape that ReActNet-18, Bi-Real Net, XNOR-Net and BNN share."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from abcost.models.recipe import Recipe
from abcost.models.variance import resnet_betas
from abcost.nn import scaled_convolution

DEPTHS_18 = (4, 4, 4, 4)  # blocks per stage; a block has one 3x3 convolution, half of a ResNet basic block
DEPTHS_34 = (6, 8, 12, 6)
WIDTH = 64  # channels of the first stage; every further one has twice as many

BlockFactory = Callable[[Recipe, int, int, int, float], nn.Module]
"""Makes a block from recipe, input channels, output channels, stride and beta."""


ConvFactory = Callable[[int, int, int], nn.Module]
"""Makes a convolution from input channels, output channels and kernel size."""


def pooled_shortcut(recipe: Recipe, in_ch: int, out_ch: int, stride: int, conv: ConvFactory) -> nn.Module:
    """Shortcut of ReActNet and Bi-Real Net: (N, in, H, W) -> (N, out, H/stride, W/stride); identity if in = out."""
    if in_ch == out_ch:
        return nn.Identity()
    pool = nn.AvgPool2d(2, 2) if stride == 2 else nn.Identity()
    return nn.Sequential(pool, conv(in_ch, out_ch, 1), recipe.norm(out_ch))


class ResNet(nn.Module):
    """Stem, stages of blocks (four as published), global average pool, linear classifier.

    (N, 3, H, W) -> (N, num_classes).  Stem: "imagenet" is a 7x7 convolution of stride 2 and a 3x3 max pool of
    stride 2, "cifar" a 3x3 convolution of stride 1; every stage but the first halves the size.
    `depths` are the published blocks per stage; the recipe's `base_width` and `blocks` come first. A stem of
    another width than the first stage (`stem_width`) is widened by the first block, whose shortcut then has a
    convolution too.
    With `prelus`, a PReLU with real slopes follows the stem convolution and another precedes the global pool.

    Source: A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739).
    """

    def __init__(self, recipe: Recipe, depths: tuple[int, ...], block: BlockFactory, *, prelus: bool) -> None:
        super().__init__()
        depths = recipe.depths(depths)
        widths = recipe.widths(len(depths), WIDTH)
        imagenet = recipe.stem == "imagenet"
        kernel, stride = (7, 2) if imagenet else (3, 1)
        stem = recipe.network.stem_width or widths[0]
        self.conv1 = recipe.real_conv(3, stem, kernel, stride)
        self.bn1 = recipe.norm(stem)
        self.prelu1 = nn.PReLU(stem) if prelus else nn.Identity()
        self.maxpool = nn.MaxPool2d(3, 2, 1) if imagenet else nn.Identity()
        self.prelu2 = nn.PReLU(widths[-1]) if prelus else nn.Identity()

        in_ch, first_stride = stem, 1
        stages: list[nn.Module] = []
        for out_ch, betas in zip(widths, resnet_betas(depths, recipe.alpha), strict=True):
            blocks = [block(recipe, in_ch, out_ch, first_stride, betas[0])]
            blocks += [block(recipe, out_ch, out_ch, 1, beta) for beta in betas[1:]]
            stages.append(nn.Sequential(*blocks))
            in_ch, first_stride = out_ch, 2
        self.stages = [f"layer{number}" for number in range(1, len(stages) + 1)]
        for name, stage in zip(self.stages, stages, strict=True):
            self.add_module(name, stage)

        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(widths[-1], recipe.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images."""
        x = self.maxpool(self.prelu1(self.bn1(self.conv1(x))))  # (N, 64, H/4, W/4); cifar: (N, 64, H, W)
        for name in self.stages:
            x = getattr(self, name)(x)
        # now (N, 512, H/32, W/32); cifar: H/8, W/8
        x = self.flatten(self.avgpool(self.prelu2(x)))  # (N, 512)
        logits: Tensor = self.fc(x)
        return logits


class PlainBlock(nn.Module):
    """Block of Bi-Real Net, XNOR-Net and BNN: out = alpha * conv3x3(sign(beta*x)) + shortcut(x).

    (N, in, H, W) -> (N, out, H/stride, W/stride).  Batch-norm baseline: norm(conv3x3(sign(x))) + shortcut(x).
    """

    def __init__(
        self, recipe: Recipe, in_ch: int, out_ch: int, stride: int, beta: float, shortcut: nn.Module
    ) -> None:
        super().__init__()
        self.sign = recipe.sign(beta)
        self.conv1 = recipe.conv(in_ch, out_ch, 3, stride)
        self.scale1 = recipe.scale(out_ch)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Residual branch plus shortcut."""
        branch = scaled_convolution(self.sign(x), self.conv1, self.scale1)
        shortcut: Tensor = self.downsample(x)
        return branch + shortcut
