"""Transitions of netlists of LUTs: cells against Yosys' models of them, counts against a VCD, and laws from them."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

import mapped
from abcost.calibrate.fabric import figures_file, read_fabric
from abcost.calibrate.measure import job_of
from abcost.calibrate.point import Point
from abcost.errors import ToolError
from abcost.rtl.placed import placed
from abcost.rtl.unit import Port, Unit, build, flag
from abcost.rtl.vectors import random_rows
from abcost.synth import activity
from abcost.synth.activity import activity_of
from abcost.synth.dsp_cells import BLOCKS
from abcost.synth.fabric import fabric_of
from abcost.synth.flows import flow
from abcost.synth.lut_functions import lut
from abcost.synth.runner import Job, Synthesizer
from abcost.synth.simulate import Simulator, pack, unpack
from abcost.synth.toggles import toggles_of
from test_synthesis import need_yosys

# --- cells


@pytest.mark.parametrize("inputs", [1, 2, 3, 6])
def test_a_look_up_table_is_its_init(inputs):
    names = tuple("abcdef"[:inputs])
    generator = random.Random(inputs)
    for init in (0, (1 << (1 << inputs)) - 1, *(generator.getrandbits(1 << inputs) for _ in range(40))):
        rows = [[row >> i & 1 for row in range(64)] for i in range(inputs)]
        values = dict(zip(names, pack(np.array(rows, dtype=bool)), strict=True))
        found = unpack(lut(init, names).at(values)[None])[0]
        assert found.tolist() == [bool(init >> (row % (1 << inputs)) & 1) for row in range(64)]


def cell(kind, parameters, **pins):
    return {"type": kind, "parameters": parameters, "connections": pins}


def bits(value, count):
    return format(value, f"0{count}b")


def of_cells(inputs, cells):
    """Design `t` with inputs x (and clk); every bit that a cell drives leaves it in y."""
    outputs = sorted(
        bit
        for c in cells
        for pin, found in c["connections"].items()
        if pin in ("O", "Z", "Q", "CO", "S0", "S1", "COUT", "P", "PCOUT")
        for bit in found
    )
    ports = {
        "clk": {"direction": "input", "bits": [1000]},
        "x": {"direction": "input", "bits": list(range(2, 2 + inputs))},
        "y": {"direction": "output", "bits": outputs},
    }
    return {"modules": {"t": {"ports": ports, "cells": {f"c{i}": c for i, c in enumerate(cells)}}}}


def xc7_cells(pick, new):
    generator = random.Random(7)
    init = lambda n: bits(generator.getrandbits(1 << n), 1 << n)  # noqa: E731
    for n in range(1, 7):
        yield cell(f"LUT{n}", {"INIT": init(n)}, O=new(1), **{f"I{i}": pick(1) for i in range(n)})
    yield cell("INV", {}, I=pick(1), O=new(1))
    yield cell("CARRY4", {}, CI=pick(1), CYINIT=["0"], DI=pick(4), S=pick(4), O=new(4), CO=new(4))
    yield cell("CARRY4", {}, CI=["0"], CYINIT=pick(1), DI=pick(4), S=pick(4), O=new(4), CO=new(4))
    for n in (7, 8):
        yield cell(f"MUXF{n}", {}, I0=pick(1), I1=pick(1), S=pick(1), O=new(1))
    for kind, clear in (("FDRE", "R"), ("FDSE", "S")):
        pins = {"C": [1000], "CE": pick(1), "D": pick(1), clear: pick(1)}
        yield cell(kind, {"INIT": "0"}, **pins, Q=new(1))


def ecp5_cells(pick, new):
    generator = random.Random(5)
    init = lambda: bits(generator.getrandbits(16), 16)  # noqa: E731
    for _ in range(4):
        yield cell("LUT4", {"INIT": init()}, Z=new(1), **{name: pick(1) for name in "ABCD"})
    for first, second in (("YES", "YES"), ("NO", "NO"), ("YES", "NO"), ("NO", "YES")):
        parameters = {"INIT0": init(), "INIT1": init(), "INJECT1_0": first, "INJECT1_1": second}
        pins = {f"{name}{i}": pick(1) for name in "ABCD" for i in (0, 1)}
        yield cell("CCU2C", parameters, CIN=pick(1), S0=new(1), S1=new(1), COUT=new(1), **pins)
    yield cell("PFUMX", {}, ALUT=pick(1), BLUT=pick(1), C0=pick(1), Z=new(1))
    yield cell("L6MUX21", {}, D0=pick(1), D1=pick(1), SD=pick(1), Z=new(1))
    for enable, mode in (("1", "RESET"), ("CE", "SET"), ("INV", "RESET")):
        parameters = {
            "CEMUX": enable + " " * (enable == "1"),
            "REGSET": mode,
            "LSRMUX": "LSR",
            "CLKMUX": "CLK",
        }
        if mode == "SET":
            continue  # starts at 1 there and at 0 here: the state after power-up is no part of a unit
        pins = {"CLK": [1000], "CE": pick(1), "DI": pick(1), "LSR": pick(1)}
        yield cell("TRELLIS_FF", parameters | {"SRMODE": "LSR_OVER_CE"}, **pins, Q=new(1))


TIED = {pin: ["0"] for pin in ("OLOADTOP", "OLOADBOT", "CI", "ACCUMCI", "SIGNEXTIN")}


def ice40_cells(pick, new):
    generator = random.Random(40)
    for _ in range(4):
        init = bits(generator.getrandbits(16), 16)
        yield cell("SB_LUT4", {"LUT_INIT": init}, O=new(1), **{f"I{i}": pick(1) for i in range(4)})
    yield cell("SB_CARRY", {}, I0=pick(1), I1=pick(1), CI=pick(1), CO=new(1))
    for kind in ("SB_DFF", "SB_DFFE", "SB_DFFSR", "SB_DFFSS", "SB_DFFESR", "SB_DFFESS"):
        pins = {"E": pick(1)} if kind.startswith("SB_DFFE") else {}
        pins |= {kind[-1]: pick(1)} if kind[-2:] in ("SR", "SS") else {}
        pins = {
            ("S" if kind.endswith("SS") else "R") if name in ("R", "S") else name: b
            for name, b in pins.items()
        }
        yield cell(kind, {}, C=[1000], D=pick(1), Q=new(1), **pins)
    for signed in ("0", "1"):
        parameters = {
            "A_SIGNED": signed,
            "B_SIGNED": signed,
            "TOPOUTPUT_SELECT": "11",
            "BOTOUTPUT_SELECT": "11",
        }
        yield cell("SB_MAC16", parameters, A=pick(16), B=pick(16), O=new(32), **TIED)
    parameters = {
        "A_SIGNED": "1", "B_SIGNED": "1", "TOPADDSUB_UPPERINPUT": "1", "BOTADDSUB_UPPERINPUT": "1",
        "TOPADDSUB_LOWERINPUT": "10", "BOTADDSUB_LOWERINPUT": "10", "TOPADDSUB_CARRYSELECT": "11",
    }  # fmt: skip
    pins = {"ADDSUBTOP": ["0"], "ADDSUBBOT": ["0"], "C": pick(16), "D": pick(16)}
    yield cell("SB_MAC16", parameters, A=pick(16), B=pick(16), O=new(32), **TIED, **pins)


@pytest.mark.parametrize(
    ("family", "cells", "cycles"),
    [("xc7", xc7_cells, 12), ("ecp5", ecp5_cells, 12), ("ice40", ice40_cells, 12)],
)
def test_cells_do_what_yosys_says_of_them(family, cells, cycles, tmp_path):
    """Random bits at every input, for so many cycles in 64 streams; every output of every cell, every time."""
    mapped.need_icarus()
    generator, count = random.Random(family), [2000]
    inputs = 48
    streams = 64

    def pick(n):
        return [generator.randrange(2, 2 + inputs) for _ in range(n)]

    def new(n):
        count[0] += n
        return list(range(count[0] - n, count[0]))

    design = of_cells(inputs, list(cells(pick, new)))
    rows = [[{"x": generator.getrandbits(inputs)} for _ in range(cycles)] for _ in range(streams)]
    wanted = mapped.settled_values(design, "t", family, rows, tmp_path, clocked=True)
    fabric = fabric_of(design, "t")
    simulator = Simulator(fabric.netlist)
    values = simulator.blank(streams // 64)
    for cycle in range(cycles):
        following = values.copy()
        if cycle:
            simulator.step(values, following)
        given = np.array(
            [[bool(rows[s][cycle]["x"] >> i & 1) for s in range(streams)] for i in range(inputs)]
        )
        following[list(fabric.netlist.inputs["x"])] = pack(given)
        simulator.settle(following)
        values = following
        for net, bit in fabric.bits.items():
            if bit != 1000:
                expected = [wanted[bit][s][cycle] == "1" for s in range(streams)]
                assert unpack(values[net][None])[0].tolist() == expected, (bit, cycle)
    assert len(design["modules"]["t"]["ports"]["y"]["bits"]) > 15


def test_blocks_multiply():
    """A DSP48E1 as a 25 x 18 multiplier, behind its own adder, and a MULT18X18D: products by Python's integers."""
    a, b, c, d = (np.array([v], dtype=np.int64) for v in (-(1 << 23) + 5, -(1 << 16) + 3, 1 << 40, 77))
    zero = np.zeros(1, dtype=np.int64)
    ports = dict.fromkeys(BLOCKS["DSP48E1"].inputs, zero) | {
        "OPMODE": zero + 0b0000101,
        "A": a,
        "B": b,
        "D": d,
    }
    plain = {"USE_MULT": "MULTIPLY", "USE_DPORT": "FALSE"}
    product = (-(1 << 23) + 5) * (-(1 << 16) + 3)
    dsp = BLOCKS["DSP48E1"].compute
    assert dsp(plain)(ports)["P"].tolist() == [product]
    added = ports | {"OPMODE": zero + 0b0110101, "C": c}
    assert dsp(plain)(added)["P"].tolist() == [product + (1 << 40)]
    assert dsp(plain)(added | {"ALUMODE": zero + 3})["P"].tolist() == [(1 << 40) - product]
    cascaded = ports | {"OPMODE": zero + 0b1010101, "PCIN": c}
    assert dsp(plain)(cascaded)["P"].tolist() == [product + (1 << 40 >> 17)]
    before = ports | {"INMODE": zero + 0b00100}
    assert dsp(plain | {"USE_DPORT": "TRUE"})(before)["P"].tolist() == [
        (-(1 << 23) + 5 + 77) * (-(1 << 16) + 3)
    ]
    with pytest.raises(ToolError, match="MREG = 1, which abcost cannot simulate"):
        dsp(plain | {"MREG": 1})
    low = {"A": a & 0x3FFFF, "B": b & 0x3FFFF, "SIGNEDA": zero + 1, "SIGNEDB": zero}
    signed = ((int(a[0]) & 0x3FFFF) ^ 0x20000) - 0x20000
    assert BLOCKS["MULT18X18D"].compute({})(low)["P"].tolist() == [signed * (int(b[0]) & 0x3FFFF)]


