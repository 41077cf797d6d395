"""Wiring: what takes no hardware, in whole numbers. How it is written stands in `abcost.emit.wiring`.

The result is taken into the width and sign of the net that is driven.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Model = Callable[[Mapping[str, Tensor], Mapping[str, Any]], Tensor]
"""(operands by port, parameters) -> values."""


def _flag(holds: Tensor) -> Tensor:
    return holds.to(torch.int64)


def _gathered(v: Mapping[str, Tensor], _p: Mapping[str, Any]) -> Tensor:
    """Several numbers side by side, the first lowest; constants have one row, which stands for all."""
    rows = max(len(values) for values in v.values())
    return torch.cat([values.expand(rows, -1, -1) for values in v.values()], -1)


WIRING: dict[str, Model] = {
    "extend": lambda v, _p: v["x"],  # with copies of the sign, or zeros
    "align": lambda v, p: v["x"] << p["places"],
    "cut": lambda v, p: torch.bitwise_right_shift(v["x"], p["places"]),  # the low bits go
    "twice": lambda v, _p: 2 * v["x"],
    "not_negative": lambda v, _p: _flag(v["x"] >= 0),
    "is_zero": lambda v, _p: _flag(v["x"] == 0),
    "not_zero": lambda v, _p: _flag(v["x"] != 0),
    "equals": lambda v, p: _flag(v["x"] == p["value"]),
    "both": lambda v, _p: v["x"] & v["y"],
    "differ": lambda v, _p: v["x"] ^ v["y"],
    "join": lambda v, p: v["y"] << p["places"] | v["x"],  # y above x
    "plus_minus": lambda v, _p: 2 * v["x"] - 1,  # a bit as +-1
    "gather": _gathered,
    "spread": lambda v, p: v["x"].repeat_interleave(p["times"], -1),  # every element several times
    "tile": lambda v, p: v["x"].repeat(1, 1, p["times"]),  # all elements, several times
}
