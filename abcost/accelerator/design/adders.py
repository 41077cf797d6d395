"""A dot product as a graph of adders: every constant is wiring, every sum that outputs share is made once.

Each adder is behind a register, as all units of an engine are, so that a position enters in every clock cycle; what is
read later waits in registers, once for all who read it.
"""

from __future__ import annotations

from abcost.accelerator.design.describer import Describer
from abcost.accelerator.design.net import Net, NumberFormat, Operand, Part, Slice
from abcost.accelerator.engine import Engine
from abcost.core.adders.graph import ZERO, AdderGraph, Output
from abcost.core.adders.of_node import graph_of
from abcost.core.adders.widths import adder_bits, signed_range, value_bits
from abcost.core.bits import popcount_bits
from abcost.core.kinds import OpKind
from abcost.cost.organisation import Unit

_MOST_BITS = 64  # of a number of a unit


SIGNS = (-1, 1)
"""Least and greatest of what signs are on their way into adders."""


def adder_sums(d: Describer, engine: Engine, number: NumberFormat, a: Net) -> Net:
    """The sums of all channels in as many lanes, of one age. a: all taps of a position."""
    graph = graph_of(engine.dot)
    if graph.fraction_bits > number.fraction_bits:
        d.unwritten.append(
            f"its weights have {graph.fraction_bits} fraction bits, and values {number.fraction_bits}; give the "
            "--fraction-bits that it was lowered with"
        )
    d.remark = "taps of a position"
    like = a._replace(name="tap", elements=1)
    taps = [d.wire("extend", Slice(a, tap_of(engine, i), 1), "tap", like) for i in range(graph.inputs)]
    nets = _values(d, graph, taps, signed_range(a.width))
    point = a.fraction_bits + graph.fraction_bits
    return _gathered(d, graph, nets, Net("sum", number.width + graph.fraction_bits, fraction_bits=point))


def sign_sums(d: Describer, engine: Engine, a: Net, inside: Net | None) -> Net:
    """Sums of +-1 with signs, 2p - K, of all channels. inside: flags of taps of a padded window, 0 outside the map."""
    graph = graph_of(engine.dot)
    d.remark = "bits of a position as +-1"
    like, taps = Net("tap", 2), []
    for place in (tap_of(engine, i) for i in range(graph.inputs)):
        tap = d.wire("plus_minus", Slice(a, place, 1), "tap", like)
        if inside is not None:  # held at 0 by its register, which takes no LUT
            flag = Slice(inside, place // (a.elements // inside.elements), 1)
            tap = d.unit(
                "gate", 1, {"d": tap, "keep": flag}, like, "q", [Unit("register", 1, 2)], end="own",
                parameters={"width": 2},
            )  # fmt: skip
        taps.append(tap)
    nets = _values(d, graph, taps, SIGNS)
    return _gathered(d, graph, nets, Net("sum", popcount_bits(engine.taps) + 1))


def tap_of(engine: Engine, number: int) -> int:
    """Place in a window of element `number` of a row of weights: kernel position by position, channels inside."""
    weight = engine.dot.consts["weight"].values
    if engine.dot.kind is not OpKind.CONV:
        return number
    positions = weight.shape[2:].numel()
    channel, position = divmod(number, positions)
    return position * weight.shape[1] + channel


def _values(d: Describer, graph: AdderGraph, taps: list[Net], ends: tuple[int, int]) -> list[Net]:
    """Nets of the inputs and of all adders, wide enough for inputs between the ends."""
    widths = value_bits(graph, *ends)
    if max(widths) > _MOST_BITS:
        d.unwritten.append(f"its sums have {max(widths)} bits, more than {_MOST_BITS}")
    nets = list(taps)
    d.remark = "adders that channels share"
    for number, (add, bits) in enumerate(
        zip(graph.adds, adder_bits(graph, *ends), strict=True), graph.inputs
    ):
        width = max(2, widths[number])
        there = add.left != ZERO
        inputs: dict[str, Operand] = {"a": nets[add.left]} if there else {}
        inputs["b"] = nets[add.right]
        nets.append(
            d.unit(
                "shift_add", 1, inputs, taps[0]._replace(name="sum", width=width), "s", [Unit("add", 1, bits)],
                parameters={
                    "left": nets[add.left].width if there else 0, "left_shift": add.left_shift,
                    "right": nets[add.right].width, "right_shift": add.right_shift,
                    "width": width, "subtract": add.subtract,
                },
            )
        )  # fmt: skip
    return nets


def _gathered(d: Describer, graph: AdderGraph, nets: list[Net], out: Net) -> Net:
    """The outputs side by side, as wide as `out`."""
    age = max(1, *(nets[output.value].age for output in graph.outputs if output.value != ZERO), 1)
    d.remark = "sums of all channels"
    placed = tuple((f"x{i}", _output(d, nets, output, out, age)) for i, output in enumerate(graph.outputs))
    found = out._replace(name=d.name("sums"), lanes=len(placed), age=age)
    d.parts.append(Part("gather", 1, placed, (("y", found),)))
    return found


def _output(d: Describer, nets: list[Net], output: Output, like: Net, age: int) -> Net:
    if output.value == ZERO:
        return d.literal("zero", like.width, 1, lambda: ((0,),), like)
    net = d.delay(nets[output.value], age)
    if output.shift < 0:
        return d.wire("cut", net, "sum", like, places=-output.shift)
    return d.wire("align", net, "sum", like, places=output.shift, width=like.width)
