"""Exports: onnxruntime and qonnx compute what the interpreter does, and our own readers find the same again."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

import abcost
from abcost.classify import tally
from abcost.cli import run
from abcost.core.edit import Edit
from abcost.core.interpret import Floating, execute
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode
from abcost.errors import GraphError
from abcost.models.subject import Request, resolve
from abcost.onnx.write.model import onnx_bytes
from abcost.pipeline import STAGES, double_stages
from abcost.rewrite import RewriteOptions
from abcost.trace import trace
from rewriting import recognised
from strategies import traced

NAMES = [name for name, _ in STAGES]
TINY = ("reactnet_18", "--preset", "digits", "--base-width", "4", "--blocks", "1,1")
ROUNDING = 1e-4  # of single precision, over some twenty layers of values around 1


@pytest.fixture(scope="module")
def stages():
    """All stages of ReActNet-18 on 8x8 pixels, with slopes and biases as if it were trained."""
    subject = resolve(Request("reactnet_18", preset="digits", base_width=8))
    return {stage.name: stage.graph for stage in double_stages(subject, RewriteOptions())[1].stages}


@pytest.fixture(scope="module")
def image():
    """One on which no decision is so close that rounding to single precision could turn it (see the first test)."""
    return torch.randn((1, 3, 8, 8), generator=torch.Generator().manual_seed(SEED)).double()


SEED = 0


def in_onnxruntime(content, *inputs):
    """Every value that the file names."""
    model = onnx.load_model_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    model.graph.output.extend(model.graph.value_info)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = {
        value.name: (x.numpy() if "int64" in value.type else x.float().numpy())
        for value, x in zip(session.get_inputs(), inputs, strict=True)
    }
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, fed), strict=True))


def in_qonnx(content, x):
    """Every value, executed node by node by qonnx."""
    model = ModelWrapper(onnx.load_model_from_string(content))
    (name,) = (value.name for value in model.graph.input)
    return execute_onnx(model, {name: x.float().numpy()}, return_full_exec_context=True)


def assert_same_values(graph, found, inputs, *, hardware_sign=False):
    """Every node that the file has a value of has the interpreter's."""
    wanted = execute(graph, inputs, Floating(hardware_sign=hardware_sign), keep=lambda node: True)
    shared = [node for node in graph if node.name in found]
    assert {node.name for node in shared} >= {node.name for node in graph.of_kind(OpKind.OUTPUT)}
    for node in shared:
        value, want = found[node.name], wanted[node.name].double().numpy()
        assert value.shape == want.shape, node
        np.testing.assert_allclose(value, want, rtol=ROUNDING, atol=ROUNDING, err_msg=str(node))
    return len(shared)


# whole networks


def test_no_decision_is_close(stages, image):
    """What every sign and threshold decides by is further from 0 than single precision rounds."""
    for graph in stages.values():
        values = execute(graph, [image], keep=lambda node: True)
        for node in graph.of_kind(OpKind.SIGN, OpKind.THRESHOLD):
            x = values[graph.inputs(node.name)[0]]
            level = node.consts["level"].real() if "level" in node.consts else 0.0
            assert float((x - level).abs().min()) > 5e-6, node


@pytest.mark.parametrize("name", NAMES)
def test_onnxruntime_agrees_with_the_interpreter(stages, image, name):
    graph = stages[name]
    found = in_onnxruntime(onnx_bytes(graph, "onnx", {}), image)
    assert assert_same_values(graph, found, [image]) > 0.9 * len(graph)


@pytest.mark.parametrize("name", NAMES)
def test_qonnx_agrees_with_the_interpreter(stages, image, name):
    graph = stages[name]
    content = onnx_bytes(graph, "qonnx", {})
    assert assert_same_values(graph, in_qonnx(content, image), [image], hardware_sign=True) > 0.9 * len(graph)
    operators = [node.op_type for node in onnx.load_model_from_string(content).graph.node]
    assert operators.count("BipolarQuant") >= 16  # the weights of 16 binary convolutions
    if name == "add_and_bit":  # and a threshold per channel in front of each
        assert operators.count("MultiThreshold") == len(graph.of_kind(OpKind.THRESHOLD)) == 16


