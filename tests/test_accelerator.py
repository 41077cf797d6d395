"""Whole accelerators on small networks: every figure derived here from shapes, or from a search of its own."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abcost.accelerator.datapath import memories, parts
from abcost.accelerator.devices import FAMILIES, check_target, devices
from abcost.accelerator.engine import Engine, engines
from abcost.accelerator.external import energy_uj
from abcost.accelerator.folding import Folding, foldings, ladder, smallest
from abcost.accelerator.live import live_bits
from abcost.accelerator.memory import Memory, place
from abcost.accelerator.pipelined import LUTS_PER_DSP, Pipelined
from abcost.accelerator.result import RESOURCES
from abcost.accelerator.shared import Shared
from abcost.accelerator.solve import Wishes, organise
from abcost.accelerator.timing import fifos
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.node import OpNode
from abcost.cost import CostTable
from abcost.cost.memory import weight_bits
from abcost.errors import CostError, UsageError
from accelerators import Net, device, layers, organised, residual, table

WIDTH = 16


def engine_of(channels, taps, positions=1, arithmetic=DotArithmetic.XNOR):
    dot = OpNode("dot", OpKind.CONV, (1, channels, 1, positions), layer="dot")
    return Engine(dot, arithmetic, (), (), channels, taps, positions)


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
    fast, slow = (organised(residual(batch=n), fps=9e8) for n in (1, 4))
    assert slow.interval == 4 * fast.interval == 4 * 64


def test_grouped_convolution_sums_over_its_group_only():
    net = Net(1, 8, 4, 4)
    net.conv("conv", "x", 8, binary_weight=False, groups=8)
    graph = net.done()
    (engine,) = engines(graph, WIDTH)
    assert (engine.channels, engine.taps, engine.cycles(8, 9)) == (8, 9, 16)
    # 8 lanes read 8 groups: a word holds an element of each; 2 rows of 4 and 3 pixels, 8 channels, 16 bits
    (buffer,) = [m for m in memories(engine, Folding(8, 1), graph, WIDTH) if m.role == "line buffer"]
    assert (buffer.width, buffer.bits) == (8 * 16, (2 * 4 + 3) * 8 * 16)


def test_network_of_linear_layers_only():
    net = Net(1, 12)
    net.linear("first", "x", 6)
    net.linear("second", "first", 4)
    found = organised(net.done(), fps=1e6)
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
        organised(net.done(), fps=1)


# folding


@given(st.integers(1, 48), st.integers(1, 120), st.integers(1, 50), st.floats(1, 3e5))
def test_smallest_folding_is_that_of_all_divisor_pairs(channels, taps, positions, cycles):
    found = smallest(ladder(engine_of(channels, taps, positions)), cycles)
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


def test_foldings_beyond_the_table_are_left_out_and_an_engine_beyond_it_is_refused():
    def worth(folding):
        if folding.simd > 2:
            raise CostError("no figure at 3 or more bits")
        return folding.pe * folding.simd

    assert {f.simd for _, f in ladder(engine_of(4, 8), worth)} <= {1, 2}
    with pytest.raises(CostError, match="no figure at 3 or more"):
        ladder(engine_of(4, 8), lambda _: worth(Folding(1, 3)))


def test_sign_controlled_sums_are_as_wide_as_their_law_was_measured():
    assert max(f.simd for f in foldings(engine_of(2, 256, arithmetic=DotArithmetic.SIGNED_ADD))) == 64


# memories


def line_buffers(graph, pe=1, simd=1):
    return {
        e.name: sum(m.bits for m in memories(e, Folding(pe, simd), graph, WIDTH) if m.role == "line buffer")
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
    ((name, held),) = fifos(graph, WIDTH).items()
    # a 3x3 window with padding 1 waits for one row and one pixel, and takes one pixel's time itself
    assert (name, [(m.role, m.width, m.depth) for m in held]) == (
        "add",
        [("residual FIFO", 16, (8 + 1 + 1) * 8)],
    )


@pytest.mark.parametrize(
    ("width", "depth", "blocks"),
    [
        (1, 16384, 1), (1, 16385, 2), (36, 512, 1), (36, 513, 2), (37, 512, 2), (18, 1024, 1), (9, 2048, 1),
        (9, 2049, 2), (4, 4096, 1), (2, 8192, 1), (72, 512, 2), (12, 1536, 2), (3, 4096, 1),
    ],
)  # fmt: skip
def test_block_rams_by_the_shapes_that_finn_publishes(width, depth, blocks):
    assert Memory("weights", width, depth, 0).blocks(FAMILIES["7-series"].shapes) == blocks


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
    assert places([BUFFER, BLOCK], device(blocks=1)) == ["block", "external"]
    assert places([BUFFER, BUFFER], device(blocks=1)) == ["block", "block"]


def test_uram_comes_before_external_memory_and_takes_what_is_read_most():
    assert places([BLOCK, LARGE], device(blocks=0, uram=2)) == ["external", "uram"]  # 5120 words: 2 x 4096
    assert places([BLOCK, LARGE], device(blocks=0, uram=3)) == ["uram", "uram"]


def test_what_was_moved_out_in_vain_comes_back():
    """BLOCK has least traffic and goes first; that does not suffice, LARGE follows, and BLOCK fits again."""
    assert places([BLOCK, LARGE], device(blocks=9)) == ["block", "external"]


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
    part = device(luts=30_000, blocks=1)  # of 18432 bits: half of the weights
    found = organised(net.done(), device=part, fps=100)
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
    assert organised(net.done(), device=device(), fps=100).to_dict()["external_energy_uj"] is None


# timing


def test_latency_of_two_layers():
    net = Net(1, 2, 4, 4)
    net.conv("first", "x", 2, binary_weight=False)
    net.conv("second", "first", 2, 1, binary_weight=False)
    found = organised(net.done(), fps=1e4)
    first, second = (layers(found)[name].cycles for name in ("first", "second"))
    period = found.interval / 16
    # first: waits for a row and a pixel; both take their cycles per position; then 15 more pixels come out
    assert found.latency == pytest.approx((4 + 1) * period + first / 16 + second / 16 + 15 * period)


# sums and solving


def worth(found):
    used = found.resources
    return used["luts"] + LUTS_PER_DSP * used["dsps"] + 190 * used["blocks"]


def test_resources_are_the_sum_of_the_layers():
    found = organised(residual(), fps=1000, device=device())
    for name in RESOURCES:
        assert found.resources[name] == pytest.approx(sum(layer.resources[name] for layer in found.layers))
    assert found.resources["luts"] > 0
    assert found.resources["dsps"] > 0


def test_units_of_a_binary_engine_by_hand():
    (engine,) = [e for e in engines(residual(), WIDTH) if e.name == "last"]
    found = {}
    for unit in parts(engine, Folding(2, 4), width=WIDTH, fraction_bits=12):
        found.setdefault((unit.op, unit.width, unit.bits), 0)
        found[unit.op, unit.width, unit.bits] += unit.count
    assert found == {
        ("xnor_popcount", 1, 4): 2,
        ("register", 3, None): 2,  # 0..4
        ("accumulate", 4, None): 2,  # 0..8
        ("add", 5, None): 2,  # 2p - 8
        ("register", 5, None): 2,
        ("register", 1, None): 1,  # the first input fold, as late as the popcount
        ("accumulate", 6, None): 1,  # 64 positions
        ("accumulate", 2, None): 2,  # 4 output folds; 2 input folds in a counter of at least 2 bits
    }


@given(st.floats(1, 2e6))
@settings(max_examples=30)
def test_wanted_rate_is_reached_by_the_least_worth(fps):
    graph = residual(4, 4)
    found = organised(graph, fps=fps)
    if not found.fits:
        assert found.interval == max(
            min(e.cycles(f.pe, f.simd) for f in foldings(e)) for e in engines(graph, WIDTH)
        )
        assert found.interval > 100e6 / fps
        return
    assert found.fps >= fps * (1 - 1e-9)
    architecture = Pipelined(graph, table(), width=WIDTH, fraction_bits=12)
    for engine in architecture.engines:
        mine = layers(found)[engine.name]
        enough = [f for f in foldings(engine) if engine.cycles(f.pe, f.simd) <= 100e6 / fps]
        values = {f: architecture.worth(engine, f) for f in enough}
        assert values[Folding(mine.pe, mine.simd)] == min(values.values())


@given(st.integers(300, 6000), st.integers(1, 60), st.integers(0, 6))
@settings(max_examples=25)
def test_most_that_fits_is_the_fastest_of_all_intervals(luts, dsps, blocks):
    part = device(luts=luts, dsps=dsps, blocks=blocks)
    graph = residual(4, 4)
    found = organised(graph, device=part)
    architecture = Pipelined(graph, table(), width=WIDTH, fraction_bits=12)
    slowest = max(e.cycles(1, 1) for e in architecture.engines)
    tried = sorted({e.cycles(f.pe, f.simd) for e in architecture.engines for f in foldings(e)})
    assert tried[-1] == slowest
    fitting = [
        made.interval
        for made in (architecture.build(i, device=part, clock_mhz=100) for i in tried)
        if not made.over
    ]
    if fitting:
        assert found.interval == min(fitting)
        assert found.limit.startswith(f"at most {found.fps:.6g} frames per second")
    else:
        assert found.over
        assert found.limit.startswith("nothing fits: even the smallest folding exceeds the device: ")


def test_limit_names_what_is_exceeded_and_where():
    found = organised(residual(), device=device(dsps=10), fps=1e6)
    assert not found.fits
    (dsps,) = [v for name, v in found.resources.items() if name == "dsps"]
    assert dsps <= 10
    assert "at most " in found.refusal
    assert "of 10 DSP slices" in found.refusal
    assert "in stem)" in found.refusal


def test_without_a_device_only_the_unrolled_network_is_a_limit():
    found = organised(residual(), fps=9e8)
    assert found.limit == (
        f"at most {100e6 / 64:.6g} frames per second at 100 MHz: fully unrolled, stem needs 64 cycles"
    )


def test_unknown_figures_are_neither_fit_nor_zero():
    found = organised(residual(), device=device(), fps=10, without=("accumulate", "xnor_popcount"))
    assert (found.fits, found.resources["luts"], found.utilisation["luts"]) == (False, None, None)
    assert found.refusal == (
        "whether it fits is unknown: the table lacks LUTs, flip-flops or DSPs of accumulate, xnor_popcount"
    )
    assert found.to_dict()["missing"] == [
        f"{unit} {name}" for unit in ("accumulate", "xnor_popcount") for name in ("dsps", "ffs", "luts")
    ]
    assert (
        organised(residual(), device=device(), without=("accumulate", "xnor_popcount")).refusal
        == found.refusal
    )


def test_utilisation_of_what_a_device_lacks_is_unknown():
    found = organised(residual(), device=device(uram=0), fps=10)
    assert found.utilisation["uram"] is None
    assert found.utilisation["luts"] == found.resources["luts"] / 10**6


@given(st.lists(st.floats(1, 1.5e6), min_size=2, max_size=6))
@settings(max_examples=20)
def test_raising_the_rate_never_makes_it_cheaper(rates):
    made = [organised(residual(6, 4), fps=rate) for rate in sorted(rates)]
    for slow, fast in pairwise(made):
        assert worth(fast) >= worth(slow)
        assert fast.resources["luts"] >= slow.resources["luts"]
        assert fast.fps >= slow.fps


@given(
    *(
        st.tuples(st.integers(200, 5000), st.integers(1, 60), st.integers(0, 6), st.integers(0, 2))
        for _ in "ab"
    )
)
@settings(max_examples=30)
@pytest.mark.parametrize("kind", ["pipelined", "shared"])
def test_a_bigger_device_never_gives_less(kind, small, more):
    names = ("luts", "dsps", "blocks", "uram")
    graph = residual(4, 4)
    little = organised(graph, device=device(**dict(zip(names, small, strict=True))), kind=kind)
    total = [a + b for a, b in zip(small, more, strict=True)]
    large = organised(graph, device=device(**dict(zip(names, total, strict=True))), kind=kind)
    if not little.over:
        assert not large.over
        assert large.fps >= little.fps


def test_without_a_wanted_rate_the_refusal_is_what_limits():
    found = organised(residual(), device=device(luts=1))
    assert not found.fits
    assert found.refusal == found.limit
    assert found.limit.startswith("nothing fits: even the smallest folding exceeds the device: ")


# exponent sets


def chain_of(exponents):
    net = Net(1, 8, 4, 4)
    net.conv("conv", "x", 8, 1, binary_weight=False)
    net.shift_prelu("prelu", "conv", exponents)
    return net.done()


SETS = [
    (-1,),
    (-1, -2),
    (-1, -2, -3),
    (-1, -2, -4),
    (-1, -2, -4, -8),
    (-1, -2, -4, -8, 1),
    (-1, -2, -4, -8, 3),
]


@pytest.mark.parametrize("kind", ["pipelined", "shared"])
def test_more_exponents_and_wider_spans_cost_more(kind):
    luts = [organised(chain_of(chosen), fps=1000, kind=kind).resources["luts"] for chosen in SETS]
    assert luts == sorted(set(luts))


def test_exponents_decide_multiplexer_rom_and_left_shift():
    def prelu(exponents):
        (engine,) = engines(chain_of(exponents), WIDTH)
        units = parts(engine, Folding(1, 1), width=WIDTH, fraction_bits=12)
        (unit,) = [u for u in units if u.op == "qprelu"]
        return unit, [u for u in units if u.op == "rom"]

    unit, roms = prelu((-3,))
    assert (unit.choices, unit.span, unit.left, roms) == (2, 3, 0, [])  # one exponent needs no code
    unit, roms = prelu((-1, -3))
    assert (unit.choices, unit.span, unit.left) == (3, 3, 0)
    assert [(rom.width, rom.depth, rom.count) for rom in roms] == [(1, 8, 1)]  # one of two codes, 8 channels
    unit, roms = prelu((-1, 2))
    assert (unit.choices, unit.span, unit.left, unit.width) == (3, 3, 2, 16)  # a left shift by two


# shared


def test_shared_time_is_the_sum_over_layers_and_takes_less():
    net = Net(1, 3, 8, 8)
    last = net.conv("stem", "x", 16, binary_weight=False)
    for name in "abcdefgh":
        last = net.conv(name, net.sign(f"sign_{name}", last), 16)
    graph = net.done()
    shared = organised(graph, fps=50, kind="shared")
    pipelined = organised(graph, fps=50)
    engine, *each = shared.layers
    assert shared.interval == sum(layer.cycles for layer in each) == shared.latency
    assert shared.fps >= 50
    for e in engines(graph, WIDTH):
        mine = layers(shared)[e.name]
        folds = math.ceil(e.channels / mine.pe) * math.ceil(e.taps / mine.simd)
        assert mine.cycles == e.positions * folds
    assert engine.resources == {name: shared.resources[name] for name in RESOURCES}
    for name in ("luts", "ffs"):  # nine engines against two
        assert shared.resources[name] < pipelined.resources[name]
    assert shared.resources["dsps"] == pipelined.resources["dsps"] == 1  # of the stem


def test_shared_engine_selects_among_the_exponents_of_all_layers():
    net = Net(1, 4, 4, 4)
    net.conv("one", "x", 4, 1, binary_weight=False)
    net.shift_prelu("first", "one", (-1,))
    net.conv("two", "first", 4, 1, binary_weight=False)
    net.shift_prelu("second", "two", (-3,))
    architecture = Shared(net.done(), table(), width=WIDTH, fraction_bits=12)
    (unit,) = [u for u in architecture._units(architecture._growth[0]) if u.op == "qprelu"]
    assert (unit.exponents, unit.choices, unit.span) == (2, 3, 3)  # -1, -3 and the 0 of the positive branch


def test_activations_of_a_residual_block_are_kept_together():
    graph = residual(channels=8, size=8)
    # while the stem runs: the input, its result for the addition, and the signs of it
    assert live_bits(graph, WIDTH) == 3 * 64 * 16 + 8 * 64 * 16 + 8 * 64
    net = Net(1, 1, 8, 8)
    net.conv("stem", "x", 8, binary_weight=False)
    net.sign("sign", "stem")
    net.conv("conv", "sign", 8)
    net.conv("wide", "conv", 8, binary_weight=False)
    net.add("add", OpKind.ADD, net.shapes["stem"], ["wide", "stem"])
    # while `wide` runs: the stem's result is still kept, with 8 bits (2 * 72 - 72 and a sign) of `conv`, and the sum
    assert live_bits(net.done(), WIDTH) == 8 * 64 * (16 + 8 + 16)


def test_shared_weights_are_padded_to_the_array():
    graph = residual(channels=8, size=8)
    architecture = Shared(graph, table(), width=WIDTH, fraction_bits=12)
    for chosen in architecture._growth:
        binary = chosen[DotArithmetic.XNOR]
        stored = [m for m in architecture._memories(chosen) if m.role == "weights"]
        assert stored[1].width == binary.pe * binary.simd
        folds = [math.ceil(8 / binary.pe) * math.ceil(taps / binary.simd) for taps in (72, 8)]
        assert stored[1].depth == sum(folds)
        assert stored[1].bits >= sum(weight_bits(graph.node(name), WIDTH) for name in ("conv", "last"))


# wishes


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        ({}, "an accelerator needs --device, --fps, or both"),
        ({"fps": 0}, r"--fps must be above 0 and below 1e9, got 0$"),
        ({"fps": float("nan")}, "--fps must be above 0 and below 1e9, got nan"),
        ({"fps": 1, "clock_mhz": 0}, r"--clock-mhz must be above 0 and at most 10000, got 0$"),
        ({"fps": 1, "kind": "systolic"}, "--organisation 'systolic' is unknown; choose pipelined or shared"),
    ],
)
def test_wishes_that_make_no_sense(wishes, reason):
    with pytest.raises(UsageError, match=reason):
        Wishes(**wishes)


def test_tables_and_devices_of_different_families_are_refused():
    ice, zynq = devices()["iCE40UP5K"], devices()["xc7z020"]
    check_target(ice, "fpga-ice40", "fpga")
    check_target(zynq, "my-own-table", "fpga")
    with pytest.raises(
        UsageError, match="--device iCE40UP5K is iCE40, whose target is fpga-ice40, not fpga-lut6"
    ):
        check_target(ice, "fpga-lut6", "fpga")
    with pytest.raises(UsageError, match="target asic-7nm is not one; use --target fpga-ice40"):
        check_target(ice, "asic-7nm", "asic")
    with pytest.raises(UsageError, match="target asic-7nm is not one; use --target fpga-lut6"):
        check_target(None, "asic-7nm", "asic")


def test_ice40_part_with_a_table_of_its_own():
    found = organise(
        residual(4, 4), table(), width=WIDTH, fraction_bits=12, wishes=Wishes(devices()["iCE40UP5K"], fps=30)
    )
    data = found.to_dict()
    assert (found.fits, data["memory_block"]) == (True, "EBR 4k")
    assert data["resources"]["bram36"] is None
    assert data["utilisation"]["bram36"] is None
    assert data["resources"]["blocks"] >= 3  # its LUTs are no RAM: two line buffers and a FIFO
