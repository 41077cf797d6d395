"""Integer models of the multiplier blocks of three families, as far as units without registers inside use them.

    DSP48E1      P = Z + X + Y + carry; X and Y together the product (A or A + D, 25 bits) * (B, 18 bits)
    MULT18X18D   P = A * B, 18 x 18 bits, each signed or not
    SB_MAC16     O = A * B, 16 x 16 bits, or that plus C and D in two halves

Written from the vendors' descriptions (UG479; FPGA-TN-02205; TN1295), held against Yosys' simulation models by a test.
Inputs and outputs are int64 arrays, one element per lane; what is wider than 63 bits does not occur.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abcost.errors import ToolError

Lanes = NDArray[np.int64]
Compute = Callable[[Mapping[str, Lanes]], dict[str, Lanes]]
"""Values of the input ports, not signed -> values of the output ports, of which the low bits count."""

Parameters = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Block:
    """Ports of one kind of block, port -> bits, and what makes its function from its parameters."""

    inputs: Mapping[str, int]
    outputs: Mapping[str, int]
    compute: Callable[[Parameters], Compute]
    single: bool = False  # one pin per bit (A0, A1, …) instead of one port of many bits


def _signed(value: Lanes, bits: int) -> Lanes:
    """Two's complement of the low `bits` bits."""
    low = value & ((1 << bits) - 1)
    return low - ((low >> (bits - 1) & 1) << bits)


def _refuse_registers(kind: str, parameters: Parameters, names: Mapping[str, str | int]) -> None:
    for name, plain in names.items():
        if parameters.get(name, plain) != plain:
            raise ToolError(f"{kind} with {name} = {parameters[name]}, which abcost cannot simulate")


_DSP48_REGISTERS = (
    "ADREG",
    "ALUMODEREG",
    "AREG",
    "BREG",
    "CARRYINREG",
    "CREG",
    "DREG",
    "MREG",
    "OPMODEREG",
    "PREG",
)


def _dsp48e1(parameters: Parameters) -> Compute:
    plain: dict[str, str | int] = dict.fromkeys((*_DSP48_REGISTERS, "INMODEREG", "CARRYINSELREG"), 0)
    plain["USE_SIMD"] = "ONE48"
    plain |= dict.fromkeys(
        ("IS_ALUMODE_INVERTED", "IS_CARRYIN_INVERTED", "IS_INMODE_INVERTED", "IS_OPMODE_INVERTED"), 0
    )
    _refuse_registers("a DSP48E1", parameters, plain)
    from_a, from_b = (f"{x}CIN" if parameters.get(f"{x}_INPUT") == "CASCADE" else x for x in ("A", "B"))
    multiplies, adds_first = parameters.get("USE_MULT") == "MULTIPLY", parameters.get("USE_DPORT") == "TRUE"

    def compute(ports: Mapping[str, Lanes]) -> dict[str, Lanes]:
        opmode, inmode, alumode, carry_select = (
            _constant("a DSP48E1", ports, name) for name in ("OPMODE", "INMODE", "ALUMODE", "CARRYINSEL")
        )
        a, b, c = _signed(ports[from_a], 30), _signed(ports[from_b], 18), _signed(ports["C"], 48)
        factor = np.zeros_like(a) if inmode & 2 else _signed(a, 25)
        if adds_first:
            d = _signed(ports["D"], 25) if inmode & 4 else np.zeros_like(a)
            factor = _signed(d - factor if inmode & 8 else d + factor, 25)
        product = factor * b if multiplies else np.zeros_like(a)
        cascade = _signed(ports["PCIN"], 48)
        x, y, z = opmode & 3, opmode >> 2 & 3, opmode >> 4
        zero = np.zeros_like(a)
        xs = {0: zero, 1: product, 3: (a << 18) | (b & 0x3FFFF)}
        ys = {0: zero, 1: zero, 2: zero - 1, 3: c}
        zs = {0: zero, 1: cascade, 3: c, 5: cascade >> 17}
        if x not in xs or z not in zs or carry_select or (x == 1) != (y == 1):
            raise ToolError(f"a DSP48E1 with OPMODE {opmode:07b}, which abcost cannot simulate")
        sum_xy = xs[x] + ys[y] + ports["CARRYIN"]
        sums = {0: zs[z] + sum_xy, 3: zs[z] - sum_xy, 1: sum_xy - zs[z] - 1, 2: -(zs[z] + sum_xy) - 1}
        if alumode not in sums:
            raise ToolError(f"a DSP48E1 with ALUMODE {alumode:04b}, which abcost cannot simulate")
        return {"P": sums[alumode], "PCOUT": sums[alumode], "ACOUT": a, "BCOUT": b}

    return compute


