"""Op graphs as JSON: everything comes back, bit for bit; every other text is refused with a GraphError."""

from __future__ import annotations

import base64
import copy
import json
import re
import tracemalloc
import zlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.interpret import execute
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode
from abcost.core.serialize import LARGEST_CONSTANT, graph_from_json, graph_to_json
from abcost.errors import GraphError


def graph_with(constant):
    """input -> + constant -> output"""
    shape = (1, *constant.values.shape) if constant.values.dim() else (1, 2)
    edit = Edit()
    x = edit.add(OpNode("x", OpKind.INPUT, shape))
    y = edit.add(OpNode("y", OpKind.ADD_CONST, shape, "layer", "net.py:3", consts={"value": constant}), [x])
    edit.add(OpNode("out", OpKind.OUTPUT, shape), [y])
    return edit.freeze()


def bits_of(values):
    """Every bit counts: -0.0 is not 0.0."""
    return values.contiguous().reshape(-1).view(torch.uint8).tolist()


def constant_of(graph):
    return graph.node("y").consts["value"]


SMALL = graph_to_json(graph_with(Constant(torch.tensor([0.5, -3.0]))))


def changed(change):
    """SMALL after `change(data)`, as text."""
    data = json.loads(SMALL)
    change(data)
    return json.dumps(data)


def value_of(data):
    return data["nodes"][1]["consts"]["value"]


# round trips

CONSTANTS = {
    "float32": torch.tensor([1.5, -0.0, 1e-42, 3.4e38]),
    "float64": torch.tensor([1 / 3, 1e-320, -1e308], dtype=torch.float64),
    "float16": torch.tensor([0.1, -6e-8], dtype=torch.float16),
    "bfloat16": torch.tensor([0.1, -3e38], dtype=torch.bfloat16),
    "int64": torch.tensor([-(2**63), 2**63 - 1]),
    "int32": torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32),
    "int16": torch.tensor([-(2**15), 2**15 - 1], dtype=torch.int16),
    "int8": torch.tensor([-128, 0, 127], dtype=torch.int8),
    "uint8": torch.tensor([0, 255], dtype=torch.uint8),
    "bool": torch.tensor([True, False]),
    "scalar": torch.tensor(2.5),
    "no elements": torch.zeros(0, 3),
    "transposed": torch.arange(6.0).reshape(2, 3).t(),
    "expanded": torch.tensor([7.0]).expand(4),
}


