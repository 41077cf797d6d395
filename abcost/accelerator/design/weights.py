"""Weights of an engine as whole numbers, in the order in which its steps read them."""

from __future__ import annotations

import torch
from torch import Tensor

from abcost.accelerator.design.constants import weight_numbers
from abcost.accelerator.design.dot import taps_per_position
from abcost.accelerator.design.engine import EngineDesign
from abcost.accelerator.design.signed_digits import digit_words
from abcost.accelerator.engine import Engine
from abcost.accelerator.engine_memory import weight_word


def weight_rows(design: EngineDesign, pixels: int | None = None) -> Tensor:
    """(channels, K) whole numbers: kernel position by kernel position, input channels inside; binary ones 0 and 1.

    pixels: of the map that a linear layer reads, whose columns torch has channel by channel; None: it reads no map.
    """
    weight = design.engine.dot.consts["weight"]
    if weight.binary:
        numbers = (weight.values >= 0).to(torch.int64)
    else:
        numbers = torch.tensor(weight_numbers(weight, design.number)).reshape(weight.values.shape)
    return _in_order(design.engine, numbers, pixels)


def digit_rows(design: EngineDesign, pixels: int | None = None) -> Tensor:
    """(digits, channels, K): stored digits of the weights, in the order of `weight_rows`."""
    engine, number = design.engine, design.number
    passes = digit_words(engine, number, weight_word(engine, number))
    return torch.stack([_in_order(engine, digits, pixels) for digits in passes])


def _in_order(engine: Engine, numbers: Tensor, pixels: int | None) -> Tensor:
    """Numbers in the shape of the weights as (channels, K), in the order in which a window has its taps."""
    positions = pixels or engine.taps // taps_per_position(engine)
    rows = numbers.reshape(engine.channels, -1, positions)
    return rows.transpose(1, 2).reshape(engine.channels, engine.taps)


def weight_words(design: EngineDesign, pixels: int | None = None) -> Tensor:
    """(folds * steps, PE * SIMD) whole numbers: a word of weights per clock cycle, lane 0 lowest. See `weight_rows`.

    In signed digits all taps pass once for each digit.
    """
    engine, folding = design.engine, design.folding
    passes = digit_rows(design, pixels) if engine.in_digits else weight_rows(design, pixels).unsqueeze(0)
    shape = (len(passes), -1, folding.pe, engine.taps // folding.simd, folding.simd)
    return passes.reshape(shape).permute(1, 0, 3, 2, 4).reshape(-1, folding.pe * folding.simd)