def _mult18(parameters: Parameters) -> Compute:
    registers = ("INPUTA", "INPUTB", "INPUTC", "PIPELINE", "OUTPUT")
    _refuse_registers("a MULT18X18D", parameters, {f"REG_{name}_CLK": "NONE" for name in registers})

    def compute(ports: Mapping[str, Lanes]) -> dict[str, Lanes]:
        a, b = (
            np.where(ports[f"SIGNED{name}"] != 0, _signed(ports[name], 18), ports[name])
            for name in ("A", "B")
        )
        return {"P": a * b}

    return compute


_MAC_REGISTERS = (
    "A_REG", "B_REG", "C_REG", "D_REG", "TOP_8x8_MULT_REG", "BOT_8x8_MULT_REG", "PIPELINE_16x16_MULT_REG1",
    "PIPELINE_16x16_MULT_REG2", "MODE_8x8", "NEG_TRIGGER",
)  # fmt: skip


def _mac16(parameters: Parameters) -> Compute:
    _refuse_registers("an SB_MAC16", parameters, dict.fromkeys(_MAC_REGISTERS, 0))

    def mode(name: str) -> int:
        return int(parameters.get(name, 0))

    a_signed, b_signed = mode("A_SIGNED"), mode("B_SIGNED")

    def compute(ports: Mapping[str, Lanes]) -> dict[str, Lanes]:
        a = _signed(ports["A"], 16) if a_signed else ports["A"]
        b = _signed(ports["B"], 16) if b_signed else ports["B"]
        product = a * b
        if mode("TOPOUTPUT_SELECT") == mode("BOTOUTPUT_SELECT") == 3:
            return {"O": product}
        sums = (mode("TOPOUTPUT_SELECT"), mode("BOTOUTPUT_SELECT"), mode("TOPADDSUB_UPPERINPUT"))
        others = (mode("BOTADDSUB_UPPERINPUT"), mode("TOPADDSUB_LOWERINPUT"), mode("BOTADDSUB_LOWERINPUT"))
        carries = (mode("TOPADDSUB_CARRYSELECT"), mode("BOTADDSUB_CARRYSELECT"))
        subtracts = ports["ADDSUBTOP"].any() or ports["ADDSUBBOT"].any()
        if subtracts or (sums, others, carries) != ((0, 0, 1), (1, 2, 2), (3, 0)):
            raise ToolError("an SB_MAC16 in a mode that abcost cannot simulate")
        return {"O": ((ports["C"] << 16) | ports["D"]) + product}

    return compute


def _constant(kind: str, ports: Mapping[str, Lanes], name: str) -> int:
    values = np.unique(ports[name])
    if len(values) != 1:
        raise ToolError(f"{kind} whose {name} changes, which abcost cannot simulate")
    return int(values[0])


BLOCKS: dict[str, Block] = {
    "DSP48E1": Block(
        {
            "A": 30, "B": 18, "C": 48, "D": 25, "PCIN": 48, "ACIN": 30, "BCIN": 18, "CARRYIN": 1,
            "OPMODE": 7, "INMODE": 5, "ALUMODE": 4, "CARRYINSEL": 3,
        },
        {"P": 48, "PCOUT": 48, "ACOUT": 30, "BCOUT": 18},
        _dsp48e1,
    ),
    "MULT18X18D": Block(
        {"A": 18, "B": 18, "SIGNEDA": 1, "SIGNEDB": 1}, {"P": 36}, _mult18, single=True
    ),
    "SB_MAC16": Block(
        {"A": 16, "B": 16, "C": 16, "D": 16, "ADDSUBTOP": 1, "ADDSUBBOT": 1}, {"O": 32}, _mac16
    ),
}  # fmt: skip
"""Cell -> its ports and function."""
