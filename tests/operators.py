"""What the tests of single operators share: the graph of a function equals the function, and what it counts."""

from __future__ import annotations

from collections import Counter

import torch

from abcost.classify import tally
from abcost.classify.counts import counts_of
from abcost.core.inputs import InputSpec
from abcost.core.interpret import Floating, execute
from abcost.core.kinds import DOTS, OpKind
from abcost.trace import trace
from abcost.trace.double import float64_only
from strategies import Module


def values(shape, seed=0, dtype=torch.float64):
    """Normal values, some of them zeros and whole numbers of both signs."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    edge = torch.tensor([0.0, 1.0, -1.0, 2.0, -3.0, 0.5], dtype=torch.float64)
    edge = edge[torch.randint(0, len(edge), shape, generator=generator)]
    return torch.where(torch.rand(shape, generator=generator) < 0.4, edge, x).to(dtype)


def graph_equal_to(function, *shapes, seed=0, tolerance=1e-10, **members):
    """The graph of `function(module, *inputs)`, after it was executed next to the function itself.

    Every value that was met is in the set that the value analysis gives for its node.
    """
    model = Module(function, **members).double().eval()
    specs = tuple(s if isinstance(s, InputSpec) else InputSpec(s, torch.float64) for s in shapes)
    inputs = [values(spec.shape, seed + number, spec.dtype) for number, spec in enumerate(specs)]
    with float64_only():
        graph = trace(model, specs).graph
    with torch.no_grad(), float64_only():
        wanted = model(*[x.clone() for x in inputs])
    wanted = [wanted] if isinstance(wanted, torch.Tensor) else list(wanted)
    got = list(execute(graph, inputs).values())
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        assert a.shape == b.shape
        assert torch.allclose(a.double(), b.double(), rtol=tolerance, atol=tolerance)
    seen = execute(graph, inputs, Floating(hardware_sign=True), keep=lambda node: True)
    for node in graph:  # what the analysis says a value can be, it is
        assert graph.values(node).contains(seen[node.name].double()), node
    return graph


def macs(graph):
    return tally(graph, 16).macs.total


def kinds(graph):
    """Kinds of all nodes that do something, in order."""
    free = (OpKind.INPUT, OpKind.OUTPUT, OpKind.WIRING)
    return [node.kind.value for node in graph if node.kind not in free]


def counts(graph):
    """Primitive -> how many of it, over the whole graph, without those of dot products.

    Functions count once per element here; what hardware makes of one is tested elsewhere.
    """
    found = Counter()
    for node in graph:
        if node.kind is OpKind.FUNCTION:
            found["function"] += node.elements
        elif node.kind not in DOTS:
            for count in counts_of(graph, node, 16):
                found[count.primitive.value] += count.count
    return dict(found)
