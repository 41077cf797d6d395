"""Handlers in a user's own file: registered by loading it, executed by what it says."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from abcost.cli import run
from abcost.core import replay as replays
from abcost.core.interpret import execute
from abcost.core.kinds import OpKind
from abcost.core.serialize import graph_from_json, graph_to_json
from abcost.errors import DuplicateName, GraphError, TraceError
from abcost.registry import Registry
from abcost.trace import constant, handler
from abcost.trace import registry as handlers
from operators import counts, graph_equal_to, kinds
from strategies import traced

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/howto/own-operator.md").read_text()
CUSTOM = PAGE.split('```python title="custom.py"\n')[1].split("```")[0]


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """What a test registers is forgotten after it."""
    handlers.handlers.names()  # those of abcost stay
    for name in ("_items", "_owners"):
        monkeypatch.setattr(handlers.handlers, name, dict(getattr(handlers.handlers, name)))
    monkeypatch.setattr(replays, "_REGISTERED", dict(replays._REGISTERED))


@torch.library.custom_op("abcost_tests::half_and_half", mutates_args=())
def half_and_half(x: torch.Tensor, scale: float) -> torch.Tensor:
    """Scale * max(x, 0)."""
    return x.clamp(min=0) * scale


@half_and_half.register_fake
def _(x, scale):
    return torch.empty_like(x)


def test_the_documented_file_is_read_and_verified(tmp_path, capsys):
    file = tmp_path / "documented.py"
    file.write_text(CUSTOM)
    for command in ("analyze", "verify", "analyze"):  # loaded anew by each
        assert run([command, f"{file}:make", "--input-size", "1x8"]) == 0, capsys.readouterr().err
    assert "All exact rewrites are exact" in capsys.readouterr().out


def test_a_call_is_kept_and_run_again():
    handler(
        "abcost_tests::half_and_half",
        kind=OpKind.FUNCTION,
        replay=torch.ops.abcost_tests.half_and_half.default,
    )
    graph = graph_equal_to(lambda m, x: half_and_half(x, 0.25) + 1, (2, 3))
    assert kinds(graph) == ["function", "add_const"]
    assert counts(graph) == {"function": 6, "add": 6}


def test_any_function_may_run_it_again():
    handler(
        "abcost_tests::half_and_half", kind=OpKind.FUNCTION, replay=lambda x, scale: x.clamp(min=0) * scale
    )
    graph_equal_to(lambda m, x: half_and_half(x, 0.25), (2, 3))


def test_a_handler_says_what_it_is():
    @handler("abcost_tests::half_and_half")
    def record(call):
        above = call.emit(OpKind.CLAMP, [call.input("x")], attrs={"min": 0.0, "max": None})
        return call.emit(OpKind.SCALE, [above], consts={"factor": constant(call["scale"])})

    graph = graph_equal_to(lambda m, x: half_and_half(x, 0.25), (2, 3))
    assert kinds(graph) == ["clamp", "scale"]


def test_operators_of_torch():
    handler("cumsum.default", kind=OpKind.FUNCTION, replay=torch.ops.aten.cumsum.default)
    graph_equal_to(lambda m, x: torch.cumsum(x, 1), (2, 3))


def test_without_a_replay_it_is_counted_and_not_executed():
    handler("cumsum.default", kind=OpKind.FUNCTION)
    graph = traced(lambda m, x: torch.cumsum(x, 1), (2, 3))
    assert counts(graph) == {"function": 6}
    with pytest.raises(
        GraphError,
        match=r"^the graph asks to run aten\.cumsum\.default, which is not one of the replayable operators; the "
        r"handler of an operator of your own says what runs it: abcost\.trace\.handler\(…, replay=…\)$",
    ):
        execute(graph, [torch.ones(2, 3)])


def test_a_replay_that_fails_is_one_line():
    handler("cumsum.default", kind=OpKind.FUNCTION, replay=lambda x: x)
    graph = traced(lambda m, x: torch.cumsum(x, 1), (2, 3))
    with pytest.raises(
        GraphError,
        match=r"^the replay of cumsum\.default raised TypeError: .* takes 1 positional argument but 3 were given; "
        r"mend it where its handler is registered$",
    ):
        execute(graph, [torch.ones(2, 3)])


def test_a_graph_file_runs_only_what_is_registered():
    handler(
        "abcost_tests::half_and_half",
        kind=OpKind.FUNCTION,
        replay=torch.ops.abcost_tests.half_and_half.default,
    )
    text = graph_to_json(traced(lambda m, x: half_and_half(x, 0.5), (1, 2)))
    x = torch.tensor([[-1.0, 3.0]])
    (value,) = execute(graph_from_json(text), [x]).values()
    assert value.tolist() == [[0, 1.5]]
    replays._REGISTERED.clear()
    with pytest.raises(GraphError, match=r"asks to run abcost_tests::half_and_half\.default, which is not"):
        execute(graph_from_json(text), [x])


def test_an_unknown_operator_is_named_as_handler_wants_it():
    with pytest.raises(
        TraceError,
        match=r"^no handler for abcost_tests::half_and_half\.default in the model itself \(.*\); replace the operation "
        r"in the model, or say in the model's file what it is: abcost\.trace\.handler\("
        r"'abcost_tests::half_and_half\.default', kind=…\), "
        r'see the page "An operator of your own" of the documentation$',
    ):
        traced(lambda m, x: half_and_half(x, 0.5), (1, 2))


def test_what_abcost_handles_is_not_taken_over():
    with pytest.raises(
        DuplicateName,
        match=r"^ATen handler 'add' is already taken by abcost itself, and test_own_operators \(",
    ):
        handler("add", kind=OpKind.WIRING)
    with pytest.raises(
        DuplicateName, match=r"^handler\('add\.mine'\): abcost itself handles add, every overload"
    ):
        handler("add.mine", kind=OpKind.WIRING)
    with pytest.raises(GraphError, match=r"^aten\.tanh\.default has a replay already; leave `replay` out$"):
        handler("tanh.default", replay=torch.tanh)


def test_kinds_that_a_kept_call_cannot_be():
    with pytest.raises(
        TraceError, match=r"^handler\('cumsum'\): a call is kept as OpKind\.FUNCTION, OpKind\.WIRING, "
    ):
        handler("cumsum", kind=OpKind.CONV)


def test_no_message_sends_users_into_the_installation():
    for file in (ROOT / "abcost/trace").rglob("*.py"):
        assert "add one in abcost" not in file.read_text(), file


# one broken file among the handlers


@pytest.fixture
def broken(tmp_path, monkeypatch):
    package = tmp_path / "abcost_broken_things"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a_good.py").write_text("import abcost_things\n\nabcost_things.things.add('good')(1)\n")
    (package / "b_bad.py").write_text("raise RuntimeError('half a file')\n")
    things = Registry("thing", "abcost_broken_things")
    module = type(sys)("abcost_things")
    module.things = things
    monkeypatch.setitem(sys.modules, "abcost_things", module)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield things
    for name in [name for name in sys.modules if name.startswith("abcost_broken_things")]:
        del sys.modules[name]


def test_every_look_up_after_a_broken_file_says_so(broken):
    for look_up in (
        lambda: broken.get("good"),
        broken.names,
        lambda: broken.find("other"),
        lambda: list(broken),
    ):
        with pytest.raises(RuntimeError, match="half a file"):
            look_up()


def test_a_module_is_an_operator_of_its_own(tmp_path):
    """nn.Module classes need no handler: they are what they do."""

    class Mine(nn.Module):
        def forward(self, x):
            return x.sign() * 2

    assert kinds(graph_equal_to(lambda m, x: m.mine(x), (1, 2), mine=Mine())) == ["sign", "scale"]
