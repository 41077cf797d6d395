"""What trials hold: the designs that were judged, with their prices and their losses on each rung."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from abcost.searching.problem import Variant
from abcost.searching.space import Candidate, Space


@dataclass(frozen=True, slots=True)
class Tried:
    """A design, what it costs, and its loss (see `Evaluation.merit`) on each rung that its training has reached.

    validation_top1: after the last one, None before there was a training.
    """

    candidate: Candidate
    cost: Mapping[str, float | None]
    losses: tuple[float, ...]
    validation_top1: float | None = None


def described(variants: Sequence[Variant], base: Candidate) -> dict[str, Any]:
    """Attributes of a trial with such variants; none if the candidate, which the trial describes, is the only one."""
    if [variant.candidate for variant in variants] == [base]:
        return {}
    return {"variants": [{**v.candidate.described(), "cost": dict(v.cost)} for v in variants]}


def tried(attributes: Mapping[str, Any], space: Space) -> list[Tried]:
    """The designs of a trial that has a price; of one that was over budget, none or one that was not judged."""
    top1 = attributes.get("judged", {}).get("validation_top1")
    if "variants" not in attributes:  # nothing but itself, or a trial of an older abcost
        losses = tuple(attributes.get("rungs", ()))
        return [Tried(space.read(attributes), attributes["cost"], losses, top1)]
    rungs = attributes.get("losses", [])
    accuracies = attributes.get("validation_top1", [None] * len(attributes["variants"]))
    return [
        Tried(space.read(held), held["cost"], tuple(losses[i] for losses in rungs), accuracies[i])
        for i, held in enumerate(attributes["variants"])
    ]
