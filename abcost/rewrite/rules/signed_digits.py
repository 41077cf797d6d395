"""Opt-in: multiplications by constants -> shifts and adds in canonical signed digits."""

from __future__ import annotations

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.interpret import FixedPoint, is_power_of_two
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.log import Phase
from abcost.core.node import Constant, OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules

_ROLE = {OpKind.SCALE: "factor", OpKind.CONV: "weight", OpKind.LINEAR: "weight"}


class SignedDigits:
    """x * c  ->  sum of +-x * 2**k over the nonzero canonical signed digits of round(c * 2**F) / 2**F.

    Exact for the fixed-point constant; the distance to the real constant is reported.
    """

    phase = Phase.LOWER
    kinds = frozenset(_ROLE)

    def check(self, graph: OpGraph, node: OpNode, options: RewriteOptions) -> Match | Declined | None:
        """Only where a multiplication by a constant is left."""
        if options.constant_multiply == "keep" or "csd_fraction_bits" in node.attrs:
            return None
        constant = node.consts[_ROLE[node.kind]]
        if node.kind is OpKind.SCALE:
            values = constant.real()
            if bool((is_power_of_two(values) & (values > 0)).all()):
                return None
        elif graph.dot_arithmetic(node) is not DotArithmetic.REAL:
            return None
        rounded = FixedPoint(options.fraction_bits).constant(constant)
        return Match(
            (node,),
            f"constants in canonical signed digits, {options.fraction_bits} fraction bits",
            error=float((rounded - constant.real()).abs().max()),
            error_unit="largest |constant - its fixed-point value|",
            data={"values": rounded, "fraction_bits": options.fraction_bits},
        )

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, match: Match) -> None:
        """The node keeps its kind: it is the same product, performed by shifts and adds."""
        role = _ROLE[node.kind]
        consts = {**node.consts, role: Constant(match.data["values"], shared=node.consts[role].shared)}
        attrs = {**node.attrs, "csd_fraction_bits": match.data["fraction_bits"]}
        edit.replace(node, attrs=attrs, consts=consts)


rules.add("signed-digits")(SignedDigits())
