"""Engines, foldings, memories and times of a layer pipeline."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abcost.accelerator.devices import FAMILIES
from abcost.accelerator.engine import Engine, engines
from abcost.accelerator.engine_memory import memories
from abcost.accelerator.external import energy_uj
from abcost.accelerator.folding import Folding, foldings, products, smallest, worth_less
from abcost.accelerator.fronts import Fronts
from abcost.accelerator.hardware import hardware_of
from abcost.accelerator.memory import Memory
from abcost.accelerator.pipelined import Pipelined
from abcost.accelerator.placing import place
from abcost.accelerator.timing import held_elements
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.node import OpNode
from abcost.cost import CostTable
from abcost.errors import CostError, UsageError
from abcost.models.subject import Request, resolve
from abcost.pipeline import stage_graphs
from abcost.rewrite import RewriteOptions
from accelerators import NUMBER, WIDTH, Net, accelerator, device, layers, residual, table


def engine_of(channels, taps, positions=1, arithmetic=DotArithmetic.XNOR):
    dot = OpNode("dot", OpKind.CONV, (1, channels, 1, positions), layer="dot")
    return Engine(dot, arithmetic, (), (), channels, taps, positions, (1, 1))


# engines


def test_every_counted_node_is_in_exactly_one_engine():
    graph = residual(channels=8, size=8)
    found = engines(graph, WIDTH)
    grouped = [node.name for e in found for node in (e.dot, *(work.node for work in e.chain))]
    assert sorted(grouped) == ["add", "conv", "last", "sign", "sign2", "stem"]
    assert [[work.node.name for work in e.chain] for e in found] == [["sign"], ["add", "sign2"], []]
    assert [(e.channels, e.taps, e.positions) for e in found] == [
        (8, 3 * 3 * 3, 8 * 8),
        (8, 3 * 3 * 8, 8 * 8),
        (8, 8, 8 * 8),
    ]
    assert [e.arithmetic for e in found] == [DotArithmetic.REAL, DotArithmetic.XNOR, DotArithmetic.XNOR]


def test_a_node_before_the_first_dot_product_belongs_to_the_first_engine():
    net = Net(1, 4, 4, 4)
    net.sign("sign", "x")
    net.conv("conv", "sign", 4)
    (engine,) = engines(net.done(), WIDTH)
    assert [work.node.name for work in engine.chain] == ["sign"]


def test_a_batch_is_one_inference():
    one, four = (engines(residual(batch=n), WIDTH) for n in (1, 4))
    assert [e.positions for e in four] == [4 * e.positions for e in one]
    fast, slow = (accelerator(residual(batch=n), fps=9e8) for n in (1, 4))
    assert slow.interval == 4 * fast.interval == 4 * 64


def test_grouped_convolution_sums_over_its_group_only():
    net = Net(1, 8, 4, 4)
    net.conv("conv", "x", 8, binary_weight=False, groups=8)
    graph = net.done()
    (engine,) = engines(graph, WIDTH)
    assert (engine.channels, engine.taps, engine.cycles(8, 9)) == (8, 9, 16)
    # 8 lanes read 8 groups: a word holds an element of each; 2 rows of 4 and 3 pixels, 8 channels, 16 bits
    (buffer,) = [m for m in memories(engine, Folding(8, 1), graph, NUMBER) if m.role == "line buffer"]
    assert (buffer.width, buffer.bits) == (8 * 16, (2 * 4 + 3) * 8 * 16)


def test_network_of_linear_layers_only():
    net = Net(1, 12)
    net.linear("first", "x", 6)
    net.linear("second", "first", 4)
    found = accelerator(net.done(), fps=1e6)
    assert {name: layer.cycles * layer.pe * layer.simd for name, layer in layers(found).items()} == {
        "first": 12 * 6,
        "second": 6 * 4,
    }
    assert found.interval <= 100


def test_network_without_a_dot_product_is_refused():
    net = Net(1, 4, 4, 4)
    net.sign("sign", "x")
    with pytest.raises(
        UsageError, match="no convolution or linear layer to fold; leave --device and --fps out"
    ):
        accelerator(net.done(), fps=1)


# folding


@given(st.integers(1, 48), st.integers(1, 120), st.integers(1, 50), st.floats(1, 3e5))
def test_smallest_folding_is_that_of_all_divisor_pairs(channels, taps, positions, cycles):
    engine = engine_of(channels, taps, positions)
    every = foldings(engine)
    needed = np.array([engine.cycles(f.pe, f.simd) for f in every])
    found = smallest(worth_less(every, needed, np.array([float(products(f)) for f in every])), cycles)
    pairs = [
        (pe * simd, -simd, pe)
        for pe in range(1, channels + 1)
        for simd in range(1, taps + 1)
        if channels % pe == 0 and taps % simd == 0
        if positions * (channels // pe) * (taps // simd) <= cycles
    ]
    expected = min(pairs, default=None)
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert (found.pe * found.simd, -found.simd, found.pe) == expected


def anew(prices):
    """The table without what it remembers."""
    return replace(prices, _prices={}, remembered={}, _narrowest={})


def test_foldings_beyond_the_table_are_left_out_and_an_engine_beyond_it_is_refused(monkeypatch):
    priced, widest = Fronts.of, 2

    def front(self, engine, folding):
        if folding.simd > widest:
            raise CostError("no figure at 3 or more bits")
        return priced(self, engine, folding)

    monkeypatch.setattr(Fronts, "of", front)
    architecture = Pipelined(residual(4, 4), anew(table()), width=16, fraction_bits=12)
    for number, engine in enumerate(architecture.engines):
        assert {f.simd for _, f in architecture.rungs(number, engine)} <= {1, 2}
    widest = 0
    with pytest.raises(CostError, match="no figure at 3 or more"):
        Pipelined(residual(4, 4), anew(table()), width=16, fraction_bits=12)


@pytest.mark.parametrize("target", ["fpga-lut6", "asic-sg13g2"])
def test_engines_of_one_shape_are_offered_what_each_is_offered_alone(target, monkeypatch):
    """All stages of a network, one after another with one table, next to each with a table and fronts of its own."""
    subject = resolve(Request("reactnet_18", preset="digits", base_width=4, blocks=(2, 1), variant="bn"))
    graphs = [stage.graph for stage in stage_graphs(subject.model, subject.inputs, RewriteOptions()).stages]

    def ladders(graph, prices):
        hardware = hardware_of(prices, None, 100.0)
        made = Pipelined(graph, prices, width=16, fraction_bits=12, hardware=hardware)
        return [made.rungs(number, engine) for number, engine in enumerate(made.engines)]

    shared = CostTable.load(target)
    together = [ladders(graph, shared) for graph in graphs]
    known = next(found for key, found in shared.remembered.items() if key[0] == "fronts")
    assert len(known.offers) < sum(map(len, together)) / 2
    monkeypatch.setattr(Fronts, "_shape", lambda self, engine: (id(self), engine.dot.name))
    assert together == [ladders(graph, CostTable.load(target)) for graph in graphs]


def test_sign_controlled_sums_are_as_wide_as_their_law_was_measured():
    assert max(f.simd for f in foldings(engine_of(2, 256, arithmetic=DotArithmetic.SIGNED_ADD))) == 64


# memories


def line_buffers(graph, pe=1, simd=1):
    return {
        e.name: sum(m.bits for m in memories(e, Folding(pe, simd), graph, NUMBER) if m.role == "line buffer")
        for e in engines(graph, WIDTH)
    }


def test_line_buffers_hold_rows_and_pixels_of_all_channels():
    assert line_buffers(residual(channels=8, size=8)) == {
        "stem": (2 * 8 + 3) * 3 * 16,
        "conv": (2 * 8 + 3) * 8 * 1,  # binary activations
        "last": 0,  # 1x1
    }


def test_line_buffer_of_a_dilated_convolution_spans_the_gaps():
    net = Net(1, 3, 9, 9)
    weight = residual(channels=2).node("stem").consts["weight"]
    attrs = {
        "stride": [1, 1],
        "padding": [2, 2],
        "dilation": [2, 2],
        "taps": 27,
        "macs": 27 * 162,
        "groups": 1,
    }
    net.add("conv", OpKind.CONV, (1, 2, 9, 9), ["x"], attrs, weight=weight)
    # span (3 - 1) * 2 + 1 = 5: four rows of 9 and 5 pixels
    assert line_buffers(net.done())["conv"] == (4 * 9 + 5) * 3 * 16


def test_separate_pools_keep_a_partial_result_per_window_of_a_row():
    net = Net(1, 4, 8, 8)
    net.conv("conv", "x", 4, 1, binary_weight=False)
    pool = {"kernel": [2, 2], "stride": [2, 2], "padding": [0, 0], "taps": 4, "ceil_mode": False}
    net.add("pool", OpKind.SUM_POOL, (1, 4, 4, 4), ["conv"], pool)
    net.add("mean", OpKind.AVG_POOL, (1, 4), ["pool"], {"axes": [2, 3], "taps": 16, "keepdim": False})
    # 2x2: 8 / 2 windows side by side; the mean of all: one
    assert line_buffers(net.done()) == {"conv": (8 // 2 + 1) * 4 * 16}


def test_fifo_holds_the_short_branch_while_the_long_one_fills():
    graph = residual(channels=8, size=8)
    ((name, held),) = held_elements(graph).items()
    # a 3x3 window with padding 1 waits for one row and one pixel, and takes one pixel's time itself
    assert (name, [*held.values()]) == ("add", [(8 + 1 + 1) * 8])


@pytest.mark.parametrize(
    ("width", "depth", "blocks"),
    [
        (1, 16384, 1), (1, 16385, 2), (36, 512, 1), (36, 513, 2), (37, 512, 2), (18, 1024, 1), (9, 2048, 1),
        (9, 2049, 2), (4, 4096, 1), (2, 8192, 1), (72, 512, 2), (12, 1536, 2), (3, 4096, 1),
    ],
)  # fmt: skip
def test_block_rams_by_the_shapes_that_finn_publishes(width, depth, blocks):
    assert Memory("weights", width, depth, 0).blocks(FAMILIES["7-series"]) == blocks


def test_blocks_of_a_family_whose_rows_stand_side_by_side():
    """4,608 words of 128 bits are 512 of 1,152: 32 blocks of 36 bits, where nine rows of four would be 36."""
    weights = Memory("weights", 128, 4608, 0)
    assert weights.blocks(FAMILIES["ECP5"]) == 32
    assert weights.blocks(FAMILIES["7-series"]) == 36
    assert weights.deep(FAMILIES["ECP5"]) == 9


@pytest.mark.parametrize("depth", [2, 3, 5, 8])
def test_columns_of_few_words_are_those_of_random_ones(depth):
    """Drawn 200 times: columns that are neither constant nor alike, of which each takes one LUT4 on ECP5."""
    drawn, width, seen = random.Random(0), 100, []
    for _ in range(200):
        columns = {drawn.getrandbits(depth) for _ in range(width)}
        seen.append(len(columns - {0, 2**depth - 1}))
    weights = Memory("weights", width, depth, 0, place="lutram", registered=True)
    assert weights.columns == pytest.approx(sum(seen) / len(seen), abs=1)
    assert weights.luts(FAMILIES["ECP5"]) == weights.columns
    assert weights.ffs == 2 * weights.columns - width  # two registers, of which the engine counts one in full


def test_what_is_written_shares_no_columns():
    assert Memory("line buffer", 100, 2, 0).columns == 100


def test_lut_memory_is_64_words_per_lut():
    assert [Memory("weights", 5, depth, 0).luts(FAMILIES["7-series"]) for depth in (1, 64, 65)] == [5, 5, 10]


def places(asked, found=None, luts=0.0):
    return [m.place for m in place(asked, found, luts)]


SMALL = Memory("weights", 8, 64, 64)  # 8 LUTs
BLOCK = Memory("weights", 36, 512, 512)  # 288 LUTs or one block
LARGE = Memory("weights", 36, 5120, 5120 * 100)  # ten blocks, ten times the traffic of BLOCK in each
BUFFER = Memory("line buffer", 36, 512, 0)


def test_small_memories_are_luts_and_large_ones_blocks():
    assert places([SMALL, BLOCK, LARGE]) == ["lutram", "block", "block"]


def test_weights_that_exceed_the_blocks_leave_the_chip_and_others_stay():
    assert places([BUFFER, BLOCK], device(blocks=1, bandwidth=1)) == ["block", "external"]
    assert places([BUFFER, BUFFER], device(blocks=1)) == ["block", "block"]


def test_uram_comes_before_external_memory_and_takes_what_is_read_most():
    assert places([BLOCK, LARGE], device(blocks=0, uram=2, bandwidth=1)) == [
        "external",
        "uram",
    ]  # 5120 words: 2 x 4096
    assert places([BLOCK, LARGE], device(blocks=0, uram=3, bandwidth=1)) == ["uram", "uram"]


def test_what_was_moved_out_in_vain_comes_back():
    """BLOCK has least traffic and goes first; that does not suffice, LARGE follows, and BLOCK fits again."""
    assert places([BLOCK, LARGE], device(blocks=9, bandwidth=1)) == ["block", "external"]


def test_luts_run_out_before_blocks():
    wide = Memory("line buffer", 36, 320, 0)  # 5 * 36 = 180 LUTs, or one block
    assert places([wide]) == ["lutram"]
    assert places([wide], device(luts=200), luts=50) == ["block"]
    assert places([wide], device(luts=200, blocks=0), luts=50) == ["lutram"]


def test_ice40_luts_hold_constants_only():
    assert places([Memory("line buffer", 1, 4, 0), Memory("weights", 1, 4, 0)], device(family="iCE40")) == [
        "block",
        "lutram",
    ]


def test_traffic_from_outside_is_every_word_read_and_its_energy_that_of_dram():
    net = Net(1, 64, 4, 4)
    net.sign("sign", "x")
    net.conv("conv", "sign", 64)
    part = device(luts=30_000, blocks=1, bandwidth=1)  # of 18432 bits: half of the weights
    found = accelerator(net.done(), device=part, fps=100)
    weights = 64 * 64 * 9
    assert layers(found)["conv"].weights == "external"
    assert found.external_bits == weights * 16  # again for each of 4x4 positions
    assert found.external_energy_uj == energy_uj(weights * 16)
    low, high = energy_uj(64 * 10**6)
    dram = CostTable.load("asic-45nm").memory.levels["dram"]
    assert (low, high) == (dram.low_pj, dram.high_pj)  # 1e6 accesses of 64 bits, pJ -> uJ
    assert (low, high) == pytest.approx((1300, 2600), rel=0.02)  # Horowitz 2014: 1.3 to 2.6 nJ
    data = found.to_dict()["external_energy_uj"]
    assert (data["low"], data["high"]) == found.external_energy_uj
    assert "Horowitz" in data["source"]
    assert data["confidence"] == "verified"
    assert accelerator(net.done(), device=device(), fps=100).to_dict()["external_energy_uj"] is None


# timing


def test_latency_of_two_layers():
    net = Net(1, 2, 4, 4)
    net.conv("first", "x", 2, binary_weight=False)
    net.conv("second", "first", 2, 1, binary_weight=False)
    found = accelerator(net.done(), fps=1e4)
    first, second = (layers(found)[name].cycles for name in ("first", "second"))
    period = found.interval / 16
    # registers of each engine: of the weight memory, behind it, of the product, the accumulator, and one in front of
    # post-processing, which has to know one clock before that a value comes
    stages = 2 * 5
    # first: waits for a row and a pixel; both take their cycles per position; then 15 more pixels come out
    assert found.latency == pytest.approx((4 + 1) * period + first / 16 + second / 16 + 15 * period + stages)


@pytest.mark.parametrize(
    ("family", "width", "depth", "luts"),
    [  # as Yosys 0.70 maps a memory with a registered read
        ("ECP5", 36, 2048, 0), ("ECP5", 36, 4096, 36), ("ECP5", 36, 8192, 108), ("ECP5", 9, 16384, 54),
        ("ECP5", 18, 32768, 234), ("ECP5", 9, 131072, 477), ("iCE40", 36, 8192, 108), ("iCE40", 9, 65536, 243),
        ("7-series", 36, 4096, 0), ("7-series", 36, 8192, 36), ("7-series", 9, 16384, 9), ("7-series", 9, 65536, 50),
    ],
)  # fmt: skip
def test_rows_of_blocks_are_selected_by_luts(family, width, depth, luts):
    assert Memory("weights", width, depth, 0).select_luts(FAMILIES[family]) == pytest.approx(luts, rel=0.11)
