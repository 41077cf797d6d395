"""Numbers for people: a count with separators, an energy with its prefix, a change in percent."""

from __future__ import annotations


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
