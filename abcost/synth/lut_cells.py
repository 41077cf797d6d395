"""The cells of three FPGA families as gates of one output each, for the simulator of netlists.

    LUT1..6, INV, CARRY4, MUXF7..9, FD?E, DSP48E1       Xilinx 7-series (UG474, UG479)
    LUT4, CCU2C, PFUMX, L6MUX21, TRELLIS_FF, MULT18X18D Lattice ECP5 (FPGA-TN-02205, FPGA-DS-02012)
    SB_LUT4, SB_CARRY, SB_DFF*, SB_MAC16                Lattice iCE40 (iCE Technology Library)

A carry cell is taken apart bit by bit; nets between its bits are its own. A pin says how a signal reaches it: over the
routing fabric, over a wire of its own (carries, the inputs of wide multiplexers), or beside the LUT that drives it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from abcost.errors import ToolError
from abcost.synth.dsp_cells import BLOCKS, Block, Lanes
from abcost.synth.function import Function, Words
from abcost.synth.lut_functions import composed, formula, lut

Bit = object
"""A bit of Yosys' JSON: a number, "0", "1" or "x"; or a net inside a cell, a tuple."""

STATE = "IQ"
"""What the function of a flip-flop's output calls its state."""

OWN = "own wire"
BESIDE = "beside a LUT"
BEHIND = "behind a carry"
"""Ways to a pin: OWN never takes routing; BESIDE takes none from LUTs and carries, which share its logic cell; BEHIND
takes none from a carry.
"""


@dataclass(frozen=True, slots=True)
class Gate:
    """A combinational part of a cell: bits that it reads, by name, and functions of the bits that it drives."""

    inputs: Mapping[str, Bit]
    outputs: Mapping[Bit, Function]
    ways: Mapping[str, str] = field(default_factory=dict)  # input -> OWN or BESIDE; the others are routed


@dataclass(frozen=True, slots=True)
class Register:
    """A flip-flop clocked by the rising edge of `clock`; `following`: its next state, from inputs and STATE."""

    clock: Bit
    inputs: Mapping[str, Bit]
    output: Bit | None
    following: Function
    ways: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RawCell:
    """One cell of Yosys' JSON. Parameters: numbers, or texts without blanks around them."""

    name: str
    kind: str
    parameters: Mapping[str, str | int]
    pins: Mapping[str, Sequence[Bit]]

    def bit(self, pin: str, index: int = 0, *, default: str = "0") -> Bit:
        """One bit of a pin; `default` where nothing is connected. An input that may be anything counts as 0."""
        bits = self.pins.get(pin, ())
        found = bits[index] if index < len(bits) else default
        return "0" if found in ("x", "z") else found

    def driven(self, pin: str, index: int = 0) -> Bit | None:
        """The bit that an output drives, None if it drives none."""
        bits = self.pins.get(pin, ())
        return bits[index] if index < len(bits) and not isinstance(bits[index], str) else None

    def number(self, name: str, default: int = 0) -> int:
        """A parameter as a number. Raises ToolError."""
        value = self.parameters.get(name, default)
        if isinstance(value, str):
            raise ToolError(f"parameter {name} of {self.kind} is {value!r}, no number")
        return value

    def text(self, name: str, default: str) -> str:
        """A parameter as text."""
        return str(self.parameters.get(name, default))


def parameter_value(raw: object) -> str | int:
    """A parameter of Yosys' JSON: bits, lowest last, are a number; text stays text."""
    if isinstance(raw, int):
        return raw
    text = str(raw)
    if re.fullmatch("[01]+", text):
        return int(text, 2)
    if re.fullmatch("[01xz]+", text):
        return int(re.sub("[xz]", "0", text), 2)
    return text.strip()


Part = Gate | Register


def parts_of(cell: RawCell) -> Iterator[Part]:
    """What a cell is made of. Raises ToolError for one that cannot be simulated."""
    for pattern, maker in _MAKERS:
        if re.fullmatch(pattern, cell.kind):
            return maker(cell)
    if cell.kind in BLOCKS:
        return _block(cell, BLOCKS[cell.kind])
    raise ToolError("a cell that abcost cannot simulate; it knows those of 7-series, ECP5 and iCE40")


