"""Runs the description of a whole network on images, in whole numbers.

Every engine is interpreted as it is described (`abcost.accelerator.design.interpret`), on the rows that its window
reads; images follow one another in the same stream, as in the circuit.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from abcost.accelerator.design.dot import padded, segment
from abcost.accelerator.design.interpret import run
from abcost.accelerator.design.network import Edge, NetworkDesign, Stage, StageWindow
from abcost.core.integer import wrap
from abcost.core.kinds import DotArithmetic

Tensors = dict[str, Tensor]
"""Node -> (images, pixels, channels) whole numbers: bits, or multiples of 2**-fraction_bits."""


def run_network(net: NetworkDesign, images: Tensor) -> Tensors:
    """Every tensor between engines, the image and the logits among them. images: (N, C, H, W) real values."""
    found = {net_image(net): quantised(net, images)}
    for stage in net.stages:
        found |= run_stage(stage, found, len(images))
    return found


def net_image(net: NetworkDesign) -> str:
    """The node of the input."""
    return next(edge.node for edge in net.edges if edge.producer is None)


def quantised(net: NetworkDesign, images: Tensor) -> Tensor:
    """(N, pixels, C) whole numbers: multiples of 2**-fraction_bits, cut towards minus infinity, as they are fed."""
    scaled = torch.floor(images.to(torch.float64) * 2.0**net.number.fraction_bits).to(torch.int64)
    return wrap(scaled, net.number.width).flatten(2).transpose(1, 2)


def logits_of(net: NetworkDesign, found: Tensors) -> Tensor:
    """(N, classes) real values."""
    return found[net.logits.node].flatten(1).to(torch.float64) / 2.0**net.number.fraction_bits


def run_stage(stage: Stage, known: Tensors, images: int) -> Tensors:
    """What one engine makes of the tensors that it reads."""
    design = stage.design
    taps, inside = windows_of(known[stage.source.node], stage.window)
    inputs = {"a": _stepped(stage, taps)}
    if design.engine.arithmetic is DotArithmetic.XNOR and padded(design.engine):
        together = segment(design.engine, design.folding.simd)
        inputs["inside"] = _stepped(stage, inside.expand(len(taps), -1, -1))[:, ::together]
    for i, side in enumerate(stage.sides):
        operand = known[side.node].repeat(1, 1, side.passes)
        inputs[design.chain.sides[i].net.name] = operand.reshape(-1, design.lanes)
    results = run(design, inputs, stage.words)
    channels = design.engine.channels
    return {
        node: results[f"y{port}"].reshape(images, -1, channels) for port, node in enumerate(stage.results)
    }


def windows_of(values: Tensor, window: StageWindow) -> tuple[Tensor, Tensor]:
    """(N, positions, K) taps, 0 outside the map, and (1, positions, K) which are inside.

    values: (N, pixels, C). Taps are in the order kernel row, column, channel.
    """
    source = window.source

    def cut(maps: Tensor) -> Tensor:
        grid = maps.reshape(len(maps), source.rows, source.columns, source.channels)
        (up, left), (k_rows, k_columns) = window.padding, window.kernel
        grid = functional.pad(grid, (0, 0, left, left, up, up))
        taps = []
        for r in range(k_rows):
            for c in range(k_columns):
                top, start = r * window.dilation[0], c * window.dilation[1]
                rows = slice(top, top + (window.positions[0] - 1) * window.stride[0] + 1, window.stride[0])
                columns = slice(
                    start, start + (window.positions[1] - 1) * window.stride[1] + 1, window.stride[1]
                )
                taps.append(grid[:, rows, columns].flatten(1, 2))
        return torch.cat(taps, -1)

    return cut(values), cut(torch.ones((1, *values.shape[1:]), dtype=torch.int64))


def _stepped(stage: Stage, taps: Tensor) -> Tensor:
    """A row for every clock cycle: each position once in every fold and pass."""
    simd = stage.design.folding.simd
    rows = taps.reshape(-1, 1, stage.steps // stage.passes, simd)
    return rows.expand(-1, stage.folds * stage.passes, -1, -1).reshape(-1, simd)


def first_difference(
    net: NetworkDesign, found: Tensors, expected: Tensors
) -> tuple[Edge | None, str, tuple[int, ...]]:
    """(edge, node, place) of the first tensor that differs, in the order of the stages; node "" where none does."""
    for stage in net.stages:
        for node in stage.results:
            if node in found and node in expected and not torch.equal(found[node], expected[node]):
                place = tuple(int(i) for i in torch.nonzero(found[node] != expected[node])[0])
                edge = next((edge for edge in net.edges if edge.node == node), None)
                return edge, node, place
    return None, "", ()
