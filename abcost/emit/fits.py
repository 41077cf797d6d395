"""Whether the values of an engine fit its number format, and the format with most fraction bits in which they do."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.engine import Engine
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.core.precision import Encoding
from abcost.emit.rows import interpret
from abcost.errors import UsageError

_MOST_FRACTION_BITS = 12
_TAKES_INTEGERS = frozenset({OpKind.SCALE, OpKind.SIGN, OpKind.THRESHOLD})
"""Readers of a binary dot product that take it as the integer it is."""


def fitted(
    graph: OpGraph, inputs: Sequence[Tensor], engines: Sequence[Engine], width: int
) -> tuple[NumberFormat, dict[str, Tensor]]:
    """The most fraction bits at which everything that the engines hold fits, and all values there."""
    bits = _MOST_FRACTION_BITS
    while True:
        values = interpret(graph, inputs, bits)
        largest = max(largest_of(graph, values, engine) for engine in engines)
        room = max(0, width - bits_for(largest, 0))
        if bits <= room:
            return NumberFormat(width, bits), values
        bits = min(bits - 1, room)


def check_fits(graph: OpGraph, values: dict[str, Tensor], engine: Engine, number: NumberFormat) -> None:
    """Raises UsageError if a value or a parameter of the engine does not fit the width."""
    largest = largest_of(graph, values, engine)
    needed = bits_for(largest, number.fraction_bits)
    if needed > number.width:
        raise UsageError(
            f"values of layer {engine.name} reach {largest:.4g}: {needed} bits at "
            f"{number.fraction_bits} fraction bits; give --width {needed} or a smaller --fraction-bits"
        )


def largest_of(graph: OpGraph, values: dict[str, Tensor], engine: Engine) -> float:
    """The largest magnitude that the engine must hold: of values, and of parameters.

    Exponents are codes, and weights that are whole numbers have no bits behind the point.
    """
    nodes = {node.name: node for node in _held(graph, engine)}
    found = [values[name] for name in nodes]
    for node in (engine.dot, *(work.node for work in engine.chain)):
        found += [
            c.real()
            for role, c in node.consts.items()
            if role not in ("exponent", "gain")
            and not c.binary
            and (role != "weight" or c.values.is_floating_point() or c.scale is not None)
        ]
    return max((float(v.abs().max()) for v in found), default=0.0)


def _held(graph: OpGraph, engine: Engine) -> list[OpNode]:
    """What it holds and reads in fixed point: all but bits, and but a dot product that is taken as an integer."""
    nodes = [engine.dot, *(work.node for work in engine.chain)]
    near = {node.name: node for own in nodes for node in (own, *graph.sources(own))}
    integer = graph.precision(engine.dot).encoding is not Encoding.REAL
    if integer and all(user.kind in _TAKES_INTEGERS for user in graph.users(engine.dot)):
        del near[engine.dot.name]
    return [node for node in near.values() if graph.precision(node).width(2) > 1]


def bits_for(largest: float, fraction_bits: int) -> int:
    """Bits of a signed number of that magnitude, fraction included."""
    return int(largest).bit_length() + 1 + fraction_bits
