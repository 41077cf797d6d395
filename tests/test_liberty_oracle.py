"""What we read of Liberty files, next to what another parser reads: liberty-parser of PyPI.

LIBERTY_ROOT names a folder with cell libraries (*.lib, *.lib.gz) to hold against it too.
"""

from __future__ import annotations

import gzip
import itertools
import os
import random
from pathlib import Path

import numpy as np
import pytest
from liberty.parser import parse_liberty

from abcost.synth.liberty import liberty_of

TINY = Path(__file__).parent / "data" / "tiny.lib"
ROOT = os.environ.get("LIBERTY_ROOT")
MEMORIES = ("RM_IHPSG13*", "*sram*")
REAL = sorted(
    file
    for file in ([] if ROOT is None else Path(ROOT).rglob("*.lib*"))
    if file.suffix in (".lib", ".gz") and not any(file.match(name) for name in MEMORIES)
)
PICOFARADS = {"ff": 1e-3, "pf": 1.0}
NANOWATTS = {"1fw": 1e-6, "1pw": 1e-3, "1nw": 1.0, "1uw": 1e3}
LOAD = "total_output_net_capacitance"
FORMULAS = ("(!A)", "(A B)'", "A*B+!C", "(A^B)", "!((A & B) | C)", "(A B) + (C !B)", "A")


def drawn(seed):
    """A library of random cells, sizes, units and tables; in some of them axes are swapped, or their own."""
    r = random.Random(seed)

    def numbers(count, low=0.001, high=5.0):
        return [round(r.uniform(low, high), 4) for _ in range(count)]

    def listed(values):
        return ", ".join(map(str, values))

    loads, slews = sorted(numbers(r.randint(2, 5))), sorted(numbers(r.randint(1, 4)))
    swapped = r.random() < 0.5
    axes = [(LOAD, loads), ("input_transition_time", slews)]
    axes = axes[::-1] if swapped else axes

    def table(side):
        own = (
            f'index_{2 if swapped else 1} ("{listed(sorted(numbers(len(loads), 6, 9)))}");'
            if r.random() < 0.3
            else ""
        )
        rows = "".join(f'"{listed(numbers(len(axes[1][1]), -1, 4))}", ' for _ in axes[0][1]).rstrip(", ")
        return f"{side} (both) {{ {own} values ({rows}); }}"

    def pins(formula):
        for name in sorted(set(formula) & set("ABC")):
            yield f"pin ({name}) {{ direction : input; capacitance : {numbers(1)[0]}; }}"
        powers = " ".join(
            f'internal_power () {{ related_pin : "A"; {table("rise_power")} {table("fall_power")} }}'
            for _ in range(r.randint(1, 3))
        )
        yield f'pin (Y) {{ direction : output; function : "{formula}"; {powers} }}'

    cells = "\n".join(
        f"cell (C{i}) {{ area : {numbers(1)[0]}; cell_leakage_power : {numbers(1)[0]};\n {' '.join(pins(formula))} }}"
        for i, formula in enumerate(FORMULAS)
    )
    template = " ".join(
        f'variable_{i} : {name}; index_{i} ("{listed(points)}");'
        for i, (name, points) in enumerate(axes, start=1)
    )
    unit = r.choice(["1, pf", "1, ff", "0.1, pf"])
    return (
        f'library (drawn) {{ voltage_unit : "{r.choice(["1V", "100mV"])}"; capacitive_load_unit ({unit});\n'
        f'leakage_power_unit : "{r.choice(["1nW", "1uW", "1pW"])}";\n'
        f"nom_voltage : 1.8; power_lut_template (both) {{ {template} }}\n{cells} }}"
    )


def texts():
    yield pytest.param(TINY.read_text(), id="tiny")
    for seed in range(8):
        yield pytest.param(drawn(seed), id=f"drawn {seed}")
    for file in REAL:
        packed = file.suffix == ".gz"
        yield pytest.param(
            gzip.decompress(file.read_bytes()).decode() if packed else file.read_text(), id=file.name
        )


def attribute(group, name, default=None):
    return group.get_attribute(name, default)


def volts(text):
    text = str(text).strip('"').lower()
    return float(text.removesuffix("mv")) / 1000 if text.endswith("mv") else float(text.removesuffix("v"))


