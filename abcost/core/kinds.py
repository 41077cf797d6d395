"""What a node of the op graph can be: a closed vocabulary.

A node is one tensor operation; the primitives it performs are counted in `abcost.classify`.
"""

from __future__ import annotations

from enum import Enum


class OpKind(Enum):
    """One tensor operation of the op graph. `c` is a constant held by the node, `x`, `a`, `b` its inputs."""

    # 1. the ends
    INPUT = "input"
    OUTPUT = "output"
    # 2. dot products; which arithmetic they need depends on the precision of both operands
    CONV = "conv"  # convolution of x with a constant weight
    LINEAR = "linear"  # x @ weight.T (+ bias) with a constant weight
    MATMUL = "matmul"  # a @ b, both computed
    # 3. elementwise arithmetic
    ADD = "add"  # a + b
    SUBTRACT = "subtract"  # a - b
    MULTIPLY = "multiply"  # a * b, both computed
    ADD_CONST = "add_const"  # x + c
    SCALE = "scale"  # x * c
    SHIFT = "shift"  # x * 2**exponent, the exponent constant or per channel
    NEGATE = "negate"  # -x
    # 4. decisions
    SIGN = "sign"  # -1, 0 or +1; or two other values
    THRESHOLD = "threshold"  # +1 where x >= c, else -1; or two other values; where c's gain is -1: x <= c
    QUANTISE = "quantise"  # one of several equally spaced values, by how many thresholds x reaches
    COMPARE = "compare"  # a ? b or x ? c, one bit
    SELECT = "select"  # condition ? a : b
    PRELU = "prelu"  # x where x >= 0, else slope * x
    SHIFT_PRELU = "shift_prelu"  # x where x >= 0, else x * 2**exponent
    CLAMP = "clamp"  # between two constants; ReLU is a clamp at 0
    EXTREMUM = "extremum"  # max or min of a and b, or of x and c
    # 5. windows and reductions
    MAX_POOL = "max_pool"
    AVG_POOL = "avg_pool"
    SUM_POOL = "sum_pool"
    BOX_SUM = (
        "box_sum"  # the sum of all a convolution's window or a linear layer's row holds, channels included
    )
    # 6. composites with multiplications inside
    SOFTMAX = "softmax"
    NORM = "norm"  # layer, group or instance normalisation by computed statistics
    # 7. the rest
    MASK = "mask"  # odd, strictly rising surrogate whose only readers are signs
    FUNCTION = "function"  # elementwise function without an add/shift/bit form known to abcost
    LOOKUP = "lookup"  # a row of a constant table
    WIRING = "wiring"  # moves elements: view, permute, slice, concatenate, pad


DOTS = frozenset({OpKind.CONV, OpKind.LINEAR, OpKind.MATMUL})
"""Kinds that are dot products and have multiply-accumulates."""


class DotArithmetic(Enum):
    """What the product of a dot product's operands is in hardware."""

    REAL = "real"  # multiply and add, in the width of the residual path
    NARROW = "narrow"  # whole numbers of few bits on both sides: narrow multipliers
    SIGNED_ADD = (
        "signed_add"  # one operand has one bit, or its weights are -1, 0 and 1: sign-controlled addition
    )
    PLANES = "planes"  # whole numbers of very few bits: a popcount for each pair of bits
    MASKED = "masked"  # a bit and a weight of -1, 0 or 1: XNOR, a mask, popcount
    XNOR = "xnor"  # both operands have one bit: XNOR (AND where they are 0 and 1) and popcount
