"""What an organisation takes and gives: plain frozen data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from abcost.accelerator.cells import lone_ffs
from abcost.accelerator.devices import Device, Family
from abcost.accelerator.external import energy_uj, source
from abcost.accelerator.fmax import Fmax
from abcost.accelerator.memory import Memory, family_of
from abcost.accelerator.not_included import not_included
from abcost.accelerator.silicon.die import Die
from abcost.accelerator.spent import Power, Spent
from abcost.accelerator.unit_costs import LOGIC
from abcost.cost.organisation import Unit

RESOURCES = (*LOGIC, "lutram", "blocks", "uram", "spram")
"""luts, ffs and dsps of the units and LUT memories; LUTs among them that are written; memory blocks of the family
(BRAM18, EBR); URAM; SPRAM. Of silicon: see `abcost.accelerator.silicon.memories.resources`."""
BANDWIDTH = "bandwidth_gb_s"
"""What a device has of it is the memory outside, in GB/s."""


Part = Device | Die
"""Where an accelerator is: an FPGA, or silicon."""

_NAMES = {
    "luts": "LUTs",
    "ffs": "flip-flops",
    "dsps": "DSP slices",
    "lutram": "LUTs as RAM",
    "uram": "URAM",
    "spram": "SPRAM",
    BANDWIDTH: "GB/s from outside",
    "area_um2": "um2 of silicon",
    "logic_um2": "um2 of logic",
    "memory_um2": "um2 of memory",
    "macro_um2": "um2 of macros",
    "macros": "SRAM macros",
}


def family_at(found: Part | None) -> Family | None:
    """The family of an FPGA, as `family_of`; None on silicon."""
    return None if isinstance(found, Die) else family_of(found)


def name_of(resource: str, found: Part | None) -> str:
    """Name of a resource for people: blocks as the family calls them, LUTs by what is counted on the device."""
    family = family_at(found)
    if family is not None and (resource == "blocks" or (resource == "luts" and family.cells is not None)):
        return "logic cells" if resource == "luts" else family.block
    return _NAMES[resource]


@dataclass(frozen=True, slots=True)
class Layer:
    """One engine. external_bits: bits read from outside per inference; weights: where they are.

    chain_luts: LUTs of what stands behind the sums of the dot product; prelu_luts: of its PReLU units alone.
    lut_multipliers: of LUTs, for which the device has no DSP left. missing: figures that the table lacks.
    depthwise: whether every output reads one input channel only.
    pipeline_stages: registers from the last step of a dot product to the latest result.
    units: of the engine; between: of windows and FIFOs, see `abcost.accelerator.stream_buffers`.
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
    lut_multipliers: int = 0
    depthwise: bool = False
    pipeline_stages: int | None = None
    units: tuple[Unit, ...] = field(
        default=(), repr=False, compare=False
    )  # of the whole analysis: its energy
    between: tuple[Unit, ...] = field(default=(), repr=False, compare=False)
    memories: tuple[Memory, ...] = field(default=(), repr=False, compare=False)

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
            "lut_multipliers": None if self.shares else self.lut_multipliers,
            "pipeline_stages": self.pipeline_stages,
            "weights": self.weights,
            "external_bits": self.external_bits,
        }


