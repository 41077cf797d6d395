"""From modules to graphs: what is captured, what is refused, and that the answer is always the same."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from abcost.classify import tally
from abcost.core.graph import OpGraph
from abcost.core.inputs import InputSpec, example_inputs
from abcost.core.interpret import execute
from abcost.core.kinds import OpKind
from abcost.errors import GraphError, ModelError, TraceError, UsageError
from abcost.pipeline import analyze
from abcost.trace import trace
from abcost.trace.capture import _capture
from abcost.trace.constants import constant
from strategies import Module, traced

USER_MODELS = Path(__file__).parent / "user_models"
IMAGE = (InputSpec((1, 4, 6, 6)),)


def user_model(name):
    spec = importlib.util.spec_from_file_location(name, USER_MODELS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(0)
    return module.factory()


def kinds(graph):
    return [node.kind.value for node in graph if node.kind not in (OpKind.INPUT, OpKind.OUTPUT)]


def outline(graph: OpGraph):
    """Everything but constants and the exact call that wiring was traced from."""
    return [(n.name, n.kind, n.shape, n.layer, n.source, graph.inputs(n.name)) for n in graph]


def same_graph(a, b):
    assert outline(a) == outline(b)
    assert tally(a, 16).by_origin() == tally(b, 16).by_origin()
    assert tally(a, 16).by_class() == tally(b, 16).by_class()
    assert tally(a, 16).macs == tally(b, 16).macs


def value_of(graph, *inputs):
    (value,) = execute(graph, inputs).values()
    return value


# the answer does not depend on how the model was held


@pytest.mark.parametrize(
    ("name", "shape"), [("bnn_detach", (1, 3, 8, 8)), ("cnn", (1, 3, 12, 12)), ("transformer", (1, 5, 6))]
)
def test_the_same_graph_however_the_model_is_held(name, shape):
    model, inputs = user_model(name), (InputSpec(shape),)
    first = trace(model, inputs)
    assert first.capture == "shapes"
    assert first.warnings == ()
    same_graph(first.graph, trace(model, inputs).graph)
    same_graph(first.graph, trace(model.eval(), inputs).graph)
    same_graph(first.graph, trace(model.train(), inputs).graph)
    same_graph(first.graph, _capture(model, inputs, real_values=True))
    same_graph(first.graph, trace(model.double(), (InputSpec(shape, torch.float64),)).graph)


def test_modes_are_put_back():
    model = user_model("cnn").train()
    model.block.eval()
    modes = [module.training for module in model.modules()]
    assert True in modes and False in modes  # noqa: PT018
    trace(model, (InputSpec((1, 3, 12, 12)),))
    assert [module.training for module in model.modules()] == modes


def test_modes_and_hooks_are_put_back_after_an_error():
    model = Module(lambda m, x: m.drop(x).no_such_method(), drop=nn.Dropout()).train()
    with pytest.raises(
        ModelError, match=r"^the model fails on an input of shape 1x4x6x6: AttributeError: .*no_such_m"
    ):
        trace(model, IMAGE)
    assert all(module.training for module in model.modules())
    assert not torch.nn.modules.module._global_forward_pre_hooks
    assert not torch.nn.modules.module._global_forward_hooks
    assert torch.backends.mha.get_fastpath_enabled()


def test_analysis_leaves_parameters_and_statistics_alone():
    model = user_model("cnn").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trace(model, (InputSpec((1, 3, 12, 12)),))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_dropout_and_identity_are_nothing():
    graph = traced(
        lambda m, x: m.c(m.b(m.a(x))), (1, 4, 6, 6), a=nn.Dropout(), b=nn.Dropout2d(0.9), c=nn.Identity()
    )
    assert kinds(graph) == []


def test_work_on_parameters_alone_is_offline():
    def weight(m):
        w = (m.w - m.w.mean()) / m.w.std()
        return w.abs().mean() * torch.sign(w) + 0 * m.bias.exp().sum()

    graph = traced(
        lambda m, x: F.linear(x, weight(m)), (1, 3),
        w=nn.Parameter(torch.randn(2, 3)), bias=nn.Parameter(torch.ones(3)),
    )  # fmt: skip
    assert kinds(graph) == ["linear"]


# names, places, sources


def test_nodes_carry_module_path_and_source_line():
    graph = trace(user_model("cnn"), (InputSpec((1, 3, 12, 12)),)).graph
    add = graph.of_kind(OpKind.ADD)[0]
    lines = (USER_MODELS / "cnn.py").read_text().splitlines()
    file, line = add.source.split(":")
    assert (add.layer, file) == ("block", "user_models/cnn.py")
    assert lines[int(line) - 1].strip() == "out += self.shortcut(x)"
    assert [node.layer for node in graph.of_kind(OpKind.CONV)] == [
        "stem.0", "block.body.0", "block.body.3", "block.shortcut.0",
    ]  # fmt: skip


def test_sources_in_packages_whose_names_start_with_torch_are_the_users(tmp_path):
    # torchvision is installed next to torch: its lines are wanted, torch's are not
    package = Path(torch.__file__).parent
    code = compile("def forward(module, x):\n    return x * 3", f"{package}vision/models/resnet.py", "exec")
    scope: dict = {}
    exec(code, scope)  # noqa: S102 - two lines of our own
    graph = traced(scope["forward"], (1, 2))
    assert graph.of_kind(OpKind.SCALE)[0].source == "models/resnet.py:2"


def test_a_module_used_twice_has_two_nodes():
    graph = traced(lambda m, x: m.act(m.act(x)), (1, 2), act=nn.PReLU())
    assert [node.name for node in graph.of_kind(OpKind.PRELU)] == ["act/prelu", "act/prelu_2"]


def test_a_module_in_a_plain_list_belongs_to_its_caller():
    hidden = [nn.ReLU()]
    graph = traced(lambda m, x: hidden[0](x), (1, 2))
    assert graph.of_kind(OpKind.CLAMP)[0].layer == ""


def test_an_operator_without_a_handler_is_named_with_its_place():
    class Odd(nn.Module):
        def forward(self, x):
            return torch.cumsum(x, 1)

    with pytest.raises(
        TraceError,
        match=r"^no handler for aten\.cumsum\.default in blocks\.1 \(tests/test_trace\.py:\d+\); "
        r"replace the operation in the model, or say in the model's file what it is: "
        r"abcost\.trace\.handler\('cumsum\.default', kind=…\), see the page \"An operator of your own\"",
    ):
        traced(lambda m, x: m.blocks(x), (1, 4), blocks=nn.Sequential(nn.ReLU(), Odd()))


REFUSED = {
    "random at inference": (
        lambda m, x: F.dropout(x, 0.5),
        r"random numbers at inference have no fixed graph; leave them to training \(self\.training\), in the model",
    ),
    "noise": (lambda m, x: x + torch.randn_like(x), r"aten\.randn_like\.default: random numbers at inference"),
    "batch statistics": (
        lambda m, x: F.batch_norm(x, None, None, training=True),
        "statistics of the batch are not constants; use track_running_stats=True",
    ),
    "indices": (lambda m, x: F.max_pool2d(x, 2, return_indices=True)[1], "a result without a node"),
    "write into a constant": (
        lambda m, x: torch.zeros(1, 4, 6, 6).add_(x),
        r"the model writes an activation into a constant tensor; build the result with torch\.cat or torch\.where",
    ),
    "activation as weight": (lambda m, x: F.conv2d(x, x), "weight"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refusals_say_why(name):
    function, reason = REFUSED[name]
    with pytest.raises(TraceError, match=reason):
        traced(function, (1, 4, 6, 6))


# in-place operations


def in_place(m, x):
    x = x * 2
    x += 1
    x.mul_(3).relu_()
    x -= x.sign()
    x.div_(4)
    return x


def test_in_place_operations_are_their_functional_twins():
    graph = traced(in_place, (1, 3))
    assert kinds(graph) == ["scale", "add_const", "scale", "clamp", "sign", "subtract", "scale"]
    x = torch.tensor([[-2.0, 0.25, 1.5]]).double()
    assert torch.equal(value_of(graph, x), in_place(None, x.clone()))


def test_in_place_relu_on_a_shared_tensor_changes_what_the_shortcut_sees():
    def block(m, x):
        x = x + 0.5
        out = F.relu(x, inplace=True)
        return out - 2 * x  # x was rectified too

    x = torch.tensor([[-2.0, 3.0]]).double()
    assert torch.equal(value_of(traced(block, (1, 2)), x), block(None, x.clone()))


def test_the_base_read_after_a_write_through_its_view_is_refused():
    def write(m, x):
        x = x * 2
        x[:, 0].add_(1)
        return x

    with pytest.raises(
        TraceError, match=r"^a tensor is read after another view of it was written in place in the model"
    ):
        traced(write, (1, 3))


def test_a_view_read_after_a_write_to_its_base_is_refused():
    def write(m, x):
        x = x * 2
        view = x.view(3)
        x.add_(1)
        return view

    with pytest.raises(
        TraceError, match=r"read after another view of it was written in place .*test_trace\.py:\d+"
    ):
        traced(write, (1, 3))


def test_a_view_that_is_written_and_read_itself_is_fine():
    def write(m, x):
        return (x * 2).view(3).add_(1)

    assert kinds(traced(write, (1, 3))) == ["scale", "wiring", "add_const"]


def test_copies_are_no_views():
    def write(m, x):
        y = x.clone()
        y += 1
        return x + y

    x = torch.tensor([[1.0, -1.0]]).double()
    assert value_of(traced(write, (1, 2)), x).tolist() == [[3.0, -1.0]]


def test_detached_aliases_count_as_views():
    def write(m, x):
        x = x * 2
        other = x.detach()
        x.add_(1)
        return other

    with pytest.raises(TraceError, match="read after another view of it was written in place"):
        traced(write, (1, 2))


def test_setting_data_is_a_write():
    # x.data = sign(x.data), as the first published BNN code has it
    def binarise(m, x):
        x = x + 1
        x.data = x.data.sign()
        return x * 3

    graph = traced(binarise, (1, 3))
    assert kinds(graph) == ["add_const", "sign", "scale"]
    x = torch.tensor([[-2.0, -0.5, 3.0]]).double()
    assert value_of(graph, x).tolist() == [[-3.0, 3.0, 3.0]]


def test_setting_data_to_a_constant_is_refused():
    def reset(m, x):
        x = x + 1
        x.data = torch.zeros(1, 3)
        return x

    with pytest.raises(
        TraceError, match=r"^\.data of an activation is set to a constant or another shape in the model"
    ):
        traced(reset, (1, 3))


# data-dependent models


def branching(m, x):
    return x * 3 if x.sum() > -1e9 else x.cumsum(1)


def test_a_data_dependent_model_is_captured_with_real_values():
    found = trace(Module(branching), (InputSpec((1, 3)),))
    assert found.capture == "values"
    (warning,) = found.warnings
    assert warning.startswith("captured with real activations, because")
    assert "test_trace.py:" in warning
    assert warning.endswith("the graph holds for inputs that take the same path")
    assert kinds(found.graph)[-1] == "scale"


def test_the_report_says_how_it_was_captured():
    report = analyze(Module(branching), input_shape=(1, 3))
    assert report.capture == "values"
    assert "captured with real activations" in report.warnings[0]
    assert report.to_dict()["capture"] == "values"


def test_the_fallback_takes_the_same_path_every_time():
    model = Module(lambda m, x: x * 3 if x.mean() > 0 else x + 3)
    first = trace(model, (InputSpec((1, 3)),)).graph
    torch.manual_seed(123)
    same_graph(first, trace(model, (InputSpec((1, 3)),)).graph)


# what cannot be analysed


def test_meta_parameters_are_refused():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ModelError, match=r"^parameter '0\.weight' is on the meta device and has no values"):
        trace(model, (InputSpec((1, 2)),))


def test_meta_buffers_are_refused():
    model = nn.Module()
    model.register_buffer("table", torch.empty(2, device="meta"))
    with pytest.raises(ModelError, match=r"^parameter 'table' is on the meta device"):
        trace(model, (InputSpec((1, 2)),))


@pytest.mark.parametrize(
    "function", [lambda m, x: torch.zeros(1, 2), lambda m, x: None, lambda m, x: torch.zeros_like(x)]
)
def test_an_output_that_does_not_depend_on_the_input_is_refused(function):
    with pytest.raises(TraceError, match=r"^the model's output does not depend on its input"):
        traced(function, (1, 2))


def test_a_cached_activation_of_an_earlier_call_is_refused():
    def forward(m, x):
        if m.cache is None:
            m.cache = x * 2
        return x + m.cache

    model = Module(forward, cache=None)
    trace(model, (InputSpec((1, 2)),))
    with pytest.raises(
        TraceError, match=r"^the model keeps an activation of an earlier call; clear its caches"
    ):
        trace(model, (InputSpec((1, 2)),))


def test_a_wrong_input_shape_is_one_line():
    with pytest.raises(
        ModelError, match=r"^the model fails on an input of shape 1x5: RuntimeError: .*"
    ) as caught:
        trace(nn.Linear(4, 2), (InputSpec((1, 5)),))
    assert "\n" not in str(caught.value)


# inputs and outputs of other forms


def test_dict_and_tuple_outputs():
    graph = traced(lambda m, x: {"b": x * 3, "a": (x + 1, [x - x.sign(), None, "text"])}, (1, 2))
    outputs = graph.of_kind(OpKind.OUTPUT)
    assert [graph.inputs(node.name)[0] for node in outputs] == ["scale", "add_const", "subtract"]


def test_a_returned_parameter_is_no_output():
    graph = traced(lambda m, x: (m.w, x * 3), (1, 2), w=nn.Parameter(torch.ones(5)))
    (output,) = graph.of_kind(OpKind.OUTPUT)
    assert output.attrs["leaf"] == 1  # the second tensor that the model returns


def test_two_inputs():
    graph = traced(lambda m, a, b: a @ b, (1, 2, 3), (1, 3, 4))
    (product,) = graph.of_kind(OpKind.MATMUL)
    assert (product.attrs["taps"], product.attrs["macs"]) == (3, 2 * 4 * 3)


def test_an_unused_input_stays():
    assert [n.name for n in traced(lambda m, a, b: a * 3, (1, 2), (1, 2))] == [
        "input",
        "input_2",
        "scale",
        "output",
    ]


def test_integer_input_of_an_embedding():
    model = nn.Sequential(nn.Embedding(7, 4), nn.Flatten(), nn.Linear(12, 2))
    graph = trace(model, (InputSpec((1, 3), torch.int64),)).graph
    assert kinds(graph) == ["lookup", "wiring", "linear"]
    indices = torch.tensor([[6, 0, 3]])
    assert torch.allclose(value_of(graph, indices), model.double()(indices))


def test_dead_branches_are_not_in_the_graph():
    assert kinds(traced(lambda m, x: (x.exp(), x * 3)[1], (1, 2))) == ["scale"]


def test_constants_keep_their_bits_in_a_float64_model():
    graph = trace(
        Module(lambda m, x: x * 0.1 + torch.full_like(x, 0.7)), (InputSpec((1, 2), torch.float64),)
    ).graph
    assert graph.of_kind(OpKind.SCALE)[0].consts["factor"].values.item() == 0.1
    assert graph.of_kind(OpKind.ADD_CONST)[0].consts["value"].values.flatten()[0].item() == 0.7


# folding of expanded constants


@pytest.mark.parametrize(
    ("value", "folded"),
    [
        (torch.arange(3.0).reshape(1, 3, 1, 1).expand(2, 3, 4, 4), (1, 3, 1, 1)),
        (torch.arange(3.0).reshape(1, 3, 1, 1).repeat(2, 1, 4, 4), (1, 3, 1, 1)),
        (torch.full((2, 3, 4, 4), 5.0), (1, 1, 1, 1)),
        (torch.arange(96.0).reshape(2, 3, 4, 4), (2, 3, 4, 4)),
        (torch.tensor(2.0), ()),
    ],
)
def test_expanded_constants_are_folded(value, folded):
    found = constant(value, (2, 3, 4, 4), (2, 3, 4, 4))
    assert tuple(found.values.shape) == folded
    assert torch.equal(found.values.expand(2, 3, 4, 4), value.expand(2, 3, 4, 4))


def test_a_constant_that_gives_the_result_its_size_is_not_folded():
    assert tuple(constant(torch.ones(2, 3), (2, 3), (1, 3)).values.shape) == (2, 3)
    x = torch.tensor([[1.0, 2.0]]).double()
    assert value_of(traced(lambda m, x: x + torch.ones(4, 2), (1, 2)), x).shape == (4, 2)


def test_bias_expanded_as_x_is_static():
    # the published LearnableBias: x + bias.expand_as(x) / beta
    graph = traced(
        lambda m, x: x + m.bias.expand_as(x) / 0.5,
        (1, 4, 6, 6),
        bias=nn.Parameter(torch.arange(4.0).reshape(1, 4, 1, 1)),
    )
    (add,) = [node for node in graph if node.kind not in (OpKind.INPUT, OpKind.OUTPUT)]
    assert add.kind is OpKind.ADD_CONST
    assert add.consts["value"].values.flatten().tolist() == [0, 2, 4, 6]


# exported programs


@pytest.fixture
def exported(tmp_path):
    model = user_model("cnn").eval()
    program = torch.export.export(model, (torch.zeros(1, 3, 12, 12),))
    torch.export.save(program, tmp_path / "cnn.pt2")
    return tmp_path / "cnn.pt2", model


@pytest.mark.filterwarnings("ignore")  # torch.export warns about itself
def test_an_exported_program_is_the_module_it_was_exported_from(exported):
    path, model = exported
    report, own = analyze(str(path)), analyze(model, input_shape=(1, 3, 12, 12))
    for there, here in zip(report.stages, own.stages, strict=True):
        assert there.tally.by_class() == here.tally.by_class()
        assert there.tally.by_origin() == here.tally.by_origin()
        assert there.tally.macs == here.tally.macs
    assert report.input_shapes == ((1, 3, 12, 12),)
    layers = [row.node.layer for row in own.stages[0].tally.rows]
    assert [row.node.layer for row in report.stages[0].tally.rows] == layers
    assert "block.shortcut.0" in layers
    sources = {row.node.source for row in report.stages[0].tally.rows if row.node.layer == "block"}
    assert all(source.startswith("user_models/cnn.py:") for source in sources)


@pytest.mark.filterwarnings("ignore")
def test_an_exported_program_verifies(exported):
    assert analyze(str(exported[0]), verify=True).verified


@pytest.mark.filterwarnings("ignore")
def test_an_exported_program_has_its_own_input_shape(exported):
    with pytest.raises(UsageError, match=r"was exported for 1x3x12x12; leave --input-size out$"):
        analyze(str(exported[0]), input_shape=(1, 3, 24, 24))


# inputs


def test_input_specs():
    assert InputSpec.parse("2x3:int64") == InputSpec((2, 3), torch.int64)
    for text in ("", "3x", "axb", "1x2:int7", "1X2", "-1x2"):
        with pytest.raises(UsageError, match=r"is not sizes joined by x"):
            InputSpec.parse(text)
    with pytest.raises(UsageError, match=r"an input needs sizes of at least 1, got 1x0"):
        InputSpec.parse("1x0")
    with pytest.raises(UsageError, match=r"has more than 2147483648 elements"):
        InputSpec((2**16, 2**16))


def test_example_inputs_are_always_the_same():
    specs = (InputSpec((1, 3)), InputSpec((2, 2), torch.int64))
    first, second = example_inputs(specs), example_inputs(specs)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], example_inputs(specs, seed=1)[0])
    assert first[1].tolist() == [[0, 0], [0, 0]]
    wide = example_inputs((InputSpec((1, 3), torch.float64),))[0]
    assert torch.equal(wide.float(), first[0])


def test_executing_a_traced_graph_checks_its_input():
    graph = traced(lambda m, x: x * 3, (1, 3))
    with pytest.raises(GraphError, match=r"^input 'input' takes shape \(1, 3\), was given \(1, 4\)$"):
        execute(graph, [torch.zeros(1, 4)])


def test_torch_modules_without_a_forward_of_the_users_have_no_source_line():
    graph = trace(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), (InputSpec((1, 3, 8, 8)),)).graph
    assert {node.source for node in graph} == {""}
