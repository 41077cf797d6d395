"""The reference interpreter: runs an op graph on inputs, in floating or in fixed point.

Both arithmetics hold values in float64. In fixed point with F fraction bits every stored value is a multiple
of 2**-F and every product is cut to that grid by rounding towards minus infinity, which is what an
arithmetic right shift does; sums of such values are exact in float64 below 2**52 grid units (checked).
Constants are rounded to the nearest multiple of 2**-F, except powers of two, which are held exactly.

    floating point: y = op(x, c)
    fixed point:    y = floor(op(x, round(c * 2**F) / 2**F) * 2**F) / 2**F

A sign of zero is 0 in torch. Hardware has one bit: x >= 0 -> +1. `FixedPoint` uses the hardware convention,
`Floating` the one it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from abcost.core.adders.of_node import in_adders
from abcost.core.adders.of_node import run_node as run_in_adders
from abcost.core.arithmetic import Arithmetic, FixedPoint, Floating, is_power_of_two
from abcost.core.chain import Value
from abcost.core.graph import OpGraph, taps
from abcost.core.kernels import kernels
from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.core.program import ProgramStep, is_binary_dot, program
from abcost.core.replay import replay
from abcost.core.transfer import decision
from abcost.core.windows import over_windows
from abcost.errors import GraphError

__all__ = [
    "Arithmetic",
    "Deferred",
    "Execution",
    "FixedPoint",
    "Floating",
    "Held",
    "execute",
    "is_power_of_two",
    "only_moves",
    "run_node",
]


def only_moves(node: OpNode) -> bool:
    """Whether a wiring node puts the elements of its one input elsewhere and brings in no constants but 0."""
    padded = node.attrs.get("aten") == "constant_pad_nd.default" and any(node.attrs["args"][2:])
    return node.kind is OpKind.WIRING and not node.consts and not padded


@dataclass(frozen=True, slots=True)
class Deferred:
    """total / divisor, not yet divided: the mean over taps that are no power of two, on its way to a linear layer.

    Hardware keeps the sum and takes 1/taps into the classifier's scale; executing it so before and after
    that rewrite makes the two agree to the bit.
    """

    total: torch.Tensor
    divisor: int


Held = Value | Deferred
"""A value as an execution holds it: a tensor, packed bits, whole numbers, or a mean that is not divided yet."""


def execute(
    graph: OpGraph,
    inputs: Sequence[torch.Tensor],
    arithmetic: Arithmetic | None = None,
    *,
    overrides: Mapping[str, torch.Tensor] | None = None,
    keep: Callable[[OpNode], bool] = lambda node: node.kind is OpKind.OUTPUT,
) -> dict[str, torch.Tensor]:
    """Values (float64) of the nodes that `keep` selects, by name; by default the outputs.

    `overrides` puts given values in place of a node's own, to probe exact thresholds.
    Raises GraphError if the number or shape of the inputs is wrong.
    """
    execution = Execution(graph, inputs, arithmetic or Floating(), overrides=overrides, keep=keep)
    for step in execution.steps:
        execution.run(step)
    return {node.name: execution.kept[node.name] for node in graph if node.name in execution.kept}


class Execution:
    """A graph that is being executed, step by step.

    kept: the values that were asked for, as far as they are known; values: those that a later step reads, as they are
    held (see `opened`).
    """

    def __init__(
        self,
        graph: OpGraph,
        inputs: Sequence[torch.Tensor],
        arithmetic: Arithmetic,
        *,
        overrides: Mapping[str, torch.Tensor] | None = None,
        keep: Callable[[OpNode], bool] = lambda _node: False,
        one_by_one: bool = False,
    ) -> None:
        """See `execute`. one_by_one: every node has its own steps. Raises GraphError for a wrong number of inputs."""
        count = sum(node.kind is OpKind.INPUT for node in graph)
        if count != len(inputs):
            raise GraphError(f"the graph has {count} inputs, {len(inputs)} were given")
        self.graph, self.arithmetic = graph, arithmetic
        self.overrides: Mapping[str, torch.Tensor] = {} if overrides is None else overrides
        self.values: dict[str, Held] = {}
        self.kept: dict[str, torch.Tensor] = {}
        self._feed = dict(zip((n.name for n in graph if n.kind is OpKind.INPUT), inputs, strict=True))
        self._library = kernels()
        self._wanted = frozenset(node.name for node in graph if keep(node))
        native = self._library is not None
        self._program = program(
            graph, arithmetic, self._wanted, frozenset(self.overrides), native=native, one_by_one=one_by_one
        )

    @property
    def steps(self) -> Sequence[ProgramStep]:
        """What is to be run, in order."""
        return self._program.steps

    def run(self, step: ProgramStep) -> None:
        """Execute the nodes of a step, and let go of what nothing reads after it."""
        if not self._natively(step):
            for node in step.nodes:
                self._by_torch(node)
        for node in step.nodes:
            if node.name in self.overrides and node.name in self.values:
                self.values[node.name] = self.overrides[node.name]
            if node.name in self._wanted and node.name in self.values:
                self.kept[node.name] = self.opened(self.values[node.name])
        for name in step.done:
            self.values.pop(name, None)

    def opened(self, value: Held) -> torch.Tensor:
        """A value in float64; a mean that is not divided yet is divided, and not cut."""
        return _plain(self._loose(value), Floating())

    def _loose(self, value: Held) -> torch.Tensor | Deferred:
        if isinstance(value, torch.Tensor | Deferred):
            return value
        if self._library is None:
            raise GraphError("a value is packed, and there is no kernel that unpacks it")
        return value.plain(self._library)

    def _by_torch(self, node: OpNode) -> None:
        if node.kind is OpKind.INPUT:
            result: torch.Tensor | Deferred = _take(node, self._feed[node.name], self.arithmetic)
        else:
            read = [self._loose(self.values[name]) for name in self.graph.inputs(node.name)]
            result = _run_one(self.graph, node, read, self.arithmetic)
        self.values[node.name] = self._stored(node, result)

    def _stored(self, node: OpNode, result: torch.Tensor | Deferred) -> torch.Tensor | Deferred:
        """The result as a register holds it, where it is a real value."""
        if isinstance(result, Deferred) or not isinstance(self.arithmetic, FixedPoint):
            return result
        stored = node.name in self._program.real and result.is_floating_point()
        return self.arithmetic.store(result) if stored else result

    def _natively(self, step: ProgramStep) -> bool:
        """Whether compiled kernels have computed the values of a step."""
        if self._library is None:
            return False
        if step.sums is not None:
            given = self.values[step.sums.source]
            sums = (
                None if isinstance(given, Deferred) else step.sums.run(given, self.arithmetic, self._library)
            )
            if sums is not None:
                self.values[step.sums.to] = sums
            return sums is not None or step.sums.to != step.sums.node.name  # else the chain does without
        if step.chain is None or not isinstance(self.arithmetic, FixedPoint):
            return False
        read: dict[str, Value] = {}
        for name in step.chain.inputs:
            value = self.values.get(name)
            if value is None or isinstance(value, Deferred):
                return False
            read[name] = value
        results = step.chain.run(read, self.arithmetic, self._library)
        self.values.update(results or {})
        return results is not None


def _run_one(
    graph: OpGraph, node: OpNode, inputs: list[torch.Tensor | Deferred], arithmetic: Arithmetic
) -> torch.Tensor | Deferred:
    """The value of a node; sums of products of signs in single precision, which holds them exactly."""
    x = inputs[0]
    if is_binary_dot(graph, node) and isinstance(x, torch.Tensor) and x.dtype == torch.float64:
        weight = node.consts["weight"]
        if weight.binary and weight.fixed is None and "bias" not in node.consts and taps(node) < 2**24:
            single = Floating(hardware_sign=arithmetic.hardware_sign).constant(weight).to(torch.float32)
            if node.kind is OpKind.CONV:
                return arithmetic.settle(_convolution(node, x.to(torch.float32), single).to(torch.float64))
    return _run(node, inputs, arithmetic)


def _take(node: OpNode, value: torch.Tensor, arithmetic: Arithmetic) -> torch.Tensor:
    if tuple(value.shape[1:]) != node.shape[1:]:
        raise GraphError(f"{node} takes shape {node.shape}, was given {tuple(value.shape)}")
    if not value.is_floating_point():
        return value
    return arithmetic.settle(value.to(torch.float64))


def _plain(value: torch.Tensor | Deferred, arithmetic: Arithmetic) -> torch.Tensor:
    return arithmetic.settle(value.total / value.divisor) if isinstance(value, Deferred) else value


def _run(
    node: OpNode, inputs: list[torch.Tensor | Deferred], arithmetic: Arithmetic
) -> torch.Tensor | Deferred:
    if isinstance(inputs[0], Deferred):
        if only_moves(node) and len(inputs) == 1:
            return Deferred(replay(node.attrs, [inputs[0].total], {}), inputs[0].divisor)
        if node.kind is OpKind.LINEAR:
            return _linear(node, inputs[0].total, arithmetic, inputs[0].divisor)
    plain = [_plain(value, arithmetic) for value in inputs]
    if node.kind is OpKind.AVG_POOL and isinstance(arithmetic, FixedPoint):
        taps = int(node.attrs["taps"])
        total = _pool_sum(node, plain[0])
        return Deferred(total, taps) if taps & (taps - 1) else arithmetic.settle(total / taps)
    return _EXECUTORS[node.kind](node, plain, arithmetic)


def run_node(node: OpNode, inputs: Sequence[torch.Tensor], arithmetic: Arithmetic) -> torch.Tensor:
    """The value of one node from those that it reads, of any shape that its constants broadcast to."""
    return _plain(_run(node, list(inputs), arithmetic), arithmetic)


def _c(node: OpNode, role: str, arithmetic: Arithmetic) -> torch.Tensor:
    return arithmetic.constant(node.consts[role])


def _convolution(node: OpNode, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    a = node.attrs
    result: torch.Tensor = torch.ops.aten.convolution(
        x,
        weight,
        None,
        list(a["stride"]),
        list(a["padding"]),
        list(a["dilation"]),
        a["transposed"],
        list(a["output_padding"]),
        a["groups"],
    )
    return result


def _products(node: OpNode, x: torch.Tensor, arithmetic: Arithmetic) -> torch.Tensor:
    """Sums of products with the weights; by its adders where the node has such, and they hold what it multiplies by."""
    weight = _c(node, "weight", arithmetic)
    held = in_adders(node) and torch.equal(weight, node.consts["weight"].real())
    if held and isinstance(arithmetic, FixedPoint):
        return run_in_adders(node, x, arithmetic.fraction_bits)
    return _convolution(node, x, weight) if node.kind is OpKind.CONV else x @ weight.t()


def _conv(node: OpNode, x: list[torch.Tensor], arithmetic: Arithmetic) -> torch.Tensor:
    y = _products(node, x[0], arithmetic)
    if "bias" in node.consts:
        y = y + _c(node, "bias", arithmetic).reshape(1, -1, *[1] * (y.dim() - 2))
    return arithmetic.settle(y)


def _linear(node: OpNode, x: torch.Tensor, arithmetic: Arithmetic, divisor: int = 1) -> torch.Tensor:
    y = _products(node, x, arithmetic)
    y = y / (divisor * int(node.attrs.get("divisor", 1)))
    if "bias" in node.consts:
        y = y + _c(node, "bias", arithmetic)
    return arithmetic.settle(y)


def _prelu(node: OpNode, x: list[torch.Tensor], arithmetic: Arithmetic) -> torch.Tensor:
    return torch.where(x[0] >= 0, x[0], arithmetic.settle(x[0] * _c(node, "slope", arithmetic)))


def _exponents(node: OpNode) -> torch.Tensor:
    return torch.exp2(node.consts["exponent"].real())


def _shift_prelu(node: OpNode, x: list[torch.Tensor], arithmetic: Arithmetic) -> torch.Tensor:
    return torch.where(x[0] >= 0, x[0], arithmetic.settle(x[0] * _exponents(node)))


def _at_zero(node: OpNode, arithmetic: Arithmetic) -> int:
    """Value of a sign at exactly 0: as written, but never 0 where signs have one bit."""
    at_zero = int(node.attrs["at_zero"])
    return 1 if at_zero == 0 and arithmetic.hardware_sign else at_zero


def _signs(difference: torch.Tensor, at_zero: int) -> torch.Tensor:
    signs = torch.sign(difference)
    return torch.where(difference == 0, float(at_zero), signs) if at_zero else signs


def _decided(node: OpNode, difference: torch.Tensor, arithmetic: Arithmetic) -> torch.Tensor:
    """One of the node's two values by the sign of a difference; half-way between them at a 0 that torch.sign keeps."""
    signs = _signs(difference, _at_zero(node, arithmetic))
    low, high = decision(node)
    return signs if (low, high) == (-1.0, 1.0) else low + (signs + 1) * ((high - low) / 2)


