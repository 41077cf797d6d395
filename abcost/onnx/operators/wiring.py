"""Operators that move elements."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
import torch.nn.functional as F

from abcost.onnx.op import Op
from abcost.onnx.registry import operator

SLICED_BY_INPUTS, PADDED_BY_INPUTS = 10, 11
"""Operator sets from which Slice and Pad have inputs instead of attributes."""


@operator("Reshape")
def reshape(op: Op) -> torch.Tensor:
    """Other sizes; 0 keeps a size, -1 takes what is left."""
    sizes = op.ints(1) or []
    if not op.attr("allowzero", 0):
        sizes = [op[0].shape[axis] if size == 0 else size for axis, size in enumerate(sizes)]
    return op[0].reshape(sizes)


@operator("Flatten")
def flatten(op: Op) -> torch.Tensor:
    """Two axes: the product of those before `axis`, and of the rest."""
    axis = int(op.attr("axis", 1))
    axis = axis + op[0].dim() if axis < 0 else axis
    return op[0].reshape(prod(op[0].shape[:axis]), -1)


@operator("Transpose")
def transpose(op: Op) -> torch.Tensor:
    """Axes in another order, by default reversed."""
    return op[0].permute(op.attr("perm", list(range(op[0].dim()))[::-1]))


@operator("Squeeze")
def squeeze(op: Op) -> torch.Tensor:
    """Take out these axes of size 1, or all of them."""
    axes = op.axes(1)
    return op[0].squeeze() if axes is None else op[0].squeeze(axes)


@operator("Unsqueeze")
def unsqueeze(op: Op) -> torch.Tensor:
    """Put in axes of size 1 at these places of the result."""
    x, axes = op[0], op.axes(1) or []
    for axis in sorted(axis % (x.dim() + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


@operator("Concat")
def concat(op: Op) -> torch.Tensor:
    """One behind the other along an axis."""
    return torch.cat([op[position] for position in range(len(op.inputs))], int(op.attr("axis", 0)))


@operator("Split")
def split(op: Op) -> list[torch.Tensor]:
    """Pieces along an axis, of given sizes or as equal as possible (the last is smaller)."""
    axis, sizes = int(op.attr("axis", 0)), op.attr("split") or op.ints(1)
    if sizes is not None:
        return list(torch.split(op[0], sizes, axis))
    return list(torch.split(op[0], -(-op[0].shape[axis] // op.results), axis))


@operator("Slice")
def cut(op: Op) -> torch.Tensor:
    """Slice from starts to ends in steps; a negative step runs backwards. Attributes below operator set 10."""
    x = op[0]
    starts, ends, axes = (
        list(op.attr(name) or []) if op.version < SLICED_BY_INPUTS else op.ints(position) or []
        for position, name in enumerate(("starts", "ends", "axes"), start=1)
    )
    axes, steps = axes or list(range(len(starts))), op.ints(4) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = x.shape[axis]
        if step == 0:
            raise op.refuse("a step of 0")
        first, last, stride = (
            slice(start, end, step).indices(size) if step > 0 else _mirrored(start, end, step, size)
        )
        x = x.flip(axis) if step < 0 else x
        x = x[(slice(None),) * (axis % x.dim()) + (slice(first, max(first, last), stride),)]
    return x


def _mirrored(start: int, end: int, step: int, size: int) -> tuple[int, int, int]:
    """The same elements of the reversed axis, forwards."""
    first, last, _ = slice(start, None if end < -size else end, step).indices(size)
    return size - 1 - first, size - 1 - last, -step


@operator("Gather")
def gather(op: Op) -> torch.Tensor:
    """Rows of an axis by number; rows of a constant table by computed numbers are an embedding."""
    axis, x, index = int(op.attr("axis", 0)), op[0], op[1]
    if not op.constant(1) and op.live[1]:
        if op.constant(0) and axis == 0 and x.dim() == 2:
            return F.embedding(index, x)
        raise op.refuse(
            "an index that is computed from the input is supported for rows of a constant table only"
        )
    axis %= x.dim()
    index = torch.where(index < 0, index + x.shape[axis], index).to(torch.int64)
    if index.dim() == 0:
        return x.select(axis, int(index))
    rows = torch.index_select(x, axis, index.flatten())
    return rows if index.dim() == 1 else rows.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


@operator("Pad")
def pad(op: Op) -> torch.Tensor:
    """Pad axes with a constant, mirrored, or by repeating the border. Attributes below operator set 11."""
    mode, rank = op.attr("mode", "constant"), op[0].dim()
    axes = op.ints(3) or list(range(rank))
    old = op.version < PADDED_BY_INPUTS
    pads, sides = list(op.attr("pads") or []) if old else op.ints(1) or [], [0] * (2 * rank)
    if len(pads) != 2 * len(axes):
        raise op.refuse(f"{len(pads)} pads for {len(axes)} axes")
    for number, axis in enumerate(axes):
        place = 2 * (rank - 1 - axis % rank)  # torch counts from the last axis
        sides[place : place + 2] = [pads[number], pads[number + len(axes)]]
    op.fits([size + before for size, before in zip(op[0].shape, sides[1::2][::-1], strict=True)])
    while len(sides) > 2 and not any(sides[-2:]):
        sides = sides[:-2]
    if mode == "constant":
        value = (op.attr("value") if old else op.number(2)) or 0.0
        return F.pad(op[0], sides, value=value if op[0].is_floating_point() else int(value))
    if mode not in ("reflect", "edge"):
        raise op.refuse(f"mode {mode!r} is not supported")
    return F.pad(op[0], sides, mode="reflect" if mode == "reflect" else "replicate")


@operator("Expand")
def expand(op: Op) -> torch.Tensor:
    """Broadcast to a shape, which may itself be broadcast."""
    return op[0].expand(op.fits(np.broadcast_shapes(tuple(op[0].shape), tuple(op.ints(1) or []))))


@operator("Tile")
def tile(op: Op) -> torch.Tensor:
    """Repeated along every axis."""
    repeats = op.ints(1) or []
    op.fits([size * times for size, times in zip(op[0].shape, repeats, strict=True)])
    return op[0].repeat(repeats)


@operator("DepthToSpace")
def depth_to_space(op: Op) -> torch.Tensor:
    """(N, C*b*b, H, W) -> (N, C, H*b, W*b); DCR has the block in front of the channels, CRD behind them."""
    block = int(op.attr("blocksize", 1))
    if op.attr("mode", "DCR") == "CRD":
        return F.pixel_shuffle(op[0], block)
    n, c, h, w = op[0].shape
    blocks = op[0].reshape(n, block, block, c // block**2, h, w)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(n, c // block**2, h * block, w * block)


@operator("SpaceToDepth")
def space_to_depth(op: Op) -> torch.Tensor:
    """(N, C, H*b, W*b) -> (N, b*b*C, H, W)."""
    block = int(op.attr("blocksize", 1))
    n, c, h, w = op[0].shape
    blocks = op[0].reshape(n, c, h // block, block, w // block, block)
    return blocks.permute(0, 3, 5, 1, 2, 4).reshape(n, c * block**2, h // block, w // block)
