"""Which images are read when, and by which process."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from abcost.errors import UsageError


def epoch_order(count: int, *, seed: int, step: int, epoch: int) -> Tensor:
    """A permutation of 0 … count-1 that depends on the arguments alone; (count,), int64."""
    (mixed,) = np.random.SeedSequence((seed, step, epoch)).generate_state(1, np.uint64)
    generator = torch.Generator().manual_seed(int(mixed) & (2**63 - 1))
    return torch.randperm(count, generator=generator)


def share_of_batches(order: Tensor, batch_size: int, *, rank: int, processes: int) -> Tensor:
    """The indices that one process reads: its part of every whole batch, batch after batch.

    What does not fill a batch is left out, as published. All processes together read the same batches as one
    process would. Raises UsageError if a batch cannot be shared evenly or is larger than the set.

    >>> share_of_batches(torch.arange(9), 4, rank=1, processes=2).tolist()
    [2, 3, 6, 7]
    """
    if batch_size % processes:
        raise UsageError(
            f"--batch-size {batch_size} is over all processes and cannot be shared by {processes}: "
            f"take a multiple of {processes}"
        )
    batches = len(order) // batch_size
    if batches == 0:
        raise UsageError(
            f"--batch-size {batch_size} is larger than the training set of {len(order)} images; take a smaller one"
        )
    whole = order[: batches * batch_size].view(batches, processes, batch_size // processes)
    return whole[:, rank].flatten()
