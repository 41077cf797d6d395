"""From a model and the name of a layer to its project: trace, rewrite, interpret, fold, emit."""

from __future__ import annotations

from abcost.accelerator.engine import engines
from abcost.accelerator.folding import Folding, divisors
from abcost.core.inputs import example_inputs
from abcost.emit.layer import Datapath, Style, datapath, find_engine
from abcost.emit.project import Project, project
from abcost.emit.vectors import interpret, largest_of, vectors
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
    inputs = example_inputs(subject.inputs)

    def path_at(bits: int) -> Datapath:
        return datapath(graph, engine, folding, Style(width, bits, pipelined))

    chosen = fraction_bits
    if chosen is None:
        rough = interpret(graph, inputs, _MOST_FRACTION_BITS)
        integer_bits = int(largest_of(rough, path_at(0))).bit_length() + 1
        chosen = max(0, min(_MOST_FRACTION_BITS, width - integer_bits))
    path = path_at(chosen)
    found = vectors(graph, interpret(graph, inputs, chosen), path, windows=windows)
    return project(path, found, title=engine.name)
