"""ReActNet-18 and -34: shifted signs and RPReLU in every block."""

from __future__ import annotations

from torch import Tensor, nn

from abcost.models.recipe import Recipe
from abcost.models.registry import MODELS
from abcost.models.resnet import DEPTHS_18, DEPTHS_34, ResNet, pooled_shortcut
from abcost.nn import rprelu, scaled_convolution, shifted_sign


class ReActBlock(nn.Module):
    """Block of ReActNet: out = rprelu(alpha * conv3x3(sign(beta*(x + b0/beta))) + shortcut(x)).

    (N, in, H, W) -> (N, out, H/stride, W/stride);  rprelu = move1, prelu, move2.
    The 1x1 convolution of the shortcut reads x itself: in step 2 its weights are binary, its input is real.
    In the batch-norm baseline it is real in both steps, as it was in the original.

    Source: Liu et al., ReActNet, ECCV 2020; alpha and beta: A&B BNN (Ma et al., CVPR 2024).
    """

    def __init__(self, recipe: Recipe, in_ch: int, out_ch: int, stride: int, beta: float) -> None:
        super().__init__()
        # drawn before the block's own convolution, as published, but last among the parameters
        shortcut_conv = recipe.real_conv if recipe.batch_norm else recipe.conv
        shortcut = pooled_shortcut(recipe, in_ch, out_ch, stride, shortcut_conv)
        self.move0 = recipe.move(in_ch, beta)
        self.sign = recipe.sign(beta)
        self.conv1 = recipe.conv(in_ch, out_ch, 3, stride)
        self.scale1 = recipe.scale(out_ch)
        self.move1 = recipe.move(out_ch)
        self.prelu = recipe.prelu(out_ch)
        self.move2 = recipe.move(out_ch)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Residual branch plus shortcut, then RPReLU."""
        branch = scaled_convolution(shifted_sign(x, self.move0, self.sign), self.conv1, self.scale1)
        return rprelu(branch + self.downsample(x), self.move1, self.prelu, self.move2)


@MODELS.add("reactnet_18")
def reactnet_18(recipe: Recipe) -> nn.Module:
    """ReActNet-18: ResNet-18 with shifted signs and RPReLU."""
    return ResNet(recipe, DEPTHS_18, ReActBlock, prelus=False)


@MODELS.add("reactnet_34")
def reactnet_34(recipe: Recipe) -> nn.Module:
    """ReActNet-34: ResNet-34 with shifted signs and RPReLU."""
    return ResNet(recipe, DEPTHS_34, ReActBlock, prelus=False)
