"""A network on a split, by all processes together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from abcost.data import Split
from abcost.nn.fast_forms import fast_forms
from abcost.training.grouped import Grouped
from abcost.training.losses import label_loss
from abcost.training.splits import SideBySide
from abcost.training.tally import LossTally

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def evaluate(
    fabric: Fabric,
    model: nn.Module,
    split: Split | SideBySide,
    *,
    classes: int,
    batch_size: int,
    confusion: bool = False,
) -> LossTally:
    """Loss with the labels, top-1 and top-5 (and the confusion matrix) of `model`, which is left in evaluation mode.

    For networks side by side (`Grouped`) the tally has those of each; `split` may be `SideBySide` then.
    Of n processes each reads every n-th image of `split`, in batches of `batch_size`; the sums are over all processes.
    """
    members = model.members if isinstance(model, Grouped) else None
    tally = LossTally(classes, fabric.device, confusion=confusion, members=members)
    mine = torch.arange(fabric.global_rank, len(split), fabric.world_size)
    dtype = next(model.parameters()).dtype
    model.eval()
    with torch.no_grad(), fabric.autocast(), fast_forms():
        for batch in split.batches(mine, batch_size, epoch=0, augment=False):
            images, labels = fabric.to_device(batch)
            logits = model(images.to(dtype))
            tally.add(logits, labels, label_loss(logits, labels))
    tally.sums = summed(fabric, tally.sums)
    if tally.confusion is not None:
        tally.confusion = summed(fabric, tally.confusion)
    return tally


def summed(fabric: Fabric, sums: Tensor) -> Tensor:
    """The sum over all processes, in every one of them."""
    if fabric.world_size == 1:
        return sums
    total: Tensor = fabric.all_reduce(sums, reduce_op="sum")  # type: ignore[assignment]
    return total
