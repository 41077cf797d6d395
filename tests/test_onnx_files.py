"""Files that are no good ONNX models, that hide something, or that look wrong: one clear line each."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper
from torch import nn

import abcost.onnx.file as onnx_file
from abcost.cli import run
from abcost.core.inputs import InputSpec
from abcost.errors import AbcostError, MissingExtra, ModelError, UsageError
from abcost.onnx.load import load_onnx
from abcost.pipeline import analyze
from abcost.trace import trace
from onnx_models import Perceptron, Residual, export, graph_file, made
from strategies import Module

RELU = helper.make_node("Relu", ["x"], ["y"], name="relu")


def refusal(capsys, arguments):
    """Status 2, nothing on stdout, one `error:` line."""
    assert run([str(a) for a in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.strip().splitlines()
    assert line.startswith("error: ")
    assert "Traceback" not in err
    return line


def changed(tmp_path, change, nodes=(RELU,), inputs=None, constants=None, **options):
    """A file of `graph_file` with something changed in its proto."""
    file = graph_file(tmp_path / "model.onnx", list(nodes), inputs or {"x": (1, 4)}, constants, **options)
    proto = onnx.load(file)
    change(proto)
    file.write_bytes(proto.SerializeToString())
    return file


# the form of the file


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no ONNX model: it has no graph"),
        (b"\x00garbage", "is no ONNX model"),
        (b"PK\x03\x04" + b"\x00" * 100, "is no ONNX model"),
    ],
)
def test_files_that_are_no_model(capsys, tmp_path, content, reason):
    (tmp_path / "bad.onnx").write_bytes(content)
    for command in ("analyze", "graph"):
        assert reason in refusal(capsys, [command, tmp_path / "bad.onnx"])


def test_missing_file(capsys, tmp_path):
    assert re.search(r"no ONNX file .*none\.onnx", refusal(capsys, ["analyze", tmp_path / "none.onnx"]))
    assert "no ONNX file" in refusal(capsys, ["analyze", tmp_path])[:0] + refusal(
        capsys, ["analyze", f"{tmp_path}/.onnx"]
    )
    assert "cannot read" in refusal(capsys, ["analyze", "n" * 300 + ".onnx"])


def test_truncated_file(capsys, tmp_path):
    file = export(made(Perceptron), Perceptron.shape, tmp_path / "cut.onnx")
    file.write_bytes(file.read_bytes()[:-200])
    capsys.readouterr()  # what torch's exporter had to say
    assert re.search(
        r"cut\.onnx (is no ONNX model|does not pass onnx's checker)", refusal(capsys, ["analyze", file])
    )


def test_deeply_nested_file(tmp_path):
    """Graphs inside graphs, 300 deep: protobuf stops at a hundred."""
    inner = b""
    for _ in range(300):
        attribute = b"\x32" + _sized(inner)  # AttributeProto.g
        inner = b"\x0a" + _sized(b"\x2a" + _sized(attribute))  # GraphProto.node -> NodeProto.attribute
    (tmp_path / "deep.onnx").write_bytes(b"\x08\x0a\x3a" + _sized(inner))
    with pytest.raises(ModelError, match=r"deep\.onnx is no ONNX model"):
        load_onnx(tmp_path / "deep.onnx")


def _sized(data):
    length, number = b"", len(data)
    while number > 127:
        length, number = length + bytes([number % 128 + 128]), number // 128
    return length + bytes([number]) + data


def test_names_that_are_no_text(tmp_path):
    file = graph_file(tmp_path / "bytes.onnx", [RELU], {"x": (1, 4)})
    file.write_bytes(file.read_bytes().replace(b"relu", b"r\xff\xfeu"))
    with pytest.raises(ModelError, match="it holds a name that is not UTF-8"):
        load_onnx(file)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The bytes of a small network."""
    folder = tmp_path_factory.mktemp("small")
    return export(made(Perceptron), Perceptron.shape, folder / "p.onnx", dynamo=False).read_bytes()


@pytest.mark.parametrize("seed", range(60))
def test_damaged_bytes_are_an_error_of_ours_or_none(tmp_path, small, seed):
    """Bytes changed, inserted and deleted at random in a small network: refused, or still a network."""
    random = np.random.default_rng(seed)
    data = bytearray(
        export(made(Perceptron), Perceptron.shape, tmp_path / "p.onnx", dynamo=False).read_bytes()
    )
    for _ in range(random.integers(1, 6)):
        place, length = int(random.integers(len(data))), int(random.integers(0, 4))
        data[place : place + length] = random.bytes(int(random.integers(0, 4)))
    (tmp_path / "damaged.onnx").write_bytes(data)
    with contextlib.suppress(AbcostError):
        loaded = load_onnx(tmp_path / "damaged.onnx")
        trace(loaded.program, loaded.inputs)


