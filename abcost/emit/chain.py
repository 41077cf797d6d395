"""The post-processing chain of one lane: nodes of the op graph -> units.

Values have `width` bits, `fraction_bits` of them behind the point; the binary dot product comes as an integer.
What the reference interpreter computes in fixed point is computed here bit by bit, as long as no value exceeds
the width. The chain ends at windows and wiring: what they read is an output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from abcost.accelerator.datapath import stored_bits
from abcost.accelerator.engine import Engine
from abcost.classify.counts import exponents_of
from abcost.core.exponents import sizes_of
from abcost.core.interpret import is_power_of_two
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode
from abcost.cost.organisation import Unit as Priced
from abcost.emit.builder import Builder, Signal
from abcost.errors import UsageError
from abcost.rtl.unit import build
from abcost.rtl.units.exponents import Selection, distinct, prelu_selection


class Lane:
    """One lane: which channels it serves, and where their parameters come from."""

    def __init__(
        self,
        builder: Builder,
        number: int,
        *,
        width: int,
        fraction_bits: int,
        channels: Sequence[int],
        fold: Signal | None,
        engine: Engine,
        ports: dict[str, int] | None = None,
    ) -> None:
        """`channels`: in the order of the fold counter `fold`, which is one clock ahead (None if there is only one).

        ports: takes per-channel parameters from inputs instead, and is given their names and widths.
        """
        self.engine = engine
        self.builder = builder
        self.number = number
        self.width = width
        self.fraction_bits = fraction_bits
        self.channels = channels
        self.fold = fold
        self.ports = ports
        self._parameters = 0
        self.bent: dict[str, int] = {}
        """Signal of a power-of-two PReLU without a register behind it -> its place in the builder's priced units."""

    def run(self, node: OpNode, inputs: Sequence[Signal]) -> Signal:
        """The unit of one node. Raises UsageError where there is none."""
        return _UNITS[node.kind](self, node, [self.fixed(x) for x in inputs])

    def fixed(self, signal: Signal) -> Signal:
        """In the chain's width; integers of a dot product stay integers until they are scaled."""
        return self.builder.extend(signal, self.width) if signal.width > 1 else signal

    def pointed(self, signal: Signal) -> Signal:
        """With the chain's fraction bits: an integer is moved left."""
        if signal.fraction_bits == self.fraction_bits:
            return signal
        return self.builder.wire(
            f"{signal.name} <<< {self.fraction_bits}",
            self.width,
            like=signal,
            fraction_bits=self.fraction_bits,
        )

    def constant(self, values: Sequence[int], width: int, *, stored: int, like: Signal) -> Signal:
        """One value per channel: a literal, a ROM read by the fold counter, or an input.

        width: of the signal; a ROM holds as many bits as all channels need, and is priced with `stored`.
        """
        mine = [values[0] if len(values) == 1 else values[c] for c in self.channels]
        if self.ports is not None and len(values) > 1:
            name = f"c{self._parameters}"
            self._parameters += 1
            self.ports[name] = width
            first = self.builder.slice(name, self.number, width)
            return replace(self.builder.delay(first, like.age), fraction_bits=like.fraction_bits)
        if len(set(mine)) == 1 or self.fold is None:
            sign = "-" if mine[0] < 0 else ""
            return self.builder.wire(f"{sign}{width}'sd{abs(mine[0])}", width, like=like)
        unit = build("rom", width=min(width, _bits_of(values)), contents=tuple(mine))
        word = self.builder.read(unit, len(mine), stored, self.builder.delay(self.fold, like.age - 1))
        return replace(self.builder.extend(word, width), fraction_bits=like.fraction_bits)

    def stored(self, constant: Constant) -> int:
        """Bits that its values need."""
        return stored_bits(constant, self.width, self.fraction_bits)

    def grid(
        self, constant: Constant, cut: Callable[[Tensor], Tensor] | None = None, more: int = 0
    ) -> list[int]:
        """Constants as the interpreter rounds them: to the nearest multiple of 2**-fraction_bits.

        It holds powers of two exactly, below the grid too. cut: what such a one acts as on values that are on the
        grid; without it, it is refused. more: added, in multiples of the grid.
        """
        values = (constant.real() if constant.fixed is None else constant.fixed).flatten()
        scaled = values * 2.0**self.fraction_bits
        fine = (scaled != torch.floor(scaled)) & (is_power_of_two(values) | (constant.fixed is not None))
        if cut is None and bool(fine.any()):
            raise UsageError(
                f"a factor of {float(values[fine][0])} is below {self.fraction_bits} fraction bits; "
                "give a larger --fraction-bits"
            )
        whole = torch.where(fine, (cut or torch.round)(scaled), torch.round(scaled))
        rounded = [int(v) + more for v in whole.tolist()]
        limit = 1 << (self.width - 1)
        if any(not -limit <= v < limit for v in rounded):
            raise UsageError(
                f"a parameter needs more than {self.width} bits at {self.fraction_bits} fraction bits; "
                "give a larger --width or a smaller --fraction-bits"
            )
        return rounded


