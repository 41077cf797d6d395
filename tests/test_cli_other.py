"""The other commands: models, graph, verify; --help and --version; what start-up must not load."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import networkx as nx
import pytest
import torch

from abcost import __version__
from abcost.cli import run
from abcost.core.inputs import InputSpec, example_inputs
from abcost.core.interpret import FixedPoint, execute
from abcost.core.serialize import graph_from_json, graph_to_json
from abcost.models import build
from abcost.models.subject import Request, resolve
from abcost.pipeline import stage_graphs
from abcost.rewrite import RewriteOptions

MODELS = Path(__file__).parent / "data" / "user_models.py"
SMALL = (f"{MODELS}:Small", "--input-size", "1x3x8x8")
STAGES = ["traced", "mask_removed", "rprelu_quantized", "add_and_bit"]


def output_of(capsys, *arguments):
    """Stdout and stderr of a command that has to succeed."""
    status = run([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert status == 0, err
    return out, err


# models


def test_models_as_data(capsys):
    out, err = output_of(capsys, "models", "--preset", "cifar10", "--variant", "bn", "--format", "json")
    data = json.loads(out)
    assert err == ""
    assert (data["schema"], data["variant"], data["preset"]) == (1, "bn", "cifar10")
    found = {row["name"]: row["parameters"] for row in data["models"]}
    assert list(found) == sorted(found)
    network = build("reactnet_18", variant="bn", stem="cifar", num_classes=10)
    assert found["reactnet_18"] == sum(p.numel() for p in network.parameters())
    assert all(row["description"] for row in data["models"])


def test_models_as_a_table(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    data = json.loads(output_of(capsys, "models", "--format", "json")[0])
    drawn, err = output_of(capsys, "models")
    assert err == ""
    assert "\x1b" not in drawn
    assert max(map(len, drawn.splitlines())) <= 60
    for row in data["models"]:
        assert re.search(rf"^ {row['name']} +{row['parameters']:,} +\w", drawn, re.MULTILINE)


# graph


@pytest.fixture(scope="module")
def stages():
    """The op graphs of the small network by stage, and inputs for them."""
    inputs = (InputSpec((1, 3, 8, 8)),)
    subject = resolve(Request(SMALL[0], inputs=inputs))
    staged = stage_graphs(subject.model, subject.inputs, RewriteOptions())
    return {stage.name: stage.graph for stage in staged.stages}, example_inputs(inputs)


@pytest.mark.parametrize("stage", STAGES)
def test_graph_read_back_gives_the_same_outputs(capsys, stages, stage):
    graphs, inputs = stages
    text, err = output_of(capsys, "graph", *SMALL, "--stage", stage)
    assert err == ""
    graph = graph_from_json(text)
    assert graph_to_json(graph) == text
    for arithmetic in (FixedPoint, lambda _: None):
        wanted = execute(graphs[stage], inputs, arithmetic(12))
        found = execute(graph, inputs, arithmetic(12))
        assert list(found) == list(wanted)
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
        assert all(value.abs().max() > 0 for value in found.values())


def test_the_first_stage_is_the_default(capsys):
    assert output_of(capsys, "graph", *SMALL) == output_of(capsys, "graph", *SMALL, "--stage", "traced")
    assert output_of(capsys, "graph", *SMALL) != output_of(capsys, "graph", *SMALL, "--stage", "add_and_bit")


def test_graph_without_constants_says_so_when_it_is_read(capsys):
    text = output_of(capsys, "graph", *SMALL, "--no-constants")[0]
    whole = output_of(capsys, "graph", *SMALL)[0]
    assert len(text) < len(whole)
    nodes = json.loads(text)["nodes"]
    assert [node["name"] for node in nodes] == [node["name"] for node in json.loads(whole)["nodes"]]
    assert not any("data" in constant for node in nodes for constant in node["consts"].values())
    with pytest.raises(Exception, match="saved without its constants; save it again with --constants"):
        graph_from_json(text)


@pytest.mark.parametrize(
    "command", [SMALL, (f"{MODELS}:OddNames", "--input-size", "1x3x8x8")], ids=["small", "odd"]
)
def test_graphml_is_read_back_by_networkx(capsys, command):
    graph = graph_from_json(output_of(capsys, "graph", *command)[0])
    text = output_of(capsys, "graph", *command, "--format", "graphml")[0]
    read = nx.read_graphml(io.BytesIO(text.encode()), force_multigraph=True)
    assert list(read.nodes) == [node.name for node in graph]
    edges = sorted((source, name, data["slot"]) for source, name, data in read.edges(data=True))
    assert edges == sorted((source, name, data["slot"]) for source, name, data in graph.nx.edges(data=True))
    for node in graph:
        assert read.nodes[node.name]["kind"] == node.kind.value
        assert read.nodes[node.name]["shape"] == "x".join(map(str, node.shape))
        assert read.nodes[node.name]["layer"] == node.layer


DOT_STRING = r'"((?:[^"\\]|\\.)*)"'


def dot_text(escaped):
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], escaped)


@pytest.mark.parametrize(
    "command", [SMALL, (f"{MODELS}:OddNames", "--input-size", "1x3x8x8")], ids=["small", "odd"]
)
def test_dot_has_every_node_and_edge(capsys, command):
    graph = graph_from_json(output_of(capsys, "graph", *command)[0])
    first, second, *lines, last = output_of(capsys, "graph", *command, "--format", "dot")[0].splitlines()
    assert (first, last) == ("digraph abcost {", "}")
    assert second == "  node [shape=box, fontname=sans];"
    nodes, edges = {}, []
    for line in lines:
        node = re.fullmatch(rf"  {DOT_STRING} \[label={DOT_STRING}\];", line)
        edge = re.fullmatch(rf"  {DOT_STRING} -> {DOT_STRING};", line)
        assert node or edge, line
        if node:
            nodes[dot_text(node[1])] = dot_text(node[2])
        else:
            edges.append((dot_text(edge[1]), dot_text(edge[2])))
    shapes = {node.name: "x".join(map(str, node.shape)) for node in graph}
    assert nodes == {n.name: f"{n.kind.value}\n{n.layer}\n{shapes[n.name]}" for n in graph}
    assert edges == [(source, node.name) for node in graph for source in graph.inputs(node.name)]


def test_odd_names_are_odd(capsys):
    """The two tests above mean something: this network's names have what the formats must escape."""
    names = " ".join(
        node.name for node in graph_from_json(output_of(capsys, "graph", f"{MODELS}:OddNames")[0])
    )
    assert set('"\\<>& ') <= set(names)


