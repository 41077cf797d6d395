"""What an engine is described in: nets, and parts that drive them.

A net is a value on its way through an engine; a part makes nets of nets. Neither holds any Verilog: printing, pricing,
timing and interpretation each read the same description.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from abcost.cost.organisation import Unit


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """Bits of a value of the residual path, and how many of them stand behind the point."""

    width: int
    fraction_bits: int


class Net(NamedTuple):
    """`lanes` times `elements` elements of `width` bits; element e of lane l stands at bit (l * elements + e) * width.

    fraction_bits: of the fixed-point value that an element holds. age: clock edges behind the inputs of the engine.
    constant: the same in every cycle, and thus of any age.
    """

    name: str
    width: int
    lanes: int = 1
    elements: int = 1
    fraction_bits: int = 0
    signed: bool = True
    age: int = 0
    constant: bool = False

    @property
    def bits(self) -> int:
        """Bits of all lanes."""
        return self.width * self.elements * self.lanes


class Slice(NamedTuple):
    """`number` elements of every lane of a net, from element `start` on."""

    net: Net
    start: int
    number: int


Operand = Net | Slice


def net_of(operand: Operand) -> Net:
    """The net that an operand is, or is a part of."""
    return operand.net if isinstance(operand, Slice) else operand


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """`lanes` instances of a unit, of a register, or of wiring; lane l reads lane l, or the only one, of a net.

    op: a unit of `abcost.rtl.units`, "register", or a name of `abcost.accelerator.design.wiring`.
    inputs, outputs: by port. parameters: of the unit. contents: of what differs from lane to lane (ROMs, constants),
    made when it is asked for: one tuple of whole numbers per lane.
    priced: what all lanes together are in a cost table. remark: what is computed, for people.
    """

    op: str
    lanes: int
    inputs: tuple[tuple[str, Operand], ...]
    outputs: tuple[tuple[str, Net], ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    contents: Callable[[], tuple[tuple[int, ...], ...]] | None = None
    priced: tuple[Unit, ...] = ()
    remark: str = ""

    @property
    def output(self) -> Net:
        """The first output."""
        return self.outputs[0][1]
