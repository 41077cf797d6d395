"""Beta bookkeeping: the scale in front of each sign, from the expected variance of its input.

The expected variance v starts at 1. A residual branch scaled by alpha adds alpha**2 to it; a convolution on
the shortcut resets it to 1.  beta = 1/sqrt(v).  Source: A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

ALPHA = 0.25  # residual scale as published; a power of two by design


def _beta(variance: float) -> float:
    return 1 / math.sqrt(variance)


def resnet_betas(depths: Sequence[int], alpha: float = ALPHA) -> list[list[float]]:
    """Beta of every block, stage by stage; every stage but the first begins with a shortcut convolution.

    The first block of a stage takes the variance that the stage before left behind; every later block takes
    the current one and only then adds its own alpha**2.

    >>> resnet_betas([2, 2])[1][0] == 1 / (1 + 0.25**2) ** 0.5
    True
    """
    variance = 1.0
    stages: list[list[float]] = []
    for depth in depths:
        betas = [_beta(variance)]
        if stages:
            variance = 1.0
        for _ in range(1, depth):
            betas.append(_beta(variance))
            variance += alpha**2
        stages.append(betas)
    return stages


def reactnet_a_betas(strides: Sequence[int], alpha: float = ALPHA) -> list[tuple[float, float]]:
    """(beta1, beta2) of every block of ReActNet-A, given the strides; a stride of 2 resets the variance.

    >>> reactnet_a_betas([1])[0] == (1.0, 1 / (1 + 0.25**2) ** 0.5)
    True
    """
    variance = 1.0 + alpha**2
    beta1, beta2 = 1.0, _beta(variance)
    pairs: list[tuple[float, float]] = []
    for stride in strides:
        pairs.append((beta1, beta2))
        variance = 1.0 if stride == 2 else variance + alpha**2
        beta1 = _beta(variance)
        variance += alpha**2
        beta2 = _beta(variance)
    return pairs
