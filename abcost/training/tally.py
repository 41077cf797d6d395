"""Sums over images, from which losses and accuracies are taken at the end."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class LossTally:
    """Loss, top-1 and top-5 over images, kept as sums on the device so that counting does not wait for it.

    sums: (4,) float64: images, loss, top-1 right, top-5 right.  confusion: (classes, classes), rows are the truth;
    None unless asked for. Top-5 is top-k where there are fewer than five classes.
    members: of networks side by side (see `abcost.training.grouped`), whose sums are (members, 4) and whose confusion
    is (members, classes, classes); None: one alone.
    """

    def __init__(
        self, classes: int, device: torch.device, *, confusion: bool = False, members: int | None = None
    ) -> None:
        several = () if members is None else (members,)
        self.sums = torch.zeros((*several, 4), dtype=torch.float64, device=device)
        counts = torch.zeros((*several, classes, classes), dtype=torch.int64, device=device)
        self.confusion = counts if confusion else None

    @torch.no_grad()
    def add(self, logits: Tensor, labels: Tensor, loss: Tensor) -> None:
        """One batch: logits (N, classes), labels (N,), loss () as the mean of the batch.

        Of members side by side: logits (members, N, classes), labels (N,) or (members, N), loss (members,).
        """
        best = logits.argmax(dim=-1)
        top = logits.topk(min(5, logits.shape[-1]), dim=-1).indices
        images = labels.shape[-1]
        self.sums[..., 0] += images
        self.sums[..., 1] += loss.detach() * images
        self.sums[..., 2] += (best == labels).sum(dim=-1)
        self.sums[..., 3] += (top == labels[..., None]).sum(dim=(-2, -1))
        if self.confusion is not None:
            of = [torch.arange(n, device=labels.device)[:, None] for n in self.confusion.shape[:-2]]
            truth = labels.expand_as(best)
            self.confusion.index_put_((*of, truth, best), torch.ones_like(best), accumulate=True)

    def member(self, number: int) -> LossTally:
        """The tally of one of several networks side by side."""
        found = LossTally(0, self.sums.device)
        found.sums = self.sums[number]
        found.confusion = None if self.confusion is None else self.confusion[number]
        return found

    @property
    def images(self) -> int:
        """How many were counted."""
        return int(self.sums[0])

    @property
    def right(self) -> int:
        """How many were classified right."""
        return int(self.sums[2])

    def means(self) -> tuple[float, float, float]:
        """Loss, top-1 and top-5 per image; the latter two between 0 and 1."""
        images, *sums = self.sums.tolist()
        loss, top1, top5 = (total / images for total in sums)
        return loss, top1, top5


def wilson(right: int, images: int) -> tuple[float, float]:
    """95 % interval of an accuracy p = right/images.

        (2 n p + z^2 -+ z * sqrt(4 n p (1 - p) + z^2)) / (2 (n + z^2)),   n images, z = 1.96

    Source: Wilson, J. Am. Stat. Assoc. 22, 1927.
    """
    p, square = right / images, _QUANTILE**2
    below = 2 * (images + square)
    middle = (2 * images * p + square) / below
    reach = _QUANTILE / below * math.sqrt(4 * images * p * (1 - p) + square)
    return 0.0 if right == 0 else middle - reach, 1.0 if right == images else middle + reach


_QUANTILE = 1.959963984540054
"""Of the normal distribution at 97.5 %."""