_SHORT = {
    OWN: re.compile(".*"),
    BESIDE: re.compile("LUT[1-6]|INV|CARRY4|MUXF[789]|CCU2C|PFUMX|L6MUX21|SB_LUT4|SB_CARRY"),
    BEHIND: re.compile("SB_CARRY"),
}


def is_routed(way: str, driver: str) -> bool:
    """Whether the routing fabric brings a signal this way from a cell of the kind `driver` ("": from outside)."""
    return way not in _SHORT or not _SHORT[way].fullmatch(driver)


def _gate(
    output: Bit | None, function: Function, inputs: Mapping[str, Bit], ways: Mapping[str, str] | None = None
) -> Iterator[Part]:
    if output is not None:
        yield Gate({name: inputs[name] for name in function.names}, {output: function}, ways or {})


def _look_up(
    cell: RawCell, names: Sequence[str], init: str, output: str, ways: Mapping[str, str]
) -> Iterator[Part]:
    function = lut(cell.number(init), tuple(names))
    return _gate(cell.driven(output), function, {name: cell.bit(name) for name in names}, ways)


def _xc7_lut(cell: RawCell) -> Iterator[Part]:
    return _look_up(cell, [f"I{i}" for i in range(int(cell.kind[3]))], "INIT", "O", {})


def _inverter(cell: RawCell) -> Iterator[Part]:
    return _gate(cell.driven("O"), formula("!I"), {"I": cell.bit("I")})


def _carry4(cell: RawCell) -> Iterator[Part]:
    """O = S ^ carry in; carry out = S ? carry in : DI. The first carry in is CI or CYINIT."""
    into = ("inside", cell.name, "in")
    starts = {"CI": cell.bit("CI"), "CYINIT": cell.bit("CYINIT")}
    yield Gate(starts, {into: formula("CI + CYINIT")}, {"CI": OWN})
    before: Bit = into
    for i in range(4):
        after = cell.driven("CO", i)
        after = ("inside", cell.name, i) if after is None else after
        inputs = {"CI": before, "S": cell.bit("S", i), "DI": cell.bit("DI", i)}
        ways = {"CI": OWN, "S": BESIDE, "DI": BESIDE}
        yield Gate(inputs, {after: formula("(S CI) + (!S DI)")}, ways)
        yield from _gate(
            cell.driven("O", i), formula("S ^ CI"), {"S": inputs["S"], "CI": before}, {"CI": OWN, "S": OWN}
        )
        before = after


def _mux(names: tuple[str, str, str], output: str) -> Callable[[RawCell], Iterator[Part]]:
    """names: input for select 0, for select 1, select."""
    zero, one, select = names

    def make(cell: RawCell) -> Iterator[Part]:
        inputs = {name: cell.bit(name) for name in names}
        text = f"({select} {one}) + (!{select} {zero})"
        return _gate(cell.driven(output), formula(text), inputs, {zero: OWN, one: OWN})

    return make


def _xc7_register(cell: RawCell) -> Iterator[Part]:
    """FDRE, FDSE: synchronous reset or set before the enable; FDCE, FDPE only where theirs is tied off."""
    for name in ("IS_C_INVERTED",):
        if cell.number(name):
            raise ToolError("a flip-flop of the falling edge, which abcost cannot simulate")
    clear = {"R": "R", "S": "S", "C": "CLR", "P": "PRE"}[cell.kind[2]]
    if cell.kind[2] in "CP" and cell.bit(clear) != "0":
        raise ToolError("a flip-flop with clear or preset, which abcost cannot simulate")
    data = "!D" if cell.number("IS_D_INVERTED") else "D"
    reset = "!R" if cell.number(f"IS_{clear}_INVERTED") and cell.kind[2] in "RS" else "R"
    kept = f"(CE {data}) + (!CE {STATE})"
    following = {"S": f"({reset}) + ({kept})"}.get(cell.kind[2], f"!({reset}) ({kept})")
    inputs = {"D": cell.bit("D"), "CE": cell.bit("CE", default="1"), "R": cell.bit(clear)}
    yield Register(cell.bit("C"), inputs, cell.driven("Q"), formula(following), {"D": BESIDE})