@pytest.mark.parametrize("dialect", ["onnx", "qonnx"])
@pytest.mark.parametrize("name", NAMES)
def test_our_own_reader_counts_the_same(stages, tmp_path, name, dialect):
    """Of what is left to rewrite, and of the stage itself where it has no shift, which ONNX has no operator for."""
    file = tmp_path / "net.onnx"
    file.write_bytes(onnx_bytes(stages[name], dialect, {}))
    report = abcost.analyze(str(file))
    wanted = tally(stages["add_and_bit"], 16)
    assert report.stages[-1].tally.by_class() == wanted.by_class()
    assert report.stages[-1].tally.macs.by_bits == wanted.macs.by_bits
    if name in NAMES[:2]:
        assert report.stages[0].tally.by_class() == tally(stages[name], 16).by_class()


# single kinds


SHAPE = (1, 2, 4, 4)
GRID = ((torch.arange(32) * 7 % 32 - 15).double() / 8).reshape(SHAPE)  # eighths, every one once, with 0
FUNCTIONS = {
    "arithmetic": lambda m, x: (x + 1.5) * x - x / 4 + torch.maximum(x, -x) - torch.minimum(x * 3, x),
    "rectifiers": lambda m, x: F.relu(x) + torch.clamp(x, -1, 0.5) + F.leaky_relu(x, 0.3) + x.clamp(max=0.25),
    "decisions": lambda m, x: (
        torch.where(x > 0.5, x, -x) + torch.where(x == 0.25, x + 1, 2.0) + (x != 0.5) * x + (x <= 1).double()
    ),
    "signs": lambda m, x: torch.sign(x - 0.25) + torch.where(x >= 0, 1.0, -1.0) + torch.sign(x),
    "pools": lambda m, x: (
        F.max_pool2d(x, 3, 1, 1) + F.avg_pool2d(x, 3, 1, 1) + x.mean((2, 3), keepdim=True) + x.sum(1, keepdim=True)
        + x.amax(1, keepdim=True)
    ),
    "divisors": lambda m, x: F.avg_pool2d(x, 2, divisor_override=3),
    "ceiling": lambda m, x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "convolutions": lambda m, x: (
        F.conv2d(x, (torch.arange(36).float() - 9).reshape(2, 2, 3, 3), torch.ones(2).float(), 2, 2, 2)
        + F.conv_transpose2d(x, (torch.arange(4).float() - 1).reshape(2, 2, 1, 1))[..., :2, :2]
        + F.conv2d(x, torch.ones(2, 1, 1, 1).float() * 3, groups=2)[..., ::2, 1::2]
    ),
    "products": lambda m, x: (
        x @ x.transpose(2, 3)
        + F.linear(x, torch.arange(16).float().reshape(4, 4), torch.ones(4).float())
        + F.linear(x, torch.eye(4).float())
    ),
    "wiring": lambda m, x: torch.cat(
        [
            F.pad(x, (1, 0, 2, 1), value=0.5)[:, :, 3:, 1:].permute(0, 1, 3, 2),
            x.split(1, 1)[1].expand(1, 2, 4, 4), x.unbind(2)[1].unsqueeze(2).expand(1, 2, 4, 4),
            x.select(3, -1).unsqueeze(-1).expand(1, 2, 4, 4),
            torch.split(x, [1, 3], 3)[1].flatten(1).unsqueeze(1).unsqueeze(1)[..., :4].expand(1, 2, 4, 4),
        ],
        1,
    ),
    "functions": lambda m, x: (
        torch.exp(x) + torch.tanh(x) + torch.sigmoid(x) + x.abs() + 1 / (x + 9) + torch.softmax(x, -1)
        + F.log_softmax(x, 1) + F.layer_norm(x, (4,)) + x**2 + (x + 3) / (x + 7)
    ),
}  # fmt: skip


