"""How much the loss minds each group of layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from abcost.core.exponents import ExponentSet
from abcost.searching.evaluator import Design, Evaluator
from abcost.searching.problem import Problem


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """loss_added: calibration cross-entropy, not retrained, when this group alone has one exponent, its commonest."""

    group: str
    channels: int
    exponent: int
    loss_added: float


def sensitivities(
    problem: Problem, evaluator: Evaluator, trained: Mapping[str, Sequence[int]], size: str = ""
) -> tuple[Sensitivity, ...]:
    """One per group of a size of the network; the most sensitive first.

    trained: layer -> exponent of each channel of its start.
    """
    base = evaluator.calibration_loss(Design(size=size))
    found = []
    for group, layers in problem.space.present(size).items():
        exponents = [e for layer in layers for e in trained[layer]]
        ((exponent, _),) = Counter(exponents).most_common(1)
        loss = evaluator.calibration_loss(Design(dict.fromkeys(layers, ExponentSet([exponent])), size=size))
        found.append(Sensitivity(group, len(exponents), exponent, loss - base))
    return tuple(sorted(found, key=lambda s: -s.loss_added))