def _bits_of(values: Sequence[int]) -> int:
    """Bits of a two's complement that holds all of them."""
    return max((-v - 1 if v < 0 else v).bit_length() for v in values) + 1


def supported(node: OpNode) -> bool:
    """Whether a lane can do it; constants must be one value, or one per channel."""
    sizes = [constant.count for constant in node.consts.values()]
    channels = node.shape[1] if len(node.shape) > 1 else 1
    return (
        node.kind in _UNITS
        and all(size in (1, channels) for size in sizes)
        and "gain" not in node.consts  # a comparison that channels turn round
        and "low" not in node.attrs  # a bit that is not +-1
        and "csd_fraction_bits" not in node.attrs
    )


def _scale(lane: Lane, node: OpNode, inputs: Sequence[Signal]) -> Signal:
    """floor(x * c / 2**fraction of x): the product has the fractions of both, the result keeps the chain's."""
    (x,) = inputs
    constant = node.consts["factor"]
    factor = lane.constant(lane.grid(constant), lane.width, stored=lane.stored(constant), like=x)
    unit = build("multiply", width=lane.width)
    priced = Priced("multiply", 1, lane.width)
    if node is lane.engine.scale:
        priced = replace(priced, op="scale_dot", bits=lane.engine.taps)
    product = lane.builder.unit((priced,), unit, "p", registered=False, a=x, b=factor)
    span = f"[{x.fraction_bits + lane.width - 1}:{x.fraction_bits}]"
    cut = lane.builder.wire(product.name + span, lane.width, like=product, fraction_bits=lane.fraction_bits)
    return lane.builder.settle(cut)


def _shift(lane: Lane, node: OpNode, inputs: Sequence[Signal]) -> Signal:
    x = lane.pointed(inputs[0])
    allowed = distinct(exponents_of(node), lane.width)
    if len(allowed) == 1:
        unit = build("shift_constant", width=lane.width, exponent=allowed[0])
        return lane.builder.unit((), unit, "y", registered=False, x=x)  # wiring
    selection = Selection(allowed)
    priced = Priced("shift_select", 1, lane.width, **sizes_of(allowed, identity=False))
    unit = build("shift_select", width=lane.width, exponents=allowed)
    return lane.builder.unit((priced,), unit, "y", x=x, code=_code(lane, node, selection, x))


def _shift_prelu(lane: Lane, node: OpNode, inputs: Sequence[Signal]) -> Signal:
    x = lane.pointed(inputs[0])
    allowed = distinct(exponents_of(node), lane.width)
    selection = prelu_selection(allowed, lane.width)
    priced = Priced("qprelu", 1, lane.width, **sizes_of(allowed, identity=True))
    unit = build("qprelu", width=lane.width, exponents=allowed)
    if len(allowed) == 1:
        found = lane.builder.unit((priced,), unit, "y", x=x)
    else:
        found = lane.builder.unit((priced,), unit, "y", x=x, code=_code(lane, node, selection, x))
    if not lane.builder.pipelined:
        lane.bent[found.name] = len(lane.builder.priced) - 1
    return found


