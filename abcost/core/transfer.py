"""Which values an operation can give, from those that it reads: one function per kind of node.

Every rule goes by the values of constants, never by who made them. What has no rule can be anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from abcost.core.constants import constant_values
from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.core.replay import replay
from abcost.core.value_algebra import (
    affine,
    canonical,
    clamped,
    join,
    mapped,
    product,
    repeated,
    total,
    unpadded,
    without_offset,
)
from abcost.core.values import (
    ANY,
    INFINITY,
    ONE,
    UNBOUNDED,
    ZERO,
    Grid,
    Values,
    from_values,
    interval,
    of_grid,
    scalar,
    two_values,
    whole_numbers,
)

_LARGEST_MOVED = 2**22
"""Elements of a scale that is expanded to follow its tensor through a view; of more, only the interval is kept."""


def transfer(node: OpNode, inputs: Sequence[Values], shapes: Sequence[tuple[int, ...]]) -> Values:
    """The values of `node`, given those of what it reads and their shapes."""
    rule = _RULES.get(node.kind)
    return ANY if rule is None else rule(node, inputs, shapes)


_Shapes = Sequence[tuple[int, ...]]
_Rule = Callable[[OpNode, Sequence[Values], _Shapes], Values]


def _input(node: OpNode, _inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    """Whole numbers of a type of up to 8 bits; a picture is often such a one."""
    ranges = {"bool": (0, 1), "uint8": (0, 255), "int8": (-128, 127)}
    limits = ranges.get(str(node.attrs.get("dtype", "")))
    return ANY if limits is None else whole_numbers(*limits)


def _kept(_node: OpNode, inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    return inputs[0]


def decision(node: OpNode) -> tuple[float, float]:
    """The two values of a sign or threshold: below and above."""
    return float(node.attrs.get("low", -1.0)), float(node.attrs.get("high", 1.0))


def _sign(node: OpNode, _inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    return two_values(*decision(node))


def _flag(_node: OpNode, _inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    return whole_numbers(0, 1)


def _quantise(node: OpNode, _inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    steps = int(node.attrs["levels"]) - 1
    step, offset = float(node.attrs["step"]), float(node.attrs["offset"])
    return of_grid(canonical(Grid(scalar(step), scalar(offset), 0, steps)))


def _dot(node: OpNode, inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    """K products of whole multiples of two scales: a whole multiple of their product."""
    weight = node.const("weight")
    operands = [*inputs, *([constant_values(weight)] if weight is not None else [])]
    based = [None if v.code is None else without_offset(v.code) for v in operands]
    a, w = based
    if a is None or w is None:
        return ANY
    corners = [x * y for x in (a.low, a.high) for y in (w.low, w.high)]
    if max(map(abs, corners)) >= 2**40:
        return ANY
    taps = int(node.attrs["taps"])  # padding leaves products out
    low, high = min(0, taps * min(corners)), max(0, taps * max(corners))
    divisor = int(node.attrs.get("divisor", 1))
    found = of_grid(canonical(Grid(a.scale * w.scale / divisor, ZERO, low, high)))
    bias = node.const("bias")
    if bias is None:
        return found
    shape = (1, -1, *[1] * (len(node.shape) - 2)) if node.kind is OpKind.CONV else (-1,)
    return affine(found, ONE, bias.real().reshape(shape))


def _add(_node: OpNode, inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    return total(inputs[0], inputs[1])


def _subtract(_node: OpNode, inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    return total(inputs[0], affine(inputs[1], -ONE, ZERO))


def _multiply(_node: OpNode, inputs: Sequence[Values], shapes: _Shapes) -> Values:
    """Products of grids are a grid; a computed factor leaves the other's levels, known along some axes only."""
    left, right = inputs
    if left.code is not None and right.code is not None:
        return product(left, right)
    for values, factor, shape in ((left, right, shapes[1]), (right, left, shapes[0])):
        if values.code is not None and not values.code.padded and factor.grid is None:
            axes = frozenset(-n for n, size in enumerate(reversed(shape), start=1) if size > 1)
            return replace(product(values, factor), grid=replace(values.code, varies=axes))
    return product(left, right)


