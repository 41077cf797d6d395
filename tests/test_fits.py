"""Whether a design fits: places of memories, bandwidth from outside, LUTs for want of DSPs, logic cells.

Sizes and limits are worked out by hand in the tests; laws are those of `accelerators.LAWS`.
"""

from __future__ import annotations

import csv
import io
import math
import random
from itertools import pairwise

import numpy as np
import pytest

from abcost.accelerator.cells import Cells, lone_ffs
from abcost.accelerator.design.describer import Describer
from abcost.accelerator.design.net import Net as DescribedNet
from abcost.accelerator.devices import FAMILIES
from abcost.accelerator.devices import device as known
from abcost.accelerator.memory import Memory
from abcost.accelerator.multipliers import in_luts, within_dsps
from abcost.accelerator.not_included import not_included
from abcost.accelerator.placing import Places, place
from abcost.accelerator.result import BANDWIDTH
from abcost.accelerator.solve import AcceleratorGoal
from abcost.accelerator.unit_costs import UnitCosts
from abcost.accelerator.variants import Variants, offering, slope_nodes
from abcost.core.edit import Edit
from abcost.cost.bundled import cost_models_dir
from abcost.cost.organisation import Unit
from abcost.cost.table import CostTable
from abcost.errors import UsageError
from accelerators import WIDTH, Net, accelerator, device, residual, table

WEIGHTS = Memory("weights", 36, 512, 512)  # one block, or 512 * 36 / 57 = 324 LUTs
BUFFER = Memory("line buffer", 36, 320, 0)  # one block, or 5 * 36 = 180 LUTs
FIFO = Memory("residual FIFO", 8, 64, 0)  # one block, or 8 LUTs


def places(asked, found, luts=0.0, weights=None):
    return [m.place for m in place(asked, found, luts, weights)]


# where memories may be


def test_without_a_memory_outside_no_weights_are_there():
    """Two blocks of weights and one block: one goes to LUTs, and where there are none nothing fits."""
    assert places([WEIGHTS, WEIGHTS], device(blocks=1)) == ["lutram", "block"]
    assert places([WEIGHTS, WEIGHTS], device(blocks=1, bandwidth=1)) == ["external", "block"]
    assert places([WEIGHTS, WEIGHTS], device(blocks=1, bandwidth=1), weights="on-chip") == ["lutram", "block"]
    assert places([WEIGHTS, WEIGHTS], device(blocks=1, luts=324)) == ["lutram", "block"]
    assert places([WEIGHTS, WEIGHTS], device(blocks=1, luts=323)) == ["block", "block"]


def test_weights_that_shall_be_outside_all_are():
    found = places([WEIGHTS, Memory("weights", 1, 8, 8), BUFFER], device(bandwidth=1), weights="external")
    assert found == ["external", "external", "lutram"]


def test_luts_that_can_be_written_are_counted_apart_from_the_others():
    """180 and 8 LUTs of RAM, and constants, which any LUT holds."""
    constants = Memory("weights", 8, 64, 64)
    asked = [BUFFER, FIFO, constants]
    assert places(asked, device(lutram=188)) == ["lutram", "lutram", "lutram"]
    assert places(asked, device(lutram=187)) == ["block", "lutram", "lutram"]
    assert places(asked, device(lutram=7)) == ["block", "block", "lutram"]
    assert places(asked, device(lutram=None)) == ["lutram", "lutram", "lutram"]  # not said, not checked


def test_lut_ram_of_ecp5_takes_six_luts_for_16_words_of_4_bits():
    """Four hold the bits, two write them; a bit of two banks is selected by one more, of four by three.

    A constant needs no more than a LUT4 for 16 of them.
    """
    ecp5 = FAMILIES["ECP5"]
    sizes = ((4, 16), (5, 16), (4, 17), (1, 1), (16, 64))
    assert [Memory("line buffer", w, d, 0).luts(ecp5) for w, d in sizes] == [
        6,
        12,
        2 * 6 + 4 * 1,
        6,
        4 * 4 * 6 + 16 * 3,
    ]
    assert Memory("weights", 5, 32, 0).luts(ecp5) == 5 * 2


@pytest.mark.parametrize("family", ["7-series", "iCE40", "ECP5"])
def test_constants_in_luts_take_what_measured_roms_take(family):
    """On LUT4s more than half of the LUTs of a deep one select: the table's law is within 8 %."""
    found = FAMILIES[family]
    prices = CostTable.load(found.targets[0])
    for width in (8, 16, 32):
        for depth in (16, 32, 64, 128, 256, 512, 1024):
            measured = prices.price("rom", width=width, depth=depth).cost.luts
            luts = Memory("weights", width, depth, 0).luts(found)
            assert luts == pytest.approx(measured, rel=0.08), (width, depth)