@pytest.mark.parametrize("dialect", ["onnx", "qonnx"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_single_kinds_agree(name, dialect):
    graph = traced(FUNCTIONS[name], SHAPE)
    content = onnx_bytes(graph, dialect, {})
    found = in_onnxruntime(content, GRID) if dialect == "onnx" else in_qonnx(content, GRID)
    assert_same_values(graph, found, [GRID], hardware_sign=dialect == "qonnx")


def test_rows_of_a_table_are_read_by_whole_numbers():
    table = torch.nn.Embedding(5, 4)
    graph = trace(table, (abcost.InputSpec((2, 3), torch.int64),)).graph
    rows = torch.tensor([[0, 4, 2], [1, 1, 3]])
    found = in_onnxruntime(onnx_bytes(graph, "onnx", {}), rows)
    np.testing.assert_array_equal(found["output"], table(rows).detach().numpy())


def by_hand(kind, attrs, consts, shape=SHAPE):
    """A graph of one node."""
    edit = Edit()
    edit.add(OpNode("x", OpKind.INPUT, SHAPE, attrs={"dtype": "float64"}))
    edit.add(
        OpNode("node", kind, shape, attrs=attrs, consts={r: Constant(v) for r, v in consts.items()}), ["x"]
    )
    edit.add(OpNode("out", OpKind.OUTPUT, shape, attrs={"leaf": 0}), ["node"])
    return edit.freeze()


def per_channel(*values):
    return torch.tensor(values).double().reshape(1, -1, 1, 1)


TURNED = {"level": per_channel(0.25, -0.5), "gain": per_channel(1.0, -1.0)}
LEVELS = {"levels": torch.stack([per_channel(-1.0, 0.0), per_channel(0.5, 0.125), per_channel(1.0, 1.5)])}
BY_HAND = {
    "threshold, turned": (OpKind.THRESHOLD, {"at_zero": 1}, TURNED),
    "threshold, of 0 and 3": (OpKind.THRESHOLD, {"at_zero": 1, "low": 0.0, "high": 3.0}, TURNED),
    "threshold, half-way": (OpKind.THRESHOLD, {"at_zero": 0, "low": 0.0, "high": 3.0}, TURNED),
    "threshold, above": (OpKind.THRESHOLD, {"at_zero": -1}, {"level": torch.tensor(0.25).double()}),
    "quantise": (OpKind.QUANTISE, {"levels": 4, "step": 0.5, "offset": -1.0}, LEVELS),
    "quantise, turned": (
        OpKind.QUANTISE, {"levels": 4, "step": 1.0, "offset": 0.0},
        {**LEVELS, "gain": torch.stack([per_channel(1.0, -1.0)] * 3)},
    ),
    "shift": (OpKind.SHIFT, {}, {"exponent": per_channel(-3, 2).int()}),
    "shift PReLU": (OpKind.SHIFT_PRELU, {}, {"exponent": per_channel(-3, 1).int()}),
    "mask": (OpKind.MASK, {"slope": 1.5}, {}),
}  # fmt: skip


@pytest.mark.parametrize("dialect", ["onnx", "qonnx"])
@pytest.mark.parametrize("name", BY_HAND)
def test_nodes_by_hand_agree(name, dialect):
    graph = by_hand(*BY_HAND[name])
    content = onnx_bytes(graph, dialect, {})
    found = in_onnxruntime(content, GRID) if dialect == "onnx" else in_qonnx(content, GRID)
    assert_same_values(graph, found, [GRID], hardware_sign=dialect == "qonnx")


def test_a_shift_stays_a_power_of_two(tmp_path):
    """1/8 and 4 are multiplied by exactly, and read as shifts again."""
    graph = by_hand(*BY_HAND["shift"])
    file = tmp_path / "shift.onnx"
    file.write_bytes(onnx_bytes(graph, "onnx", {}))
    (constant,) = onnx.load(file).graph.initializer
    assert onnx.numpy_helper.to_array(constant).ravel().tolist() == [0.125, 4.0]
    assert abcost.analyze(str(file)).to_dict()["stages"][-1]["ops"]["shift"] == 2 * 4 * 4


def test_weights_of_few_whole_numbers_say_their_bits(tmp_path):
    """-2 … 1 are two bits: 2 * 2 positions of 2 filters of 2 * 9 products, with signs in front."""
    weight = (torch.arange(36) % 4 - 2).reshape(2, 2, 3, 3).float()
    graph = recognised(lambda m, x: F.conv2d(torch.sign(x), m.weight), weight=weight)
    content = onnx_bytes(graph, "qonnx", {})
    assert_same_values(graph, in_qonnx(content, GRID), [GRID], hardware_sign=True)
    file = tmp_path / "whole.onnx"
    file.write_bytes(content)
    assert abcost.analyze(str(file)).to_dict()["macs"]["by_bits"] == {"1x2": 2 * 2 * 2 * 2 * 9}
    (quant,) = (node for node in onnx.load(file).graph.node if node.op_type == "Quant")
    bits = {tensor.name: tensor for tensor in onnx.load(file).graph.initializer}[quant.input[3]]
    assert float(onnx.numpy_helper.to_array(bits)) == 2


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda m, x: torch.roll(x, 1, 2), r"wiring 'wiring'.* cannot be written as ONNX: aten.roll.default"),
        (lambda m, x: F.silu(x), r"function 'function'.*: aten.silu.default has no form"),
        (lambda m, x: F.adaptive_avg_pool2d(x, 3), "its windows differ in size"),
        (lambda m, x: F.avg_pool2d(x, 3, 2, ceil_mode=True), "its last windows reach beyond the padding"),
    ],
)
def test_what_has_no_form_is_refused_by_name(function, reason):
    with pytest.raises(GraphError, match=reason):
        onnx_bytes(traced(function, SHAPE), "onnx", {})


