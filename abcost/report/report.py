"""What an analysis found: plain frozen data that every renderer reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from abcost.classify.tally import Tally
from abcost.core.cost import Cost
from abcost.core.log import LogEntry
from abcost.cost.price import PricedNode, total
from abcost.cost.table import CostTable


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the network on one target.

    exact: its rewrites change no value in fixed-point execution. max_abs_error: largest difference of an
    output from the stage before on the verification inputs, None if nothing was executed.
    """

    name: str
    tally: Tally
    nodes: tuple[PricedNode, ...]
    exact: bool
    log: tuple[LogEntry, ...]
    max_abs_error: float | None = None

    @property
    def cost(self) -> Cost:
        """Energy of one inference, and resources of all units."""
        return total(node.cost for node in self.nodes)

    @property
    def operation_energy_pj(self) -> float | None:
        """The part of the energy that is operations, None where one of them has no figure."""
        energy, memory = self.cost.energy_pj, self.memory_energy_pj
        return None if energy is None else energy - (memory or 0.0)

    @property
    def memory_energy_pj(self) -> float | None:
        """The part of the energy that is memory traffic, None without a memory table."""
        parts = [node.memory_energy_pj for node in self.nodes]
        return None if any(part is None for part in parts) else sum(part or 0.0 for part in parts)

    @property
    def weight_bits(self) -> int:
        """Bits of stored parameters."""
        return sum(node.traffic.weight_bits for node in self.nodes)


@dataclass(frozen=True, slots=True)
class Report:
    """One network on one target, stage by stage."""

    model: str
    variant: str | None
    input_shapes: tuple[tuple[int, ...], ...]
    parameters: int
    table: CostTable
    width: int  # bits of the residual path
    settings: dict[str, Any]  # what else was asked for: lanes, simd, weight_scale, …
    capture: str  # "shapes" | "values"
    stages: tuple[Stage, ...]
    fvcore_macs: int
    warnings: tuple[str, ...] = ()
    unpriced: tuple[str, ...] = ()
    verified: bool = True  # False: executed, and an exact rewrite was not exact

    def to_dict(self) -> dict[str, Any]:
        """The JSON report, as CONTRACT fixes it: schema 1, keys may be added, none renamed."""
        from abcost.report.json import report_to_dict  # noqa: PLC0415 - the renderer reads this module

        return report_to_dict(self)


def block_of(layer: str) -> str:
    """The block a module path belongs to: the path up to its first number.

    >>> block_of("layer1.0.conv1"), block_of("feature.1"), block_of("fc"), block_of("")
    ('layer1.0', 'feature.1', 'fc', '')
    """
    parts = layer.split(".")
    for position, part in enumerate(parts):
        if part.isdigit():
            return ".".join(parts[: position + 1])
    return parts[0]
