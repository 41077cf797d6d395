"""Synthesis flows: which Yosys script, and which cells of its netlist are which resource.

A cell that a flow does not know is an error: an unknown cell must not count as nothing. Counts are before
placement. Units hold no memories, so the scripts leave out the mapping of block RAM and LUT RAM, which would
read large libraries for nothing; shift registers (SRL) are left out too: registers stay flip-flops.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from abcost.errors import ToolError, UsageError

LIBERTY, OUTLINE = "cells.lib", "outline.lib"
"""How a script without paths names the Liberty file, and the one with areas, pins and flip-flops of the same cells.

Timing is what `abc` alone reads; it is most of the text, and Yosys would read all of it for each command.
"""

Resources = dict[str, float]
"""luts, ffs and dsps (counts), or area_um2: a flow gives those that it knows."""


@dataclass(frozen=True, slots=True)
class Flow:
    """steps: Yosys commands with {top}, {liberty}, {outline}; cells: (pattern of a cell's name, resource, how many)."""

    name: str
    title: str
    steps: tuple[str, ...]
    cells: tuple[tuple[str, str | None, int], ...]
    technology: str = "fpga"

    def script(
        self, top: str, liberty: str = LIBERTY, outline: str = OUTLINE, *, netlist: bool = False
    ) -> str:
        """Commands that map the module `top` of unit.v and leave its statistics (and its netlist).

        liberty, outline: paths of the files, absolute where it runs: `abc` fails silently on a relative one.
        """
        steps = [step.format(top=top, liberty=liberty, outline=outline) for step in self.steps]
        stat = "stat -json" + (f" -liberty {outline}" if self.technology == "asic" else "")
        keep = list(self._netlist(top)) if netlist else []
        return "\n".join([*steps, f"tee -q -o stat.json {stat}", *keep]) + "\n"

    def _netlist(self, top: str) -> tuple[str, ...]:
        """Commands that leave the netlist of the module alone, what it kept apart included.

        Libraries of FPGAs describe their flip-flops as processes, which write_json refuses.
        """
        if self.technology == "asic":
            return ("write_json netlist.json",)
        return (
            "setattr -mod -unset keep_hierarchy *",
            "flatten",
            f"select {top}",
            "write_json -selected netlist.json",
        )

    def resources(self, cells: Mapping[str, int], area: float | None) -> Resources:
        """Resources of a netlist. Raises ToolError for a cell that the flow does not know."""
        if self.technology == "asic":
            if area is None:
                raise ToolError("the synthesizer gave no area; is the Liberty file complete?")
            return {"area_um2": area}
        found: Resources = dict.fromkeys(("luts", "ffs", "dsps"), 0.0)
        for cell, count in cells.items():
            resource, each = self._meaning(cell)
            if resource is not None:
                found[resource] += each * count
        return found

    def _meaning(self, cell: str) -> tuple[str | None, int]:
        for pattern, resource, each in self.cells:
            if re.fullmatch(pattern, cell):
                return resource, each
        raise ToolError(f"flow {self.name} does not know the cell {cell}; add it to its table")


def _xc7(*options: str) -> tuple[str, ...]:
    flags = " ".join(["-nobram -nolutram -nosrl -noiopad -noclkbuf -flatten", *options])
    return (
        "read_verilog -lib -specify +/xilinx/cells_sim.v",
        "read_verilog unit.v",
        "hierarchy -check -top {top}",
        f"synth_xilinx {flags} -top {{top}} -run prepare:map_memory",
        "opt -fast -full",
        "memory_map",
        f"synth_xilinx {flags} -top {{top}} -run fine:check",
    )


_XC7_CELLS = (
    ("LUT[1-6]|INV", "luts", 1),
    ("FD[RSPC]E(_1)?", "ffs", 1),
    ("DSP48E1", "dsps", 1),
    ("CARRY4|MUXF[789]|\\$scopeinfo", None, 0),  # in the slice of their LUTs
)

_FOR_AREA = ("scratchpad -set abc9.D 1000000",)
"""A delay target of 1 us, so that LUT4s are mapped for area. By itself abc9 maps for the least delay and pays with
up to three times the LUTs on ECP5, unevenly: 53 instead of 28 for a three-way select of 16 bits. On iCE40 it does not
pay: by itself it takes as few or fewer LUTs (113 instead of 118 for a popcount of 64 bits).
"""

_ECP5_CELLS = (
    ("LUT4", "luts", 1),
    ("CCU2C", "luts", 2),  # two LUT4 and their carry
    ("TRELLIS_FF", "ffs", 1),
    ("MULT18X18D", "dsps", 1),
    ("PFUMX|L6MUX21|\\$scopeinfo", None, 0),  # in the slice of their LUTs
)
_ICE40_CELLS = (
    ("SB_LUT4", "luts", 1),
    ("SB_DFF[A-Z]*", "ffs", 1),
    ("SB_MAC16", "dsps", 1),
    ("SB_CARRY|\\$scopeinfo", None, 0),  # in the logic cell of its LUT
)
_ICE40 = ("read_verilog unit.v", "synth_ice40 -dsp -nobram -top {top}")
_ECP5 = ("read_verilog unit.v", "synth_ecp5 -nobram -nolutram -top {top}")

FLOWS: dict[str, Flow] = {
    flow.name: flow
    for flow in (
        Flow("xc7", "Xilinx 7-series, LUT6, CARRY4 and DSP48E1", _xc7(), _XC7_CELLS),
        Flow(
            "xc7-blocks",
            "Xilinx 7-series with its block RAM",
            (
                "read_verilog -lib -specify +/xilinx/cells_sim.v",
                "read_verilog unit.v",
                "hierarchy -check -top {top}",
                "synth_xilinx -nosrl -noiopad -noclkbuf -flatten -top {top} -run prepare:check",
            ),
            (*_XC7_CELLS, ("RAMB(18|36)E1", None, 0)),  # blocks are counted where memories are
        ),
        Flow("xc7-nodsp", "Xilinx 7-series without DSP48E1", _xc7("-nodsp"), _XC7_CELLS),
        Flow(
            "lut6",
            "any LUT6 fabric without carry chains",
            ("read_verilog unit.v", "synth -flatten -top {top} -lut 6"),
            (
                ("\\$lut", "luts", 1),
                ("\\$_NOT_", "luts", 1),
                ("\\$_S?DFFE?_[A-Z0-9]+_", "ffs", 1),
                ("\\$scopeinfo", None, 0),
            ),
        ),
        Flow("ice40", "Lattice iCE40, LUT4 with carry", (*_FOR_AREA, *_ICE40), _ICE40_CELLS),
        Flow("ice40-delay", "Lattice iCE40, LUT4 with carry, for delay", _ICE40, _ICE40_CELLS),
        Flow("ecp5", "Lattice ECP5, LUT4 with carry", (*_FOR_AREA, *_ECP5), _ECP5_CELLS),
        Flow("ecp5-delay", "Lattice ECP5, LUT4 with carry, for delay", _ECP5, _ECP5_CELLS),
        Flow(
            "cells",
            "standard cells of a Liberty file",
            (
                "read_verilog unit.v",
                "synth -flatten -top {top}",
                "dfflibmap -liberty {outline}",
                "abc -liberty {liberty}",
                "opt_clean -purge",
            ),
            (),
            technology="asic",
        ),
    )
}


def flow(name: str) -> Flow:
    """The flow called `name`. Raises UsageError with the known ones."""
    if name not in FLOWS:
        raise UsageError(f"no synthesis flow {name!r}; choose one of {', '.join(FLOWS)}")
    return FLOWS[name]
