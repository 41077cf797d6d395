"""tanh(c * x) or 2 * sigmoid(c * x) - 1 in front of signs -> mask(x)."""

from __future__ import annotations

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import Constant, OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, only_user, rules


def _positive_scalar(constant: Constant | None) -> float | None:
    value = float(constant.values) if constant is not None and constant.count == 1 else None
    return value if value is not None and value > 0 else None


class Mask:
    """tanh(c * x)  ->  mask;  2 * sigmoid(2c * x) - 1, the same function, ->  mask;  c > 0, read by signs only.

    The mask layer of A&B BNN (CVPR 2024) is 2 * sigmoid(3x) - 1 = tanh(1.5x): odd and strictly rising, there
    to shape the gradient. Its own multiplications belong to training, so it is one node of class "other".
    """

    phase = Phase.RECOGNISE
    kinds = frozenset({OpKind.FUNCTION, OpKind.ADD_CONST})

    def check(self, graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """Every reader must be a sign, and every node of the chain have one reader."""
        users = graph.users(node)
        if not users or any(user.kind is not OpKind.SIGN for user in users):
            return None
        if node.kind is OpKind.FUNCTION and node.attrs.get("aten") == "tanh.default":
            return self._scaled(graph, node, (node,), slope_per_scale=1.0)
        chain = self._sigmoid_chain(graph, node)
        return self._scaled(graph, chain[-1], chain, slope_per_scale=0.5) if chain else None

    @staticmethod
    def _sigmoid_chain(graph: OpGraph, node: OpNode) -> tuple[OpNode, ...] | None:
        """(… - 1, 2 * …, sigmoid) if that is what node ends."""
        if node.kind is not OpKind.ADD_CONST or not bool((node.consts["value"].values == -1).all()):
            return None
        (double,) = graph.sources(node)
        if double.kind is not OpKind.SCALE or not bool((double.consts["factor"].values == 2).all()):
            return None
        (sigmoid,) = graph.sources(double)
        if (
            sigmoid.attrs.get("aten") != "sigmoid.default"
            or only_user(graph, double) is None
            or only_user(graph, sigmoid) is None
        ):
            return None
        return (node, double, sigmoid)

    @staticmethod
    def _scaled(graph: OpGraph, inner: OpNode, chain: tuple[OpNode, ...], slope_per_scale: float) -> Match:
        """Take in the scale c in front of the squashing function, if there is one."""
        (source,) = graph.sources(inner)
        c = _positive_scalar(source.const("factor")) if source.kind is OpKind.SCALE else None
        if c is None or only_user(graph, source) is None:
            data = {"x": [source.name], "slope": slope_per_scale}
            return Match(chain, "odd, strictly rising, read by signs only: a mask", data=data)
        data = {"x": graph.inputs(source.name), "slope": c * slope_per_scale}
        return Match((*chain, source), "odd, strictly rising, read by signs only: a mask", data=data)

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, match: Match) -> None:
        """The last node of the chain becomes the mask."""
        edit.replace(node, match.data["x"], kind=OpKind.MASK, attrs={"slope": match.data["slope"]}, consts={})


rules.add("mask")(Mask())
