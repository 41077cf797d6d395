"""BNN 18: binary weights without a scale per channel."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from abcost.models.recipe import Recipe
from abcost.models.registry import MODELS
from abcost.models.resnet import DEPTHS_18, ResNet
from abcost.models.zoo.xnornet import xnor_block


@MODELS.add("bnn_18")
def bnn_18(recipe: Recipe) -> nn.Module:
    """BNN-18: ResNet-18 with plain sign weights, no scale per channel.

    "bn" is the baseline: weights sign(W), batch norm after every binary convolution, those of the shortcuts
    included (175,616 elements at 224x224 that the published count of BNN-ResNet-18 leaves out).

    "ab" and "bn-free" are abcost's own extension by analogy, not published: the A&B form of `xnornet_18` with
    weights fan_in**-0.5 * sign(W^), one fixed scale per layer in place of gain*s. Step 1 has no gain either,
    so that both steps have the same parameters.
    """
    return ResNet(replace(recipe, channel_scale=False), DEPTHS_18, xnor_block, prelus=not recipe.batch_norm)
