"""One step of a training: every value of the recipe, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any, Self

import torch

from abcost.core.exponents import LEAST, MOST
from abcost.data.lighting import LIGHTINGS
from abcost.errors import UsageError
from abcost.models.network import NetworkSpec, held, holds_weights, of_zoo
from abcost.registry import unknown_name

PRECISIONS = ("32", "64", "bf16-mixed", "bf16-backward")
ACCELERATORS = ("auto", "cpu", "cuda")
SELECTIONS = ("validation", "test")
TIES = ("later", "loss")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(NetworkSpec):
    """A network, and how one step trains it. Raises UsageError or UnknownName for values that make no sense.

    It has as many classes as the data, and the stem of the data's preset where `preset` is None.

    `published` values and those of short runs: see `abcost.training.recipes`. A value that an older run does not have
    written down is the one given here, which is what that run was trained with.
    """

    variant: str | None = "ab"  # None: a network of the user's own
    step: int = 2  # 1: real weights in the blocks; 2: binary
    model_args: Mapping[str, Any] | None = None  # of the user's own factory, as JSON holds them
    # the data
    data: str = "digits"  # a name, a folder of images, or file.py:function
    data_root: str | None = None
    image_size: int | None = None
    augment: bool = True  # move and flip training images
    shift: int | None = None  # pixels, at most; None: as documented for the data, as the next two
    flip: bool | None = None
    lighting: str | None = None  # of image files: 8-bit (published), float or none; None: float
    workers: int | None = None  # processes that read image files
    select_on: str = "validation"  # the split that chooses the best epoch
    ties: str = "loss"  # of equal top-1, "later" (published) keeps the last epoch, "loss" that of least loss
    # the recipe
    seed: int = 2023
    epochs: int = 256
    batch_size: int = 256  # over all processes
    lr: float = 1e-3  # falls linearly, per epoch
    slope_lr: float | None = None  # of the slope exponents; None: lr
    weight_decay: float = 0.0  # of parameters of four dimensions
    clip: float | None = 1e-3  # of adaptive gradient clipping; None: none
    distillation: float = 0.0  # share of the distribution loss; the rest is cross-entropy with the labels
    init: str | None = None  # checkpoint to start from; in a second step, that of the first
    teacher: str | None = None  # resnet34 (torchvision), or a checkpoint
    teacher_model: str | None = None  # what that is of, if it does not say so itself
    # the slopes
    slopes: Mapping[str, tuple[int, ...]] | None = None  # layer -> exponents that it may take
    fixed_slope: int | None = None  # every slope is 2**fixed_slope
    # the machine
    precision: str = "32"
    compile: bool = False
    accelerator: str = "auto"
    devices: int = 1
    threads: int | None = None  # per process; None: torch's own choice

    def __post_init__(self) -> None:
        NetworkSpec.__post_init__(self)
        self._check_own()
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            if value not in known and not (value is None and name in _OPTIONAL):
                raise unknown_name(_option(name), str(value), known)
        for name, (least, most) in _WHOLE.items():
            _check_whole(name, getattr(self, name), least, most)
        for name, (least_, most_) in _REAL.items():
            _check_real(name, getattr(self, name), least_, most_)
        for name, kind in (*((n, str) for n in _TEXTS), *((n, bool) for n in _SWITCHES)):
            _check_kind(name, getattr(self, name), kind)
        if self.distillation and not self.teacher:
            raise UsageError(
                f"--distillation {self.distillation:g} needs a --teacher: resnet34 or a checkpoint"
            )
        if self.slopes is not None and self.fixed_slope is not None:
            raise UsageError("--slopes and --fixed-slope exclude each other: one restricts, the other fixes")

    def _check_own(self) -> None:
        """Raise UsageError for what does not go with the sort of network."""
        if holds_weights(self.model):
            raise UsageError(
                f"{self.model} holds weights of its own: name a network of the zoo, or file.py:factory"
            )
        if self.own:
            self.check_own("step")
        elif self.model_args:
            raise UsageError("--model-arg is for your own factory: leave it out")

    @property
    def own(self) -> bool:
        """Whether the network is made by a factory of the user's."""
        return not of_zoo(self.model)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the parameters."""
        return torch.float64 if self.precision == "64" else torch.float32

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoints; `from_dict` reads them."""
        plain = {**asdict(self), **self.network.to_dict()}
        del plain["num_classes"]  # as many as the data has
        if self.slopes is not None:
            plain["slopes"] = {layer: list(exponents) for layer, exponents in self.slopes.items()}
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """The config that gave these values; what this version does not know is left out. Raises as `Config`."""
        values = {name: held(name, value) for name, value in plain.items() if name in NAMES}
        if values.get("slopes") is not None:
            values["slopes"] = {layer: tuple(exponents) for layer, exponents in values["slopes"].items()}
        return cls(**values)


NAMES = tuple(field.name for field in fields(Config) if field.name != "num_classes")

_MOST = 2**63 - 1
_CHOICES: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "precision": PRECISIONS,
        "accelerator": ACCELERATORS,
        "select_on": SELECTIONS,
        "ties": TIES,
        "lighting": LIGHTINGS,
    }
)
_WHOLE: Mapping[str, tuple[int, int]] = MappingProxyType(  # name -> least and greatest value
    {
        **dict.fromkeys(("epochs", "batch_size", "devices", "threads", "image_size"), (1, _MOST)),
        "seed": (0, _MOST),
        **dict.fromkeys(("shift", "workers"), (0, _MOST)),
        "fixed_slope": (LEAST, MOST),
    }
)
_TINY = 5e-324  # the least number above 0
_REAL: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        **dict.fromkeys(("lr", "slope_lr", "clip"), (_TINY, math.inf)),
        "weight_decay": (0.0, math.inf),
        "distillation": (0.0, 1.0),
    }
)
_TEXTS = ("model", "data", "data_root", "teacher", "teacher_model", "init")
_SWITCHES = ("augment", "compile", "flip")
_OPTIONAL = frozenset(field.name for field in fields(Config) if field.default is None)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if value is None and name in _OPTIONAL:
        return
    if type(value) is not int:
        raise UsageError(f"{_option(name)} must be a whole number, got {value!r}")
    if not least <= value <= most:
        limit = f"at least {least}" if most == _MOST else f"between {least} and {most}"
        raise UsageError(f"{_option(name)} must be {limit}, got {value}")


def _check_real(name: str, value: object, least: float, most: float) -> None:
    if value is None and name in _OPTIONAL:
        return
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise UsageError(f"{_option(name)} must be a number, got {value!r}")
    if not (math.isfinite(value) and least <= value <= most):
        lower = "above 0" if least == _TINY else f"at least {least:g}"
        upper = f" and at most {most:g}" if most < math.inf else ""
        raise UsageError(f"{_option(name)} must be {lower}{upper}, got {value:g}")


def _check_kind(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind) and not (value is None and name in _OPTIONAL):
        wanted = "text" if kind is str else "true or false"
        raise UsageError(f"{_option(name)} must be {wanted}, got {value!r}")