def _sign(node: OpNode, x: list[torch.Tensor], arithmetic: Arithmetic) -> torch.Tensor:
    return _decided(node, x[0], arithmetic)


def _threshold(node: OpNode, x: list[torch.Tensor], arithmetic: Arithmetic) -> torch.Tensor:
    difference = x[0] - _c(node, "level", arithmetic)
    if "gain" in node.consts:
        difference = difference * node.consts["gain"].real()
    return _decided(node, difference, arithmetic)


def _quantise(node: OpNode, x: list[torch.Tensor], arithmetic: Arithmetic) -> torch.Tensor:
    """Offset + step * (number of thresholds that x reaches, each on the side that its gain says)."""
    levels = _c(node, "levels", arithmetic)
    gains = node.consts["gain"].real() if "gain" in node.consts else torch.ones_like(levels)
    reached = torch.zeros_like(x[0])
    for level, gain in zip(levels, gains, strict=True):
        reached = reached + ((x[0] - level) * gain >= 0)
    return arithmetic.settle(float(node.attrs["offset"]) + float(node.attrs["step"]) * reached)


def _box_sum(node: OpNode, x: list[torch.Tensor], arithmetic: Arithmetic) -> torch.Tensor:
    """The sum over a convolution's window and all its channels, or over a linear layer's row."""
    a = node.attrs
    if not a["kernel"]:
        return arithmetic.settle(x[0].sum(-1, keepdim=True))
    ones = torch.ones((1, x[0].shape[1], *a["kernel"]), dtype=torch.float64)
    dims = len(a["kernel"])
    return arithmetic.settle(
        torch.ops.aten.convolution(
            x[0],
            ones,
            None,
            list(a["stride"]),
            list(a["padding"]),
            list(a["dilation"]),
            False,
            [0] * dims,
            1,
        )
    )


