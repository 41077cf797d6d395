"""Channels of several tensors one after the other, also where networks stand side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def concatenate(tensors: Sequence[Tensor], groups: int = 1) -> Tensor:
    """(N, C1, H, W), (N, C2, H, W), … -> (N, C1 + C2 + …, H, W), in each of `groups` equal parts of the channels.

    groups: of the convolutions that made them: 1, but where networks stand side by side (see
    `abcost.training.grouped`), each with its own part of the channels.

    >>> two = [torch.tensor([[[[1]], [[3]]]]), torch.tensor([[[[2]], [[4]]]])]
    >>> concatenate(two).flatten().tolist(), concatenate(two, groups=2).flatten().tolist()
    ([1, 3, 2, 4], [1, 2, 3, 4])
    """
    if groups == 1:
        return torch.cat(list(tensors), dim=1)
    n, _, height, width = tensors[0].shape
    parts = [tensor.reshape(n, groups, -1, height, width) for tensor in tensors]
    return torch.cat(parts, dim=2).reshape(n, -1, height, width)
