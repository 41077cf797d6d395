"""The zoo: the networks of the A&B BNN paper and its baselines, variants by argument."""

from __future__ import annotations

from abcost.models.checkpoint import Checkpoint, load_checkpoint, read_checkpoint, restore
from abcost.models.factory import CatalogueEntry, build, catalogue, check_images
from abcost.models.origin import Origin
from abcost.models.presets import PRESETS, Preset, preset
from abcost.models.recipe import STEMS, STEPS, VARIANTS

__all__ = [
    "PRESETS",
    "STEMS",
    "STEPS",
    "VARIANTS",
    "CatalogueEntry",
    "Checkpoint",
    "Origin",
    "Preset",
    "build",
    "catalogue",
    "check_images",
    "load_checkpoint",
    "preset",
    "read_checkpoint",
    "restore",
]
