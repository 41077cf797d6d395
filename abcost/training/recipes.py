"""Which values a training starts from: the published ones per data set, then a TOML file, then flags.

=============  ==========  ==========  =========================
value          CIFAR       ImageNet    digits, mnist5k
=============  ==========  ==========  =========================
epochs         256         256         40, 15
batch_size     256         256         64
lr             1e-3        1e-3        1e-2
slope_lr       as lr       as lr       5e-2
clip           0.001       0.02        0.02
weight_decay   5e-6 in step 1, 0 in step 2, everywhere
loss           labels      teacher     labels
lighting       none        8-bit       none
ties           later       later       loss
=============  ==========  ==========  =========================

A data set by name that is not in the table is trained as digits are.

Source: A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739). Short runs are abcost's own: at the published learning
rate, slopes do not leave their start within tens of epochs.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from abcost.core.reading import read_text
from abcost.data.registry import DATA
from abcost.errors import UsageError, one_line
from abcost.models.network import held, of_zoo
from abcost.models.properties import STEPS
from abcost.models.slope_sets import read_slope_sets
from abcost.registry import unknown_name
from abcost.training.config import NAMES, Config

CIFAR: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 256,
        "batch_size": 256,
        "lr": 1e-3,
        "clip": 1e-3,
        "distillation": 0.0,
        "seed": 2023,
        "ties": "later",
    }
)
IMAGENET: Mapping[str, Any] = MappingProxyType(
    {**CIFAR, "clip": 0.02, "distillation": 1.0, "teacher": "resnet34", "lighting": "8-bit"}
)
SHORT: Mapping[str, Any] = MappingProxyType(
    {
        **CIFAR,
        "epochs": 40,
        "batch_size": 64,
        "lr": 1e-2,
        "slope_lr": 5e-2,
        "clip": 0.02,
        "threads": 1,
        "ties": "loss",  # a few hundred validation images often tell epochs apart by the loss alone
    }
)
MNIST5K: Mapping[str, Any] = MappingProxyType({**SHORT, "epochs": 15})
WEIGHT_DECAY = {1: 5e-6, 2: 0.0}  # step -> of parameters of four dimensions

RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"cifar10": CIFAR, "cifar100": CIFAR, "imagenet": IMAGENET, "digits": SHORT, "mnist5k": MNIST5K}
)
FOLDER: Mapping[str, Any] = MappingProxyType({**IMAGENET, "distillation": 0.0, "teacher": None})
"""Of any other folder of images: as ImageNet, but with labels, for no teacher knows its classes."""
FUNCTION: Mapping[str, Any] = MappingProxyType({**FOLDER, "lighting": None})
"""Of a function of the user's that gives images, and of a plug-in's set: as a folder, but without lighting."""

MOST_BYTES = 1_000_000  # of a TOML file
_NOT_IN_FILES = {"model", "step"}


def asked_for(
    model: str, steps: Iterable[int], *, file: Path | None = None, given: Mapping[str, Any] | None = None
) -> list[tuple[int, dict[str, Any]]]:
    """Values that the user gave, step by step: in a TOML file, or, winning over it, as `given` flags.

    In the file, `[step1]` and `[step2]` win over what stands at the top. Raises UsageError or UnknownName.
    """
    common, own = _read(file) if file is not None else ({}, {})
    return [(step, _plain({**common, **own.get(step, {}), **(given or {})}, model)) for step in steps]


def configs(
    model: str, steps: Iterable[int], *, file: Path | None = None, given: Mapping[str, Any] | None = None
) -> tuple[Config, ...]:
    """One config per step: what was asked for, and else the recipe of the data set. Raises as `asked_for`."""
    found = []
    for step, asked in asked_for(model, steps, file=file, given=given):
        data = asked.setdefault("data", "digits")
        base = {"weight_decay": WEIGHT_DECAY[step], **({} if of_zoo(model) else {"variant": None})}
        found.append(Config(model=model, step=step, **{**base, **_recipe(data), **asked}))
    return tuple(found)


def _recipe(data: object) -> Mapping[str, Any]:
    """The values for a data set; a name that is no text is found out later."""
    if not isinstance(data, str):
        return FOLDER
    if data in RECIPES or ":" in data:
        return RECIPES.get(data, FUNCTION)
    return FOLDER if DATA.find(data) is None else SHORT


def _plain(asked: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Values as a config holds them: of a slope file what it says."""
    values = {name: held(name, value) for name, value in asked.items()}
    if values.get("model_args"):
        values["model_args"] = _as_json(values["model_args"])
    if isinstance(values.get("slopes"), str | Path):
        values["slopes"] = read_slope_sets(Path(values["slopes"]), model)
    return values


def _as_json(arguments: Any) -> Any:
    """Arguments of a factory as config.json gives them back, so that a resumed run has the same."""
    try:
        return json.loads(json.dumps(arguments, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"--model-arg: a run keeps numbers, text, lists and dicts of its factory, got {one_line(error)}"
        ) from error


def _read(file: Path) -> tuple[dict[str, Any], dict[int, dict[str, Any]]]:
    """What stands at the top of a TOML file, and per step."""
    text = read_text(file, f"--config {file}", UsageError, most=MOST_BYTES)
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOML, or nesting without end
        raise UsageError(f"--config {file} is not TOML: {one_line(error)}") from error
    own: dict[int, dict[str, Any]] = {}
    for step in STEPS:
        table = content.pop(f"step{step}", {})
        if not isinstance(table, dict):
            raise UsageError(f"--config {file}: step{step} must be a table, [step{step}]")
        own[step] = table
    known = [name for name in NAMES if name not in _NOT_IN_FILES]
    for values in (content, *own.values()):
        for name in values:
            if name not in known:
                raise UsageError(f"--config {file}: {unknown_name('recipe value', name, known)}")
    return content, own
