"""Solving for frames per second and a device; exponent sets; the shared engine."""

from __future__ import annotations

import functools
import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from abcost.accelerator.design.designer import Designer
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.devices import devices
from abcost.accelerator.engine import engines
from abcost.accelerator.folding import Folding, foldings
from abcost.accelerator.hardware import Fpga
from abcost.accelerator.live import peak_activation_bits
from abcost.accelerator.parts import check_target
from abcost.accelerator.pipelined import Pipelined
from abcost.accelerator.result import RESOURCES
from abcost.accelerator.shared import Shared
from abcost.accelerator.solve import AcceleratorGoal, organise
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.cost.memory import weight_bits
from abcost.errors import UsageError
from accelerators import WIDTH, Net, accelerator, device, layers, residual, table, worth


def test_resources_are_the_sum_of_the_layers():
    found = accelerator(residual(), fps=1000, device=device())
    for name in RESOURCES:
        assert found.resources[name] == pytest.approx(sum(layer.resources[name] for layer in found.layers))
    assert found.resources["luts"] > 0
    assert found.resources["dsps"] > 0


def units_of_engine(graph, name, folding):
    (engine,) = [e for e in engines(graph, WIDTH) if e.name == name]
    return Designer(graph, NumberFormat(WIDTH, 12)).units(engine, folding)


def test_units_of_a_binary_engine_by_hand():
    """8 taps and 8 channels over 8 x 8 pixels, 2 lanes of 4 taps: 2 steps, so one lane behind the sums; 4 folds."""
    found = {}
    for unit in units_of_engine(residual(), "last", Folding(2, 4)):
        found.setdefault((unit.op, unit.width, unit.bits), 0)
        found[unit.op, unit.width, unit.bits] += unit.count
    assert found == {
        ("xnor_popcount", 1, 4): 2,
        ("register", 3, None): 2,  # 0..4
        ("accumulate", 4, None): 2,  # 0..8
        ("mux", 4, None): 1,  # one sum after the other: both are loaded, one is shifted
        ("register", 4, None): 2,
        ("add", 5, None): 1,  # 2p - 8
        ("register", 5, None): 1,
        ("counter", 2, None): 1 + 1,  # 2 steps, the turn of 2 sums: counters of at least 2 bits
        ("counter", 3, None): 1,  # 8 words of weights
        # one bit: a word of 2 x 4 weights, behind the memory's own register, and 4 activations as late as that (2
        # edges); first and valid to the accumulator (3 each), the last step to the sums (4), behind 2p - 8 (1), and
        # that a value comes, up to the value (1)
        ("register", 1, None): 8 + 2 * 4 + 3 + 3 + 4 + 1 + 1,
    }


@given(st.floats(1, 2e6))
@settings(max_examples=30)
def test_wanted_rate_is_reached_by_the_least_worth(fps):
    graph = residual(4, 4)
    found = accelerator(graph, fps=fps)
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
        worth = functools.partial(architecture.worth, engine)
        values = {f: worth(f) for f in enough}
        assert values[Folding(mine.pe, mine.simd)] == min(values.values())


def scanned(engine, worth):
    """Cycles and folding of those worth less than every faster one: all foldings in order, one by one."""
    offers = sorted(
        ((engine.cycles(f.pe, f.simd), worth(f), -f.simd, f.pe) for f in foldings(engine)), key=tuple
    )
    found, least = [], math.inf
    for cycles, value, simd, pe in offers:
        if value < least:
            least = value
            found.append((cycles, Folding(pe, -simd)))
    return found


def test_rungs_are_those_of_a_scan_of_all_foldings():
    architecture = Pipelined(residual(8, 4), table(), width=WIDTH, fraction_bits=12)
    for number, engine in enumerate(architecture.engines):
        worth = functools.partial(architecture.worth, engine)
        assert architecture.rungs(number, engine) == scanned(engine, worth)


@given(st.integers(300, 6000), st.integers(1, 60), st.integers(0, 6))
@settings(max_examples=25)
def test_most_that_fits_is_the_fastest_of_all_intervals(luts, dsps, blocks):
    part = device(luts=luts, dsps=dsps, blocks=blocks)
    graph = residual(4, 4)
    found = accelerator(graph, device=part)
    architecture = Pipelined(graph, table(), width=WIDTH, fraction_bits=12, hardware=Fpga(part))
    slowest = max(e.cycles(1, 1) for e in architecture.engines)
    tried = sorted({e.cycles(f.pe, f.simd) for e in architecture.engines for f in foldings(e)})
    assert tried[-1] == slowest
    fitting = [
        made.interval for made in (architecture.build(i, clock_mhz=100) for i in tried) if not made.over
    ]
    if fitting:
        assert found.interval == min(fitting)
        assert found.limit.startswith(f"at most {found.fps:.6g} frames per second")
    else:
        assert found.over
        assert found.limit.startswith("nothing fits: even the smallest folding exceeds the device: ")


def test_limit_names_what_is_exceeded_and_where():
    found = accelerator(residual(), device=device(dsps=10), fps=1e6, without=("multiply_lut",))
    assert not found.fits
    (dsps,) = [v for name, v in found.resources.items() if name == "dsps"]
    assert dsps <= 10
    assert "at most " in found.refusal
    assert "of 10 DSP slices" in found.refusal
    assert "in stem)" in found.refusal


def test_without_a_device_only_the_unrolled_network_is_a_limit():
    found = accelerator(residual(), fps=9e8)
    assert found.limit == (
        f"at most {100e6 / 64:.6g} frames per second at 100 MHz: fully unrolled, stem needs 64 cycles"
    )