@dataclass(frozen=True, slots=True)
class GivenPart:
    """Which layers had the folding that was given, and which that of the search. source: where it came from."""

    source: str
    given: tuple[str, ...]
    found: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"source": self.source, "given": list(self.given), "found": list(self.found)}

    def text(self) -> str:
        """Where the folding came from, and for which layers it was found, as text for people."""
        if not self.found:
            return f"as {self.source} says"
        return f"as {self.source} says; found for {', '.join(self.found)}"


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A network on hardware at one clock.

    interval: cycles between two inferences of the whole input, batch included; latency: cycles of one.
    over: resources beyond the device. limit: why it cannot be faster, or "". folding: how far it was given.
    """

    kind: str
    clock_mhz: float
    device: Part | None
    layers: tuple[Layer, ...]
    bottleneck: str
    interval: int
    latency: float
    limit: str = ""
    wanted_fps: float | None = None
    energy: Spent | None = None  # of one inference; None where it is not computed
    folding: GivenPart | None = None
    fmax: Fmax | None = None  # None where the table has no delays
    power: Power | None = None  # of silicon

    @property
    def clock_met(self) -> bool | None:
        """Whether the design can be clocked so; None where that is not known."""
        if self.fmax is None or self.fmax.value is None:
            return None
        return self.fmax.value >= self.clock_mhz * (1 - 1e-9)

    @property
    def fps(self) -> float:
        """Inferences per second."""
        return self.clock_mhz * 1e6 / self.interval

    @property
    def resources(self) -> dict[str, float | None]:
        """Sum over the layers; None where a part is unknown."""
        return sum_resources(layer.resources for layer in self.layers)

    @property
    def logic_cells(self) -> dict[str, Any] | None:
        """Logic cells, low, value and high, where the device has those; None elsewhere."""
        family = family_at(self.device)
        cells = None if family is None else family.cells
        if cells is None:
            return None
        used = self.resources
        lone = sum(lone_ffs([*layer.units, *layer.between]) for layer in self.layers)
        return cells.to_dict(used["luts"], used["ffs"], lone)

    @property
    def bandwidth_gb_s(self) -> float:
        """GB/s (10**9 bytes) that weights from outside need at these frames per second."""
        return self.external_bits * self.fps / 8e9

    @property
    def utilisation(self) -> dict[str, float | None]:
        """Share of the device, 1 = all of it; None where the device has none of it or the amount is unknown.

        luts: of the logic cells, where those count.
        """
        used = self.resources
        if self.logic_cells is not None:
            used["luts"] = self.logic_cells["value"]
        return {name: _share(used[name], self._available(name)) for name in used}

    @property
    def over(self) -> tuple[str, ...]:
        """What exceeds the device: resources, logic cells at their most, or BANDWIDTH."""
        if self.device is None:
            return ()
        found = [name for name in self.resources if self._exceeds(name)]
        available = self.device.bandwidth_gb_s
        if available is not None and self.bandwidth_gb_s > available * (1 + 1e-9):
            found.append(BANDWIDTH)
        return tuple(found)

    def _exceeds(self, name: str) -> bool:
        available = self._available(name)
        return available is not None and self.most(name) > available

    def most(self, name: str) -> float:
        """What the device must have of a resource or BANDWIDTH so that the design fits for sure; 0 if unknown."""
        if name == BANDWIDTH:
            return self.bandwidth_gb_s
        cells = self.logic_cells
        used = cells["high"] if cells is not None and name == "luts" else self.resources[name]
        return used or 0.0

    @property
    def unknown(self) -> tuple[str, ...]:
        """Resources that the table does not price."""
        return tuple(name for name, value in self.resources.items() if value is None)

    @property
    def fits(self) -> bool:
        """Whether it is within the device, fast enough, and may meet its clock; False with an unknown resource."""
        return not self.over and not self.unknown and self.fast_enough and self.clock_met is not False

    @property
    def fast_enough(self) -> bool:
        """Whether the wanted frames per second are reached."""
        return self.wanted_fps is None or self.fps >= self.wanted_fps * (1 - 1e-9)

    @property
    def refusal(self) -> str:
        """Why the answer is no, in one line; "" where it fits."""
        if self.fits:
            return ""
        if self.clock_met is False and self.fmax is not None and self.fmax.value is not None:
            low, high = self.fmax.low or 0.0, self.fmax.high or 0.0
            return (
                f"a clock of {self.clock_mhz:g} MHz is not met: {self.fmax.value:.4g} MHz ({low:.4g} to {high:.4g}), "
                f"limited by {self.fmax.limited_by}"
            )
        if self.unknown:
            units = dict.fromkeys(figure.split()[0] for figure in self.missing)
            what = "areas" if isinstance(self.device, Die) else "LUTs, flip-flops or DSPs"
            return (
                f"whether it fits is unknown: the table lacks {what} of {', '.join(units) or 'its memories'}"
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

    def _bandwidth(self) -> dict[str, Any]:
        device = self.device
        if not isinstance(device, Device) or device.bandwidth_gb_s is None:
            return {"needed": self.bandwidth_gb_s, "available": None}
        return {
            "needed": self.bandwidth_gb_s,
            "available": device.bandwidth_gb_s,
            "memory": device.memory,
            "source": device.memory_source,
            "confidence": device.memory_confidence,
        }

    def _silicon(self) -> dict[str, Any] | None:
        """Area and power of a block; None for an FPGA."""
        if not isinstance(self.device, Die):
            return None
        area = self.resources["area_um2"]
        return {
            "area_mm2": None if area is None else area / 1e6,
            "cells_fill": self.device.utilisation,
            "die": self.device.to_dict(),
            "power": None if self.power is None else self.power.to_dict(),
        }

    def _external_energy(self) -> dict[str, Any] | None:
        if self.external_energy_uj is None:
            return None
        low, high = self.external_energy_uj
        return {"low": low, "high": high, **source()}

    def _available(self, name: str) -> float | None:
        """How much of a resource the device has; None where that is not said."""
        found: float | None = getattr(self.device, name, None)
        return found

    @property
    def weights(self) -> str:
        """Where weights are: "external" if some are read from outside, else "on-chip"."""
        return "external" if self.external_bits else "on-chip"

    @property
    def lut_multipliers(self) -> dict[str, int]:
        """Layer -> multipliers of LUTs, where it has some."""
        return {layer.name: layer.lut_multipliers for layer in self.layers if layer.lut_multipliers}

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; `bram36` is half the BRAM18 blocks, null for families without and not there on silicon."""
        family = family_at(self.device)
        used, share = self.resources, self.utilisation
        if family is not None:
            per, blocks = family.blocks_per_bram36, used["blocks"]
            used["bram36"] = None if per is None or blocks is None else blocks / per
            share["bram36"] = None if per is None else share["blocks"]
        return {
            "kind": self.kind,
            "device": None if self.device is None else self.device.part,
            "clock_mhz": self.clock_mhz,
            "fps": self.fps,
            "fmax_mhz": None if self.fmax is None else self.fmax.to_dict(),
            "clock_met": self.clock_met,
            "wanted_fps": self.wanted_fps,
            "interval_cycles": self.interval,
            "latency_ms": self.latency / self.clock_mhz / 1e3,
            "bottleneck": self.bottleneck,
            "fits": self.fits,
            "limit": self.limit or None,
            "missing": self.missing,
            "memory_block": None if family is None else family.block,
            "logic_cells": self.logic_cells,
            "resources": used,
            "utilisation": share,
            "silicon": self._silicon(),
            "weights": self.weights,
            "bandwidth_gb_s": self._bandwidth(),
            "external_gbit_per_s": self.external_bits * self.fps / 1e9,
            "external_bits": self.external_bits,
            "external_energy_uj": self._external_energy(),
            "energy_uj": None if self.energy is None else self.energy.to_dict(),
            "folding": None if self.folding is None else self.folding.to_dict(),
            "not_included": list(not_included(silicon=isinstance(self.device, Die))),
            "layers": [layer.to_dict() for layer in self.layers],
        }


