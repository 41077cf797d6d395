"""`abcost build`: images through the Verilog of a network, equal to the interpreter; what is falsified is seen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import fake_nextpnr
from abcost.accelerator.devices import device
from abcost.accelerator.solve import AcceleratorGoal
from abcost.circuit.make import CircuitForm, make_circuit
from abcost.circuit.project import files_of, write_circuit
from abcost.circuit.simulate import Ends, expected_logits, find_simulator, simulate_images, trace_image
from abcost.cli import run
from abcost.emit.top import top_of
from abcost.errors import ToolError
from abcost.models.subject import resolve
from brevitas_networks import exported_residual
from network_designs import NO_MULTIPLIER, REQUESTS, USERS
from test_synthesis import need_yosys

MODEL = f"{USERS}/bnn_residual.py:factory"
WIDE = CircuitForm(18, 8)


def need_tool(name=None, *, small=True):
    """A simulator, or that one; without it the test is skipped, but fails where CI is set and there is none at all.

    small: Icarus Verilog if it is there, which has simulated a small circuit before Verilator's would be compiled.
    """
    try:
        return find_simulator(name or ("iverilog" if small and shutil.which("iverilog") else None))
    except ToolError as error:
        if name is None and os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def tool(request, monkeypatch):
    """The only simulator that a command finds: with which it compiles nothing, or that one."""
    name = need_tool(getattr(request, "param", None))
    found = shutil.which
    others = {"verilator", "iverilog"} - {name}
    monkeypatch.setattr(
        "abcost.circuit.simulate.shutil.which", lambda program: None if program in others else found(program)
    )
    return name


def made(name="residual", *, fps=50_000.0, form=WIDE, clock_mhz=100.0, count=4):
    subject = resolve(REQUESTS[name])
    shape = subject.inputs[0].shape[1:]
    images = torch.randn((count, *shape), generator=torch.Generator().manual_seed(2))
    goal = AcceleratorGoal(device("lfe5u-85f"), fps, clock_mhz, weights="on-chip")
    circuit = make_circuit(subject, images, goal, "fpga-ecp5", form)
    return circuit, images, expected_logits(subject, circuit.rewriting, form.width, images)


@pytest.fixture(scope="module")
def circuit():
    return made()


@pytest.fixture(scope="module")
def folder(circuit, tmp_path_factory):
    """The written circuit; simulations of it are kept there."""
    place = tmp_path_factory.mktemp("built")
    write_circuit(circuit[0], place)
    return place


def simulated(circuit, folder, *, expected=None, tool=None, small=True, **ends):
    built, images, right = circuit
    wanted = right if expected is None else expected
    tool = need_tool(tool, small=small)
    return simulate_images(folder, built.net, built.top, images, wanted, ends=Ends(**ends), tool=tool)


VERILATOR = pytest.param("verilator", marks=pytest.mark.slow)
"""It compiles, which takes longer than a small circuit does in the other. Larger ones below are simulated in it."""


@pytest.mark.parametrize("tool", [VERILATOR, "iverilog"])
def test_images_equal_the_interpreter_in_the_cycles_that_were_predicted(circuit, folder, tool):
    found = simulated(circuit, folder, tool=tool)
    plan = circuit[0].schedule
    assert (found.images, found.equal, found.difference) == (4, 4, "")
    assert found.interval == plan.interval == max(stage.cycles for stage in circuit[0].net.stages)
    assert abs(found.latency - plan.latency) <= 0.02 * plan.latency


def test_images_equal_the_interpreter_with_random_stalls(circuit, folder):
    pause = 3 * circuit[0].schedule.interval
    found = simulated(circuit, folder, stalls=True, pause=pause)
    assert (found.images, found.equal) == (4, 4)


def test_a_falsified_expected_value_fails(circuit, folder):
    expected = circuit[2].clone()
    expected[2, 1] += 1
    found = simulated(circuit, folder, expected=expected)
    assert found.equal == 3
    assert (
        found.difference == f"image 2: value 1 is {int(expected[2, 1]) - 1}, expected {int(expected[2, 1])}"
    )


def copied(folder, tmp_path):
    """The written files without what was simulated."""
    shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("simulation"))
    return tmp_path / "copy"


def test_a_falsified_weight_file_fails_and_the_layer_is_named(circuit, folder, tmp_path):
    copy = copied(folder, tmp_path)
    file = copy / "rtl" / "fc_weights.hex"
    words = file.read_text().split()
    words[0] = (
        f"{int(words[0], 16) ^ 1 << 4 * len(words[0]) - 4:0{len(words[0])}x}"  # a bit of the highest digit
    )
    file.write_text("\n".join(words) + "\n")
    found = simulated(circuit, copy)
    assert found.equal < 4
    assert "layer fc gives" in found.difference


def test_a_weight_file_that_is_too_short_is_refused(circuit, folder, tmp_path):
    copy = copied(folder, tmp_path)
    file = copy / "rtl" / "fc_weights.hex"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(ToolError, match=r"fc_weights\.hex has \d+ words, its memory \d+"):
        simulated(circuit, copy)


def test_a_fifo_that_is_too_shallow_stops_the_circuit(circuit, tmp_path):
    """The shortcut around conv1 holds what comes until the first window is complete; two words are not enough."""
    built, images, right = circuit
    edge = next(edge for edge in built.net.edges if edge.residual)
    assert built.schedule.filled[edge] > 2
    shallow = {
        **built.schedule.buffers,
        edge: replace(built.schedule.buffers[edge], depth=2 + built.schedule.buffers[edge].margin),
    }
    top = top_of(built.net, shallow, {}, header="")
    falsified = replace(built, top=top)
    write_circuit(falsified, tmp_path)
    with pytest.raises(
        ToolError, match="the circuit gave no answer to every image: the simulation ended with STUCK"
    ):
        simulate_images(tmp_path, built.net, top, images, right, tool=need_tool())
    trace = trace_image(tmp_path, built.net, top, images[:1], tool=need_tool())
    assert counted(trace, ("m_axis_tvalid", "m_axis_tready")) == [0]


@pytest.mark.parametrize("name", ["reactnet_18", "birealnet_18", "xnornet_18", "bnn_18"])
@pytest.mark.slow
def test_networks_of_the_zoo(name, tmp_path):
    circuit = made(name, fps=20_000.0, form=CircuitForm(20, 9))
    write_circuit(circuit[0], tmp_path)
    plain = simulated(circuit, tmp_path, small=False)
    stalled = simulated(circuit, tmp_path, small=False, stalls=True, pause=circuit[0].schedule.interval)
    assert plain.equal == stalled.equal == 4
    assert plain.interval == circuit[0].schedule.interval


def test_a_circuit_without_multipliers(tmp_path):
    """Scales are shifts, real weights signed digits: equal to the bit, and Yosys finds no product in the Verilog."""
    yosys = need_yosys()
    circuit = made(
        "reactnet_18, no multiplier", fps=10_000.0, form=CircuitForm(16, None, NO_MULTIPLIER), count=2
    )
    write_circuit(circuit[0], tmp_path)
    found = simulated(circuit, tmp_path, small=False)
    assert (found.images, found.equal) == (2, 2)
    assert found.interval == circuit[0].schedule.interval
    exact = made("reactnet_18", fps=10_000.0, form=CircuitForm(16))
    assert products(yosys, files_of(circuit[0]), tmp_path / "none") == 0
    assert products(yosys, files_of(exact[0]), tmp_path / "some") > 0


@pytest.mark.parametrize("images", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_small_ice40_without_multipliers(images, tmp_path, capsys):
    """An HX8K has none to lack; its clock is not that of the UP5K whose delays the table has."""
    network = ["--data", "digits", "--base-width", "4", "--blocks", "1,1", "--width", "16"]
    network += ["--weight-scale", "po2", "--constant-multiply", "csd"]
    part = ["--device", "ice40hx8k", "--fps", "100", "--clock-mhz", "40", "--out", str(tmp_path)]
    if images:
        need_tool()
        part += ["--simulate", str(images)]
    assert run(["build", "reactnet_18", *network, *part]) == 0
    found = json.loads((tmp_path / "build.json").read_text())
    if images:
        seen = found["simulation"]
        assert (seen["equal"], seen["stalls"]["equal"]) == (images, images)
    estimate = found["estimate"]
    assert (estimate["dsps"], estimate["fmax_mhz"]["value"], estimate["clock_met"]) == (0, None, None)
    assert estimate["luts"] < 7680
    assert (
        "whether the clock is met is unknown: the delays of the table are of an iCE40 UP5K"
        in capsys.readouterr().err
    )


def products(yosys, files, folder):
    """Cells of type $mul in the elaborated Verilog, before anything is mapped."""
    folder.mkdir()
    sources = [text for name, text in files.items() if name.endswith(".v")]
    (folder / "all.v").write_text("\n".join(sources))
    for name, text in files.items():
        if name.endswith(".hex"):
            (folder / Path(name).name).write_text(text)
    script = "read_verilog all.v; hierarchy -top top; proc; write_json -selected out.json"
    yosys.run(script.replace("; ", "\n"), folder)
    modules = json.loads((folder / "out.json").read_text())["modules"]
    return sum(cell["type"] == "$mul" for module in modules.values() for cell in module["cells"].values())


@pytest.mark.parametrize("stalls", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_branches_side_by_side(tmp_path, stalls):
    """ReActNet-A doubles its channels by two convolutions of one input, whose shortcut is read twice."""
    circuit = made("reactnet_a", fps=1_000.0, form=CircuitForm(16), clock_mhz=60.0, count=2)
    assert {edge.passes for edge in circuit[0].net.edges} == {1, 2}
    write_circuit(circuit[0], tmp_path)
    plain = simulated(circuit, tmp_path, small=False)
    if stalls:
        stalled = simulated(circuit, tmp_path, small=False, stalls=True, pause=circuit[0].schedule.interval)
        assert stalled.equal == 2
    assert plain.equal == 2
    assert plain.interval == circuit[0].schedule.interval
    assert abs(plain.latency - circuit[0].schedule.latency) <= 0.02 * circuit[0].schedule.latency


def test_a_network_from_a_qonnx_file(tool, tmp_path):
    """Brevitas' export: a stem of 8-bit weights, which are whole numbers, signs, a shortcut, a binary classifier."""
    file = str(exported_residual(tmp_path / "net.onnx"))
    out = tmp_path / "out"
    part = ["--device", "lfe5u-85f", "--fps", "100", "--clock-mhz", "50"]
    assert run(["build", file, *part, "--out", str(out), "--simulate", "2"]) == 0
    found = json.loads((out / "build.json").read_text())["simulation"]
    assert (found["equal"], found["stalls"]["equal"]) == (2, 2)


