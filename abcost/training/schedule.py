"""The learning rate over the epochs."""

from __future__ import annotations


def learning_rate(start: float, epoch: int, epochs: int) -> float:
    """Linear decay per epoch: start * (1 - epoch/epochs), with epochs counted from 0.

    Source: A&B BNN (Ma et al., CVPR 2024, arXiv:2403.03739).

    >>> [learning_rate(1e-3, epoch, 4) for epoch in range(4)]
    [0.001, 0.00075, 0.0005, 0.00025]
    """
    return start * (1 - epoch / epochs)
