"""Bi-Real Net 18 and 34: a shortcut around every binary convolution, with real 1x1 convolutions on it."""

from __future__ import annotations

from torch import nn

from abcost.models.recipe import Recipe
from abcost.models.registry import MODELS
from abcost.models.resnet import DEPTHS_18, DEPTHS_34, PlainBlock, ResNet, pooled_shortcut


def bireal_block(recipe: Recipe, in_ch: int, out_ch: int, stride: int, beta: float) -> nn.Module:
    """PlainBlock with a pooled shortcut, whose 1x1 convolution has real weights in both steps."""
    shortcut = pooled_shortcut(recipe, in_ch, out_ch, stride, recipe.real_conv)
    return PlainBlock(recipe, in_ch, out_ch, stride, beta, shortcut)


@MODELS.add("birealnet_18")
def birealnet_18(recipe: Recipe) -> nn.Module:
    """Bi-Real-18: ResNet-18 with a shortcut around every convolution and real shortcut weights.

    The PReLUs of the A&B form (after the stem, before the global pool) have real slopes, so "ab" and
    "bn-free" are the same network; the batch-norm baseline has none.

    The paper prints two accuracies for the one network (CIFAR-10 / CIFAR-100): 90.09 / 65.52 is A&B BNN, trained by
    its own recipe, as `abcost train` does; 79.59 / 54.34 is the BN-free baseline that it compares with.
    """
    return ResNet(recipe, DEPTHS_18, bireal_block, prelus=not recipe.batch_norm)


@MODELS.add("birealnet_34")
def birealnet_34(recipe: Recipe) -> nn.Module:
    """Bi-Real-34: ResNet-34 with a shortcut around every convolution and real shortcut weights.

    Variants as in `birealnet_18`. Its A&B form follows the rule of the 18 layers; the paper has only the
    batch-norm baseline.
    """
    return ResNet(recipe, DEPTHS_34, bireal_block, prelus=not recipe.batch_norm)
