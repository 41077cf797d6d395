"""What is minimised: cross-entropy with the labels, or with what a teacher says.

Of networks side by side (see `abcost.training.grouped`), logits are (K, N, classes) and losses (K,).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with the labels, mean over the batch.  logits: (N, classes);  labels: (N,), or (K, N)."""
    return _mean_entropy(logits, labels)


def distribution_loss(logits: Tensor, teacher: Tensor) -> Tensor:
    """-sum softmax(teacher) * log_softmax(logits), mean over the batch; both (N, classes).

    No gradient reaches the teacher.  Source: ReActNet (Liu et al., ECCV 2020).
    """
    return _mean_entropy(logits, teacher.detach().softmax(dim=-1))


def _mean_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """() of one network, (K,) of networks side by side, which may share their targets."""
    if logits.dim() == 2:
        return functional.cross_entropy(logits, targets)
    members, images, _ = logits.shape
    each = targets if targets.dim() > _dims_of_one(targets) else targets.expand(members, *targets.shape)
    losses = functional.cross_entropy(logits.flatten(0, 1), each.flatten(0, 1), reduction="none")
    return losses.view(members, images).mean(dim=1)


def _dims_of_one(targets: Tensor) -> int:
    """Dimensions of the targets of one network: 1 of labels (N,), 2 of distributions (N, classes)."""
    return 2 if targets.is_floating_point() else 1


def mixed_loss(logits: Tensor, labels: Tensor, teacher: Tensor | None, distillation: float) -> Tensor:
    """The weighted sum of both; what has weight 0 is not computed.

    distillation * distribution_loss + (1 - distillation) * label_loss
    """
    if distillation == 0 or teacher is None:
        return label_loss(logits, labels)
    distributed = distribution_loss(logits, teacher)
    if distillation == 1:
        return distributed
    return distillation * distributed + (1 - distillation) * label_loss(logits, labels)