def test_file_beyond_protobufs_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "LARGEST_FILE", 50)
    file = graph_file(tmp_path / "huge.onnx", [RELU], {"x": (1, 4)})
    with pytest.raises(ModelError, match=r"cannot read .*huge\.onnx: it has \d+ bytes, more than 50"):
        load_onnx(file)


def _cyclic(proto):
    proto.graph.node[0].input[0] = "y"


def _wrong_size(proto):
    proto.graph.initializer[0].dims[0] = 2**40


def _huge_but_empty(proto):
    proto.graph.initializer[0].raw_data = b""
    proto.graph.initializer[0].dims[:] = [2**20, 2**20]


def _text(proto):
    proto.graph.initializer[0].CopyFrom(helper.make_tensor("c", TensorProto.STRING, [1], [b"text"]))


def _no_input(proto):
    del proto.graph.input[:]
    proto.graph.node[0].input[0] = "c"


def _sparse(proto):
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    at = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, at, [3]))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_cyclic, "does not pass onnx's checker"),
        (_wrong_size, "does not pass onnx's checker|cannot be read"),
        (_huge_but_empty, "does not pass onnx's checker|cannot be read"),
        (_no_input, "the graph has no input"),
        (_sparse, "holds sparse initializers|checker"),
        (lambda p: p.graph.ClearField("output"), "the graph has no output"),
        (lambda p: p.ClearField("opset_import"), "does not pass onnx's checker"),
        (lambda p: setattr(p.opset_import[0], "version", 8), "uses opset 8; 9 and later are supported"),
        (lambda p: setattr(p.opset_import[0], "version", 999), "uses opset 999; the installed onnx knows up to"),
        (lambda p: setattr(p.graph.node[0], "op_type", "Celu2"), "does not pass onnx's checker.*Celu2"),
        (lambda p: setattr(p.graph.node[0], "op_type", "Celu"), "does not know the ONNX operator Celu .node 'add'."),
        (lambda p: setattr(p.graph.node[0], "domain", "own"), "checker|does not know the ONNX operator own.Add"),
        (lambda p: setattr(p.graph.input[0].type.tensor_type, "elem_type", 8), "input 'x' is none of float"),
    ],
)  # fmt: skip
def test_models_that_are_refused(tmp_path, change, reason):
    add = helper.make_node("Add", ["x", "c"], ["y"], name="add")
    file = changed(tmp_path, change, nodes=[add], constants={"c": np.ones(4, np.float32)})
    if "Celu" in reason and "know" in reason:
        proto = onnx.load(file)
        del proto.graph.node[0].input[1]
        file.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelError, match=reason):
        load_onnx(file)


def test_an_unknown_operator_of_several_lines_is_named_in_one(tmp_path):
    node = helper.make_node("Odd\nname" + "x" * 200, ["x"], ["y"], name="odd", domain="com.microsoft")
    file = graph_file(tmp_path / "odd.onnx", [RELU], {"x": (1, 4)})
    proto = onnx.load(file)
    proto.graph.node[0].CopyFrom(node)
    file.write_bytes(proto.SerializeToString())
    with pytest.raises(
        ModelError, match=r"does not know the ONNX operator com.microsoft.Odd namex{78} \(node 'odd'\)"
    ):
        load_onnx(file)


def test_control_flow_is_refused_by_name(tmp_path):
    branch = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["b"])], "g", [], [helper.make_tensor_value_info("b", 1, None)]
    )
    del branch.output[0].type.tensor_type.shape.dim[:]
    branch.output[0].type.tensor_type.shape.SetInParent()
    node = helper.make_node("If", ["c"], ["y"], name="branch", then_branch=branch, else_branch=branch)
    file = graph_file(tmp_path / "if.onnx", [node], {"x": (1, 4)}, {"c": np.array(True)}, result=(1, 4))
    with pytest.raises(ModelError, match=r"does not know the ONNX operator If \(node 'branch'\)"):
        load_onnx(file)


# sizes


