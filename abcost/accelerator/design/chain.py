"""The post-processing chain of an engine: nodes behind the dot product, in lanes that take turns over the channels.

Values have the width of the residual path; a binary dot product comes as an integer. What the reference interpreter
computes in fixed point is computed here bit by bit, as long as no value exceeds the width. The age of the chain's input
is 1: that it comes is known one clock earlier, so that parameter ROMs, which end in a register, keep pace.

A new operation is one function, entered in `OPERATIONS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from abcost.accelerator.design.constants import (
    check_fits,
    flips,
    levels,
    on_grid,
    parameter_bits,
    varies,
)
from abcost.accelerator.design.describer import Describer
from abcost.accelerator.design.net import Net, NumberFormat
from abcost.accelerator.engine import Engine, Work
from abcost.classify.counts import exponents_of
from abcost.core.exponents import seen, sizes_of
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.node import OpNode
from abcost.cost.fused import constant_product, product_of
from abcost.cost.organisation import Lanes, Unit, units_of
from abcost.rtl.units.exponents import Selection, distinct, prelu_selection

Values = Callable[[], list[int]]


@dataclass(slots=True)
class Stream:
    """Values that come channel group by channel group, pixel by pixel; those with one `coming` keep step.

    coming: 1 one clock before a value. groups: of channels; rows, columns: of pixels.
    """

    coming: Net
    groups: int
    rows: int
    columns: int
    group: Net | None = None  # counts the groups, at the age at which it was first asked for
    pixel: Net | None = None  # 1 with the last group of a pixel


@dataclass(slots=True)
class ChainDesign:
    """What the functions of the operations work on. lanes: values of a stream at once."""

    d: Describer
    engine: Engine
    number: NumberFormat
    lanes: int
    stream: Stream = field(init=False)  # of the node at hand

    def flag(self, age: int) -> Net:
        """1 where a value of that age is there."""
        return self.d.delay(self.stream.coming, age)

    def group(self, age: int) -> Net:
        """The number of the channel group whose value comes one clock after that age."""
        stream = self.stream
        if stream.group is None or stream.group.age > age:
            bits = (stream.groups - 1).bit_length()
            stream.group, stream.pixel = self.d.several(
                "counter", {"reset": self.d.reset, "enable": self.flag(age)},
                [("count", Net("group", bits, signed=False)), ("wrap", Net("pixel", 1, signed=False))],
                [Unit("counter", 1, max(2, bits))], modulus=stream.groups,
            )  # fmt: skip
        return self.d.delay(stream.group, age)

    def pixel(self, age: int) -> Net:
        """1 one clock before the last channel group of a pixel, of values that come one clock after that age."""
        group = self.group(age)
        if self.stream.pixel is None:
            raise AssertionError(f"{group.name} is counted without the end of a pixel")
        return self.d.delay(self.stream.pixel, age)

    def parameter(self, node: OpNode, role: str, values: Values, width: int, like: Net) -> Net:
        """One value per channel, for values of the age of `like`: a constant, or a ROM read by the channel group.

        values: one, or one per channel. width: of the net; a ROM holds as many bits as all channels need, at as many
        fraction bits as `like` has if it is a level that `like` is compared with.
        """
        shape = like._replace(name=role, width=width, elements=1, signed=True)
        groups = self.stream.groups

        def contents() -> tuple[tuple[int, ...], ...]:
            found = values()
            if len(found) == 1:
                return ((found[0],) * groups,) * self.lanes
            return tuple(
                tuple(found[group * self.lanes + lane] for group in range(groups))
                for lane in range(self.lanes)
            )

        if groups == 1 or not varies(node, role):
            return self.d.literal(role, width, self.lanes, contents, shape)
        fraction = like.fraction_bits if role == "level" else self.number.fraction_bits
        stored = parameter_bits(node, role, self.number.width, fraction)
        return self.d.read(self.group(like.age - 1), self.lanes, groups, shape, stored, contents)

    def fixed(self, net: Net) -> Net:
        """The net in the chain's width and with its fraction bits: an integer is moved left."""
        fraction = self.number.fraction_bits
        if net.fraction_bits == fraction and net.width == self.number.width:
            return net
        like = net._replace(width=self.number.width, fraction_bits=fraction, signed=True)
        if net.fraction_bits == fraction:
            return self.d.wire("extend", net, net.name, like)
        return self.d.wire(
            "align", net, net.name, like, places=fraction - net.fraction_bits, width=self.number.width
        )

    def bias(self, value: Net) -> Net:
        """The bias of the dot product added; a real sum is already cut to the grid, as far as the bias is on it."""
        dot, number = self.engine.dot, self.number
        cut = None if self.engine.arithmetic is DotArithmetic.REAL else torch.floor
        x = self.fixed(value)
        self.d.remark = f"bias of {dot.name}"
        bias = self.parameter(dot, "bias", lambda: on_grid(dot.consts["bias"], number, cut), number.width, x)
        return self.unit(
            "add", {"a": x, "b": bias}, "s", Unit("add", self.lanes, number.width), width=number.width
        )

    def unit(
        self, op: str, inputs: dict[str, Net], port: str, priced: Unit | None, **parameters: object
    ) -> Net:
        """One instance per lane whose result is a value of the chain, behind a register."""
        width = 1 if port == "flag" else self.number.width
        port = "y" if port == "flag" else port
        output = Net(op, width, fraction_bits=self.number.fraction_bits if width > 1 else 0, signed=width > 1)
        return self.d.unit(
            op, self.lanes, inputs, output, port, [replace(priced, count=self.lanes)] if priced else [],
            parameters=parameters,
        )  # fmt: skip

    def ready(self, *nets: Net) -> list[Net]:
        """All at the age of the youngest that is not a constant."""
        age = max((net.age for net in nets if not net.constant), default=1)
        return [self.d.delay(net, age) for net in nets]


