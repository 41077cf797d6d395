"""A trained network as its registers compute it: bit by bit, at any width, number of fraction bits and rounding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from abcost.core.interpret import FixedPoint
from abcost.data import Split
from abcost.models.subject import Subject
from abcost.rewrite import RewriteOptions
from abcost.training.losses import label_loss
from abcost.training.lowered import Lowered
from abcost.training.tally import LossTally

_MOST = 64  # images of a batch
_PIXELS = 2**16  # of a batch: what goes through a network at once stays in the processor's caches


@dataclass(frozen=True, slots=True)
class RegisterForm:
    """How a trained network is made.

    scale: rounding of weight scales, in `SCALES`. width, fraction: bits of the registers, which wrap, and those of them
    behind the point. None: as it was trained, and where scales are rounded the rewritten graph in float64.
    """

    scale: str = "none"
    width: int | None = None
    fraction: int | None = None


class BitTrue:
    """One trained network in fixed point.

    It is traced once, and rewritten once per rounding and number of fraction bits, at one size of batches: what is
    short of images is filled up with black ones, whose logits nobody reads. Registers of another width run the same
    graph.
    """

    def __init__(
        self, subject: Subject, rewriting: Callable[[str, int], RewriteOptions], classes: int
    ) -> None:
        """rewriting: (rounding, fraction bits) -> how the network is rewritten."""
        self._subject, self._rewriting, self._classes = subject, rewriting, classes
        self._lowered: dict[tuple[str, int], Lowered] = {}
        (spec,) = subject.inputs
        self._batch = max(1, min(_MOST, _PIXELS // (spec.shape[-1] * spec.shape[-2])))

    def tally(self, split: Split, form: RegisterForm) -> LossTally:
        """Loss and accuracy on a split, exactly those of `abcost evaluate --as fixed-point`.

        Raises UsageError for a width that no register has.
        """
        if form.width is None or form.fraction is None:
            raise ValueError(f"{form} has no registers")
        arithmetic = FixedPoint(form.fraction, width=form.width)
        known = (form.scale, form.fraction)
        if known not in self._lowered:
            rewriting, first = self._rewriting(*known), next(iter(self._lowered.values()), None)
            self._lowered[known] = (
                Lowered(self._subject, rewriting, arithmetic, together=self._batch)
                if first is None
                else first.rewritten(rewriting, arithmetic)
            )
        lowered = self._lowered[known].in_arithmetic(arithmetic)
        batch = self._batch
        found = LossTally(self._classes, torch.device("cpu"))
        for pixels, labels in split.batches(torch.arange(len(split)), batch, epoch=0, augment=False):
            logits = lowered(_filled(pixels, batch))[: len(pixels)]
            found.add(logits, labels, label_loss(logits, labels))
        return found


def _filled(pixels: Tensor, batch: int) -> Tensor:
    """(N, C, H, W) with N up to `batch` -> (batch, C, H, W)."""
    missing = pixels.new_zeros((batch - len(pixels), *pixels.shape[1:]))
    return torch.cat([pixels, missing]) if len(missing) else pixels
