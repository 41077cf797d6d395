"""Stored parameters and their traffic: bits by hand, and parameters that several nodes use."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from abcost.accelerator.folding import Folding
from abcost.accelerator.shared import Shared
from abcost.classify.counts import Count
from abcost.core.graph import OpGraph
from abcost.core.inputs import InputSpec
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.node import Constant, OpNode
from abcost.core.primitives import Primitive
from abcost.cost import CostTable
from abcost.cost.memory import parameter_bits, traffic_of
from abcost.cost.organisation import Lanes, units_of
from abcost.cost.price import price_of_count, unit_cost
from abcost.pipeline import analyze, stage_graphs
from abcost.rewrite import RewriteOptions

WIDTH = 16


def held(values, **constant):
    node = OpNode("x", OpKind.LINEAR, (1, 4), consts={"weight": Constant(torch.tensor(values), **constant)})
    return parameter_bits(node, WIDTH)["weight"]


def test_constants_are_stored_in_their_own_bits():
    assert held([0.5, 1.5, 2.0]) == 3 * WIDTH
    assert held([1, -1, 1], binary=True) == 3
    assert held([-1, 0, 1, 1]) == 4 * 2  # ternary
    assert held([-7, 0, 7, 3]) == 4 * 4  # -7 … 7: 15 levels
    assert held([3, 250]) == 2 * 1  # two values are one bit
    assert held([0.25]) == 0  # a single number is part of the circuit


def test_the_order_of_wiring_is_stored_nowhere():
    order = Constant(torch.tensor([2, 0, 1]))
    node = OpNode("x", OpKind.WIRING, (1, 3), attrs={"aten": "index_select.default"}, consts={"c0": order})
    assert parameter_bits(node, WIDTH) == {"c0": 0}


# gates that have no price of their own


def masked(bits):
    return (Count(Primitive.AND, 10 * bits, 1, bits=bits),)


def test_an_and_is_priced_as_an_xnor_or_as_a_select():
    node = OpNode("x", OpKind.LINEAR, (1, 10))
    silicon, fpga = CostTable.load("asic-45nm"), CostTable.load("fpga-lut6")
    (unit,) = units_of(node, masked(100), Lanes(simd=64))
    assert (unit.op, unit.width, unit.count) == ("and", 32, 2)  # 64 a cycle, in two words
    (count,) = masked(100)
    assert price_of_count(count, silicon).cost.energy_pj == silicon.price("xnor", width=1).cost.energy_pj
    xnor = silicon.price("xnor", width=1).cost.area_um2
    assert unit_cost(unit, silicon).area_um2 == pytest.approx(32 * xnor)
    assert unit_cost(unit, fpga).luts == fpga.price("mux", width=32).cost.luts


# parameters that several nodes use


def stage_of(model, shape, index=-1, **options):
    return analyze(model, input_shape=shape, target="asic-45nm", **options).stages[index]


class Tied(nn.Module):
    """One matrix, used twice as it is."""

    def __init__(self, *, clone=False):
        super().__init__()
        torch.manual_seed(0)
        self.w = nn.Parameter(torch.randn(6, 6))
        self.v = nn.Parameter(self.w.detach().clone()) if clone else self.w

    def forward(self, x):
        return F.linear(F.linear(x, self.w).relu(), self.v)


class TwiceSigned(nn.Module):
    """sign(w), computed twice: binary weights."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.w = nn.Parameter(torch.randn(6, 6))

    def forward(self, x):
        x = F.linear(torch.sign(x), torch.sign(self.w) * self.w.abs().mean())
        return F.linear(torch.sign(x), torch.sign(self.w) * self.w.abs().mean())


def test_a_matrix_that_is_used_twice_is_stored_once_and_read_twice():
    stage = stage_of(Tied(), (1, 6))
    assert stage.weight_bits == 36 * WIDTH
    assert sum(node.traffic.read_bits for node in stage.nodes) == 2 * 36 * WIDTH
    dram, sram = 1300 / 64, 100 / 64
    activations = 6 * WIDTH + 2 * 6 * WIDTH  # the input is read; what ReLU makes is written and read
    assert stage.memory_energy_pj == pytest.approx(2 * 36 * WIDTH * dram + activations * sram)


def test_equal_values_of_different_parameters_are_stored_twice():
    assert stage_of(Tied(clone=True), (1, 6)).weight_bits == 2 * 36 * WIDTH


def test_what_is_computed_twice_from_one_parameter_is_stored_once():
    stage = stage_of(TwiceSigned(), (1, 6))
    assert stage.weight_bits == 36  # one bit each; the scale is one number
    assert sum(node.traffic.read_bits for node in stage.nodes) == 2 * 36