# --- which way a signal takes, counted by hand


def test_ways_of_a_small_netlist():
    """x0, x1 -> LUT -> carry -> LUT I3 in iCE40; the LUT's output also leaves the module."""
    cells = [
        cell("SB_LUT4", {"LUT_INIT": bits(0b0110, 16)}, I0=[2], I1=[3], I2=["0"], I3=["0"], O=[10]),
        cell("SB_CARRY", {}, I0=[2], I1=[3], CI=["0"], CO=[11]),
        cell("SB_LUT4", {"LUT_INIT": bits(0xFF00, 16)}, I0=["0"], I1=["0"], I2=["0"], I3=[11], O=[12]),
        cell("SB_DFF", {}, C=[1000], D=[12], Q=[13]),
    ]
    design = of_cells(2, cells)
    design["modules"]["t"]["ports"]["y"]["bits"] = [10, 13]
    fabric = fabric_of(design, "t")
    net = {bit: number for number, bit in fabric.bits.items()}
    # the carry and the register's D stay inside their cells; x0 and x1 go to one LUT each, which the driver pays
    assert {bit: fabric.routed[net[bit]] for bit in (10, 11, 12, 13)} == {10: 1, 11: 0, 12: 0, 13: 1}
    assert {bit: fabric.hops[net[bit]] for bit in (2, 3, 10, 11, 12, 13)} == {
        2: 0,
        3: 0,
        10: 1,
        11: 1,
        12: 1,
        13: 1,
    }
    assert (fabric.registers, fabric.blocks) == (1, 0)