def test_lut_ram_of_the_bundled_ecp5():
    part = known("LFE5U-85F")
    # 669 kbit of distributed RAM (Lattice FPGA-DS-02012): 64 bits in every 8 LUTs, 6 of which that takes
    assert part.lutram // 6 * 64 == pytest.approx(669e3, rel=0.002)
    assert part.lutram == pytest.approx(part.luts * 6 / 8, abs=6)


def test_writable_luts_of_the_bundled_parts_are_a_part_of_all():
    """Of 7-series and UltraScale+ between a quarter and 58 % of the slices have them (SLICEM)."""
    for name in ("xc7z020", "xc7z045", "xczu3eg", "xczu9eg", "xcu200", "xcu250", "xc7a35t"):
        part = known(name)
        assert 0.25 < part.lutram / part.luts < 0.58
    assert known("iCE40UP5K").lutram == 0


def test_an_hx8k_has_neither_multipliers_nor_spram():
    """Its blocks are those of every iCE40, of 4 kbit: 128 kbit in all."""
    hx8k = known("iCE40HX8K")
    assert (hx8k.luts, hx8k.dsps, hx8k.blocks, hx8k.spram, hx8k.lutram) == (7680, 0, 32, 0, 0)
    assert {width * depth for width, depth in hx8k.family.shapes} == {128 * 1024 // hx8k.blocks}
    assert hx8k.family.shapes == known("iCE40UP5K").family.shapes
    assert hx8k.bandwidth_gb_s is None


def test_spram_holds_what_is_written_and_nothing_else():
    """16384 words of 16 bits with one port: words in pairs, unless they are read in every other cycle at most."""
    up5k = known("iCE40UP5K")
    activations = Memory("activations", 16, 4096, 0)  # 16 blocks of 256 x 16
    assert (activations.blocks(up5k.family), activations.sprams) == (16, 2)
    assert Memory("activations", 16, 4096, 0, rests=True).sprams == 1
    assert Memory("line buffer", 8, 32768, 0).sprams == 1
    assert Memory("line buffer", 9, 32769, 0).sprams == 2 * 2
    # two of 16 blocks, where there are 30: one goes, with two of the four SPRAMs
    assert sorted(places([activations, activations], up5k)) == ["block", "spram"]
    weights = Memory("weights", 16, 4096, 4096)  # 256 LUTs a bit: 4,096 in all
    assert "spram" not in places([weights, weights], up5k)


def test_rooms_are_where_the_places_change():
    """Beside every number of LUTs between two of them the memories are in the same places."""
    generator = random.Random(0)
    roles = ("weights", "line buffer", "residual FIFO", "parameters")
    for _ in range(60):
        asked = [
            Memory(
                generator.choice(roles),
                generator.randint(1, 72),
                generator.randint(2, 1500),
                generator.randint(1, 9999),
            )
            for _ in range(8)
        ]
        part = device(
            luts=generator.randint(100, 4000),
            blocks=generator.randint(0, 12),
            uram=generator.randint(0, 1),
            lutram=generator.choice([None, 200, 1000]),
            bandwidth=generator.choice([None, 1.0]),
        )
        answers = Places(asked, part, None)
        ends = [-math.inf, *answers.rooms, math.inf]
        for low, high in pairwise(ends):
            inside = [x for x in (low + 1, (low + high) / 2, high) if low < x <= high and math.isfinite(x)]
            found = [[m.place for m in answers.beside(x)] for x in inside]
            assert all(each == found[0] for each in found)
            assert all(found_ == places(asked, part, x) for found_, x in zip(found, inside, strict=True))


# what a memory outside must give


def streamed(bandwidth):
    """64 x 64 x 9 weights of one bit, read at each of 16 positions, where the part holds half of them."""
    net = Net(1, 64, 4, 4)
    net.sign("sign", "x")
    net.conv("conv", "sign", 64)
    return accelerator(net.done(), device=device(luts=30_000, blocks=1, bandwidth=bandwidth), fps=100)


def test_bandwidth_is_weights_times_frames_per_second():
    found = streamed(1.0)
    needed = 64 * 64 * 9 * 16 * found.fps / 8e9
    assert found.bandwidth_gb_s == pytest.approx(needed)
    assert found.fits
    data = found.to_dict()
    assert data["weights"] == "external"
    assert data["bandwidth_gb_s"]["needed"] == pytest.approx(needed)
    assert (data["bandwidth_gb_s"]["available"], data["bandwidth_gb_s"]["confidence"]) == (1.0, "derived")


def test_too_much_bandwidth_does_not_fit_and_says_so():
    """The smallest folding that the search knows is the slowest: every other one needs more."""
    net = Net(1, 64, 4, 4)
    net.sign("sign", "x")
    net.conv("conv", "sign", 64)

    def made(bandwidth):
        part = device(
            luts=30_000, bandwidth=bandwidth
        )  # unrolled the weights were constants, and 73,728 LUTs
        return accelerator(net.done(), device=part, fps=1, weights="external")

    rate = made(1.0).fps
    needed = 64 * 576 * 16 * rate / 8e9
    assert made(needed).fits
    found = made(needed * 0.999)
    assert (found.fits, found.over) == (False, (BANDWIDTH,))
    assert found.refusal == (
        "nothing fits: even the smallest folding exceeds the "
        f"device: {needed:.3g} of {needed * 0.999:.3g} GB/s from outside at {rate:.6g} frames per second "
        f"({needed:.3g} for weights of conv)"
    )
    assert streamed(None).to_dict()["bandwidth_gb_s"] == {"needed": 0.0, "available": None}


def test_as_fast_as_the_memory_outside_allows():
    """64 * 64 weights for each of 16 positions are 8192 bytes a frame: 0.1 GB/s are 12,207 frames."""
    net = Net(1, 64, 4, 4)
    net.sign("sign", "x")
    net.conv("conv", "sign", 64, 1)
    for bandwidth, interval in ((0.1, 8192), (0.2, 4096)):
        part = device(luts=4000, bandwidth=bandwidth)  # unrolled they were constants, and 5056 LUTs
        found = accelerator(net.done(), device=part, weights="external")
        assert (found.interval, found.bandwidth_gb_s) == (interval, pytest.approx(bandwidth))
        assert "GB/s from outside" in found.limit


def test_weights_outside_need_a_memory_there():
    with pytest.raises(
        UsageError, match=r"--weights external: mine has no memory outside; .* bandwidth_gb_s"
    ):
        AcceleratorGoal(device(), weights="external")
    with pytest.raises(UsageError, match=r"--weights 'outside' is unknown; choose on-chip or external"):
        AcceleratorGoal(device(), weights="outside")
    assert (
        accelerator(residual(), fps=100, weights="external").external_bits > 0
    )  # no device: nothing to check


# multipliers


def real(channels):
    net = Net(1, 4, 2, 2)
    net.conv("first", "x", channels, 1, binary_weight=False)
    net.conv("second", "first", channels, 1, binary_weight=False)
    return net.done()


def test_multipliers_go_to_luts_one_by_one_as_dsps_run_out():
    """Unrolled 4 x 4 and 4 x 4 products: 32 multipliers, of one DSP and a LUT, or of 16 * 16 LUTs."""
    graph = real(4)
    full = accelerator(graph, device=device(dsps=32))
    assert (full.resources["dsps"], full.lut_multipliers) == (32, {})
    for dsps in (31, 20, 1, 0):
        found = accelerator(graph, device=device(dsps=dsps))
        assert found.fits
        assert found.interval == full.interval
        assert found.resources["dsps"] == dsps
        assert sum(found.lut_multipliers.values()) == 32 - dsps
        assert found.resources["luts"] - full.resources["luts"] == (32 - dsps) * (16 * 16 - 1)
        by_layer = {layer["name"]: layer["lut_multipliers"] for layer in found.to_dict()["layers"]}
        assert {name: n for name, n in by_layer.items() if n} == found.lut_multipliers
    shared = accelerator(graph, device=device(dsps=1), kind="shared")
    assert shared.fits
    assert shared.resources["dsps"] <= 1


def test_without_the_law_of_a_lut_multiplier_dsps_are_what_limits():
    found = accelerator(real(4), device=device(dsps=31), without=("multiply_lut",))
    assert found.lut_multipliers == {}
    assert "of 31 DSP slices" in found.limit


def test_those_that_take_fewest_luts_per_dsp_go_first():
    prices = UnitCosts(table())
    groups = [[Unit("multiply", 3, 16)], [Unit("multiply", 2, 8), Unit("add", 1, 8)], [Unit("prelu", 1, 4)]]
    after = within_dsps(groups, prices, 2)  # 6 DSPs: the PReLU's 16 + 4 - 4 LUTs, 8 * 8 = 64 twice, 256
    assert [in_luts(group) for group in after] == [1, 2, 1]
    assert prices.total(unit for group in after for unit in group)["dsps"] == 2
    assert [unit.op for unit in after[2]] == ["multiply_lut", "mux"]
    assert within_dsps(groups, prices, 6) == groups
    assert within_dsps(groups, prices, None) == groups


@pytest.mark.parametrize("target", ["fpga-lut6", "fpga-ice40", "fpga-ecp5"])
def test_a_multiplier_of_luts_is_in_the_measured_tables(target):
    """Half as many rows as bits, each of as many adders as bits: w * w / 2, and the choice of digits on LUT4s."""
    prices = CostTable.load(target)
    for width in (8, 16, 24):
        cost = prices.price("multiply_lut", width=width).cost
        assert (cost.dsps, cost.ffs) == (0, 0)
        rows = width * width / 2
        assert rows < cost.luts < (1.4 if target == "fpga-lut6" else 3.6) * rows


# logic cells


def test_logic_cells_are_luts_lone_carries_and_lone_flip_flops():
    cells = Cells()
    few, many = (1000.0, 300.0, 100.0), (1000.0, 800.0, 400.0)  # 1.03 * LUTs + lone flip-flops: 1130 and 1430
    assert [f(*few) for f in (cells.least, cells.likely, cells.most)] == pytest.approx([1073.5, 1130, 1186.5])
    assert [f(*many) for f in (cells.least, cells.likely, cells.most)] == pytest.approx(
        [1358.5, 1430, 1501.5]
    )
    assert cells.least(100.0, 900.0, 800.0) == 900
    assert list(cells.most(*map(np.array, zip(few, many, strict=True)))) == pytest.approx([1186.5, 1501.5])
    assert cells.per_lut == pytest.approx(1.05 * (1.03 + 0.45))
    assert cells.to_dict(1000.0, 800.0, 0)["value"] == pytest.approx(
        1030 + 0.6 * 800
    )  # nothing says which are lone


def test_registers_that_no_lut_feeds_are_lone():
    """Of an input, of a register, and of a product, wired through or not; not those of sums and of comparisons."""
    d = Describer()
    a, b = DescribedNet("a", 4), DescribedNet("b", 4)
    total = d.unit(
        "add", 1, {"a": a, "b": b}, DescribedNet("s", 5), "s", []
    )  # a register of 5 bits behind LUTs
    wider = d.extend(total, 7)
    d.delay(wider, 2)  # 7 bits behind a register
    product = d.unit("multiply", 1, {"a": a, "b": b}, DescribedNet("p", 8), "p", [], end="none")
    d.delay(product, 1)  # 8 bits behind a block
    bare = d.unit("add", 1, {"a": a, "b": b}, DescribedNet("t", 6), "s", [], end="none")
    d.delay(d.extend(bare, 9), 1)  # 9 bits behind LUTs
    d.delay(a, 1)  # 4 bits behind an input
    assert [(unit.width, unit.lone) for unit in d.units()] == [(5, 0), (7, 1), (8, 1), (9, 0), (4, 1)]
    assert lone_ffs(d.units()) == 7 + 8 + 4


def test_a_part_with_logic_cells_is_full_before_its_luts_are():
    """Cells, not LUTs, must have a place: 5 % more than 1.03 L and the flip-flops that no LUT feeds."""
    graph = residual(4, 4)
    fitting = accelerator(graph, device=device(family="iCE40", luts=10**6), fps=1000)
    luts, cells = fitting.resources["luts"], fitting.to_dict()["logic_cells"]
    every = [unit for layer in fitting.layers for unit in (*layer.units, *layer.between)]
    lone = sum(unit.count * unit.width for unit in every if unit.lone)
    value = max(1.03 * luts + lone, fitting.resources["ffs"])
    assert cells["value"] == pytest.approx(value)
    assert (cells["low"], cells["high"]) == pytest.approx((0.95 * value, 1.05 * value))
    exact = math.ceil(cells["high"])
    assert accelerator(graph, device=device(family="iCE40", luts=exact, blocks=10**4), fps=1000).fits
    short = accelerator(graph, device=device(family="iCE40", luts=exact - 1), fps=1000)
    assert not short.fits or short.to_dict()["logic_cells"]["high"] <= exact - 1  # by another folding
    tiny = accelerator(graph, device=device(family="iCE40", luts=50))
    assert " of 50 logic cells (" in tiny.limit
    assert accelerator(graph, device=device(), fps=1000).to_dict()["logic_cells"] is None


def test_utilisation_of_logic_cells_is_not_that_of_luts():
    found = accelerator(residual(4, 4), device=device(family="iCE40", luts=10**4), fps=1000)
    assert found.utilisation["luts"] == found.to_dict()["logic_cells"]["value"] / 10**4


# candidates of a search


def many(graph, goal):
    nodes = slope_nodes(graph)
    sets = [(-1,), (-1, -3), (-2, -4, 0), (1, -5)]
    variants = Variants(
        graph,
        table(),
        width=WIDTH,
        fraction_bits=12,
        goal=goal,
        layers=[n.layer for n in nodes],
        sets=sets,
    )
    generator = random.Random(1)
    chosen = np.array([[generator.randrange(len(sets)) for _ in nodes] for _ in range(6)])
    return variants.organise(chosen), [[sets[i] for i in row] for row in chosen]


def network(exponents=((-1,), (-1,))):
    net = Net(1, 8, 4, 4)
    last = net.conv("conv1", "x", 8, binary_weight=False)
    for number, chosen in enumerate(exponents):
        last = net.shift_prelu(f"prelu{number}", last, chosen)
        last = net.conv(f"real{number}", last, 8, 1, binary_weight=False)
        last = net.conv(f"binary{number}", net.sign(f"sign{number}", last), 16)
    return net.done()


@pytest.mark.parametrize(
    ("part", "goal"),
    [
        ({"dsps": 3}, {"fps": 1e5}),
        ({"dsps": 5, "luts": 5000}, {}),
        ({"blocks": 1, "bandwidth": 0.05, "dsps": 2}, {}),
        ({"blocks": 1, "luts": 3000, "dsps": 9}, {}),
        ({"lutram": 20, "blocks": 9, "luts": 6000}, {"fps": 2e4}),
        ({"family": "iCE40", "luts": 4000, "blocks": 6, "dsps": 4, "spram": 4}, {}),
        ({"bandwidth": 0.5, "luts": 9000}, {"weights": "external"}),
        ({"family": "ECP5", "luts": 4000, "blocks": 4, "dsps": 2, "bandwidth": 0.1}, {"weights": "on-chip"}),
    ],
)
@pytest.mark.parametrize("share", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_candidates_are_organised_as_the_whole_analysis_does(part, goal, share):
    """One candidate in so many, or all."""
    found, sets = many(network(), AcceleratorGoal(device(**part), **goal))
    assert any(found.fits[::share])
    for index, chosen in list(enumerate(sets))[::share]:
        made = accelerator(offered(network(), chosen), device=device(**part), **goal)
        assert bool(found.fits[index]) == made.fits
        if not made.fits:
            continue
        for name, value in made.resources.items():
            assert found.values[name][index] == pytest.approx(value, rel=1e-9), name
        assert found.values["interval"][index] == made.interval
        assert found.values["external_bits"][index] == made.external_bits
        posts = [layer.chain_luts for layer in made.layers]
        assert found.values["post_luts"][index] == pytest.approx(sum(posts))


def offered(graph, chosen):
    """The graph whose hardware offers these sets."""
    edit = Edit(graph)
    for node, exponents in zip(slope_nodes(graph), chosen, strict=True):
        edit.replace(node, attrs=offering(node, exponents).attrs)
    return edit.freeze()


# what is not in it


def test_what_is_not_included_is_listed_with_every_device():
    found = accelerator(residual(), device=device(), fps=100).to_dict()
    assert found["not_included"] == list(not_included(silicon=False))
    assert {"DMA", "windows", "host", "clock"} <= {
        w for text in not_included(silicon=False) for w in text.replace(",", "").split()
    }


# the file of devices


def test_every_bandwidth_has_its_source():
    text = (cost_models_dir() / "devices.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(io.StringIO(text)):
        stated = [
            bool(row[name]) for name in ("memory", "bandwidth_gb_s", "memory_source", "memory_confidence")
        ]
        assert all(stated) or not any(stated)
    # 16 bits at 1050 MT/s (Digilent's reference manual of the PYNQ-Z1): 2.1e9 bytes per second
    assert known("xc7z020").bandwidth_gb_s == 16 / 8 * 1050e6 / 1e9
    assert known("LFE5U-85F").bandwidth_gb_s == 16 / 8 * 166e6 / 1e9
    assert known("iCE40UP5K").bandwidth_gb_s is None
    assert known("xcu250").bandwidth_gb_s == pytest.approx(4 * 64 / 8 * 2400e6 / 1e9)
