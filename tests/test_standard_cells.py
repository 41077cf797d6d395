"""Standard cells out of Liberty files: several, packed, of any units; flip-flops of any kind; what is left out."""

from __future__ import annotations

import gzip
import itertools
import re
import tracemalloc

import pytest

from abcost.errors import AbcostError, ToolError, UsageError
from abcost.rtl.vectors import random_rows
from abcost.synth import groups, standard_cells
from abcost.synth.activity import CYCLES, STREAMS, energy_of
from abcost.synth.groups import parse
from abcost.synth.liberty import liberty_of
from abcost.synth.netlist import netlist_of
from abcost.synth.standard_cells import read_standard_cells
from cell_netlists import design, one_bit

HEAD = 'time_unit : "1ns"; voltage_unit : "1V"; capacitive_load_unit (1, pf); nom_voltage : 2;'
INPUT = "direction : input; capacitance : 0.01;"
INV = f'cell (INV) {{ area : 3; pin (A) {{ {INPUT} }} pin (Y) {{ direction : output; function : "(!A)"; }} }}'
BUF = f'cell (BUF) {{ area : 5; pin (A) {{ {INPUT} }} pin (Y) {{ direction : output; function : "A"; }} }}'
NAND = """cell (NAND2) { area : 4; pin (A) { direction : input; capacitance : 0.01; }
  pin (B) { direction : input; capacitance : 0.01; } pin (Y) { direction : output; function : "(A B)'"; } }"""


def flip_flop(name, area, *, next_state="D", clock="CK", more="", outputs=(("Q", "IQ"),), inputs=("D", "CK")):
    pins = [f"pin ({pin}) {{ direction : input; capacitance : 0.01; }}" for pin in inputs]
    pins += [f'pin ({pin}) {{ direction : output; function : "{text}"; }}' for pin, text in outputs]
    return (
        f'cell ({name}) {{ area : {area}; ff (IQ, IQN) {{ next_state : "{next_state}"; clocked_on : "{clock}"; '
        f"{more} }} {' '.join(pins)} }}"
    )


DFF = flip_flop("DFF", 9)
GATES = (INV, BUF, NAND)


def library(*cells, head=HEAD, name="cells"):
    return f"library ({name}) {{ {head}\n" + "\n".join(cells) + "\n}\n"


@pytest.fixture
def read(tmp_path):
    """Reads the cells of texts, each in a file a.lib, b.lib, …"""

    def start(*texts, dont_use=()):
        files = []
        for letter, text in zip("abcdef", texts, strict=False):
            files.append(tmp_path / f"{letter}.lib")
            files[-1].write_text(text)
        return read_standard_cells(files, dont_use=dont_use)

    return start


# --- several files, packed or not


def test_files_in_any_order_packed_or_not_are_one_library(tmp_path):
    """The text that the mapper gets is the same to the byte, with the cells of all."""
    texts = {"1_buffers": library(INV, BUF), "2_gates": library(NAND), "3_registers": library(DFF)}
    found = set()
    for packed in ((), ("1_buffers",), tuple(texts)):
        files = []
        for name, text in texts.items():
            content = gzip.compress(text.encode(), mtime=0) if name in packed else text.encode()
            files.append(tmp_path / f"{name}.lib{'.gz' * (name in packed)}")
            files[-1].write_bytes(content)
        for order in itertools.permutations(files):
            cells = read_standard_cells(order)
            found.add(cells.text)
            assert set(cells.library.cells) == {"INV", "BUF", "NAND2", "DFF"}
            assert [name for name, _ in cells.sources] == [file.name for file in files]
    (text,) = found
    again = liberty_of(text)
    assert {name: cell.area for name, cell in again.cells.items()} == {
        "INV": 3,
        "BUF": 5,
        "NAND2": 4,
        "DFF": 9,
    }


def timed(index):
    """An inverter whose delay is a table of template `t`, with the template."""
    template = f"lu_table_template (t) {{ variable_1 : input_net_transition; index_1 ({index}); }}"
    timing = 'timing () { related_pin : "A"; cell_rise (t) { values ("1, 2"); } }'
    power = 'internal_power () { power (scalar) { values ("1"); } }'
    return template, timing + power


