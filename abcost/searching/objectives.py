"""What a search keeps low or high: `luts,loss,energy_uj`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from abcost.errors import UsageError
from abcost.registry import unknown_name
from abcost.searching.budget import QUANTITIES

LOSS, ACCURACY = "loss", "accuracy"
JUDGES = (LOSS, ACCURACY)
"""What a trained candidate is judged by, on the validation split: cross-entropy, or top-1 accuracy."""


def parse_objectives(text: str) -> tuple[str, ...]:
    """Read objectives: priced quantities of a budget, and one of `JUDGES`. Raises UsageError or UnknownName.

    >>> parse_objectives("luts, loss,energy_uj")
    ('luts', 'loss', 'energy_uj')
    """
    return checked(tuple(name.strip() for name in text.split(",")))


def checked(names: Sequence[str]) -> tuple[str, ...]:
    """The same names. Raises UsageError or UnknownName unless a search can have them as its objectives."""
    said = f"--objectives {','.join(names)}"
    for name in names:
        if name not in (*JUDGES, *QUANTITIES):
            raise unknown_name("objective of --objectives", name, (*JUDGES, *QUANTITIES))
        if names.count(name) > 1:
            raise UsageError(f"{said} names {name} twice: leave one out")
    if sum(name in JUDGES for name in names) != 1:
        raise UsageError(
            f"{said} must name either loss or accuracy: by one of them what is trained is judged"
        )
    if all(name in JUDGES for name in names):
        raise UsageError(f"{said} must name what is priced too, such as luts: luts,{','.join(names)}")
    return tuple(names)


def judge_of(objectives: Sequence[str]) -> str:
    """The objective that trained networks are judged by, one of `JUDGES`; the loss where none of them is named."""
    return next((name for name in objectives if name in JUDGES), LOSS)


def priced(objectives: Sequence[str]) -> tuple[str, ...]:
    """The objectives that need no training."""
    return tuple(name for name in objectives if name not in JUDGES)


def to_be_low(name: str, value: float | None) -> float:
    """A quantity as a number that is better the lower it is: frames per second negated, infinite where unknown.

    >>> to_be_low("luts", 900.0), to_be_low("fps", 60.0), to_be_low("luts", None)
    (900.0, -60.0, inf)
    """
    if value is None or math.isnan(value):
        return math.inf
    return -float(value) if QUANTITIES[name].least else float(value)


def all_low(names: Sequence[str], cost: Mapping[str, float | None]) -> tuple[float, ...]:
    """`to_be_low` of each."""
    return tuple(to_be_low(name, cost[name]) for name in names)
