"""Conditions under which a comparison fails: `luts>+5%`, `energy_pj>+0.1`, `multiplications>0`.

A short name is of the accelerator where there is one: luts, ffs, dsps, blocks, fps, latency_ms, energy_uj, fmax_mhz,
fits (1 or 0). Without one, energy_uj is energy_pj in microjoule.

QUANTITY OP NUMBER      the later side's value:        multiplications>0, fps<60
QUANTITY OP +NUMBER     the difference, with a sign:   energy_pj>+0.1, fps<-5
QUANTITY OP ±NUMBER%    the relative difference:       luts>+5%, fps<-10%
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from abcost.comparing.delta import Delta
from abcost.errors import UsageError
from abcost.registry import unknown_name

_OPS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
_TERM = re.compile(r"\s*([a-z_0-9.]+)\s*(<=|>=|<|>)\s*([+-]?)(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*(%?)\s*")
_ENERGY_PJ = "cost.energy_pj"
_SHORT = {"multiplications": "ops.multiply"}
_OF_ACCELERATORS = (
    "fps",
    "latency_ms",
    "energy_uj",
    "fmax_mhz",
    "fits",
    "interval_cycles",
    "blocks",
    "bram36",
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that must not hold. kind: value, difference, or relative."""

    text: str
    quantity: str
    op: str
    number: float
    kind: str

    def broken(self, last: Mapping[str, Delta]) -> str | None:
        """Why it fails, in one line; None if it does not. What is unknown fails.

        Raises UnknownName for a quantity that neither side has, UsageError if it is of accelerators.
        """
        name = _name_in(self.quantity, last)
        delta = last[name]
        if self.quantity == "energy_uj" and name == _ENERGY_PJ:
            name, delta = self.quantity, Delta(_micro(delta.before), _micro(delta.after))
        found = {"value": delta.after, "difference": delta.absolute, "relative": delta.relative}[self.kind]
        if self.kind == "relative" and delta.before == 0 and delta.after:
            found = float("inf") if delta.after > 0 else float("-inf")
        if found is None:
            return f"{self.text}: {name} is unknown"
        if not _OPS[self.op](found, self.number):
            return None
        shown = f"{100 * found:+.3g} %" if self.kind == "relative" else f"{found:.12g}"
        return f"{self.text}: {name} {shown} ({_shown(delta.before)} to {_shown(delta.after)})"


def parse_condition(text: str) -> Condition:
    """Read one condition. Raises UsageError.

    >>> parse_condition("luts>+5%").number, parse_condition("fps < -10 %").kind
    (0.05, 'relative')
    """
    match = _TERM.fullmatch(text)
    if match is None:
        raise UsageError(
            f"--fail-if {text!r} is not of the form 'luts>+5%', 'energy_pj>+0.1' or 'multiplications>0'"
        )
    quantity, op, sign, digits, percent = match.groups()
    if percent and not sign:
        raise UsageError(
            f"--fail-if {text!r}: a percentage is a change and needs a sign: {quantity}{op}+{digits}%"
        )
    number = float(f"{sign}{digits}") / (100 if percent else 1)
    return Condition(text, quantity, op, number, "relative" if percent else "difference" if sign else "value")


def _name_in(quantity: str, last: Mapping[str, Delta]) -> str:
    """The full name: as given, or behind the nearest of organisation.resources, organisation, cost and ops."""
    full = _SHORT.get(quantity, quantity)
    if quantity == "energy_uj" and f"organisation.{quantity}" not in last:
        full = _ENERGY_PJ
    for prefix in ("", "organisation.resources.", "organisation.", "cost.", "ops.", "multiplications."):
        if f"{prefix}{full}" in last:
            return f"{prefix}{full}"
    if quantity in _OF_ACCELERATORS:
        raise UsageError(
            f"--fail-if: {quantity} is of an accelerator, and neither side has one: give --device or --fps, or "
            "reports that were made with them"
        )
    known = {name.rpartition(".")[2] for name in last} | set(last) | set(_SHORT)
    raise unknown_name("quantity of --fail-if", quantity, known)


def _micro(picojoule: float | None) -> float | None:
    return None if picojoule is None else picojoule / 1e6


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.6g}"