def _add_const(node: OpNode, inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    return affine(inputs[0], ONE, node.consts["value"].real())


def _scale(node: OpNode, inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    return affine(inputs[0], node.consts["factor"].real(), ZERO)


def _shift(node: OpNode, inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    return affine(inputs[0], torch.exp2(node.consts["exponent"].real()), ZERO)


def _negate(_node: OpNode, inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    return affine(inputs[0], -ONE, ZERO)


def _select(node: OpNode, inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    """Either branch."""
    feed = iter(inputs)
    branches = []
    for role in ("condition", "self", "other"):
        constant = node.const(role)
        values = next(feed) if constant is None else constant_values(constant)
        if role != "condition":
            branches.append(values)
    return join(*(unpadded(values) for values in branches))


def _prelu(node: OpNode, inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    """The value itself where nothing is negative; few values under one slope."""
    x = inputs[0]
    if x.least >= 0:
        return x
    role = "slope" if node.kind is OpKind.PRELU else "exponent"
    constant = node.consts[role].real()
    slope = constant if node.kind is OpKind.PRELU else torch.exp2(constant)
    if slope.numel() == 1:
        few = mapped(x, lambda v: torch.where(v >= 0, v, v * slope.flatten()))
        if few is not None:
            return few
    ends = [_scaled(x.least, float(s)) for s in (slope.min(), slope.max())] if slope.numel() else [-INFINITY]
    return interval(min(0.0, *ends), max(x.most, 0.0, *ends))


def _scaled(end: float, slope: float) -> float:
    return 0.0 if slope == 0 else end * slope


def _clamp(node: OpNode, inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    return clamped(inputs[0], node.attrs["min"], node.attrs["max"])


def _extremum(node: OpNode, inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    """Values of a maximum or minimum: with a constant it is a clamp; of two operands it is one of them."""
    level = node.const("level")
    if level is None:
        return join(*(unpadded(x) for x in inputs))
    values = level.real()
    if values.numel() == 1:
        limit = float(values)
        return clamped(inputs[0], *((limit, None) if node.attrs["which"] == "max" else (None, limit)))
    return join(inputs[0], constant_values(level))


def _max_pool(_node: OpNode, inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    """One of its inputs; whether a zero of the border comes through depends on the values beside it."""
    return unpadded(inputs[0])


def _sum(node: OpNode, inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    padded = any(node.attrs.get("padding", [])) or bool(node.attrs.get("ceil_mode", False))
    padded = padded or "windows" in node.attrs  # of unequal sizes, taps of the largest
    return repeated(inputs[0], int(node.attrs["taps"]), padded=padded)


def _mean(node: OpNode, inputs: Sequence[Values], shapes: _Shapes) -> Values:
    return affine(_sum(node, inputs, shapes), scalar(1 / int(node.attrs["taps"])), ZERO)


def _softmax(node: OpNode, _inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    return interval(-INFINITY, 0.0) if "log" in str(node.attrs.get("aten")) else interval(0.0, 1.0)


def _mask(_node: OpNode, _inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    return interval(-1.0, 1.0)


_RANGES = {
    "sigmoid.default": (0.0, 1.0),
    "hardsigmoid.default": (0.0, 1.0),
    "tanh.default": (-1.0, 1.0),
    "erf.default": (-1.0, 1.0),
    "sin.default": (-1.0, 1.0),
    "cos.default": (-1.0, 1.0),
    "exp.default": (0.0, INFINITY),
    "softplus.default": (0.0, INFINITY),
    "sqrt.default": (0.0, INFINITY),
}
_ROUNDING: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "round.default": (round, round),
    "floor.default": (math.floor, math.floor),
    "ceil.default": (math.ceil, math.ceil),
    "trunc.default": (math.trunc, math.trunc),
}


def _function(node: OpNode, inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    """Few values are mapped one by one; roundings give whole numbers; some functions have known limits."""
    name = str(node.attrs.get("aten"))
    if len(inputs) != 1 or node.consts:
        return ANY
    x = unpadded(inputs[0])
    few = mapped(x, lambda v: replay(node.attrs, [v], {}))
    if few is not None:
        return few
    if name in _ROUNDING:
        return _rounded(x, *_ROUNDING[name])
    if name == "abs.default":
        return _magnitude(x)
    return interval(*_RANGES[name]) if name in _RANGES else ANY


def _rounded(x: Values, low: Callable[[float], float], high: Callable[[float], float]) -> Values:
    grid = x.code
    if grid is not None and grid.whole:
        return x
    return whole_numbers(
        -UNBOUNDED if abs(x.least) >= UNBOUNDED else int(low(x.least)),
        UNBOUNDED if abs(x.most) >= UNBOUNDED else int(high(x.most)),
    )


def _magnitude(x: Values) -> Values:
    most = max(abs(x.least), abs(x.most))
    grid = None if x.code is None else without_offset(x.code)
    if grid is None or grid.members is not None:
        return interval(0.0 if x.least <= 0 <= x.most else min(abs(x.least), abs(x.most)), most)
    inside = grid.low <= 0 <= grid.high
    low = 0 if inside else min(abs(grid.low), abs(grid.high))
    return of_grid(replace(grid, low=low, high=max(abs(grid.low), abs(grid.high))))


def _lookup(node: OpNode, _inputs: Sequence[Values], _shapes: _Shapes) -> Values:
    """A row of a table: what is in the table."""
    tables = [constant_values(c) for c in node.consts.values() if c.values.is_floating_point() or c.binary]
    return join(*tables) if tables else ANY


def _wiring(node: OpNode, inputs: Sequence[Values], shapes: _Shapes) -> Values:
    """Elements go elsewhere; padding and concatenation bring in others."""
    aten = str(node.attrs.get("aten"))
    if len(inputs) == 1 and not node.consts:
        if aten == "constant_pad_nd.default":
            return _padded(node, inputs[0])
        if aten == "im2col.default" and any(node.attrs["args"][3]):
            return _with_zeros(inputs[0])
        return _moved(node, inputs[0], shapes[0])
    constants = [constant_values(c) for c in node.consts.values() if c.values.is_floating_point() or c.binary]
    joined = join(*inputs, *constants)
    return joined if joined.code is not None else replace(joined, grid=None)


def _padded(node: OpNode, x: Values) -> Values:
    arguments = node.attrs["args"]
    value = float(arguments[2]) if len(arguments) > 2 and arguments[2] is not None else 0.0
    if value == 0:
        return _with_zeros(x)
    return join(x, from_values([value]))


def _with_zeros(x: Values) -> Values:
    """Zeros at the border: hardware corrects what they add up to, as it does inside a convolution."""
    grid = x.code
    if grid is None:
        return Values(min(x.least, 0.0), max(x.most, 0.0))
    if (few := grid.values()) is not None and 0.0 in few:
        return x
    if grid.levels > 2:
        return join(x, from_values([0.0]))
    return Values(min(x.least, 0.0), max(x.most, 0.0), replace(grid, padded=True))


def _moved(node: OpNode, x: Values, shape: tuple[int, ...]) -> Values:
    """A scale that differs between channels goes where its elements go."""
    grid = x.grid
    if grid is None or grid.uniform:
        return x
    if math.prod(shape) > _LARGEST_MOVED:
        return Values(x.least, x.most)
    parts = [_follow(node, part, shape) for part in (grid.scale, grid.offset, _factor(grid, shape))]
    if any(part is None for part in parts):
        return Values(x.least, x.most)
    scale, offset, factor = (part for part in parts if part is not None)
    varies = frozenset(-n for n, size in enumerate(reversed(factor.shape), start=1) if size > 1)
    return replace(
        x,
        grid=replace(grid, scale=scale, offset=offset, varies=None if grid.varies is None else varies),
    )


def _factor(grid: Grid, shape: tuple[int, ...]) -> Tensor:
    """A stand-in for the computed factor: another number wherever it may differ."""
    sizes = [
        size if -n in (grid.varies or ()) else 1
        for n, size in zip(range(len(shape), 0, -1), shape, strict=True)
    ]
    return torch.arange(math.prod(sizes), dtype=torch.float64).reshape(sizes)


def _follow(node: OpNode, part: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """A constant broadcast over `shape`, moved as the node moves its elements, and folded where it does not vary."""
    if part.numel() == 1:
        return part
    try:
        moved = replay(node.attrs, [part.expand(shape)], {})
    except RuntimeError:  # a view that a broadcast tensor cannot give
        return None
    for axis, size in enumerate(moved.shape):
        if size > 1 and bool((moved == moved.narrow(axis, 0, 1)).all()):
            moved = moved.narrow(axis, 0, 1)
    return moved.contiguous()


_RULES: dict[OpKind, _Rule] = {
    OpKind.INPUT: _input,
    OpKind.OUTPUT: _kept,
    OpKind.CONV: _dot,
    OpKind.LINEAR: _dot,
    OpKind.MATMUL: _dot,
    OpKind.ADD: _add,
    OpKind.SUBTRACT: _subtract,
    OpKind.MULTIPLY: _multiply,
    OpKind.ADD_CONST: _add_const,
    OpKind.SCALE: _scale,
    OpKind.SHIFT: _shift,
    OpKind.NEGATE: _negate,
    OpKind.SIGN: _sign,
    OpKind.THRESHOLD: _sign,
    OpKind.QUANTISE: _quantise,
    OpKind.COMPARE: _flag,
    OpKind.SELECT: _select,
    OpKind.PRELU: _prelu,
    OpKind.SHIFT_PRELU: _prelu,
    OpKind.CLAMP: _clamp,
    OpKind.EXTREMUM: _extremum,
    OpKind.MAX_POOL: _max_pool,
    OpKind.SUM_POOL: _sum,
    OpKind.BOX_SUM: _sum,
    OpKind.AVG_POOL: _mean,
    OpKind.SOFTMAX: _softmax,
    OpKind.MASK: _mask,
    OpKind.FUNCTION: _function,
    OpKind.LOOKUP: _lookup,
    OpKind.WIRING: _wiring,
}