def _code(lane: Lane, node: OpNode, selection: Selection, like: Signal) -> Signal:
    exponents = [max(int(e), 1 - lane.width) for e in node.consts["exponent"].real().flatten().tolist()]
    codes = [selection.code(e) for e in exponents]
    return lane.constant(codes, selection.bits, stored=selection.bits, like=like)


def _prelu(lane: Lane, node: OpNode, inputs: Sequence[Signal]) -> Signal:
    x = lane.pointed(inputs[0])
    constant = node.consts["slope"]
    slope = lane.constant(lane.grid(constant), lane.width, stored=lane.stored(constant), like=x)
    priced = Priced("prelu", 1, lane.width, fraction_bits=lane.fraction_bits)
    unit = build("prelu", width=lane.width, fraction_bits=lane.fraction_bits)
    return lane.builder.unit((priced,), unit, "y", x=x, slope=slope)


def _add(lane: Lane, node: OpNode, inputs: Sequence[Signal]) -> Signal:
    a, b = (lane.pointed(x) for x in inputs)
    unit = build("add", width=lane.width, subtract=node.kind is OpKind.SUBTRACT)
    return lane.builder.unit((Priced("add", 1, lane.width),), unit, "s", a=a, b=b)


def _add_const(lane: Lane, node: OpNode, inputs: Sequence[Signal]) -> Signal:
    """Selects of a power-of-two PReLU without a register behind it go into the adder."""
    x = lane.pointed(inputs[0])
    constant = node.consts["value"]
    bias = lane.constant(lane.grid(constant, torch.floor), lane.width, stored=lane.stored(constant), like=x)
    priced = [Priced("add", 1, lane.width)]
    if x.name in lane.bent:
        place = lane.bent[x.name]
        lane.builder.priced[place] = replace(lane.builder.priced[place], op="qprelu_add")
        priced = []
    return lane.builder.unit(priced, build("add", width=lane.width), "s", a=x, b=bias)


def _threshold(lane: Lane, node: OpNode, inputs: Sequence[Signal]) -> Signal:
    """+1 where x >= level; where the sign of 0 is -1: x > level, which is x >= level + one step of the grid."""
    x = lane.pointed(inputs[0])
    above = node.attrs["at_zero"] == -1
    levels = lane.grid(node.consts["level"], torch.floor if above else torch.ceil, more=int(above))
    level = lane.constant(levels, lane.width, stored=lane.stored(node.consts["level"]), like=x)
    return lane.builder.unit(
        (Priced("compare", 1, lane.width),), build("compare", width=lane.width), "y", a=x, b=level
    )


def _sign(lane: Lane, node: OpNode, inputs: Sequence[Signal]) -> Signal:
    """The inverted sign bit; x >= 1 where the sign of 0 is -1."""
    (x,) = inputs
    if node.attrs["at_zero"] != -1:
        return lane.builder.wire(f"~{x.name}[{x.width - 1}]", 1, like=x)
    one = lane.builder.wire(f"{x.width}'sd1", x.width, like=x)
    unit = build("compare", width=x.width)
    return lane.builder.unit((Priced("compare", 1, x.width),), unit, "y", a=x, b=one)


_Unit = Callable[[Lane, OpNode, Sequence[Signal]], Signal]
_UNITS: dict[OpKind, _Unit] = {
    OpKind.SCALE: _scale,
    OpKind.SHIFT: _shift,
    OpKind.SHIFT_PRELU: _shift_prelu,
    OpKind.PRELU: _prelu,
    OpKind.ADD: _add,
    OpKind.SUBTRACT: _add,
    OpKind.ADD_CONST: _add_const,
    OpKind.THRESHOLD: _threshold,
    OpKind.SIGN: _sign,
}