def test_open_sizes_need_input_size(capsys, tmp_path):
    file = graph_file(tmp_path / "open.onnx", [RELU], {"x": ("N", 4)})
    assert re.search(
        r"leaves sizes of input 'x' open \(Nx4\); give --input-size", refusal(capsys, ["analyze", file])
    )
    assert run(["analyze", str(file), "--input-size", "3x4", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["input_shape"] == [3, 4]
    assert re.search(
        r"takes Nx4 as input 'x', not --input-size 3x5",
        refusal(capsys, ["analyze", file, "--input-size", "3x5"]),
    )


def test_input_sizes_of_two_inputs(tmp_path):
    file = graph_file(
        tmp_path / "two.onnx", [helper.make_node("Add", ["x", "z"], ["y"])], {"x": (2, 4), "z": (2, 4)}
    )
    assert [spec.shape for spec in load_onnx(file).inputs] == [(2, 4), (2, 4)]
    with pytest.raises(UsageError, match=r"has 2 inputs \(x, z\); give --input-size for each"):
        load_onnx(file, [InputSpec((2, 4))])


def test_options_of_other_models(capsys, tmp_path):
    file = graph_file(tmp_path / "relu.onnx", [RELU], {"x": (1, 4)})
    assert "--variant is for zoo models" in refusal(capsys, ["analyze", file, "--variant", "ab"])
    assert "leave --model-arg out" in refusal(capsys, ["analyze", file, "--model-arg", "a=1"])
    torch.save({}, tmp_path / "w.pt")
    assert "leave --checkpoint out" in refusal(capsys, ["analyze", file, "--checkpoint", tmp_path / "w.pt"])


def test_without_the_package_onnx(monkeypatch, tmp_path):
    file = graph_file(tmp_path / "relu.onnx", [RELU], {"x": (1, 4)})
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        MissingExtra, match=r"needs onnx, which is not installed; pip install 'abcost\[onnx\]'"
    ):
        load_onnx(file)


# external data


def external(folder, location, *, offset=0, length=16):
    """x + c, where the four numbers of c lie elsewhere."""
    folder.mkdir(exist_ok=True)
    add = helper.make_node("Add", ["x", "c"], ["y"])
    file = graph_file(folder / "model.onnx", [add], {"x": (1, 4)}, {"c": np.zeros(4, np.float32)})
    proto = onnx.load(file)
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    file.write_bytes(proto.SerializeToString())
    return file


def test_external_data_next_to_the_model(tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"skip" + np.arange(4, dtype=np.float32).tobytes())
    program = load_onnx(external(tmp_path, "weights.bin", offset=4)).program
    assert program(torch.zeros(1, 4)).tolist() == [[0.0, 1.0, 2.0, 3.0]]


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("../secret.bin", "outside the model's folder; such files are not read"),
        ("sub/../../secret.bin", "outside the model's folder"),
        ("{root}/secret.bin", "outside the model's folder"),
        ("link.bin", "outside the model's folder"),
        ("", "outside the model's folder"),
        ("none.bin", "needs 'none.bin' next to the model, which is not there"),
        (".", "needs '.' next to the model, which is not there"),
        ("loop.bin", "loop.bin"),
        ("a\0b", "asks for data in"),
        ("n" * 300, "asks for data in"),
    ],
)
def test_external_data_elsewhere_is_not_read(tmp_path, location, reason):
    (tmp_path / "secret.bin").write_bytes(bytes(16))
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "link.bin").symlink_to(tmp_path / "secret.bin")
    (tmp_path / "m" / "loop.bin").symlink_to("loop.bin")
    with pytest.raises(ModelError, match=re.escape(reason)):
        load_onnx(external(tmp_path / "m", location.replace("{root}", str(tmp_path))))


@pytest.mark.parametrize(
    ("span", "reason"),
    [
        ({"offset": -4}, "asks for bytes -4 to 12 of weights.bin, which has 16"),
        ({"offset": 8}, "asks for bytes 8 to 24"),
        ({"length": 2**60}, "which has 16"),
        ({"length": "many"}, "is no number"),
        ({"length": 12}, "cannot be read|checker"),
    ],
)
def test_external_data_of_another_size(tmp_path, span, reason):
    (tmp_path / "weights.bin").write_bytes(bytes(16))
    with pytest.raises(ModelError, match=reason):
        load_onnx(external(tmp_path, "weights.bin", **span))


def test_external_data_count_towards_the_limit(tmp_path, monkeypatch):
    with (tmp_path / "weights.bin").open("wb") as stream:  # sparse: takes no room
        os.truncate(stream.fileno(), 2**31)
    with pytest.raises(ModelError, match="more than 2 GB, which protobuf cannot hold"):
        load_onnx(external(tmp_path, "weights.bin", length=2**31))


# what is read