def test_modules_and_files_are_named_after_layers(circuit):
    files = files_of(circuit[0])
    assert {
        "top.v",
        "rtl/conv1.v",
        "rtl/conv1_window.v",
        "rtl/conv1_x0_fifo.v",
        "rtl/fc_weights.hex",
    } <= files.keys()
    text = files["top.v"]
    assert "conv1 conv1_i_engine (" in text
    for port in ("s_axis_tdata", "s_axis_tvalid", "s_axis_tready", "s_axis_tlast", "m_axis_tdata", "aresetn"):
        assert port in text


@pytest.mark.parametrize("tool", [VERILATOR, "iverilog"])
def test_a_trace_shows_every_beat_of_the_first_image(circuit, folder, tool):
    """7 x 6 pixels of 2 channels, one a beat; 6 channels of each from the stem; 4 logits."""
    tool = need_tool(tool)
    built, images, _ = circuit
    stem = next(stage for stage in built.net.stages if stage.name == "stem")
    for _ in range(2):  # simulated anew: nothing is kept for an answer
        file = trace_image(folder, built.net, built.top, images[:1], tool=tool)
        beats = counted(
            file, ("s_axis_tvalid", "s_axis_tready"), ("stem_y0_valid",), ("m_axis_tvalid", "m_axis_tready")
        )
        assert beats == [7 * 6 * 2, 7 * 6 * 6 // stem.design.lanes, 4]
        text = file.read_text()
        assert all(f" {name} " in text for name in ("s_axis_tdata", "m_axis_tdata", "conv2_window_room"))
        assert "conv1_chain" not in text  # what is inside of an engine
        file.unlink()


def counted(file, *flags):
    """Rising edges of aclk at which all flags of a group were 1 before, in a value change dump (IEEE 1364-2005, 18)."""
    names, values, before, found = {}, {}, {}, [0] * len(flags)
    for line in file.read_text().splitlines():
        word = line.split()
        if line.lstrip().startswith("$var"):
            names.setdefault(word[3], set()).add(word[4])
        elif line.startswith("#"):
            if values.get("aclk") == "1" and before.get("aclk") == "0":
                found = [
                    n + all(before.get(flag) == "1" for flag in group)
                    for n, group in zip(found, flags, strict=True)
                ]
            before = dict(values)
        elif line[:1] in ("0", "1"):
            values |= dict.fromkeys(names.get(line[1:].strip(), ()), line[0])
    return found


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """Yosys, nextpnr-ecp5 and ecppack that only pretend; returns their folder."""
    folder = tmp_path / "bin"
    fake_nextpnr.install(folder)
    fake_nextpnr.install_packer(folder)
    fake_nextpnr.only_native(monkeypatch, folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def test_what_is_routed_becomes_a_bitstream(fakes, tmp_path, capsys):
    out = tmp_path / "out"
    assert run([*CALL, "--out", str(out), "--route", "--seed", "3"]) == 0
    assert (out / "top.bit").read_text().startswith("bits of seed 3, pins ''\n")
    packed = {"file": "top.bit", "tool": "ecppack 1.4-82-g3afe7b5"}
    found = json.loads((out / "build.json").read_text())
    assert found["bitstream"] == {**packed, "pins": "chosen by nextpnr: for a look, not for a board"}
    assert found["route"]["fmax_mhz"] == 53
    assert "bitstream top.bit (ecppack 1.4-82-g3afe7b5); pins chosen by nextpnr" in capsys.readouterr().err
    pins = tmp_path / "board.lpf"
    pins.write_text('LOCATE COMP "aclk" SITE "P3";\n')
    assert run([*CALL, "--out", str(out), "--route", "--pins", str(pins)]) == 0
    assert (out / "top.bit").read_text().startswith('bits of seed 1, pins \'LOCATE COMP "aclk"')
    assert json.loads((out / "build.json").read_text())["bitstream"]["pins"] == "as board.lpf says"
    (fakes / "ecppack").unlink()
    capsys.readouterr()
    assert run([*CALL, "--out", str(out), "--route"]) == 0
    assert json.loads((out / "build.json").read_text())["bitstream"] is None
    assert "no bitstream: ecppack or icepack is not there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--pins", "board.lpf"), "--pins does nothing without --route"),
        (("--route", "--pins", "board.pcf"), "reads the pins of LFE5U-85F-6CABGA756 from a file .lpf"),
        (("--route", "--pins", "fifo.lpf"), "cannot read --pins fifo.lpf: it is a FIFO"),
        (("--route", "--pins", "empty.lpf"), "--pins empty.lpf is empty"),
    ],
)
def test_pins_that_nobody_reads(more, reason, tmp_path, monkeypatch, capsys):
    model = Path(MODEL.rpartition(":")[0]).resolve()
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo.lpf")
    Path("empty.lpf").write_text("\n")
    assert run(["build", f"{model}:factory", *CALL[2:], "--out", "out", *more]) == 2
    assert reason in capsys.readouterr().err
    assert not Path("out").exists()


