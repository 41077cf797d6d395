"""Which network: one value, from the command line, a call, a config or a checkpoint to the module that is built.

To add a property: a field of `NetworkSpec` that says how it is asked for and which values it may have, the same name
among the options below, and its use where the network is built, as `recipe.network.NAME`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypedDict

from abcost.errors import ModelError, UsageError, one_line
from abcost.models.presets import PRESETS, preset
from abcost.models.properties import (
    VARIANTS,
    Property,
    as_text,
    asked_for,
    check_count,
    check_counts,
    check_shift,
    check_step,
    one_of,
)
from abcost.registry import unknown_name

if TYPE_CHECKING:
    from torch import nn

    from abcost.models.recipe import Recipe

ONNX = ".onnx"


class ShapeOptions(TypedDict, total=False):
    """How a reduced network differs from the published one; None, or left out: not at all.

    base_width: channels of the first stage (reactnet_a: of the stem), doubling per stage.
    blocks: blocks per stage, such as (2, 2, 2); as many stages as entries.
    stem_width: channels of the stem (not of reactnet_a, whose stem has base_width).
    """

    base_width: int | None
    blocks: Sequence[int] | None
    stem_width: int | None


class FormOptions(ShapeOptions, total=False):
    """As `ShapeOptions`, and which form of the network it is.

    variant: "ab" (default), "bn-free" or "bn".  preset: "imagenet" (default), "cifar10", "cifar100", "digits" or
    "mnist5k": stem, classes and input size together.  alpha_exponent: the residual scale alpha is 2**alpha_exponent
    (-2).
    """

    variant: str | None
    preset: str | None
    alpha_exponent: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """A network by name, and how it is built. None: as its checkpoint says, else as `resolved`, else as published.

    model: a name of the zoo; all else is None where it names a user's own network or a file.

    Raises UsageError or UnknownName for a value that its property cannot have.

    >>> NetworkSpec("reactnet_18", preset="digits", base_width=16, blocks=(2, 2)).build().fc
    Linear(in_features=32, out_features=10, bias=True)
    """

    model: str = field(kw_only=False)
    variant: str | None = asked_for(str, one_of(VARIANTS), "ab (default), bn-free or bn; zoo models only.")
    step: int | None = asked_for(
        int, check_step, "Training step: 1 real weights, 2 (default) binary; zoo models only."
    )
    preset: str | None = asked_for(
        str, one_of(tuple(PRESETS)),
        "imagenet, cifar10, cifar100, digits or mnist5k: stem, classes and input size together. Default: the "
        "checkpoint's, or imagenet.",
    )  # fmt: skip
    num_classes: int | None = asked_for(int, check_count, "Outputs of the classifier; zoo models only.")
    base_width: int | None = asked_for(
        int, check_count,
        "Reduced network: channels of the first stage (reactnet_a: of the stem), doubling per stage.", reduces=True,
    )  # fmt: skip
    blocks: tuple[int, ...] | None = asked_for(
        tuple, check_counts,
        "Reduced network: blocks per stage, such as 2,2,2; as many stages as entries.", reduces=True,
    )  # fmt: skip
    stem_width: int | None = asked_for(
        int, check_count, "Channels of the stem; default: those of the first stage. Not of reactnet_a.", reduces=True,
    )  # fmt: skip
    alpha_exponent: int | None = asked_for(
        int, check_shift, "Exponent of the residual scale alpha; published: -2, which is 1/4."
    )

    def __post_init__(self) -> None:
        for name, known in PROPERTIES.items():
            value = getattr(self, name)
            if value is not None:
                known.check(name, value)
        if self.alpha_exponent is not None and self.variant == "bn":
            raise UsageError(
                f"alpha_exponent {self.alpha_exponent}: the batch-norm baseline has no alpha; leave it out"
            )

    @property
    def network(self) -> NetworkSpec:
        """The network alone, of a value that says more."""
        return NetworkSpec(self.model, **self.said())

    def check_own(self, *allowed: str) -> None:
        """Raise UsageError for a property that only networks of the zoo have, of a network of the user's own."""
        for name in self.said():
            if name not in allowed:
                raise UsageError(
                    f"--{name.replace('_', '-')} is for zoo models; your own factory takes --model-arg name=value"
                )

    def said(self) -> dict[str, Any]:
        """The properties that are not None, by name."""
        values = {name: getattr(self, name) for name in PROPERTIES}
        return {name: value for name, value in values.items() if value is not None}

    def reduction(self) -> dict[str, Any]:
        """How it differs from the published network, in plain values; empty where it does not."""
        return {name: _plain(value) for name, value in self.said().items() if PROPERTIES[name].reduces}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoints; `from_dict` reads them."""
        return {"model": self.model, **{name: _plain(getattr(self, name)) for name in PROPERTIES}}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The network that gave these values; what is left out is None. Raises UnknownName or UsageError."""
        for name in plain:
            if name != "model" and name not in PROPERTIES:
                raise unknown_name("property of a network", name, ["model", *PROPERTIES])
        model = plain.get("model")
        if not isinstance(model, str):
            raise UsageError(
                f"model must be the name of a network, as abcost models lists them, got {model!r}"
            )
        return cls(model, **{name: held(name, value) for name, value in plain.items() if name != "model"})

    def completed(self, said: NetworkSpec, checkpoint: str) -> Self:
        """The network with what a checkpoint says of it. Raises UsageError where the two contradict."""
        shown = repr(checkpoint)
        if said.model and said.model != self.model:
            raise UsageError(
                f"checkpoint {shown} is of {said.model}, not of {self.model}; name the network that was trained"
            )
        for name, trained in said.said().items():
            asked = getattr(self, name)
            if asked not in {None, trained}:
                option = f"--{name.replace('_', '-')}"
                raise UsageError(
                    f"{option} {as_text(asked)} contradicts checkpoint {shown}, which was trained with "
                    f"{as_text(trained)}; leave {option} out"
                )
        return replace(self, **said.said())

    def resolved(self) -> Self:
        """The network with variant, step, preset and classes: the paper's on ImageNet, where nothing was said."""
        named = self.preset or "imagenet"
        return replace(
            self,
            variant=self.variant or "ab",
            step=self.step or 2,
            preset=named,
            num_classes=self.num_classes or preset(named).num_classes,
        )

    def recipe(self) -> Recipe:
        """The layers that its blocks are built from, with the stem of its preset."""
        from abcost.models.recipe import Recipe  # noqa: PLC0415 - loads torch

        network = self.network.resolved()
        return Recipe(network, preset(network.preset or "imagenet").stem)

    def build(self) -> nn.Module:
        """Build it with fresh weights, in training mode. Raises UnknownName; ModelError if memory is too small."""
        from abcost.models.factory import made  # noqa: PLC0415 - loads torch

        recipe = self.recipe()
        try:
            return made(recipe)
        except (RuntimeError, MemoryError, OverflowError, TypeError) as error:  # a billion classes
            asked = ", ".join(f"{name} {as_text(value)}" for name, value in recipe.network.said().items())
            raise ModelError(f"{self.model} cannot be built with {asked}: {one_line(error)}") from error

    def check_images(self, shape: Sequence[int]) -> None:
        """Raise ModelError unless it takes images of this shape, (N, 3, H, W)."""
        from abcost.models.factory import check_recipe  # noqa: PLC0415 - loads torch

        check_recipe(self.recipe(), shape)


