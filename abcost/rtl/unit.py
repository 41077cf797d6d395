"""A hardware unit: its Verilog, and the integer model that says what it computes.

    unit = build("qprelu", width=16, exponents=(-3, 0))
    unit.verilog        # one module, named after its parameters: qprelu_w16_em3_e0
    unit.model({"x": …, "code": …})["y"]

Templates live in `abcost/rtl/units/`, one file each: Verilog, model, what the unit is, and which of its sizes are
measured for a cost table. All that plans, reads or prices units asks this registry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from abcost.core.lazy import torch
from abcost.errors import UsageError
from abcost.registry import Registry, caller
from abcost.rtl.sweep import DelaySweeps, Sweeps

Values: TypeAlias = "Mapping[str, torch.Tensor]"
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

    def pack(self, values: torch.Tensor) -> list[int]:
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
    warm_up: rows of the protocol after which the outputs are known, of a unit whose state no input clears. Its model
    begins with zeros.
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    body: str
    model: Callable[[Values], dict[str, torch.Tensor]]
    clocked: bool = False
    needs: tuple[Unit, ...] = ()
    keep: bool = False
    protocol: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    warm_up: int = 0

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


Build = Callable[..., Unit]
AnyBuild = TypeVar("AnyBuild", bound=Build)


@dataclass(frozen=True, slots=True)
class Template:
    """Makes units of one sort.

    about: what one is, in the sizes that its price depends on, for people.
    build: the unit of these parameters, given by keyword.
    sweep, delays: which sizes are measured for cost tables; None: none are.
    in_luts: its memory stays in LUTs, as a table prices it; synthesis would put a large one into a block RAM.
    stepped: its laws have steps between the sizes of the quick sweep; a target with fewer points measures all of it.
    """

    about: str
    build: Build
    sweep: Sweeps | None = None
    delays: DelaySweeps | None = None
    in_luts: bool = False
    stepped: bool = False


templates: Registry[Template] = Registry("hardware unit", "abcost.rtl.units", "abcost.units")


def template(
    op: str,
    about: str,
    *,
    sweep: Sweeps | None = None,
    delays: DelaySweeps | None = None,
    in_luts: bool = False,
    stepped: bool = False,
) -> Callable[[AnyBuild], AnyBuild]:
    """Decorator: the function builds the units called `op`; the rest is as in `Template`."""
    owner = caller()

    def keep(make: AnyBuild) -> AnyBuild:
        templates.add(op, owner)(Template(about, make, sweep, delays, in_luts, stepped))
        return make

    return keep


TABLE_ORDER = (
    "multiply", "add", "compare", "mux", "max", "accumulate", "register", "prelu", "shift_select", "qprelu",
    "xnor_popcount", "signed_sum", "qprelu_add", "scale_dot", "rom", "masked_popcount", "plain_popcount",
    "constant_popcount", "two_word_popcount", "masked_two_word_popcount", "counter", "multiply_lut",
)  # fmt: skip
"""The first units of a cost table; all others follow by name."""


def in_order(first: Sequence[str] = TABLE_ORDER) -> list[tuple[str, Template]]:
    """All templates by name, some of them first."""
    rank = {op: place for place, op in enumerate(first)}
    return sorted(templates, key=lambda item: (rank.get(item[0], len(rank)), item[0]))


def build(op: str, **parameters: Any) -> Unit:
    """The unit `op` with these parameters. Raises UnknownName, or UsageError for parameters it cannot take."""
    return templates.get(op).build(**parameters)


def begins_with(*flags: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    """A protocol: these flags are 1 in the first row, for a state is unknown before."""

    def protocol(rows: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
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