_RELATIONS: dict[str, Callable[[Any, Any], torch.Tensor]] = {
    "gt": torch.gt,
    "ge": torch.ge,
    "lt": torch.lt,
    "le": torch.le,
    "eq": torch.eq,
    "ne": torch.ne,
}


def _compare(node: OpNode, x: list[torch.Tensor], arithmetic: Arithmetic) -> torch.Tensor:
    other = x[1] if len(x) > 1 else _c(node, "level", arithmetic)
    return _RELATIONS[node.attrs["relation"]](x[0], other).to(torch.float64)


def _select(node: OpNode, x: list[torch.Tensor], arithmetic: Arithmetic) -> torch.Tensor:
    feed = iter(x)
    condition, yes, no = (
        _c(node, role, arithmetic) if role in node.consts else next(feed)
        for role in ("condition", "self", "other")
    )
    return torch.where(condition != 0, yes.to(torch.float64), no.to(torch.float64))


def _clamp(node: OpNode, x: list[torch.Tensor], arithmetic: Arithmetic) -> torch.Tensor:
    return arithmetic.settle(torch.clamp(x[0], node.attrs["min"], node.attrs["max"]))


def _extremum(node: OpNode, x: list[torch.Tensor], arithmetic: Arithmetic) -> torch.Tensor:
    other = x[1] if len(x) > 1 else _c(node, "level", arithmetic)
    return torch.maximum(x[0], other) if node.attrs["which"] == "max" else torch.minimum(x[0], other)


