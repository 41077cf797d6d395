"""From a model and the name of a layer to its project: trace, rewrite, interpret, fold, emit."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from abcost.accelerator.engine import engines
from abcost.accelerator.folding import Folding, divisors
from abcost.core.graph import OpGraph
from abcost.core.inputs import example_inputs
from abcost.emit.layer import Scope, Style, datapath, find_engine, scope_of
from abcost.emit.project import Project, project
from abcost.emit.vectors import bits_for, check_width, interpret, largest_of, vectors
from abcost.models.subject import Subject
from abcost.pipeline import double_stages
from abcost.rewrite import RewriteOptions

_MOST_SIMD = 64
_MOST_FRACTION_BITS = 12


def make(
    subject: Subject,
    layer: str,
    *,
    pe: int = 1,
    simd: int | None = None,
    width: int = 16,
    fraction_bits: int | None = None,
    pipelined: bool = False,
    windows: int = 4,
) -> Project:
    """The project of one binary layer after all rewrites.

    Raises UsageError for a layer that cannot be emitted, or values that do not fit.
    """
    _, staged = double_stages(subject, RewriteOptions())
    graph = staged.stages[-1].graph
    engine = find_engine(engines(graph, width), layer)
    folding = Folding(pe, simd or max(d for d in divisors(engine.taps) if d <= _MOST_SIMD))
    scope = scope_of(graph, engine, folding, width)
    inputs = example_inputs(subject.inputs)
    if fraction_bits is None:
        fraction_bits, values = _fitted(graph, inputs, scope, width)
    else:
        values = interpret(graph, inputs, fraction_bits)
    style = Style(width, fraction_bits, pipelined)
    check_width(values, scope, style, engine.name)  # before parameters are rounded to it
    path = datapath(graph, engine, folding, style)
    return project(path, vectors(graph, values, path, windows=windows), model=subject.name)


def _fitted(
    graph: OpGraph, inputs: Sequence[Tensor], scope: Scope, width: int
) -> tuple[int, dict[str, Tensor]]:
    """The most fraction bits at which everything that the datapath holds fits, and all values there."""
    bits = _MOST_FRACTION_BITS
    while True:
        values = interpret(graph, inputs, bits)
        room = max(0, width - bits_for(largest_of(values, scope), 0))
        if bits <= room:
            return bits, values
        bits = min(bits - 1, room)