def test_unknown_figures_are_neither_fit_nor_zero():
    """Without any popcount; unrolled, too, a binary product has one."""
    without = ("accumulate", "masked_popcount", "plain_popcount", "xnor_popcount")
    found = accelerator(residual(), device=device(), fps=10, without=without)
    assert (found.fits, found.resources["luts"], found.utilisation["luts"]) == (False, None, None)
    missing = found.to_dict()["missing"]
    lacking = sorted({line.split()[0] for line in missing})
    assert any("popcount" in unit for unit in lacking)
    assert set(lacking) <= set(without)
    assert missing == [f"{unit} {name}" for unit in lacking for name in ("dsps", "ffs", "luts")]
    assert found.refusal == (
        f"whether it fits is unknown: the table lacks LUTs, flip-flops or DSPs of {', '.join(lacking)}"
    )
    fastest = accelerator(residual(), device=device(), without=without)  # at another folding
    assert not fastest.fits
    assert fastest.refusal.startswith("whether it fits is unknown: the table lacks ")


def test_utilisation_of_what_a_device_lacks_is_unknown():
    found = accelerator(residual(), device=device(uram=0), fps=10)
    assert found.utilisation["uram"] is None
    assert found.utilisation["luts"] == found.resources["luts"] / 10**6


@given(st.lists(st.floats(1, 1.5e6), min_size=2, max_size=6))
@settings(max_examples=20)
def test_raising_the_rate_never_makes_it_cheaper(rates):
    made = [accelerator(residual(6, 4), fps=rate) for rate in sorted(rates)]
    for slow, fast in pairwise(made):
        assert worth(fast) >= worth(slow)
        assert fast.resources["luts"] >= slow.resources["luts"]
        assert fast.fps >= slow.fps


PARTS = st.tuples(
    st.integers(200, 9000), st.integers(1, 60), st.integers(0, 8), st.integers(0, 2), st.integers(0, 300)
)
ORGANISED = pytest.mark.parametrize(
    ("kind", "bandwidth"), [(kind, rate) for kind in ("pipelined", "shared") for rate in (None, 10**6)]
)
"""With all weights on the chip, and with a memory outside."""


def a_bigger_device_never_gives_less(kind, bandwidth, small, more):
    names = ("luts", "dsps", "blocks", "uram", "lutram")
    graph = residual(8, 8)
    part = device(**dict(zip(names, small, strict=True)), bandwidth=bandwidth)
    little = accelerator(graph, device=part, kind=kind)
    total = [a + b for a, b in zip(small, more, strict=True)]
    large = accelerator(
        graph, device=device(**dict(zip(names, total, strict=True)), bandwidth=bandwidth), kind=kind
    )
    if not little.over:
        assert not large.over
        assert large.fps >= little.fps


@ORGANISED
@given(PARTS, PARTS)
@settings(max_examples=10)
def test_a_bigger_device_never_gives_less(kind, bandwidth, small, more):
    a_bigger_device_never_gives_less(kind, bandwidth, small, more)


@ORGANISED
@given(PARTS, PARTS)
@settings(max_examples=60)
@pytest.mark.slow
def test_of_many_devices_a_bigger_one_never_gives_less(kind, bandwidth, small, more):
    a_bigger_device_never_gives_less(kind, bandwidth, small, more)


def test_without_a_wanted_rate_the_refusal_is_what_limits():
    found = accelerator(residual(), device=device(luts=1))
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
    luts = [accelerator(chain_of(chosen), fps=1000, kind=kind).resources["luts"] for chosen in SETS]
    assert luts == sorted(set(luts))


def test_exponents_decide_multiplexer_rom_and_left_shift():
    def prelu(exponents):
        graph = chain_of(exponents)
        units = units_of_engine(graph, engines(graph, WIDTH)[0].name, Folding(1, 1))
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
    shared = accelerator(graph, fps=50, kind="shared")
    pipelined = accelerator(graph, fps=50)
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
    assert peak_activation_bits(graph, WIDTH) == 3 * 64 * 16 + 8 * 64 * 16 + 8 * 64
    net = Net(1, 1, 8, 8)
    net.conv("stem", "x", 8, binary_weight=False)
    net.sign("sign", "stem")
    net.conv("conv", "sign", 8)
    net.conv("wide", "conv", 8, binary_weight=False)
    net.add("add", OpKind.ADD, net.shapes["stem"], ["wide", "stem"])
    # while `wide` runs: the stem's result is still kept, with 8 bits (2 * 72 - 72 and a sign) of `conv`, and the sum
    assert peak_activation_bits(net.done(), WIDTH) == 8 * 64 * (16 + 8 + 16)


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


# goals


@pytest.mark.parametrize(
    ("goal", "reason"),
    [
        ({}, "an accelerator needs --device, --fps, or both"),
        ({"fps": 0}, r"--fps must be at least 1e-06 and below 1e9, got 0$"),
        ({"fps": float("nan")}, "--fps must be at least 1e-06 and below 1e9, got nan"),
        ({"fps": 1, "clock_mhz": 0}, r"--clock-mhz must be at least 1e-06 and at most 10000, got 0$"),
        ({"fps": 1, "kind": "systolic"}, "--organisation 'systolic' is unknown; choose pipelined or shared"),
    ],
)
def test_wishes_that_make_no_sense(goal, reason):
    with pytest.raises(UsageError, match=reason):
        AcceleratorGoal(**goal)


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
        residual(4, 4),
        table(),
        width=WIDTH,
        fraction_bits=12,
        goal=AcceleratorGoal(devices()["iCE40UP5K"], fps=30),
    )
    data = found.to_dict()
    assert (found.fits, data["memory_block"]) == (True, "EBR 4k")
    assert data["resources"]["bram36"] is None
    assert data["utilisation"]["bram36"] is None
    assert data["resources"]["blocks"] >= 3  # its LUTs are no RAM: two line buffers and a FIFO