def test_hops_are_the_readers():
    """One bit that three LUTs read: two hops more than its driver pays; its inverse to two: two of its own."""
    three = [cell("LUT1", {"INIT": "01"}, I0=[2], O=[10 + i]) for i in range(3)]
    two = [cell("LUT1", {"INIT": "01"}, I0=[10], O=[20 + i]) for i in range(2)]
    design = of_cells(1, [*three, *two])
    design["modules"]["t"]["ports"]["y"]["bits"] = [11, 12, 20, 21]
    fabric = fabric_of(design, "t")
    net = {bit: number for number, bit in fabric.bits.items()}
    assert {bit: fabric.hops[net[bit]] for bit in (2, 10, 11, 20)} == {2: 2, 10: 2, 11: 1, 20: 1}
    unit = Unit("t", (flag("x"),), (), "", lambda _v: {})
    del design["modules"]["t"]["ports"]["clk"]
    counted = toggles_of(unit, fabric_of(design, "t"))
    turns = random_rows(unit, activity.LANES + 1)["x"].diff().abs().sum().item() / activity.LANES
    assert counted.settled == counted.routed == pytest.approx(5 * turns)
    assert counted.hops == pytest.approx(
        (2 + 2 + 1 + 1 + 1 + 1) * turns
    )  # no path is longer than another: no glitch


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (cell("FDCE", {}, C=[1000], CE=["1"], D=[2], CLR=[3], Q=[9]), "a flip-flop with clear or preset"),
        (
            cell("FDRE", {}, C=[2], CE=["1"], D=[2], R=["0"], Q=[9]),
            "a flip-flop that the port clk does not clock",
        ),
        (cell("SB_DFFN", {}, C=[1000], D=[2], Q=[9]), "a flip-flop of the falling edge"),
        (cell("RAMB18E1", {}, O=[9]), "a cell that abcost cannot simulate"),
        (cell("LUT1", {"INIT": "01"}, I0=[50], O=[9]), "has no driver"),
        (cell("LUT1", {"INIT": "01"}, I0=[3], O=[2]), "has several drivers"),
    ],
)
def test_what_cannot_be_simulated_is_refused(broken, message):
    with pytest.raises(ToolError, match=message):
        Simulator(fabric_of(of_cells(2, [broken]), "t").netlist)


