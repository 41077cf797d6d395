"""Chains of elementwise operations in fixed point, tile by tile: what is cut and stored is read while it is cached.

A chain is a run of nodes of one shape, (N, C) or (N, C, H, W), whose constants differ by channel at most. Every
operation gives the bits that `abcost.core.interpret` gives, and notes what that notes: the largest value before it is
cut, the range of stored values and how many wrapped.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from abcost.core.arithmetic import FixedPoint
from abcost.core.kernels import CODES, MOST_TILE, KernelOperation, KernelPlace, Met
from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.core.packed import Signs, Sums, channels_last, empty, spread
from abcost.core.transfer import decision

Value = Tensor | Signs | Sums
_BLOCK = 32  # elements that the kernel takes at once
_TILE = 512  # elements that a tile has at least: some buffers of it fit into the first cache
_LARGEST = 2.0**500
"""Constants beyond it are left to torch; thresholds are moved to it, for nothing stored comes near."""
_SETTLED = frozenset(
    {"affine", "add", "subtract", "multiply", "add_constant", "times_constant", "prelu", "clamp"}
)
_ADDS = frozenset({"add", "subtract", "add_constant"})
"""Codes that leave multiples of 2**-F what they are."""


@dataclass(frozen=True, slots=True)
class ChainOp:
    """One operation of a chain. node: whose value it computes; to, left, right: names of values.

    constants: by channel, float64 (C,); see `struct operation` of kernels.c.
    """

    node: str
    code: str
    to: str
    left: str
    right: str | None = None
    constants: tuple[Tensor, ...] = ()
    low: float = -1.0
    high: float = 1.0
    at_zero: bool = True
    on_grid: bool = False  # nothing is to be cut off
    stored: bool = False  # the result is a real value of a register


def by_channel(constant: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """A constant as one float64 number per channel of (N, C) or (N, C, H, W).

    None where it differs otherwise, is not finite or very large.
    """
    sizes = list(constant.shape)
    from_end = len(shape) - 1  # the channel axis, counted from the last: 1 of (N, C), 3 of (N, C, H, W)
    for place, size in enumerate(reversed(sizes), start=1):
        if size != 1 and (place != from_end or size != shape[1]):
            return None
    if len(sizes) > len(shape):
        return None
    values = constant.to(torch.float64).flatten()
    if not bool((values.abs() <= _LARGEST).all()):
        return None
    return values.expand(shape[1]).contiguous()


def operation(
    node: OpNode, sources: Sequence[OpNode], arithmetic: FixedPoint, *, whole: bool, stored: bool
) -> ChainOp | None:
    """What `node` does in a chain; None if it is nothing that a chain does.

    whole: the inputs are multiples of 2**-F; stored: the result is a real value of a register.
    """
    if len(node.shape) not in (2, 4) or not 0 < node.shape[1] <= MOST_TILE or not node.elements:
        return None
    if any(source.shape != node.shape for source in sources) or not arithmetic.hardware_sign:
        return None
    rule = _RULES.get(node.kind)
    found = None if rule is None else rule(node, [source.name for source in sources], arithmetic)
    if found is None:
        return None
    on_grid = whole and found.code in _ADDS and all(_whole(c, arithmetic) for c in found.constants)
    return replace(found, stored=stored, on_grid=on_grid)


def _whole(constant: Tensor, arithmetic: FixedPoint) -> bool:
    units = constant * 2.0**arithmetic.fraction_bits
    return torch.equal(units, units.round())


def _two(code: str) -> Callable[[OpNode, list[str], FixedPoint], ChainOp | None]:
    return lambda node, names, _a: ChainOp(node.name, code, node.name, names[0], names[1])


def _with(
    code: str, read: Callable[[OpNode, FixedPoint], Tensor]
) -> Callable[[OpNode, list[str], FixedPoint], ChainOp | None]:
    def rule(node: OpNode, names: list[str], arithmetic: FixedPoint) -> ChainOp | None:
        constant = by_channel(read(node, arithmetic), node.shape)
        return None if constant is None else ChainOp(node.name, code, node.name, names[0], None, (constant,))

    return rule


def _held(role: str) -> Callable[[OpNode, FixedPoint], Tensor]:
    return lambda node, arithmetic: arithmetic.constant(node.consts[role])


def _power(node: OpNode, _arithmetic: FixedPoint) -> Tensor:
    return torch.exp2(node.consts["exponent"].real())


def _clamp(node: OpNode, names: list[str], _arithmetic: FixedPoint) -> ChainOp | None:
    least, most = node.attrs["min"], node.attrs["max"]
    low, high = (-math.inf if least is None else float(least)), (math.inf if most is None else float(most))
    if not low <= high:
        return None
    low, high = max(low, -_LARGEST), min(high, _LARGEST)
    return ChainOp(node.name, "clamp", node.name, names[0], low=low, high=high)


def _extremum(node: OpNode, names: list[str], arithmetic: FixedPoint) -> ChainOp | None:
    code = "maximum" if node.attrs["which"] == "max" else "minimum"
    if len(names) > 1:
        return ChainOp(node.name, code, node.name, names[0], names[1])
    return _with(f"{code}_constant", _held("level"))(node, names, arithmetic)


def _decision(node: OpNode, names: list[str], arithmetic: FixedPoint) -> ChainOp | None:
    """The sign of (x - level) * gain."""
    channels = node.shape[1]
    level: Tensor | None = torch.zeros(channels, dtype=torch.float64)
    gain: Tensor | None = torch.ones(channels, dtype=torch.float64)
    if node.kind is OpKind.THRESHOLD:
        held = arithmetic.constant(node.consts["level"])
        level = by_channel(torch.where(held.isinf(), held.sign() * _LARGEST, held), node.shape)
        if "gain" in node.consts:
            gain = by_channel(node.consts["gain"].real(), node.shape)
    if level is None or gain is None:
        return None
    low, high = decision(node)
    if (low, high) != (-1.0, 1.0):  # as the interpreter adds them up
        low, high = low + 0 * ((high - low) / 2), low + 2 * ((high - low) / 2)
    at_zero = int(node.attrs["at_zero"]) >= 0  # hardware has no 0: it is +1
    return ChainOp(node.name, "decide", node.name, names[0], None, (level, gain), low, high, at_zero)


_RULES: dict[OpKind, Callable[[OpNode, list[str], FixedPoint], ChainOp | None]] = {
    OpKind.ADD: _two("add"),
    OpKind.SUBTRACT: _two("subtract"),
    OpKind.MULTIPLY: _two("multiply"),
    OpKind.ADD_CONST: _with("add_constant", _held("value")),
    OpKind.SCALE: _with("times_constant", _held("factor")),
    OpKind.SHIFT: _with("times_constant", _power),
    OpKind.PRELU: _with("prelu", _held("slope")),
    OpKind.SHIFT_PRELU: _with("prelu", _power),
    OpKind.NEGATE: lambda n, names, _a: ChainOp(n.name, "negate", n.name, names[0]),
    OpKind.CLAMP: _clamp,
    OpKind.EXTREMUM: _extremum,
    OpKind.SIGN: _decision,
    OpKind.THRESHOLD: _decision,
}


class Chain:
    """Operations in order, ready to run."""

    def __init__(self, ops: Sequence[ChainOp], shape: tuple[int, ...], wanted: set[str]) -> None:
        """`wanted`: the values that are read outside; decisions among them come out as bits."""
        self.shape, self.wanted = shape, wanted
        made = {op.to for op in ops}
        self.inputs = tuple(
            dict.fromkeys(
                name for op in ops for name in (op.left, op.right) if name is not None and name not in made
            )
        )
        read = {name for op in ops for name in (op.left, op.right)}
        self._ops: list[ChainOp] = []
        for op in ops:
            if op.code != "decide" or op.to in read:
                self._ops.append(op)
            if op.code == "decide" and op.to in wanted:
                self._ops.append(replace(op, code="pack"))
        self._packed = {op.to for op in self._ops if op.code == "pack"}
        unit = _BLOCK // math.gcd(shape[1], _BLOCK)
        repeats = max(1, _TILE // shape[1] // unit * unit)
        self._tile = repeats * shape[1]
        self._constants = [tuple(c.repeat(repeats) for c in op.constants) for op in self._ops]

    def run(
        self, given: Mapping[str, Value], arithmetic: FixedPoint, library: ctypes.CDLL
    ) -> dict[str, Value] | None:
        """The wanted values; None if a given value is not what the chain was made for.

        What was met is noted in `arithmetic`. Raises GraphError where float64 could not be exact.
        """
        shape = _shape_of(given[self.inputs[0]])
        read = {name: _laid(given[name], shape, self.shape, library) for name in self.inputs}
        if any(value is None for value in read.values()):
            return None
        results: dict[str, Value] = {}
        for name in self.wanted:
            if name in self._packed:
                op = next(op for op in self._ops if op.code == "pack" and op.to == name)
                positions = math.prod(shape) // shape[1]
                bits = torch.empty((positions, -(-shape[1] // 8)), dtype=torch.uint8)
                results[name] = Signs(bits, shape, op.low, op.high)
            else:
                results[name] = empty(shape)
        tensors = {name: value for name, value in read.items() if value is not None}
        total = math.prod(shape)
        half = 0.0 if arithmetic.width is None else 2.0 ** (arithmetic.width - 1 - arithmetic.fraction_bits)

        def walk(start: int, end: int) -> ctypes.Array[Met]:
            operations, places, _buffers = self._bound(tensors, results)
            met = (Met * len(operations))()
            library.abcost_chain(
                operations, len(operations), places, met, shape[1], self._tile, start, end,
                2.0**arithmetic.fraction_bits, half,
            )  # fmt: skip
            return met

        parts = spread(walk, total, total // shape[1], self._tile)
        for number, op in enumerate(self._ops, start=-len(self._ops)):  # behind those that read sums
            self._note(op, [part[number] for part in parts], arithmetic)
        return results

    def _bound(
        self, read: Mapping[str, Tensor], results: Mapping[str, Value]
    ) -> tuple[ctypes.Array[KernelOperation], ctypes.Array[KernelPlace], list[Tensor]]:
        """The chain for one thread: operations and places, and the buffers that the places point to."""
        places: list[KernelPlace] = []
        buffers: list[Tensor] = []
        where: dict[str, int] = {}

        def place(base: int, walked: int) -> int:
            places.append(KernelPlace(base, walked))
            return len(places) - 1

        last = {name: number for number, op in enumerate(self._ops) for name in (op.left, op.right)}
        free: list[int] = []

        def buffer() -> int:
            if free:
                return free.pop()
            buffers.append(torch.empty(self._tile, dtype=torch.float64))
            return place(buffers[-1].data_ptr(), 0)

        operations: list[KernelOperation] = []
        for name, tensor in read.items():
            where[name] = place(tensor.data_ptr(), tensor.element_size())
            if tensor.dtype == torch.int32:
                to = buffer()
                operations.append(KernelOperation(CODES["from_sums"], to, where[name], where[name]))
                where[name] = to
        for number, (op, constants) in enumerate(zip(self._ops, self._constants, strict=True)):
            left = where[op.left]
            right = left if op.right is None else where[op.right]
            result = results.get(op.to)
            if op.code == "pack" and isinstance(result, Signs):
                to = place(result.bits.data_ptr(), 0)
            elif isinstance(result, Tensor):
                to = where[op.to] = place(result.data_ptr(), 8)
            else:
                to = where[op.to] = buffer()
            pointers = [c.data_ptr() for c in constants] + [None, None]
            operations.append(
                KernelOperation(
                    CODES[op.code], to, left, right, pointers[0], pointers[1], op.low, op.high, op.at_zero, op.on_grid,
                    op.stored and op.code != "pack",
                )
            )  # fmt: skip
            free += {
                where[name]
                for name in (op.left, op.right)
                if name is not None and last[name] == number and not places[where[name]].walked
            }
        return (KernelOperation * len(operations))(*operations), (KernelPlace * len(places))(*places), buffers

    def _note(self, op: ChainOp, met: Sequence[Met], arithmetic: FixedPoint) -> None:
        if op.code in _SETTLED:
            arithmetic.met(max(max(m.largest, -m.least) for m in met))
        if op.stored and op.code != "pack":
            arithmetic.lowest = min(arithmetic.lowest, *(m.lowest for m in met))
            arithmetic.highest = max(arithmetic.highest, *(m.highest for m in met))
            arithmetic.overflows += int(sum(m.overflows for m in met))


def _shape_of(value: Value) -> tuple[int, ...]:
    return tuple(value.values.shape) if isinstance(value, Sums) else tuple(value.shape)


def _laid(
    value: Value, shape: tuple[int, ...], made_for: tuple[int, ...], library: ctypes.CDLL
) -> Tensor | None:
    """A tensor that the kernel can walk through; None for another shape or type."""
    if _shape_of(value) != shape or shape[1:] != made_for[1:] or not math.prod(shape):
        return None
    if isinstance(value, Sums):
        return value.values
    plain = value.plain(library) if isinstance(value, Signs) else value
    return channels_last(plain) if plain.dtype == torch.float64 else None
