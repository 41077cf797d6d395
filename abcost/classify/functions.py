"""How hardware computes what torch calls a function: primitives per element, one formula per ATen operator.

Exact forms (abs, rounding, hard functions, whole powers) are wiring, adds, selects and comparisons. The others read
one table of `WORDS` words, addressed and scaled as `abcost.core.tables` has it, which also computes them to the bit and
bounds their errors. A formula gives the steps of one element; units of one element work side by side.

    normalise x            ceil(log2 W) times: are the upper half of the bits 0? if so, shift them in (compare, select)
    shift by a known e     ceil(log2 W) selects between shifted and not (a barrel shift)
    clamp to [low, high)   2 comparisons and 2 selects; at 0 the sign bit decides and no comparison is needed
    negate if              one add (0 - x) and one select
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from abcost.core.node import OpNode
from abcost.core.primitives import Primitive
from abcost.core.tables import WORDS

_LARGEST_POWER = 64
"""Whole powers up to this one are multiplied out; others go by way of a logarithm."""


@dataclass(frozen=True, slots=True)
class FunctionStep:
    """`each` operations of one primitive per element. width: bits if not those of the operand; depth: of a ROM."""

    primitive: Primitive
    each: int = 1
    width: int | None = None
    depth: int | None = None


Steps = Iterator[FunctionStep]
Formula = Callable[[OpNode, int], Steps]


def steps_of(node: OpNode, width: int) -> tuple[FunctionStep, ...]:
    """Steps of one element of a FUNCTION node of `width` bits; Primitive.FUNCTION where no realisation is stated."""
    formula = REALISED.get(str(node.attrs.get("aten")), _unknown)
    return merged(formula(node, width))


def merged(steps: Steps) -> tuple[FunctionStep, ...]:
    """One step per primitive, width and depth."""
    found: dict[tuple[Primitive, int | None, int | None], int] = {}
    for step in steps:
        key = (step.primitive, step.width, step.depth)
        found[key] = found.get(key, 0) + step.each
    return tuple(FunctionStep(p, each, width, depth) for (p, width, depth), each in found.items() if each)


def _unknown(_node: OpNode, _width: int) -> Steps:
    yield FunctionStep(Primitive.FUNCTION)


# parts


def table(words: int = WORDS) -> Steps:
    """One read of a table."""
    yield FunctionStep(Primitive.ROM, depth=words)


def stages(width: int) -> int:
    """Steps of a shift by any amount below `width`: ceil(log2 width).

    >>> stages(16), stages(17)
    (4, 5)
    """
    return (width - 1).bit_length()


def normalise(width: int) -> Steps:
    """X -> m and e with x = m * 2**e; e is made of the answers."""
    yield FunctionStep(Primitive.COMPARE, stages(width))
    yield FunctionStep(Primitive.MUX, stages(width))


def shift_back(width: int) -> Steps:
    """A shift by an amount that was computed."""
    yield FunctionStep(Primitive.MUX, stages(width))


def negate_if() -> Steps:
    """-x or x."""
    yield FunctionStep(Primitive.ADD)
    yield FunctionStep(Primitive.MUX)


def clamped(limits: int) -> Steps:
    """A clamp to a range with so many limits other than 0."""
    yield FunctionStep(Primitive.COMPARE, limits)
    yield FunctionStep(Primitive.MUX, limits)


def reciprocal(width: int) -> Steps:
    """1 / x for x > 0 and a result that is known to fit."""
    yield from normalise(width)
    yield from table()
    yield from shift_back(width)


def rsqrt(width: int) -> Steps:
    """1 / sqrt(x) for x > 0: as a reciprocal, of a mantissa in [1, 4)."""
    yield from reciprocal(width)


def logarithm(width: int) -> Steps:
    """ln(m) + e * ln(2), the second from a table with a word per e."""
    yield from normalise(width)
    yield from table()
    yield from table(width)
    yield FunctionStep(Primitive.ADD)


def exp_below_0() -> Steps:
    """exp(x) for x <= 0, from a table over [-8, 0)."""
    yield from clamped(1)
    yield from table()


def exponential(width: int) -> Steps:
    """2**(x * log2(e))."""
    yield FunctionStep(Primitive.MULTIPLY)
    yield from power_of_two(width)


def power_of_two(width: int) -> Steps:
    """2**y: a table of the fraction, shifted by the whole part, saturated."""
    yield from table()
    yield from shift_back(width)
    yield from clamped(1)


# exact forms


def _wiring(_node: OpNode, _width: int) -> Steps:
    """floor: the bits after the point are dropped."""
    return iter(())


def _abs(_node: OpNode, _width: int) -> Steps:
    """X or 0 - x, by the sign bit."""
    yield from negate_if()


def _ceil(_node: OpNode, _width: int) -> Steps:
    """floor(x + 1 - 2**-F)."""
    yield FunctionStep(Primitive.ADD)


def _round(_node: OpNode, _width: int) -> Steps:
    """floor(x + 1/2); where that ends in a tie (the dropped bits are then 0), the last bit is cleared: half to even."""
    yield FunctionStep(Primitive.ADD)
    yield FunctionStep(Primitive.COMPARE)
    yield FunctionStep(Primitive.MUX, width=1)


def _trunc(_node: OpNode, _width: int) -> Steps:
    """floor(x + (1 - 2**-F where x < 0, else 0))."""
    yield FunctionStep(Primitive.MUX)
    yield FunctionStep(Primitive.ADD)


def _hard_sigmoid(_node: OpNode, _width: int) -> Steps:
    """min(max(x + 3, 0), 6) / 6."""
    yield FunctionStep(Primitive.ADD)
    yield FunctionStep(Primitive.MUX)
    yield from clamped(1)
    yield FunctionStep(Primitive.MULTIPLY)


def _hard_swish(node: OpNode, width: int) -> Steps:
    """X * hardsigmoid(x)."""
    yield from _hard_sigmoid(node, width)
    yield FunctionStep(Primitive.MULTIPLY)


# tables


def _bounded(_node: OpNode, _width: int) -> Steps:
    """A table over a range around 0."""
    yield from clamped(2)
    yield from table()


def _remainder(node: OpNode, width: int) -> Steps:
    """A table of f(x) - max(x, 0), and max(x, 0) by the sign bit."""
    yield from _bounded(node, width)
    yield FunctionStep(Primitive.MUX)
    yield FunctionStep(Primitive.ADD)


def _elu(node: OpNode, _width: int) -> Steps:
    """A table below 0, selected by the sign; x times the scale of SELU above. CELU is the same with other words."""
    yield from exp_below_0()
    yield FunctionStep(Primitive.MUX)
    scale = _plain(node, 2)
    if scale not in (None, 1):
        yield FunctionStep(Primitive.MULTIPLY)


def _reciprocal(_node: OpNode, width: int) -> Steps:
    """The reciprocal of |x|, saturated, with the sign of x."""
    yield from negate_if()
    yield from reciprocal(width)
    yield from clamped(1)
    yield from negate_if()


def _divide(node: OpNode, width: int) -> Steps:
    """A * (1 / b); a numerator that is a power of two everywhere is a shift."""
    yield from _reciprocal(node, width)
    if not _power_of_two(node, _argument(node, 0)):
        yield FunctionStep(Primitive.MULTIPLY)


def _sqrt(_node: OpNode, width: int) -> Steps:
    yield from normalise(width)
    yield from table()
    yield from shift_back(width)


def _rsqrt(_node: OpNode, width: int) -> Steps:
    yield from rsqrt(width)
    yield from clamped(1)


def _log(_node: OpNode, width: int) -> Steps:
    yield from logarithm(width)


def _log1p(_node: OpNode, width: int) -> Steps:
    yield FunctionStep(Primitive.ADD)
    yield from logarithm(width)


def _exp(_node: OpNode, width: int) -> Steps:
    yield from exponential(width)


def _exp2(_node: OpNode, width: int) -> Steps:
    yield from power_of_two(width)


def _exp_minus_1(_node: OpNode, width: int) -> Steps:
    yield from exponential(width)
    yield FunctionStep(Primitive.ADD)


def _log2(_node: OpNode, width: int) -> Steps:
    """Both side by side: e is whole, and the table's word less than 1."""
    yield from normalise(width)
    yield from table()