def test_templates_of_one_name_stay_apart(read):
    """Two files each have a template `t` of their own; power, which mapping does not read, is not in the text."""
    texts = []
    for name, index in (("INV", '"1, 2"'), ("BUF", '"10, 20"')):
        template, inside = timed(index)
        cell = {"INV": INV, "BUF": BUF}[name].replace("function : ", inside + " function : ")
        others = (NAND, DFF) if name == "INV" else ()
        texts.append(library(template, cell, *others))
    cells = read(*texts)
    root = parse(cells.text, "merged")
    templates = {t.name: t.numbers("index_1") for t in root.of("lu_table_template")}
    found = {}
    for cell in root.of("cell"):
        for pin in cell.of("pin"):
            assert not list(pin.of("internal_power"))
            for timing in pin.of("timing"):
                found[cell.name] = templates[next(timing.of("cell_rise")).name]
    assert found == {"INV": (1, 2), "BUF": (10, 20)}
    outline = parse(cells.outline, "outline")  # the same cells without times
    assert [(cell.name, cell.text("area")) for cell in outline.of("cell")] == [
        (cell.name, cell.text("area")) for cell in root.of("cell")
    ]
    for mine, whole in zip(outline.of("cell"), root.of("cell"), strict=True):
        assert [pin.simple.keys() for pin in mine.of("pin")] == [pin.simple.keys() for pin in whole.of("pin")]
        assert [flip_flop.names for flip_flop in mine.of("ff")] == [ff.names for ff in whole.of("ff")]
    assert not re.search("timing|cell_rise|lu_table", cells.outline)


def test_memory_is_a_few_times_the_file(tmp_path, monkeypatch):
    rows = ", ".join(["0.123456"] * 40_000)
    cell = INV.replace(
        "function :", f'timing () {{ cell_rise (scalar) {{ values ("{rows}"); }} }} function :'
    )
    cells = [cell.replace("INV", f"INV{i}") for i in range(8)]
    file = tmp_path / "large.lib"
    file.write_text(library(*cells, BUF, NAND, DFF))
    size = file.stat().st_size
    assert size > 3e6
    monkeypatch.setattr(
        groups, "MOST_BYTES", size
    )  # of which the system's reader sets so much aside, untouched
    tracemalloc.start()
    try:
        read_standard_cells([file])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * size


# --- units


@pytest.mark.parametrize(
    ("head", "farads", "joules", "volts", "watts"),
    [
        # capacitance 2, internal power 3 and leakage 5 in the units of the file, voltage 7
        ('voltage_unit : "1V"; capacitive_load_unit (1, pf); leakage_power_unit : "1nW";', 2, 3, 7, 5),
        ('voltage_unit : "1V"; capacitive_load_unit (1, ff); leakage_power_unit : "1pW";', 2e-3, 3e-3, 7, 5e-3),
        ('voltage_unit : "100mV"; capacitive_load_unit (10, fF); leakage_power_unit : "1uW ";', 2e-2, 3e-4, 0.7, 5e3),
        ('voltage_unit : 1V ; capacitive_load_unit ("0.1", "pf"); leakage_power_unit : "10pW";', 0.2, 0.3, 7, 0.05),
        ('voltage_unit : "1mV"; capacitive_load_unit (1, nf); leakage_power_unit : "1W";', 2e3, 3e-3, 7e-3, 5e9),
    ],
)  # fmt: skip
def test_units_of_any_file(head, farads, joules, volts, watts):
    """Energy is capacitance times voltage squared: 10 fF (0.1 V)^2 = 1e-4 pJ, 1 nF (1 mV)^2 = 1e-3 pJ."""
    inside = 'internal_power () { power (scalar) { values ("3"); } } function :'
    cell = (
        INV.replace("0.01", "2").replace("function :", inside).replace("area", "cell_leakage_power : 5; area")
    )
    found = liberty_of(library(cell, head=f'time_unit : "1ps"; nom_voltage : 7; {head}'))
    inverter = found.cells["INV"]
    assert found.voltage == pytest.approx(volts)
    assert inverter.pins["A"].capacitance == pytest.approx(farads)
    assert inverter.pins["Y"].energy(0) == pytest.approx(joules)
    assert inverter.leakage == pytest.approx(watts)


