"""Blocks of silicon: where memories go, area, power and clock by hand, and what the command says of them."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import abcost
from abcost.accelerator.clock import Delays
from abcost.accelerator.hardware import hardware_of
from abcost.accelerator.memory import Memory
from abcost.accelerator.silicon.die import Die, dies
from abcost.accelerator.silicon.energy import leakage_nw, memory_energy, with_power
from abcost.accelerator.silicon.memories import MACRO, REGISTERS, ROM, held
from abcost.accelerator.solve import AcceleratorGoal, organise
from abcost.accelerator.unit_costs import UnitCosts
from abcost.cli import run
from abcost.cost.bundled import cost_models_dir
from abcost.cost.organisation import Unit
from abcost.cost.sram import Macros, Sram
from abcost.cost.table import CostTable
from abcost.errors import UsageError
from accelerators import residual

LAWS = {
    "multiply": "20 * width", "add": "4 * width", "compare": "3 * width", "mux": "2 * width",
    "xnor_popcount": "5 * bits", "signed_sum": "6 * bits", "accumulate": "9 * width", "register": "5 * width",
    "qprelu": "2 * width", "prelu": "30 * width", "rom": "width * depth", "register_file": "10 * width * depth",
}  # fmt: skip
RANGES = {"width": (1, 64), "bits": (1, 2048), "depth": (2, 1024)}
DELAYS = {
    "rom": "0.01 * depth", "mux": "0.5", "register": "0.25", "register_file": "0.1 * depth", "add": "1",
    "multiply": "2", "compare": "1", "xnor_popcount": "0.001 * bits", "signed_sum": "0.001 * bits",
    "accumulate": "1", "qprelu": "1",
    "prelu": "1",
}  # fmt: skip
"""Unit -> um2 (energy: as many femtojoules, leakage: a tenth in nW), and ns. All made up for these tests."""


@cache
def cells(tmp="", without="", clock_pj=None):
    def valid(text, most=RANGES):
        names = [name for name in most if name in text]
        return "".join(f"valid_{name} = [{most[name][0]}, {most[name][1]}]\n" for name in names)

    cited = 'source = "hand"\nmethod = "derived"\nconfidence = "derived"\nnote = "hand"\n'
    entries = "".join(
        f'[[entry]]\nop = "{op}"\narea_um2 = "{law}"\nenergy_pj = "0.001 * {law}"\n'
        f'leakage_nw = "0.1 * {law}"\n{cited}{valid(law)}\n'
        for op, law in LAWS.items()
        if op != without
    )
    delays = "".join(
        f'[[timing.delay]]\nop = "{op}"\nmapping = "area"\nns = "{ns}"\nlow = "{ns}"\nhigh = "{ns}"\n'
        f'{valid(ns, RANGES | {"depth": (2, 64 if op == "register_file" else 1024)})}confidence = "derived"\n\n'
        for op, ns in DELAYS.items()
    )
    head = (
        'schema = 1\ntarget = "asic-hand"\ntitle = "Cells of this test"\nnode = "none"\ntechnology = "asic"\n'
        "default_width = 16\n\n"
    )
    if clock_pj is not None:
        head += f'[clock]\nenergy_pj = {clock_pj}\nsource = "hand"\nconfidence = "derived"\nnote = "hand"\n\n'
    timing = f'[timing]\npart = "hand"\nsource = "hand"\nnote = "hand"\n\n{delays}'
    path = Path(tmp) / "asic-hand.toml"
    path.write_text(f'{head}{entries}{timing}[source.hand]\ntitle = "laws of this test"\nwhere = "here"\n')
    return CostTable.load(path)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return cells(str(tmp_path_factory.mktemp("cells")))


@pytest.fixture(scope="module")
def clocked(tmp_path_factory):
    """The same cells, whose flip-flops take 2 fJ in a cycle in which they wait."""
    return cells(str(tmp_path_factory.mktemp("clocked")), clock_pj=0.002)


def sram(words, bits, area, **figures):
    known = {"read_pj": 3.0, "write_pj": 4.0, "idle_pj": 0.5, "leakage_nw": 7.0, "access_ns": 2.0} | figures
    return Sram(
        f"ram{words}x{bits}", words, bits, area, data_pj=None, address_pj=None, file="", sha256="", **known
    )


def macros(*there):
    return Macros("sram-hand", "of this test", "none", 1.0, "", there, {})


WEIGHTS = Memory("weights", 8, 100, reads=1000, registered=True)
LINES = Memory("line buffer", 8, 20, reads=300, writes=40)
SLOW = 1000.0  # ns: any depth is read in time


def test_constants_are_gates_and_the_rest_registers_where_macros_are_larger(table):
    prices, large = UnitCosts.of_table(table), macros(sram(1024, 32, 1e6))
    rom = held(WEIGHTS, prices, large, 0.5, SLOW)
    assert (rom.memory.place, rom.cells_um2, rom.macros) == (ROM, 8 * 100, 0)
    file = held(LINES, prices, large, 0.5, SLOW)
    assert (file.memory.place, file.cells_um2) == (REGISTERS, 10 * 8 * 20)


def test_a_macro_is_taken_where_cells_spread_over_the_rows_are_larger(table):
    prices = UnitCosts.of_table(table)
    # 1,600 um2 of registers take 3,200 um2 of rows of which cells fill half
    assert held(LINES, prices, macros(sram(64, 16, 3300)), 0.5, SLOW).memory.place == REGISTERS
    found = held(LINES, prices, macros(sram(64, 16, 3100)), 0.5, SLOW)
    assert (found.memory.place, found.macro_um2, found.macros) == (MACRO, 3100, 1)


def test_one_port_holds_pairs_of_words_of_what_is_written_and_read_at_once(table):
    prices, small = UnitCosts.of_table(table), macros(sram(10, 16, 1))
    assert held(LINES, prices, small, 0.5, SLOW).macros == 1  # 20 words of 8 bits are 10 of 16
    rests = replace(LINES, rests=True)
    assert held(rests, prices, small, 0.5, SLOW).macros == 2  # 20 words in two macros of 10
    constants = replace(WEIGHTS, depth=20)
    assert held(constants, prices, macros(sram(20, 8, 1)), 0.5, SLOW).macros == 1


def test_deep_roms_are_several_as_the_clock_and_the_laws_want(table):
    prices = UnitCosts.of_table(table)
    # 0.01 ns a word: 50 words in 0.5 ns, so that 100 words are two ROMs, a select of 8 bits and a register
    found = held(WEIGHTS, prices, None, 0.5, 0.5)
    assert found.banks == 2
    assert found.cells_um2 == 2 * 8 * 50 + 2 * 8 + 5 * 8
    deep = held(replace(WEIGHTS, depth=3000), prices, None, 0.5, SLOW)
    assert deep.banks == 3
    wide = held(replace(WEIGHTS, width=70), prices, None, 0.5, SLOW)
    assert sum(unit.count for unit in wide.units) == 3  # 32 + 32 + 6 columns
    assert wide.cells_um2 == 70 * 100


def test_a_memory_without_any_figure_is_unknown_and_not_nothing(table, tmp_path):
    without = cells(str(tmp_path), "register_file")
    assert held(LINES, UnitCosts.of_table(without), None, 0.5, SLOW).cells_um2 is None
    silicon = hardware_of(without, Die("here"), 100)
    assert silicon.resources({"area_um2": 5.0}, [LINES])["area_um2"] is None


def test_energy_of_memories_by_hand(table):
    prices = UnitCosts.of_table(table)
    rom = held(WEIGHTS, prices, None, 0.5, SLOW)
    assert memory_energy(rom, 5000, table).value == pytest.approx(1000 * 0.8e-6)
    file = memory_energy(held(LINES, prices, None, 0.5, SLOW), 5000, table)
    assert file.value == file.high == pytest.approx(300 * 1.6e-6)
    assert file.low == pytest.approx((40 * 1.6 + 300 * 0.16) * 1e-6)  # clocked when written alone
    bank = held(replace(LINES, rests=True), prices, macros(sram(10, 8, 1)), 0.5, SLOW)
    # two macros behind each other: one works and one idles in 340 cycles, both idle in the other 4,660
    assert memory_energy(bank, 5000, table).value == pytest.approx(
        (300 * (3 + 0.5) + 40 * (4 + 0.5) + 4660 * 2 * 0.5) * 1e-6
    )
    pairs = held(LINES, prices, macros(sram(64, 16, 1)), 0.5, SLOW)
    assert memory_energy(pairs, 5000, table).value == pytest.approx(
        (150 * 3 + 20 * 4 + (5000 - 170) * 0.5) * 1e-6
    )
    silent = held(LINES, prices, macros(sram(64, 16, 1, read_pj=None)), 0.5, SLOW)
    assert memory_energy(silent, 5000, table).missing == {"ram64x16"}


def test_registers_that_wait_are_clocked_but_for_the_low_end(clocked):
    prices = UnitCosts.of_table(clocked)
    file = memory_energy(held(LINES, prices, None, 0.5, SLOW), 5000, clocked)
    # 20 words of 8 bits and the word that is read, in the 4,700 cycles in which none is
    waiting = 21 * 8 * 4700 * 0.002e-6
    assert file.value == file.high == pytest.approx(300 * 1.6e-6 + waiting)
    assert file.low == pytest.approx((40 * 1.6 + 300 * 0.16) * 1e-6)


def test_energy_without_a_clocks_figure_says_so(table):
    found = block(table, fps=1e4, clock_mhz=50)
    assert "clock of registers that wait" in found.energy.missing
    assert found.power.to_dict()["total_mw"] is None


def test_weights_from_outside_cost_what_dram_does_and_take_no_area(table):
    prices = UnitCosts.of_table(table)
    outside = held(replace(WEIGHTS, place="external"), prices, None, 0.5, SLOW)
    assert (outside.cells_um2, outside.macros) == (0, 0)
    # 1,000 reads of 8 bits; DRAM in print: 640 pJ for 32 bits to 2.6 nJ for 64 (Horowitz 2014)
    found = memory_energy(outside, 5000, table)
    assert (found.low, found.high) == pytest.approx((250 * 0.64e-3, 125 * 2.6e-3))


def test_leakage_is_that_of_all_cells_and_macros(table):
    prices = UnitCosts.of_table(table)
    stored = [held(WEIGHTS, prices, None, 0.5, SLOW), held(LINES, prices, macros(sram(64, 16, 1)), 0.5, SLOW)]
    assert leakage_nw([Unit("add", 3, 16)], stored, prices) == (pytest.approx(3 * 6.4 + 80 + 7), frozenset())
    unknown = held(LINES, prices, macros(sram(64, 16, 1, leakage_nw=None)), 0.5, SLOW)
    assert leakage_nw([], [unknown], prices)[1] == {"leakage of ram64x16"}


def test_a_read_waits_for_the_macro_the_selects_and_a_register(table):
    delays, prices = Delays(table), UnitCosts.of_table(table)
    bank = held(replace(LINES, rests=True, depth=40), prices, macros(sram(10, 8, 1)), 0.5, SLOW)
    (read,) = delays.held("layer", bank)
    assert read.delay.value == pytest.approx(
        2.0 + 2 * 0.5 + 0.25
    )  # four macros behind each other: two selects
    rom, behind = delays.held("layer", held(WEIGHTS, prices, None, 0.5, 0.5))
    assert rom.delay.value == pytest.approx(0.5)
    assert behind.delay.value == pytest.approx(0.5 + 0.25)


def block(table, **goal):
    graph = residual(8, 8)
    found = organise(graph, table, width=16, fraction_bits=12, goal=AcceleratorGoal(**goal))
    return with_power(graph, table, found, width=16, fraction_bits=12)


def test_area_is_cells_over_utilisation_and_macros(table):
    found = block(table, fps=1e4, device=Die("here", utilisation=0.8))
    used = found.resources
    units = sum(LAW(unit) * unit.count for unit in units_of(found))
    assert used["logic_um2"] == pytest.approx(units)
    assert used["area_um2"] == pytest.approx((used["logic_um2"] + used["memory_um2"]) / 0.8)
    assert used["macros"] == 0
    assert found.fits


def units_of(found):
    """All that are not memories."""
    return [unit for layer in found.layers for unit in (*layer.units, *layer.between)]


def LAW(unit):
    """Area of one by LAWS, of fused units as of their parts."""
    if unit.op in LAWS:
        names = {name: size for name, size in unit.size.items() if size is not None}
        return eval(LAWS[unit.op], {}, names)  # noqa: S307 - the laws above
    parts = {
        "counter": ("accumulate",),
        "plain_popcount": ("xnor_popcount",),
        "and": (),
    }
    if unit.op == "masked_popcount":
        return 5 * unit.bits + 2 * unit.bits  # an XNOR-popcount and as many ANDs, each as a select of a bit
    if unit.op == "scale_dot":
        bits = unit.bits.bit_length() + 1
        return 4 * bits + 5 * bits + 20 * unit.width
    return sum(LAW(replace(unit, op=part)) for part in parts[unit.op])


def test_power_is_energy_by_time_and_two_operations_a_product(clocked):
    found = block(clocked, fps=1e4, clock_mhz=50)
    power = found.power.to_dict()
    period = found.interval / 50e6
    assert power["total_mw"] == pytest.approx(found.energy.value * 1e-6 / period * 1e3)
    leaking = sum(LAW(unit) * unit.count * 0.1 for unit in units_of(found))
    leaking += 0.1 * found.resources["memory_um2"]
    assert power["leakage_mw"] == pytest.approx(leaking * 1e-6)
    assert power["dynamic_mw"] == pytest.approx(power["total_mw"] - power["leakage_mw"])
    # stem 3x3x3 taps, conv 3x3x8 and last 1x1x8, of 8 channels at 8x8 positions
    operations = 2 * 64 * 8 * (27 + 72 + 8)
    assert power["operations"] == operations
    assert power["tops_per_w"] == pytest.approx(operations / (found.energy.value * 1e-6) / 1e12)


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-3, 0.3), st.floats(1.01, 3))
def test_more_area_is_never_slower(table, area, factor):
    small, large = (block(table, device=Die("here", size)) for size in (area, factor * area))
    if small.fits:
        assert small.resources["area_um2"] <= area * 1e6 * (1 + 1e-9)
        assert large.fits
        assert large.interval <= small.interval


def test_each_die_has_the_area_that_its_source_states():
    with (cost_models_dir() / "dies.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 15
    for row in rows:
        width, height = map(float, re.findall(r"([\d.]+) x ([\d.]+) (?:um|mm)", row["source"])[0])
        scale = 1 if row["source"].endswith(" mm") else 1e-6
        assert float(row["area_mm2"]) == pytest.approx(width * height * scale, rel=1e-5), row["die"]
        assert row["confidence"]
        assert all(CostTable.load(target) for target in row["targets"].split())


def test_a_die_has_a_share_of_itself_between_0_and_1():
    for share in (0, -0.1, 1.1):
        with pytest.raises(UsageError, match="--utilisation is a share"):
            Die("here", 1.0, share)
    for area in (0, -1, 1e9):
        with pytest.raises(UsageError, match="--area-mm2 must be above 0"):
            Die("here", area)


TINY = ("reactnet_18", "--preset", "digits", "--base-width", "8", "--blocks", "1,1")


def test_the_command_sizes_a_block_for_a_die(capsys):
    status = run(["analyze", *TINY, "--device", "TT-sg13g2-8x4", "--clock-mhz", "50", "--format", "json"])
    report = json.loads(capsys.readouterr().out)
    found = report["stages"][-1]["organisation"]
    assert status == 0
    assert report["target"] == "asic-sg13g2"
    silicon, used = found["silicon"], found["resources"]
    assert found["device"] == "tt-sg13g2-8x4"
    assert silicon["area_mm2"] == pytest.approx(used["area_um2"] / 1e6)
    assert silicon["area_mm2"] <= dies()["tt-sg13g2-8x4"].area_mm2
    assert (silicon["cells_fill"], found["fits"], found["clock_met"]) == (0.5, True, True)
    assert silicon["power"]["total_mw"] > silicon["power"]["leakage_mw"] > 0
    assert any("clock tree" in text for text in found["not_included"])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--target", "fpga-lut6", "--area-mm2", "2"), "2 mm2 is silicon, target fpga-lut6 is not"),
        (("--device", "tt-sky130-1x1", "--target", "asic-gt2n"), "is made in asic-sky130, not in asic-gt2n"),
        (("--device", "tt-sky130-1x1", "--area-mm2", "2"), "has an area of its own"),
        (("--device", "xc7z020", "--utilisation", "0.7"), "--device is an FPGA"),
        (("--target", "asic-sg13g2", "--utilisation", "0.7"), "add --fps, --area-mm2 or --device"),
        (("--target", "asic-sg13g2", "--fps", "10", "--utilisation", "7"), "a share above 0 and at most 1"),
        (("--device", "tt-sky130-1x3"), "did you mean 'tt-sky130-1x"),
    ],
)
def test_what_cannot_be_is_one_line(capsys, arguments, reason):
    assert run(["analyze", *TINY, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert reason in err


def test_macros_of_unknown_energy_are_not_built_in():
    assert hardware_of(CostTable.load("asic-sky130"), None, 100).macros is None
    assert hardware_of(CostTable.load("asic-sg13g2"), None, 100).macros is not None


def test_circuits_and_searches_are_for_fpgas_and_say_so(capsys, tmp_path):
    for command in (
        ["build", *TINY, "--device", "caravel-sky130", "--out", str(tmp_path / "out")],
        ["search", "reactnet_18", "--device", "caravel-sky130", "--run-dir", str(tmp_path / "run")],
    ):
        assert run(command) == 2, command
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_python_takes_the_same_words():
    report = abcost.analyze(
        "reactnet_18", target="asic-gt2n", preset="digits", base_width=8, blocks=(1, 1), fps=1000, area_mm2=0.1,
        utilisation=0.7,
    )  # fmt: skip
    found = report.stages[-1].organisation
    assert found.device.utilisation == 0.7
    assert found.resources["area_um2"] <= 0.1e6
    assert found.energy.value > 0