def _constant_to(node: OpNode, width: int) -> Steps:
    """The power b ** x as 2**(x * log2(b))."""
    base = _plain(node, 0)
    yield from power_of_two(width) if base == 2.0 else exponential(width)


def _whole_quotient(node: OpNode, width: int) -> Steps:
    """The quotient a / b, with the bits behind the point dropped."""
    yield from _divide(node, width)
    yield from _trunc(node, width) if _argument(node, 2) == "trunc" else ()


def _wave(_node: OpNode, _width: int) -> Steps:
    """X / (2 * pi), of which the fraction addresses one period."""
    yield FunctionStep(Primitive.MULTIPLY)
    yield from table()


def _power(node: OpNode, width: int) -> Steps:
    """x**n by squaring, roots and reciprocals by their tables, any other power as exp(n * ln(x))."""
    exponent = _plain(node, 1)
    if exponent == 0.5:
        yield from _sqrt(node, width)
    elif exponent == -0.5:
        yield from _rsqrt(node, width)
    elif exponent is not None and float(exponent).is_integer() and abs(exponent) <= _LARGEST_POWER:
        n = abs(int(exponent))
        yield FunctionStep(Primitive.MULTIPLY, max(0, n.bit_length() - 1 + n.bit_count() - 1))
        if exponent < 0:
            yield from _reciprocal(node, width)
    else:
        yield from _any_power(node, width)


