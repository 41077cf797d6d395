"""Place and route: what is read from the tools, what is kept, what is refused. The tools only pretend to be."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

import fake_nextpnr
from abcost.errors import ToolError, UsageError
from abcost.rtl.registered import TOP, between_registers, registered_source
from abcost.rtl.unit import build
from abcost.synth import nextpnr as nextpnr_module
from abcost.synth.nextpnr import Nextpnr, find_nextpnr
from abcost.synth.pack import find_packer
from abcost.synth.parts import MAPPINGS, PARTS, part
from abcost.synth.route import RouteJob, Router, Step, left_out_ns, read_report, read_sources, route
from abcost.synth.sta import read_sta
from abcost.synth.tools import Yosys

ECP5 = part("LFE5U-85F-6CABGA756")
ICE40 = part("iCE40UP5K-SG48")
REPORT = Path(__file__).parent / "data" / "nextpnr_ecp5_add16.json"


@pytest.fixture
def programs(tmp_path):
    return fake_nextpnr.install(tmp_path / "bin")


@pytest.fixture
def router(programs, tmp_path):
    yosys, nextpnr = programs
    return Router(
        ECP5,
        Yosys("yosys", (str(yosys),), "1"),
        Nextpnr("nextpnr", "ecp5", (str(nextpnr),), "0.9"),
        tmp_path / "cache",
    )


def job(verilog="", *, seed=1, mapping="area", **more):
    return RouteJob(
        "a top", "top", (("unit.v", f"module top;\n{verilog}\nendmodule\n"),), seed, mapping, **more
    )


# --- what is read


def test_counts_clock_and_path_of_the_slowest_clock(router):
    routed = router.run(job(seed=3))
    # LUT4: 3, and two in each of 2 CCU2C; a block of RAM is no LUT
    assert (routed.luts, routed.ffs, routed.dsps, routed.blocks) == (3 + 2 * 2, 5, 1, 1)
    assert routed.logic_cells == 9
    assert routed.fmax_mhz == 53
    assert routed.delay_ns == pytest.approx(1000 / 53)
    assert [step.kind for step in routed.critical_path] == ["clk-to-q", "routing", "logic"]
    assert routed.critical_path[1] == Step("routing", pytest.approx(1000 / 53 - 0.75), "b", "n")
    assert routed.logic_ns == pytest.approx(0.75)
    assert routed.versions == ("yosys 1", "nextpnr-ecp5 0.9")


def test_a_real_report_of_a_16_bit_adder():
    """nextpnr-ecp5 0.11.1, seed 3: its log says 323.62 MHz."""
    counts = {"luts": 16.0, "ffs": 48.0, "dsps": 0.0, "blocks": 0.0}
    routed = read_report(json.loads(REPORT.read_text()), counts, ECP5, ("a", "b"))
    assert routed.fmax_mhz == pytest.approx(323.62, abs=0.01)
    assert routed.logic_cells == 22
    # all steps of the path make up the period
    assert sum(step.delay_ns for step in routed.critical_path) == pytest.approx(1000 / 323.62, abs=1e-3)
    assert routed.critical_path[0] == Step("clk-to-q", pytest.approx(0.525), "u0.in_TRELLIS_FF_Q_26", "")
    wires = sum(step.delay_ns for step in routed.critical_path if step.kind == "routing")
    assert routed.logic_ns + wires == pytest.approx(routed.delay_ns, abs=1e-3)


def test_a_top_without_registers_has_no_clock():
    routed = read_report({"fmax": {}, "critical_paths": [], "utilization": {}}, dict.fromkeys(
        ("luts", "ffs", "dsps", "blocks"), 0.0), ECP5, ())  # fmt: skip
    assert routed.fmax_mhz is None
    assert routed.delay_ns is None
    assert routed.critical_path == ()


@pytest.mark.parametrize(
    "report", [{}, {"fmax": {"c": {}}}, {"fmax": {"c": {"achieved": 1}}, "utilization": {}}]
)
def test_another_report_is_refused(report):
    with pytest.raises(ToolError, match="not in the form that abcost reads"):
        read_report(report, {}, ECP5, ())


def test_an_unknown_cell_is_no_zero(router):
    with pytest.raises(ToolError, match="LFE5U-85F-6CABGA756: cell MYSTERY is not known"):
        router.run(job("// strange"))


@pytest.mark.parametrize(
    ("verilog", "reason"),
    [
        ("// refused", "nextpnr failed with status 255: ERROR: no BELs remaining"),
        ("// silent", "nextpnr ended without an error but left no report of a top"),
    ],
)
def test_a_tool_that_fails(router, verilog, reason):
    with pytest.raises(ToolError, match=reason):
        router.run(job(verilog))
    assert not list(router.cache.glob("run-*"))


# --- what is kept


def test_an_answer_is_kept_for_every_clock(router, programs):
    first = router.run(job())
    assert router.run(job(clock_mhz=25)) == first
    assert fake_nextpnr.started(programs[0].parent) == [
        "yosys",
        "nextpnr --85k --package CABGA756 --speed 6 --lpf-allow-unconstrained --json netlist.json "
        "--report report.json --timing-allow-fail -q --freq 100 --seed 1",
    ]


def test_seeds_share_the_netlist(router, programs):
    router.run_all([job(seed=seed) for seed in (1, 2, 3)], workers=1)
    starts = [line.split()[0] for line in fake_nextpnr.started(programs[0].parent)]
    assert starts == ["yosys", "nextpnr", "nextpnr", "nextpnr"]


def test_one_netlist_of_two_mappings_is_placed_once(router, programs):
    """The pretended synthesis maps alike for both."""
    area, delay = (router.run(job(mapping=mapping)) for mapping in MAPPINGS)
    assert area == delay
    starts = [line.split()[0] for line in fake_nextpnr.started(programs[0].parent)]
    assert starts == ["yosys", "nextpnr", "yosys"]


def test_a_damaged_answer_is_made_again(router):
    first = router.run(job())
    for file in router.cache.glob("??/*"):
        file.write_text("{")
    assert router.known(job()) is None
    assert router.run(job()) == first


def test_everything_that_decides_is_in_the_key(router):
    jobs = [
        job(),
        job(seed=2),
        job(mapping="delay"),
        job(hierarchy=True),
        job(memories=False),
        job("// other"),
        job(pins="LOCATE"),
        job(pins="LOCATE other"),
        job(seed=12, clock_mhz=12),
        job(seed=80, clock_mhz=80),
    ]
    assert len({router.key(one) for one in jobs}) == len(jobs)
    other = Router(ECP5, router.yosys, replace(router.nextpnr, version="1.0"), router.cache)
    assert other.key(job()) != router.key(job())


def test_the_placed_configuration_is_kept_where_it_is_asked_for(router, programs):
    first = router.run(job())
    assert router.run_configured(job()) == (first, b"seed 1, pins ''\n" + b"module top;\n\nendmodule\n")
    assert router.run_configured(job(clock_mhz=25)) == router.run_configured(job())
    starts = fake_nextpnr.started(programs[0].parent)
    assert [line.split()[0] for line in starts] == ["yosys", "nextpnr", "nextpnr"]
    assert "--textcfg" not in starts[1]
    assert starts[2] == f"{starts[1]} --textcfg placed.txt"
    (kept,) = router.cache.glob("??/*-placed.gz")
    kept.write_bytes(b"{")
    assert router.run_configured(job())[0] == first
    assert len(fake_nextpnr.started(programs[0].parent)) == 4


def test_pins_of_the_user_are_those_of_all_ports(router, programs):
    placed = router.run_configured(job(pins="LOCATE"))[1]
    assert placed.startswith(b"seed 1, pins 'LOCATE'")
    options = fake_nextpnr.started(programs[0].parent)[1]
    assert "--lpf pins.txt" in options
    assert "unconstrained" not in options


def test_no_configuration_is_no_bitstream(router):
    with pytest.raises(ToolError, match="left no report"):
        router.run_configured(job("// silent"))
    nexus = Router(part("LIFCL-40-9BG400C"), router.yosys, router.nextpnr, router.cache)
    with pytest.raises(ToolError, match="LIFCL-40-9BG400C: nothing packs a bitstream"):
        nexus.run_configured(job())
    assert find_packer(nexus.part) is None


def test_a_native_packer(programs, monkeypatch):
    folder = programs[0].parent
    fake_nextpnr.only_native(monkeypatch, folder)
    assert find_packer(ECP5) is None
    fake_nextpnr.install_packer(folder)
    packer = find_packer(ECP5)
    assert (str(packer), packer.suffix) == ("ecppack 1.4-82-g3afe7b5", ".bit")
    assert packer.pack(b"a part") == b"bits of a part"


def test_failures_leave_the_other_jobs_alone(router):
    answers = router.run_all([job(), job("// refused")], workers=1)
    kinds = sorted(type(answer).__name__ for answer in answers.values())
    assert kinds == ["Routed", "ToolError"]


# --- scripts


def test_scripts_say_the_mapping_and_what_stays_apart(router):
    area = router.script(job()).splitlines()
    assert area[0] == "scratchpad -set abc9.D 1000000"
    assert area[1:3] == ["read_verilog unit.v", "synth_ecp5 -top top"]
    assert router.script(job(mapping="delay")).splitlines() == area[1:]
    assert "synth_ecp5 -noflatten -top top" in router.script(job(hierarchy=True))
    assert "synth_ecp5 -nobram -nolutram -top top" in router.script(job(memories=False))


def test_an_hx8k_is_mapped_without_multipliers(router):
    """It has none; with -dsp Yosys would take what a UP5K has."""
    hx8k = Router(part("iCE40HX8K-CT256"), router.yosys, router.nextpnr, router.cache)
    assert "synth_ice40 -top top" in hx8k.script(job())
    assert hx8k.options(job())[:3] == ["--hx8k", "--package", "ct256"]


def test_data_files_are_there_but_not_read_as_verilog(router, tmp_path):
    for name in ("top.v", "words.hex"):
        (tmp_path / name).write_text("// text\n")
    sources = read_sources([tmp_path / "top.v"], [tmp_path / "words.hex"])
    assert [name for name, _ in sources] == ["top.v", "words.hex"]
    script = router.script(RouteJob("top", "top", sources, 1, "area"))
    assert "read_verilog top.v" in script
    assert "words.hex" not in script


# --- what is refused


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda: job(mapping="speed"), "a mapping is area or delay, got 'speed'"),
        (lambda: job(seed=-1), "a seed is an integer from 0"),
        (lambda: job(clock_mhz=0), "a clock is above 0"),
        (
            lambda: part("xc7z020"),
            "no part 'xc7z020' can be placed and routed; choose one of LFE5U-85F-6CABGA756",
        ),
    ],
)
def test_bad_questions(fault, reason):
    with pytest.raises(UsageError, match=reason):
        fault()


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "a").mkdir()
    for file in (tmp_path / "top.v", tmp_path / "a" / "top.v"):
        file.write_text("")
    with pytest.raises(ToolError, match=r"two files are called top\.v"):
        read_sources([tmp_path / "top.v", tmp_path / "a" / "top.v"])
    with pytest.raises(ToolError, match="cannot be read"):
        read_sources([tmp_path / "none.v"])


def test_absent_tool_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(nextpnr_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ToolError, match=r"no nextpnr for ice40 found.*abcost\[route\].*apt install nextpnr-ice40"
    ):
        find_nextpnr("ice40")
    with pytest.raises(ToolError, match=r"no nextpnr for nexus found.*nextpnr-nexus on PATH$"):
        find_nextpnr("nexus")
    with pytest.raises(ToolError, match="choose yowasp-nextpnr or nextpnr"):
        find_nextpnr("ice40", "vivado")


def test_native_tool_on_path(programs, monkeypatch):
    monkeypatch.setenv("PATH", str(programs[1].parent))
    found = find_nextpnr("ecp5", "nextpnr")
    assert str(found) == "nextpnr-ecp5 0.9-1+b1"


# --- what nextpnr leaves out


def net(driver, event, *ends, at="posedge clk"):
    """As nextpnr-ice40 0.11 reports it: when a net arrives at (cell, ns, ns), for which edge."""
    return {
        "driver": driver, "event": event, "net": "n", "port": "O",
        "endpoints": [{"cell": cell, "delay": [early, late], "event": at, "port": "I"} for cell, early, late in ends],
    }  # fmt: skip


def timed(*nets):
    """A report of a design of 125 MHz."""
    return {
        "fmax": {"clk": {"achieved": 125.0}},
        "critical_paths": [{"from": "posedge clk", "to": "posedge clk", "path": []}],
        "utilization": {},
        "detailed_net_timings": [*nets, {"driver": "constant", "endpoints": [], "net": "gnd", "port": "O"}],
    }


def test_a_multiplier_block_of_ice40_is_no_register(router):
    """5.3 ns to the block at most, 9.05 through it (IceStorm), 4.0 to a register behind a LUT: 18.35 in all."""
    report = timed(
        net("in_DFFLC", "posedge clk", ("mul_DSP", 4.0, 5.3), at="posedge gnd"),
        net("in_DFFLC", "posedge clk", ("other_LC", 9.0, 9.9)),
        net("mul_DSP", "posedge gnd", ("lut_LC", 3.0, 3.1)),
        net("lut_LC", "posedge gnd", ("out_DFFLC", 4.0, 4.0)),
    )
    counts = dict.fromkeys(("luts", "ffs", "dsps", "blocks"), 0.0)
    routed = read_report(report, counts, ICE40, ())
    assert routed.through_ns == pytest.approx(5.3 + 9.05 + 4.0)
    assert left_out_ns(routed) == pytest.approx(18.35 - 1000 / 125)
    assert left_out_ns(replace(routed, fmax_mhz=20.0)) == 0  # 50 ns are longer than that
    without = read_report(timed(), counts, ICE40, ())
    assert (without.through_ns, left_out_ns(without)) == (None, 0)
    assert "--detailed-timing-report" in ICE40.options


def test_a_multiplier_block_that_took_registers_in_ends_paths():
    """What comes to it and what it sends are in two cycles: 6.0 + 9.05 is the longer one."""
    report = timed(
        net("in_DFFLC", "posedge clk", ("mul_DSP", 5.0, 6.0)),
        net("mul_DSP", "posedge clk", ("out_DFFLC", 4.0, 4.5)),
        net("in_DFFLC", "posedge clk", ("other_LC", 9.0, 9.9)),
    )
    counts = dict.fromkeys(("luts", "ffs", "dsps", "blocks"), 0.0)
    assert read_report(report, counts, ICE40, ()).through_ns == pytest.approx(6.0 + 9.05)


# --- a module between registers


def test_registers_in_front_and_behind():
    text = between_registers("unit", {"a": 3, "b": 2}, {"y": 4}, clock="clk")
    assert "reg [4:0] in;" in text
    assert "in <= {in[3:0], si};" in text
    assert "unit inside (.clk(clk), .a(in[0 +: 3]), .b(in[3 +: 2]), .y(made[0 +: 4]));" in text
    assert "(* keep *) reg [3:0] out;" in text
    assert "clear" not in text
    apart = between_registers("unit", {"a": 1}, {"y": 1}, clock=None, clear="behind")
    assert "always @(posedge clk or posedge clear) if (clear) out <= 0; else out <= made;" in apart
    assert "unit inside (.a(in[0 +: 1])" in apart


# --- before placement


def test_timing_before_placement():
    said = "6. Executing STA pass.\nLatest arrival time in 'registered' is 1631:\n    1631 $a (FDRE.D)\n"
    assert read_sta(said, "add") == 1.631
    with pytest.raises(ToolError, match="add: the timing analysis knows no times of CARRY4"):
        read_sta("Warning: Module 'CARRY4' has no timing arcs!\n" + said, "add")
    with pytest.raises(ToolError, match="no times of DSP48E1"):
        read_sta("Warning: Cell type 'DSP48E1' not recognised! Ignoring.\n" + said, "add")
    with pytest.raises(ToolError, match="found no path"):
        read_sta("No timing paths found.\n", "add")


# --- the real tools


@pytest.mark.slow
@pytest.mark.parametrize("chosen", [ECP5, ICE40], ids=lambda chosen: chosen.family)
def test_a_real_adder_between_registers(chosen, tmp_path):
    """16 full adders; 32 registers in front, 16 behind. Clocks: 318 to 334 MHz on ECP5, above 70 on iCE40."""
    if importlib.util.find_spec(f"yowasp_nextpnr_{chosen.family}") is None:
        pytest.skip(f"needs yowasp-nextpnr-{chosen.family}: pip install 'abcost[route]'")
    file = tmp_path / "unit.v"
    file.write_text(registered_source(build("add", width=16)))
    first = route([file], TOP, chosen.name, seed=1)
    assert (first.luts, first.ffs, first.dsps, first.blocks) == (16, 48, 0, 0)
    assert first.logic_cells >= 16
    low, high = (310, 345) if chosen is ECP5 else (70, 110)
    assert low < first.fmax_mhz < high
    assert {step.kind for step in first.critical_path} == {"clk-to-q", "routing", "logic", "setup"}
    again = Router.find(chosen.name, cache=tmp_path / "cache").run(
        RouteJob(TOP, TOP, read_sources([file]), 1, "area")
    )
    assert again == first  # one seed, one placement


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chosen", "start"),
    [
        (ECP5, b"\xff\xff\xbd\xb3"),  # preamble: Lattice FPGA-TN-02039, ECP5 sysCONFIG
        (ICE40, b"\x7e\xaa\x99\x7e"),  # synchronisation: Lattice TN1248, iCE40 configuration
    ],
    ids=lambda value: getattr(value, "family", ""),
)
def test_a_real_bitstream(chosen, start, tmp_path):
    if importlib.util.find_spec(f"yowasp_nextpnr_{chosen.family}") is None:
        pytest.skip(f"needs yowasp-nextpnr-{chosen.family}: pip install 'abcost[route]'")
    file = tmp_path / "unit.v"
    file.write_text(registered_source(build("add", width=4)))
    router = Router.find(chosen.name, cache=tmp_path / "cache")
    _, placed = router.run_configured(RouteJob(TOP, TOP, read_sources([file]), 1, "area"))
    assert start in find_packer(chosen).pack(placed)[:1000]


def test_every_part_is_whole():
    for name, chosen in PARTS.items():
        assert chosen.name == name
        assert chosen.counts({chosen.cells[0][0].split("|")[0]: 2})["luts"] == 2 * chosen.cells[0][2]
