"""sign(f(x)) -> x >= level: batch norm, PReLU, clamps and masks in front of a sign are one comparison per channel."""

from __future__ import annotations

from typing import Any

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import OpNode
from abcost.core.transfer import decision
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules
from abcost.rewrite.steps import RewriteStep, chain_above, find_steps

_ROUNDED_ALONE = frozenset({OpKind.ADD_CONST})


class Threshold:
    """sign(f(x)), f monotone per channel  ->  +1 where x >= level (x <= level where f falls), else -1.

    A channel on which f is constant is constant: its level is beyond what x can be. Exact to the bit in fixed point.
    """

    phase = Phase.LOWER
    kinds = frozenset({OpKind.SIGN, OpKind.THRESHOLD, OpKind.COMPARE})

    def check(self, graph: OpGraph, node: OpNode, options: RewriteOptions) -> Match | Declined | None:
        """All of f must act on single elements and be read by nothing else; a bias alone is bias-sign's."""
        if not _decides(graph, node):
            return None
        chain = chain_above(graph, node)
        kinds = {n.kind for n in chain}
        if not chain or (kinds <= _ROUNDED_ALONE and len(chain) == 1 and node.kind is OpKind.SIGN):
            return None
        low, high = (0.0, 1.0) if node.kind is OpKind.COMPARE else decision(node)
        upper = max(low, high)

        found = find_steps(graph, (*chain, node), [lambda value: value == upper], options.fraction_bits)
        if found is None:
            return Declined("the chain in front of the sign is more than fixed-point execution holds exactly")
        (step,) = found
        data = {"step": step, "low": min(low, high), "high": upper, "x": graph.inputs(chain[0].name)}
        return Match((node, *chain), _text(chain, step), data=data)

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, match: Match) -> None:
        """The chain dies with its only reader."""
        step: RewriteStep = match.data["step"]
        attrs: dict[str, Any] = {"at_zero": 1}
        if (match.data["low"], match.data["high"]) != (-1.0, 1.0):
            attrs |= {"low": match.data["low"], "high": match.data["high"]}
        if step.at_origin:
            edit.replace(node, match.data["x"], kind=OpKind.SIGN, attrs=attrs, consts={})
            return
        consts = {"level": step.level} if step.gain is None else {"level": step.level, "gain": step.gain}
        edit.replace(node, match.data["x"], kind=OpKind.THRESHOLD, attrs=attrs, consts=consts)


def _decides(graph: OpGraph, node: OpNode) -> bool:
    """Whether one value is compared with a constant, on one side."""
    same = len(graph.inputs(node.name)) == 1 and graph.sources(node)[0].shape == node.shape
    return same and node.attrs.get("relation") not in ("eq", "ne")


def _text(chain: tuple[OpNode, ...], step: RewriteStep) -> str:
    names = ", ".join(dict.fromkeys(n.kind.value for n in chain))
    falling = 0 if step.gain is None else int((step.gain.values < 0).sum())
    more = f"; {falling} of {step.gain.count} turned round or constant" if step.gain is not None else ""
    return f"{names} in front of a sign: one comparison with a level{more}"


rules.add("threshold")(Threshold())
