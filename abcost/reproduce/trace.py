"""One traced network, and the quantities that the rows' formulas are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from abcost.classify.tally import OperationCount, Tally, tally
from abcost.core.primitives import Origin, Primitive
from abcost.models.subject import Request, resolve
from abcost.pipeline import stage_graphs
from abcost.rewrite import RewriteOptions

_WIDTH = 16  # bits; counts do not depend on it


@dataclass(frozen=True, slots=True)
class Trace:
    """A network at 224x224 as the paper counts it: the baselines as traced, A&B networks when lowered."""

    model: str
    variant: str
    stage: str  # "traced" | "add_and_bit"
    tally: Tally

    def of(self, origin: Origin) -> Iterator[OperationCount]:
        """Rows of the multiplications with that origin."""
        return (row for row in self.tally.rows if row.origin is origin)


def trace_network(model: str, variant: str) -> Trace:
    """Build, trace and, for an A&B network, lower it."""
    subject = resolve(Request(model, variant=variant, preset="imagenet"))
    staged = stage_graphs(subject.model, subject.inputs, RewriteOptions())
    stage = staged.stages[-1 if variant == "ab" else 0]
    return Trace(model, variant, stage.name, tally(stage.graph, _WIDTH))


def total_of(trace: Trace, origin: Origin) -> int:
    """Multiplications with that origin."""
    return trace.tally.by_origin()[origin]


def beta(trace: Trace) -> int:
    """One multiplication per element of the *input* of each sign: where beta acts."""
    return total_of(trace, Origin.ACTIVATION_SCALE)


def pooled_outputs(trace: Trace) -> int:
    """One multiplication per output of the windowed average pools."""
    return total_of(trace, Origin.AVG_POOL)


def pooled_taps(trace: Trace) -> int:
    """One multiplication per tap of the windowed average pools: four per output of a 2x2 window."""
    return sum(row.count.count * int(row.node.attrs["taps"]) for row in trace.of(Origin.AVG_POOL))


def shortcut_convolutions(trace: Trace) -> int:
    """Multiplications of real convolutions on shortcuts."""
    return total_of(trace, Origin.SHORTCUT)


def shortcut_batch_norm(trace: Trace) -> int:
    """Multiplications of the batch norms behind shortcut convolutions."""
    return sum(row.count.count for row in trace.of(Origin.BATCH_NORM) if _on_shortcut(row))


def block_weight_scale(trace: Trace) -> int:
    """Per-channel weight scale (gain*s) of the binary convolutions in blocks, those on shortcuts left out."""
    return sum(row.count.count for row in trace.of(Origin.WEIGHT_SCALE) if not _on_shortcut(row))


def block_outputs(trace: Trace) -> int:
    """Output elements C*H*W of every convolution that is binary x binary: one per block of a ResNet."""
    return sum(prod(row.node.shape) for row in _binary_convolutions(trace))


def activation_scale_map(trace: Trace) -> int:
    """XNOR-Net's K: one scale per output position H*W of every convolution that is binary x binary."""
    return sum(prod(row.node.shape[2:]) for row in _binary_convolutions(trace))


def _binary_convolutions(trace: Trace) -> Iterator[OperationCount]:
    return (row for row in trace.tally.rows if row.count.primitive is Primitive.XNOR)


def _on_shortcut(row: OperationCount) -> bool:
    return "downsample" in row.node.layer.split(".")
