"""A trained network as hardware computes it: the fully rewritten graph, executed on batches of images."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import cache, cached_property

import torch
from torch import Tensor

from abcost.classify.tally import Tally, tally
from abcost.core.graph import OpGraph
from abcost.core.inputs import InputSpec
from abcost.core.interpret import Arithmetic, FixedPoint, execute
from abcost.core.primitives import Origin
from abcost.models.subject import Subject
from abcost.pipeline import check_width, double_stages, double_trace, stages_of
from abcost.rewrite import RewriteOptions
from abcost.trace.capture import Traced
from abcost.trace.double import float64_only

LISTED = (Origin.WEIGHT_SCALE, Origin.STEM, Origin.CLASSIFIER, Origin.GLOBAL_POOL)
"""Origins whose multiplications are known to stay: what the published count leaves out."""

_CACHED = 2**19  # elements of a tensor, 4 MB


class Lowered:
    """The last stage of `subject`, in the given arithmetic.

    A graph holds for the batch size that it was traced at (views name it), so the network is traced once per size:
    that of the batches, and that of the rest. Large images go through a few at a time, so that tensors stay in the
    processor's caches.
    """

    def __init__(
        self,
        subject: Subject,
        rewriting: RewriteOptions,
        arithmetic: Arithmetic,
        *,
        together: int | None = None,
    ) -> None:
        """together: images that go through at once; what is traced is then kept for `rewritten`.

        None: as many as caches hold; finding that takes one more tracing, and no trace is kept.

        Raises UsageError for settings that the arithmetic cannot hold.
        """
        _check(arithmetic)
        self._known_together = together
        self._subject, self._rewriting, self._arithmetic = subject, rewriting, arithmetic
        self.graph = cache(self._graph)
        self._traces: dict[int, Traced] = {}  # by size of batch, shared with what is made of this

    def rewritten(self, rewriting: RewriteOptions, arithmetic: Arithmetic) -> Lowered:
        """The same network, traced once for both, rewritten with other options, in another arithmetic.

        Raises UsageError as `Lowered`.
        """
        other = self.in_arithmetic(arithmetic)
        other._rewriting = rewriting  # noqa: SLF001 - of its own kind
        other.graph = cache(other._graph)  # noqa: SLF001
        return other

    def in_arithmetic(self, arithmetic: Arithmetic) -> Lowered:
        """The same graphs, traced once for both, in another arithmetic. Raises UsageError as `Lowered`."""
        _check(arithmetic)
        other = copy(self)
        other._arithmetic = arithmetic  # noqa: SLF001 - of its own kind
        return other

    def __call__(self, images: Tensor) -> Tensor:
        """Logits (N, classes), float64, of images (N, C, H, W)."""
        parts = torch.split(images, self._together)
        return torch.cat([self._logits(part) for part in parts]) if len(parts) > 1 else self._logits(images)

    def _logits(self, images: Tensor) -> Tensor:
        (logits,) = execute(self.graph(len(images)), [images], self._arithmetic).values()
        return logits

    @cached_property
    def _together(self) -> int:
        """Images that go through the network at once."""
        if self._subject.one_batch:
            return 1
        if self._known_together is not None:
            return self._known_together
        largest = max(node.elements for node in self.graph(1))
        return max(1, _CACHED // largest)

    def multiplications(self) -> Tally:
        """The operations of one image, its multiplications among them."""
        return tally(self.graph(1), real_width=16)  # how many there are does not depend on the width

    def _graph(self, batch: int) -> OpGraph:
        (spec,) = self._subject.inputs
        batched = replace(self._subject, inputs=(InputSpec((batch, *spec.shape[1:]), spec.dtype),))
        if self._known_together is None:  # nobody asks for it again
            return double_stages(batched, self._rewriting)[1].stages[-1].graph
        if batch not in self._traces:
            self._traces[batch] = double_trace(batched)
        with float64_only():
            return stages_of(self._traces[batch], self._rewriting).stages[-1].graph


def _check(arithmetic: Arithmetic) -> None:
    if isinstance(arithmetic, FixedPoint) and arithmetic.width is not None:
        check_width(arithmetic.width)


def surviving(found: Tally) -> dict[Origin, tuple[int, tuple[str, ...]]]:
    """Multiplications that are left, by origin, and the layers that perform them; without those that are not."""
    left: dict[Origin, tuple[int, tuple[str, ...]]] = {}
    for origin in Origin:
        rows = [row for row in found.rows if row.origin is origin and row.count.count]
        if rows:
            names = tuple(dict.fromkeys(row.node.layer or row.node.name for row in rows))
            left[origin] = (sum(row.count.count for row in rows), names)
    return left
