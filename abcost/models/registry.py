"""The names of the zoo; files in `abcost/models/zoo/` and plug-ins fill it."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from abcost.models.recipe import Recipe
from abcost.registry import Registry

ModelFactory = Callable[[Recipe], nn.Module]
"""Makes a network from a recipe; the first line of its docstring is its description in `abcost models`."""

MODELS: Registry[ModelFactory] = Registry("model", "abcost.models.zoo", "abcost.models")
