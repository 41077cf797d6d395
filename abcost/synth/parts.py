"""Parts that abcost can place and route on: how to map for them, what nextpnr calls them, their cells.

Unlike the flows for single units these map memories into block RAMs and LUT RAMs, for engines have both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from abcost.errors import ToolError, UsageError

MAPPINGS: dict[str, tuple[str, ...]] = {"area": ("scratchpad -set abc9.D 1000000",), "delay": ()}
"""What decides between area and delay -> Yosys commands in front of the mapping.

area: a delay target of 1 us, which no path misses, so that abc9 saves LUTs; delay: abc9's own least delay.
"""

Cells = tuple[tuple[str, str | None, float], ...]
"""(pattern of a cell's whole name, resource or None for what takes none, how many)."""


@dataclass(frozen=True, slots=True)
class Untimed:
    """Cells that nextpnr takes for registers, which they are not: paths end before and begin behind them.

    suffix: of such a cell's name in nextpnr; ns: what it takes from its inputs to its outputs; source: of ns.
    """

    suffix: str
    ns: float
    source: str


@dataclass(frozen=True, slots=True)
class Packing:
    """option: of nextpnr, for the configuration that `tool` packs; suffix: of the bitstream."""

    option: str
    tool: str
    suffix: str


@dataclass(frozen=True, slots=True)
class Part:
    """One device in one package and speed grade.

    steps: Yosys commands with {top} and {options} (of the synthesis, or nothing); no_memories: the options
    with which every memory becomes flip-flops and LUTs. options: of nextpnr; logic_cell: name of the logic
    cell in nextpnr's report; sites: pins that nextpnr must be told, where it demands them. pins: what nextpnr
    reads pins from that a user gives; packing: how the placed part becomes a bitstream (None: not here, both).
    """

    name: str
    family: str  # of nextpnr: ecp5 | ice40 | nexus
    target: str  # cost table of this family
    steps: tuple[str, ...]
    no_memories: str
    options: tuple[str, ...]
    cells: Cells
    logic_cell: str
    sites: tuple[str, ...] = ()
    untimed: Untimed | None = None
    pins: str | None = None  # lpf | pcf: an option of nextpnr, and the suffix of such files
    packing: Packing | None = None

    def counts(self, cells: Mapping[str, int]) -> dict[str, float]:
        """luts, ffs, dsps, blocks (of RAM) of a netlist. Raises ToolError for an unknown cell."""
        found: dict[str, float] = dict.fromkeys(("luts", "ffs", "dsps", "blocks"), 0.0)
        for cell, count in cells.items():
            resource, each = self._meaning(cell)
            if resource is not None:
                found[resource] += each * count
        return found

    def _meaning(self, cell: str) -> tuple[str | None, float]:
        for pattern, resource, each in self.cells:
            if re.fullmatch(pattern, cell):
                return resource, each
        raise ToolError(f"part {self.name}: cell {cell} is not known; add it to abcost/synth/parts.py")


_ECP5: Cells = (
    ("LUT4", "luts", 1),
    ("CCU2C", "luts", 2),  # two LUT4 and their carry
    (
        "TRELLIS_DPR16X4",
        "luts",
        6,
    ),  # four LUT4 of data, and two more of the slice beside them for the write port
    ("TRELLIS_FF", "ffs", 1),
    ("MULT18X18D", "dsps", 1),
    ("ALU54B", None, 0),  # in the block of its multipliers
    ("DP16KD|PDPW16KD", "blocks", 1),
    ("PFUMX|L6MUX21", None, 0),  # in the slice of their LUTs
    ("TRELLIS_IO|DCCA|EHXPLLL|OSCG|GSR|\\$scopeinfo", None, 0),  # neither logic nor memory
)
_ICE40: Cells = (
    ("SB_LUT4", "luts", 1),
    ("SB_DFF[A-Z]*", "ffs", 1),
    ("SB_MAC16", "dsps", 1),
    ("SB_RAM40_4K(NR|NW|NRNW)?", "blocks", 1),
    ("SB_SPRAM256KA", None, 0),  # memory of its own, which synthesis never infers here
    ("SB_CARRY", None, 0),  # in a logic cell: see `Routed.logic_cells`
    ("SB_IO|SB_GB|SB_GB_IO|SB_[HL]FOSC|SB_RGBA_DRV|SB_PLL40[A-Z_0-9]*|\\$scopeinfo", None, 0),
)
_ICE40_PACKING = Packing("--asc", "icepack", ".bin")
_NEXUS: Cells = (
    ("LUT4|INV", "luts", 1),
    ("WIDEFN9", "luts", 2),  # two LUT4 and the multiplexer behind them
    ("DPR16X4", "luts", 4),
    ("FD1P3[A-Z]X", "ffs", 1),
    ("MULT9X9", "dsps", 0.5),
    ("MULT(ADDSUB|PREADD)?18X18", "dsps", 1),
    ("MULT18X36", "dsps", 2),
    ("MULT36X36", "dsps", 4),
    ("P?DP(SC)?16K(_MODE)?|SP16K(_MODE)?", "blocks", 1),
    ("IB|OB|BB|OBZ|VHI|VLO|OSCA|\\$scopeinfo", None, 0),
)

PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        Part(
            "LFE5U-85F-6CABGA756",
            "ecp5",
            "fpga-ecp5",
            ("synth_ecp5{options} -top {top}",),
            " -nobram -nolutram",
            ("--85k", "--package", "CABGA756", "--speed", "6", "--lpf-allow-unconstrained"),
            _ECP5,
            "TRELLIS_COMB",
            pins="lpf",
            packing=Packing("--textcfg", "ecppack", ".bit"),
        ),
        Part(
            "iCE40UP5K-SG48",
            "ice40",
            "fpga-ice40",
            ("synth_ice40 -dsp{options} -top {top}",),
            " -nobram",
            ("--up5k", "--package", "sg48", "--pcf-allow-unconstrained", "--detailed-timing-report"),
            _ICE40,
            "ICESTORM_LC",
            untimed=Untimed(
                "_DSP",
                9.05,
                "Project IceStorm, timings_up5k.txt, SB_MAC16_MUL_S_16X16_BYPASS, B[1] to O[31], slow corner",
            ),
            pins="pcf",
            packing=_ICE40_PACKING,
        ),
        Part(
            "iCE40HX8K-CT256",
            "ice40",
            "fpga-ice40",
            ("synth_ice40{options} -top {top}",),  # no -dsp: it has no multipliers
            " -nobram",
            ("--hx8k", "--package", "ct256", "--pcf-allow-unconstrained"),
            _ICE40,
            "ICESTORM_LC",
            pins="pcf",
            packing=_ICE40_PACKING,
        ),
        Part(
            "LIFCL-40-9BG400C",
            "nexus",
            "fpga-nexus",
            ("synth_nexus -noccu2{options} -top {top}",),  # nextpnr refuses the carries of this synthesis
            " -nobram -nolutram",
            ("--device", "LIFCL-40-9BG400C", "--pdc", "pins.pdc"),
            _NEXUS,
            "OXIDE_COMB",
            sites=("L13", "E17"),  # clock and data of a module between registers
        ),
    )
}
"""Part -> how to place and route on it."""


def part(name: str) -> Part:
    """The part called `name`. Raises UsageError with the known ones."""
    if name not in PARTS:
        raise UsageError(f"no part {name!r} can be placed and routed; choose one of {', '.join(PARTS)}")
    return PARTS[name]


def part_for(device: str) -> Part | None:
    """The part of a device, whose name begins its own, or None."""
    return next((part for name, part in PARTS.items() if name.upper().startswith(device.upper())), None)


def check_mapping(mapping: str) -> str:
    """`mapping` itself. Raises UsageError unless it is in MAPPINGS."""
    if mapping not in MAPPINGS:
        raise UsageError(f"a mapping is {' or '.join(MAPPINGS)}, got {mapping!r}")
    return mapping
