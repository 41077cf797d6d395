"""Sums and products of what a handler holds: activations, constants, and nodes that it made itself.

A handler of several steps (`self + value * a / b`) writes them as it would write the formula; each step is one node,
whichever of its operands are constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from abcost.core.kinds import OpKind
from abcost.core.node import Constant
from abcost.trace.constants import constant, tensor_of
from abcost.trace.shapes import broadcast
from abcost.trace.tracer import Call, Tracer, node_of


@dataclass(frozen=True, slots=True)
class Made:
    """A node of the graph and the shape of its result."""

    node: str
    shape: tuple[int, ...]


Operand = Made | torch.Tensor
MIRRORED = {"gt": "lt", "lt": "gt", "ge": "le", "le": "ge", "eq": "eq", "ne": "ne"}
"""The relation of y to x, from that of x to y."""


def operand(value: Any) -> Operand:
    """A Tracer as its node, anything else (a number, a constant tensor) as a constant tensor."""
    return Made(node_of(value), tuple(value.shape)) if isinstance(value, Tracer) else tensor_of(value)


def _shape(*operands: Operand) -> tuple[int, ...]:
    return broadcast(*(o.shape for o in operands))


def emit(call: Call, kind: OpKind, x: Made, shape: tuple[int, ...] | None = None, **attrs: Any) -> Made:
    """A node of one input, of its shape unless told otherwise."""
    shape = x.shape if shape is None else shape
    return Made(call.emit(kind, [x.node], attrs=attrs, shape=shape), shape)


def with_constant(
    call: Call, kind: OpKind, x: Made, role: str, value: torch.Tensor, shape: tuple[int, ...], **attrs: Any
) -> Made:
    """A node of x and a constant in `role`, the result of shape `shape`."""
    held = {role: constant(value, shape, x.shape)}
    return Made(call.emit(kind, [x.node], attrs=attrs, consts=held, shape=shape), shape)


def plus(call: Call, a: Operand, b: Operand) -> Operand:
    """a + b."""  # noqa: D403
    shape = _shape(a, b)
    if isinstance(a, Made) and isinstance(b, Made):
        return Made(call.emit(OpKind.ADD, [a.node, b.node], shape=shape), shape)
    if isinstance(a, Made) and isinstance(b, torch.Tensor):
        return with_constant(call, OpKind.ADD_CONST, a, "value", b, shape)
    if isinstance(b, Made):
        return plus(call, b, a)
    return a + b  # type: ignore[operator]


def minus(call: Call, a: Operand, b: Operand) -> Operand:
    """a - b."""  # noqa: D403
    shape = _shape(a, b)
    if isinstance(a, Made) and isinstance(b, Made):
        return Made(call.emit(OpKind.SUBTRACT, [a.node, b.node], shape=shape), shape)
    if isinstance(b, torch.Tensor):
        return plus(call, a, -b)
    return plus(call, emit(call, OpKind.NEGATE, b), a)


def times(call: Call, a: Operand, b: Operand) -> Operand:
    """a * b; nothing where one of them is the number 1."""  # noqa: D403
    shape = _shape(a, b)
    if isinstance(a, Made) and isinstance(b, Made):
        return Made(call.emit(OpKind.MULTIPLY, [a.node, b.node], shape=shape), shape)
    if isinstance(a, Made) and isinstance(b, torch.Tensor):
        if b.dim() == 0 and b == 1:
            return a
        return with_constant(call, OpKind.SCALE, a, "factor", b, shape)
    if isinstance(b, Made):
        return times(call, b, a)
    return a * b  # type: ignore[operator]


def over(call: Call, a: Operand, b: Operand) -> Operand:
    """a / b; by a constant it is the product with its reciprocal, else a function."""  # noqa: D403
    if isinstance(b, torch.Tensor):
        return times(call, a, 1.0 / b.double())
    return binary_function(call, "div.Tensor", a, b)


def binary_function(call: Call, aten: str, a: Operand, b: Operand, *more: Any) -> Made:
    """An elementwise function of a and b, at most one of them constant, as torch has it; more: further arguments."""
    inputs: list[str] = []
    args: list[dict[str, Any]] = []
    consts: dict[str, Constant] = {}
    for value in (a, b):
        if isinstance(value, Made):
            args.append({"in": len(inputs)})
            inputs.append(value.node)
        else:
            args.append({"const": "c0"})
            consts["c0"] = constant(value)
    shape = _shape(a, b)
    attrs = {"aten": aten, "args": [*args, *more]}
    return Made(call.emit(OpKind.FUNCTION, inputs, attrs=attrs, consts=consts, shape=shape), shape)


def compare(call: Call, x: Operand, relation: str, y: Operand) -> Operand:
    """1 where x `relation` y holds ("gt", "ge", "lt", "le", "eq", "ne"), else 0."""
    if not isinstance(x, Made):
        return compare(call, y, MIRRORED[relation], x)
    shape = _shape(x, y)
    if isinstance(y, Made):
        attrs = {"relation": relation}
        return Made(call.emit(OpKind.COMPARE, [x.node, y.node], attrs=attrs, shape=shape), shape)
    x = expanded(call, x, shape)  # then a constant that varies along the new axes alone is seen as such
    return with_constant(call, OpKind.COMPARE, x, "level", y, shape, relation=relation)


def select(call: Call, condition: Operand, yes: Operand, no: Operand) -> Operand:
    """Condition ? yes : no; each of the three computed or constant."""
    operands = {"condition": condition, "self": yes, "other": no}
    shape = _shape(*operands.values())
    made = [x for x in operands.values() if isinstance(x, Made)]
    sized = (
        shape if any(x.shape == shape for x in made) else ()
    )  # an activation alone gives the result its size
    consts = {role: constant(x, shape, sized) for role, x in operands.items() if isinstance(x, torch.Tensor)}
    return Made(call.emit(OpKind.SELECT, [x.node for x in made], consts=consts, shape=shape), shape)


def function(call: Call, x: Made, aten: str) -> Made:
    """An elementwise function of x alone, as torch has it."""
    return emit(call, OpKind.FUNCTION, x, aten=aten, args=[{"in": 0}])


def moved(call: Call, x: Made, aten: str, *args: Any, shape: tuple[int, ...]) -> Made:
    """The elements of x elsewhere: a call of `aten` on x and these further arguments."""
    return emit(call, OpKind.WIRING, x, shape, aten=aten, args=[{"in": 0}, *args])


def reshaped(call: Call, x: Operand, shape: tuple[int, ...]) -> Operand:
    """The elements of x in another shape; x itself if it has it."""
    if tuple(x.shape) == shape:
        return x
    if isinstance(x, Made):
        return moved(call, x, "reshape.default", list(shape), shape=shape)
    return x.reshape(shape)


def permuted(call: Call, x: Operand, axes: list[int]) -> Operand:
    """Axis i of the result is axis axes[i] of x."""
    if isinstance(x, Made):
        return moved(call, x, "permute.default", axes, shape=tuple(x.shape[a] for a in axes))
    return x.permute(axes)


def expanded(call: Call, x: Made, shape: tuple[int, ...]) -> Made:
    """X repeated along axes of size 1, to `shape`; x itself if it has it."""
    return x if x.shape == shape else moved(call, x, "expand.default", list(shape), shape=shape)


def result(value: Operand) -> str:
    """Name of the node. Raises TypeError for a constant, which a handler never sees alone."""
    if not isinstance(value, Made):
        raise TypeError("an operation on constants alone needs no handler")
    return value.node