def points(template, table, number):
    for group in (table, template):
        if attribute(group, f"index_{number}") is not None:
            return group.get_array(f"index_{number}").ravel()
    raise AssertionError("no points")


def energy(table, templates, load, unit):
    """Of one table at a load in its own unit: at the lower median of the transition times, in straight lines."""
    values = np.atleast_2d(table.get_array("values"))
    name = table.args[0]
    if name == "scalar":
        return float(values.ravel()[0]) * unit
    template = templates[name]
    axes = {
        attribute(template, f"variable_{i}"): points(template, table, i)
        for i in (1, 2)
        if attribute(template, f"variable_{i}")
    }
    values = values.reshape([len(p) for p in axes.values()])
    for axis, (variable, slews) in reversed(list(enumerate(axes.items()))):
        if variable != LOAD:
            values = np.take(values, (len(slews) - 1) // 2, axis=axis)
    if LOAD not in axes:
        return float(values) * unit
    return float(np.interp(load, axes[LOAD], values)) * unit


def pin_energy(pin, templates, load, unit):
    """The mean over related pins and conditions of the mean of rising and falling."""
    means = []
    for power in pin.get_groups("internal_power"):
        both = [*power.get_groups("power"), *power.get_groups("rise_power"), *power.get_groups("fall_power")]
        means.append(np.mean([energy(table, templates, load, unit) for table in both]))
    return np.mean(means) if means else 0.0


@pytest.mark.parametrize("text", list(texts()))
def test_both_read_the_same(text):
    ours, theirs = liberty_of(text), parse_liberty(text)
    amount, farads = attribute(theirs, "capacitive_load_unit")
    load_unit = amount * PICOFARADS[str(farads).strip('"').lower()]
    volt = volts(attribute(theirs, "voltage_unit"))
    unit = load_unit * volt**2
    assert ours.voltage == pytest.approx(attribute(theirs, "nom_voltage") * volt)
    templates = {
        g.args[0]: g for kind in ("power_lut_template", "lu_table_template") for g in theirs.get_groups(kind)
    }
    cells = {str(cell.args[0]).strip('"'): cell for cell in theirs.get_groups("cell")}
    assert ours.cells
    assert {*ours.cells, *ours.left_out} == cells.keys()
    for name, cell in ours.cells.items():
        assert cell.area == pytest.approx(attribute(cells[name], "area"))
        stated = attribute(cells[name], "cell_leakage_power")
        if stated is not None and not cells[name].get_groups("leakage_power"):
            watts = NANOWATTS[
                str(attribute(theirs, "leakage_power_unit")).strip('"').lower().replace("1.0", "1")
            ]
            assert cell.leakage == pytest.approx(stated * watts)
        pins = {str(pin.args[0]).strip('"'): pin for pin in cells[name].get_groups("pin")}
        assert cell.pins.keys() == pins.keys()
        for key, pin in cell.pins.items():
            other = pins[key]
            assert pin.direction == str(attribute(other, "direction")).strip('"')
            stated = attribute(other, "capacitance")
            if stated is not None:
                assert pin.capacitance == pytest.approx(stated * load_unit)
            for load in (0.0, 0.7, 3.3, 50.0):
                expected = pin_energy(other, templates, load, unit)
                assert pin.energy(load * load_unit) == pytest.approx(expected, abs=1e-12)
            if pin.function is not None and cell.flip_flop is None:
                assert_same_function(
                    pin.function, other, [p for p in cell.pins.values() if p.direction == "input"]
                )


def assert_same_function(function, other, inputs):
    """Over all values of the inputs."""
    theirs = other.get_boolean_function("function")
    names = [pin.name for pin in inputs]
    for bits in itertools.product([0, 1], repeat=len(names)):
        given = dict(zip(names, bits, strict=True))
        words = {name: np.array([bit * 0xFF], dtype=np.uint64) for name, bit in given.items()}
        expected = theirs.subs({symbol: bool(given[str(symbol)]) for symbol in theirs.free_symbols})
        assert bool(int(np.ravel(function.at(words))[0]) & 1) == bool(expected), (function, given)