def _ecp5_lut(cell: RawCell) -> Iterator[Part]:
    return _look_up(cell, "ABCD", "INIT", "Z", {})


def _ccu2c(cell: RawCell) -> Iterator[Part]:
    """Two LUT4 L with carries: S = L ^ carry in; carry out = L ? carry in : the LUT2 of A and B in the same INIT.

    INJECT1 takes the carry in out of the sum, and the LUT2 out of the carry.
    """
    into = cell.bit("CIN")
    for i in (0, 1):
        init, injected = cell.number(f"INIT{i}"), cell.text(f"INJECT1_{i}", "YES") == "YES"
        inner = {"L": lut(init, tuple("ABCD")), "G": lut(0 if injected else init & 15, tuple("AB"))}
        inputs = {name: cell.bit(f"{name}{i}") for name in "ABCD"} | {"CI": into}
        total = inner["L"] if injected else composed("L ^ CI", inner)
        yield from _gate(cell.driven(f"S{i}"), total, inputs, {"CI": OWN})
        out = cell.driven("COUT") if i else ("inside", cell.name, i)
        ways = {"CI": OWN} | dict.fromkeys("ABCD", OWN)  # their way is counted where they enter the sum
        yield from _gate(
            out, composed("(!L G) + (L CI)", inner), inputs, ways if cell.driven(f"S{i}") else {"CI": OWN}
        )
        into = out


def _ecp5_register(cell: RawCell) -> Iterator[Part]:
    if cell.text("CLKMUX", "CLK") == "INV":
        raise ToolError("a flip-flop of the falling edge, which abcost cannot simulate")
    reset = "!LSR" if cell.text("LSRMUX", "LSR") == "INV" else "LSR"
    if cell.text("SRMODE", "LSR_OVER_CE") == "ASYNC" and cell.bit("LSR") != ("1" if reset[0] == "!" else "0"):
        raise ToolError("a flip-flop with clear or preset, which abcost cannot simulate")
    enable = {"1": "1", "0": "0", "INV": "!CE"}.get(str(cell.parameters.get("CEMUX", "1")), "CE")
    kept = f"(({enable}) DI) + (!({enable}) {STATE})"
    following = f"({reset}) + ({kept})" if cell.text("REGSET", "RESET") == "SET" else f"!({reset}) ({kept})"
    inputs = {name: cell.bit(name) for name in ("DI", "CE", "LSR")}
    yield Register(cell.bit("CLK"), inputs, cell.driven("Q"), formula(following), {"DI": BESIDE})


def _ice40_lut(cell: RawCell) -> Iterator[Part]:
    return _look_up(cell, [f"I{i}" for i in range(4)], "LUT_INIT", "O", {"I3": BEHIND})


def _ice40_carry(cell: RawCell) -> Iterator[Part]:
    """The majority; its I0 and I1 are the wires of the LUT in the same logic cell."""
    inputs = {name: cell.bit(name) for name in ("I0", "I1", "CI")}
    return _gate(
        cell.driven("CO"), formula("(I0 I1) + (CI I0) + (CI I1)"), inputs, {"CI": OWN, "I0": OWN, "I1": OWN}
    )


