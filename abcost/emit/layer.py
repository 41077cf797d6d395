"""The datapath of one folded layer: PE lanes of XNOR-popcount, accumulator, 2p - K, and post-processing chain.

Per cycle it takes SIMD activation bits and PE x SIMD weight bits; channel = fold * PE + lane. Results belong to the
last cycle of a dot product and come `age` clock edges after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from abcost.accelerator.engine import Engine
from abcost.accelerator.folding import Folding
from abcost.core.graph import OpGraph
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.node import OpNode
from abcost.core.precision import popcount_bits
from abcost.cost.organisation import Unit as Priced
from abcost.emit.builder import Builder, Signal
from abcost.emit.chain import Lane, supported
from abcost.errors import ToolError, UsageError
from abcost.rtl.unit import MOST_BITS, Port, Unit, Values, build, flag

_SHOWN = 8  # layers that an error lists
MOST_PRODUCTS = MOST_BITS * 64  # PE * SIMD: the widest port


@dataclass(frozen=True, slots=True)
class Style:
    """How a datapath is written.

    pipelined: a register behind every unit. rom: per-channel parameters in ROMs; else they are inputs.
    popcount: False takes the popcounts as inputs, to measure the chain alone.
    """

    width: int = 16
    fraction_bits: int = 8
    pipelined: bool = False
    rom: bool = True
    popcount: bool = True


@dataclass(frozen=True, slots=True)
class Scope:
    """What a datapath computes.

    chain: nodes behind the dot product; side: nodes whose values it reads, and results: those whose values it
    gives, by port; held: nodes whose values must fit the width.
    """

    chain: tuple[OpNode, ...]
    side: Mapping[str, OpNode]
    results: Mapping[str, OpNode]
    held: tuple[OpNode, ...]


@dataclass(frozen=True, slots=True)
class Datapath:
    """unit: the module; age: clock edges from the last step of a dot product to its results.

    priced: what the module is made of, in the units of a cost table. The channel comes one clock ahead of what
    belongs to it (port `fold`): ROMs are read into registers.
    """

    unit: Unit
    engine: Engine
    folding: Folding
    style: Style
    scope: Scope
    age: int
    priced: tuple[Priced, ...]


def scope_of(graph: OpGraph, engine: Engine, folding: Folding, width: int) -> Scope:
    """What the datapath of an engine computes.

    Raises UsageError for a dot product that has none (real, grouped, …), a folding that does not divide it, or a
    width too small for it.
    """
    _check(graph, engine, folding, width)
    chain = _chain(graph, engine)
    inside = {engine.dot.name, *(node.name for node in chain)}
    outside = dict.fromkeys(s for n in chain for s in graph.sources(n) if s.name not in inside)
    last = [n for n in (engine.dot, *chain) if any(u.name not in inside for u in graph.users(n))]
    return Scope(
        chain=tuple(chain),
        side={f"x{i}": node for i, node in enumerate(outside)},
        results={f"y{i}": node for i, node in enumerate(last)},
        held=(*_pointed_dot(graph, engine, chain), *outside, *chain),
    )


def datapath(graph: OpGraph, engine: Engine, folding: Folding, style: Style) -> Datapath:
    """The datapath of an engine. Raises UsageError as `scope_of` does, and for parameters that do not fit."""
    scope = scope_of(graph, engine, folding, style.width)
    side, results = scope.side, scope.results
    builder = Builder(pipelined=style.pipelined, lanes=folding.pe)
    parameters: dict[str, int] = {}
    found: dict[str, list[Signal]] = {port: [] for port in results}
    for pe in range(folding.pe):
        lane = _lane(builder, engine, folding, style, pe, parameters)
        builder.remark(f"lane {pe}: 2p - K")
        values = {engine.dot.name: _dot(builder, engine, folding, style, pe)}
        for name, node in side.items():
            bits = _bits(graph, node, style.width)
            values[node.name] = builder.slice(name, pe, bits, style.fraction_bits if bits > 1 else 0)
        for node in scope.chain:
            builder.remark(f"lane {pe}: {node.kind.value} {node.name}")
            values[node.name] = lane.run(node, [values[name] for name in graph.inputs(node.name)])
        for port, node in results.items():
            signal = values[node.name]
            found[port].append(signal if node is engine.dot else _result(lane, signal))
    builder.remark("results")
    age = max(s.age for signals in found.values() for s in signals)
    outputs = [_output(builder, port, signals, age) for port, signals in found.items()]
    unit = Unit(
        name=f"datapath_n{engine.taps}_pe{folding.pe}_simd{folding.simd}",
        inputs=(
            *_dot_ports(engine, folding, style),
            *_fold_ports(engine, folding),
            *(Port(name, _bits(graph, node, style.width), folding.pe) for name, node in side.items()),
            *(Port(name, bits, folding.pe) for name, bits in parameters.items()),
        ),
        outputs=tuple(outputs),
        body="\n".join(builder.lines),
        model=_no_model,
        clocked=any(unit.clocked for unit in builder.units.values()),
        needs=tuple(builder.units.values()),
    )
    return Datapath(unit, engine, folding, style, scope, age, (*builder.priced, *builder.roms()))


def _pointed_dot(graph: OpGraph, engine: Engine, chain: Sequence[OpNode]) -> list[OpNode]:
    """The dot product, if a node of the chain wants it in fixed point; a scale and a sign take the integer."""
    wants = [n for n in chain if engine.dot.name in graph.inputs(n.name)]
    return [engine.dot] if any(n.kind not in (OpKind.SCALE, OpKind.SIGN) for n in wants) else []


def _lane(
    builder: Builder, engine: Engine, folding: Folding, style: Style, pe: int, parameters: dict[str, int]
) -> Lane:
    folds = engine.channels // folding.pe
    return Lane(
        builder,
        pe,
        width=style.width,
        fraction_bits=style.fraction_bits,
        engine=engine,
        channels=[fold * folding.pe + pe for fold in range(folds)],
        fold=Signal("fold", (folds - 1).bit_length(), age=-1) if folds > 1 and style.rom else None,
        ports=None if style.rom else parameters,
    )


def _dot_ports(engine: Engine, folding: Folding, style: Style) -> list[Port]:
    step = [flag("first")] if engine.taps > folding.simd else []
    if not style.popcount:
        return [Port("p", popcount_bits(folding.simd), folding.pe, signed=False), *step]
    a = Port("a", 1, folding.simd, signed=False)
    return [a, Port("w", 1, folding.pe * folding.simd, signed=False), *step]


def _fold_ports(engine: Engine, folding: Folding) -> list[Port]:
    folds = engine.channels // folding.pe
    return [Port("fold", (folds - 1).bit_length(), signed=False)] if folds > 1 else []


def _output(builder: Builder, port: str, signals: Sequence[Signal], age: int) -> Port:
    late = [builder.delay(s, age) for s in signals]
    builder.lines.append(f"    assign {port} = {{{', '.join(s.name for s in reversed(late))}}};")
    return Port(port, late[0].width, len(late), signed=late[0].width > 1)


def _check(graph: OpGraph, engine: Engine, folding: Folding, width: int) -> None:
    if engine.arithmetic is not DotArithmetic.XNOR or "weight" not in engine.dot.consts:
        raise UsageError(
            f"layer {engine.name} is not binary x binary ({engine.arithmetic.value}); choose a binary layer"
        )
    grid = graph.values(graph.sources(engine.dot)[0]).code
    if grid is None or grid.values() != (-1.0, 1.0) or not engine.dot.consts["weight"].binary:
        raise UsageError(
            f"layer {engine.name} has bits that are not -1 and +1, which have no datapath here yet"
        )
    if int(engine.dot.attrs.get("groups", 1)) != 1 or engine.digits != 1:
        raise UsageError(f"layer {engine.name} is a grouped convolution, which has no datapath here yet")
    weight = engine.dot.consts["weight"].values
    if weight.dim() not in (2, 4) or engine.dot.attrs.get("transposed", False):
        raise UsageError(
            f"layer {engine.name} is neither a two-dimensional convolution nor a linear layer; choose another"
        )
    for option, given, whole, what in (
        ("--pe", folding.pe, engine.channels, "channels"),
        ("--simd", folding.simd, engine.taps, "taps"),
    ):
        if whole % given:
            raise UsageError(f"{option} {given} must divide the {whole} {what} of layer {engine.name}")
    if folding.simd > MOST_BITS or folding.pe * folding.simd > MOST_PRODUCTS:
        raise UsageError(
            f"--pe {folding.pe} and --simd {folding.simd} are more than a datapath takes here: up to {MOST_BITS} "
            f"products per channel and {MOST_PRODUCTS} in all"
        )
    if popcount_bits(engine.taps) + 1 > width:
        raise UsageError(
            f"layer {engine.name}: a dot product over {engine.taps} taps needs {popcount_bits(engine.taps) + 1} "
            f"bits, --width is {width}"
        )


def _chain(graph: OpGraph, engine: Engine) -> list[OpNode]:
    """The nodes behind the dot product that a lane can do, each on inputs it has or reads from outside."""
    known, found = {engine.dot.name}, []
    for work in engine.chain:
        node = work.node
        same = node.elements == engine.dot.elements
        wide = all(graph.precision(source).width(2) > 1 for source in graph.sources(node))
        if same and wide and supported(node) and any(name in known for name in graph.inputs(node.name)):
            known.add(node.name)
            found.append(node)
    return found


def _dot(builder: Builder, engine: Engine, folding: Folding, style: Style, pe: int) -> Signal:
    """2p - K of one lane, a signed integer."""
    simd, bits = folding.simd, popcount_bits(engine.taps)
    if style.popcount:
        a, w = Signal("a", simd), builder.slice("w", pe, simd)
        unit = build("xnor_popcount", bits=simd)
        count = builder.unit((Priced("xnor_popcount", 1, 1, bits=simd),), unit, "p", a=a, w=w)
    else:
        count = builder.slice("p", pe, popcount_bits(simd), signed=False)
    if engine.taps > simd:
        unit = build("accumulate", width=bits, input_width=count.width)
        priced = (Priced("accumulate", 1, bits),)
        count = builder.unit(priced, unit, "total", x=count, first=Signal("first", 1))
    twice = builder.wire(f"{{{count.name}, 1'b0}}", bits + 1, like=count)
    taps = builder.wire(f"{bits + 1}'sd{engine.taps}", bits + 1, like=count)
    unit = build("add", width=bits + 1, subtract=True)
    if engine.scale is None:
        return builder.unit((Priced("add", 1, bits + 1),), unit, "s", a=twice, b=taps)
    found = builder.unit((), unit, "s", registered=False, a=twice, b=taps)  # priced with the scale
    return builder.settle(found, priced=False)


def _bits(graph: OpGraph, node: OpNode, width: int) -> int:
    return 1 if graph.precision(node).width(width) == 1 else width


def _result(lane: Lane, signal: Signal) -> Signal:
    return signal if signal.width == 1 else lane.pointed(lane.fixed(signal))


def _no_model(_values: Values) -> dict[str, Tensor]:
    raise ToolError("a layer has no model of its own: its vectors come from the reference interpreter")


def find_engine(engines: Sequence[Engine], layer: str) -> Engine:
    """The engine of a layer, by module path or node name. Raises UsageError with what there is."""
    for engine in engines:
        if layer in (engine.name, engine.dot.name):
            return engine
    binary = [e.name for e in engines if e.arithmetic is DotArithmetic.XNOR]
    more = f", and {len(binary) - _SHOWN} more" if len(binary) > _SHOWN else ""
    raise UsageError(
        f"no layer {layer!r} with a dot product; binary ones are {', '.join(binary[:_SHOWN]) or 'none'}{more}"
    )
