"""Where the nodes of a block stand in a picture: one row per generation of the graph."""

from __future__ import annotations

from dataclasses import dataclass

from abcost.core.graph import OpGraph
from abcost.report.report import block_of


@dataclass(frozen=True, slots=True)
class Place:
    """Column and row of a node's box; columns may be halves, so that rows are centred."""

    column: float
    row: int


@dataclass(frozen=True, slots=True)
class BlockLayout:
    """places: node -> where. edges: (source, node) inside the block. entering: node -> blocks that it reads from."""

    places: dict[str, Place]
    edges: tuple[tuple[str, str], ...]
    entering: dict[str, tuple[str, ...]]
    columns: int
    rows: int


def layout(graph: OpGraph) -> dict[str, BlockLayout]:
    """Block -> its layout, in the order of execution.

    A block's nodes are those of one part of the module tree; a row has nodes that depend only on rows above.
    """
    blocks: dict[str, list[str]] = {}
    of = {}
    for node in graph:
        of[node.name] = block_of(node.layer)
        blocks.setdefault(of[node.name], []).append(node.name)
    return {block: _block(graph, names, of) for block, names in blocks.items()}


def _block(graph: OpGraph, names: list[str], of: dict[str, str]) -> BlockLayout:
    import networkx as nx  # noqa: PLC0415 - slow to import, and most reports have no picture

    inside = graph.nx.subgraph(names)
    order = {name: i for i, name in enumerate(names)}
    generations = [sorted(g, key=order.__getitem__) for g in nx.topological_generations(inside)]
    widest = max(len(g) for g in generations)
    places = {
        name: Place((widest - len(generation)) / 2 + i, row)
        for row, generation in enumerate(generations)
        for i, name in enumerate(generation)
    }
    edges = tuple(
        dict.fromkeys((source, name) for name in names for source in graph.inputs(name) if source in order)
    )
    entering = {
        name: tuple(dict.fromkeys(of[source] for source in graph.inputs(name) if source not in order))
        for name in names
    }
    return BlockLayout(places, edges, {k: v for k, v in entering.items() if v}, widest, len(generations))