def _max_pool(node: OpNode, x: list[torch.Tensor], _arithmetic: Arithmetic) -> torch.Tensor:
    a = node.attrs
    if "axes" in a:
        return torch.amax(x[0], dim=list(a["axes"]), keepdim=a["keepdim"])
    if "windows" in a:
        return over_windows(x[0], a["windows"], torch.amax)
    pool = F.max_pool3d if len(a["kernel"]) == 3 else F.max_pool2d
    return pool(
        x[0], list(a["kernel"]), list(a["stride"]), list(a["padding"]), list(a["dilation"]), a["ceil_mode"]
    )


def _avg_pool(node: OpNode, x: list[torch.Tensor], _arithmetic: Arithmetic) -> torch.Tensor:
    return _pool_sum(node, x[0]) / int(node.attrs["taps"])


def _pool_sum(node: OpNode, x: torch.Tensor) -> torch.Tensor:
    a = node.attrs
    if "axes" in a:
        return torch.sum(x, dim=list(a["axes"]), keepdim=a["keepdim"])
    if "windows" in a:
        return over_windows(x, a["windows"], torch.sum)
    pool = F.avg_pool3d if len(a["kernel"]) == 3 else F.avg_pool2d
    return pool(
        x, list(a["kernel"]), list(a["stride"]), list(a["padding"]), a["ceil_mode"], divisor_override=1
    )


