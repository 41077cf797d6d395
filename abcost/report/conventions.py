"""What the counts and costs mean; stated in every report."""

from __future__ import annotations

from abcost.core.primitives import FREE
from abcost.core.tables import ABSOLUTE, RELATIVE, WORDS

CONVENTIONS: tuple[str, ...] = (
    "1 real multiply-accumulate = 1 multiply + 1 add; a K-bit binary dot product = K XNOR + K popcount bits + 1 add; "
    "a binary operand against a real one = K sign-controlled adds.",
    "Padded taps are counted, as fvcore counts them; hardware gates them or corrects the border (executed exactly).",
    "A sign has one bit: x >= 0 is +1. torch.sign(0) is 0; `abcost verify` says how often that is met.",
    "Work on parameters (standardisation, scaling, sign of weights) is offline and not counted.",
    "Real values are fixed point, as wide as the residual path (--width). Divisions by constants are multiplications.",
    "Published convention: counts beta, alpha, RPReLU, windowed pooling, batch norm and real shortcut convolutions; "
    "not stem, classifier, per-channel weight scale and global pool.",
    "Area and LUTs are of the units instantiated (one time-multiplexed lane per node, --lanes, --simd), not of the "
    "operations; wires, control, buffers and parameter memory are not in them.",
    "Energy = operations x energy each + memory traffic where the target has a memory table: parameters are stored "
    "once, and read once by each node that uses them; a tensor that feeds a dot product or pool, or has several "
    "readers, is written once and read once by each.",
    "Where 1/taps of a global average is folded into the classifier, logits come out in units of 1/taps: the "
    "divisor is a unit, not an operation.",
    "Low and high are the same sums over the least and most that the sources of each figure say; a figure without such "
    "bounds counts with its value. Nothing is scaled to another node except by `abcost targets scale`.",
    "abs, rounding, clamps and whole powers are selects, adds, comparisons and products; floor drops bits: wiring.",
    f"Other functions read a table of {WORDS} words (2**width, if less) as wide as the residual path: directly, "
    "behind a clamp to -4 ... 4 or -8 ... 8, or behind a normalising shift. With 12 fraction bits tables are off by "
    f"at most {max(ABSOLUTE.values()):g}, or by {max(RELATIVE.values()):.1%} (reciprocal, roots, exp); execution "
    "computes the functions themselves. What has no such form is counted as `function` and has no price.",
    "cost_known sums what has a price where the total is unknown; unpriced counts what has none.",
    "An operation narrower than the table's smallest unit is priced as that unit.",
    "An AND is priced as an XNOR, or as a select where the target prices no XNOR: an upper bound.",
    *(f"Free: {primitive.value}: {reason}." for primitive, reason in FREE.items()),
)
