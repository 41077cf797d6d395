"""XNOR-Net 18: binary everywhere, shortcut convolutions too."""

from __future__ import annotations

from torch import nn

from abcost.models.recipe import Recipe
from abcost.models.registry import MODELS
from abcost.models.resnet import DEPTHS_18, PlainBlock, ResNet


def xnor_block(recipe: Recipe, in_ch: int, out_ch: int, stride: int, beta: float) -> nn.Module:
    """PlainBlock whose shortcut is a 1x1 convolution of stride 2 of the un-binarised x, or the identity."""
    shortcut: nn.Module = nn.Identity()
    if in_ch != out_ch:
        shortcut = nn.Sequential(recipe.conv(in_ch, out_ch, 1, stride), recipe.norm(out_ch))
    return PlainBlock(recipe, in_ch, out_ch, stride, beta, shortcut)


@MODELS.add("xnornet_18")
def xnornet_18(recipe: Recipe) -> nn.Module:
    """XNOR-Net-18: ResNet-18 with one scale per channel of binary weights, shortcuts included.

    "ab" and "bn-free" are the same network, as for `birealnet_18`. Of the two accuracies that the paper prints for it
    (CIFAR-10 / CIFAR-100), 89.94 / 64.51 is A&B BNN, trained by its own recipe, as `abcost train` does, and
    79.67 / 53.76 is the BN-free baseline that it compares with.

    The batch-norm baseline leaves out the
    activation scale K of the original (one multiplication per position, 16,660 at 224x224).
    """
    return ResNet(recipe, DEPTHS_18, xnor_block, prelus=not recipe.batch_norm)
