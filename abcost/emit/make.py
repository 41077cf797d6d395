"""From a model to the Verilog of its engines: trace, rewrite, interpret, fold, describe, print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from abcost.accelerator.design.designer import Designer
from abcost.accelerator.design.dot import Leaf
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.engine import Engine, engines
from abcost.accelerator.folding import Folding, divisors, whole
from abcost.core.bits import popcount_bits
from abcost.core.graph import OpGraph
from abcost.core.inputs import example_inputs
from abcost.emit.fits import check_fits, fitted
from abcost.emit.project import Project, project
from abcost.emit.rows import interpret
from abcost.errors import UsageError
from abcost.models.subject import Subject
from abcost.pipeline import double_stages
from abcost.rewrite import RewriteOptions
from abcost.rtl.unit import MOST_BITS

_MOST_SIMD = 64
_SHOWN = 8  # layers that an error lists
MOST_PRODUCTS = MOST_BITS * 64
"""PE * SIMD of one engine: the widest port."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network after all rewrites, as its engines are written from it. values: of every node, in fixed point."""

    name: str
    graph: OpGraph
    engines: tuple[Engine, ...]
    number: NumberFormat
    values: Mapping[str, Tensor]


def prepare(subject: Subject, *, width: int, fraction_bits: int | None, layer: str | None = None) -> Network:
    """The network in the number format asked for, or with the most fraction bits at which what is written fits.

    layer: the one that is written, None for all. Raises UsageError for an unknown one, or values that do not fit.
    """
    _, staged = double_stages(subject, RewriteOptions())
    graph = staged.stages[-1].graph
    every = engines(graph, width)
    wanted = every if layer is None else [find_engine(every, layer)]
    for engine in wanted:
        _check_width(engine, width)
    inputs = example_inputs(subject.inputs)
    if fraction_bits is None:
        number, values = fitted(graph, inputs, wanted, width)
    else:
        number = NumberFormat(width, fraction_bits)
        values = interpret(graph, inputs, fraction_bits)
    for engine in wanted:
        check_fits(graph, dict(values), engine, number)  # before parameters are rounded to it
    return Network(subject.name, graph, tuple(wanted), number, values)


def make(
    network: Network,
    engine: Engine,
    folding: Folding,
    *,
    leaf: Leaf | None = None,
    windows: int | None = 4,
    place: str | None = None,
) -> Project:
    """The project of one engine. Raises UsageError if it cannot be written, saying why."""
    _check_folding(engine, folding)
    design = Designer(network.graph, network.number, leaf).design(engine, folding)
    if design.unwritten:
        raise UsageError(f"layer {engine.name} has no Verilog: {'; '.join(design.unwritten)}")
    return project(network.graph, network.values, design, model=network.name, windows=windows, place=place)


def default_folding(engine: Engine, pe: int, simd: int | None) -> Folding:
    """So many channels and products; by default the largest divisor of K up to 64."""
    if engine.in_adders:
        return whole(engine)
    return Folding(pe, simd or max(d for d in divisors(engine.taps) if d <= _MOST_SIMD))


def _check_folding(engine: Engine, folding: Folding) -> None:
    for option, given, all_of, what in (
        ("--pe", folding.pe, engine.channels, "channels"),
        ("--simd", folding.simd, engine.taps, "taps"),
    ):
        if all_of % given:
            raise UsageError(f"{option} {given} must divide the {all_of} {what} of layer {engine.name}")
    if folding.simd > MOST_BITS or folding.pe * folding.simd > MOST_PRODUCTS:
        raise UsageError(
            f"--pe {folding.pe} and --simd {folding.simd} are more than an engine takes here: up to {MOST_BITS} "
            f"products per channel and {MOST_PRODUCTS} in all"
        )


def _check_width(engine: Engine, width: int) -> None:
    needed = popcount_bits(engine.taps) + 1
    if needed > width:
        raise UsageError(
            f"layer {engine.name}: a dot product over {engine.taps} taps needs {needed} bits, --width is {width}"
        )


def find_engine(every: Sequence[Engine], layer: str) -> Engine:
    """The engine of a layer, by module path or node name. Raises UsageError with what there is."""
    for engine in every:
        if layer in (engine.name, engine.dot.name):
            return engine
    names = [engine.name for engine in every]
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    raise UsageError(f"no layer {layer!r} with a dot product; there are {', '.join(names[:_SHOWN])}{more}")
