"""Where each inference multiplication comes from, read off the graph around it."""

from __future__ import annotations

from collections.abc import Callable

from abcost.classify.neighbourhood import POINTWISE, Neighbourhood
from abcost.core.dots import MOST_CODE_BITS
from abcost.core.graph import OpGraph
from abcost.core.kinds import DOTS, DotArithmetic, OpKind
from abcost.core.node import OpNode
from abcost.core.primitives import Origin
from abcost.core.roundings import is_rounded

_OF_ROLE = {"weight_scale": Origin.WEIGHT_SCALE, "avg_pool": Origin.AVG_POOL, "quantiser": Origin.QUANTISER}
"""Scales that say themselves where they come from; "avg_pool": 1/taps of windows of unequal sizes."""


def origin_of(reach: Neighbourhood, node: OpNode) -> Origin:
    """Origin of the multiplications of `node` of the graph of `reach`, also where it has none left."""
    rule = _RULES.get(node.kind)
    return rule(reach, node) if rule else Origin.OTHER


def _scale(reach: Neighbourhood, node: OpNode) -> Origin:
    role = node.attrs.get("role")
    if role in _OF_ROLE:
        return _OF_ROLE[role]
    if role == "batch_norm":
        dot = reach.is_behind(node)
        return Origin.STEM if dot is not None and reach.is_stem(dot) else Origin.BATCH_NORM
    if reach.reaches_sign(node):
        return Origin.ACTIVATION_SCALE
    for origin, holds in _CONTEXTS:
        if holds(reach, node):
            return origin
    return Origin.OTHER


def _scales_channels(reach: Neighbourhood, node: OpNode) -> bool:
    """A factor per channel right behind a product with few-valued weights."""
    dot = _few_valued_product(reach, node)
    (source,) = reach.graph.sources(node)
    bare = source is dot or source.kind in (OpKind.WIRING, OpKind.ADD_CONST)
    return dot is not None and bare and node.consts["factor"].count > 1


def _scales_product(reach: Neighbourhood, node: OpNode) -> bool:
    """Any other factor right behind such a product that is no residual scale."""
    return _few_valued_product(reach, node) is not None and not reach.reaches_sum(node)


def _few_valued_product(reach: Neighbourhood, node: OpNode) -> OpNode | None:
    """The dot product right in front of `node`, if its weights are few-valued or its activations are."""
    dot = reach.is_behind(node)
    return dot if dot is not None and dot.const("weight") and _has_binary_operand(reach.graph, dot) else None


def _is_residual(reach: Neighbourhood, node: OpNode) -> bool:
    """Whether it is on the way from a dot product that is not the stem to a sum."""
    dot = reach.upstream_dot(node)
    return dot is not None and not reach.is_stem(dot) and reach.reaches_sum(node)


def _is_of_quantiser(reach: Neighbourhood, node: OpNode) -> bool:
    """Whether it is in front of a rounding, or behind what has few values."""
    graph = reach.graph
    grid = graph.values(node).grid
    coded = grid is not None and grid.varies is None and grid.bits <= MOST_CODE_BITS
    coded = coded and reach.is_behind(node) is None  # a dot product of few taps has few values too
    return is_rounded(graph, node) or coded


def _has_binary_operand(graph: OpGraph, dot: OpNode) -> bool:
    return graph.dot_arithmetic(dot) is not DotArithmetic.REAL


def _multiply(reach: Neighbourhood, node: OpNode) -> Origin:
    if reach.excites(node):
        return Origin.SQUEEZE_EXCITE
    return Origin.ACTIVATION_FUNCTION if reach.is_gated(node) else Origin.OTHER


def _dot(reach: Neighbourhood, node: OpNode) -> Origin:
    if reach.excites(node):
        return Origin.SQUEEZE_EXCITE
    if node.kind is OpKind.LINEAR and reach.makes_output(node):
        return Origin.CLASSIFIER
    if reach.is_stem(node):
        return Origin.STEM
    if node.kind is OpKind.CONV and _is_pointwise(node) and reach.makes_output(node):
        return Origin.CLASSIFIER
    if node.kind is OpKind.CONV and _is_shortcut(reach, node):
        return Origin.SHORTCUT
    return Origin.OTHER


def _is_pointwise(conv: OpNode) -> bool:
    """Whether the kernel is 1x1."""
    return all(k == 1 for k in conv.consts["weight"].values.shape[2:])


def _is_shortcut(reach: Neighbourhood, node: OpNode) -> bool:
    """A 1x1 convolution added to a longer branch, or to one whose own convolution is not a real 1x1."""
    graph = reach.graph
    if not _is_pointwise(node):
        return False
    end = node
    while True:  # follow the branch to the sum
        users = graph.users(end)
        if len(users) != 1:
            return False
        if users[0].kind is OpKind.ADD:
            break
        if users[0].kind not in POINTWISE:
            return False
        end = users[0]
    others = [source for source in graph.sources(users[0]) if source is not end]
    if len(others) != 1:
        return False
    mine, fork = _branch(graph, end)
    theirs = _longest(reach, fork, others[0])
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


def _longest(reach: Neighbourhood, fork: OpNode, end: OpNode) -> list[OpNode]:
    """Dot products on the way from `fork` to `end` that passes most of them; [] if no way leads there."""
    graph = reach.graph
    found: dict[str, list[OpNode]] = {fork.name: []}
    for node in reach.between(fork, end):
        ways = [found[name] for name in graph.inputs(node.name) if name in found]
        if ways:
            found[node.name] = [*max(ways, key=len), *([node] if node.kind in DOTS else [])]
    return found.get(end.name, [])


def _avg_pool(_reach: Neighbourhood, node: OpNode) -> Origin:
    """A mean over positions, over windows, or over something else (channels, the batch)."""
    if node.attrs["whole"]:
        return Origin.GLOBAL_POOL
    return Origin.OTHER if "axes" in node.attrs else Origin.AVG_POOL


_CONTEXTS: tuple[tuple[Origin, Callable[[Neighbourhood, OpNode], bool]], ...] = (
    (Origin.SQUEEZE_EXCITE, lambda reach, node: reach.excites(node)),
    (Origin.QUANTISER, _is_of_quantiser),
    (Origin.WEIGHT_SCALE, _scales_channels),
    (Origin.ATTENTION, lambda reach, node: reach.reaches_softmax(node)),
    (Origin.ACTIVATION_FUNCTION, lambda reach, node: reach.reaches_function(node)),
    (Origin.WEIGHT_SCALE, _scales_product),
    (Origin.RESIDUAL_SCALE, _is_residual),
)
"""What a scale that is none of a batch norm, of weights or in front of a sign can be, first match first."""

_RULES: dict[OpKind, Callable[[Neighbourhood, OpNode], Origin]] = {
    OpKind.SCALE: _scale,
    OpKind.CONV: _dot,
    OpKind.LINEAR: _dot,
    OpKind.AVG_POOL: _avg_pool,
    OpKind.MULTIPLY: _multiply,
    OpKind.PRELU: lambda _reach, _node: Origin.RPRELU,
}
