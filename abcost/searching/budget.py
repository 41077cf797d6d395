"""What a design may cost: `luts=9000,energy_uj=1.5,fps>=60`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from abcost.errors import UsageError
from abcost.registry import unknown_name


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that a design has so much of; organised: only a whole accelerator has it (--device or fps>=)."""

    unit: str
    about: str
    accelerator: bool = False
    least: bool = False  # a requirement: more is better


QUANTITIES: Mapping[str, Quantity] = {
    "luts": Quantity("LUTs", "look-up tables"),
    "ffs": Quantity("flip-flops", "flip-flops"),
    "dsps": Quantity("DSPs", "DSP slices"),
    "area_um2": Quantity("um2", "silicon area of cells, square micrometres"),
    "energy_uj": Quantity("uJ", "energy per inference, microjoule"),
    "weight_kib": Quantity("KiB", "stored parameters, 1,024 bytes"),
    "blocks": Quantity("blocks", "memory blocks of the family", accelerator=True),
    "bram36": Quantity("BRAM36", "36 kbit block RAMs", accelerator=True),
    "uram": Quantity("URAM", "288 kbit blocks", accelerator=True),
    "latency_ms": Quantity("ms", "from the first pixel to the result, milliseconds", accelerator=True),
    "fps": Quantity("frames/s", "frames per second", accelerator=True, least=True),
}
_TERM = re.compile(r"\s*([A-Za-z_0-9]+)\s*(<=|>=|=)\s*([^\s]+)\s*")


@dataclass(frozen=True, slots=True)
class Budget:
    """Quantity -> the most of it, or of `fps` the least."""

    limits: Mapping[str, float]

    @property
    def costs(self) -> dict[str, float]:
        """The limits that must not be exceeded."""
        return {name: limit for name, limit in self.limits.items() if not QUANTITIES[name].least}

    @property
    def fps(self) -> float | None:
        """Frames per second that the hardware must reach."""
        return self.limits.get("fps")

    def holds(self, cost: Mapping[str, float | None]) -> bool:
        """Whether quantities, all of them known, keep to the budget."""
        return all(
            (value := cost.get(name)) is not None
            and (value >= limit * (1 - 1e-9) if QUANTITIES[name].least else value <= limit * (1 + 1e-12))
            for name, limit in self.limits.items()
        )

    def excess(self, cost: Mapping[str, float | None]) -> dict[str, float]:
        """Cost with a limit -> how far beyond it, as a share of the limit; above 0 is over, infinite where unknown."""
        found = {}
        for name, limit in self.costs.items():
            value = cost.get(name)
            known = value is not None and not math.isnan(value)
            found[name] = (value - limit) / max(limit, 1.0) if known and value is not None else math.inf
        return found

    def __str__(self) -> str:
        return ",".join(
            f"{name}{'>=' if QUANTITIES[name].least else '='}{limit:.12g}"
            for name, limit in self.limits.items()
        )


def parse_budget(text: str) -> Budget:
    """Read a budget. Raises UsageError or UnknownName.

    >>> str(parse_budget("luts=9000, fps>=60"))
    'luts=9000,fps>=60'
    """
    limits: dict[str, float] = {}
    for term in text.split(","):
        name, limit = _limit(term)
        if name in limits:
            raise UsageError(f"--budget limits {name} twice: {limits[name]:.12g} and {limit:.12g}; give one")
        limits[name] = limit
    return Budget(limits)


def _limit(term: str) -> tuple[str, float]:
    match = _TERM.fullmatch(term)
    if match is None:
        raise UsageError(f"--budget {term.strip()!r} is not of the form luts=9000 or fps>=60")
    name, sign, number = match.groups()
    if name not in QUANTITIES:
        raise unknown_name("quantity of --budget", name, QUANTITIES)
    quantity = QUANTITIES[name]
    if quantity.least != (sign == ">="):
        wanted = f"{name}>={number}: the least" if quantity.least else f"{name}={number}: the most"
        raise UsageError(f"--budget {term.strip()!r}: write {wanted} that is allowed")
    try:
        limit = float(number)
    except ValueError:
        raise UsageError(f"--budget {term.strip()!r}: {number!r} is not a number") from None
    if not math.isfinite(limit) or limit < 0 or (quantity.least and limit == 0):
        raise UsageError(
            f"--budget {term.strip()!r}: must be {'above 0' if quantity.least else 'at least 0'}"
        )
    return name, limit
