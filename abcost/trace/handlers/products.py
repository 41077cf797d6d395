"""Matrix products: with a constant a linear layer, of two activations a product of activations.

A constant stands on either side. LINEAR contracts over the last axis with a weight (out, in), so that the weights of
an output are a row of it; where torch has them otherwise, views around it (free) bring the axes there:

    x @ c      -> LINEAR(x, c.T)
    c @ x      -> (LINEAR(x.T, c)).T
    x_b @ c_b  -> a grouped convolution of kernel 1, one group per matrix of the batch, unless the matrices are equal

`torch.einsum`, `tensordot`, `nn.Linear` on permuted tokens and attention arrive here as `mm` and `bmm`.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch

from abcost.core.binary import weight_constant
from abcost.core.kinds import OpKind
from abcost.core.node import Constant
from abcost.trace.operand import (
    Made,
    Operand,
    operand,
    permuted,
    plus,
    reshaped,
    result,
    times,
)
from abcost.trace.registry import handler
from abcost.trace.tracer import Call


def linear(call: Call, x: Made, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Made:
    """X (…, in) @ weight.T (+ bias), weight (out, in): prod(…) * out * in multiply-accumulates."""
    shape = (*x.shape[:-1], weight.shape[0])
    consts = {"weight": weight_constant(weight, 0)}
    if bias is not None:
        consts["bias"] = Constant(bias.detach())
    attrs = {"taps": weight.shape[1], "macs": prod(shape) * weight.shape[1]}
    return Made(call.emit(OpKind.LINEAR, [x.node], attrs=attrs, consts=consts, shape=shape), shape)


def matmul(call: Call, a: Made, b: Made) -> Made:
    """A (…, m, k) @ b (…, k, n), both computed: prod(…) * m * n * k multiply-accumulates."""
    shape = (*a.shape[:-1], b.shape[-1])
    attrs = {"taps": a.shape[-1], "macs": prod(shape) * a.shape[-1]}
    return Made(call.emit(OpKind.MATMUL, [a.node, b.node], attrs=attrs, shape=shape), shape)


def product(call: Call, a: Operand, b: Operand) -> Operand:
    """A @ b of two matrices, or of two batches of them of equal length, whichever is constant."""
    if isinstance(a, Made) and isinstance(b, Made):
        return matmul(call, a, b)
    if isinstance(a, Made) and isinstance(b, torch.Tensor):
        return _with_constant(call, a, b)
    if isinstance(b, Made) and isinstance(a, torch.Tensor):  # (c @ x).T = x.T @ c.T
        axes = [*range(len(b.shape) - 2), len(b.shape) - 1, len(b.shape) - 2]
        flipped = _with_constant(call, _made(permuted(call, b, axes)), a.transpose(-1, -2))
        return permuted(call, flipped, axes)
    raise TypeError("an operation on constants alone needs no handler")


def _made(value: Operand) -> Made:
    assert isinstance(value, Made)  # noqa: S101 - what is made of an activation is one
    return value


def _with_constant(call: Call, x: Made, right: torch.Tensor) -> Made:
    """X (b, m, k) @ right (b, k, n), or without b."""
    if right.dim() == 2:
        return linear(call, x, right.t())
    if right.shape[0] == 1 or right.stride(0) == 0 or bool((right == right[:1]).all()):
        return linear(call, x, right[0].t())
    return _per_matrix(call, x, right)


def _per_matrix(call: Call, x: Made, right: torch.Tensor) -> Made:
    """Every matrix of the batch with weights of its own: conv1d over m of b groups, k channels in and n out each."""
    b, m, k = x.shape
    n = right.shape[2]
    channels = reshaped(call, permuted(call, x, [0, 2, 1]), (1, b * k, m))
    weight = right.transpose(1, 2).reshape(b * n, k, 1)
    attrs = {
        "stride": [1], "padding": [0], "dilation": [1], "transposed": False, "output_padding": [0],
        "groups": b, "taps": k, "macs": b * m * n * k,
    }  # fmt: skip
    consts = {"weight": weight_constant(weight, 0)}
    shape = (1, b * n, m)
    conv = Made(
        call.emit(OpKind.CONV, [_made(channels).node], attrs=attrs, consts=consts, shape=shape), shape
    )
    return _made(permuted(call, reshaped(call, conv, (b, n, m)), [0, 2, 1]))


@handler("mm.default", "bmm.default")
def mm(call: Call) -> str:
    """Self @ mat2, (m, k) and (k, n), or batches of them."""
    return result(product(call, operand(call["self"]), operand(call["mat2"])))


@handler("mv.default")
def mv(call: Call) -> str:
    """Self (m, k) @ vec (k,)."""
    return result(_matrix_vector(call, operand(call["self"]), operand(call["vec"])))


def _matrix_vector(call: Call, matrix: Operand, vector: Operand) -> Operand:
    if isinstance(matrix, torch.Tensor) and isinstance(vector, Made):
        return linear(call, vector, matrix)
    column = reshaped(call, vector, (vector.shape[0], 1))
    return reshaped(call, product(call, matrix, column), (matrix.shape[0],))


@handler("dot.default", "vdot.default")
def dot(call: Call) -> str:
    """Sum of self[i] * other[i]."""
    a, b = operand(call["self"]), operand(call.arguments.get("tensor", call.arguments.get("other")))
    if isinstance(a, torch.Tensor):
        a, b = b, a
    row, column = reshaped(call, a, (1, a.shape[0])), reshaped(call, b, (b.shape[0], 1))
    return result(reshaped(call, product(call, row, column), ()))


def _plus_scaled(call: Call, value: Any, dot: Operand) -> str:
    """Beta * value + alpha * dot."""
    beta, alpha = operand(call["beta"]), operand(call["alpha"])
    scaled = times(call, dot, alpha)
    return result(scaled if beta == 0 else plus(call, scaled, times(call, operand(value), beta)))


@handler("addmm.default")
def addmm(call: Call) -> str:
    """Beta * self + alpha * mat1 @ mat2; with constants and beta = alpha = 1 it is a linear layer with a bias."""
    bias, x, weight = operand(call["self"]), operand(call["mat1"]), operand(call["mat2"])
    per_output = isinstance(bias, torch.Tensor) and (bias.dim() < 2 or bias.shape[0] == 1)
    if (
        per_output
        and call["beta"] == 1
        and call["alpha"] == 1
        and isinstance(x, Made)
        and not isinstance(weight, Made)
    ):
        assert isinstance(bias, torch.Tensor)  # noqa: S101 - said above
        return linear(call, x, weight.t(), bias.expand(1, weight.shape[1])[0]).node
    return _plus_scaled(call, call["self"], product(call, x, weight))


@handler("baddbmm.default")
def baddbmm(call: Call) -> str:
    """Beta * self + alpha * batch1 @ batch2."""
    return _plus_scaled(call, call["self"], product(call, operand(call["batch1"]), operand(call["batch2"])))


@handler("addmv.default")
def addmv(call: Call) -> str:
    """Beta * self + alpha * mat @ vec."""
    return _plus_scaled(call, call["self"], _matrix_vector(call, operand(call["mat"]), operand(call["vec"])))


@handler("addr.default")
def addr(call: Call) -> str:
    """Beta * self + alpha * vec1 vec2^T: products of elements, no sums."""
    column, row = operand(call["vec1"]), operand(call["vec2"])
    column = reshaped(call, column, (column.shape[0], 1))
    return _plus_scaled(call, call["self"], times(call, column, row))


@handler("_trilinear.default")
def bilinear(call: Call) -> str:
    """nn.Bilinear: y[n, o] = sum_ij x1[n, i] W[o, i, j] x2[n, j], as torch calls `_trilinear` for it.

    LINEAR x1 @ W as (o * j, i): N*O*J*I multiply-accumulates; then a product with x2: N*O*J.
    """
    if [list(call[f"expand{i}"]) for i in (1, 2, 3)] != [[1, 3], [0], [1, 2]] or list(call["sumdim"]) != [
        2,
        3,
    ]:
        raise call.refuse("only the form of nn.Bilinear is supported")
    x1, weight, x2 = operand(call["i1"]), operand(call["i2"]), operand(call["i3"])
    if not isinstance(weight, torch.Tensor):
        raise call.refuse("a weight that is computed from the input is not supported")
    if not isinstance(x1, Made):
        x1, x2, weight = x2, x1, weight.transpose(1, 2)
    rows, (out, inner, other) = x1.shape[0], weight.shape
    matrix = weight.transpose(1, 2).reshape(out * other, inner)
    matrices = reshaped(call, linear(call, _made(x1), matrix), (rows, out, other))
    column = reshaped(call, x2, (rows, other, 1))
    return result(reshaped(call, product(call, matrices, column), (rows, out)))
