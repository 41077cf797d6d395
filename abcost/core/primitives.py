"""The counted operations: what hardware performs, its class, and what its size depends on.

A graph node (`OpKind`) performs a number of primitives; a cost table prices primitives.
Conventions (stated in every report):

- One real multiply-accumulate is 1 multiply and 1 add.
- A binary dot product of K bits is K XNORs, a K-bit popcount (counted in bits) and 1 add of a constant. One bit is
  any two values: {0, 1} against +-1 is 2p - K with other constants.
- A binary operand against a real one is K sign-controlled adds; so are ternary weights, an add for each that is not 0.
- A bit against ternary weights is K XNORs, K ANDs with the mask, a K-bit popcount and 1 add.
- Whole numbers of m and n bits, m * n <= 4, are m * n times K XNORs and popcount bits, and m * n adds that put them
  together; of up to 8 bits and m * n > 4, K multiplies as wide as the wider of them, and K adds.
- A shift by one constant amount is wiring; a shift by a per-channel amount is a multiplexer.
"""

from __future__ import annotations

from enum import Enum


class OpClass(Enum):
    """The class that a counted operation belongs to; the columns of every report."""

    MULTIPLY = "multiply"
    ADD = "add"
    BITOP = "bitop"
    SHIFT = "shift"
    COMPARE = "compare"
    OTHER = "other"


class Primitive(Enum):
    """One counted hardware operation. The value is its name in reports, cost tables and CSV."""

    MULTIPLY = "multiply"  # width x width bits
    ADD = "add"  # width bits; subtraction and sign-controlled addition count as add
    XNOR = "xnor"  # one bit
    AND = "and"  # one bit: a mask over the products of ternary weights
    POPCOUNT = "popcount"  # one bit of the word that is counted
    SHIFT_CONSTANT = "shift_constant"  # by one amount: wiring
    SHIFT_SELECT = "shift_select"  # by an amount selected per channel: a multiplexer
    COMPARE = "compare"  # width bits, against a constant or another value
    SIGN = "sign"  # comparison with 0: the sign bit
    MUX = "mux"  # width bits, two inputs: a select by a known condition
    ROM = "rom"  # one word of `depth` words of width bits, read by its address
    MASK = "mask"  # training-only surrogate in front of a sign
    FUNCTION = "function"  # elementwise, of which no realisation is stated (abcost/classify/functions.py)

    @property
    def op_class(self) -> OpClass:
        """The class the operation is counted in."""
        return CLASS_OF[self]


CLASS_OF: dict[Primitive, OpClass] = {
    Primitive.MULTIPLY: OpClass.MULTIPLY,
    Primitive.ADD: OpClass.ADD,
    Primitive.XNOR: OpClass.BITOP,
    Primitive.AND: OpClass.BITOP,
    Primitive.POPCOUNT: OpClass.BITOP,
    Primitive.SHIFT_CONSTANT: OpClass.SHIFT,
    Primitive.SHIFT_SELECT: OpClass.SHIFT,
    Primitive.COMPARE: OpClass.COMPARE,
    Primitive.SIGN: OpClass.COMPARE,
    Primitive.MUX: OpClass.COMPARE,
    Primitive.ROM: OpClass.OTHER,
    Primitive.MASK: OpClass.OTHER,
    Primitive.FUNCTION: OpClass.OTHER,
}

FREE: dict[Primitive, str] = {
    Primitive.SHIFT_CONSTANT: "a shift by one constant amount is wiring",
    Primitive.SIGN: "a comparison with 0 reads the sign bit, which is there already",
    Primitive.MASK: "not built: its only reader is a sign, and an odd, strictly rising mask keeps the sign",
}
"""Primitives that cost nothing, with the reason; printed in the report. Zero is a claim, never a default."""


class Origin(Enum):
    """Where an inference multiplication comes from (keys of `multiplications` in the JSON report)."""

    ACTIVATION_SCALE = "activation_scale"  # beta, in front of a sign
    RESIDUAL_SCALE = "residual_scale"  # alpha, on its way to a residual sum
    RPRELU = "rprelu"  # slope of a (R)PReLU
    AVG_POOL = "avg_pool"  # 1/taps of a windowed average
    WEIGHT_SCALE = "weight_scale"  # gain*s of binary or few-valued weights, in them or behind the product
    BATCH_NORM = "batch_norm"
    SHORTCUT = "shortcut"  # real convolution in parallel to the main path
    STEM = "stem"  # real convolution that reads the input, and its batch norm
    CLASSIFIER = "classifier"  # real linear layer or 1x1 convolution that makes the output
    GLOBAL_POOL = "global_pool"  # 1/(H*W) of the global average
    QUANTISER = "quantiser"  # scale of an activation of few bits, in front of its rounding or behind it
    ATTENTION = "attention"  # scale of attention scores, in front of their softmax
    ACTIVATION_FUNCTION = "activation_function"  # constants and products of GELU, SiLU, ... as written out
    SQUEEZE_EXCITE = "squeeze_excite"  # layers between a global pool and the gate it computes, and the gate
    OTHER = "other"


PUBLISHED_ORIGINS: tuple[Origin, ...] = (
    Origin.ACTIVATION_SCALE,
    Origin.RESIDUAL_SCALE,
    Origin.RPRELU,
    Origin.AVG_POOL,
    Origin.BATCH_NORM,
    Origin.SHORTCUT,
)
"""What the A&B BNN paper counts (CVPR 2024): not stem, classifier, weight scale or global pool."""
