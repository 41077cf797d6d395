"""Weights of an engine as whole numbers, in the order in which its steps read them."""

from __future__ import annotations

import torch
from torch import Tensor

from abcost.accelerator.design.constants import on_grid
from abcost.accelerator.design.dot import taps_per_position
from abcost.accelerator.design.engine import EngineDesign


def weight_rows(design: EngineDesign, pixels: int | None = None) -> Tensor:
    """(channels, K) whole numbers: kernel position by kernel position, input channels inside; binary ones 0 and 1.

    pixels: of the map that a linear layer reads, whose columns torch has channel by channel; None: it reads no map.
    """
    engine = design.engine
    weight = engine.dot.consts["weight"]
    if weight.binary:
        numbers = (weight.values >= 0).to(torch.int64)
    else:
        numbers = torch.tensor(on_grid(weight, design.number)).reshape(weight.values.shape)
    positions = pixels or engine.taps // taps_per_position(engine)
    rows = numbers.reshape(engine.channels, -1, positions)
    return rows.transpose(1, 2).reshape(engine.channels, engine.taps)


def weight_words(design: EngineDesign, pixels: int | None = None) -> Tensor:
    """(folds * steps, PE * SIMD) whole numbers: a word of weights per clock cycle, lane 0 lowest. See `weight_rows`."""
    engine, folding = design.engine, design.folding
    flat = weight_rows(design, pixels)
    tiled = flat.reshape(-1, folding.pe, engine.taps // folding.simd, folding.simd).permute(0, 2, 1, 3)
    return tiled.reshape(-1, folding.pe * folding.simd)
