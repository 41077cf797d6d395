"""From a name to a network, and what the zoo holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import nn

from abcost.errors import ModelError, UsageError
from abcost.models.recipe import STEMS, VARIANTS, Recipe
from abcost.models.registry import MODELS, ModelFactory


def build(
    name: str,
    *,
    variant: str = "ab",
    step: int = 2,
    stem: str = "imagenet",
    num_classes: int = 1000,
    base_width: int | None = None,
    blocks: Sequence[int] | None = None,
    alpha_exponent: int | None = None,
) -> nn.Module:
    """A network of the zoo with fresh weights, in training mode; (N, 3, H, W) -> (N, num_classes).

    variant: "ab" (A&B BNN), "bn-free" (real slopes) or "bn" (batch-norm baseline). XNOR-Net and Bi-Real Net have no
        slopes in their blocks: their "ab" and "bn-free" are one network.
    step: 1, real weights in the blocks, or 2, binary ones.
    stem: "imagenet" (224x224) or "cifar" (32x32).
    base_width: channels of the first stage, of the stem in reactnet_a; every further stage has twice as many.
    blocks: blocks per stage, for as many stages as there are entries.  None for either: as published.
    alpha_exponent: the residual scale alpha is 2**alpha_exponent, and beta follows it; None: as published, -2.

    Raises UnknownName (name, variant, stem) and UsageError (step, num_classes, base_width, blocks,
    alpha_exponent).

    >>> build("reactnet_18", stem="cifar", num_classes=10).fc
    Linear(in_features=512, out_features=10, bias=True)
    """
    recipe = Recipe(
        variant=variant,
        step=step,
        stem=stem,
        num_classes=num_classes,
        base_width=base_width,
        blocks=None if blocks is None else tuple(blocks),
        alpha_exponent=alpha_exponent,
    )
    return MODELS.get(name)(recipe)


def check_images(name: str, shape: Sequence[int], **recipe: Any) -> None:
    """Whether `build(name, **recipe)` takes images of this shape, (N, 3, H, W), found out without computing.

    Raises ModelError if it does not, and as `build`.

    >>> check_images("reactnet_18", (1, 3, 8, 8), stem="cifar")
    """
    with torch.device("meta"), torch.no_grad():
        network = build(name, **recipe).eval()
        try:
            network(torch.empty(tuple(shape)))
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            text = "x".join(map(str, shape))
            raise ModelError(
                f"the model fails on an input of shape {text}: {reason}; {name} halves the size in every stage but "
                "the first: take images of another size (--input-size), or fewer stages (--blocks)"
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
    recipe = Recipe(variant=variant, stem=stem, num_classes=num_classes)
    entries: list[CatalogueEntry] = []
    for name, make in MODELS:
        network = _without_storage(make, recipe)
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
        recipe = Recipe(variant=variant, stem=stem, num_classes=classifier[0])
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
