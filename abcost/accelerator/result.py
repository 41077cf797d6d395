"""What an organisation takes and gives: plain frozen data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from abcost.accelerator.devices import URAM, Device
from abcost.accelerator.external import energy_uj, source
from abcost.accelerator.memory import Memory, family_of
from abcost.accelerator.spent import Spent
from abcost.core.cost import Cost
from abcost.cost.fused import apart
from abcost.cost.organisation import Unit
from abcost.cost.price import total, unit_cost
from abcost.cost.table import CostTable

LOGIC = ("luts", "ffs", "dsps")
RESOURCES = (*LOGIC, "blocks", "uram")
"""luts, ffs and dsps of the units and LUT memories; memory blocks of the family (BRAM18, EBR); URAM."""


_NAMES = {"luts": "LUTs", "ffs": "flip-flops", "dsps": "DSP slices", "uram": "URAM"}


def name_of(resource: str, found: Device | None) -> str:
    """For people; memory blocks by the name that the family gives them."""
    return _NAMES.get(resource, family_of(found).block)


@dataclass(frozen=True, slots=True)
class Layer:
    """One engine. external_bits: bits read from outside per inference; weights: where they are.

    chain_luts: LUTs of its logic without XNOR-popcounts and signed sums; prelu_luts: of its PReLU units alone.
    missing: figures that the table lacks.
    shares: whether it is one of several layers on one engine, and has nothing but its cycles; that engine has 0.
    """

    name: str
    pe: int
    simd: int
    cycles: int
    resources: dict[str, float | None]
    chain_luts: float | None
    prelu_luts: float | None
    weights: str
    external_bits: int
    missing: frozenset[str] = frozenset()
    shares: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "name": self.name,
            "pe": self.pe,
            "simd": self.simd,
            "cycles": self.cycles or None,
            **(dict.fromkeys(self.resources) if self.shares else self.resources),
            "chain_luts": None if self.shares else self.chain_luts,
            "prelu_luts": None if self.shares else self.prelu_luts,
            "weights": self.weights,
            "external_bits": self.external_bits,
        }


@dataclass(frozen=True, slots=True)
class Organised:
    """A network on hardware at one clock.

    interval: cycles between two inferences of the whole input, batch included; latency: cycles of one.
    over: resources beyond the device. limit: why it cannot be faster, or "".
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
    energy: Spent | None = None  # of one inference; None where it is not computed

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
            units = dict.fromkeys(figure.split()[0] for figure in self.missing)
            return (
                f"whether it fits is unknown: the table lacks LUTs, flip-flops or DSPs of {', '.join(units)}"
            )
        if self.wanted_fps is None or self.fast_enough:
            return self.limit
        return (
            f"{self.wanted_fps:g} frames per second at {self.clock_mhz:g} MHz are not reached: {self.limit}"
        )

    @property
    def missing(self) -> list[str]:
        """Figures that the table lacks, sorted."""
        return sorted(frozenset().union(*(layer.missing for layer in self.layers)))

    @property
    def external_bits(self) -> int:
        """Weight bits read from outside per inference."""
        return sum(layer.external_bits for layer in self.layers)

    @property
    def external_energy_uj(self) -> tuple[float, float] | None:
        """Least and most energy of these reads per inference, in microjoule; None where there are none."""
        return energy_uj(self.external_bits) if self.external_bits else None

    def _external_energy(self) -> dict[str, Any] | None:
        if self.external_energy_uj is None:
            return None
        low, high = self.external_energy_uj
        return {"low": low, "high": high, **source()}

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
            "missing": self.missing,
            "memory_block": family.block,
            "resources": used_all,
            "utilisation": {**share, "bram36": None if per is None else share["blocks"]},
            "external_gbit_per_s": self.external_bits * self.fps / 1e9,
            "external_bits": self.external_bits,
            "external_energy_uj": self._external_energy(),
            "energy_uj": None if self.energy is None else self.energy.to_dict(),
            "layers": [layer.to_dict() for layer in self.layers],
        }


class Prices:
    """What one unit of a table takes, remembered: organisations are made of few different units, many times."""

    def __init__(self, table: CostTable) -> None:
        self.table = table
        self._known: dict[Unit, Cost] = {}

    def of(self, unit: Unit) -> Cost:
        """Of one of them. Raises CostError outside the valid range of the table."""
        found = self._known.get(unit)
        if found is None:
            one = replace(unit, count=1)
            if unit != one:
                found = self.of(one)
            else:
                units = (one,) if self.table.has(one.op) else apart(one)
                found = total(unit_cost(part, self.table).scaled(part.count) for part in units)
            self._known[unit] = found
        return found

    def total(self, units: Iterable[Unit]) -> dict[str, float | None]:
        """LUTs, flip-flops and DSPs of units; None where one has no figure."""
        sums: dict[str, float | None] = dict.fromkeys(LOGIC, 0.0)
        for unit in units:
            cost = self.of(unit)
            for name in LOGIC:
                so_far, each = sums[name], getattr(cost, name)
                sums[name] = None if so_far is None or each is None else so_far + each * unit.count
        return sums

    def missing(self, units: Iterable[Unit]) -> frozenset[str]:
        """Figures that the table lacks: "prelu luts"."""
        return frozenset(
            f"{unit.op} {name}" for unit in units for name in LOGIC if getattr(self.of(unit), name) is None
        )


def resources_of(
    logic: Mapping[str, float | None], memories: Sequence[Memory], found: Device | None
) -> dict[str, float | None]:
    """Resources of the logic and of placed memories."""
    family = family_of(found)
    in_luts = sum(m.luts(family) for m in memories if m.place == "lutram")
    luts = logic["luts"]
    return {
        **logic,
        "luts": None if luts is None else luts + in_luts,
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
