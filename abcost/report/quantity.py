"""Numbers for people: a count with separators, an energy with its prefix, a change in percent."""

from __future__ import annotations


def count(value: float) -> str:
    """A whole number with thousands separators.

    >>> count(14651392)
    '14,651,392'
    """
    return f"{value:,.0f}"


_PREFIXES = (("mJ", 1e9), ("uJ", 1e6), ("nJ", 1e3), ("pJ", 1.0))  # unit, its size in picojoule


def energy(picojoule: float | None) -> str:
    """Energy with the prefix that leaves one to three digits before the point; "unknown" for None.

    >>> energy(4800000.0), energy(None), energy(0.0)
    ('4.8 uJ', 'unknown', '0 pJ')
    """
    if picojoule is None:
        return "unknown"
    unit, size = _prefix(picojoule)
    return f"{picojoule / size:.4g} {unit}"


def energy_interval(low: float | None, high: float | None) -> str:
    """Both ends to three digits, with the prefix of the upper; "" where one is unknown.

    >>> energy_interval(9.0e5, 4.5e6), energy_interval(None, 4.5e6)
    ('0.9-4.5 uJ', '')
    """
    if low is None or high is None:
        return ""
    unit, size = _prefix(high)
    return f"{low / size:.3g}-{high / size:.3g} {unit}"


def _prefix(picojoule: float) -> tuple[str, float]:
    return next((prefix for prefix in _PREFIXES if picojoule >= prefix[1]), _PREFIXES[-1])


def amount_interval(low: float | None, high: float | None) -> str:
    """Both ends, rounded to the whole unit; "" where one is unknown.

    >>> amount_interval(53307.2, 89690)
    '53,307-89,690'
    """
    return "" if low is None or high is None else f"{count(low)}-{count(high)}"


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


def three_digits(value: float | None) -> str:
    """Text with at least three significant digits, never an exponent for a large number.

    >>> three_digits(12345.6), three_digits(123.45), three_digits(1.2345), three_digits(None)
    ('12,346', '123.5', '1.23', 'unknown')
    """
    if value is None:
        return "unknown"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.3g}"


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
