"""What executing a graph takes, prepared once: packed weights, chains of nodes, and when a value is done with.

A step is a node, executed by `abcost.core.interpret`; a binary dot product; or a chain. Every step gives the same bits
as its nodes one by one, and where it meets what it was not made for, its nodes are executed one by one.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from abcost.core.arithmetic import Arithmetic, FixedPoint, Floating
from abcost.core.chain import Chain, ChainOp, Value, by_channel, operation
from abcost.core.graph import OpGraph
from abcost.core.kernels import MOST_TILE
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode
from abcost.core.packed import Signs, Weight, convolve, pack, pack_weight
from abcost.core.precision import Encoding
from abcost.core.sums import PoolSum, RealConv, pool_sum, real_conv


@dataclass(frozen=True, slots=True)
class Dot:
    """A binary dot product. to: the name of its sums: the node's own, or another if the node scales or adds to them."""

    node: OpNode
    source: str
    to: str
    weight: Weight

    def run(self, given: Value, arithmetic: Arithmetic, library: ctypes.CDLL) -> Value | None:
        """The sums; None if `given` holds other values than -1 and +1, or has another shape."""
        if isinstance(given, Tensor):
            packed = pack(given, library)
        else:
            packed = given if isinstance(given, Signs) and (given.low, given.high) == (-1.0, 1.0) else None
        found = None if packed is None else convolve(self.node, self.weight, packed, library)
        if found is None:
            return None
        sums, (least, most) = found
        if self.to == self.node.name and isinstance(arithmetic, FixedPoint):
            arithmetic.met(float(max(most, -least)))
        return sums


Sums = Dot | RealConv | PoolSum


@dataclass(frozen=True, slots=True)
class ProgramStep:
    """Nodes that are executed together. done: values that nothing reads after it.

    sums: dot products or a pool, whose results a chain may cut and store, the next step.
    """

    nodes: tuple[OpNode, ...]
    sums: Sums | None = None
    chain: Chain | None = None
    done: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Program:
    """The steps of a graph, in order; real: the nodes whose results are real values of a register."""

    steps: tuple[ProgramStep, ...]
    real: frozenset[str]


_CUT = frozenset(
    {
        *(OpKind.CONV, OpKind.LINEAR, OpKind.MATMUL, OpKind.ADD, OpKind.SUBTRACT, OpKind.MULTIPLY),
        *(OpKind.ADD_CONST, OpKind.SCALE, OpKind.SHIFT, OpKind.SUM_POOL, OpKind.BOX_SUM, OpKind.CLAMP),
    }
)
"""Kinds whose results are cut to the grid; a PReLU passes on what it reads."""
_PROGRAMS: WeakKeyDictionary[OpGraph, dict[object, Program]] = WeakKeyDictionary()
_WEIGHTS: WeakKeyDictionary[Constant, dict[object, Weight | None]] = WeakKeyDictionary()


def program(
    graph: OpGraph,
    arithmetic: Arithmetic,
    kept: frozenset[str],
    given: frozenset[str],
    *,
    native: bool,
    one_by_one: bool = False,
) -> Program:
    """The program of a graph, made once for an arithmetic and a choice of values.

    kept: names of the values that are wanted; given: names of nodes whose values are put in their place; native: with
    compiled kernels; one_by_one: every node has steps of its own, and all values are wanted.
    """
    known = _PROGRAMS.setdefault(graph, {})
    key = (_kind(arithmetic), kept, given, native, one_by_one)
    if key not in known:
        maker = _Maker(graph, arithmetic, kept, given, native=native, one_by_one=one_by_one)
        known[key] = maker.made()
    return known[key]


def _kind(arithmetic: Arithmetic) -> object:
    fraction_bits = arithmetic.fraction_bits if isinstance(arithmetic, FixedPoint) else None
    return fraction_bits, arithmetic.hardware_sign


def is_binary_dot(graph: OpGraph, node: OpNode) -> bool:
    """Whether a convolution or linear layer with a constant weight reads -1 and +1 only."""
    if node.kind not in (OpKind.CONV, OpKind.LINEAR) or node.attrs.get("transposed", False):
        return False
    code = graph.values(graph.sources(node)[0]).code
    return code is not None and code.values() == (-1.0, 1.0)


