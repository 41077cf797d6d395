"""The clock as a result: delays of units, the slowest path of a design, leaves that a clock allows."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from abcost.accelerator.clock import Delays, leaf_for, timed_for
from abcost.accelerator.devices import device
from abcost.accelerator.memory import Memory
from abcost.accelerator.solve import AcceleratorGoal, organise
from abcost.accelerator.spread import SPREADS, Spread
from abcost.cli import run
from abcost.cost.organisation import Unit
from abcost.cost.table import CostTable
from accelerators import WIDTH, residual, table, table_text

DELAYS = {
    "add": "0.1 * width + 2",
    "compare": "3",
    "mux": "1",
    "accumulate": "4",
    "register": "1",
    "counter": "2",
    "rom": "3",
    "multiply": "7",
    "max": "3",
    "xnor_popcount": "bits / 4 + 2",
    "masked_popcount": "bits / 4 + 2.5",
    "plain_popcount": "bits / 4 + 1",
    "qprelu": "4",
    "prelu": "8",
    "shift_select": "3",
    "signed_sum": "bits + 3",
    "block_read": "6",
}
"""Unit -> ns, as a formula of its sizes."""


@cache
def timed(without=()):
    """The table of simple laws, with delays of its units: low is 10 % less, high 20 % more."""
    entries = ""
    for op, ns in DELAYS.items():
        if op in without:
            continue
        sizes = [name for name in ("width", "bits", "depth") if name in ns] or ["width"]
        if op == "block_read":
            sizes = ["width", "depth"]
        valid = "".join(f"valid_{name} = [1, 1000000]\n" for name in sizes)
        entries += (
            f'[[timing.delay]]\nop = "{op}"\nmapping = "area"\nns = "{ns}"\nlow = "0.9 * ({ns})"\n'
            f'high = "1.2 * ({ns})"\nconfidence = "measured"\n{valid}\n'
        )
    text = table_text(()) + f'\n[timing]\npart = "none"\nsource = "hand"\nnote = "by hand"\n\n{entries}'
    with TemporaryDirectory() as folder:
        path = Path(folder) / "timed.toml"
        path.write_text(text)
        return CostTable.load(str(path))


def accelerator(without=(), **goal):
    return organise(
        residual(),
        timed(without),
        width=WIDTH,
        fraction_bits=12,
        goal=AcceleratorGoal(**{"fps": 1000, **goal}),
    )


def test_the_slowest_unit_sets_the_clock():
    """A multiplier of 7 ns is slower than any other unit: 8-bit adders 2.8, accumulators 4, leaves at most 10."""
    found = accelerator(clock_mhz=130)  # 7.7 ns: leaves of (7.7 - 2) * 4 = 22 bits, 4 inputs in 7 ns
    assert found.fmax.value == pytest.approx(1000 / 7)
    assert (found.fmax.low, found.fmax.high) == pytest.approx((1000 / (1.2 * 7), 1000 / (0.9 * 7)))
    assert "multiply" in found.fmax.limited_by
    assert found.fmax.limited_by.split(":")[0] in {layer.name for layer in found.layers}
    assert (found.clock_met, found.fits) == (True, True)


def test_a_clock_that_is_not_met_is_no_fit_and_says_what_limits_it():
    found = accelerator(clock_mhz=150)
    assert (found.clock_met, found.fits) == (False, False)
    assert found.refusal.startswith("a clock of 150 MHz is not met: 142.9 MHz (119 to 158.7), limited by ")
    assert "multiply" in found.refusal


def test_the_fastest_clock_is_that_of_the_slowest_unit():
    found = accelerator(fastest=True)
    assert found.clock_mhz == pytest.approx(1000 / 7)
    assert found.clock_met is True


def test_a_unit_without_a_delay_makes_the_clock_unknown():
    found = accelerator(without=("multiply",), clock_mhz=150)
    assert (found.fmax.value, found.fmax.missing, found.clock_met) == (None, ("multiply",), None)
    assert found.fits  # as far as it is known


def test_a_table_without_delays_knows_no_clock():
    plain = organise(
        residual(), table(), width=WIDTH, fraction_bits=12, goal=AcceleratorGoal(fps=1000, clock_mhz=9000)
    )
    assert (plain.fmax, plain.clock_met) == (None, None)


def test_delays_of_a_slower_process_are_not_those_of_a_device():
    """Those of fpga-ice40 are of a UP5K: of it the clock is known, of an HX8K it is not, and it limits no leaf."""
    ice40 = CostTable.load("fpga-ice40")
    up5k, hx8k = (
        organise(
            residual(4, 4),
            ice40,
            width=WIDTH,
            fraction_bits=12,
            goal=AcceleratorGoal(device(name), 30.0, 10.0),
        )
        for name in ("iCE40UP5K", "iCE40HX8K")
    )
    assert up5k.fmax.value > 0
    assert (hx8k.fmax.value, hx8k.fmax.low, hx8k.clock_met, hx8k.fmax.missing) == (None, None, None, ())
    assert hx8k.fits
    assert hx8k.to_dict()["fmax_mhz"]["unknown"] == (
        "the delays of the table are of an iCE40 UP5K, whose process is slower"
    )
    own = replace(ice40, timing=replace(ice40.timing, part="iCE40HX8K-CT256"))
    assert Delays(own, device("iCE40HX8K")).foreign == ""
    assert timed_for(own, device("iCE40HX8K")) is own
    assert timed_for(ice40, device("iCE40HX8K")).timing is None


def test_leaves_are_as_wide_as_the_clock_allows():
    """bits / 4 + 2.5 <= 1000 / MHz, masked ones being the slower; inputs + 3 <= 1000 / MHz."""
    assert leaf_for(timed(), 100, WIDTH).bits == 30
    assert leaf_for(timed(), 200, WIDTH).bits == 10
    assert leaf_for(timed(), 50, WIDTH).inputs == 17
    assert leaf_for(timed(), 200, WIDTH).inputs == 2
    assert leaf_for(timed(), 9000, WIDTH).bits == 1  # nothing does: the narrowest


def test_parts_without_a_register_between_them_add_up():
    """A selected shift and an adder in one cycle; a scaled sum is two paths, with a register between them."""
    delays = Delays(timed())
    ((through, _),) = delays.of(Unit("qprelu_add", 1, 16))
    assert through.value == pytest.approx(4 + 0.1 * 16 + 2)
    paths = delays.of(Unit("scale_dot", 1, 16, bits=576))
    assert sorted(d.value for d, _ in paths) == pytest.approx([1, 0.1 * 11 + 2, 7])


def test_the_command_ends_with_1_and_says_what_can_be_reached(tmp_path, capsys):
    path = tmp_path / "timed.toml"
    text = table_text(()) + '\n[timing]\npart = "none"\nsource = "hand"\nnote = "by hand"\n\n'
    for op, ns in DELAYS.items():
        names = [n for n in ("width", "bits") if n in ns] or ["width"]
        names = ["width", "depth"] if op == "block_read" else names
        valid = "".join(f"valid_{n} = [1, 1000000]\n" for n in names)
        text += (
            f'[[timing.delay]]\nop = "{op}"\nmapping = "area"\nns = "{ns}"\nlow = "{ns}"\nhigh = "{ns}"\n'
            f'confidence = "measured"\n{valid}\n'
        )
    path.write_text(text)
    call = ["analyze", "reactnet_18", "--preset", "digits", "--base-width", "8", "--blocks", "1,1", "--fps", "100",
            "--target", str(path), "--format", "json"]  # fmt: skip
    assert run([*call, "--clock-mhz", "900"]) == 1
    said = capsys.readouterr()
    assert "a clock of 900 MHz is not met: " in said.err
    found = json.loads(said.out)["stages"][-1]["organisation"]
    assert found["clock_met"] is False
    reached = found["fmax_mhz"]["value"]
    assert run([*call, "--clock-mhz", "max"]) == 0
    best = json.loads(capsys.readouterr().out)["stages"][-1]["organisation"]
    assert best["clock_met"] is True
    assert best["clock_mhz"] >= reached
    assert run([*call, "--clock-mhz", "fast"]) == 2
    assert "--clock-mhz takes a number of MHz, or max; got 'fast'" in capsys.readouterr().err


def test_what_wires_take_more_in_an_engine():
    """Of 8 popcounts 3 doublings; of 16 blocks 4 times what is of one."""
    spread = Spread(popcount_ns=0.5, block_ns=0.25)
    assert [spread.popcounts(n) for n in (0, 1, 8)] == [0, 0, 1.5]
    assert [spread.blocks(n) for n in (1, 16)] == [0, 1.0]


def test_popcounts_of_an_engine_are_slower_than_one_alone():
    table = CostTable.load("fpga-ecp5")
    delays, more = Delays(table), SPREADS[table.timing.part]
    one, sixteen = (delays.slowest("", [Unit("xnor_popcount", n, 1, bits=36)]).delay for n in (1, 16))
    assert one.value == table.delay(Unit("xnor_popcount", 1, 1, bits=36)).value
    assert sixteen.value == pytest.approx(one.value + 4 * more.popcount_ns)
    assert sixteen.low == one.low
    assert sixteen.high == pytest.approx(one.high + 8 * more.popcount_ns)


def test_a_deep_memory_is_read_through_multiplexers():
    """9 bits x 8,192 words: four rows of 9 x 2,048, and two LUT4 with the multiplexer of their slice select of four."""
    table = CostTable.load("fpga-ecp5")
    delays, more = Delays(table), SPREADS[table.timing.part]
    small, large = (
        delays.read(Memory("weights", 9, depth, 0, place="block", registered=True)) for depth in (2048, 8192)
    )
    select = table.delay(Unit("mux", 1, 2)).value
    one, four = (table.timing.at("block_read", "area", {"width": 9, "depth": n}).value for n in (2048, 4096))
    assert small.value == one
    assert large.value == pytest.approx(four + select + 2 * more.block_ns)
