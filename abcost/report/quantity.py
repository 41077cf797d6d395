"""Numbers for people: a count with separators, an energy with its prefix, a change in percent."""

from __future__ import annotations

from collections.abc import Callable


def count(value: float) -> str:
    """A whole number with thousands separators.

    >>> count(14651392)
    '14,651,392'
    """
    return f"{value:,.0f}"


def energy(picojoule: float | None) -> str:
    """Energy with the prefix that leaves one to three digits before the point; "unknown" for None.

    >>> energy(4800000.0), energy(None), energy(0.0)
    ('4.8 uJ', 'unknown', '0 pJ')
    """
    if picojoule is None:
        return "unknown"
    for unit, size in (("mJ", 1e9), ("uJ", 1e6), ("nJ", 1e3)):
        if picojoule >= size:
            return f"{picojoule / size:.4g} {unit}"
    return f"{picojoule:.4g} pJ"


def rough_energy(picojoule: float | None) -> str:
    """The same with three digits, for bounds.

    >>> rough_energy(525_712_345.0)
    '526 uJ'
    """
    return energy(None if picojoule is None else float(f"{picojoule:.3g}"))


def interval(low: float | None, high: float | None, text_of: Callable[[float | None], str]) -> str:
    """Both ends, each with its own prefix if they differ; "" where one is unknown or both read the same.

    >>> interval(9.0e5, 4.5e6, energy), interval(1.2e6, 4.5e6, energy), interval(5.0, 5.0, energy)
    ('900 nJ to 4.5 uJ', '1.2-4.5 uJ', '')
    """
    if low is None or high is None or text_of(low) == text_of(high):
        return ""
    (least, *unit), (most, *unit_of_most) = text_of(low).split(), text_of(high).split()
    if unit != unit_of_most:
        return f"{text_of(low)} to {text_of(high)}"
    return " ".join([f"{least}-{most}", *unit])


def amount(value: float | None) -> str:
    """A resource or area, rounded to the whole unit; "unknown" for None."""
    return "unknown" if value is None else count(value)


def bits(value: float) -> str:
    """Storage in KiB (1024 bytes) or MiB.

    >>> bits(8 * 1024 * 100)
    '100.0 KiB'
    """
    kib = value / 8 / 1024
    return f"{kib:.1f} KiB" if kib < 1024 else f"{kib / 1024:.2f} MiB"


def change(before: float | None, after: float | None) -> str:
    """Relative change; "" where either is unknown, "new" from nothing.

    >>> change(200, 50), change(5, 5), change(0, 3), change(None, 3)
    ('-75.0 %', '0 %', 'new', '')
    """
    if before is None or after is None:
        return ""
    if before == after:
        return "0 %"
    return "new" if before == 0 else f"{(after - before) / before:+.1%}".replace("%", " %")