def resources_of(
    logic: Mapping[str, float | None], memories: Sequence[Memory], found: Device | None
) -> dict[str, float | None]:
    """Resources of the logic and of placed memories."""
    family = family_of(found)
    in_luts = [m for m in memories if m.place == "lutram"]
    selects = sum(m.select_luts(family) for m in memories if m.place == "block")
    luts = logic["luts"]
    return {
        **logic,
        "ffs": None if logic["ffs"] is None else logic["ffs"] + sum(m.ffs for m in memories),
        "luts": None if luts is None else luts + selects + sum(m.luts(family) for m in in_luts),
        "lutram": sum(m.luts(family) for m in in_luts if not m.constant),
        "blocks": sum(m.blocks(family) for m in memories if m.place == "block"),
        "uram": sum(m.urams for m in memories if m.place == "uram"),
        "spram": sum(m.sprams for m in memories if m.place == "spram"),
    }


def sum_resources(parts: Iterable[dict[str, float | None]]) -> dict[str, float | None]:
    """Sum in which an unknown part makes the resource unknown. All parts have the same names."""
    found: dict[str, float | None] = {}
    for part in parts:
        for name, b in part.items():
            a = found.get(name, 0.0)
            found[name] = None if a is None or b is None else a + b
    return found


def _share(used: float | None, available: float | None) -> float | None:
    return None if used is None or not available else used / available
