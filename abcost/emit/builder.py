"""Puts units together into one module: instances, wires, pipeline registers, and the list of what was used.

Every signal knows how many clock edges it is behind the module's inputs. Where signals of different age meet, the
younger one is delayed by registers; in a pipelined module every unit's result goes into a register.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from abcost.cost.fused import FEW_WORDS, rom
from abcost.cost.organisation import Unit as Priced
from abcost.rtl.unit import Unit, build


@dataclass(frozen=True, slots=True)
class Signal:
    """A wire. fraction_bits: of its fixed-point value; age: clock edges behind the inputs."""

    name: str
    width: int
    fraction_bits: int = 0
    age: int = 0


class Builder:
    """Collects the body of a module."""

    def __init__(self, *, pipelined: bool, lanes: int) -> None:
        self.pipelined = pipelined
        self.lanes = lanes
        self.lines: list[str] = []
        self.units: dict[str, Unit] = {}
        self.priced: list[Priced] = []
        self._delayed: dict[tuple[str, int], Signal] = {}
        self._read: Counter[tuple[int, int, int]] = Counter()
        self._count = 0

    def remark(self, text: str) -> None:
        """A comment above what comes next; text stays on one line."""
        self.lines.append(f"    // {' '.join(text.split())}")

    def wire(
        self,
        expression: str,
        width: int,
        *,
        like: Signal,
        fraction_bits: int | None = None,
        signed: bool = True,
    ) -> Signal:
        """A named expression: wiring, no hardware."""
        name = self._name("w")
        sign = "signed " if signed and width > 1 else ""
        span = f"[{width - 1}:0] " if width > 1 else ""
        self.lines.append(f"    wire {sign}{span}{name} = {expression};")
        return Signal(name, width, like.fraction_bits if fraction_bits is None else fraction_bits, like.age)

    def slice(
        self, port: str, lane: int, width: int, fraction_bits: int = 0, *, signed: bool = True
    ) -> Signal:
        """One lane's element of an array port."""
        whole = Signal(port, width, fraction_bits)
        if width * self.lanes == 1:
            return whole
        span = f"[{(lane + 1) * width - 1}:{lane * width}]" if width > 1 else f"[{lane}]"
        return self.wire(port + span, width, like=whole, signed=signed)

    def extend(self, signal: Signal, width: int) -> Signal:
        """Sign-extended."""
        return signal if signal.width >= width else self.wire(signal.name, width, like=signal)

    def unit(
        self,
        priced: Sequence[Priced],
        unit: Unit,
        output: str,
        *,
        registered: bool = True,
        **inputs: Signal,
    ) -> Signal:
        """An instance of `unit` on inputs of equal age; its output, behind a register if pipelined.

        registered: False leaves that register out. priced: the units of a cost table that stand for it, and for the
        ROMs at its inputs; none for wiring.
        """
        age = max(signal.age for signal in inputs.values())
        aligned = {port: self.delay(signal, age) for port, signal in inputs.items()}
        self.units.setdefault(unit.name, unit)
        self.priced += priced
        width = next(port.bits for port in unit.outputs if port.name == output)
        name = self._name(unit.name.split("_")[0])
        span = f"[{width - 1}:0] " if width > 1 else ""
        sign = "signed " if width > 1 else ""
        clock = [".clk(clk)"] if unit.clocked else []
        wires = ", ".join([*clock, *(f".{p}({s.name})" for p, s in aligned.items()), f".{output}({name})"])
        self.lines += [f"    wire {sign}{span}{name};", f"    {unit.name} {name}_unit ({wires});"]
        found = Signal(name, width, max(s.fraction_bits for s in inputs.values()), age + unit.clocked)
        return self.settle(found) if registered and not unit.clocked else found

    def read(self, unit: Unit, words: int, stored: int, address: Signal) -> Signal:
        """An instance of a ROM; stored: bits that it is priced with."""
        self._read[address.age, words, stored] += 1
        return self.unit((), replace(unit, keep=words > FEW_WORDS), "data", address=address)

    def roms(self) -> list[Priced]:
        """The ROMs, those of the same size and cycle together."""
        few: Counter[tuple[int, int]] = Counter()
        found = []
        for (age, words, stored), count in self._read.items():
            if words > FEW_WORDS:
                found.append(rom(count, words, stored))
            else:
                few[age, words] += count * stored
        return found + [rom(columns, words, 1) for (_, words), columns in few.items()]

    def settle(self, signal: Signal, *, priced: bool = True) -> Signal:
        """Behind a register if the module is pipelined; priced: False for one that a DSP has."""
        return self.delay(signal, signal.age + 1, priced=priced) if self.pipelined else signal

    def delay(self, signal: Signal, age: int, *, priced: bool = True) -> Signal:
        """The same signal later."""
        while signal.age < age:
            key = (signal.name, signal.age + 1)
            if key not in self._delayed:
                unit = build("register", width=signal.width)
                self.units.setdefault(unit.name, unit)
                if priced:
                    self.priced.append(Priced("register", 1, signal.width))
                name = self._name("r")
                sign = "signed " if signal.width > 1 else ""
                span = f"[{signal.width - 1}:0] " if signal.width > 1 else ""
                self.lines += [
                    f"    wire {sign}{span}{name};",
                    f"    {unit.name} {name}_unit (.clk(clk), .d({signal.name}), .q({name}));",
                ]
                self._delayed[key] = Signal(name, signal.width, signal.fraction_bits, signal.age + 1)
            signal = self._delayed[key]
        return signal

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}{self._count}"