def _ice40_register(cell: RawCell) -> Iterator[Part]:
    """SB_DFF, then E (enable), then SR, SS (synchronous) or R, S (asynchronous)."""
    options = cell.kind.removeprefix("SB_DFF")
    enabled, control = options.startswith("E"), options.removeprefix("E")
    if control.startswith("N"):
        raise ToolError("a flip-flop of the falling edge, which abcost cannot simulate")
    pin = "S" if control in ("SS", "S") else "R"
    if control in ("R", "S") and cell.bit(pin) != "0":
        raise ToolError("a flip-flop with clear or preset, which abcost cannot simulate")
    wanted = {"": "D", "R": "D", "S": "D", "SR": "!R D", "SS": "R + D"}[control]
    following = f"(E ({wanted})) + (!E {STATE})" if enabled else wanted
    inputs = {"D": cell.bit("D"), "R": cell.bit(pin), "E": cell.bit("E", default="1")}
    yield Register(cell.bit("C"), inputs, cell.driven("Q"), formula(following), {"D": BESIDE})


class _Memo:
    """The outputs of one block for the inputs that were asked for last."""

    def __init__(self, cell: RawCell, block: Block, names: tuple[str, ...]) -> None:
        self.block, self.names = block, names
        self.compute = block.compute(cell.parameters)
        self.last: Words | None = None
        self.bits: dict[str, list[Words]] = {}

    def output(self, port: str, index: int, values: Mapping[str, Words]) -> Words:
        """One bit of one output port."""
        given = np.stack([values[name] for name in self.names])
        if self.last is None or self.last.shape != given.shape or not np.array_equal(self.last, given):
            self._run(given)
        return self.bits[port][index]

    def _run(self, given: Words) -> None:
        lanes = np.unpackbits(given.view(np.uint8), axis=-1, bitorder="little").astype(np.int64)
        ports: dict[str, Lanes] = {}
        for i, name in enumerate(self.names):
            port, index = name[:-1].split("[")
            ports[port] = ports.get(port, np.int64(0)) + (lanes[i] << int(index))
        found = self.compute(ports)
        for port, width in self.block.outputs.items():
            each = ((found[port] >> i & 1).astype(np.uint8) for i in range(width))
            packed = (np.packbits(bits, axis=-1, bitorder="little") for bits in each)
            self.bits[port] = [np.ascontiguousarray(bits).view(np.uint64) for bits in packed]
        self.last = given.copy()


def _block(cell: RawCell, block: Block) -> Iterator[Part]:
    """All outputs of a multiplier block as one gate; what cascades has wires of its own."""

    def place(port: str, width: int, i: int) -> tuple[str, int]:
        return (f"{port}{i}", 0) if block.single and width > 1 else (port, i)

    inputs = {
        f"{port}[{i}]": cell.bit(*place(port, width, i))
        for port, width in block.inputs.items()
        for i in range(width)
    }
    names = tuple(inputs)
    memo = _Memo(cell, block, names)
    outputs: dict[Bit, Function] = {}
    for port, width in block.outputs.items():
        for i in range(width):
            bit = cell.driven(*place(port, width, i))
            if bit is not None:
                outputs[bit] = Function(
                    f"{cell.kind}:{cell.name}:{port}[{i}]", names, _reading(memo, port, i)
                )
    ways = {name: OWN for name in names if name.startswith(("PCIN", "ACIN", "BCIN"))}
    yield Gate(inputs, outputs, ways)


def _reading(memo: _Memo, port: str, index: int) -> Callable[[Mapping[str, Words]], Words]:
    return lambda values: memo.output(port, index, values)


_MAKERS: tuple[tuple[str, Callable[[RawCell], Iterator[Part]]], ...] = (
    ("LUT[1-6]", lambda cell: _ecp5_lut(cell) if "A" in cell.pins or "Z" in cell.pins else _xc7_lut(cell)),
    ("INV", _inverter),
    ("CARRY4", _carry4),
    ("MUXF[789]", _mux(("I0", "I1", "S"), "O")),
    ("FD[RSCP]E", _xc7_register),
    ("CCU2C", _ccu2c),
    ("PFUMX", _mux(("BLUT", "ALUT", "C0"), "Z")),
    ("L6MUX21", _mux(("D0", "D1", "SD"), "Z")),
    ("TRELLIS_FF", _ecp5_register),
    ("SB_LUT4", _ice40_lut),
    ("SB_CARRY", _ice40_carry),
    ("SB_DFF[NERS]*", _ice40_register),
)