# the command


def test_the_command_is_the_call_and_says_what_it_wrote(tmp_path):
    assert run(["export", *TINY, "--stage", "rprelu_quantized", "-o", str(tmp_path / "net.onnx")]) == 0
    options = {"preset": "digits", "base_width": 4, "blocks": (1, 1)}
    found = abcost.export("reactnet_18", tmp_path / "again.onnx", stage="rprelu_quantized", **options)
    assert repr(found).startswith("<Exported: rprelu_quantized as onnx in ")
    content = (tmp_path / "net.onnx").read_bytes()
    assert content == found.file.read_bytes()
    about = {entry.key: entry.value for entry in onnx.load_model_from_string(content).metadata_props}
    assert about == {"model": "reactnet_18", "variant": "ab", "stage": "rprelu_quantized"}


def test_the_folding_is_read_as_the_same_accelerator(tmp_path):
    """PE and SIMD of every engine, in the order of execution."""
    file, sized = tmp_path / "folding_config.json", ("--device", "xc7z020", "--fps", "20000")
    assert run(["export", *TINY, *sized, "--output", str(file)]) == 0
    options = {"preset": "digits", "base_width": 4, "blocks": (1, 1), "device": "xc7z020"}
    wanted, found = (
        abcost.analyze("reactnet_18", **options, **more).stages[-1].organisation
        for more in ({"fps": 20000.0}, {"folding": file})
    )
    assert [(x.name, x.pe, x.simd) for x in found.layers] == [(x.name, x.pe, x.simd) for x in wanted.layers]
    assert max(x.pe * x.simd for x in wanted.layers) > 1
    content = json.loads(file.read_text())
    assert content.pop("Defaults") == {}
    assert list(content) == [f"MVAU_hls_{number}" for number in range(len(wanted.layers))]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-o", "net.txt"], "net.txt ends neither in .onnx nor in .json: say --format onnx, qonnx, folding"),
        (["-o", "net.onnx", "--format", "qonx"], "no --format choice 'qonx'; did you mean 'qonnx'?"),
        (["-o", "net.onnx", "--stage", "trace"], "no --stage choice 'trace'; did you mean 'traced'?"),
        (["-o", "net.onnx", "--fps", "3"], "--fps does nothing with --format onnx: leave it out"),
        (["-o", "net.json"], "--format folding writes the folding of an accelerator: add --device or --fps"),
        (["-o", "nowhere/net.onnx"], "there is no folder nowhere"),
    ],
)
def test_refusals(capsys, tmp_path, monkeypatch, arguments, reason):
    monkeypatch.chdir(tmp_path)
    assert run(["export", *TINY, *arguments]) == 2
    assert reason in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
