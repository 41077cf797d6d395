"""A network with binary convolutions and the operator of this package."""

from torch import Tensor, nn

from abcost.models.recipe import Recipe
from abcost.models.registry import MODELS
from abcost_sample.handlers import shrink

WIDTH = 16  # channels of the first stage, unless the user says otherwise
DEPTHS = (2, 1)  # blocks per stage
BY = 1 / 16  # what a block takes off its input and its result


class Block(nn.Module):
    """Binary 3x3 convolution beside its input; both are shrunk."""

    def __init__(self, recipe: Recipe, in_ch: int, out_ch: int) -> None:
        super().__init__()
        self.sign = recipe.sign(1.0)
        self.conv = recipe.conv(in_ch, out_ch, 3)
        self.scale = recipe.scale(out_ch)
        self.shortcut = nn.Identity() if in_ch == out_ch else recipe.real_conv(in_ch, out_ch, 1)
        self.prelu = recipe.prelu(out_ch)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_ch, H, W) -> (N, out_ch, H, W)."""
        x = shrink(x, BY)
        x = self.scale(self.conv(self.sign(x))) + self.shortcut(x)
        return shrink(self.prelu(x), BY)


class SampleNet(nn.Module):
    """Stem, stages of blocks with a pool between them, classifier."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        depths = recipe.depths(DEPTHS)
        widths = recipe.widths(len(depths), WIDTH)
        self.stem = recipe.real_conv(3, widths[0], 3)
        self.norm = recipe.norm(widths[0])
        layers: list[nn.Module] = []
        before = widths[0]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            if stage:
                layers.append(nn.AvgPool2d(2))
            for _ in range(depth):
                layers.append(Block(recipe, before, width))
                before = width
        self.blocks = nn.Sequential(*layers)
        self.fc = nn.Linear(before, recipe.num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, classes)."""
        x = self.blocks(self.norm(self.stem(x)))
        return self.fc(x.mean((2, 3)))


@MODELS.add("sample_net")
def sample_net(recipe: Recipe) -> nn.Module:
    """Sample of a plug-in: binary blocks that shrink what they pass on."""
    return SampleNet(recipe)
