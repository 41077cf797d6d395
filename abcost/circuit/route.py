"""Synthesis, place and route of a circuit, with what each layer takes after synthesis.

Engines, windows and FIFOs keep their hierarchy, so that a netlist says what is whose.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from abcost.accelerator.devices import part_named
from abcost.circuit.make import Circuit
from abcost.circuit.project import modules_by_stage
from abcost.core.reading import read_text
from abcost.errors import ToolError, UsageError
from abcost.synth.parts import PARTS, part_for
from abcost.synth.route import Routed, RouteJob, Router, left_out_ns, read_sources

RESOURCES = ("luts", "ffs", "dsps", "blocks")
_MOST_PINS = 1_000_000  # bytes of a file that gives ports their pins


@dataclass(frozen=True, slots=True)
class Routing:
    """What is asked of place and route. pins: see `RouteJob`; pins_file: the name of the file that they are from."""

    part: str
    mapping: str = "area"
    seed: int = 1
    pins: str = ""
    pins_file: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """A routed circuit. layers: layer -> what its modules take after synthesis.

    fmax_mhz: with what nextpnr leaves out of paths through the multipliers of iCE40; None without a path.
    configuration: what a packer takes; None where it was not asked for.
    """

    routed: Routed
    part: str
    mapping: str
    seed: int
    layers: Mapping[str, Mapping[str, float]]
    configuration: bytes | None = None

    @property
    def fmax_mhz(self) -> float | None:
        """Fmax in MHz, of the slowest path between registers; None without a path."""
        delay = self.routed.delay_ns
        return None if delay is None else 1000 / (delay + left_out_ns(self.routed))

    def to_dict(self) -> dict[str, Any]:
        """Plain values as build.json has them."""
        return {
            "part": self.part, "mapping": self.mapping, "seed": self.seed, "tools": list(self.routed.versions),
            "luts": self.routed.luts, "ffs": self.routed.ffs, "dsps": self.routed.dsps, "blocks": self.routed.blocks,
            "logic_cells": self.routed.logic_cells, "fmax_mhz": self.fmax_mhz,
            "critical_path": [asdict(step) for step in self.routed.critical_path],
        }  # fmt: skip


def part_of(device: str) -> str:
    """The part of a device that can be placed and routed here. Raises UsageError where there is none."""
    found = part_for(part_named(device))
    if found is None:
        raise UsageError(
            f"--route: {device} cannot be placed and routed with open tools here; these can: {', '.join(PARTS)}"
        )
    return found.name


def read_pins(file: Path, part: str) -> str:
    """Which pins the ports have, as nextpnr reads it. Raises UsageError for another file than the part takes."""
    suffix = PARTS[part].pins
    if suffix is None:
        raise UsageError(f"--pins: nextpnr is given no pins of {part} here; leave it out")
    if file.suffix.lower() != f".{suffix}":
        raise UsageError(f"--pins {file}: nextpnr reads the pins of {part} from a file .{suffix}")
    text = read_text(file, f"--pins {file}", UsageError, most=_MOST_PINS)
    if not text.strip():
        raise UsageError(f"--pins {file} is empty: give every port of top.v a pin, or leave it out")
    return text


def route_circuit(
    circuit: Circuit, folder: Path, asked: Routing, *, clock_mhz: float, configured: bool = False
) -> Placed:
    """Synthesise, place and route the files in the folder. configured: with what a packer takes.

    Raises ToolError if a tool is missing or fails.
    """
    rtl = sorted((folder / "rtl").iterdir())
    verilog = [folder / "top.v", *(file for file in rtl if file.suffix == ".v")]
    sources = read_sources(verilog, [file for file in rtl if file.suffix == ".hex"])
    router = Router.find(asked.part)
    job = RouteJob("top", "top", sources, asked.seed, asked.mapping, clock_mhz, pins=asked.pins)
    routed, configuration = router.run_configured(job) if configured else (router.run(job), None)
    netlist = router.netlist(job)
    if netlist is None:
        raise ToolError("the netlist of the circuit is no longer kept: run the command again")
    return Placed(
        routed, asked.part, asked.mapping, asked.seed, _by_layer(circuit, router, netlist), configuration
    )


def _by_layer(circuit: Circuit, router: Router, netlist: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    modules = netlist["modules"]
    found = {}
    for layer, units in modules_by_stage(circuit).items():
        cells: Counter[str] = Counter()
        for unit in units:
            cells.update(_cells(modules, unit.name, circuit.top.verilog))
        found[layer] = router.part.counts(cells)
    return found


def _cells(modules: Mapping[str, Any], name: str, written: Container[str]) -> Counter[str]:
    """Cells by type below a module that we wrote; those of the library may be modules with cells of their own."""
    found: Counter[str] = Counter()
    for cell in modules[name]["cells"].values():
        kind = cell["type"]
        if kind in written:
            found.update(_cells(modules, kind, written))
        else:
            found[kind] += 1
    return found
