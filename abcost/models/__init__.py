"""The zoo: the networks of the A&B BNN paper and its baselines, variants by argument."""

from __future__ import annotations

from abcost.models.checkpoint import load_checkpoint
from abcost.models.factory import CatalogueEntry, build, catalogue
from abcost.models.presets import PRESETS, Preset, preset
from abcost.models.recipe import STEMS, STEPS, VARIANTS

__all__ = [
    "PRESETS",
    "STEMS",
    "STEPS",
    "VARIANTS",
    "CatalogueEntry",
    "Preset",
    "build",
    "catalogue",
    "load_checkpoint",
    "preset",
]
