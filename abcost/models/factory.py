"""From a name to a network, and what the zoo holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, Unpack

import torch
from torch import nn

from abcost.errors import ModelError, UsageError
from abcost.models.network import NetworkSpec, ShapeOptions
from abcost.models.properties import VARIANTS
from abcost.models.recipe import STEMS, Recipe
from abcost.models.registry import MODELS, ModelFactory


def build(
    name: str,
    *,
    variant: str = "ab",
    step: int = 2,
    stem: str = "imagenet",
    num_classes: int = 1000,
    alpha_exponent: int | None = None,
    **shape: Unpack[ShapeOptions],
) -> nn.Module:
    """A network of the zoo with fresh weights, in training mode; (N, 3, H, W) -> (N, num_classes).

    variant: "ab" (A&B BNN), "bn-free" (real slopes) or "bn" (batch-norm baseline). XNOR-Net and Bi-Real Net have no
        slopes in their blocks: their "ab" and "bn-free" are one network.
    step: 1, real weights in the blocks, or 2, binary ones.
    stem: "imagenet" (224x224) or "cifar" (32x32).
    alpha_exponent: the residual scale alpha is 2**alpha_exponent, and beta follows it; None: as published, -2.
    shape: base_width, blocks, …, as `ShapeOptions` has them; left out: as published.

    Raises UnknownName (name, variant, stem) and UsageError (all others).

    >>> build("reactnet_18", stem="cifar", num_classes=10).fc
    Linear(in_features=512, out_features=10, bias=True)
    """
    asked = {"variant": variant, "step": step, "num_classes": num_classes, "alpha_exponent": alpha_exponent}
    return made(Recipe(NetworkSpec.from_dict({"model": name, **asked, **shape}), stem))


def made(recipe: Recipe) -> nn.Module:
    """The network of a recipe. Raises UnknownName for one that the zoo does not have."""
    return MODELS.get(recipe.network.model)(recipe)


def check_images(name: str, shape: Sequence[int], *, stem: str = "imagenet", **asked: Any) -> None:
    """Whether `build(name, stem=stem, **asked)` takes images of this shape, (N, 3, H, W).

    Raises ModelError if it does not, and as `build`.

    >>> check_images("reactnet_18", (1, 3, 8, 8), stem="cifar")
    """
    check_recipe(Recipe(NetworkSpec.from_dict({"model": name, **asked}), stem), shape)


def check_recipe(recipe: Recipe, shape: Sequence[int]) -> None:
    """Check images as `check_images` does; each network and shape is tried once."""
    _check_recipe(recipe, tuple(shape))


@lru_cache
def _check_recipe(recipe: Recipe, shape: tuple[int, ...]) -> None:
    """Run one image.

    Shapes alone would do, but torch loads its compiler to compute those, which takes longer than an image does.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        network = made(recipe).eval()
        try:
            network(torch.zeros(1, *shape[1:]))
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            text = "x".join(map(str, shape))
            raise ModelError(
                f"the model fails on an input of shape {text}: {reason}; {recipe.network.model} halves the size in "
                "every stage but the first: take images of another size (--input-size), or fewer stages (--blocks)"
            ) from error


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One network of the zoo."""

    name: str
    description: str  # one line
    parameters: int  # trainable


def catalogue(
    *, variant: str = "ab", stem: str = "imagenet", num_classes: int = 1000
) -> list[CatalogueEntry]:
    """All networks that have the variant and stem, by name. Counts parameters, allocates none. Raises as `build`."""
    entries: list[CatalogueEntry] = []
    for name, make in MODELS:
        spec = NetworkSpec(name, variant=variant, num_classes=num_classes)
        network = _without_storage(make, Recipe(spec, stem))
        if network is None:
            continue
        parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
        description = (make.__doc__ or "").partition("\n")[0]
        entries.append(CatalogueEntry(name, description, parameters))
    return entries


def fitting(shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The networks of the zoo whose tensors have exactly these names and shapes, as text for a message.

    Both steps have the same tensors, and some variants do, so a checkpoint may fit more than one.
    """
    classifier = shapes.get("fc.bias", ())
    if len(classifier) != 1 or classifier[0] < 1:
        return []
    found: list[str] = []
    for (name, make), variant, stem in product(MODELS, VARIANTS, STEMS):
        recipe = Recipe(NetworkSpec(name, variant=variant, num_classes=classifier[0]), stem)
        network = _without_storage(make, recipe)
        tensors = {} if network is None else network.state_dict()
        if {key: tuple(tensor.shape) for key, tensor in tensors.items()} == dict(shapes):
            found.append(f"{name} (variant {variant}, stem {stem}, {classifier[0]} classes)")
    return found


def _without_storage(make: ModelFactory, recipe: Recipe) -> nn.Module | None:
    """None: a plug-in's model that has no such variant or stem."""
    try:
        with torch.device("meta"):  # shapes only: takes a hundredth of a second
            return make(recipe)
    except UsageError:
        return None
