"""Engines: the counted nodes of a graph, grouped behind the dot products that feed them.

Every counted node is in exactly one engine: a dot product in its own, every other node in that of the last dot
product (in execution order) among its ancestors, or, before the first dot product, in the first engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from abcost.accelerator.design.net import NumberFormat
from abcost.classify.counts import Count, counts_of
from abcost.classify.signed_digits import nonzero_digits
from abcost.core.adders.of_node import in_adders
from abcost.core.graph import OpGraph, taps
from abcost.core.kinds import DOTS, DotArithmetic, OpKind
from abcost.core.node import OpNode
from abcost.cost.organisation import Unit
from abcost.errors import UsageError


@dataclass(frozen=True, slots=True)
class Work:
    """A node and what it performs in one inference; `units` remembers what it is built of, per size."""

    node: OpNode
    counts: tuple[Count, ...]
    units: dict[tuple[int, int, int], tuple[Unit, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )


@dataclass(frozen=True, slots=True)
class Engine:
    """One dot product and its post-processing chain.

    channels: outputs per position; taps: K, products per output; positions: of the output, batch included;
    bits: of an element of each operand;
    digits: signed digits of one weight that are worked off one by one (1 unless weights are in signed digits);
    scale: the multiplication that alone reads a binary dot product, if there is one;
    words: bits of one of its weights, remembered per number format.
    """

    dot: OpNode
    arithmetic: DotArithmetic
    counts: tuple[Count, ...]
    chain: tuple[Work, ...]
    channels: int
    taps: int
    positions: int
    bits: tuple[int, int]
    digits: int = 1
    scale: OpNode | None = None
    words: dict[NumberFormat, int] = field(default_factory=dict, repr=False, compare=False)

    @property
    def in_digits(self) -> bool:
        """Whether its weights are worked off digit by digit."""
        return "csd_fraction_bits" in self.dot.attrs and not self.in_adders

    @property
    def in_adders(self) -> bool:
        """Whether it is a graph of adders: built whole, for a position in every clock cycle."""
        return in_adders(self.dot)

    @property
    def name(self) -> str:
        """Layer of the dot product."""
        return self.dot.layer or self.dot.name

    @property
    def macs(self) -> int:
        """Multiply-accumulates of an inference, padded taps included."""
        return self.positions * self.channels * self.taps

    def cycles(self, pe: int, simd: int) -> int:
        """Clock cycles per inference: positions * (channels / PE) * (K / SIMD) * digits."""
        return self.positions * self.folds(pe, simd) * self.digits

    def folds(self, pe: int, simd: int) -> int:
        """Groups of PE channels times groups of SIMD taps of one position; each has a word of weights per digit."""
        return -(-self.channels // pe) * -(-self.taps // simd)


def engines(graph: OpGraph, width: int) -> list[Engine]:
    """The engines in execution order. Raises UsageError for a network without a dot product."""
    dots = graph.of_kind(*DOTS)
    if not dots:
        raise UsageError(
            "the network has no convolution or linear layer to fold; leave --device and --fps out"
        )
    owner: dict[str, int] = {}
    chains: list[list[Work]] = [[] for _ in dots]
    number = 0
    for node in graph:
        if node.kind in DOTS:
            owner[node.name] = number
            number += 1
            continue
        owner[node.name] = max((owner[name] for name in graph.inputs(node.name)), default=0)
        counts = counts_of(graph, node, width)
        if counts:
            chains[owner[node.name]].append(Work(node, counts))
    return [_engine(graph, dot, chain, width) for dot, chain in zip(dots, chains, strict=True)]


def _engine(graph: OpGraph, dot: OpNode, chain: Sequence[Work], width: int) -> Engine:
    channels = dot.shape[1] if len(dot.shape) > 2 and dot.kind.value == "conv" else dot.shape[-1]
    fraction_bits = dot.attrs.get("csd_fraction_bits")
    digits = 1
    if fraction_bits is not None and not in_adders(dot):
        digits = max(1, int(nonzero_digits(dot.consts["weight"].values, fraction_bits).max()))
    return Engine(
        dot=dot,
        arithmetic=graph.dot_arithmetic(dot),
        counts=counts_of(graph, dot, width),
        chain=tuple(chain),
        channels=channels,
        taps=taps(dot),
        positions=dot.elements // channels,
        bits=graph.dot_product(dot).bits(width),
        digits=digits,
        scale=_scale(graph, dot),
    )


def _scale(graph: OpGraph, dot: OpNode) -> OpNode | None:
    """The multiplication by constants that alone reads a binary dot product."""
    readers = graph.users(dot)
    alone = len(readers) == 1 and readers[0].kind is OpKind.SCALE
    binary = graph.dot_arithmetic(dot) is DotArithmetic.XNOR
    return readers[0] if alone and binary and "csd_fraction_bits" not in readers[0].attrs else None