@pytest.mark.parametrize("values", CONSTANTS.values(), ids=CONSTANTS)
def test_constants_of_every_type_come_back(values):
    text = graph_to_json(graph_with(Constant(values)))
    found = constant_of(graph_from_json(text))
    assert found.values.dtype == values.dtype
    assert found.values.shape == values.shape
    assert bits_of(found.values) == bits_of(values)
    assert not found.binary
    assert graph_to_json(graph_from_json(text)) == text


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64])
def test_signs_are_stored_as_bits(count):
    signs = (torch.arange(count) % 3 % 2 * 2 - 1).to(torch.int8)
    text = graph_to_json(graph_with(Constant(signs, binary=True)))
    found = constant_of(graph_from_json(text))
    assert found.binary
    assert found.values.dtype == torch.int8
    assert torch.equal(found.values, signs)
    stored = value_of(json.loads(text))
    assert len(zlib.decompress(base64.b64decode(stored["data"]))) == -(-count // 8)  # bytes


def test_a_zero_among_signs_stays_zero():
    signs = torch.tensor([1, 0, -1], dtype=torch.int8)
    found = constant_of(graph_from_json(graph_to_json(graph_with(Constant(signs, binary=True)))))
    assert found.binary
    assert torch.equal(found.values, signs)


def test_scaled_signs_keep_their_scale():
    constant = Constant(
        torch.tensor([[1, -1], [-1, -1]], dtype=torch.int8), scale=torch.tensor([[0.1], [0.3]])
    )
    text = graph_to_json(graph_with(constant))
    found = constant_of(graph_from_json(text))
    assert not found.binary
    assert torch.equal(found.real(), constant.real())
    assert found.scale.dtype == torch.float32
    assert graph_to_json(graph_from_json(text)) == text


def test_facts_of_a_node_come_back():
    edit = Edit()
    x = edit.add(OpNode("x", OpKind.INPUT, (2, 3), attrs={"dtype": "float32"}))
    attrs = {"aten": "view.default", "args": [{"in": 0}, [3, 2]], "none": None, "real": 0.1, "ü": "→"}
    y = edit.add(OpNode("a/b", OpKind.WIRING, (3, 2), "a.ü", "net.py:7", attrs), [x])
    edit.add(OpNode("out", OpKind.OUTPUT, (3, 2)), [y])
    graph = edit.freeze()
    read = graph_from_json(graph_to_json(graph))
    facts = [(n.name, n.kind, n.shape, n.layer, n.source, dict(n.attrs), read.inputs(n.name)) for n in graph]
    assert facts == [
        (n.name, n.kind, n.shape, n.layer, n.source, dict(n.attrs), graph.inputs(n.name)) for n in read
    ]
    values = torch.arange(6.0).reshape(2, 3)
    assert torch.equal(execute(read, [values])["out"], values.double().reshape(3, 2))


def test_complex_constants_are_refused():
    with pytest.raises(GraphError, match="a constant of type complex64 cannot be saved"):
        graph_to_json(graph_with(Constant(torch.tensor([1j]))))


# refusals, each for its reason


def set_in(key, value):
    return lambda data: data["nodes"][1].__setitem__(key, value)


def set_in_constant(key, value):
    return lambda data: value_of(data).__setitem__(key, value)


def packed(raw):
    return base64.b64encode(zlib.compress(raw)).decode()


REFUSALS = {
    "nothing": ("", "not a graph file: JSONDecodeError"),
    "text": ("digraph {}", "not a graph file: JSONDecodeError"),
    "list": ("[]", "not a graph file of schema 1"),
    "null": ("null", "not a graph file of schema 1"),
    "other schema": (changed(lambda d: d.update(schema=2)), "not a graph file of schema 1"),
    "no nodes": ('{"schema": 1}', "not a graph file: KeyError: 'nodes'"),
    "no output": ('{"schema": 1, "nodes": []}', "the graph has no output"),
    "nodes by name": (changed(lambda d: d.update(nodes={"x": {}})), "not a graph file"),
    "node is a number": (changed(lambda d: d["nodes"].append(3)), "not a graph file: TypeError"),
    "unknown kind": (changed(set_in("kind", "multiplyy")), "'multiplyy' is not a valid OpKind"),
    "kind is a list": (changed(set_in("kind", [])), "not a graph file"),
    "name is a number": (changed(set_in("name", 3)), "wanted a text, got a int"),
    "inputs as a text": (changed(set_in("inputs", "x")), "wanted a list, got a str"),
    "input is a list": (changed(set_in("inputs", [["x"]])), "wanted a text, got a list"),
    "input from nowhere": (changed(set_in("inputs", ["z"])), "reads 'z', which does not come before it"),
    "cycle": (changed(set_in("inputs", ["out"])), "reads 'out', which does not come before it"),
    "reads itself": (changed(set_in("inputs", ["y"])), "'y'"),
    "two inputs": (changed(set_in("inputs", ["x", "x"])), "has 2 inputs, a add_const has 1"),
    "same name twice": (changed(lambda d: d["nodes"].append(d["nodes"][0])), "two nodes are called 'x'"),
    "shape as a text": (changed(set_in("shape", "12")), "wanted a list, got a str"),
    "negative shape": (changed(set_in("shape", [1, -2])), "a shape is a list of whole numbers"),
    "fractional shape": (changed(set_in("shape", [1, 2.0])), "a shape is a list of whole numbers"),
    "endless shape": (changed(set_in("shape", [float("inf")])), "a shape is a list of whole numbers"),
    "attrs as pairs": (changed(set_in("attrs", [["a", 1]])), "attrs and consts of a node must be objects"),
    "unknown type": (changed(set_in_constant("dtype", "quint8")), "not a graph file: KeyError: 'quint8'"),
    "no base64": (changed(set_in_constant("data", "!!!")), "not a graph file: Error: "),
    "data is a number": (changed(set_in_constant("data", 3)), "not a graph file: TypeError"),
    "no zlib": (changed(set_in_constant("data", base64.b64encode(b"abc").decode())), "not a graph file: error"),
    "too few bytes": (changed(set_in_constant("data", packed(b"1234567"))), r"needs 8 bytes, the file has 7"),
    "too many bytes": (changed(set_in_constant("data", packed(b"123456789"))), r"needs 8 bytes, the file has more"),
    "stream cut off": (
        changed(set_in_constant("data", base64.b64encode(zlib.compress(b"12345678")[:-2]).decode())),
        r"needs 8 bytes, the file has 8 or is cut off",
    ),
    "constant of negative shape": (changed(set_in_constant("shape", [-2])), "a shape is a list of whole numbers"),
    "constant beyond memory": (
        changed(set_in_constant("shape", [2**62])),
        rf"has more than {LARGEST_CONSTANT} bytes",
    ),
    "bits beyond memory": (  # an eighth of it in the file, all of it when they are unpacked
        changed(lambda d: value_of(d).update(shape=[4 * LARGEST_CONSTANT], dtype="int8", packed=True)),
        rf"has more than {LARGEST_CONSTANT} bytes",
    ),
    "scale without values": (changed(set_in_constant("scale", {})), "saved without its constants"),
    "nested without end": ('{"schema": 1, "nodes": ' + "[" * 100_000, "not a graph file: RecursionError"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_refusals(text, reason):
    with pytest.raises(GraphError, match=reason) as caught:
        graph_from_json(text)
    assert "\n" not in str(caught.value)


def test_a_bomb_is_refused_before_it_goes_off():
    """16 MiB of zeros for 8 bytes: only 9 of them are ever unpacked."""
    bomb = changed(set_in_constant("data", packed(bytes(2**24))))
    assert len(bomb) < 2**16
    tracemalloc.start()
    try:
        with pytest.raises(GraphError, match=r"a constant of shape \[2\] needs 8 bytes, the file has more"):
            graph_from_json(bomb)
        assert tracemalloc.get_traced_memory()[1] < 2**20  # the peak
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "name",
    ["system.default", "set_.source_Tensor", "_local_scalar_dense.default", "view", "view.default.x", ""],
)
def test_operators_outside_the_list_are_not_run(name):
    data = json.loads(SMALL)
    data["nodes"][1].update(kind="wiring", attrs={"aten": name, "args": [{"in": 0}]}, consts={})
    graph = graph_from_json(json.dumps(data))
    with pytest.raises(GraphError, match=rf"run aten\.{re.escape(name)}, which is not one of the replayable"):
        execute(graph, [torch.zeros(1, 2)])


# any text


def read_or_refused(text):
    """A graph that can be written again, or a GraphError of one line; nothing else."""
    try:
        graph = graph_from_json(text)
    except GraphError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both outcomes are allowed
        return
    assert isinstance(graph, OpGraph)
    assert graph_to_json(graph_from_json(graph_to_json(graph))) == graph_to_json(graph)


@given(st.text())
def test_any_text(text):
    read_or_refused(text)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["x", "y"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_any_json(value):
    read_or_refused(json.dumps(value))
    read_or_refused(json.dumps({"schema": 1, "nodes": value}))


@given(st.data(), JSON)
def test_any_value_in_any_place(data, value):
    graph = copy.deepcopy(MIXED)
    place = graph
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        inside = place[key]
        if not isinstance(inside, dict | list) or not inside or data.draw(st.booleans()):
            break
        place = inside
    if data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = value
    read_or_refused(json.dumps(graph))


@given(st.integers(0, len(SMALL)), st.integers(0, 8), st.text(max_size=3))
def test_any_damage(start, length, instead):
    read_or_refused(SMALL[:start] + instead + SMALL[start + length :])


@pytest.mark.parametrize("share", range(10))
def test_truncated_text(share):
    with pytest.raises(GraphError, match="not a graph file"):
        graph_from_json(SMALL[: len(SMALL) * share // 10])


def mixed():
    """One of everything that a file can hold: signs, scaled signs, reals, attributes."""
    edit = Edit()
    x = edit.add(OpNode("x", OpKind.INPUT, (1, 2)))
    bits = torch.tensor([[1, -1], [-1, -1]], dtype=torch.int8)
    weights = {"weight": Constant(bits, scale=torch.tensor([[0.5], [2.0]])), "bias": Constant(torch.zeros(2))}
    y = edit.add(OpNode("y", OpKind.LINEAR, (1, 2), attrs={"macs": 4, "taps": 2}, consts=weights), [x])
    z = edit.add(OpNode("z", OpKind.ADD_CONST, (1, 2), consts={"value": Constant(bits[0], binary=True)}), [y])
    edit.add(OpNode("out", OpKind.OUTPUT, (1, 2)), [z])
    return json.loads(graph_to_json(edit.freeze()))


MIXED = mixed()