def _any_power(_node: OpNode, width: int) -> Steps:
    yield from logarithm(width)
    yield FunctionStep(Primitive.MULTIPLY)
    yield from exponential(width)


def _argument(node: OpNode, position: int) -> Any:
    """An argument of the recorded call, None where it has fewer."""
    arguments = node.attrs.get("args") or ()
    return arguments[position] if position < len(arguments) else None


def _plain(node: OpNode, position: int) -> float | None:
    """A number among the arguments, None for anything else."""
    value = _argument(node, position)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _power_of_two(node: OpNode, argument: Any) -> bool:
    """Whether an argument is +-2**k everywhere."""
    if isinstance(argument, Mapping) and "const" in argument:
        values = node.consts[argument["const"]].real()
    elif isinstance(argument, int | float) and not isinstance(argument, bool):
        values = torch.tensor(float(argument), dtype=torch.float64)
    else:
        return False
    mantissa, _ = torch.frexp(values.abs())
    return bool((mantissa == 0.5).all())


ROUNDINGS = frozenset({"floor.default", "ceil.default", "round.default", "trunc.default"})
"""They leave whole numbers as they are."""

REALISED: Mapping[str, Formula] = {
    "abs.default": _abs,
    "floor.default": _wiring,
    "ceil.default": _ceil,
    "round.default": _round,
    "trunc.default": _trunc,
    "hardsigmoid.default": _hard_sigmoid,
    "hardswish.default": _hard_swish,
    "sigmoid.default": _bounded,
    "tanh.default": _bounded,
    "erf.default": _bounded,
    "erfc.default": _bounded,
    "gelu.default": _remainder,
    "silu.default": _remainder,
    "mish.default": _remainder,
    "softplus.default": _remainder,
    "log_sigmoid_forward.default": _remainder,
    "elu.default": _elu,
    "celu.default": _elu,
    "reciprocal.default": _reciprocal,
    "div.Tensor": _divide,
    "div.Tensor_mode": _whole_quotient,
    "sqrt.default": _sqrt,
    "rsqrt.default": _rsqrt,
    "log.default": _log,
    "log2.default": _log2,
    "log10.default": _log,
    "log1p.default": _log1p,
    "exp.default": _exp,
    "exp2.default": _exp2,
    "expm1.default": _exp_minus_1,
    "sin.default": _wave,
    "cos.default": _wave,
    "pow.Tensor_Scalar": _power,
    "pow.Scalar": _constant_to,
    "pow.Tensor_Tensor": _any_power,
}
"""ATen operator -> steps of one element. What is not here is a FUNCTION without a price."""
