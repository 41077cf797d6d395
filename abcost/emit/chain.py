"""The post-processing chain of one lane: nodes of the op graph -> units.

Values have `width` bits, `fraction_bits` of them behind the point; the binary dot product comes as an integer.
What the reference interpreter computes in fixed point is computed here bit by bit, as long as no value exceeds
the width. The chain ends at windows and wiring: what they read is an output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from abcost.classify.counts import exponents_of
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode
from abcost.cost.organisation import Unit as Priced
from abcost.emit.builder import Builder, Signal, selection_sizes
from abcost.errors import UsageError
from abcost.rtl.unit import build
from abcost.rtl.units.exponents import Selection, distinct, prelu_choices


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
        ports: dict[str, int] | None = None,
    ) -> None:
        """`channels`: in the order of the fold counter `fold` (None if there is only one).

        ports: takes per-channel parameters from inputs instead, and is given their names and widths.
        """
        self.builder = builder
        self.number = number
        self.width = width
        self.fraction_bits = fraction_bits
        self.channels = channels
        self.fold = fold
        self.ports = ports
        self._parameters = 0

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

    def constant(self, values: Sequence[int], width: int, *, like: Signal) -> Signal:
        """One value per channel: a literal, a ROM read by the fold counter, or an input."""
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
        address = self.builder.delay(self.fold, like.age)
        rom = build("rom", width=width, contents=tuple(mine))
        priced = Priced("rom", 1, width, depth=len(mine))
        found = self.builder.unit(priced, rom, "data", registered=False, address=address)
        return Signal(found.name, found.width, like.fraction_bits, found.age)

    def grid(self, constant: Constant) -> list[int]:
        """Constants as the interpreter rounds them: to the nearest multiple of 2**-fraction_bits."""
        scaled = (constant.real() * 2.0**self.fraction_bits).flatten()
        rounded = [int(v) for v in torch.round(scaled).tolist()]
        limit = 1 << (self.width - 1)
        if any(not -limit <= v < limit for v in rounded):
            raise UsageError(
                f"a parameter needs more than {self.width} bits at {self.fraction_bits} fraction bits; "
                "give a larger --width or a smaller --fraction-bits"
            )
        return rounded


def supported(node: OpNode) -> bool:
    """Whether a lane can do it; constants must be one value, or one per channel."""
    sizes = [constant.count for constant in node.consts.values()]
    channels = node.shape[1] if len(node.shape) > 1 else 1
    return (
        node.kind in _UNITS
        and all(size in (1, channels) for size in sizes)
        and "csd_fraction_bits" not in node.attrs
    )


def _scale(lane: Lane, node: OpNode, inputs: Sequence[Signal]) -> Signal:
    """floor(x * c / 2**fraction of x): the product has the fractions of both, the result keeps the chain's."""
    (x,) = inputs
    factor = lane.constant(lane.grid(node.consts["factor"]), lane.width, like=x)
    unit = build("multiply", width=lane.width)
    priced = Priced("multiply", 1, lane.width)
    product = lane.builder.unit(priced, unit, "p", registered=False, a=x, b=factor)
    span = f"[{x.fraction_bits + lane.width - 1}:{x.fraction_bits}]"
    cut = lane.builder.wire(product.name + span, lane.width, like=product, fraction_bits=lane.fraction_bits)
    return lane.builder.settle(cut)


def _shift(lane: Lane, node: OpNode, inputs: Sequence[Signal]) -> Signal:
    x = lane.pointed(inputs[0])
    allowed = distinct(exponents_of(node), lane.width)
    if len(allowed) == 1:
        return lane.builder.unit(
            None, build("shift_constant", width=lane.width, exponent=allowed[0]), "y", x=x
        )
    selection = Selection(allowed)
    priced = Priced("shift_select", 1, lane.width, **selection_sizes(selection, len(allowed)))
    unit = build("shift_select", width=lane.width, exponents=allowed)
    return lane.builder.unit(priced, unit, "y", x=x, code=_code(lane, node, selection, x))


def _shift_prelu(lane: Lane, node: OpNode, inputs: Sequence[Signal]) -> Signal:
    x = lane.pointed(inputs[0])
    allowed = distinct(exponents_of(node), lane.width)
    selection = Selection(prelu_choices(allowed, lane.width))
    priced = Priced("qprelu", 1, lane.width, **selection_sizes(selection, len(allowed)))
    unit = build("qprelu", width=lane.width, exponents=allowed)
    if len(allowed) == 1:
        return lane.builder.unit(priced, unit, "y", x=x)
    return lane.builder.unit(priced, unit, "y", x=x, code=_code(lane, node, selection, x))


def _code(lane: Lane, node: OpNode, selection: Selection, like: Signal) -> Signal:
    exponents = [max(int(e), 1 - lane.width) for e in node.consts["exponent"].real().flatten().tolist()]
    return lane.constant([selection.code(e) for e in exponents], selection.bits, like=like)


def _prelu(lane: Lane, node: OpNode, inputs: Sequence[Signal]) -> Signal:
    x = lane.pointed(inputs[0])
    slope = lane.constant(lane.grid(node.consts["slope"]), lane.width, like=x)
    priced = Priced("prelu", 1, lane.width, fraction_bits=lane.fraction_bits)
    unit = build("prelu", width=lane.width, fraction_bits=lane.fraction_bits)
    return lane.builder.unit(priced, unit, "y", x=x, slope=slope)


def _add(lane: Lane, node: OpNode, inputs: Sequence[Signal]) -> Signal:
    a, b = (lane.pointed(x) for x in inputs)
    unit = build("add", width=lane.width, subtract=node.kind is OpKind.SUBTRACT)
    return lane.builder.unit(Priced("add", 1, lane.width), unit, "s", a=a, b=b)


def _add_const(lane: Lane, node: OpNode, inputs: Sequence[Signal]) -> Signal:
    x = lane.pointed(inputs[0])
    bias = lane.constant(lane.grid(node.consts["value"]), lane.width, like=x)
    return lane.builder.unit(Priced("add", 1, lane.width), build("add", width=lane.width), "s", a=x, b=bias)


def _threshold(lane: Lane, node: OpNode, inputs: Sequence[Signal]) -> Signal:
    x = lane.pointed(inputs[0])
    level = lane.constant(lane.grid(node.consts["level"]), lane.width, like=x)
    return lane.builder.unit(
        Priced("compare", 1, lane.width), build("compare", width=lane.width), "y", a=x, b=level
    )


def _sign(lane: Lane, _node: OpNode, inputs: Sequence[Signal]) -> Signal:
    return lane.builder.wire(f"~{inputs[0].name}[{inputs[0].width - 1}]", 1, like=inputs[0])


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
