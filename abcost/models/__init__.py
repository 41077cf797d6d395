"""The zoo: the networks of the A&B BNN paper and its baselines, variants by argument.

Names are imported on first use, so that what says which network it is (`network.py`) loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from abcost.models.checkpoint import Checkpoint as Checkpoint
    from abcost.models.checkpoint import load_checkpoint as load_checkpoint
    from abcost.models.checkpoint import read_checkpoint as read_checkpoint
    from abcost.models.checkpoint import restore as restore
    from abcost.models.factory import CatalogueEntry as CatalogueEntry
    from abcost.models.factory import build as build
    from abcost.models.factory import catalogue as catalogue
    from abcost.models.factory import check_images as check_images
    from abcost.models.network import NetworkSpec as NetworkSpec
    from abcost.models.origin import TrainedAs as TrainedAs
    from abcost.models.presets import PRESETS as PRESETS
    from abcost.models.presets import Preset as Preset
    from abcost.models.presets import preset as preset
    from abcost.models.properties import STEPS as STEPS
    from abcost.models.properties import VARIANTS as VARIANTS
    from abcost.models.recipe import STEMS as STEMS

_WHERE = {
    **dict.fromkeys(("Checkpoint", "load_checkpoint", "read_checkpoint", "restore"), "checkpoint"),
    **dict.fromkeys(("CatalogueEntry", "build", "catalogue", "check_images"), "factory"),
    **dict.fromkeys(("STEPS", "VARIANTS"), "properties"),
    **dict.fromkeys(("PRESETS", "Preset", "preset"), "presets"),
    "NetworkSpec": "network",
    "TrainedAs": "origin",
    "STEMS": "recipe",
}
"""Name -> the file that has it."""

__all__ = sorted(_WHERE)  # noqa: PLE0605 - strings, one by one


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'abcost.models' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"abcost.models.{_WHERE[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(_WHERE)