@pytest.mark.parametrize(
    ("said", "leakage"),
    [
        ("", None),
        ("cell_leakage_power : 4;", 4),
        ("leakage_power () { value : 4; }", 4),
        # what is said of states counts, not what stands for the rest
        ('leakage_power () { value : 9; } leakage_power () { when : "A"; value : 2; } '
         'leakage_power () { when : "!A"; value : 4; } cell_leakage_power : 9;', 3),
        # two supplies: mean of 2 and 4, and 1
        ('leakage_power () { when : "A"; related_pg_pin : VDD; value : 2; } '
         'leakage_power () { when : "!A"; related_pg_pin : VDD; value : 4; } '
         'leakage_power () { related_pg_pin : VSS; value : 1; }', 4),
    ],
)  # fmt: skip
def test_leakage_over_states_and_supplies(said, leakage):
    cell = INV.replace("area", f"{said} area")
    known = liberty_of(library(cell, head=HEAD + ' leakage_power_unit : "1nW";')).cells["INV"].leakage
    assert known == leakage
    assert liberty_of(library(cell)).cells["INV"].leakage is None  # without a unit it is no power


# --- flip-flops

RESET = {"more": 'clear : "(!RN)";', "inputs": ("D", "CK", "RN")}
BOTH = {"more": 'clear : "RN\'"; preset : "!SN";', "inputs": ("D", "CK", "RN", "SN")}
NOT = {"next_state": "!D"}


@pytest.mark.parametrize(
    ("cells", "wanted"),
    [
        ([DFF], "DFF"),
        ([DFF, flip_flop("SMALL", 8)], "SMALL"),
        ([flip_flop("R", 9, **RESET)], "R"),
        ([flip_flop("RS", 9, **BOTH), flip_flop("R", 10, **RESET)], "RS"),
        ([flip_flop("R", 9, **RESET), DFF], "DFF"),  # of equal areas the one with fewer pins
        # complements: state of !D, output of the inverted state; both need an inverter of 3
        ([flip_flop("N", 9, **NOT)], "N"),
        ([flip_flop("N", 5, **NOT), DFF], "N"),
        ([flip_flop("N", 7, **NOT), DFF], "DFF"),
        ([flip_flop("N", 7, outputs=(("QN", "IQN"),)), DFF], "DFF"),
        ([flip_flop("N", 7, outputs=(("QN", "!IQ"),)), DFF], "DFF"),
        # an output shows the state after all, so no inverter is needed
        ([flip_flop("T", 8, outputs=(("QN", "IQN"), ("Q", "IQ"))), DFF], "T"),
        ([flip_flop("T", 8, **NOT, outputs=(("Q", "IQN"),)), DFF], "T"),
        # of no use: falling edge, scan, enable, a clear of two pins, an output that is no state
        ([flip_flop("F", 1, clock="!CK"), DFF], "DFF"),
        ([flip_flop("S", 1, next_state="(D*SE') + (SI*SE)", inputs=("D", "CK", "SE", "SI")), DFF], "DFF"),
        ([flip_flop("E", 1, next_state="(D E) | (IQ !E)", inputs=("D", "CK", "E")), DFF], "DFF"),
        ([flip_flop("C", 1, more='clear : "R1 R2";', inputs=("D", "CK", "R1", "R2")), DFF], "DFF"),
        ([flip_flop("O", 1, outputs=(("Q", "IQ D"),)), DFF], "DFF"),
    ],
)  # fmt: skip
def test_the_cheapest_flip_flop_is_the_only_one(read, cells, wanted):
    found = read(library(*GATES, *cells))
    assert found.flip_flop == wanted
    assert [name for name, cell in liberty_of(found.text).cells.items() if cell.flip_flop] == [wanted]


