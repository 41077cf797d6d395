"""Where each inference multiplication comes from, read off the graph around it."""

from __future__ import annotations

from collections.abc import Callable

from abcost.core.graph import OpGraph
from abcost.core.kinds import DOTS, DotArithmetic, OpKind
from abcost.core.node import OpNode
from abcost.core.primitives import Origin

_POINTWISE = frozenset(
    {
        OpKind.ADD_CONST,
        OpKind.SCALE,
        OpKind.SHIFT,
        OpKind.WIRING,
        OpKind.CLAMP,
        OpKind.PRELU,
        OpKind.SHIFT_PRELU,
        OpKind.NEGATE,
        OpKind.MASK,
        OpKind.FUNCTION,
    }
)
"""Kinds that act on each element by itself (or move it), with one input that matters."""


def origin_of(graph: OpGraph, node: OpNode) -> Origin:
    """Origin of the multiplications of `node`, whatever kind it is (also where it has none left)."""
    rule = _RULES.get(node.kind)
    return rule(graph, node) if rule else Origin.OTHER


def _scale(graph: OpGraph, node: OpNode) -> Origin:
    if node.attrs.get("role") == "weight_scale":
        return Origin.WEIGHT_SCALE
    if node.attrs.get("role") == "batch_norm":
        dot = _upstream_dot(graph, node)
        return Origin.STEM if dot is not None and _is_stem(graph, dot) else Origin.BATCH_NORM
    if _reaches_sign(graph, node):
        return Origin.ACTIVATION_SCALE
    dot = _upstream_dot(graph, node)
    if dot is not None and not _is_stem(graph, dot) and _has_binary_operand(graph, dot):
        return Origin.RESIDUAL_SCALE
    if dot is not None and _reaches_sum(graph, node) and not _is_stem(graph, dot):
        return Origin.RESIDUAL_SCALE
    return Origin.OTHER


def _reaches_sign(graph: OpGraph, node: OpNode) -> bool:
    """Whether all readers are signs, perhaps behind masks and added constants."""
    users = graph.users(node)
    through = (OpKind.MASK, OpKind.ADD_CONST)
    return bool(users) and all(
        user.kind in (OpKind.SIGN, OpKind.THRESHOLD) or (user.kind in through and _reaches_sign(graph, user))
        for user in users
    )


def _reaches_sum(graph: OpGraph, node: OpNode) -> bool:
    """Whether the value is added to another computed one, perhaps after concatenation or batch norm."""
    through = (OpKind.WIRING, OpKind.ADD_CONST, OpKind.SCALE, OpKind.SHIFT)
    return any(
        user.kind is OpKind.ADD or (user.kind in through and _reaches_sum(graph, user))
        for user in graph.users(node)
    )


def _upstream_dot(graph: OpGraph, node: OpNode) -> OpNode | None:
    """The dot product whose result reaches `node` through pointwise operations alone."""
    while True:
        sources = graph.sources(node)
        if len(sources) != 1:
            return None
        node = sources[0]
        if node.kind in DOTS:
            return node
        if node.kind not in _POINTWISE:
            return None


def _has_binary_operand(graph: OpGraph, dot: OpNode) -> bool:
    return graph.dot_arithmetic(dot) is not DotArithmetic.REAL


def _is_stem(graph: OpGraph, dot: OpNode) -> bool:
    """A dot product of the input itself: no other one lies upstream (bounded: pointwise and pools only)."""
    node = dot
    while True:
        sources = graph.sources(node)
        if len(sources) != 1:
            return False
        node = sources[0]
        if node.kind is OpKind.INPUT:
            return True
        if node.kind not in _POINTWISE and node.kind not in (
            OpKind.MAX_POOL,
            OpKind.AVG_POOL,
            OpKind.SUM_POOL,
        ):
            return False


def _dot(graph: OpGraph, node: OpNode) -> Origin:
    if node.kind is OpKind.LINEAR and _makes_output(graph, node):
        return Origin.CLASSIFIER
    if _is_stem(graph, node):
        return Origin.STEM
    if node.kind is OpKind.CONV and _is_shortcut(graph, node):
        return Origin.SHORTCUT
    return Origin.OTHER


def _makes_output(graph: OpGraph, node: OpNode) -> bool:
    """Whether only pointwise operations and softmax lie between the node and an output."""
    users = graph.users(node)
    through = _POINTWISE | {OpKind.SOFTMAX}
    return bool(users) and all(
        user.kind is OpKind.OUTPUT or (user.kind in through and _makes_output(graph, user)) for user in users
    )


def _is_shortcut(graph: OpGraph, node: OpNode) -> bool:
    """A 1x1 convolution added to a longer branch, or to one whose own convolution is not a real 1x1."""
    if any(k != 1 for k in node.consts["weight"].values.shape[2:]):
        return False
    end = node
    while True:  # follow the branch to the sum
        users = graph.users(end)
        if len(users) != 1:
            return False
        if users[0].kind is OpKind.ADD:
            break
        if users[0].kind not in _POINTWISE:
            return False
        end = users[0]
    others = [source for source in graph.sources(users[0]) if source is not end]
    if len(others) != 1:
        return False
    mine, fork = _branch(graph, end)
    theirs = _longest(graph, fork, others[0])
    if mine != len(theirs):
        return mine < len(theirs)
    return bool(theirs) and (_has_binary_operand(graph, theirs[0]) or any(k != 1 for k in _kernel(theirs[0])))


def _kernel(dot: OpNode) -> tuple[int, ...]:
    weight = dot.const("weight")
    return tuple(weight.values.shape[2:]) if weight is not None else ()


def _branch(graph: OpGraph, node: OpNode) -> tuple[int, OpNode]:
    """Dot products on the way up from `node` to where the branch forks off (a value with several readers)."""
    dots = 0
    while len(graph.users(node)) == 1 and len(graph.sources(node)) == 1:
        dots += node.kind in DOTS
        node = graph.sources(node)[0]
    return dots, node


def _longest(graph: OpGraph, fork: OpNode, end: OpNode) -> list[OpNode]:
    """Dot products on the way from `fork` to `end` that passes most of them; [] if no way leads there."""
    found: dict[str, list[OpNode]] = {fork.name: []}
    for node in graph:
        ways = [found[name] for name in graph.inputs(node.name) if name in found]
        if ways:
            found[node.name] = [*max(ways, key=len), *([node] if node.kind in DOTS else [])]
        if node is end:
            break
    return found.get(end.name, [])


def _avg_pool(_graph: OpGraph, node: OpNode) -> Origin:
    """A mean over positions, over windows, or over something else (channels, the batch)."""
    if node.attrs["whole"]:
        return Origin.GLOBAL_POOL
    return Origin.OTHER if "axes" in node.attrs else Origin.AVG_POOL


_RULES: dict[OpKind, Callable[[OpGraph, OpNode], Origin]] = {
    OpKind.SCALE: _scale,
    OpKind.CONV: _dot,
    OpKind.LINEAR: _dot,
    OpKind.AVG_POOL: _avg_pool,
    OpKind.PRELU: lambda _graph, _node: Origin.RPRELU,
}
