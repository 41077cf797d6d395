"""The op graph: frozen, checked, and changed through Edit alone."""

from __future__ import annotations

import dataclasses

import networkx as nx
import pytest
import torch

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph, taps
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.node import OpNode
from abcost.core.precision import BINARY, FLAG, REAL, Encoding, Precision
from abcost.errors import GraphError
from strategies import const, conv_attrs, graph_of, single

X = OpNode("x", OpKind.INPUT, (1, 2))
OUT = OpNode("out", OpKind.OUTPUT, (1, 2))


def test_a_graph_cannot_be_changed():
    graph = graph_of(("y", OpKind.NEGATE, (1, 4), ["x0"], {"a": 1}, {}))
    with pytest.raises(nx.NetworkXError, match="Frozen graph"):
        graph.nx.add_node("z")
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.node("y").kind = OpKind.SIGN
    with pytest.raises(TypeError, match="does not support item assignment"):
        graph.node("y").attrs["a"] = 2
    with pytest.raises(TypeError, match="does not support item assignment"):
        graph.node("y").consts["factor"] = const(1.0)


def test_edges_carry_the_argument_slot():
    graph = graph_of(("y", OpKind.SUBTRACT, (1, 4), ["x1", "x0"], {}, {}), inputs=((1, 4), (1, 4)))
    slots = {source: data["slot"] for source, _, data in graph.nx.in_edges("y", data=True)}
    assert slots == {"x1": 0, "x0": 1}


def test_two_nodes_of_one_name_are_refused():
    with pytest.raises(GraphError, match=r"^two nodes are called 'x'$"):
        OpGraph([X, X, OUT], {"out": ["x"]})


def test_a_forward_reference_is_refused():
    y = OpNode("y", OpKind.NEGATE, (1, 2))
    with pytest.raises(GraphError, match=r"^negate 'y' reads 'z', which does not come before it$"):
        OpGraph([X, y, OpNode("z", OpKind.NEGATE, (1, 2)), OUT], {"y": ["z"], "z": ["x"], "out": ["y"]})


def test_a_node_cannot_read_itself():
    with pytest.raises(GraphError, match=r"^add 'y' reads 'y', which does not come before it$"):
        OpGraph([X, OpNode("y", OpKind.ADD, (1, 2)), OUT], {"y": ["x", "y"], "out": ["y"]})


@pytest.mark.parametrize(
    ("kind", "sources", "wanted"),
    [
        (OpKind.ADD, ["x"], "has 1 inputs, a add has 2"),
        (OpKind.SIGN, ["x", "x"], "has 2 inputs, a sign has 1"),
        (OpKind.SIGN, [], "has 0 inputs, a sign has 1"),
        (OpKind.SELECT, ["x"] * 4, "has 4 inputs, a select has 1 or more"),
        (OpKind.INPUT, ["x"], "has 1 inputs, a input has 0"),
    ],
)
def test_arity_is_checked(kind, sources, wanted):
    with pytest.raises(GraphError, match=wanted):
        OpGraph([X, OpNode("y", kind, (1, 2)), OUT], {"y": sources, "out": ["x"]})


def test_a_graph_without_output_is_refused():
    with pytest.raises(GraphError, match=r"^the graph has no output$"):
        OpGraph([X], {})


def test_users_come_once_each_in_order():
    graph = graph_of(
        ("y", OpKind.ADD, (1, 4), ["x0", "x0"], {}, {}), ("z", OpKind.MULTIPLY, (1, 4), ["y", "x0"], {}, {})
    )
    assert [user.name for user in graph.users(graph.node("x0"))] == ["y", "z"]
    assert [source.name for source in graph.sources(graph.node("z"))] == ["y", "x0"]


# Edit


def test_unique_names():
    edit = Edit()
    edit.add(X)
    assert edit.unique("x") == "x_2"
    edit.add(dataclasses.replace(X, name="x_2"))
    assert edit.unique("x") == "x_3"
    assert edit.unique("y") == "y"


def chain():
    return graph_of(
        ("a", OpKind.NEGATE, (1, 4), ["x0"], {}, {}),
        ("b", OpKind.ADD, (1, 4), ["a", "a"], {}, {}),
        ("c", OpKind.MULTIPLY, (1, 4), ["b", "a"], {}, {}),
    )


def test_reroute_moves_every_slot_of_every_reader_and_the_old_node_dies():
    edit = Edit(chain())
    edit.reroute("a", "x0")
    graph = edit.freeze()
    assert graph.inputs("b") == ("x0", "x0")
    assert graph.inputs("c") == ("b", "x0")
    assert "a" not in graph
    assert [node.name for node in graph] == ["x0", "b", "c", "out"]


def test_reroute_to_a_reader_leaves_its_own_input():
    edit = Edit(chain())
    edit.reroute("a", "b")  # b goes on reading a
    graph = edit.freeze()
    assert graph.inputs("b") == ("a", "a")
    assert graph.inputs("c") == ("b", "b")


def test_rerouting_twice_follows():
    edit = Edit(chain())
    edit.reroute("b", "a")
    edit.reroute("a", "x0")
    graph = edit.freeze()
    assert graph.inputs("c") == ("x0", "x0")
    assert [node.name for node in graph] == ["x0", "c", "out"]


def test_the_original_is_untouched_by_an_edit():
    graph = chain()
    edit = Edit(graph)
    edit.reroute("a", "x0")
    edit.replace(graph.node("c"), kind=OpKind.ADD)
    assert graph.inputs("b") == ("a", "a")
    assert graph.node("c").kind is OpKind.MULTIPLY


