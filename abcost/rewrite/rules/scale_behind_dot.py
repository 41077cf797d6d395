"""dot(s * u, w) -> s * dot(u, w): the scale of an activation of few bits leaves the product."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from abcost.core.dots import MOST_CODE_BITS, free_axes
from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.interpret import FixedPoint, only_moves
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import Constant, OpNode
from abcost.errors import GraphError
from abcost.rewrite.rule import Declined, Match, RewriteOptions, only_user, rules
from abcost.rewrite.weights import Behind


@dataclass(frozen=True, slots=True)
class _Front:
    """`scale` multiplies `code`; `moves` (views, max pools) lie between it and the dot product, first to last.

    factor: the constant, or the name of the node that computes it.
    """

    scale: OpNode
    code: OpNode
    moves: tuple[OpNode, ...]
    factor: Constant | str


class ScaleBehindDot:
    """dot(s * u, w)  ->  s * dot(u, w), u whole numbers of few bits, s the same for all that is summed.

    s may be one for the tensor, the image (a computed s), a token of a linear layer, a channel of a depthwise
    convolution; a scale per input channel stays where it is. Real weights take s in, dot(u, s * w); else it becomes
    one with the scale of the weights, if that follows. Such a constant is the product of both as fixed point holds
    them: no bit changes.
    """

    phase = Phase.LOWER
    kinds = frozenset({OpKind.CONV, OpKind.LINEAR})

    def check(self, graph: OpGraph, node: OpNode, options: RewriteOptions) -> Match | Declined | None:
        """The factor must be on the grid of fixed point, else its products are cut in front of the dot product."""
        front = _front(graph, node)
        if front is None:
            return None
        arithmetic = FixedPoint(options.fraction_bits)
        reason = _stays(graph, node, front, arithmetic)
        if reason is not None:
            return Declined(reason)
        nodes = (node, *front.moves, front.scale)
        if isinstance(front.factor, str):
            return Match(nodes, "the scale of an image moves behind the product", data={"front": front})
        data = {"front": front, "arithmetic": arithmetic}
        if front.factor.count == 1 and node.consts["weight"].values.is_floating_point():
            return Match(nodes, "the activation's scale goes into the weights", data={**data, "into": True})
        own = _weight_scale(graph, node)
        more = () if own is None else (own,)
        return Match(
            (*nodes, *more), "the activation's scale moves behind the product", data={**data, "own": own}
        )

    def apply(self, edit: Edit, graph: OpGraph, node: OpNode, match: Match) -> None:
        """The last node has the old value and name."""
        front: _Front = match.data["front"]
        last = front.code.name
        for move in front.moves:
            twin = dataclasses.replace(move, name=edit.unique(f"{move.name}/code"))
            last = edit.insert_before(node, twin, [last])
        if match.data.get("into"):
            weight = _product(front.factor, node.consts["weight"], match.data["arithmetic"])
            edit.replace(node, [last], consts={**node.consts, "weight": weight})
            return
        behind = Behind(edit, graph, node)
        dot = behind.dot(node.consts["weight"], name="code", inputs=[last])
        if isinstance(front.factor, str):
            behind.finish(behind.then(OpKind.MULTIPLY, [dot, front.factor], {}, {}, "scale"))
            return
        fixed = match.data["arithmetic"].constant(front.factor)
        stored = Constant(_of_outputs(node, front.factor.real()), fixed=_of_outputs(node, fixed))
        own: OpNode | None = match.data["own"]
        if own is not None:
            both = _product(stored, own.consts["factor"], match.data["arithmetic"])
            edit.replace(own, [dot], consts={"factor": both})
            return
        attrs = {"role": "quantiser"}
        behind.finish(behind.then(OpKind.SCALE, [dot], attrs, {"factor": stored}, "scale"))


def _stays(graph: OpGraph, node: OpNode, front: _Front, arithmetic: FixedPoint) -> str | None:
    """Why the scale must stay in front; None if it need not."""
    factor = front.factor
    shape = graph.node(factor).shape if isinstance(factor, str) else tuple(factor.values.shape)
    if not _one_per_sum(node, front, shape):
        return "the scale differs between what is summed: it stays in front"
    pooled = any(m.kind is OpKind.MAX_POOL for m in front.moves)
    if isinstance(factor, str):
        turns = pooled and not graph.values(graph.node(factor)).least >= 0
        return "a computed scale that may be negative does not commute with a max pool" if turns else None
    if pooled and not bool((factor.real() > 0).all()):
        return "a scale that is not positive does not commute with a max pool"
    units = arithmetic.constant(factor) * 2.0**arithmetic.fraction_bits
    return None if torch.equal(torch.floor(units), units) else "the scale is below the grid of fixed point"


def _front(graph: OpGraph, node: OpNode) -> _Front | None:
    """The scale in front of a dot product, through views and max pools that nothing else reads."""
    moves: list[OpNode] = []
    (source,) = graph.sources(node)
    while len(graph.inputs(source.name)) == 1 and only_user(graph, source) is not None:
        if source.kind is not OpKind.MAX_POOL and not only_moves(source):
            break
        moves.insert(0, source)
        (source,) = graph.sources(source)
    sources = graph.sources(source)
    if (
        source.kind in (OpKind.SCALE, OpKind.SHIFT)
        and sources[0].shape == source.shape
        and _code(graph, sources[0])
    ):
        return _Front(source, sources[0], tuple(moves), _factor(source))
    if source.kind is OpKind.MULTIPLY:
        for code, computed in (sources, reversed(sources)):
            if code.shape == source.shape and _code(graph, code) and graph.values(computed).grid is None:
                return _Front(source, code, tuple(moves), computed.name)
    return None


def _code(graph: OpGraph, node: OpNode) -> bool:
    grid = graph.values(node).code
    return grid is not None and grid.bits <= MOST_CODE_BITS


def _factor(node: OpNode) -> Constant:
    return (
        node.consts["factor"]
        if node.kind is OpKind.SCALE
        else Constant(torch.exp2(node.consts["exponent"].real()))
    )


def _one_per_sum(node: OpNode, front: _Front, shape: tuple[int, ...]) -> bool:
    """Whether a factor of this shape is the same for all that one output sums."""
    axes = {-n for n, size in enumerate(reversed(shape), start=1) if size > 1}
    if not axes:
        return True
    allowed = free_axes(node, front.code.shape)
    if isinstance(front.factor, str) and node.kind is OpKind.CONV:
        allowed = {-len(front.code.shape)}
    return not front.moves and axes <= allowed


def _of_outputs(node: OpNode, factor: Tensor) -> Tensor:
    """The factor broadcast to the result: of a depthwise convolution each input channel's for all of its outputs."""
    if factor.numel() == 1 or node.kind is not OpKind.CONV:
        return factor.reshape(1) if factor.numel() == 1 else factor
    channels = factor.dim() - len(node.shape) + 1
    if channels < 0 or factor.shape[channels] == 1:
        return factor
    return factor.repeat_interleave(node.shape[1] // factor.shape[channels], dim=channels)


def _weight_scale(graph: OpGraph, node: OpNode) -> OpNode | None:
    """The scale of the weights, if it alone reads the product."""
    user = only_user(graph, node)
    if user is None or user.kind is not OpKind.SCALE or "bias" in node.consts:
        return None
    return user if user.attrs.get("role") == "weight_scale" else None


def _product(left: Constant | str, right: Constant, arithmetic: FixedPoint) -> Constant:
    """Two constants as one: in fixed point the product of what it held of each."""
    if isinstance(left, str):
        raise GraphError(f"{left!r} is computed, and no factor of a constant")
    fixed = arithmetic.constant(left) * arithmetic.constant(right)
    return Constant(left.real() * right.real(), fixed=fixed)


rules.add("scale-behind-dot")(ScaleBehindDot())
