"""Binary layers that are unrolled whole, as graphs of adders: priced next to popcounts, and the smaller is built."""

from __future__ import annotations

import json

import pytest

import abcost
from abcost.accelerator.design.buffer_units import _in_words
from abcost.accelerator.design.designer import Designer
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.engine import engines
from abcost.accelerator.folding import Folding, foldings, whole
from abcost.accelerator.own_folding import Given, OwnFolding
from abcost.accelerator.solve import AcceleratorGoal
from abcost.accelerator.unrolled import organise_unrolled
from abcost.core.adders.of_node import graph_of, in_adders
from abcost.core.adders.widths import adders_by_bits
from abcost.cost import CostTable
from abcost.cost.organisation import Unit
from abcost.errors import UsageError
from engine_graphs import FRACTION_BITS, WIDTH, Made

SMALL = {"preset": "digits", "base_width": 8, "blocks": (1, 1)}


def binary_layer(padding):
    """A layer of 6 channels over 4 in windows of 3 x 3, behind signs."""
    made = Made(0, (1, 2, 5, 5))
    made.stem(4)
    made.sign()
    made.conv(6, 3, binary=True, padding=padding)
    return made.network()


def accelerator(net, target, pe=6, simd=36):
    goal = AcceleratorGoal(fps=1.0, folding=OwnFolding("here", (Given("dot", Folding(pe, simd)),)))
    table = CostTable.load(target)
    return table, organise_unrolled(net.graph, table, width=WIDTH, fraction_bits=FRACTION_BITS, goal=goal)


def test_a_padded_layer_is_smaller_as_a_graph_and_built_so():
    net = binary_layer(padding=1)
    table, (graph, found, (layer,)) = accelerator(net, "fpga-ecp5")
    node = graph.node("dot")
    assert (layer.layer, layer.inputs, layer.outputs, layer.smaller) == ("dot", 36, 6, "graph")
    assert in_adders(node)
    assert not in_adders(net.graph.node("dot"))  # only what is built differs
    # inputs of -1, 0 and 1; each adder as the table says for one of its width
    by_bits = adders_by_bits(graph_of(node), -1, 1)
    luts = sum(n * (table.price("add", width=max(2, bits)).cost.luts or 0) for bits, n in by_bits.items())
    assert layer.adders == sum(by_bits.values()) == len(graph_of(node).adds)
    assert layer.graph_luts == pytest.approx(luts)
    (built,) = [one for one in found.layers if one.name == "dot"]
    assert (built.pe, built.simd) == (6, 36)
    assert not any("popcount" in unit.op for unit in built.units)
    assert sum(unit.count for unit in built.units if unit.op == "add") >= layer.adders


def test_without_a_figure_of_constant_popcounts_the_smaller_is_unknown():
    _, (graph, _, (layer,)) = accelerator(binary_layer(padding=0), "fpga-lut6")
    assert (layer.smaller, layer.why) == (None, "the table has no figure of constant_popcount")
    assert not in_adders(graph.node("dot"))
    assert layer.to_dict()["smaller"] is None


def test_a_layer_that_is_folded_is_none_of_it():
    net = binary_layer(padding=1)
    _, (graph, _, layers) = accelerator(net, "fpga-ecp5", pe=3)
    assert layers == ()
    assert graph is net.graph


def test_a_graph_of_adders_has_one_folding():
    _, (graph, _, _) = accelerator(binary_layer(padding=1), "fpga-ecp5")
    (engine,) = [e for e in engines(graph, WIDTH) if e.name == "dot"]
    assert foldings(engine) == [Folding(6, 36)] == [whole(engine)]
    assert engine.cycles(6, 36) == 5 * 5
    reason = "dot is a graph of adders, which is built whole: PE 6, SIMD 36, or leave it out"
    with pytest.raises(UsageError, match=reason):
        OwnFolding("here", (Given("dot", Folding(3, 36)),)).of([engine])
    designer = Designer(graph, NumberFormat(WIDTH, FRACTION_BITS))
    ops = {part.op for part in designer.design(engine, whole(engine)).sums.parts}
    assert {"shift_add", "gate", "plus_minus", "gather"} <= ops
    assert "xnor_popcount" not in ops


def test_only_the_option_changes_what_is_built(tmp_path):
    file = tmp_path / "folding.json"
    file.write_text(json.dumps({"schema": 1, "layers": {"layer1.0.conv1": {"pe": 8, "simd": 72}}}))
    design = {"target": "fpga-ecp5", "device": "lfe5u-85f", "folding": file, **SMALL}
    plain, graph = (
        abcost.analyze("reactnet_18", constant_multiply=how, **design).to_dict()["stages"][-1]
        for how in ("csd", "graph")
    )
    before, after = (
        next(layer for layer in stage["organisation"]["layers"] if layer["name"] == "layer1.0.conv1")
        for stage in (plain, graph)
    )
    assert plain["unrolled_binary"] == []
    (layer,) = graph["unrolled_binary"]
    assert (layer["layer"], layer["smaller"], layer["why"]) == ("layer1.0.conv1", "graph", "")
    assert layer["graph"]["luts"] < layer["popcounts"]["luts"]
    assert after["luts"] < before["luts"]
    assert (after["cycles"], after["pe"], after["simd"]) == (before["cycles"], before["pe"], before["simd"])
    energy = layer["graph"]["energy_uj"]
    assert 0 < energy["low"] <= energy["value"] <= energy["high"]


def test_registers_in_front_of_wide_engines_are_priced_in_words():
    # 150 bits are two words of 64 and one of 22, each as often as the whole
    wide = Unit("register", 2, 150, lone=1)
    assert list(_in_words([wide, Unit("mux", 3, 64)])) == [
        Unit("register", 4, 64, lone=1), Unit("register", 2, 22, lone=1), Unit("mux", 3, 64)
    ]  # fmt: skip
