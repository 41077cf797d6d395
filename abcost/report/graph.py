"""Renderings of an op graph: JSON, Graphviz dot, GraphML."""

from __future__ import annotations

import io
from typing import Protocol

from abcost.core.graph import OpGraph
from abcost.core.serialize import graph_to_json
from abcost.registry import Registry


class GraphFormat(Protocol):
    """Renders a graph as text; `constants` says whether values of constants are wanted, where the format has them."""

    def __call__(self, graph: OpGraph, *, constants: bool) -> str:
        """The whole text."""
        ...


GRAPH_FORMATS: Registry[GraphFormat] = Registry("graph format", "abcost.report")


@GRAPH_FORMATS.add("json")
def to_json(graph: OpGraph, *, constants: bool) -> str:
    """Everything there is; `abcost.core.serialize.graph_from_json` reads it back."""
    return graph_to_json(graph, constants=constants)


@GRAPH_FORMATS.add("dot")
def to_dot(graph: OpGraph, *, constants: bool) -> str:  # noqa: ARG001 - a picture shows no values
    """The graph for Graphviz: one box per node with its kind, layer and shape."""
    lines = ["digraph abcost {", "  node [shape=box, fontname=sans];"]
    for node in graph:
        label = f"{node.kind.value}\n{node.layer}\n{'x'.join(map(str, node.shape))}"
        lines.append(f"  {_quoted(node.name)} [label={_quoted(label)}];")
    for node in graph:
        lines += [f"  {_quoted(source)} -> {_quoted(node.name)};" for source in graph.inputs(node.name)]
    return "\n".join([*lines, "}"]) + "\n"


@GRAPH_FORMATS.add("graphml")
def to_graphml(graph: OpGraph, *, constants: bool) -> str:  # noqa: ARG001 - GraphML attributes are scalars
    """The graph for Gephi, yEd, networkx: kind, shape, layer, source per node, slot per edge."""
    import networkx as nx  # noqa: PLC0415 - slow to import, and formats are registered together

    plain: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for node in graph:
        shape = "x".join(map(str, node.shape))
        plain.add_node(node.name, kind=node.kind.value, shape=shape, layer=node.layer, source=node.source)
        for slot, source in enumerate(graph.inputs(node.name)):
            plain.add_edge(source, node.name, slot=slot)
    out = io.BytesIO()
    nx.write_graphml(plain, out)
    return out.getvalue().decode("utf-8") + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