def test_a_flip_flop_with_clear_and_preset_tied_off():
    """Both pins at 1: energy is that of D, Q and clock alone, 1/2 * 0.01 pF * (2 V)^2 = 0.02 pJ a transition."""
    cells = liberty_of(library(flip_flop("RS", 9, **BOTH)))
    unit = one_bit("kept", lambda v: v["x"], clocked=True)

    def netlist(reset):
        pins = {"D": 2, "CK": 9, "RN": reset, "SN": "1", "Q": 3}
        ports = {"x": [2], "clk": [9], "r": [5]}
        return netlist_of(design("kept", ports, {"y": [3]}, [("RS", pins)]), "kept", cells)

    x = random_rows(unit, STREAMS * (CYCLES + 1))["x"].reshape(STREAMS, -1)
    changes = int((x[:, 1:] != x[:, :-1]).sum())
    energy = energy_of(unit, netlist("1"), cells)
    assert energy.low == energy.high == pytest.approx(changes * 0.02 / (STREAMS * CYCLES) + 2 * 0.02)
    for reset in ("0", 5):  # held in reset; reset by an input
        with pytest.raises(ToolError, match=r"cell c0 \(RS\): a flip-flop whose clear is not tied off"):
            netlist(reset)


# --- what is left out

ODD = (
    "cell (ODD) {{ area : 1; {said} pin (A) {{ direction : input; capacitance : 1; }} pin (Y) {{ {pin} }} }}"
)


@pytest.mark.parametrize(
    ("said", "pin", "why"),
    [
        ("dont_use : true;", 'function : "A";', "dont_use"),
        ("is_isolation_cell : true;", 'function : "A";', "power management"),
        ("always_on : true;", 'function : "A";', "power management"),
        ("is_level_shifter : true;", 'function : "A";', "power management"),
        ('retention_cell : "r";', 'function : "A";', "power management"),
        ('clock_gating_integrated_cell : "latch_posedge";', 'function : "A";', "clock gate"),
        ('latch (IQ, IQN) { enable : "A"; data_in : "A"; }', 'function : "IQ";', "latch or bank of flip-flops"),
        ("bus (D) { bus_type : b; }", 'function : "A";', "memory or macro"),
        ("", 'three_state : "A"; function : "A";', "three-state output"),
        ("", "", "no logic"),
    ],
)  # fmt: skip
def test_what_synthesis_leaves_alone(read, said, pin, why):
    odd = ODD.format(said=said, pin=f"direction : output; {pin}")
    found = read(library(*GATES, DFF, odd))
    assert found.library.left_out == {"ODD": why}
    assert "ODD" not in found.text
    used = read(library(*GATES, DFF, odd.replace(": true", ": false"))).library.cells
    assert ("ODD" in used) == (": true" in said)
    netlist = design("top", {"x": [2]}, {"y": [3]}, [("ODD", {"A": 2, "Y": 3})])
    with pytest.raises(ToolError, match=f"the library cells has no cell ODD that may be used \\({why}\\)"):
        netlist_of(netlist, "top", found.library)


def test_cells_that_the_user_leaves_out(read):
    text = library(*GATES, DFF, INV.replace("INV", "lp_INV"), BUF.replace("BUF", "lp_BUF"))
    found = read(text, dont_use=["lp_*"])
    assert found.library.left_out == {"lp_INV": "--dont-use", "lp_BUF": "--dont-use"}
    assert "lp_" not in found.text
    with pytest.raises(UsageError, match=r"--dont-use 'LP\*' fits no cell of .*a\.lib; check the pattern"):
        read(text, dont_use=["LP*"])