CALL = ["build", MODEL, "--input-size", "1x2x7x6", "--device", "lfe5u-85f", "--fps", "50000", "--width", "18"]


@pytest.mark.parametrize("tool", [VERILATOR, "iverilog"], indirect=True)
def test_the_command_writes_simulates_and_reports(tool, tmp_path, capsys):
    out = tmp_path / "out"
    assert run([*CALL, "--out", str(out), "--simulate", "3", "--trace"]) == 0
    report = json.loads((out / "build.json").read_text())
    simulation = report["simulation"]
    assert (simulation["images"], simulation["equal"], simulation["stalls"]["equal"]) == (3, 3, 3)
    assert simulation["cycles_per_image"] == report["estimate"]["cycles_per_image"]
    assert "route" not in report
    told = capsys.readouterr().err
    assert "simulated 3 of 3 images with random stalls" in told
    assert "3 of 3 images equal to the bit" in told
    assert "trace.vcd: every net of top.v during the first image" in told
    assert counted(out / "trace.vcd", ("s_axis_tvalid", "s_axis_tready")) == [7 * 6 * 2]
    assert "--trace" not in (out / "top.v").read_text()
    assert run([*CALL, "--out", str(out)]) == 0  # the same files


def test_a_changed_file_is_not_written_over(tmp_path, capsys):
    out = tmp_path / "out"
    assert run([*CALL, "--out", str(out)]) == 0
    (out / "top.v").write_text("// mine\n")
    assert run([*CALL, "--out", str(out)]) == 2
    assert "holds another top.v than this command writes" in capsys.readouterr().err


