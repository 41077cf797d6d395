"""Branches that end in one concatenation of channels: one branch with the same values, or left as they are."""

from __future__ import annotations

import torch

from abcost.circuit.joined import join_branches
from abcost.core.edit import Edit
from abcost.core.interpret import FixedPoint, execute
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode
from strategies import conv_attrs

CHANNELS, SIZE = 3, 4
SHAPE = (1, CHANNELS, SIZE, SIZE)


def branches(*, attrs=None, shared=False, second_reads="x"):
    """cat(prelu(conv(x) * a) + x, prelu(conv(x) * b) + x): two convolutions of one input, side by side.

    attrs: of the second convolution; shared: something else reads the first branch, too.
    """
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return Constant(torch.round(torch.randn(shape, generator=generator, dtype=torch.float64) * 8) / 8)

    edit = Edit()
    edit.add(OpNode("x", OpKind.INPUT, SHAPE))
    edit.add(OpNode("other", OpKind.NEGATE, SHAPE), ["x"])
    ends = []
    for i in range(2):
        weight = random(CHANNELS, CHANNELS, 1, 1)
        given = conv_attrs(weight.values, SHAPE) | ((attrs or {}) if i else {})
        source = second_reads if i else "x"
        edit.add(OpNode(f"conv{i}", OpKind.CONV, SHAPE, attrs=given, consts={"weight": weight}), [source])
        factor = {"factor": random(1, CHANNELS, 1, 1)}
        edit.add(OpNode(f"scale{i}", OpKind.SCALE, SHAPE, consts=factor), [f"conv{i}"])
        exponent = {"exponent": Constant(torch.tensor([-1.0, -2.0, float(-i)]).reshape(1, CHANNELS, 1, 1))}
        edit.add(OpNode(f"prelu{i}", OpKind.SHIFT_PRELU, SHAPE, consts=exponent), [f"scale{i}"])
        ends.append(edit.add(OpNode(f"add{i}", OpKind.ADD, SHAPE), [f"prelu{i}", "x"]))
    cat = {"aten": "cat.default", "args": [[{"in": 0}, {"in": 1}], 1]}
    shape = (1, 2 * CHANNELS, SIZE, SIZE)
    edit.add(OpNode("cat", OpKind.WIRING, shape, attrs=cat), ends)
    edit.add(OpNode("out", OpKind.OUTPUT, shape), ["cat"])
    if shared:
        edit.add(OpNode("seen", OpKind.OUTPUT, SHAPE), ["add0"])
    return edit.freeze()


def outputs(graph):
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return execute(graph, [x], FixedPoint(6, width=16))["out"]


def convolutions(graph):
    return [(node.shape[1], tuple(node.consts["weight"].values.shape)) for node in graph.of_kind(OpKind.CONV)]


def test_like_branches_become_one_with_the_same_values():
    graph = branches()
    joined = join_branches(graph)
    assert convolutions(graph) == [(3, (3, 3, 1, 1))] * 2
    assert convolutions(joined) == [(6, (6, 3, 1, 1))]
    (conv,) = joined.of_kind(OpKind.CONV)
    assert conv.attrs["macs"] == 2 * CHANNELS * CHANNELS * SIZE * SIZE
    assert torch.equal(outputs(joined), outputs(graph))
    (repeated,) = joined.of_kind(OpKind.WIRING)
    assert [node.name for node in joined.sources(repeated)] == ["x", "x"]


def test_what_differs_in_more_than_constants_stays():
    for graph in (branches(shared=True), branches(second_reads="other"), branches(attrs={"padding": [1, 1]})):
        assert convolutions(join_branches(graph)) == convolutions(graph)
