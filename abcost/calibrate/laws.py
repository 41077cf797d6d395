"""What a fit gives: laws with their valid ranges, and how numbers and sums are written in them."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Ranges = dict[str, tuple[int, int]]
Curve = tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Law:
    """What one field of one entry of a cost table says: a formula, or points over one variable."""

    value: str | Curve
    low: str | Curve | None = None
    high: str | Curve | None = None


@dataclass(frozen=True, slots=True)
class Fitted:
    """One entry of a cost table: where it holds, and a law per field."""

    valid: Ranges
    laws: Mapping[str, Law]
    over: str = ""  # variable of the points, where a law is points


def digits(value: float) -> float:
    """Four significant digits; a formula with more would claim more than was measured."""
    return float(f"{value:.4g}")


def number(value: float) -> str:
    """A number as a formula writes it: 16, 0.6875, 0.0000021, never 1.6e+01."""
    places = 12 if abs(value) >= 1e-6 or not value else 6 - math.floor(math.log10(abs(value)))
    return f"{value:.{places}f}".rstrip("0").rstrip(".") or "0"


def _is_sum(term: str) -> bool:
    """Whether a factor before the term would be the factor of its first part only."""
    body = ast.parse(term, mode="eval").body
    return isinstance(body, ast.BinOp) and isinstance(body.op, ast.Add | ast.Sub)


def sum_text(parts: Sequence[tuple[float, str]]) -> str:
    """`2 * width + 3`; parts with a factor of 0 are left out, and a sum that can turn negative stops at 0.

    >>> sum_text([(2.0, "width"), (0.5, "bits - 1"), (3.0, "1")])
    '2 * width + 0.5 * (bits - 1) + 3'
    """
    text, negative = "", False
    for factor, term in parts:
        if not factor:
            continue
        size = number(abs(digits(factor)))
        part = f"({term})" if _is_sum(term) else term
        written = size if term == "1" else part if size == "1" else f"{size} * {part}"
        text += (
            f" {'-' if factor < 0 else '+'} {written}" if text else f"{'-' if factor < 0 else ''}{written}"
        )
        negative |= factor < 0
    return f"max(0, {text})" if negative else text or "0"
