"""LSTM, GRU, RNN and their cells: equal to torch, and products by hand, layer by layer."""

import pytest
import torch
from torch import nn

from abcost.classify import tally
from abcost.core.kinds import DOTS
from abcost.pipeline import analyze
from operators import counts, graph_equal_to, macs

T, B, D, H = 3, 2, 5, 4  # steps, rows of the batch, inputs, hidden elements
GATES = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1, nn.LSTMCell: 4, nn.GRUCell: 3, nn.RNNCell: 1}


def outputs(result):
    """Everything that a recurrent layer returns, flat."""
    if isinstance(result, torch.Tensor):
        return (result,)
    return tuple(leaf for part in result for leaf in outputs(part))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_layer_is_its_steps(kind, batch_first):
    """Per step and row of the batch: gates * H * (D + H) multiply-accumulates."""
    shape = (B, T, D) if batch_first else (T, B, D)
    layer = kind(D, H, batch_first=batch_first)
    graph = graph_equal_to(lambda m, x: outputs(m.layer(x)), shape, layer=layer)
    assert macs(graph) == T * B * GATES[kind] * H * (D + H)
    assert {node.layer for node in graph if node.kind in DOTS} == {"layer"}


# per step and element: what the equations of torch's documentation say
ELEMENTWISE = {
    nn.LSTM: {"multiply": 3, "function": 5},  # f*c, i*g, o*tanh(c); three sigmoids, two tanhs
    nn.GRU: {"multiply": 2, "function": 3},  # r*(W h), z*(h - n); two sigmoids, a tanh
    nn.RNN: {"function": 1},
}


@pytest.mark.parametrize("kind", sorted(ELEMENTWISE, key=str))
def test_products_and_functions_between_them(kind):
    graph = graph_equal_to(lambda m, x: outputs(m.layer(x)), (T, B, D), layer=kind(D, H, bias=False))
    found = counts(graph)
    for primitive, each in ELEMENTWISE[kind].items():
        assert found[primitive] == each * T * B * H


FORMS = {
    "two layers": (nn.LSTM(D, H, 2), T * B * 4 * H * ((D + H) + (H + H))),
    "two layers with dropout between": (nn.GRU(D, H, 2, dropout=0.5), T * B * 3 * H * ((D + H) + (H + H))),
    "both directions": (nn.LSTM(D, H, bidirectional=True), 2 * T * B * 4 * H * (D + H)),
    "two layers, both directions": (
        nn.GRU(D, H, 2, bidirectional=True), 2 * T * B * 3 * H * ((D + H) + (2 * H + H)),
    ),
    "projected": (nn.LSTM(D, H, proj_size=3), T * B * (4 * H * (D + 3) + H * 3)),
    "relu": (nn.RNN(D, H, nonlinearity="relu"), T * B * H * (D + H)),
    "without bias": (nn.LSTM(D, H, bias=False), T * B * 4 * H * (D + H)),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FORMS))
def test_forms_of_layers(name):
    layer, by_hand = FORMS[name]
    graph = graph_equal_to(lambda m, x: outputs(m.layer(x)), (T, B, D), layer=layer)
    assert macs(graph) == by_hand


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_cells(kind):
    cell, by_hand = kind(D, H), B * GATES[kind] * H * (D + H)
    given = graph_equal_to(
        lambda m, x, h: outputs(m.cell(x, (h, h * 2) if kind is nn.LSTMCell else h)),
        (B, D),
        (B, H),
        cell=cell,
    )
    assert macs(given) == by_hand
    assert macs(graph_equal_to(lambda m, x: outputs(m.cell(x)), (B, D), cell=cell)) == by_hand


def loop(m, x):
    """The layer as people write it with a cell."""
    h, found = torch.zeros(B, H), []
    for step in x:
        h = m.cell(step, h)
        found.append(h)
    return torch.stack(found)


def test_a_loop_over_a_cell_counts_as_the_layer():
    graph = graph_equal_to(loop, (T, B, D), cell=nn.GRUCell(D, H))
    assert macs(graph) == T * B * 3 * H * (D + H)


def test_a_state_that_is_given():
    """A learned initial state is a constant: nothing is multiplied with it at inference, in the first step."""
    graph = graph_equal_to(
        lambda m, x: outputs(m.layer(x, m.h)),
        (T, B, D),
        layer=nn.GRU(D, H),
        h=nn.Parameter(torch.ones(1, B, H)),
    )
    assert macs(graph) == T * B * 3 * H * D + (T - 1) * B * 3 * H * H
    computed = graph_equal_to(
        lambda m, x, h: outputs(m.layer(x, h)), (T, B, D), (1, B, H), layer=nn.GRU(D, H)
    )
    assert macs(computed) == T * B * 3 * H * (D + H)


def test_without_a_batch():
    graph = graph_equal_to(lambda m, x: outputs(m.layer(x)), (T, D), layer=nn.LSTM(D, H))
    assert macs(graph) == T * 4 * H * (D + H)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.fc = (
            nn.LSTM(D, H, batch_first=True),
            nn.GRU(H, 3, batch_first=True),
            nn.Linear(3, 2),
        )

    def forward(self, x):
        return self.fc(self.second(self.first(x)[0])[0])


def test_the_report_shows_them_per_layer():
    report = analyze(Tagger(), input_shape=(B, T, D))
    assert report.capture == "shapes"
    by_layer = {}
    for row in report.to_dict()["layers"]:
        if row["stage"] == "traced":
            by_layer[row["name"]] = row["ops"]["multiply"]
    # products of the equations: 3 H (LSTM), 2 H (GRU) beside the dot products
    assert by_layer["first"] == T * B * (4 * H * (D + H) + 3 * H)
    assert by_layer["second"] == T * B * (3 * 3 * (H + 3) + 2 * 3)
    assert by_layer["fc"] == T * B * 3 * 2
    assert report.fvcore_macs == T * B * (4 * H * (D + H) + 3 * 3 * (H + 3) + 6)
    assert not [w for w in report.warnings if "fvcore" in w]


def test_single_precision_takes_the_same_way():
    """In float32 torch's CPU library offers a fused kernel."""
    from abcost.core.inputs import InputSpec
    from abcost.trace import trace

    graph = trace(nn.LSTM(D, H), (InputSpec((T, B, D)),)).graph
    assert tally(graph, 16).macs.total == T * B * 4 * H * (D + H)
    assert torch.backends.mkldnn.enabled == torch.backends.mkldnn.is_available()
