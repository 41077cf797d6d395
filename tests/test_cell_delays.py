"""Delays on standard cells: by hand, and next to OpenSTA where it is installed (Debian: opensta)."""

from __future__ import annotations

import random
import re
import shutil
import subprocess

import pytest

from abcost.errors import ToolError
from abcost.synth.delay_arcs import DelayArcs
from abcost.synth.liberty import read_liberty
from abcost.synth.longest_path import register_to_register
from abcost.synth.netlist import netlist_of
from cell_netlists import design

OPENSTA = shutil.which("sta")


def table(kind, at_nothing, per_load, per_slew, template="over_both", ends=(0.1, 0.9)):
    """A table of straight lines, at_nothing + per_load * load + per_slew * slew, between two ends of each axis."""
    rows = ", ".join(
        '"' + ", ".join(f"{at_nothing + per_load * load + per_slew * slew:.9g}" for load in ends) + '"'
        for slew in ends
    )
    return f"{kind} ({template}) {{ values ({rows}); }}"


def arc(pin, sense, rise, fall, kind="combinational"):
    """The timing of an output: rise and fall are the delay at no load and no slew."""
    return f"""timing () {{ related_pin : "{pin}"; timing_sense : {sense}; timing_type : {kind};
      {table("cell_rise", rise, 1.0, 0.2)} {table("cell_fall", fall, 1.5, 0.3)}
      {table("rise_transition", 0.05, 0.5, 0.1)} {table("fall_transition", 0.04, 0.7, 0.1)} }}"""


def gate(name, function, senses):
    inputs = "".join(
        f"pin ({pin}) {{ direction : input; capacitance : {0.1 + 0.05 * i:g}; }}"
        for i, pin in enumerate(senses)
    )
    arcs = "".join(arc(pin, sense, 0.1 + 0.03 * i, 0.2) for i, (pin, sense) in enumerate(senses.items()))
    return f"""cell ({name}) {{ area : 1; cell_leakage_power : 2; {inputs}
      pin (Y) {{ direction : output; function : "{function}"; {arcs} }} }}"""


def library(time_unit="1ns"):
    setup = f"""timing () {{ related_pin : "CK"; timing_type : setup_rising;
      {table("rise_constraint", 0.2, 0.05, 0.1, "of_setup")}
      {table("fall_constraint", 0.3, 0.05, 0.1, "of_setup")} }}"""
    axes = 'index_1 ("0.1, 0.9"); index_2 ("0.1, 0.9");'
    return f"""library (tiny) {{ delay_model : table_lookup; time_unit : "{time_unit}"; voltage_unit : "1V";
      leakage_power_unit : "1nW"; nom_voltage : 1; capacitive_load_unit (1, pf);
      lu_table_template (over_both) {{
        variable_1 : input_net_transition; variable_2 : total_output_net_capacitance; {axes} }}
      lu_table_template (of_setup) {{
        variable_1 : constrained_pin_transition; variable_2 : related_pin_transition; {axes} }}
      {gate("INV", "!A", {"A": "negative_unate"})}
      {gate("NAND2", "!(A B)", {"A": "negative_unate", "B": "negative_unate"})}
      {gate("XNOR2", "!(A ^ B)", {"A": "non_unate", "B": "non_unate"})}
      cell (DFF) {{ area : 4; cell_leakage_power : 5; ff (IQ, IQN) {{ clocked_on : "CK"; next_state : "D"; }}
        pin (CK) {{ direction : input; clock : true; capacitance : 0.1; }}
        pin (D) {{ direction : input; capacitance : 0.1; {setup} }}
        pin (Q) {{ direction : output; function : "IQ"; {arc("CK", "non_unate", 0.4, 0.5, "rising_edge")} }} }} }}"""


@pytest.fixture
def delay(tmp_path):
    """The delay of a netlist on these cells."""

    def found(netlist, text=None):
        file = tmp_path / "tiny.lib"
        file.write_text(text or library())
        cells = read_liberty(file)
        return register_to_register(netlist_of(netlist, "top", cells), cells, DelayArcs([file]), "DFF")

    return found


ONE_INVERTER = design("top", {"x": [2]}, {"y": [3]}, [("INV", {"A": 2, "Y": 3})])


def test_one_inverter_between_registers(delay):
    """Beyond the ends of all tables: loads of 0.1 pF are inside, the slew of the clock is 0."""
    rise, fall = 0.4 + 1.0 * 0.1, 0.5 + 1.5 * 0.1  # clock to output, into the inverter's 0.1 pF
    rise_slew, fall_slew = 0.05 + 0.5 * 0.1, 0.04 + 0.7 * 0.1
    falls = (
        rise + 0.2 + 1.5 * 0.1 + 0.3 * rise_slew
    )  # the output falls where the input rises; into D's 0.1 pF
    rises = fall + 0.1 + 1.0 * 0.1 + 0.2 * fall_slew
    setup_fall = 0.3 + 0.1 * (0.04 + 0.7 * 0.1 + 0.1 * rise_slew)
    setup_rise = 0.2 + 0.1 * (0.05 + 0.5 * 0.1 + 0.1 * fall_slew)
    assert delay(ONE_INVERTER) == pytest.approx(max(falls + setup_fall, rises + setup_rise), rel=1e-9)