@pytest.mark.parametrize("form", ["json", "dot", "graphml"])
def test_graph_to_a_file(capsys, tmp_path, form):
    file = tmp_path / "graph"
    assert output_of(capsys, "graph", *SMALL, "--format", form, "-o", file)[0] == ""
    assert file.read_text(encoding="utf-8") == output_of(capsys, "graph", *SMALL, "--format", form)[0]
    assert list(tmp_path.iterdir()) == [file]


def test_a_talkative_model_does_not_spoil_the_graph(capsys):
    out, err = output_of(capsys, "graph", f"{MODELS}:Talkative", "--input-size", "1x3x8x8")
    graph_from_json(out)
    assert err == "building\nrunning\n"


def test_low_precision_weights_survive(capsys):
    model = f"{MODELS}:LowPrecision"
    (conv,) = [
        node for node in graph_from_json(output_of(capsys, "graph", model)[0]) if node.kind.value == "conv"
    ]
    weight = resolve(Request(model)).model.conv.weight
    assert torch.equal(conv.consts["weight"].real(), weight.detach().double())


# verify


def test_verify_as_data(capsys):
    out, err = output_of(capsys, "verify", *SMALL, "--format", "json")
    assert err.startswith("verifying ")
    data = json.loads(out)
    assert (data["schema"], data["model"], data["holds"]) == (1, SMALL[0], True)
    pairs = {(c["before"], c["after"]) for c in data["comparisons"]}
    assert pairs == {("model", "traced"), *pairwise(STAGES)}
    fixed = [c for c in data["comparisons"] if c["arithmetic"] == "fixed point"]
    assert {c["inputs"] for c in fixed} >= {"normal", "zeros", "border", "thresholds"}
    for c in fixed:
        assert (c["error"], c["promised"], c["holds"]) == (0.0, True, True)
        assert c["compared"] > 0
    assert data["sign_convention"]["signs"] == 8 * 8 * 8