# --- counts of mapped units against a VCD

UNITS = {
    "add": {"width": 16},
    "xnor_popcount": {"bits": 36},
    "qprelu": {"width": 16, "exponents": (-3, 0)},
    "accumulate": {"width": 16, "input_width": 13},
    "prelu": {"width": 16, "fraction_bits": 12},
}


def cases():
    for family in ("xc7", "ecp5", "ice40"):
        for op in UNITS:
            if (family, op) == ("ecp5", "prelu"):
                continue  # Yosys has no simulation model of MULT18X18D
            few = op == "add" or (family, op) in (
                ("xc7", "prelu"),
                ("ice40", "accumulate"),
                ("xc7", "xnor_popcount"),
            )
            yield pytest.param(family, op, marks=[] if few else pytest.mark.slow)


@pytest.mark.parametrize(("family", "op"), list(cases()))
def test_a_vcd_has_the_same_transitions(family, op, tmp_path):
    """Every net of the netlist, in steady states: equal to the count of Icarus Verilog, and so is their sum."""
    mapped.need_icarus()
    unit = placed(build(op, **UNITS[op]))
    job = job_of(Point(op, {}, UNITS[op]), flow(family), keep_netlist=True)
    design = Synthesizer(need_yosys(), tmp_path / "cache").run(job).netlist
    fabric = fabric_of(design, unit.name)
    counted = activity_of(unit, fabric.netlist)
    values = mapped.settled_values(
        design, unit.name, family, streams_of(unit), tmp_path, clocked=unit.clocked
    )
    clock = fabric.netlist.inputs.get("clk", ())
    found = {net: mapped.changes(values[bit]) for net, bit in fabric.bits.items() if net not in clock}
    assert found == {net: int(counted.low[net]) for net in found}
    driven = sum(found[net] for net in found if fabric.settled[net])
    assert toggles_of(unit, fabric).settled == pytest.approx(driven / counted.operations)
    assert driven > 0


def streams_of(unit):
    """The rows that `activity` draws: one long stream, or independent ones of a clocked unit."""
    streams, length = (activity.STREAMS, activity.CYCLES + 1) if unit.clocked else (1, activity.LANES + 1)
    rows = random_rows(unit, streams * length)
    if "first" in rows:
        rows["first"].zero_()
        rows["first"][::length] = 1
    packed = {port.name: port.pack(rows[port.name]) for port in unit.inputs}
    return [
        [{name: column[s * length + r] for name, column in packed.items()} for r in range(length)]
        for s in range(streams)
    ]


# --- against a measurement


def counters(unit, rows, *, seed=0):
    """Two counters of 8 bits that count together."""
    values = torch.arange(rows) % 256
    return {port.name: values for port in unit.inputs}


@pytest.mark.slow
def test_a_measured_product_lies_within_its_interval(tmp_path, monkeypatch):
    """Two 8-bit counters, multiplied in LUTs of an iCE40 UP5K every cycle: (996 - 645) uA * 1.219 V / 12 MHz.

    The picojoules are those of another part of the family, an HX1K, on another board. Measured with the counters
    themselves and registers, of which the estimate has none.
    """
    inputs = (Port("a", 8, signed=False), Port("b", 8, signed=False))
    outputs = (Port("y", 16, signed=False),)
    body = "    assign y = a * b;"
    unit = placed(Unit("product_w8", inputs, outputs, body, lambda v: {"y": v["a"] * v["b"]}))
    in_luts = replace(flow("ice40"), steps=tuple(step.replace("-dsp ", "") for step in flow("ice40").steps))
    job = Job("product", unit.name, unit.source, in_luts, keep_netlist=True)
    netlist = Synthesizer(need_yosys(), tmp_path / "cache").run(job).netlist
    monkeypatch.setattr(activity, "random_rows", counters)
    counted = toggles_of(unit, fabric_of(netlist, unit.name))
    toggle = read_fabric(figures_file("ice40")).toggle
    measured = (996 - 645) * 1.219 / 12
    assert counted.routed * toggle.low < measured < counted.hops * toggle.high
    assert measured == pytest.approx((counted.routed * counted.hops) ** 0.5 * toggle.value, rel=1)
