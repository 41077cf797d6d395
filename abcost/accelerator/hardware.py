"""What an accelerator is built of: what its units and memories take, what that is worth, and what fits.

An organisation asks the same of an FPGA and of silicon.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Protocol

from abcost.accelerator.devices import Device
from abcost.accelerator.memory import Memory, family_of
from abcost.accelerator.multipliers import within_dsps
from abcost.accelerator.placing import Weights, place
from abcost.accelerator.result import Part, resources_of
from abcost.accelerator.silicon.die import ANYWHERE, Die
from abcost.accelerator.silicon.silicon import Silicon
from abcost.accelerator.unit_costs import UnitCosts
from abcost.cost.organisation import Unit
from abcost.cost.table import CostTable

LUTS_PER_DSP = 240
"""What a DSP slice is worth in LUTs (the ratio of an xc7z020), whatever the device."""

Amounts = Mapping[str, float | None]


class Hardware(Protocol):
    """rates: what one of each thing that units take is worth, in the unit that memories are worth too.

    choices: equal where memories of one table are worth the same.
    """

    rates: Mapping[str, float]
    choices: Hashable

    @property
    def part(self) -> Part | None:
        """The device or die; None where none was given."""

    def worth(self, memories: Iterable[Memory]) -> float:
        """What memories are worth where they are worth least; not a number where a figure is unknown."""

    def too_large(self, logic: Sequence[Amounts]) -> bool:
        """Whether these engines alone, without memories, are certain to exceed the part."""

    def within(self, groups: Sequence[Sequence[Unit]], prices: UnitCosts) -> list[list[Unit]]:
        """The units, some made otherwise where the part has too few of something."""

    def place(
        self, memories: Sequence[Memory], logic: Sequence[Amounts], weights: Weights | None
    ) -> list[Memory]:
        """All memories of a design beside its logic, each where it goes."""

    def resources(self, logic: Amounts, memories: Sequence[Memory]) -> dict[str, float | None]:
        """What logic and placed memories take."""


class Fpga:
    """A device, or FPGAs of the family that choices are made for (see `family_of`) where none is given."""

    rates: Mapping[str, float] = {"luts": 1.0, "dsps": float(LUTS_PER_DSP)}
    choices: Hashable = "fpga"

    def __init__(self, found: Device | None) -> None:
        self.part = found

    def worth(self, memories: Iterable[Memory]) -> float:
        """Worth of the memories in LUTs, whatever the device, so that choices stay comparable."""
        family = family_of(None)
        return float(sum(memory.worth(family) for memory in memories))

    def too_large(self, logic: Sequence[Amounts]) -> bool:
        """Whether the logic needs more LUTs than the device has; False where either is unknown."""
        if self.part is None or any(None in amounts.values() for amounts in logic):
            return False
        return sum(amounts["luts"] or 0.0 for amounts in logic) > self.part.luts * (1 + 1e-9)

    def within(self, groups: Sequence[Sequence[Unit]], prices: UnitCosts) -> list[list[Unit]]:
        """The units, with multipliers of LUTs where there are too few DSPs."""
        return within_dsps(groups, prices, None if self.part is None else self.part.dsps)

    def place(
        self, memories: Sequence[Memory], logic: Sequence[Amounts], weights: Weights | None
    ) -> list[Memory]:
        """The memories, each placed in LUTs, blocks, URAM, SPRAM or outside."""
        return place(memories, self.part, sum(amounts["luts"] or 0.0 for amounts in logic), weights)

    def resources(self, logic: Amounts, memories: Sequence[Memory]) -> dict[str, float | None]:
        """LUTs, flip-flops, DSPs and memories."""
        return resources_of(logic, memories, self.part)


def hardware_of(table: CostTable, found: Part | None, clock_mhz: float) -> Hardware:
    """What the units of a table are built on; the same object for the same die, which remembers where memories go."""
    if isinstance(found, Die) or table.technology != "fpga":
        die = found if isinstance(found, Die) else ANYWHERE
        made: Silicon = table.remembered.setdefault(
            ("silicon", die, clock_mhz), Silicon(die, table, clock_mhz)
        )
        return made
    return Fpga(found)