def test_verify_as_a_table(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "72")
    drawn, _ = output_of(capsys, "verify", *SMALL)
    data = json.loads(output_of(capsys, "verify", *SMALL, "--format", "json")[0])
    assert "\x1b" not in drawn
    assert max(map(len, drawn.splitlines())) <= 72
    assert len(re.findall(r" holds$", drawn, re.MULTILINE)) == len(data["comparisons"])
    assert f"{sum(c['compared'] for c in data['comparisons']):,} values compared" in drawn
    assert drawn.endswith("All exact rewrites are exact.\n")


def test_lossy_rewrites_are_not_promised(capsys):
    drawn, _ = output_of(capsys, "verify", *SMALL, "--weight-scale", "po2")
    assert re.search(r"add_and_bit, .*lossy", drawn)
    data = json.loads(output_of(capsys, "verify", *SMALL, "--weight-scale", "po2", "--format", "json")[0])
    rounded = [c for c in data["comparisons"] if c["after"] == "add_and_bit, rounding"]
    assert not any(c["promised"] for c in rounded)
    assert max(c["error"] for c in rounded) > 0
    # what follows the rounding is exact again
    lowered = [c for c in data["comparisons"] if c["after"] == "add_and_bit"]
    assert all(c["promised"] and c["holds"] for c in lowered)


def test_verify_to_a_file(capsys, tmp_path):
    file = tmp_path / "verification.json"
    assert output_of(capsys, "verify", *SMALL, "--format", "json", "-o", file)[0] == ""
    assert json.loads(file.read_text(encoding="utf-8"))["holds"] is True


# help and version


def test_version(capsys):
    assert output_of(capsys, "--version") == (f"abcost {__version__}\n", "")


def test_help_names_every_command(capsys):
    out, err = output_of(capsys, "--help")
    assert err == ""
    for command in ("analyze", "models", "graph", "verify", "targets"):
        assert re.search(rf"\b{command}\b", out)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["analyze", "--help"], ["--target", "--format", "--output", "--verify", "--width", "--checkpoint"]),
        (["graph", "--help"], ["--stage", "--no-constants", "--output"]),
        (["verify", "--help"], ["--weight-scale", "--format"]),
        (["models", "--help"], ["--variant", "--preset"]),
        (["targets", "--help"], ["list", "show", "check", "cost"]),
    ],
    ids=lambda value: value[0],
)
def test_help_of_a_command(capsys, command, words):
    out, _ = output_of(capsys, *command)
    assert all(word in out for word in words)


def test_no_command_shows_the_help_and_is_an_error(capsys):
    assert run([]) == 2
    out, err = capsys.readouterr()
    assert "Usage: abcost" in out
    assert err == "error: name a command; see abcost --help\n"


LIGHT = """
import contextlib, io, sys
def heavy():
    return sorted({"torch", "pandas", "fvcore", "networkx", "scipy", "sklearn", "mlxtend"} & set(sys.modules))
import abcost
print("import abcost", heavy())
from abcost.cli import run
for command in (
    "--help", "--version", "analyze --help", "targets list", "analyze reactnet_a -t none", "analyze reactnet_19",
    "verify reactnet_19", "compare reactnet_18 reactnet_19", "train reactnet_19 --run-dir q", "analyze none.onnx",
    "graph none.py:make", "export none.pt2 -o a.onnx",
):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run(command.split())
    print(command, heavy())
"""


def test_help_and_targets_load_no_torch():
    found = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(found) == 13
    assert [line for line in found if not line.endswith(" []")] == []


def test_a_terminal_without_box_characters_gets_question_marks():
    found = subprocess.run(
        [sys.executable, "-c", "from abcost.cli import main; main()", "models"],
        capture_output=True, env={"PYTHONIOENCODING": "ascii", "PATH": ""}, check=True,
    )  # fmt: skip
    assert found.stderr == b""
    assert b"reactnet_a " in found.stdout
    assert b"????" in found.stdout  # the rule under the head of the table
