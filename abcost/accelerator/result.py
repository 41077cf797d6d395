"""What an organisation takes and gives: plain frozen data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from abcost.accelerator.devices import URAM, Device
from abcost.accelerator.memory import Memory, family_of
from abcost.core.cost import Cost
from abcost.cost.organisation import Unit
from abcost.cost.price import total, unit_cost
from abcost.cost.table import CostTable

RESOURCES = ("luts", "ffs", "dsps", "blocks", "uram")
"""luts, ffs and dsps of the units and LUT memories; memory blocks of the family (BRAM18, EBR); URAM."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One engine. external_bits: bits read from outside per inference; weights: where they are."""

    name: str
    pe: int
    simd: int
    cycles: int
    resources: dict[str, float | None]
    chain_luts: float | None
    weights: str
    external_bits: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "name": self.name,
            "pe": self.pe,
            "simd": self.simd,
            "cycles": self.cycles,
            **self.resources,
            "chain_luts": self.chain_luts,
            "weights": self.weights,
            "external_bits": self.external_bits,
        }


@dataclass(frozen=True, slots=True)
class Organised:
    """A network on hardware at one clock.

    interval: cycles between two inferences; latency: cycles of one. over: resources beyond the device.
    limit: why it cannot be faster, or "".
    """

    kind: str
    clock_mhz: float
    device: Device | None
    layers: tuple[Layer, ...]
    bottleneck: str
    interval: int
    latency: float
    limit: str = ""
    wanted_fps: float | None = None

    @property
    def fps(self) -> float:
        """Inferences per second."""
        return self.clock_mhz * 1e6 / self.interval

    @property
    def resources(self) -> dict[str, float | None]:
        """Sum over the layers; None where a part is unknown."""
        return sum_resources(layer.resources for layer in self.layers)

    @property
    def utilisation(self) -> dict[str, float | None]:
        """Share of the device, 1 = all of it; None where the device has none of it or the amount is unknown."""
        used = self.resources
        return {name: _share(used[name], self._available(name)) for name in RESOURCES}

    @property
    def over(self) -> tuple[str, ...]:
        """Resources that exceed the device."""
        used = self.resources
        return tuple(
            name for name in RESOURCES if self.device and (used[name] or 0) > (self._available(name) or 0)
        )

    @property
    def unknown(self) -> tuple[str, ...]:
        """Resources that the table does not price."""
        return tuple(name for name, value in self.resources.items() if value is None)

    @property
    def fits(self) -> bool:
        """Within the device, as far as that is known, and as fast as wanted."""
        return not self.over and not self.unknown and self.fast_enough

    @property
    def fast_enough(self) -> bool:
        """Whether the wanted frames per second are reached."""
        return self.wanted_fps is None or self.fps >= self.wanted_fps * (1 - 1e-9)

    @property
    def refusal(self) -> str:
        """Why the answer is no, in one line; "" where it fits."""
        if self.fits:
            return ""
        if self.unknown:
            return f"the table has no figure for {', '.join(self.unknown)} of some unit"
        wanted = f"{self.wanted_fps:g} frames per second at {self.clock_mhz:g} MHz are not reached: "
        return (wanted if self.wanted_fps and not self.fast_enough else "") + self.limit

    @property
    def external_bits(self) -> int:
        """Weight bits read from outside per inference."""
        return sum(layer.external_bits for layer in self.layers)

    def _available(self, name: str) -> int | None:
        return None if self.device is None else int(getattr(self.device, name))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; `bram36` is half the BRAM18 blocks, null for families without."""
        family = family_of(self.device)
        used, share = self.resources, self.utilisation
        per = family.blocks_per_bram36
        blocks = used["blocks"]
        used_all = {**used, "bram36": None if per is None or blocks is None else blocks / per}
        return {
            "kind": self.kind,
            "device": None if self.device is None else self.device.part,
            "clock_mhz": self.clock_mhz,
            "fps": self.fps,
            "wanted_fps": self.wanted_fps,
            "interval_cycles": self.interval,
            "latency_ms": self.latency / self.clock_mhz / 1e3,
            "bottleneck": self.bottleneck,
            "fits": self.fits,
            "limit": self.limit or None,
            "memory_block": family.block,
            "resources": used_all,
            "utilisation": {**share, "bram36": None if per is None else share["blocks"]},
            "external_gbit_per_s": self.external_bits * self.fps / 1e9,
            "layers": [layer.to_dict() for layer in self.layers],
        }


def resources_of(
    units: Iterable[Unit], memories: Sequence[Memory], table: CostTable, found: Device | None
) -> dict[str, float | None]:
    """Resources of units and placed memories."""
    family = family_of(found)
    cost: Cost = total(unit_cost(unit, table).scaled(unit.count) for unit in units)
    in_luts = sum(m.luts(family) for m in memories if m.place == "lutram")
    return {
        "luts": None if cost.luts is None else cost.luts + in_luts,
        "ffs": cost.ffs,
        "dsps": cost.dsps,
        "blocks": sum(m.blocks(family.shapes) for m in memories if m.place == "block"),
        "uram": sum(m.blocks(URAM) for m in memories if m.place == "uram"),
    }


def sum_resources(parts: Iterable[dict[str, float | None]]) -> dict[str, float | None]:
    """Sum in which an unknown part makes the resource unknown."""
    found: dict[str, float | None] = dict.fromkeys(RESOURCES, 0.0)
    for part in parts:
        for name in RESOURCES:
            a, b = found[name], part[name]
            found[name] = None if a is None or b is None else a + b
    return found


def _share(used: float | None, available: int | None) -> float | None:
    return None if used is None or not available else used / available
