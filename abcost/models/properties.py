"""What may be said of a network: the values that its properties can have, and how they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from abcost.errors import UsageError
from abcost.registry import unknown_name

VARIANTS = ("ab", "bn-free", "bn")
STEPS = (1, 2)
MOST_BLOCKS = 1000  # a guard against slips: nothing longer has been published

Check = Callable[[str, object], None]
"""Raises UsageError or UnknownName for a value that the property of that name cannot have."""


@dataclass(frozen=True, slots=True)
class Property:
    """How a property is asked for: `kind` is str, int, or tuple for whole numbers such as 2,2,2; `about` is its help.

    reduces: a network that has it is no longer the published one; reports say it.
    """

    kind: type
    check: Check
    about: str
    reduces: bool = False


def asked_for(kind: type, check: Check, about: str, *, reduces: bool = False) -> Any:
    """A field that is None where nothing was said."""
    return field(default=None, metadata={"property": Property(kind, check, about, reduces)})


def one_of(known: Sequence[str]) -> Check:
    """One of these names."""

    def check(name: str, value: object) -> None:
        if not isinstance(value, str) or value not in known:
            raise unknown_name(name, str(value), known)

    return check


def check_step(name: str, value: object) -> None:
    """A step of the training."""
    if type(value) is not int or value not in STEPS:
        raise UsageError(f"{name} must be 1 (real weights) or 2 (binary weights), got {value!r}")


def check_count(name: str, value: object) -> None:
    """Raise UsageError for what is no number of channels or classes."""
    if type(value) is not int or value < 1:
        raise UsageError(f"{name} must be a whole number >= 1, got {value!r}")


def check_counts(name: str, value: object) -> None:
    """One for every stage, and not so many that building takes minutes."""
    if not isinstance(value, tuple) or not value or any(type(n) is not int or n < 1 for n in value):
        raise UsageError(f"{name} must be a tuple of whole numbers >= 1, one per stage, got {value!r}")
    if sum(value) > MOST_BLOCKS:
        raise UsageError(
            f"{name} {as_text(value)} are {sum(value):,}, and at most {MOST_BLOCKS:,} can be built"
        )


def check_shift(name: str, value: object) -> None:
    """An exponent that hardware would shift by."""
    if type(value) is not int or not -16 <= value <= 0:
        raise UsageError(f"{name} must be a whole number between -16 and 0, got {value!r}")


def as_text(value: object) -> str:
    """The value as it is written on the command line."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