def test_replace_changes_what_a_node_reads():
    edit = Edit(chain())
    edit.replace(chain().node("c"), ["x0"], kind=OpKind.NEGATE)
    graph = edit.freeze()
    assert [node.name for node in graph] == ["x0", "c", "out"]  # a and b died
    assert graph.users(graph.node("x0"))[0].name == "c"


def test_insert_before_puts_the_node_just_in_front():
    graph = chain()
    edit = Edit(graph)
    edit.insert_before(graph.node("c"), OpNode("n", OpKind.NEGATE, (1, 4)), ["b"])
    edit.insert_before(graph.node("c"), OpNode("m", OpKind.NEGATE, (1, 4)), ["n"])
    edit.replace(graph.node("c"), ["m", "a"])
    assert [node.name for node in edit.freeze()] == ["x0", "a", "b", "n", "m", "c", "out"]


def test_dead_code_goes_but_inputs_stay():
    edit = Edit()
    for name in ("x", "unused"):
        edit.add(dataclasses.replace(X, name=name))
    edit.add(OpNode("dead", OpKind.NEGATE, (1, 2)), ["x"])
    edit.add(OpNode("deader", OpKind.NEGATE, (1, 2)), ["dead"])
    edit.add(OUT, ["x"])
    assert [node.name for node in edit.freeze()] == ["x", "unused", "out"]


# precision


def dot(x_kind, weight):
    weight = torch.as_tensor(weight)
    steps = [("s", x_kind, (1, 4), ["x0"], {"at_zero": 1}, {})]
    steps.append(("y", OpKind.LINEAR, (1, 2), ["s"], {"taps": 4, "macs": 8}, {"weight": weight_of(weight)}))
    return graph_of(*steps)


def weight_of(weight):
    return const(weight, binary=weight.dtype == torch.int8)


REAL_W, BINARY_W = torch.ones(2, 4).double(), torch.ones(2, 4, dtype=torch.int8)


@pytest.mark.parametrize(
    ("x_kind", "weight", "arithmetic"),
    [
        (OpKind.SIGN, BINARY_W, DotArithmetic.XNOR),
        (OpKind.SIGN, REAL_W, DotArithmetic.SIGNED_ADD),
        (OpKind.NEGATE, BINARY_W, DotArithmetic.SIGNED_ADD),
        (OpKind.NEGATE, REAL_W, DotArithmetic.REAL),
    ],
)
def test_arithmetic_depends_on_both_operands(x_kind, weight, arithmetic):
    graph = dot(x_kind, weight)
    assert graph.dot_arithmetic(graph.node("y")) is arithmetic


def test_matmul_of_two_signs_is_xnor():
    graph = graph_of(
        ("a", OpKind.SIGN, (2, 4), ["x0"], {"at_zero": 1}, {}),
        ("b", OpKind.THRESHOLD, (4, 3), ["x1"], {"at_zero": 1}, {"level": const(0.5)}),
        ("y", OpKind.MATMUL, (2, 3), ["a", "b"], {"taps": 4, "macs": 24}, {}),
        inputs=((2, 4), (4, 3)),
    )
    assert graph.dot_arithmetic(graph.node("y")) is DotArithmetic.XNOR
    assert graph.precision(graph.node("y")) == Precision(
        Encoding.INTEGER, 4
    )  # popcount 0..4 in 3 bits, a sign
    assert taps(graph.node("y")) == 4


def test_precision_of_a_binary_dot_product_ends_at_the_next_real_operation():
    graph = dot(OpKind.SIGN, BINARY_W)
    assert graph.precision(graph.node("s")) == BINARY
    assert graph.precision(graph.node("y")).bits == 4
    assert graph.precision(graph.node("out")).bits == 4
    assert graph.precision(graph.node("x0")) == REAL


@pytest.mark.parametrize(
    ("value", "precision"), [(0.0, BINARY), (1.0, BINARY), (-1.0, BINARY), (0.5, REAL), (None, BINARY)]
)
def test_padding_a_sign(value, precision):
    args = [{"in": 0}, [1, 1]] if value is None else [{"in": 0}, [1, 1], value]
    graph = graph_of(
        ("s", OpKind.SIGN, (1, 4), ["x0"], {"at_zero": 1}, {}),
        ("p", OpKind.WIRING, (1, 6), ["s"], {"aten": "constant_pad_nd.default", "args": args}, {}),
    )
    assert graph.precision(graph.node("p")) == precision


def test_wiring_of_a_sign_and_a_real_is_real():
    graph = graph_of(
        ("s", OpKind.SIGN, (1, 4), ["x0"], {"at_zero": 1}, {}),
        (
            "c",
            OpKind.WIRING,
            (1, 8),
            ["s", "x0"],
            {"aten": "cat.default", "args": [[{"in": 0}, {"in": 1}], 1]},
            {},
        ),
    )
    assert graph.precision(graph.node("c")) == REAL


def test_a_comparison_is_a_flag():
    graph = single(OpKind.COMPARE, (1, 4), (1, 4), {"relation": "ge"}, level=const(0.0))
    assert graph.precision(graph.node("y")) == FLAG
    assert FLAG.width(16) == 1


def test_only_integers_have_bits():
    with pytest.raises(GraphError, match=r"bits >= 1 belong to integers and only to them"):
        Precision(Encoding.REAL, 8)
    with pytest.raises(GraphError, match=r"bits >= 1 belong to integers and only to them"):
        Precision(Encoding.INTEGER)


def test_conv_attrs_helper_is_right():
    weight = torch.zeros(6, 2, 3, 3)  # 4 channels in 2 groups
    attrs = conv_attrs(weight, (1, 6, 5, 5), groups=2)
    assert attrs["taps"] == 2 * 9
    assert attrs["macs"] == 6 * 25 * 2 * 9
