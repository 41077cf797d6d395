"""What rewriting did: phases and log entries, shared by the engine and the reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Phase(IntEnum):
    """Rewriting runs phase by phase; inside a phase rules run to a fixed point.

    What loses something is in a phase of its own, so that execution can hold every other one to exactness.
    """

    RECOGNISE = 1  # binary weights and activations, scales, masks: the graph as traced
    REMOVE_MASK = 2
    ROUND_SLOPES = 3  # lossy: real RPReLU slopes to powers of two
    QUANTISE_SLOPES = 4  # slopes that are powers of two to shifts
    ROUND_SCALES = 5  # lossy, opt-in: weight scales to powers of two
    LOWER = 6  # scales and pools to shifts, bias and sign to a threshold


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One rewrite that fired, or declined with a reason.

    exact: no value changes in fixed-point execution. error: largest change of a constant, in `error_unit`.
    """

    phase: Phase
    rule: str
    node: str
    layer: str
    fired: bool
    detail: str
    exact: bool = True
    error: float | None = None
    error_unit: str = ""