class _Maker:
    """Walks through a graph and gathers what can be executed together."""

    def __init__(
        self,
        graph: OpGraph,
        arithmetic: Arithmetic,
        kept: frozenset[str],
        given: frozenset[str],
        *,
        native: bool,
        one_by_one: bool,
    ) -> None:
        self._graph, self._arithmetic, self._kept, self._given = graph, arithmetic, kept, given
        self._native, self._one_by_one = native, one_by_one
        self._real = frozenset(n.name for n in graph if graph.precision(n).encoding is Encoding.REAL)
        self._steps: list[ProgramStep] = []
        self._nodes: list[OpNode] = []  # of the chain that is being gathered
        self._ops: list[ChainOp] = []

    def made(self) -> Program:
        """The program."""
        for node in self._graph:
            self._take(node)
            if self._one_by_one:
                self._close()
        self._close()
        return Program(tuple(self._with_ends()), self._real)

    def _take(self, node: OpNode) -> None:
        free = self._native and (self._one_by_one or node.name not in self._given)
        sums = self._sums(node) if free else None
        if sums is not None:
            finish = None if sums.to == node.name else self._finish(node, sums)
            if finish is not None or sums.to == node.name:
                self._close()
                self._steps.append(ProgramStep((node,), sums=sums))
                self._nodes, self._ops = ([], []) if finish is None else ([node], [finish])
                return
        op = self._operation(node) if free else None
        if op is None:
            self._close()
            self._steps.append(ProgramStep((node,)))
            return
        if self._nodes and self._nodes[-1].shape != node.shape:
            self._close()
        self._nodes.append(node)
        self._ops.append(op)

    def _operation(self, node: OpNode) -> ChainOp | None:
        if not isinstance(self._arithmetic, FixedPoint):
            return None
        sources = self._graph.sources(node)
        whole = all(self._whole(source) for source in sources)
        return operation(node, sources, self._arithmetic, whole=whole, stored=node.name in self._real)

    def _whole(self, node: OpNode) -> bool:
        """Whether the node's values are multiples of 2**-F for certain."""
        if node.kind in (OpKind.PRELU, OpKind.SHIFT_PRELU):
            (node,) = self._graph.sources(node)
        return node.kind in _CUT and node.name not in self._given

    def _sums(self, node: OpNode) -> Sums | None:
        dot = self._dot(node)
        if dot is not None or not isinstance(self._arithmetic, FixedPoint):
            return dot
        return pool_sum(self._graph, node) or real_conv(self._graph, node, self._arithmetic)

    def _dot(self, node: OpNode) -> Dot | None:
        if not is_binary_dot(self._graph, node):
            return None
        constant = node.consts["weight"]
        groups = int(node.attrs.get("groups", 1))
        packed = _WEIGHTS.setdefault(constant, {})
        key = (_kind(self._arithmetic), groups)
        if key not in packed:
            packed[key] = pack_weight(constant, groups, self._arithmetic)
        weight = packed[key]
        if weight is None or int(node.attrs.get("divisor", 1)) != 1:
            return None
        plain = weight.scale is None and "bias" not in node.consts and node.name not in self._real
        if not plain and isinstance(self._arithmetic, Floating):
            return None
        (source,) = self._graph.inputs(node.name)
        return Dot(node, source, node.name if plain else f"{node.name} sums", weight)

    def _finish(self, node: OpNode, sums: Sums) -> ChainOp | None:
        """Floor(scale * sums + bias), on the grid."""
        one = torch.ones(node.shape[1], dtype=torch.float64)
        bias = node.consts.get("bias")
        scale = sums.weight.scale if isinstance(sums, Dot) and sums.weight.scale is not None else one
        added = torch.zeros_like(one) if bias is None else self._arithmetic.constant(bias)
        if len(node.shape) not in (2, 4) or node.shape[1] > MOST_TILE:
            return None
        along = (1, -1, *[1] * (len(node.shape) - 2))
        factor, addend = (by_channel(part.reshape(along), node.shape) for part in (scale, added))
        if factor is None or addend is None:
            return None
        stored = node.name in self._real
        return ChainOp(node.name, "affine", node.name, sums.to, None, (factor, addend), stored=stored)

    def _close(self) -> None:
        """Make a step of the chain that was gathered."""
        if self._nodes:
            inside = {node.name for node in self._nodes}
            wanted = {
                node.name
                for node in self._nodes
                if self._one_by_one
                or node.name in self._kept
                or any(user.name not in inside for user in self._graph.users(node))
            }
            if wanted:
                self._steps.append(
                    ProgramStep(tuple(self._nodes), chain=Chain(self._ops, self._nodes[0].shape, wanted))
                )
            else:  # read by nothing
                self._steps += [ProgramStep((node,)) for node in self._nodes]
        self._nodes, self._ops = [], []

    def _with_ends(self) -> Sequence[ProgramStep]:
        """The steps, each with the values that are done with after it."""
        last: dict[str, int] = {}
        for number, step in enumerate(self._steps):
            for node in step.nodes:
                last[node.name] = number
                for name in self._graph.inputs(node.name):
                    last[name] = number
            if step.sums is not None:
                last.setdefault(step.sums.to, number)
            if step.chain is not None:
                last |= dict.fromkeys(step.chain.inputs, number)
        ends: dict[int, list[str]] = {}
        for name, number in last.items():
            ends.setdefault(number, []).append(name)
        return [replace(step, done=tuple(ends.get(number, ()))) for number, step in enumerate(self._steps)]
