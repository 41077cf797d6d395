"""A softmax that only an argmax would read may be left out, and the report says so."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from abcost.cli import run
from abcost.core.interpret import execute
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.pipeline import analyze
from abcost.rewrite import RewriteOptions, rewrite
from strategies import traced

ASKED = RewriteOptions(leave_out_softmax=True)


def left(function, shape=(3, 5), options=ASKED, **members):
    return rewrite(traced(function, shape, **members), Phase.ROUND_SCALES, options)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_argmax_over_each_row_stays(name, axis):
    def model(_m, x):
        return getattr(torch, name)(x * 3, axis)

    before, after = traced(model, (3, 5)), left(model)
    assert not after.graph.of_kind(OpKind.SOFTMAX)
    torch.manual_seed(0)
    for _ in range(20):
        x = torch.randn(3, 5)
        (was,), (now,) = (execute(graph, [x]).values() for graph in (before, after.graph))
        assert torch.equal(was.argmax(axis), now.argmax(axis))
        assert torch.equal(was.argsort(axis), now.argsort(axis))
    (entry,) = after.log
    assert (entry.fired, entry.exact) == (True, False)
    assert entry.detail.startswith(f"{name.replace('_', '-')} left out as asked")


def test_it_stays_unless_asked_for():
    result = left(lambda m, x: x.softmax(1), options=RewriteOptions())
    assert len(result.graph.of_kind(OpKind.SOFTMAX)) == 1
    assert result.log == ()


def test_moved_elements_are_still_the_same_elements():
    assert not left(lambda m, x: x.softmax(1).t().reshape(5, 3, 1)).graph.of_kind(OpKind.SOFTMAX)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda m, x: (x.softmax(1), x), "other outputs"),
        (lambda m, x: x.softmax(1) * 2, "more than an argmax"),
        (lambda m, x: (y := x.softmax(1)) + y.flip(1), "more than an argmax"),
        (lambda m, x: torch.cat([x.softmax(1), x], 1), "more than an argmax"),
        (lambda m, x: nn.functional.pad(x.softmax(1), (1, 0)), "more than an argmax"),
    ],
)
def test_where_values_matter_it_stays_with_a_reason(function, reason):
    result = left(function)
    assert len(result.graph.of_kind(OpKind.SOFTMAX)) == 1
    (entry,) = result.log
    assert not entry.fired
    assert reason in entry.detail


def classifier():
    return nn.Sequential(nn.Linear(6, 4), nn.Softmax(1))


def test_report_has_it_in_settings_log_and_counts():
    kept = analyze(classifier(), input_shape=(1, 6))
    report = analyze(classifier(), input_shape=(1, 6), rewriting=ASKED, verify=True)
    assert report.verified
    data = report.to_dict()
    assert data["settings"]["leave_out_softmax"] is True
    assert "leave_out_softmax" not in kept.to_dict()["settings"]
    assert [entry["rule"] for entry in data["rewrites"]] == ["leave-out-softmax"]
    assert data["stages"][0]["ops"] == kept.to_dict()["stages"][0]["ops"]  # as written
    assert data["stages"][-1]["ops"] == {
        "multiply": 24, "add": 24 + 4, "bitop": 0, "shift": 0, "compare": 0, "other": 0,
    }  # fmt: skip
    assert not report.warnings


def test_asking_in_vain_is_a_warning():
    report = analyze(nn.Linear(6, 4), input_shape=(1, 6), rewriting=ASKED)
    assert report.warnings == ("no softmax is left out: the network has none",)
    model = nn.Sequential(nn.Softmax(1), nn.Linear(6, 4))
    (warning,) = analyze(model, input_shape=(1, 6), rewriting=ASKED).warnings
    assert warning.startswith("no softmax is left out: 0: its values are read by more than an argmax")


def test_commands_take_the_option(tmp_path, capsys):
    file = tmp_path / "net.py"
    file.write_text(
        "from torch import nn\ndef make():\n    return nn.Sequential(nn.Linear(6, 4), nn.Softmax(1))\n"
    )
    model = f"{file}:make"
    shape = ["--input-size", "1x6"]
    assert run(["analyze", model, *shape, "--leave-out-softmax", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["stages"][-1]["ops"]["other"] == 0
    with_it, without = tmp_path / "a.json", tmp_path / "b.json"
    assert run(["analyze", model, *shape, "--format", "json", "-o", str(with_it)]) == 0
    assert run(["analyze", model, *shape, "--leave-out-softmax", "--format", "json", "-o", str(without)]) == 0
    capsys.readouterr()
    assert run(["compare", str(with_it), str(without), "--format", "json"]) == 0
    (pair,) = json.loads(capsys.readouterr().out)
    assert pair["settings"]["leave_out_softmax"] == {"before": None, "after": "True"}
    own = f"{model},input_size=1x6"
    assert run(["compare", own, own, "--leave-out-softmax", "--format", "json"]) == 0
    (pair,) = json.loads(capsys.readouterr().out)
    assert pair["stages"]["add_and_bit"]["ops.other"]["after"] == 0