def test_times_are_in_ns_whatever_the_unit_of_the_file(delay):
    """Numbers that stand for picoseconds: a thousandth of everything, but slews still meet slews."""
    assert delay(ONE_INVERTER, library("1ps")) == pytest.approx(delay(ONE_INVERTER) / 1000, rel=1e-9)


def test_a_register_inside_ends_one_path_and_begins_another(delay):
    """x -> D of a register, whose Q goes on to y: one register after the other, both with 0.1 pF of D."""
    whole = design("top", {"clk": [2], "x": [3]}, {"y": [4]}, [("DFF", {"CK": 2, "D": 3, "Q": 4})])
    wanted = max(0.4 + 0.1 + 0.2 + 0.1 * (0.05 + 0.05), 0.5 + 0.15 + 0.3 + 0.1 * (0.04 + 0.07))
    assert delay(whole) == pytest.approx(wanted, rel=1e-9)


def test_constants_make_no_path_and_no_path_is_an_error(delay):
    with pytest.raises(ToolError, match="top: no path from register to register"):
        delay(design("top", {}, {"y": [2]}, [("INV", {"A": "0", "Y": 2})]))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("setup_rising", "hold_rising", "DFF: the library gives no setup time or no delay of this flip-flop"),
        ("cell_rise (over_both)", "cell_rise (other)", r"tiny.lib:\d+: cell DFF: no template 'other'"),
        ("input_net_transition", "time", r"cell DFF: a table over 'time' is none of delays over slew and load"),
        ('index_1 ("0.1, 0.9")', 'index_1 ("0.9, 0.1")', "index_1 must rise"),
        ('index_1 ("0.1, 0.9")', 'index_1 ("0.1, 0.5, 0.9")', "table needs 3 x 2 values, got 4"),
    ],
)  # fmt: skip
def test_refused_with_the_reason(delay, old, new, reason):
    with pytest.raises(ToolError, match=reason):
        delay(ONE_INVERTER, library().replace(old, new))


def drawn(seed):
    """A random netlist: 4 inputs, 25 cells that read what is there already, an output for each of the last four."""
    r = random.Random(seed)
    nets, cells = [3, 4, 5, 6], []
    for net in range(7, 32):
        kind = r.choice(("INV", "NAND2", "XNOR2", "DFF"))
        pins = {pin: r.choice(nets) for pin in ("A", "B")[: 1 if kind == "INV" else 2]}
        cells.append((kind, {"CK": 2, "D": pins["A"], "Q": net} if kind == "DFF" else {**pins, "Y": net}))
        nets.append(net)
    return {"clk": [2], "x": [3, 4, 5, 6]}, {"y": nets[-4:]}, cells


@pytest.mark.skipif(OPENSTA is None, reason="OpenSTA is not installed (Debian: opensta)")
@pytest.mark.parametrize("seed", range(4))
def test_random_netlists_take_what_opensta_says(delay, tmp_path, seed):
    inputs, outputs, cells = drawn(seed)
    mine = delay(design("top", inputs, outputs, cells))
    registers = [f"DFF in{n} (.CK(n2), .D(si), .Q(n{n}));" for n in inputs["x"]]
    registers += [f"DFF out{n} (.CK(n2), .D(n{n}), .Q(o{n}));" for n in outputs["y"]]
    inside = [
        f"{kind} c{i} ({', '.join(f'.{pin}(n{net})' for pin, net in pins.items())});"
        for i, (kind, pins) in enumerate(cells)
    ]
    text = "\n".join(["module top (n2, si);", "input n2, si;", *registers, *inside, "endmodule", ""])
    (tmp_path / "top.v").write_text(text)
    script = f"""read_liberty {tmp_path}/tiny.lib
read_verilog {tmp_path}/top.v
link_design top
set_delay_calculator lumped_cap
create_clock -name clk -period 1000 n2
report_checks -path_delay max -from [get_clocks clk] -digits 6
exit
"""
    (tmp_path / "sta.tcl").write_text(script)
    said = subprocess.run(  # noqa: S603 - a tool, on files that we wrote
        [OPENSTA, "-no_splash", "-exit", tmp_path / "sta.tcl"], capture_output=True, text=True, check=True
    ).stdout
    slack = re.search(r"(-?[\d.]+)\s+slack", said)
    assert slack is not None, said
    assert mine == pytest.approx(1000 - float(slack[1]), abs=2e-4)  # single precision around 1000