def test_half_precision_and_flags_and_bytes_are_read(tmp_path):
    """x * half(0.5) + int8 weights cast to float."""
    nodes = [
        helper.make_node("Cast", ["h"], ["hf"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["b"], ["bf"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "hf"], ["m"]),
        helper.make_node("Add", ["m", "bf"], ["y"]),
    ]
    constants = {"h": np.float16(0.5), "b": np.array([1, -1, 0, 2], np.int8)}
    program = load_onnx(graph_file(tmp_path / "types.onnx", nodes, {"x": (1, 4)}, constants)).program
    assert program(torch.full((1, 4), 4.0)).tolist() == [[3.0, 1.0, 2.0, 4.0]]


def test_a_double_network_stays_double(tmp_path):
    add = helper.make_node("Add", ["x", "c"], ["y"])
    file = graph_file(
        tmp_path / "double.onnx", [add], {"x": (1, 1)}, {"c": np.float64([0.1])}, dtype=TensorProto.DOUBLE
    )
    loaded = load_onnx(file)
    assert loaded.inputs[0].dtype == torch.float64
    assert loaded.program(torch.zeros(1, 1, dtype=torch.float64)).item() == 0.1


def test_nodes_without_names_and_with_equal_names(tmp_path):
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Tanh", ["a"], ["b"], name="same"),
        helper.make_node("Exp", ["b"], ["y"], name="same"),
    ]
    program = load_onnx(graph_file(tmp_path / "names.onnx", nodes, {"x": (1, 4)})).program
    assert [step.name for step in program.steps] == ["a", "same", "same:y"]


def test_parts_that_no_output_needs_are_left_out(tmp_path):
    """Even an operator with a cost: the runtimes do not execute it either."""
    nodes = [RELU, helper.make_node("MatMul", ["x", "c"], ["unused"])]
    report = analyze(
        str(graph_file(tmp_path / "dead.onnx", nodes, {"x": (1, 4)}, {"c": np.ones((4, 4), np.float32)}))
    )
    assert report.stages[0].tally.macs.total == 0
    assert report.parameters == 0


def test_local_functions_are_inlined(tmp_path):
    """double(v) = v + v, called by the graph."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    function = helper.make_function(
        "own", "double", ["v"], ["w"], [helper.make_node("Add", ["v", "v"], ["w"])], opsets[:1]
    )
    graph = helper.make_graph(
        [helper.make_node("double", ["x"], ["y"], domain="own")], "g",
        [helper.make_tensor_value_info("x", 1, (1, 4))], [helper.make_tensor_value_info("y", 1, (1, 4))],
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=10),
        tmp_path / "f.onnx",
    )
    report = analyze(str(tmp_path / "f.onnx"))
    assert sum(report.stages[0].tally.by_class().values()) == 4


# symptoms


def slopes(base):
    """PReLU with slopes base ** -3, written the way that torch's exporter gets wrong for whole-number bases."""
    exponents = nn.Parameter(torch.full((4,), -3.0))
    return Module(lambda m, x: F.prelu(x, torch.pow(torch.tensor(base), m.n)), n=exponents).eval()


@pytest.mark.parametrize("optimize", [True, False])
def test_zero_slopes_of_torchs_exporter_are_noticed(capsys, tmp_path, optimize):
    """torch computes 2 ** -3 = 0.125; the file says 0."""
    model, shape = slopes(2), (1, 4, 2, 2)
    assert model(-torch.ones(shape)).unique().tolist() == [-0.125]
    file = export(model, shape, tmp_path / "zero.onnx", optimize=optimize)
    assert load_onnx(file).program(-torch.ones(shape)).unique().tolist() == [0.0]
    assert run(["analyze", str(file)]) == 0
    err = " ".join(capsys.readouterr().err.split())
    assert "warning: 1 PRelu node has slopes of exactly 0 (node_prelu: 4 of 4)" in err
    assert "export torch.exp2(n) instead" in err


def test_slopes_that_are_not_zero_are_no_symptom(tmp_path):
    file = export(slopes(2.0), (1, 4, 2, 2), tmp_path / "fine.onnx")
    assert load_onnx(file).warnings == ()


def test_symptoms_are_in_the_json(capsys, tmp_path):
    nodes = [helper.make_node("PRelu", ["x", "s"], ["y"], name="act")]
    file = graph_file(tmp_path / "zeros.onnx", nodes, {"x": (1, 4)}, {"s": np.float32([0, 0.5, 0, 0.25])})
    assert run(["analyze", str(file), "--format", "json"]) == 0
    (warning,) = json.loads(capsys.readouterr().out)["warnings"]
    assert "(act: 2 of 4)" in warning


# the other commands


def test_verify_and_graph_take_onnx(capsys, tmp_path):
    file = export(made(Residual), Residual.shape, tmp_path / "residual.onnx")
    assert run(["verify", str(file)]) == 0
    capsys.readouterr()
    assert run(["graph", str(file), "--format", "json"]) == 0
    assert '"node_conv2d_1"' in capsys.readouterr().out
