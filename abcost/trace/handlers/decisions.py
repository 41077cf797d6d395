"""Signs, comparisons, selections, rectifiers, extrema."""

from __future__ import annotations

from math import isinf

from abcost.core.kinds import OpKind
from abcost.core.node import Constant
from abcost.trace import operand as operands
from abcost.trace.constants import constant
from abcost.trace.operand import operand, result, select
from abcost.trace.registry import handler
from abcost.trace.tracer import Call, Tracer, node_of


@handler("sign.default", "sgn.default")
def sign(call: Call) -> str:
    """-1, 0 or +1, as torch has it; hardware has no 0 (see the report's conventions)."""
    return call.emit(OpKind.SIGN, [call.input("self")], attrs={"at_zero": 0})


@handler("gt", "ge", "lt", "le", "eq", "ne")
def compare(call: Call) -> str:
    """1 where the relation holds, else 0."""
    relation = call.name.partition(".")[0]
    return result(operands.compare(call, operand(call["self"]), relation, operand(call["other"])))


@handler("where.self", "where.ScalarOther", "where.ScalarSelf", "where.Scalar")
def where(call: Call) -> str:
    """Condition ? self : other; each of the three computed or constant."""
    return result(select(call, *(operand(call[role]) for role in ("condition", "self", "other"))))


@handler("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(call: Call) -> str:
    """Mask ? value : self."""
    return result(select(call, operand(call["mask"]), operand(call["value"]), operand(call["self"])))


@handler("_prelu_kernel.default", "prelu.default")
def prelu(call: Call) -> str:
    """X where x >= 0, weight * x elsewhere; weight per channel or one."""
    slope = call.constant("weight")
    if slope is None:
        raise call.refuse("no slope")
    return call.emit(OpKind.PRELU, [call.input("self")], consts={"slope": Constant(slope.detach())})


@handler("leaky_relu.default")
def leaky_relu(call: Call) -> str:
    """PReLU with one constant slope."""
    return call.emit(OpKind.PRELU, [call.input("self")], consts={"slope": constant(call["negative_slope"])})


@handler("relu.default")
def relu(call: Call) -> str:
    """max(x, 0)."""
    return call.emit(OpKind.CLAMP, [call.input("self")], attrs={"min": 0.0, "max": None})


@handler("relu6.default")
def relu6(call: Call) -> str:
    """min(max(x, 0), 6)."""
    return call.emit(OpKind.CLAMP, [call.input("self")], attrs={"min": 0.0, "max": 6.0})


@handler("hardtanh.default")
def hardtanh(call: Call) -> str:
    """Clamp between two numbers."""
    return _clamp(call, call["min_val"], call["max_val"])


@handler("clamp.default", "clamp_min.default", "clamp_max.default")
def clamp(call: Call) -> str:
    """Clamp between two numbers, either of which may be missing."""
    return _clamp(call, call.arguments.get("min"), call.arguments.get("max"))


def _clamp(call: Call, low: float | None, high: float | None) -> str:
    """An infinite limit is none."""
    limits = {"min": low, "max": high}
    attrs = {side: None if x is None or isinf(x) else float(x) for side, x in limits.items()}
    if attrs["min"] is None and attrs["max"] is None:
        return call.input("self")
    return call.emit(OpKind.CLAMP, [call.input("self")], attrs=attrs)


@handler("maximum.default", "minimum.default")
def extremum(call: Call) -> str:
    """The larger or smaller of two."""
    which = "max" if call.name.startswith("max") else "min"
    left, right = call["self"], call["other"]
    if isinstance(left, Tracer) and isinstance(right, Tracer):
        return call.emit(OpKind.EXTREMUM, [node_of(left), node_of(right)], attrs={"which": which})
    x, other = (left, right) if isinstance(left, Tracer) else (right, left)
    level = constant(other, call.shapes[0], tuple(x.shape))
    return call.emit(OpKind.EXTREMUM, [node_of(x)], attrs={"which": which}, consts={"level": level})