# --- refusals: one line each, with file, line and cell


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ([library(*GATES), library(DFF, head=HEAD.replace("1ns", "1ps"))],
         "b.lib:1: time_unit is another than in {a}"),
        ([library(*GATES), library(DFF, head=HEAD.replace("pf", "ff"))],
         "b.lib:1: capacitive_load_unit is another than in {a}"),
        ([library(*GATES), library(DFF, head=HEAD.replace("1V", "1mV"))],
         "b.lib:1: voltage_unit is another than in {a}"),
        ([library(*GATES), library(DFF, head=HEAD.replace(": 2;", ": 1.8;"))],
         "b.lib:1: nom_voltage is another than in {a}"),
        ([library(*GATES), library(DFF, INV)], "b.lib:3: cell INV: {a} has it already"),
        ([library(*GATES)], "a.lib:1: no flip-flop of one plain input and the rising clock edge that may be used"),
        ([library(BUF, NAND, DFF)], "a.lib:1: no inverter that may be used, which mapping needs"),
        ([library(INV, NAND, DFF)], "a.lib:1: no buffer that may be used, which mapping needs"),
        ([library(INV, BUF, DFF)], "a.lib:1: no NAND2 or NOR2 that may be used, which mapping needs"),
        ([library(*GATES, DFF, head=HEAD.replace('"1ns"', '"1 fortnight"'))], "a.lib:1: needs time_unit such as"),
        ([library(*GATES, DFF)[:-3]], "a.lib:6: the file ends inside the group library of line 1: cut off"),
        ([library(*GATES, DFF.replace("CK\"", "CK"))], "a.lib:6: cell DFF: cannot read"),
        ([library(*GATES, DFF.replace("input", "inward", 1))], "a.lib:6: cell DFF: pin needs direction"),
        ([library(*GATES, DFF.replace('"IQ"', '"IQ +"'))], "a.lib:6: cell DFF: function 'IQ +' cannot be read"),
        ([library(*GATES, DFF.replace("ff (", "ff (A, B) { } ff ("))], "a.lib:6: cell DFF: "),
    ],
)  # fmt: skip
def test_refused_in_one_line(read, tmp_path, texts, reason):
    with pytest.raises(ToolError) as caught:
        read(*texts)
    said = str(caught.value)
    assert said.startswith(str(tmp_path / reason.format(a=tmp_path / "a.lib"))), said
    assert said.count("\n") == 0
    assert said.endswith("check the Liberty file")


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-12], lambda b: b[:40] + b"\0" * 9 + b[49:], lambda b: b[:5]]
)
def test_a_damaged_gzip_file(tmp_path, damage):
    file = tmp_path / "a.lib.gz"
    file.write_bytes(damage(gzip.compress(library(*GATES, DFF).encode(), mtime=0)))
    with pytest.raises(ToolError, match=r"a\.lib\.gz: damaged gzip file \(.*\); fetch it again$"):
        read_standard_cells([file])


def test_files_that_are_too_large(tmp_path, monkeypatch):
    """Of one file what it holds when unpacked counts, of several their sum."""
    large = library(*GATES, DFF, " " * 10_000)
    (tmp_path / "a.lib.gz").write_bytes(gzip.compress(large.encode()))
    (tmp_path / "b.lib").write_text(library(DFF, " " * 6_000))
    monkeypatch.setattr(groups, "MOST_BYTES", 10_000)
    with pytest.raises(ToolError, match=r"a\.lib\.gz: it has more than 10,000 bytes when unpacked"):
        read_standard_cells([tmp_path / "a.lib.gz"])
    monkeypatch.setattr(groups, "MOST_BYTES", 12_000)
    monkeypatch.setattr(standard_cells, "MOST_BYTES", 12_000)
    with pytest.raises(AbcostError, match=r"b\.lib: the Liberty files have more than 12,000 bytes together"):
        read_standard_cells([tmp_path / "a.lib.gz", tmp_path / "b.lib"])


def test_a_clock_cycle_of_a_flip_flop_is_two_edges_at_its_pin(read):
    # 0.01 pF at 2 V, up and down: 2 * 1/2 * 0.01 * 4 pJ; no internal power is given
    assert read(library(*GATES, DFF)).clock_pj == pytest.approx(0.04)
    power = (
        'internal_power () { rise_power (scalar) { values ("0.003"); } '
        'fall_power (scalar) { values ("0.005"); } }'
    )
    clocked = DFF.replace("pin (CK) { ", f"pin (CK) {{ {power} ")
    # and the mean of a rising and a falling edge, twice
    assert read(library(*GATES, clocked)).clock_pj == pytest.approx(0.04 + 0.008)