Operation = Callable[[ChainDesign, OpNode, Sequence[Net]], Net]


def unsupported(node: OpNode) -> str:
    """Why a chain cannot be written with this node; "" if it can."""
    if node.kind not in OPERATIONS:
        return f"{node.kind.value} has no unit in Verilog"
    channels = node.shape[1] if len(node.shape) > 1 else 1
    if any(constant.count not in (1, channels) for constant in node.consts.values()):
        return "its constants are neither one number nor one per channel"
    if "csd_fraction_bits" in node.attrs:
        return "its factors are worked off digit by digit"
    return ""


def price_only(chain: ChainDesign, work: Work, lanes: int, inputs: Sequence[Net]) -> Net:
    """A node that has no Verilog: its units as the cost model names them, and ROMs of its constants."""
    node, d = work.node, chain.d
    number = chain.number
    units = units_of(node, work.counts, Lanes(lanes, fraction_bits=number.fraction_bits))
    wide = max((count.width for count in work.counts), default=number.width)
    age = max((net.age for net in inputs if not net.constant), default=1)
    for role, constant in node.consts.items():
        if constant.count > lanes and varies(node, role):
            stored = parameter_bits(node, role, number.width, number.fraction_bits)
            words = -(-constant.count // lanes)
            address = Net("group", max(1, (words - 1).bit_length()), signed=False, age=max(0, age - 1))
            d.read(address, lanes, words, Net(role, stored), stored, tuple)
    one_bit = node.kind in (OpKind.THRESHOLD, OpKind.COMPARE, OpKind.SIGN)
    output = Net(node.kind.value, 1 if one_bit else wide, fraction_bits=number.fraction_bits)
    return d.unit("(no Verilog)", lanes, {f"x{i}": net for i, net in enumerate(inputs)}, output, "y", units,
                  end="register" if units else "none")  # fmt: skip


def _scale(c: ChainDesign, node: OpNode, inputs: Sequence[Net]) -> Net:
    """floor(x * c / 2**fraction of x): the product has the fractions of both, the result keeps the chain's."""
    (x,) = inputs
    number = c.number
    gates = _gates(c, node, x.width)
    x = x if x.width == number.width else c.d.extend(x, number.width)
    factor = c.parameter(node, "factor", lambda: on_grid(node.consts["factor"], number), number.width, x)
    whole = Unit("multiply", 1, number.width)
    if node is c.engine.scale:
        whole = replace(whole, op="scale_dot", bits=c.engine.taps)
    priced = [replace(whole, count=count, gates=of) for of, count in gates.items()]
    full = Net("product", 2 * number.width, fraction_bits=x.fraction_bits + number.fraction_bits)
    product = c.d.unit(
        "multiply", c.lanes, {"a": x, "b": factor}, full, "p", priced, parameters={"width": number.width},
        end="none",
    )  # fmt: skip
    like = Net("scaled", number.width, fraction_bits=number.fraction_bits)
    scaled = c.d.wire("cut", product, "scaled", like, places=x.fraction_bits, width=number.width)
    return c.d.delay(scaled, scaled.age + 1)


def _gates(c: ChainDesign, node: OpNode, width: int) -> Counter[tuple[Unit, ...]]:
    """What the multipliers of a scale are of gates, and how many of each; a factor that is not read is a constant."""
    number = c.number
    if c.stream.groups > 1 and varies(node, "factor"):
        stored = parameter_bits(node, "factor", number.width, number.fraction_bits)
        return Counter({product_of(width, stored): c.lanes})
    constants = on_grid(node.consts["factor"], number)
    each = constants if len(constants) == c.lanes else constants[:1] * c.lanes
    return Counter(constant_product(width, constant) for constant in each)


def _shift(c: ChainDesign, node: OpNode, inputs: Sequence[Net]) -> Net:
    """A shift: wiring where there is one exponent, else a selected shift."""
    x = c.fixed(inputs[0])
    width = c.number.width
    allowed = distinct(exponents_of(node), width)
    if len(allowed) == 1:
        return c.d.unit("shift_constant", c.lanes, {"x": x}, x._replace(name="shifted"), "y", (),
                        parameters={"width": width, "exponent": allowed[0]}, end="none")  # fmt: skip
    priced = Unit("shift_select", c.lanes, width, **sizes_of(allowed, identity=False))
    code = _code(c, node, Selection(allowed), x)
    return c.unit("shift_select", {"x": x, "code": code}, "y", priced, width=width, exponents=allowed)


def _shift_prelu(c: ChainDesign, node: OpNode, inputs: Sequence[Net]) -> Net:
    x = c.fixed(inputs[0])
    width = c.number.width
    allowed = distinct(exponents_of(node), width)
    priced = Unit("qprelu", c.lanes, width, **sizes_of(allowed, identity=True))
    operands = {"x": x}
    if len(allowed) > 1:
        operands["code"] = _code(c, node, prelu_selection(allowed, width), x)
    return c.unit("qprelu", operands, "y", priced, width=width, exponents=allowed)


def _code(c: ChainDesign, node: OpNode, selection: Selection, like: Net) -> Net:
    def codes() -> list[int]:
        exponents = node.consts["exponent"].real().flatten().tolist()
        return [selection.code(seen(int(e), c.number.width)) for e in exponents]

    found = c.parameter(node, "exponent", codes, max(1, selection.bits), like)
    return found._replace(signed=False)


def _prelu(c: ChainDesign, node: OpNode, inputs: Sequence[Net]) -> Net:
    x, number = c.fixed(inputs[0]), c.number
    slope = c.parameter(node, "slope", lambda: on_grid(node.consts["slope"], number), number.width, x)
    priced = Unit("prelu", c.lanes, number.width, fraction_bits=number.fraction_bits)
    return c.unit("prelu", {"x": x, "slope": slope}, "y", priced, width=number.width,
                  fraction_bits=number.fraction_bits)  # fmt: skip


def _add(c: ChainDesign, node: OpNode, inputs: Sequence[Net]) -> Net:
    a, b = c.ready(*(c.fixed(x) for x in inputs))
    width = c.number.width
    return c.unit("add", {"a": a, "b": b}, "s", Unit("add", c.lanes, width), width=width,
                  subtract=node.kind is OpKind.SUBTRACT)  # fmt: skip


def _add_const(c: ChainDesign, node: OpNode, inputs: Sequence[Net]) -> Net:
    x, number = c.fixed(inputs[0]), c.number
    value = c.parameter(
        node, "value", lambda: on_grid(node.consts["value"], number, torch.floor), number.width, x
    )
    return c.unit("add", {"a": x, "b": value}, "s", Unit("add", c.lanes, number.width), width=number.width)


def _threshold(c: ChainDesign, node: OpNode, inputs: Sequence[Net]) -> Net:
    """X >= level; where a channel's gain is negative the other way round."""
    (x,) = inputs
    width = x.width + 1  # a level may be above every value

    def values() -> list[int]:
        limit = 1 << (x.width - 1)
        return [min(max(level, -limit), limit) for level in levels(node, c.number, x.fraction_bits)]

    level = c.parameter(node, "level", values, width, x)
    y = c.unit("compare", {"a": c.d.extend(x, width), "b": level}, "flag", Unit("compare", c.lanes, x.width),
               width=width)  # fmt: skip
    if "gain" not in node.consts:
        return y
    flip = c.parameter(node, "gain", lambda: flips(node), 1, y)._replace(signed=False)
    return c.d.join("differ", y, flip, "flag")


def _sign(c: ChainDesign, node: OpNode, inputs: Sequence[Net]) -> Net:
    """The inverted sign bit; x >= 1 where the sign of 0 is -1."""
    (x,) = inputs
    bit = Net("flag", 1, signed=False)
    if node.attrs["at_zero"] != -1:
        return c.d.wire("not_negative", x, "flag", bit, top=x.width - 1)
    one = c.d.literal("constant", x.width, c.lanes, lambda: ((1,),) * c.lanes, x)
    return c.unit("compare", {"a": x, "b": one}, "flag", Unit("compare", c.lanes, x.width), width=x.width)


def _clamp(c: ChainDesign, node: OpNode, inputs: Sequence[Net]) -> Net:
    """A clamp between constants: max with one, min with the other; a bound that no value exceeds is left out."""
    x, number = c.fixed(inputs[0]), c.number
    limit = 1 << (number.width - 1)
    for bound, op in ((node.attrs["min"], "max"), (node.attrs["max"], "min")):
        scaled = None if bound is None else bound * 2.0**number.fraction_bits
        if scaled is None or (op == "max" and scaled < -limit) or (op == "min" and scaled >= limit):
            continue
        value = int(torch.floor(torch.tensor(scaled, dtype=torch.float64)))
        check_fits([value], number)
        constant = c.d.literal("bound", number.width, c.lanes, lambda v=value: ((v,),) * c.lanes, x)  # type: ignore[misc]
        x = c.unit(op, {"a": x, "b": constant}, "y", Unit("max", c.lanes, number.width), width=number.width)
    return x


def _negate(c: ChainDesign, _node: OpNode, inputs: Sequence[Net]) -> Net:
    x = c.fixed(inputs[0])
    zero = c.d.literal("zero", x.width, c.lanes, lambda: ((0,),) * c.lanes, x)
    return c.unit(
        "add", {"a": zero, "b": x}, "s", Unit("add", c.lanes, x.width), width=x.width, subtract=True
    )


OPERATIONS: dict[OpKind, Operation] = {
    OpKind.SCALE: _scale,
    OpKind.SHIFT: _shift,
    OpKind.SHIFT_PRELU: _shift_prelu,
    OpKind.PRELU: _prelu,
    OpKind.ADD: _add,
    OpKind.SUBTRACT: _add,
    OpKind.ADD_CONST: _add_const,
    OpKind.THRESHOLD: _threshold,
    OpKind.SIGN: _sign,
    OpKind.CLAMP: _clamp,
    OpKind.NEGATE: _negate,
}