def test_what_has_no_circuit_is_refused_before_anything_is_written(tmp_path, capsys):
    out = tmp_path / "out"
    call = ["build", "reactnet_a", "--input-size", "1x3x96x96", "--base-width", "4", "--blocks", "1,1,1"]
    call += ["--device", "lfe5u-85f", "--clock-mhz", "50"]
    assert run([*call, "--out", str(out)]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: layer ")
    assert not out.exists()


def test_a_folding_whose_taps_no_memory_gives_at_once_is_refused(tmp_path, capsys):
    """Six channels: 4 taps are no part of them, and not whole pixels."""
    folding = tmp_path / "folding.json"
    folding.write_text(json.dumps({"schema": 1, "layers": {"conv1": {"pe": 1, "simd": 9}}}))
    out = tmp_path / "out"
    assert run([*CALL, "--folding", str(folding), "--out", str(out)]) == 2
    assert "layer conv1: SIMD 9 takes parts of several pixels of 6 channels" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.slow
def test_digits_as_trained(tmp_path, capsys):
    """The whole way: every test image equal, in the cycles predicted, with stalls too. Minutes."""
    need_tool()
    network = ["--base-width", "16", "--blocks", "2,2,2"]
    trained, out = tmp_path / "run", tmp_path / "out"
    train = ["train", "reactnet_18", "--data", "digits", *network, "--step", "both", "--seed", "0"]
    assert run([*train, "--run-dir", str(trained)]) == 0
    given = ["--checkpoint", str(trained / "best.pt"), "--data", "digits", *network, "--width", "12"]
    part = ["--device", "lfe5u-85f", "--fps", "1000", "--clock-mhz", "80"]
    assert run(["build", "reactnet_18", *given, *part, "--out", str(out), "--simulate", "359"]) == 0
    report = json.loads((out / "build.json").read_text())
    found, estimate = report["simulation"], report["estimate"]
    assert (found["equal"], found["stalls"]["equal"]) == (359, 359)
    assert found["cycles_per_image"] == estimate["cycles_per_image"]
    assert abs(found["latency_cycles"] - estimate["latency_cycles"]) <= 0.02 * estimate["latency_cycles"]
    capsys.readouterr()
    bits = ["--fraction-bits", str(report["fraction_bits"]), "--as", "fixed-point", "--format", "json"]
    assert run(["evaluate", "reactnet_18", *given, *bits]) == 0
    assert json.loads(capsys.readouterr().out)["top1"] == pytest.approx(found["top1"])


def test_the_verilog_lints_clean(folder):
    """Verilator -Wall. WIDTH: units extend signs and cut by assignment. UNUSEDSIGNAL: bits that a cut leaves over."""
    tool = shutil.which("verilator")
    if tool is None:
        pytest.skip("verilator is not installed")
    files = [folder / "top.v", *sorted((folder / "rtl").glob("*.v"))]
    flags = ["--lint-only", "-Wall", "-Wno-WIDTH", "-Wno-UNUSEDSIGNAL", "--language", "1364-2005"]
    done = subprocess.run(  # noqa: S603 - a fixed program on files that we wrote
        [tool, *flags, "--top-module", "top", *map(str, files)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