def _softmax_like(node: OpNode, x: list[torch.Tensor], arithmetic: Arithmetic) -> torch.Tensor:
    return arithmetic.settle(
        replay(node.attrs, x, {role: _c(node, role, arithmetic) for role in node.consts})
    )


def _wiring(node: OpNode, x: list[torch.Tensor], arithmetic: Arithmetic) -> torch.Tensor:
    return replay(node.attrs, x, {role: _indices_or_values(node, role, arithmetic) for role in node.consts})


def _indices_or_values(node: OpNode, role: str, arithmetic: Arithmetic) -> torch.Tensor:
    values = node.consts[role].values
    return _c(node, role, arithmetic) if values.is_floating_point() else values


_Executor = Callable[[OpNode, list[torch.Tensor], Arithmetic], torch.Tensor]
_EXECUTORS: dict[OpKind, _Executor] = {
    OpKind.OUTPUT: lambda _n, x, _a: x[0],
    OpKind.CONV: _conv,
    OpKind.LINEAR: lambda n, x, a: _linear(n, x[0], a),
    OpKind.MATMUL: lambda _n, x, a: a.settle(x[0] @ x[1]),
    OpKind.ADD: lambda _n, x, a: a.settle(x[0] + x[1]),
    OpKind.SUBTRACT: lambda _n, x, a: a.settle(x[0] - x[1]),
    OpKind.MULTIPLY: lambda _n, x, a: a.settle(x[0] * x[1]),
    OpKind.ADD_CONST: lambda n, x, a: a.settle(x[0] + _c(n, "value", a)),
    OpKind.SCALE: lambda n, x, a: a.settle(x[0] * _c(n, "factor", a)),
    OpKind.SHIFT: lambda n, x, a: a.settle(x[0] * _exponents(n)),
    OpKind.NEGATE: lambda _n, x, _a: -x[0],
    OpKind.SIGN: _sign,
    OpKind.THRESHOLD: _threshold,
    OpKind.QUANTISE: _quantise,
    OpKind.COMPARE: _compare,
    OpKind.SELECT: _select,
    OpKind.PRELU: _prelu,
    OpKind.SHIFT_PRELU: _shift_prelu,
    OpKind.CLAMP: _clamp,
    OpKind.EXTREMUM: _extremum,
    OpKind.MAX_POOL: _max_pool,
    OpKind.AVG_POOL: _avg_pool,
    OpKind.BOX_SUM: _box_sum,
    OpKind.SUM_POOL: lambda n, x, a: a.settle(_pool_sum(n, x[0])),
    OpKind.SOFTMAX: _softmax_like,
    OpKind.NORM: _softmax_like,
    OpKind.FUNCTION: _softmax_like,
    OpKind.LOOKUP: _wiring,
    OpKind.MASK: lambda n, x, a: a.settle(torch.tanh(x[0] * float(n.attrs["slope"]))),
    OpKind.WIRING: _wiring,
}