PROPERTIES: Mapping[str, Property] = MappingProxyType(
    {f.name: f.metadata["property"] for f in fields(NetworkSpec) if f.metadata}
)
"""Name -> how it is asked for; in the order of the fields."""
REDUCTIONS = tuple(name for name, known in PROPERTIES.items() if known.reduces)


def of_zoo(model: str) -> bool:
    """Whether the name can only be that of a network of the zoo."""
    return ":" not in model and not holds_weights(model)


def holds_weights(model: str) -> bool:
    """Whether the name is that of a file that holds a network and its weights, not of something that makes one."""
    return model.endswith((ONNX, ".pt2"))


def held(name: str, value: Any) -> Any:
    """A value as a spec holds it, under the name of a property or of anything else: numbers in a list as a tuple."""
    several = name in PROPERTIES and PROPERTIES[name].kind is tuple
    return tuple(value) if several and isinstance(value, Sequence) and not isinstance(value, str) else value


def parsed(name: str, text: str) -> str | int | tuple[int, ...]:
    """A property as it stands in text: bn, 16, or 2,2,2. Raises UsageError; its values are checked by the spec."""
    kind = PROPERTIES[name].kind
    if kind is str:
        return text
    if kind is int:
        try:
            return int(text)
        except ValueError:
            raise UsageError(f"{name}={text} is not a number") from None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        option = f"--{name.replace('_', '-')}"
        raise UsageError(f"{option} {text!r} is not of the form 2,2,2: {name} of every stage") from None


def _plain(value: object) -> Any:
    return list(value) if isinstance(value, tuple) else value
