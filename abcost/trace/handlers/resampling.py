"""Linear and cubic interpolation: per output a weighted sum of its neighbours, with constant weights.

    y[i, j] = sum_ab h_a[i] * w_b[j] * x[r_a[i], c_b[j]]

Bilinear has 2 x 2 terms (4 multiplications by constants, 3 adds per output), bicubic 4 x 4 (16 and 15), linear 2,
trilinear 8. Where the grids make weights 0 for a whole term, or each output has fewer neighbours, there are fewer. Each
term is a gather (free), a scale by constants that depend on the position, and an addition; a term whose weights are all
1 has no scale.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import torch

from abcost.core.kinds import OpKind
from abcost.core.node import Constant
from abcost.trace.operand import Made, Operand, operand, plus, result, times
from abcost.trace.registry import handler
from abcost.trace.tracer import Call

_Term = tuple[
    torch.Tensor, torch.Tensor
]  # per output position of one axis: the input position, and its weight


@handler(
    "upsample_linear1d.default",
    "upsample_bilinear2d.default",
    "upsample_trilinear3d.default",
    "upsample_bicubic2d.default",
)
def resample(call: Call) -> str:
    """The weighted sum of the neighbours of each output position."""
    x = operand(call["self"])
    out = [int(size) for size in call["output_size"]]
    axes = range(len(x.shape) - len(out), len(x.shape))
    terms = [_terms(_weights(call, number, x.shape[axis])) for number, axis in enumerate(axes)]
    total: Operand | None = None
    gathered: dict[tuple[int, ...], Made] = {}
    for choice in product(*(range(len(axis_terms)) for axis_terms in terms)):
        weight, value = torch.ones((), dtype=torch.float64), x
        for axis, axis_terms, number in zip(axes, terms, choice, strict=True):
            index, factors = axis_terms[number]
            weight = weight[..., None] * factors
            key = choice[: axis - axes[0] + 1]
            if key not in gathered:
                gathered[key] = _gather(call, value, axis, index)
            value = gathered[key]
        term = times(call, value, _folded(weight))
        total = term if total is None else plus(call, total, term)
    assert total is not None  # noqa: S101 - every output has a neighbour
    return result(total)


def _weights(call: Call, number: int, size: int) -> torch.Tensor:
    """Weights (out, in) of one axis, as torch computes them: the operator on unit vectors along that axis."""
    dims = len(call["output_size"])
    unit = torch.eye(size, dtype=torch.float64).reshape(
        1, size, *[size if d == number else 1 for d in range(dims)]
    )
    out = [int(s) if d == number else 1 for d, s in enumerate(call["output_size"])]
    scales = [value for name, value in call.arguments.items() if name.startswith("scales")]
    kept: list[Any] = [scale if d == number else None for d, scale in enumerate(scales)]
    operator = getattr(torch.ops.aten, call.name.partition(".")[0]).default
    responses: torch.Tensor = operator(unit, out, call["align_corners"], *kept)
    return responses.reshape(size, out[number]).t()


def _terms(weights: torch.Tensor) -> list[_Term]:
    """Nonzero weights (out, in) as terms: the first neighbour of every output, the second, …; 0 where it has fewer."""
    used = weights != 0
    found = []
    for rank in range(1, int(used.sum(1).max()) + 1):
        here = used & (used.cumsum(1) == rank)
        index = here.to(torch.int64).argmax(1)  # position 0, with weight 0, where there is none
        found.append((index, (weights * here).sum(1)))
    return found


def _folded(weight: torch.Tensor) -> torch.Tensor:
    """The number itself where all weights are equal."""
    return weight.flatten()[0] if bool((weight == weight.flatten()[0]).all()) else weight


def _gather(call: Call, x: Operand, axis: int, index: torch.Tensor) -> Made:
    assert isinstance(x, Made)  # noqa: S101 - an operator's handler has an activation
    if torch.equal(index, torch.arange(x.shape[axis])):
        return x
    shape = (*x.shape[:axis], len(index), *x.shape[axis + 1 :])
    attrs = {"aten": "index_select.default", "args": [{"in": 0}, axis, {"const": "c0"}]}
    return Made(
        call.emit(OpKind.WIRING, [x.node], attrs=attrs, consts={"c0": Constant(index)}, shape=shape), shape
    )
