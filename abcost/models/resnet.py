"""The ResNet shape that ReActNet-18, Bi-Real Net, XNOR-Net and BNN share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from abcost.models.recipe import Recipe
from abcost.models.variance import resnet_betas
from abcost.nn import scaled_convolution

DEPTHS_18 = (4, 4, 4, 4)  # blocks per stage; a block has one 3x3 convolution, half of a ResNet basic block
DEPTHS_34 = (6, 8, 12, 6)
WIDTHS = (64, 128, 256, 512)  # channels per stage

BlockFactory = Callable[[Recipe, int, int, int, float], nn.Module]
"""Makes a block from recipe, input channels, output channels, stride and beta."""


ConvFactory = Callable[[int, int, int], nn.Module]
"""Makes a convolution from input channels, output channels and kernel size."""


def pooled_shortcut(recipe: Recipe, in_ch: int, out_ch: int, conv: ConvFactory) -> nn.Module:
    """Shortcut of ReActNet and Bi-Real Net: (N, in, H, W) -> (N, out, H/2, W/2); identity if in = out."""
    if in_ch == out_ch:
        return nn.Identity()
    return nn.Sequential(nn.AvgPool2d(2, 2), conv(in_ch, out_ch, 1), recipe.norm(out_ch))


class ResNet(nn.Module):
    """Stem, four stages of blocks, global average pool, linear classifier.

    (N, 3, H, W) -> (N, num_classes).  Stem: "imagenet" is a 7x7 convolution of stride 2 and a 3x3 max pool of
    stride 2, "cifar" a 3x3 convolution of stride 1; stages 2-4 halve the size.
    With `prelus`, a PReLU with real slopes follows the stem convolution and another precedes the global pool.

    Source: A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739).
    """

    def __init__(self, recipe: Recipe, depths: Sequence[int], block: BlockFactory, *, prelus: bool) -> None:
        super().__init__()
        imagenet = recipe.stem == "imagenet"
        kernel, stride = (7, 2) if imagenet else (3, 1)
        self.conv1 = recipe.real_conv(3, WIDTHS[0], kernel, stride)
        self.bn1 = recipe.norm(WIDTHS[0])
        self.prelu1 = nn.PReLU(WIDTHS[0]) if prelus else nn.Identity()
        self.maxpool = nn.MaxPool2d(3, 2, 1) if imagenet else nn.Identity()
        self.prelu2 = nn.PReLU(WIDTHS[-1]) if prelus else nn.Identity()

        in_ch, first_stride = WIDTHS[0], 1
        stages: list[nn.Module] = []
        for out_ch, betas in zip(WIDTHS, resnet_betas(depths), strict=True):
            blocks = [block(recipe, in_ch, out_ch, first_stride, betas[0])]
            blocks += [block(recipe, out_ch, out_ch, 1, beta) for beta in betas[1:]]
            stages.append(nn.Sequential(*blocks))
            in_ch, first_stride = out_ch, 2
        self.layer1, self.layer2, self.layer3, self.layer4 = stages

        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(WIDTHS[-1], recipe.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images."""
        x = self.maxpool(self.prelu1(self.bn1(self.conv1(x))))  # (N, 64, H/4, W/4); cifar: (N, 64, H, W)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # (N, 512, H/32, W/32); cifar: H/8, W/8
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