class Steps(nn.Module):
    """Three steps of a recurrent network: h = tanh(W x + U h + b)."""

    def __init__(self):
        super().__init__()
        self.cell = nn.RNNCell(4, 5)

    def forward(self, x):
        h = torch.zeros(x.shape[0], 5)
        for step in range(3):
            h = torch.tanh(F.linear(x[:, step], self.cell.weight_ih, self.cell.bias_ih)
                           + F.linear(h, self.cell.weight_hh, self.cell.bias_hh))  # fmt: skip
        return h


def test_steps_of_a_recurrent_network_share_their_weights():
    stage = stage_of(Steps(), (1, 3, 4))
    once = (5 * 4 + 5 + 5 * 5 + 5) * WIDTH
    # the first state is constant: U 0 + b is computed beforehand, a constant of 5 values of its own
    assert stage.weight_bits == once + 5 * WIDTH
    reads = 3 * (5 * 4 + 5) + 2 * (5 * 5 + 5) + 5
    assert sum(node.traffic.read_bits for node in stage.nodes) == reads * WIDTH


def test_a_shared_constant_keeps_its_name_when_it_is_changed():
    constant = Constant(torch.ones(3), shared="w")
    assert dataclasses.replace(constant, values=torch.zeros(3)).shared == "w"


def two(first, second):
    nodes = [
        OpNode("x", OpKind.INPUT, (1, 3)),
        OpNode("a", OpKind.ADD_CONST, (1, 3), consts={"value": first}),
        OpNode("b", OpKind.ADD_CONST, (1, 3), consts={"value": second}),
        OpNode("out", OpKind.OUTPUT, (1, 3)),
    ]
    graph = OpGraph(nodes, {"a": ["x"], "b": ["a"], "out": ["b"]})
    return [traffic_of(graph, node, WIDTH).weight_bits for node in nodes[1:3]]


def test_one_in_memory_means_same_parameters_and_same_values():
    w, v = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 4.0])
    whole = 3 * WIDTH
    assert two(Constant(w, shared="w"), Constant(w.reshape(1, 3).clone(), shared="w")) == [whole, 0]
    assert two(Constant(w, shared="w"), Constant(v, shared="w")) == [whole, whole]  # another part of it
    assert two(Constant(w, shared="w"), Constant(w, shared="v")) == [whole, whole]
    assert two(Constant(w), Constant(w)) == [whole, whole]  # of unknown origin
    assert two(Constant(w, shared="w"), Constant(w, scale=v[:1], shared="w")) == [whole, whole]


def weights_of(model, shape, kind):
    """(bits stored for weights, bits of them read) of the accelerator at one product per cycle."""
    graph = stage_graphs(model, (InputSpec(shape),), RewriteOptions()).stages[-1].graph
    shared = Shared(graph, CostTable.load("fpga-lut6"), width=WIDTH, fraction_bits=12)
    stored = [m for m in shared._memories(dict.fromkeys((kind,), Folding(1, 1))) if m.role == "weights"]
    return sum(m.bits for m in stored), sum(m.read_bits for m in stored)


def test_a_shared_engine_stores_tied_weights_once():
    # one product per cycle: a word per weight: a sign, 2 bits for the largest (2 <= |w| < 4), 12 of fraction
    assert 2 <= Tied().w.abs().max() < 4
    word, real = 1 + 2 + 12, DotArithmetic.REAL
    assert weights_of(Tied(), (1, 6), real) == (36 * word, 2 * 36 * word)
    assert weights_of(Tied(clone=True), (1, 6), real) == (2 * 36 * word, 2 * 36 * word)
    assert weights_of(TwiceSigned(), (1, 6), DotArithmetic.XNOR) == (36, 2 * 36)


def test_a_shared_engine_has_a_table_for_every_function():
    class Functions(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(6, 6, bias=False), nn.Linear(6, 6, bias=False)

        def forward(self, x):
            return torch.tanh(self.b(torch.sigmoid(self.a(torch.tanh(x)))))

    graph = stage_graphs(Functions(), (InputSpec((1, 6)),), RewriteOptions()).stages[-1].graph
    shared = Shared(graph, CostTable.load("fpga-lut6"), width=WIDTH, fraction_bits=12)
    units = shared._units({DotArithmetic.REAL: Folding(1, 1)})
    assert [(u.count, u.width, u.depth) for u in units if u.op == "rom"] == [
        (1, WIDTH, 1024)
    ] * 2  # tanh, sigmoid
