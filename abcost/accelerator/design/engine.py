"""One engine, described: the dot product, the way from PE sums to the lanes of the chain, and the chain.

    a, inside, valid --dot--> PE sums --shift out--> lanes --2p - K--> chain --> results
                              weights                       x0, x1, ...  (residual operands)

The chain has as few lanes as keep pace with the dot product: the least divisor of PE that is at least PE / steps.
The two blocks are described apart: what the chain is does not depend on SIMD, and is kept per number of lanes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from abcost.accelerator.design.chain import (
    OPERATIONS,
    ChainDesign,
    Stream,
    price_only,
    unsupported,
)
from abcost.accelerator.design.describer import Describer
from abcost.accelerator.design.dot import POPCOUNTED, Leaf, Sum, describe_dot
from abcost.accelerator.design.net import Net, NumberFormat, Part
from abcost.accelerator.design.pool import POOLS, describe_pool, unsupported_pool
from abcost.accelerator.engine import Engine, Work
from abcost.accelerator.folding import Folding, divisors
from abcost.core.adders.signed_digits import signed_digits
from abcost.core.bits import popcount_bits
from abcost.core.graph import OpGraph
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.node import OpNode
from abcost.core.precision import Encoding
from abcost.cost.organisation import Unit


@dataclass(frozen=True, slots=True)
class ResidualOperand:
    """A residual operand: read in the cycles in which `take` is 1."""

    node: OpNode
    net: Net
    take: Net


@dataclass(frozen=True, slots=True)
class EngineResult:
    """What later engines read: there in the cycles in which `valid` is 1."""

    node: OpNode
    net: Net
    valid: Net


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Parts in order, and what they are in a cost table. unwritten: why they cannot be printed, one reason each."""

    parts: tuple[Part, ...]
    units: tuple[Unit, ...]
    unwritten: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class SumsBlock(Block):
    """The dot product. lane_units: of its PE lanes, `lanes` of them; sums: what it gives."""

    lane_units: tuple[Unit, ...] = field(kw_only=True)
    lanes: int = field(kw_only=True)
    sums: Sum = field(kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class TurnBlock(Block):
    """From PE sums of age 0 to values of the chain. coming: 1 one clock before a value."""

    sums: Sum = field(kw_only=True)
    value: Net = field(kw_only=True)
    coming: Net = field(kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class ChainBlock(Block):
    """Its input is at age 1, what says that it comes at age 0."""

    value: Net = field(kw_only=True)
    coming: Net = field(kw_only=True)
    sides: tuple[ResidualOperand, ...] = field(kw_only=True)
    results: tuple[EngineResult, ...] = field(kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class EngineDesign:
    """An engine at a folding. lanes: of the chain."""

    engine: Engine
    folding: Folding
    number: NumberFormat
    leaf: Leaf
    lanes: int
    sums: SumsBlock
    turn: TurnBlock
    chain: ChainBlock
    unwritten: tuple[str, ...]  # why there is no Verilog of it; empty where there is

    @property
    def stages(self) -> int:
        """Clock edges from the last step of a dot product to the latest result."""
        last = max((result.net.age for result in self.chain.results), default=1)
        return self.sums.sums.value.age + self.turn.value.age + last - 1


def steps_of(engine: Engine, folding: Folding) -> int:
    """Clock cycles of one dot product of PE channels."""
    return -(-engine.taps // folding.simd) * engine.digits


def chain_lanes(engine: Engine, folding: Folding) -> int:
    """Values that the chain takes per cycle: the least divisor of PE that keeps pace."""
    steps = steps_of(engine, folding)
    return next(lanes for lanes in divisors(folding.pe) if lanes * steps >= folding.pe)


def describe_sums(
    engine: Engine, folding: Folding, number: NumberFormat, leaf: Leaf, word: int, *, memory: bool
) -> SumsBlock:
    """The dot product. word: bits of a stored weight; memory: whether weights are read from one (else they are inputs).

    A single word of weights is constant.
    """
    d = Describer(folding.pe)
    sums = describe_dot(d, engine, folding, number, leaf, word, memory=memory)
    return SumsBlock(
        tuple(d.parts), tuple(d.units()), tuple(d.unwritten), lane_units=tuple(d.lane_units()), lanes=folding.pe,
        sums=sums,
    )  # fmt: skip


def describe_turn(engine: Engine, sums: Sum, pe: int, lanes: int) -> TurnBlock:
    """The way from PE sums like these to so many lanes."""
    d = Describer()
    start = Sum(
        sums.value._replace(name="sums", age=0, lanes=pe),
        sums.valid._replace(name="complete", age=0),
        None if sums.taps is None else (sums.taps[0]._replace(name="positions", age=0), sums.taps[1]),
    )
    value, coming, taps = _shifted_out(d, start, pe, lanes)
    if engine.arithmetic in POPCOUNTED and not engine.in_adders:
        value = _centred(d, engine, value, taps)
    if value.age == 0:  # that a value comes has to be known one clock before
        value = d.delay(value, 1)
    coming = d.delay(coming, value.age - 1)
    return TurnBlock(tuple(d.parts), tuple(d.units()), sums=start, value=value, coming=coming)


def _shifted_out(d: Describer, found: Sum, pe: int, lanes: int) -> tuple[Net, Net, tuple[Net, int] | None]:
    """Values for the lanes of the chain, the flag one clock before them, and the taps that belong to them."""
    value, taps = found.value, found.taps
    if lanes == pe:
        return value, found.valid, taps
    load = found.valid
    d.remark = f"{pe} sums to {lanes} at a time"
    y = d.unit(
        "shift_out", 1, {"x": value._replace(elements=pe, lanes=1), "load": load},
        value._replace(name="turn", elements=lanes), "y",
        [
            Unit("mux", pe - lanes, value.width), Unit("register", pe - lanes, value.width),
            Unit("register", lanes, value.width, lone=1),  # the last ones
        ], end="own", parameters={"width": value.width, "inputs": pe, "outputs": lanes},
    )  # fmt: skip
    (active,) = d.several(
        "burst", {"reset": d.reset, "start": load}, [("active", Net("turning", 1, signed=False))],
        [Unit("counter", 1, max(2, (pe // lanes - 1).bit_length()))], length=pe // lanes,
    )  # fmt: skip
    if taps is not None:
        positions = taps[0]
        held = d.unit(
            "hold", 1, {"d": positions, "load": load}, positions._replace(name="held"), "q",
            [Unit("register", 1, positions.width, lone=1)], end="own",
            parameters={"width": positions.width},
        )  # fmt: skip
        taps = held, taps[1]
    return y._replace(lanes=lanes, elements=1), active, taps


def _centred(d: Describer, engine: Engine, value: Net, taps: tuple[Net, int] | None) -> Net:
    """2p - K, where K counts the taps inside the image."""
    bits = popcount_bits(engine.taps)
    width = max(bits, value.width) + 1
    signed = Net("dot", width)
    twice = d.wire("twice", value, "twice", signed._replace(lanes=value.lanes))
    if taps is None:
        whole = d.literal("taps", width, 1, lambda: ((engine.taps,),), signed)
    else:
        whole = _taps_inside(d, taps, width)
    fused = engine.scale is not None
    d.remark = "2p - K"
    priced = () if fused else (Unit("add", value.lanes, width),)
    return d.unit(
        "add", value.lanes, {"a": twice, "b": whole}, signed, "s", priced,
        parameters={"width": width, "subtract": True}, end="free" if fused else "register",
    )  # fmt: skip


def _taps_inside(d: Describer, taps: tuple[Net, int], width: int) -> Net:
    """Kernel positions inside the image, times the taps of each."""
    positions, each = taps
    like = Net("taps", width)
    if each & (each - 1) == 0:
        return d.wire("align", positions, "taps", like, places=each.bit_length() - 1, width=width)
    d.remark = f"times {each}"
    signed = d.wire("extend", positions, "positions", Net("positions", positions.width + 1))
    out = signed.width + max(1, each.bit_length())
    product = d.unit(
        "multiply_constant", 1, {"x": signed}, Net("product", out), "p",
        [Unit("add", 1, width)] * (len(signed_digits(each)) - 1),
        parameters={"width": signed.width, "constant": each}, end="none",
    )  # fmt: skip
    return d.wire("cut" if out > width else "extend", product, "taps", like, places=0, width=width)


def describe_chain(
    graph: OpGraph, engine: Engine, number: NumberFormat, lanes: int, value: Net
) -> ChainBlock:
    """The chain behind a value like `value`, in so many lanes."""
    d = Describer()
    chain = ChainDesign(d, engine, number, lanes)
    start = value._replace(name="dot", lanes=lanes, elements=1, age=1)
    coming = Net("coming", 1, signed=False)
    rows, columns = image_of(engine.dot)
    first = Stream(coming, -(-engine.channels // lanes), rows, columns)
    walk = _Walk(graph, chain, {engine.dot.name: first})
    walk.nets[engine.dot.name] = _finished(d, engine, number, start, chain, first)
    for work in engine.chain:
        walk.node(work)
    results = tuple(walk.results())  # which adds parts
    return ChainBlock(
        tuple(d.parts), tuple(d.units()), tuple(d.unwritten), value=start, coming=coming,
        sides=tuple(walk.sides), results=results,
    )  # fmt: skip


def image_of(node: OpNode) -> tuple[int, int]:
    """Rows and columns of pixels of a result, its batch as further rows."""
    sizes = node.shape[2:] if node.kind is OpKind.CONV else node.shape[1:-1]
    if not sizes:
        return node.shape[0] if node.shape else 1, 1
    return node.shape[0] * prod(sizes[:-1]), sizes[-1]


def _finished(
    d: Describer, engine: Engine, number: NumberFormat, value: Net, chain: ChainDesign, stream: Stream
) -> Net:
    """The value as the interpreter stores it: a real dot product cut to the grid, and its bias added."""
    if engine.arithmetic in (DotArithmetic.REAL, DotArithmetic.NARROW):
        like = value._replace(width=number.width, fraction_bits=number.fraction_bits, name="dot_cut")
        places = value.fraction_bits - number.fraction_bits
        value = d.wire("cut", value, "value", like, places=places, width=number.width)
    elif engine.arithmetic is DotArithmetic.SIGNED_ADD and value.width > number.width:
        value = d.wire(
            "cut", value, "value", value._replace(width=number.width), places=0, width=number.width
        )
    if "bias" in engine.dot.consts:
        chain.stream = stream
        value = chain.bias(value)
    return value


_MAKE_BITS = frozenset({OpKind.THRESHOLD, OpKind.SIGN})


@dataclass(slots=True)
class _Walk:
    """Goes through the nodes of a chain; keeps the net and the stream of each."""

    graph: OpGraph
    chain: ChainDesign
    streams: dict[str, Stream]
    nets: dict[str, Net] = field(default_factory=dict)
    sides: list[ResidualOperand] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)  # nodes that have no Verilog

    def node(self, work: Work) -> None:
        """Describe one node; one that has no Verilog is priced, and the reason noted."""
        node, d = work.node, self.chain.d
        sources = self.graph.inputs(node.name)
        mine = [name for name in sources if name in self.nets]
        stream = self.streams[mine[0]] if mine else next(iter(self.streams.values()))
        self.chain.stream = stream
        d.remark = f"{node.kind.value} {node.name}"
        reason = self._reason(node, mine, stream)
        if reason:
            d.unwritten.append(f"{node.name}: {reason}")
            self.refused.add(node.name)
            inputs = [self.nets[name] for name in mine]
            lanes = self._priced_lanes(work)
            self.nets[node.name], self.streams[node.name] = (
                price_only(self.chain, work, lanes, inputs),
                stream,
            )
            return
        age = max(self.nets[name].age for name in mine)
        inputs = [self.nets[name] if name in self.nets else self._side(name, age) for name in sources]
        if node.kind in POOLS:
            self.nets[node.name], self.streams[node.name] = describe_pool(self.chain, node, inputs[0])
        else:
            self.nets[node.name] = OPERATIONS[node.kind](self.chain, node, inputs)
            self.streams[node.name] = stream

    def _reason(self, node: OpNode, mine: list[str], stream: Stream) -> str:
        """Why a node has no Verilog; "" if it has."""
        if not mine:
            moved = any(self.graph.node(n).kind is OpKind.WIRING for n in self.graph.inputs(node.name))
            return "it reads values in another order" if moved else "it reads nothing that the engine makes"
        if any(self.streams[name] is not stream for name in mine):
            return "it joins values that come at different rates"
        if not self.refused.isdisjoint(mine):
            return "it reads what has no Verilog"
        return self._bits(node) or self._shape(node, stream)

    def _bits(self, node: OpNode) -> str:
        if not all(self._wide(source) for source in self.graph.sources(node)):
            return "it computes with bits"
        if not self._wide(node) and node.kind not in _MAKE_BITS:
            return "its results are bits, and it is no comparison"
        return ""

    def _shape(self, node: OpNode, stream: Stream) -> str:
        if node.kind in POOLS:
            return unsupported_pool(node, stream.rows, stream.columns)
        if node.elements != stream.rows * stream.columns * self.chain.engine.channels:
            return "its result has other elements than what it reads"
        return unsupported(node)

    def _wide(self, node: OpNode) -> bool:
        """Whether an element of the node's result has several bits."""
        return self.graph.precision(node).width(2) > 1

    def _priced_lanes(self, work: Work) -> int:
        """Units that keep pace with the dot product."""
        engine = self.chain.engine
        if work.node.elements == engine.dot.elements:
            return self.chain.lanes
        values = engine.dot.elements // self.chain.lanes
        return max(-(-count.count // (values * count.each)) for count in work.counts)

    def _side(self, name: str, age: int) -> Net:
        """A residual operand at that age; one port per node and stream."""
        node = self.graph.node(name)
        for side in self.sides:
            if side.node is node and side.net.age <= age:
                return self.chain.d.delay(side.net, age)
        number, wide = self.chain.number, self._wide(node)
        net = Net(
            self.chain.d.name(f"x{len(self.sides)}"), number.width if wide else 1, self.chain.lanes, age=age,
            signed=wide, fraction_bits=number.fraction_bits if wide else 0,
        )  # fmt: skip
        self.sides.append(ResidualOperand(node, net, self.chain.flag(age)))
        return net

    def results(self) -> list[EngineResult]:
        """What is read from outside: bits, and all else in the format of the chain."""
        found = []
        for name, made in list(self.nets.items()):
            node = self.graph.node(name)
            if all(user.name in self.nets for user in self.graph.users(node)):
                continue
            self.chain.stream = self.streams[name]
            written = name not in self.refused
            net = self.chain.fixed(made) if written and self._wide(node) else made
            found.append(EngineResult(node, net, self.chain.flag(net.age)))
        return found


def unwritten_dot(graph: OpGraph, engine: Engine) -> list[str]:
    """Why the dot product of an engine has no Verilog; empty if it has."""
    dot = engine.dot
    found: list[str] = []
    if dot.const("weight") is None:
        return ["both factors are computed"]
    if int(dot.attrs.get("groups", 1)) != 1:
        found.append("it is a grouped convolution")
    if graph.precision(dot).width(2) == 1:
        found.append("its results are bits")
    if dot.consts["weight"].values.dim() not in (2, 4) or dot.attrs.get("transposed", False):
        found.append("it is neither a two-dimensional convolution nor a linear layer")
    if int(dot.attrs.get("divisor", 1)) != 1:
        found.append(f"it divides by {dot.attrs['divisor']}")
    reason = _unwritten_products(graph, engine)
    return [*found, reason] if reason else found


def _unwritten_products(graph: OpGraph, engine: Engine) -> str:
    """Why its products have none; "" if they have."""
    source = graph.sources(engine.dot)[0]
    signs = graph.values(source).code
    plus_minus = signs is not None and signs.values() == (-1.0, 1.0)
    binary = engine.dot.consts["weight"].binary
    real = graph.precision(source).encoding is Encoding.REAL
    written, reason = {
        DotArithmetic.XNOR: (plus_minus and binary, "its bits are not -1 and +1"),
        DotArithmetic.SIGNED_ADD: (real and binary, "it is not a sum of real values with signs"),
        DotArithmetic.REAL: (real, "its input is no fixed-point number"),
    }.get(engine.arithmetic, (False, f"its arithmetic is {engine.arithmetic.value}"))
    return "" if written else reason
