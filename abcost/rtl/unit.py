"""A hardware unit: its Verilog, and the integer model that says what it computes.

    unit = build("qprelu", width=16, exponents=(-3, 0))
    unit.verilog        # one module, named after its parameters: qprelu_w16_em3_e0
    unit.model({"x": …, "code": …})["y"]

Templates live in `abcost/rtl/units/`, one file each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from abcost.errors import UsageError
from abcost.registry import Registry

Values = Mapping[str, Tensor]
"""Port -> values, one row per vector (or per clock cycle): int64, shape (N,), or (N, count) for arrays."""

MOST_BITS = 4096  # of an array port; more than any datapath of one lane reads in a cycle


@dataclass(frozen=True, slots=True)
class Port:
    """`count` elements of `width` bits each; element i of an array is at bits [i * width +: width]."""

    name: str
    width: int
    count: int = 1
    signed: bool = True

    def __post_init__(self) -> None:
        if not (1 <= self.width <= 64 and self.count >= 1 and self.width * self.count <= MOST_BITS * 64):
            raise UsageError(
                f"port {self.name}: {self.count} x {self.width} bits is outside what a unit takes"
            )

    @property
    def bits(self) -> int:
        """Bits of the whole port."""
        return self.width * self.count

    def declare(self, direction: str) -> str:
        """The port in a Verilog header."""
        sign = "signed " if self.signed and self.count == 1 and self.width > 1 else ""
        span = f"[{self.bits - 1}:0] " if self.bits > 1 else ""
        return f"{direction} {sign}{span}{self.name}"

    def pack(self, values: Tensor) -> list[int]:
        """Rows of values as unsigned integers of `bits` bits."""
        mask = (1 << self.width) - 1
        rows = values.reshape(len(values), self.count).tolist()
        return [sum((int(v) & mask) << (i * self.width) for i, v in enumerate(row)) for row in rows]


def flag(name: str) -> Port:
    """One bit."""
    return Port(name, 1, signed=False)


@dataclass(frozen=True, slots=True)
class Unit:
    """One Verilog module.

    body: what stands between the header and `endmodule`. A clocked unit has a port `clk` besides `inputs`,
    and its outputs hold, after a rising edge, what `model` says for the row that was at the inputs.
    needs: units that the body instantiates. keep: synthesis must not take the module apart.
    protocol: makes rows of any values into rows as the unit is used (which flags may follow which).
    files: what the Verilog reads with $readmemh, by name.
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    body: str
    model: Callable[[Values], dict[str, Tensor]]
    clocked: bool = False
    needs: tuple[Unit, ...] = ()
    keep: bool = False
    protocol: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def verilog(self) -> str:
        """The module alone, without those it needs."""
        ports = ["input clk"] if self.clocked else []
        ports += [port.declare("input") for port in self.inputs]
        ports += [port.declare("output") for port in self.outputs]
        header = ",\n".join(f"    {port}" for port in ports)
        kept = '(* keep_hierarchy = "yes" *)\n' if self.keep else ""
        return f"{kept}module {self.name} (\n{header}\n);\n{self.body.rstrip()}\nendmodule\n"

    @property
    def source(self) -> str:
        """The module behind all modules that it needs, each once."""
        modules: dict[str, str] = {}
        _collect(self, modules)
        return "\n".join(modules.values())

    @property
    def all_files(self) -> dict[str, str]:
        """`files` of the module and of all that it needs."""
        found = dict(self.files)
        for needed in self.needs:
            found |= needed.all_files
        return found


def _collect(unit: Unit, modules: dict[str, str]) -> None:
    for needed in unit.needs:
        _collect(needed, modules)
    modules.setdefault(unit.name, unit.verilog)


Template = Callable[..., Unit]
templates: Registry[Template] = Registry("hardware unit", "abcost.rtl.units", "abcost.units")


def build(op: str, **parameters: Any) -> Unit:
    """The unit `op` with these parameters. Raises UnknownName, or UsageError for parameters it cannot take."""
    return templates.get(op)(**parameters)


def begins_with(*flags: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """A protocol: these flags are 1 in the first row, for a state is unknown before."""

    def protocol(rows: dict[str, Tensor]) -> dict[str, Tensor]:
        for name in flags:
            rows[name][0] = 1
        return rows

    return protocol


def check_width(width: int, *, least: int = 2, most: int = 64) -> None:
    """Raises UsageError for a width that a unit cannot have."""
    if not least <= width <= most:
        raise UsageError(f"a width must be between {least} and {most} bits, got {width}")


def label(number: int) -> str:
    """An integer inside an identifier: -3 -> m3."""
    return f"m{-number}" if number < 0 else str(number)
