"""Liberty reader, netlists, simulation and energy, on cells whose energy is computed by hand."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from abcost.calibrate import switching as counting
from abcost.calibrate.derived import per_bit
from abcost.calibrate.fit import fit
from abcost.calibrate.laws import Fitted, Law
from abcost.calibrate.measure import measure
from abcost.calibrate.point import Measured, Point
from abcost.calibrate.run import load_text
from abcost.calibrate.switching import switching
from abcost.calibrate.table import Provenance, table_text
from abcost.calibrate.targets import TARGETS
from abcost.errors import ToolError
from abcost.rtl.forms import Pieces, Terms
from abcost.rtl.vectors import random_rows
from abcost.synth.activity import CYCLES, LANES, STREAMS, Energy, activity_of, energy_of
from abcost.synth.flows import flow
from abcost.synth.function import Function
from abcost.synth.liberty import liberty_of, read_liberty
from abcost.synth.netlist import netlist_of
from abcost.synth.runner import Answer, Failure, Synthesizer
from abcost.synth.simulate import Simulator, pack, transitions, unpack
from abcost.synth.standard_cells import read_standard_cells
from abcost.synth.tools import Yosys, find_yosys
from cell_netlists import design, one_bit

FILE = Path(__file__).parent / "data" / "tiny.lib"
TEXT = FILE.read_text()
TINY = read_liberty(FILE)
CELLS = read_standard_cells([FILE])
OSU018 = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")


BUFFER = one_bit("buffer", lambda v: v["x"])
BUFFER_DESIGN = design(
    "buffer", {"x": [2]}, {"y": [3]}, [("INV", {"A": 2, "Y": 4}), ("INV", {"A": 4, "Y": 3})]
)


def changes(bits):
    """Of a sequence along the last axis."""
    return int((bits[..., 1:] != bits[..., :-1]).sum())


# --- Liberty


def test_units_are_picofarad_volt_and_picojoule():
    assert (TINY.voltage, TINY.cells["INV"].area) == (2.0, 3.0)
    assert TINY.cells["INV"].pins["A"].capacitance == pytest.approx(0.010)
    assert TINY.cells["NAND2"].pins["A"].capacitance == pytest.approx(0.005)  # mean of 4 and 6 fF
    assert TINY.cells["NAND2"].pins["B"].capacitance == pytest.approx(0.008)  # the library's default


def test_power_is_read_at_the_median_slew_and_between_loads():
    y = TINY.cells["INV"].pins["Y"]
    # middle column: rise 1 -> 5, fall 3 -> 7; mean 2 at 0 fF, 6 at 10 fF, and no further
    assert [y.energy(load) for load in (0, 0.005, 0.010, 1.0)] == pytest.approx([0.002, 0.004, 0.006, 0.006])
    assert TINY.cells["NAND2"].pins["Y"].energy(0) == pytest.approx(0.005)  # mean over related pins
    assert TINY.cells["DFF"].pins["D"].energy(0) == pytest.approx(0.002)  # lower median of two slews: 1 and 3
    assert TINY.cells["INV"].pins["A"].energy(0) == 0


def test_either_order_of_table_axes_and_millivolts():
    text = TEXT.replace('"1V"', '"100mV"').replace("nom_voltage : 2.0", "nom_voltage : 20")
    text = text.replace("variable_1 : total_output_net_capacitance", "variable_1 : input_net_transition")
    text = text.replace("variable_2 : input_transition_time", "variable_2 : total_output_net_capacitance")
    text = text.replace('index_1 ("0, 10")', 'index_1 ("1, 2")').replace('"0.1, 0.2, 0.3"', '"0, 10, 20"')
    library = liberty_of(text)
    assert library.voltage == 2.0
    # rows are slews now: the first of two, rise 100, 1, 200 and fall 0, 3, 0; times 0.01 V^2 * 1 fF
    wanted = [50e-5, 2e-5, 100e-5]
    assert [library.cells["INV"].pins["Y"].energy(f) for f in (0, 0.01, 0.02)] == pytest.approx(wanted)


def test_flip_flop():
    ff = TINY.cells["DFF"].flip_flop
    assert (ff.state, ff.inverted, ff.next_state.text, ff.clocked_on.text) == ("IQ", "IQN", "D", "CK")
    assert ff.clear is None


LINES = TEXT.rstrip().splitlines(keepends=True)


@pytest.mark.parametrize("count", range(len(LINES)))
def test_a_file_that_is_cut_off_is_refused_with_a_line(count):
    with pytest.raises(ToolError, match=r"^tiny\.lib:\d+: .*; check the Liberty file$"):
        liberty_of("".join(LINES[:count]), "tiny.lib")


@given(cut=st.integers(0, len(TEXT) - 3))
def test_cut_off_anywhere(cut):
    with pytest.raises(ToolError, match=r"^tiny\.lib:\d+: "):
        liberty_of(TEXT[:cut], "tiny.lib")


@given(
    at=st.integers(0, len(TEXT)),
    length=st.integers(0, 30),
    junk=st.text(st.sampled_from('{}();:",\\/*!^+ab01.-\n\x00\x85é'), max_size=8),
)
def test_garbled_text_is_read_or_refused_but_never_a_crash(at, length, junk):
    with contextlib.suppress(ToolError):
        liberty_of(TEXT[:at] + junk + TEXT[at + length :], "tiny.lib")


@pytest.mark.parametrize(
    ("old", "new", "where", "reason"),
    [
        ("nom_voltage : 2.0", "nom_voltage : high", 6, "nom_voltage must be a number, got 'high'"),
        ("nom_voltage : 2.0;", "", 2, "needs nom_voltage above 0"),
        ('"1V"', '"1W"', 3, 'needs voltage_unit such as "1V" or "100mV", got \'1W\''),
        ("(1, ff)", "(1, mf)", 2, "needs capacitive_load_unit"),
        ("(1, ff)", "(0, ff)", 5, "capacitive_load_unit must be above 0"),
        ("capacitance : 10", "capacitance : -10", "22: cell INV", "capacitance must not be negative"),
        ("(!A)", "(!A", "25: cell INV", "a bracket is not closed"),
        ("100, 1, 200", "100, 1", "28: cell INV", "table needs 2 x 3 values, got 5"),
        ("100, 1, 200", "100, one, 200", "29: cell INV", "values must be a number, got 'one'"),
        ("rise_power (load_slew)", "rise_power (other)", "28: cell INV", "no template 'other' in the library"),
        ('"0, 10"', '"10, 0"', "28: cell INV", "index_1 needs rising numbers"),
        ("direction : output;", "direction : out;", "23: cell INV", "pin needs direction"),
        ("ff (IQ, IQN)", "ff (IQ)", "51: cell DFF", "ff needs two names"),
        ('next_state : "D";', "", "51: cell DFF", "ff needs clocked_on and next_state"),
        ("default_input_pin_cap : 8;", "", "40: cell NAND2", "input pin needs capacitance"),
        ("/* Four", "/ Four", 1, "cannot read '/ Four"),
        ("area : 4;", "", "37: cell NAND2", "needs an area of at least 0"),
        ("area : 4;", "area : -4;", "37: cell NAND2", "area must not be negative"),
        ("cell (NAND2)", "cell (INV)", "37: cell INV", "the library has it twice"),
        ('voltage_unit : "1V";', 'voltage_unit : "1V"; leakage_power_unit : "1";', 3, "needs leakage_power_unit"),
        ("area : 3;", "area : 3; = ", "21: cell INV", "cannot read '= "),
    ],
)  # fmt: skip
def test_refusals_name_the_line_and_the_cell(old, new, where, reason):
    with pytest.raises(ToolError) as caught:
        liberty_of(TEXT.replace(old, new, 1), "tiny.lib")
    assert str(caught.value).startswith(f"tiny.lib:{where}: ")
    assert reason in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(ToolError, match="No such file or directory; give the path of a Liberty file"):
        read_liberty(tmp_path / "none.lib")


def calls_of(function, *arguments):
    """How many functions are called and left on the way, of Python and of C; and the result."""
    calls = itertools.count()
    sys.setprofile(lambda *_: next(calls))
    try:
        found = function(*arguments)
    finally:
        sys.setprofile(None)
    return next(calls), found


def test_a_large_file_takes_as_much_longer_as_it_is_larger():
    head, body = TEXT[: TEXT.index("  cell (INV)")], TEXT[TEXT.index("  cell (INV)") : TEXT.rindex("}")]
    small, large = (
        head + "".join(body.replace("cell (", f"cell (C{i}_") for i in range(count)) + "}"
        for count in (90, 900)
    )
    assert len(large) > 1e6
    few, _ = calls_of(liberty_of, small)
    many, library = calls_of(liberty_of, large)
    assert len(library.cells) == 900 * 4
    assert many < 11 * few  # a quadratic reader would take a hundred times as many


# --- functions

FUNCTIONS = {
    "(!((A B)+C))": lambda a, b, c: not ((a and b) or c),
    "A+B C": lambda a, b, c: a or (b and c),
    "A^B C": lambda a, b, c: (a != b) and c,
    "A*B'|C": lambda a, b, c: (a and not b) or c,
    "!A^B&C'": lambda a, b, c: ((not a) != b) and not c,
    "!(A+B)' C": lambda a, b, c: (a or b) and c,
    "A 1 + 0": lambda a, b, c: a,
}


@pytest.mark.parametrize("text", FUNCTIONS)
def test_functions_follow_libertys_precedence(text):
    rows = list(itertools.product([False, True], repeat=3))
    lanes = np.zeros((3, 64), dtype=bool)
    lanes[:, :8] = np.array(rows).T
    values = dict(zip("ABC", pack(lanes), strict=True))
    found = unpack(np.atleast_2d(Function.parse(text).at(values)))[0, :8]
    assert found.tolist() == [bool(FUNCTIONS[text](*row)) for row in rows]


@pytest.mark.parametrize("text", ["", "A+", "(A", "A)", "A @ B", "!", "^A", "'", "(" * 100 + "A" + ")" * 100])
def test_what_is_no_function_is_refused(text):
    with pytest.raises(ToolError, match="cannot be read"):
        Function.parse(text)


# --- netlists


def test_loads_are_the_pins_that_read():
    netlist = netlist_of(BUFFER_DESIGN, "buffer", TINY)
    (x,), (y,) = netlist.inputs["x"], netlist.outputs["y"]
    inner = next(net for net in netlist.gates[0].outputs)
    assert [netlist.loads[net] for net in (x, inner, y)] == pytest.approx([0.010, 0.010, 0])


INVERTER = ("INV", {"A": 2, "Y": 3})
WIRES = ({"x": [2]}, {"y": [3]})


@pytest.mark.parametrize(
    ("inputs", "outputs", "cells", "reason"),
    [
        (*WIRES, [("XOR9", {"A": 2, "Y": 3})], "the library tiny has no cell XOR9 (cell c0 of the netlist)"),
        (*WIRES, [], "has 0 drivers, needs one"),
        (*WIRES, [INVERTER, INVERTER], "has 2 drivers, needs one"),
        (*WIRES, [("INV", {"A": "x", "Y": 3})], "undriven bit 'x'"),
        (*WIRES, [("INV", {"Y": 3})], "cell c0 (INV): its pin A is not connected"),
        (*WIRES, [("INV", {"A": 2, "Z": 3})], "the library gives it no input or output Z"),
        (*WIRES, [("DFF", {"D": 2, "CK": 2, "Q": 3})], "clocked by 'CK', not by the rising edge of clk itself"),
    ],
)  # fmt: skip
def test_netlists_that_cannot_be_counted(inputs, outputs, cells, reason):
    with pytest.raises(ToolError) as caught:
        netlist_of(design("top", inputs, outputs, cells), "top", TINY)
    assert reason in str(caught.value)


def test_a_foreign_document_and_a_loop():
    with pytest.raises(ToolError, match="not what Yosys' write_json writes"):
        netlist_of({"modules": {}}, "top", TINY)
    loop = design("top", *WIRES, [("NAND2", {"A": 2, "B": 4, "Y": 3}), ("INV", {"A": 3, "Y": 4})])
    with pytest.raises(ToolError, match="form a loop"):
        Simulator(netlist_of(loop, "top", TINY))


# --- simulation


def test_energy_of_two_inverters():
    energy = energy_of(BUFFER, netlist_of(BUFFER_DESIGN, "buffer", TINY), TINY)
    toggles = changes(random_rows(BUFFER, LANES + 1)["x"])
    # x: 1/2 * 10 fF * 4 V^2; inner net: the same and the first inverter at 10 fF; y: the second at 0 fF
    each = 0.020 + (0.020 + 0.006) + 0.002
    assert energy.low == energy.high == pytest.approx(toggles * each / LANES)
    assert 450 < toggles < 574  # half of the changes, within four standard deviations


def test_a_glitch_counts_with_unit_delay_only():
    """y = not (x and not x) is 1; when x rises the inverter is late and y falls for one gate delay."""
    unit = one_bit("glitch", lambda v: torch.ones_like(v["x"]))
    cells = [("INV", {"A": 2, "Y": 4}), ("NAND2", {"A": 2, "B": 4, "Y": 3})]
    netlist = netlist_of(design("glitch", *WIRES, cells), "glitch", TINY)
    activity = activity_of(unit, netlist)
    x = random_rows(unit, LANES + 1)["x"]
    rises = int(((x[1:] == 1) & (x[:-1] == 0)).sum())
    (y,) = netlist.outputs["y"]
    assert (activity.low[y], activity.high[y]) == (0, 2 * rises)
    energy = energy_of(unit, netlist, TINY)
    assert energy.high - energy.low == pytest.approx(2 * rises * 0.005 / LANES)
    assert energy.value == pytest.approx((energy.low * energy.high) ** 0.5)


def test_flip_flop_with_its_clock_pin():
    unit = one_bit("kept", lambda v: v["x"], clocked=True)
    cells = [("DFF", {"D": 2, "CK": 9, "Q": 3})]
    netlist = netlist_of(design("kept", {"x": [2], "clk": [9]}, {"y": [3]}, cells), "kept", TINY)
    x = random_rows(unit, STREAMS * (CYCLES + 1))["x"].reshape(STREAMS, -1)
    q = torch.cat([torch.zeros(STREAMS, 1, dtype=x.dtype), x[:, :-1]], dim=1)  # starts at 0
    # D: 1/2 * 2 fF * 4 V^2 and 0.002 inside; Q: 0.020 inside; clock: two edges of 1/2 * 5 fF * 4 V^2 per cycle
    wanted = (changes(x) * (0.004 + 0.002) + changes(q) * 0.020) / (STREAMS * CYCLES) + 2 * 0.010
    energy = energy_of(unit, netlist, TINY)
    assert energy.low == energy.high == pytest.approx(wanted)


def test_an_accumulator_out_of_its_gates():
    """One bit: total <= first ? x : total ^ x, from NANDs; the state runs for CYCLES rows and starts anew."""

    def model(v):
        total, rows = 0, []
        for x, first in zip(v["x"].tolist(), v["first"].tolist(), strict=True):
            total = x if first else total ^ x
            rows.append(total)
        return torch.tensor(rows)

    unit = one_bit("parity", model, clocked=True, inputs=("x", "first"))
    cells = [
        ("INV", {"A": 3, "Y": 10}),
        ("NAND2", {"A": 10, "B": 4, "Y": 11}),
        ("INV", {"A": 11, "Y": 12}),  # kept = not first and state
        ("NAND2", {"A": 12, "B": 2, "Y": 13}),
        ("NAND2", {"A": 12, "B": 13, "Y": 14}),
        ("NAND2", {"A": 13, "B": 2, "Y": 15}),
        ("NAND2", {"A": 14, "B": 15, "Y": 16}),  # kept ^ x
        ("DFF", {"D": 16, "CK": 9, "Q": 4}),
    ]
    netlist = netlist_of(
        design("parity", {"x": [2], "first": [3], "clk": [9]}, {"y": [4]}, cells), "parity", TINY
    )
    energy = energy_of(unit, netlist, TINY)
    assert 0 < energy.low < energy.high


def test_a_netlist_that_computes_something_else_is_refused():
    wrong = design("buffer", {"x": [2]}, {"y": [3]}, [INVERTER])
    with pytest.raises(ToolError, match="does not compute what the unit's model says at output y"):
        energy_of(BUFFER, netlist_of(wrong, "buffer", TINY), TINY)
    other = design("buffer", {"x": [2, 5]}, {"y": [3]}, [INVERTER])
    with pytest.raises(ToolError, match="has no port x of 1 bits"):
        energy_of(BUFFER, netlist_of(other, "buffer", TINY), TINY)


@st.composite
def circuits(draw):
    """Up to 12 NAND2 and INV over 3 inputs and the constants, each reading what stands before it."""
    nets: list[object] = [2, 3, 4, "0", "1"]
    cells = []
    for i in range(draw(st.integers(1, 12))):
        a, b = draw(st.sampled_from(nets)), draw(st.sampled_from(nets))
        y = 10 + i
        cells.append(draw(st.sampled_from([("INV", {"A": a, "Y": y}), ("NAND2", {"A": a, "B": b, "Y": y})])))
        nets.append(y)
    return cells


@given(cells=circuits())
def test_both_delays_against_one_gate_at_a_time(cells):
    """All 64 changes between the 8 input rows at once, against a plain loop over bits."""
    netlist = netlist_of(design("top", {"x": [2, 3, 4]}, {"y": [10]}, cells), "top", TINY)
    rows = np.array(list(itertools.product([False, True], repeat=3)))
    pairs = [(a, b) for a in rows for b in rows]
    simulator = Simulator(netlist)
    before, after = simulator.blank(1), simulator.blank(1)
    before[list(netlist.inputs["x"])] = pack(np.array([a for a, _ in pairs]).T)
    after[list(netlist.inputs["x"])] = pack(np.array([b for _, b in pairs]).T)
    simulator.settle(before)
    settled, high = simulator.ripple(before, after)
    simulator.settle(after)
    low = transitions(before, after)
    slow_low, slow_high = np.zeros(simulator.nets, int), np.zeros(simulator.nets, int)
    for a, b in pairs:
        start = settle_slowly(netlist, a)
        slow_high += count_slowly(netlist, start, b)
        slow_low += np.array(start) != np.array(settle_slowly(netlist, b))
    assert (settled == after).all()
    assert low.tolist() == slow_low.tolist()
    assert high.tolist() == slow_high.tolist()


def gate_value(gate, values):
    inputs = [values[gate.nets[pin]] for pin in ("A", "B") if pin in gate.nets]
    return not all(inputs)


def settle_slowly(netlist, row):
    values = [False, True] + [False] * (len(netlist.loads) - 2)
    for net, bit in zip(netlist.inputs["x"], row, strict=True):
        values[net] = bool(bit)
    for _ in range(len(netlist.gates) + 1):
        for gate in netlist.gates:
            values[gate.nets["Y"]] = gate_value(gate, values)
    return values


def count_slowly(netlist, start, row):
    values, counts = list(start), np.zeros(len(start), int)
    following = list(values)
    for net, bit in zip(netlist.inputs["x"], row, strict=True):
        following[net] = bool(bit)
    while following != values:
        counts += np.array(following) != np.array(values)
        values = following
        following = list(values)
        for gate in netlist.gates:
            following[gate.nets["Y"]] = gate_value(gate, values)
    return counts


# --- the pieces together


class FakeYosys(Yosys):
    """Makes two bits of wire from any unit, as Yosys 0.23 would: its statistics have no area."""

    def run(self, script, folder):
        top = re.findall(r"^module (\w+)", (folder / "unit.v").read_text(), re.MULTILINE)[-1]
        gates = [("INV", {"A": a, "Y": y}) for a, y in ((2, 4), (3, 5), (4, 6), (5, 7))]
        counts = {"num_cells_by_type": {"INV": 4}}
        (folder / "stat.json").write_text(json.dumps({"modules": {f"\\{top}": counts}, "design": counts}))
        (folder / "netlist.json").write_text(json.dumps(design(top, {"x": [2, 3]}, {"y": [6, 7]}, gates)))


def test_measure_with_power_keeps_the_good_points(tmp_path):
    synthesizer = Synthesizer(FakeYosys("yosys", (), "0"), tmp_path, cells=CELLS)
    wire, double = (
        Point("shift_constant", {"width": 2}, {"width": 2, "exponent": exponent}) for exponent in (0, 1)
    )
    found = measure([wire, double], flow("cells"), synthesizer, power=switching(TINY), workers=1)
    (good,) = found.measured
    assert good.point is wire
    assert good.values["area_um2"] == 4 * 3.0  # from the library, for the statistics have none
    # each bit as in test_energy_of_two_inverters, changing every other time
    assert good.values["energy_pj"] == pytest.approx(2 * 0.048 / 2, rel=0.1)
    assert good.low == good.high == {"energy_pj": good.values["energy_pj"]}
    (failure,) = found.failures
    assert isinstance(failure, Failure)
    assert "does not compute what the unit's model says" in failure.reason


def test_an_energy_is_counted_once(tmp_path, monkeypatch):
    """Damage and another method count anew; what is kept is what was counted, to the last bit."""
    synthesizer = Synthesizer(FakeYosys("yosys", (), "0"), tmp_path / "cache", cells=CELLS)
    wire = Point("shift_constant", {"width": 2}, {"width": 2, "exponent": 0})
    counted = []

    def noted(unit, *rest):
        counted.append(unit.name)
        return energy_of(unit, *rest)

    monkeypatch.setattr(counting, "energy_of", noted)

    def measured():
        power = switching(TINY, tmp_path / "energies")
        return measure([wire], flow("cells"), synthesizer, power=power, workers=1).measured

    first = measured()
    assert len(counted) == 1
    assert measured() == first
    assert len(counted) == 1
    (file,) = (tmp_path / "energies").iterdir()
    for damage in ("", "[1, 2]", '"x"', "null"):
        file.write_text(damage)
        assert measured() == first
    assert len(counted) == 5
    monkeypatch.setattr(counting, "METHOD", (*counting.METHOD, sys.modules[__name__]))
    assert measured() == first
    assert len(counted) == 6


def test_energies_that_cannot_be_kept(tmp_path):
    (tmp_path / "energies").write_text("in the way")
    synthesizer = Synthesizer(FakeYosys("yosys", (), "0"), tmp_path / "cache", cells=CELLS)
    wire = Point("shift_constant", {"width": 2}, {"width": 2, "exponent": 0})
    power = switching(TINY, tmp_path / "energies")
    (failure,) = measure([wire], flow("cells"), synthesizer, power=power, workers=1).failures
    assert re.search(r"energies cannot be written \(File exists\); choose another --cache", failure.reason)


def test_netlist_must_be_kept():
    with pytest.raises(ToolError, match="no netlist was kept"):
        switching(TINY)(Point("mux", {"width": 2}, {"width": 2}), Answer({}, 0.0, {}))


def test_value_of_nothing_is_nothing():
    assert Energy(0.0, 0.0).value == 0.0


@pytest.mark.skipif(
    shutil.which("yosys") is None or not OSU018.exists(), reason="needs yosys and qflow-tech-osu018"
)
def test_ratios_on_real_cells(tmp_path):
    """A multiplier of 8 bits holds 56 full adders and 64 ANDs, an adder of 8 bits 8: the ratio is near 8 to 20."""
    cells = read_standard_cells([OSU018])
    synthesizer = Synthesizer(find_yosys("yosys"), tmp_path, cells=cells)
    points = [
        Point(op, {"width": 8}, {"width": 8}) for op in ("add", "multiply", "mux", "register", "accumulate")
    ]
    found = measure(points, flow("cells"), synthesizer, power=switching(cells.library), workers=2)
    assert not found.failures
    pj = {m.point.op: m.values["energy_pj"] for m in found.measured}
    assert 6 < pj["multiply"] / pj["add"] < 20
    assert pj["mux"] < pj["add"] < pj["accumulate"]
    for m in found.measured:
        assert m.low["energy_pj"] <= m.values["energy_pj"] <= m.high["energy_pj"]


# --- prices of single bits


def test_xnor_and_popcount_together_are_the_measured_word():
    # an adder of 16 bits costs 5 pJ (4 to 6); words of 1, 4, 8 bits cost 0.1, 2, 5 pJ (8 bits: 3 to 9)
    add = Fitted({"width": (2, 32)}, {"energy_pj": Law("0.3125 * width", "0.25 * width", "0.375 * width")})
    word = Law(((1, 0.1), (4, 2.0), (8, 5.0)), ((1, 0.1), (4, 1.0), (8, 3.0)), ((1, 0.1), (4, 4.0), (8, 9.0)))
    words = Fitted({"bits": (1, 8)}, {"energy_pj": word}, "bits")
    target = replace(TARGETS["asic-osu018"], ops=("add", "xnor_popcount"))
    text = table_text(
        target, [("add", add), ("xnor_popcount", words)], Provenance("yosys 0", "", "", ""), {"add": ""}
    )
    table = load_text(text)
    xnor = table.price("xnor", width=1)
    assert xnor.cost.energy_pj == pytest.approx(0.1)
    for bits, wanted in ((1, (0.1, 0.1, 0.1)), (4, (1.0, 2.0, 4.0)), (8, (3.0, 5.0, 9.0))):
        detail = table.price("popcount", width=1, bits=bits).details["energy_pj"]
        assert detail.method == "derived"
        found = [bits * (0.1 + each) for each in (detail.low, detail.value, detail.high)]
        assert found == pytest.approx(list(wanted))
    # 4608 bits in 576 words of 8, each joined by an add
    detail = table.price("popcount", width=1, bits=4608).details["energy_pj"]
    found = [4608 * (0.1 + each) for each in (detail.low, detail.value, detail.high)]
    assert found == pytest.approx([576 * (3 + 4), 576 * (5 + 5), 576 * (9 + 6)])
    assert "8 bits at a time" in detail.note


@pytest.mark.parametrize("missing", ["add", "xnor_popcount", "one bit"])
def test_no_derived_price_without_its_measurements(missing):
    add = Fitted({"width": (2, 32)}, {"energy_pj": Law("width")})
    least = 2 if missing == "one bit" else 1
    words = Fitted({"bits": (least, 4)}, {"energy_pj": Law(((least, 0.1), (4, 2.0)))}, "bits")
    assert per_bit([(op, f) for op, f in (("add", add), ("xnor_popcount", words)) if op != missing]) == []


def test_a_width_between_two_measured_may_have_the_fractions_of_either():
    sizes = [(8, 4), (8, 8), (12, 4), (12, 12)]
    measured = [
        Measured(Point("prelu", {"width": w, "fraction_bits": f}, {}), {"energy_pj": float(w**3)})
        for w, f in sizes
    ]
    first, second = fit(Pieces("width", (Terms(("1",)),)), measured)
    assert first.valid == {"width": (8, 11), "fraction_bits": (4, 12)}
    assert second.valid == {"width": (12, 12), "fraction_bits": (4, 12)}
