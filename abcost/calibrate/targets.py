"""The targets that abcost calibrates: flow, head of the table, and what needs no measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from abcost.calibrate.delay_plan import DELAYS
from abcost.calibrate.plan import SWEEPS
from abcost.registry import unknown_name
from abcost.rtl.sweep import BITS, MOST_CELL_BITS

SHARING = ("constant_popcount", "two_word_popcount", "masked_two_word_popcount")
"""Popcounts of the same bits, side by side, that share LUTs."""

WIRING = """a shift by one constant amount is wiring: it synthesizes to no cell"""


@dataclass(frozen=True, slots=True)
class Target:
    """What `abcost calibrate NAME` measures and how the head of its table reads."""

    name: str
    title: str
    technology: str  # "fpga" | "asic"
    node: str
    flow: str
    note: str
    default_width: int = 16
    ops: tuple[str, ...] = SWEEPS
    composed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # units priced as others together
    energy: bool = False
    longest: int = BITS[-1]  # bits of a popcount; longer words are derived where they are priced by bit
    library: str = ""  # file name of the standard cells, several with commas between
    fabric: bool = False  # energy by transitions on LUTs: figures in cost_models/fabric/, by flow
    published: bool = False  # the device of the published units: their readings are measured too
    part: str = ""  # what its delays are measured on by place and route; "": nothing can be routed
    dsp: int = 18  # bits by bits that one DSP multiplies
    delays: tuple[str, ...] = tuple(
        op for op in DELAYS if op != "qprelu_add"
    )  # units whose delays are measured
    delays_like: str = (
        ""  # the target whose routed wires stand for those of this one, where nothing can be placed
    )
    mapping: str = ""  # what the LUTs are mapped for: area | delay; "": there are none
    base: str = ""  # the target that is mapped otherwise: the delays of both are those of this one
    coarse: bool = False  # a third of the points, as with --quick, but of stepped units

    def with_cells(self, name: str, library: str) -> Target:
        """The same measurements on the cells of another library, for a table of another name."""
        title = f"Standard cells of {library}, measured by synthesis"
        return replace(self, name=name, title=title, node=f"cells of {library}", library=library)

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of the table's entries."""
        if self.technology == "fpga":
            return ("luts", "ffs", "dsps")
        return ("energy_pj", "area_um2") if self.energy else ("area_um2",)


_UNITS = """Combinational units (accumulate, register, rom: with flip-flops), flattened, before placement and routing. \
XNOR-popcount: 6:3 compressors; power-of-two PReLU: a multiplexer whose select is gated by the sign."""

_AREA = "Mapped for area: a delay target of 1 us; for the least delay selects take up to three times as many LUTs."

_DELAY = (
    "Mapped for the least delay, as synthesis does by itself; so an engine is faster, and larger on ECP5."
)

_SWITCHED = """Energy: transitions of random inputs on the mapped netlist times picojoules measured on chains of \
registers; from transitions without delays that take routing (low) to all of unit delay, with glitches, once for \
each reader (high). No clock tree, leakage, or pads."""

_LOOSE = tuple(op for op in SWEEPS if op not in ("qprelu_add", "scale_dot"))
"""Where units are priced apart: cells share nothing, and a LUT4 holds little beside its own operation."""

_CELLS = tuple(
    op
    for op in _LOOSE
    if op not in ("multiply_lut", "masked_popcount", "plain_popcount", *SHARING[1:], "counter")
)
"""Standard cells have no DSPs for which another multiplier could stand in; the others take what they take apart."""

_PLAIN = tuple(op for op in _LOOSE if op != "prelu")
_PRELU = {"prelu": ("multiply", "mux")}
"""Where a PReLU wider than one DSP maps so unevenly that no law holds: its parts. Within one DSP that is what synthesis
gives; wider ones may take fewer LUTs, as a product is cut to its fraction.
"""

_OF_CELLS = f"""{_UNITS} Area: cells only. Energy: toggles of random inputs on the mapped netlist, from zero \
delay (low) to unit delay with glitches (high); absolute figures depend on the method by a factor of 2 to 5, \
ratios much less, except of deep units (multiplier, popcount) to shallow ones. No \
wires, clock tree or memory. Leakage: of the cells, the mean over the states of their inputs; a power, so no part \
of the energies."""


def _kit(name: str, whose: str, node: str, *files: str) -> Target:
    """Cells of an open process design kit in their typical corner at 25 C; files: their Liberty files."""
    cells = node.split(", ")[1].split()[1]
    return Target(
        name,
        f"Standard cells, {whose} ({cells}), measured by synthesis",
        "asic",
        f"{node}, typical, 25 C",
        "cells",
        _OF_CELLS,
        ops=_CELLS,
        longest=MOST_CELL_BITS,
        energy=True,
        library=", ".join(files),
    )


TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            "fpga-lut6",
            "FPGA with LUT6 and DSP48E1 (Xilinx 7-series), measured by synthesis",
            "fpga",
            "28 nm, 7-series",
            "xc7",
            f"""{_UNITS} {_SWITCHED}
Figures of a multiplier block and of block RAM are of other families, which stand in: their bounds are wide.""",
            published=True,
            fabric=True,
            mapping="delay",
            delays_like="fpga-ecp5",
        ),
        Target(
            "fpga-ice40",
            "FPGA with LUT4 (Lattice iCE40), measured by synthesis",
            "fpga",
            "40 nm, iCE40",
            "ice40",
            f"{_UNITS} {_AREA} LUTs are LUT4, DSPs SB_MAC16; a carry is in the cell of its LUT. \
{_SWITCHED} Of block RAM nothing is known.",
            fabric=True,
            ops=_PLAIN,
            composed=_PRELU,
            part="iCE40UP5K-SG48",
            dsp=16,
            mapping="area",
        ),
        Target(
            "fpga-ice40-delay",
            "FPGA with LUT4 (Lattice iCE40), mapped for delay, measured by synthesis",
            "fpga",
            "40 nm, iCE40",
            "ice40-delay",
            f"{_UNITS} {_DELAY} LUTs are LUT4, DSPs SB_MAC16; a carry is in the cell of its LUT. Energy is unknown.",
            ops=_PLAIN,
            composed=_PRELU,
            part="iCE40UP5K-SG48",
            dsp=16,
            mapping="delay",
            base="fpga-ice40",
            coarse=True,
        ),
        Target(
            "fpga-ecp5",
            "FPGA with LUT4 (Lattice ECP5), measured by synthesis",
            "fpga",
            "40 nm, ECP5",
            "ecp5",
            f"{_UNITS} {_AREA} LUTs are LUT4, a CCU2C counts as two; DSPs are MULT18X18D. {_SWITCHED} \
A multiplier block of other families stands in; of block RAM nothing is known.",
            fabric=True,
            ops=_PLAIN,
            composed=_PRELU,
            part="LFE5U-85F-6CABGA756",
            mapping="area",
        ),
        Target(
            "fpga-ecp5-delay",
            "FPGA with LUT4 (Lattice ECP5), mapped for delay, measured by synthesis",
            "fpga",
            "40 nm, ECP5",
            "ecp5-delay",
            f"{_UNITS} {_DELAY} LUTs are LUT4, a CCU2C counts as two; DSPs are MULT18X18D. Energy is unknown.",
            ops=_PLAIN,
            composed=_PRELU,
            part="LFE5U-85F-6CABGA756",
            mapping="delay",
            base="fpga-ecp5",
            coarse=True,
        ),
        Target(
            "asic-osu018",
            "Standard cells, OSU 180 nm (osu018), measured by synthesis",
            "asic",
            "180 nm, OSU osu018 library, 1.8 V",
            "cells",
            _OF_CELLS,
            ops=_CELLS,
            longest=MOST_CELL_BITS,
            energy=True,
            library="osu018_stdcells.lib",
        ),
        _kit(
            "asic-sky130", "SkyWater 130 nm", "130 nm, SkyWater sky130_fd_sc_hd, 1.8 V", "sky130hd_tt.lib.gz"
        ),
        _kit(
            "asic-sg13g2",
            "IHP 130 nm",
            "130 nm, IHP sg13g2_stdcell, 1.2 V",
            "sg13g2_stdcell_typ_1p20V_25C.lib.gz",
        ),
        _kit(
            "asic-gf180",
            "GlobalFoundries 180 nm",
            "180 nm, GlobalFoundries gf180mcu_fd_sc_mcu7t5v0, 3.3 V",
            "gf180mcu_fd_sc_mcu7t5v0__tt_025C_3v30.lib.gz",
        ),
        _kit(
            "asic-asap7",
            "predictive 7 nm FinFET",
            "7 nm, ASAP7 asap7sc7p5t RVT, 0.7 V, predictive",
            "asap7sc7p5t_AO_RVT_TT_nldm_211120.lib.gz",
            "asap7sc7p5t_INVBUF_RVT_TT_nldm_220122.lib.gz",
            "asap7sc7p5t_OA_RVT_TT_nldm_211120.lib.gz",
            "asap7sc7p5t_SEQ_RVT_TT_nldm_220123.lib",
            "asap7sc7p5t_SIMPLE_RVT_TT_nldm_211120.lib.gz",
        ),
        _kit(
            "asic-gt2n",
            "predictive 2 nm nanosheet",
            "2 nm, GT2N gt2_6t_w13 SVT, 0.7 V, predictive",
            "gt2_6t_w13_svt_tt_0p7v25c.lib.gz",
        ),
    )
}


def target(name: str) -> Target:
    """The target called `name`. Raises UnknownName with the nearest."""
    if name not in TARGETS:
        raise unknown_name("target to calibrate", name, TARGETS)
    return TARGETS[name]
