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
    SIGN = "sign"  # -1, 0 or +1
    THRESHOLD = "threshold"  # +1 where x >= c, else -1
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

    REAL = "real"  # multiply and add
    SIGNED_ADD = "signed_add"  # one operand is +-1: sign-controlled addition
    XNOR = "xnor"  # both operands are +-1: XNOR and popcount
