"""Joins branches that end in one concatenation of channels, so that one engine computes what several did.

    cat(f(conv(x, W1)) + r, f(conv(x, W2)) + r)  ->  f(conv(x, [W1; W2])) + cat(r, r)

ReActNet-A doubles its channels so: two convolutions of one input, each with a chain of its own, side by side. Branches
that differ in per-channel constants alone become one branch of all channels; what they share is read once for each.
The values are the same to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from abcost.accelerator.design.network import CAT, joins_channels
from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode

_CHANNELS = 1
_BY_ELEMENT = frozenset({
    OpKind.SCALE, OpKind.SHIFT, OpKind.SHIFT_PRELU, OpKind.PRELU, OpKind.ADD, OpKind.SUBTRACT, OpKind.ADD_CONST,
    OpKind.THRESHOLD, OpKind.SIGN, OpKind.CLAMP, OpKind.NEGATE,
})  # fmt: skip
"""Operations whose every result depends on one element of each operand."""


def join_branches(graph: OpGraph) -> OpGraph:
    """The graph in which every concatenation of like branches is one branch; others stay as they are."""
    for node in graph.of_kind(OpKind.WIRING):
        if not joins_channels(node):
            continue
        sources = graph.sources(node)
        if len({source.name for source in sources}) < len(sources) or not _alike(graph, sources):
            continue
        edit = Edit(graph)
        edit.reroute(node.name, _joined(graph, edit, node, sources))
        return join_branches(edit.freeze())
    return graph


def _alike(graph: OpGraph, nodes: Sequence[OpNode]) -> bool:
    """Whether these are one operation on branches that are alike or the same, up to per-channel constants."""
    first = nodes[0]
    if all(node is first for node in nodes):
        return True
    if any(node.kind is not first.kind or node.shape != first.shape for node in nodes):
        return False
    if any(graph.users(node)[1:] for node in nodes) or not _same_attributes(nodes):
        return False
    if not all(_joinable([node.consts.get(role) for node in nodes]) for role in first.consts):
        return False
    operands = list(zip(*(graph.sources(node) for node in nodes), strict=True))
    if first.kind is OpKind.CONV:
        return first.attrs["groups"] == 1 and len({node.name for node in operands[0]}) == 1
    return first.kind in _BY_ELEMENT and all(_alike(graph, column) for column in operands)


def _same_attributes(nodes: Sequence[OpNode]) -> bool:
    first, *others = ({k: v for k, v in node.attrs.items() if k != "macs"} for node in nodes)
    return all(other == first for other in others)


def _joinable(constants: Sequence[Constant | None]) -> bool:
    """Whether all are there, and held in one way."""
    known = [c for c in constants if c is not None]
    forms = {(c.binary, c.fixed is None, c.values.dim()) for c in known}
    return len(known) == len(constants) and len(forms) == 1 and all(c.scale is None for c in known)


def _joined(graph: OpGraph, edit: Edit, before: OpNode, nodes: Sequence[OpNode]) -> str:
    """Name of the node, placed in front of `before`, that has the channels of all these nodes."""
    first = nodes[0]
    channels = sum(node.shape[_CHANNELS] for node in nodes)
    shape = (first.shape[0], channels, *first.shape[2:])
    if all(node is first for node in nodes):
        return _repeated(edit, before, first, shape, len(nodes))
    dot = first.kind is OpKind.CONV
    consts = {}
    for role in first.consts:
        sizes = [1 if dot else node.shape[_CHANNELS] for node in nodes]
        consts[role] = _side_by_side([node.consts[role] for node in nodes], sizes, 0 if dot else len(shape))
    attrs = dict(first.attrs)
    if "macs" in attrs:
        attrs["macs"] = sum(node.attrs["macs"] for node in nodes)
    operands = list(zip(*(graph.sources(node) for node in nodes), strict=True))
    inputs = [operands[0][0].name] if dot else [_joined(graph, edit, before, column) for column in operands]
    node = replace(
        first, name=edit.unique(" + ".join(n.name for n in nodes)), shape=shape, attrs=attrs, consts=consts,
        layer=_layers([n.layer for n in nodes]),
    )  # fmt: skip
    return edit.insert_before(before, node, inputs)


def _layers(names: Sequence[str]) -> str:
    """Layers of one parent with its name once: block.one + two.

    >>> _layers(["block.one", "block.two"]), _layers(["a.one", "b.two"]), _layers(["block", "block"])
    ('block.one + two', 'a.one + b.two', 'block')
    """
    first, *others = dict.fromkeys(names)
    parent = first.rpartition(".")[0]
    return " + ".join([first, *(o.removeprefix(f"{parent}.") if parent else o for o in others)])


def _repeated(edit: Edit, before: OpNode, node: OpNode, shape: tuple[int, ...], times: int) -> str:
    """The same tensor several times, side by side."""
    attrs = {"aten": CAT, "args": [[{"in": i} for i in range(times)], _CHANNELS]}
    made = OpNode(edit.unique(f"{node.name} x {times}"), OpKind.WIRING, shape, layer=node.layer, attrs=attrs)
    return edit.insert_before(before, made, [node.name] * times)


def _side_by_side(constants: Sequence[Constant], channels: Sequence[int], dims: int) -> Constant:
    """Constants of all branches as one: a number that is the same in all stays one number.

    dims: of what they act on, with so many channels each; 0: weights and biases, by output channel.
    """
    first = constants[0]
    if first.count == 1 and all(torch.equal(c.real(), first.real()) for c in constants):
        return first

    def joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
        if not dims:
            return torch.cat(list(parts))
        wide = []
        for part, size in zip(parts, channels, strict=True):
            grown = part.reshape((1,) * (dims - part.dim()) + tuple(part.shape))
            wide.append(grown.expand(grown.shape[0], size, *grown.shape[2:]))
        return torch.cat(wide, _CHANNELS)

    fixed = None if first.fixed is None else joined([c.fixed for c in constants if c.fixed is not None])
    return Constant(joined([c.values for c in constants]), binary=first.binary, fixed=fixed)
