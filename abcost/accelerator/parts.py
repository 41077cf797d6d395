"""Where an accelerator can be, by name: FPGAs and their boards, and dies; and which tables are of it."""

from __future__ import annotations

from abcost.accelerator.devices import FAMILIES, Device, boards, device, devices, part_named
from abcost.accelerator.result import Part
from abcost.accelerator.silicon.die import Die, dies
from abcost.errors import UsageError
from abcost.registry import unknown_name


def part(name: str) -> Part:
    """The FPGA, board or die of this name, in capitals or not, or the FPGA of your own .csv file.

    Raises UnknownName with the nearest; UsageError for a file that does not describe one part.
    """
    if name.lower() in dies():
        return dies()[name.lower()]
    known = {known.lower() for known in devices()}
    if not name.lower().endswith(".csv") and part_named(name).lower() not in known:
        raise unknown_name("device", name, [*devices(), *boards(), *dies()])
    return device(name)


def target_of(found: Part | None) -> str:
    """The table whose figures are those of a part; without one that of most FPGAs."""
    if found is None:
        return "fpga-lut6"
    return found.targets[0] if isinstance(found, Die) else found.family.targets[0]


def check_part(found: Part | None, target: str, technology: str) -> None:
    """Raises UsageError if a table's figures are not those of the part."""
    if isinstance(found, Die):
        if technology != "asic":
            fitting = found.targets[0] if found.targets else "asic-sky130"
            raise UsageError(f"{found.part} is silicon, target {target} is not; use --target {fitting}")
        if found.targets and target.startswith("asic-") and target not in found.targets:
            raise UsageError(f"--device {found.part} is made in {found.targets[0]}, not in {target}")
    elif found is not None or technology == "fpga":
        check_target(found, target, technology)


def fpga_of(found: Part | None) -> Device | None:
    """The device itself. Raises UsageError for silicon, where only an FPGA will do."""
    if isinstance(found, Die):
        raise UsageError(
            f"{found.part} is silicon, and this is for FPGAs; abcost analyze sizes a block of silicon"
        )
    return found


def check_target(found: Device | None, target: str, technology: str) -> None:
    """Raises UsageError if a table's figures are not those of the device's family, or of no FPGA at all."""
    if technology != "fpga":
        fitting = (found.family if found else FAMILIES["7-series"]).targets[0]
        raise UsageError(
            f"--device and --fps size an FPGA, target {target} is not one; use --target {fitting}"
        )
    if found is None:
        return
    known = {name for family in FAMILIES.values() for name in family.targets}
    if target in known and target not in found.family.targets:
        raise UsageError(
            f"--device {found.part} is {found.family.name}, whose target is {found.family.targets[0]}, not {target}"
        )
