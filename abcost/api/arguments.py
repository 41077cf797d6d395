"""From what is said to what is meant: names and numbers become values of the rooms below. Loads torch where it must."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from abcost.errors import UsageError
from abcost.registry import unknown_name

if TYPE_CHECKING:
    from abcost.accelerator.solve import AcceleratorGoal
    from abcost.cost import CostTable
    from abcost.rewrite import RewriteOptions

FASTEST = "max"
"""The clock of who asks for the highest that is met."""

CONSTANT_MULTIPLY: Final[tuple[Literal["keep", "csd", "graph"], ...]] = ("keep", "csd", "graph")
"""What can become of products with constants."""

_T = TypeVar("_T", bound=str)


def choice(option: str, value: str, known: Sequence[_T]) -> _T:
    """`value` if it is one of `known`. Raises UnknownName with the nearest."""
    for item in known:
        if item == value:
            return item
    raise unknown_name(f"{option} choice", value, known)


def check_number_format(width: int, fraction_bits: int | None) -> None:
    """Raise UsageError for bits of a circuit's values that make no sense."""
    if not 4 <= width <= 32:
        raise UsageError(f"--width {width} is not between 4 and 32 bits")
    if fraction_bits is not None and not 1 <= fraction_bits < width:
        raise UsageError(f"--fraction-bits {fraction_bits} is not between 1 and the width {width}")


def default_target(device: str | None) -> str:
    """The target whose figures are those of a device. Raises UnknownName."""
    from abcost.accelerator.parts import part, target_of

    return target_of(None if device is None else part(device))


def accelerator(
    device: str | None,
    fps: float | None,
    clock_mhz: str | float | None,
    organisation: str | None,
    weights: str | None = None,
    folding: Path | None = None,
    *,
    area_mm2: float | None = None,
    utilisation: float | None = None,
) -> AcceleratorGoal | None:
    """The accelerator that the user asked for; None without --device, --fps and --area-mm2.

    All else: None where the user did not say. Raises UsageError or UnknownName.
    """
    from abcost.accelerator.folding_file import read_folding
    from abcost.accelerator.own_folding import NO_FOLDING
    from abcost.accelerator.parts import part
    from abcost.accelerator.placing import WEIGHTS
    from abcost.accelerator.silicon.die import die_of
    from abcost.accelerator.solve import DEFAULT_CLOCK_MHZ, KINDS, AcceleratorGoal

    choice("--organisation", organisation or "pipelined", tuple(KINDS))
    where = None if weights is None else choice("--weights", weights, WEIGHTS)
    if device is None and fps is None and area_mm2 is None:
        if clock_mhz is not None or organisation is not None:
            raise UsageError("--clock-mhz and --organisation size an accelerator: add --device or --fps")
        if where is not None or folding is not None:
            raise UsageError("--weights and --folding size an accelerator: add --device or --fps")
        if utilisation is not None:
            raise UsageError("--utilisation is of a block of silicon: add --fps, --area-mm2 or --device")
        return None
    found = None if device is None else part(device)
    if area_mm2 is not None or utilisation is not None:
        found = die_of(found, area_mm2, utilisation)
    return AcceleratorGoal(
        found,
        fps,
        DEFAULT_CLOCK_MHZ if clock_mhz in (None, FASTEST) else _megahertz(str(clock_mhz)),
        organisation or "pipelined",
        where,
        NO_FOLDING if folding is None else read_folding(folding),
        fastest=clock_mhz == FASTEST,
    )


def accelerator_or_clock(
    tables: Sequence[CostTable],
    device: str | None,
    fps: float | None,
    clock_mhz: str | float | None,
    organisation: str | None,
    weights: str | None = None,
    folding: Path | None = None,
    *,
    area_mm2: float | None = None,
    utilisation: float | None = None,
) -> tuple[AcceleratorGoal | None, float | None]:
    """The goal as `accelerator` gives it; or the clock of lanes in MHz, if stated for cells without device or rate.

    Leakage is a power: the time of an inference makes it an energy. Raises UsageError or UnknownName.
    """
    plain = (
        device is None
        and fps is None
        and area_mm2 is None
        and all(table.technology == "asic" for table in tables)
    )
    clock = None if clock_mhz is None or not plain else _megahertz(str(clock_mhz))
    if clock is not None and not 0 < clock < float("inf"):
        raise UsageError(f"--clock-mhz must be above 0, got {clock:g}")
    goal = accelerator(
        device,
        fps,
        None if clock is not None else clock_mhz,
        organisation,
        weights,
        folding,
        area_mm2=area_mm2,
        utilisation=utilisation,
    )
    return goal, clock


def _megahertz(text: str) -> float:
    """Raises UsageError for what is no number."""
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--clock-mhz takes a number of MHz, or {FASTEST}; got {text[:40]!r}") from None


def rewriting(
    weight_scale: str,
    constant_multiply: str,
    fraction_bits: int,
    slopes: str | Path | Mapping[str, Sequence[int]] | None = None,
    model: str = "",
    *,
    leave_out_softmax: bool = False,
) -> RewriteOptions:
    """The opt-in lowering that the user asked for; `slopes` is of `model`: a file, or layer -> exponents.

    Raises UnknownName or UsageError; MissingExtra for graphs of adders without their solver.
    """
    from abcost.core.adders.shared import check_solver
    from abcost.models.slope_sets import read_slope_sets
    from abcost.rewrite import RewriteOptions

    multiply = choice("--constant-multiply", constant_multiply, CONSTANT_MULTIPLY)
    if multiply == "graph":
        check_solver()

    if isinstance(slopes, str | Path):
        slopes = read_slope_sets(Path(slopes), model)
    return RewriteOptions(
        weight_scale=choice("--weight-scale", weight_scale, ("exact", "po2")),
        constant_multiply=multiply,
        fraction_bits=fraction_bits,
        slopes={layer: tuple(exponents) for layer, exponents in (slopes or {}).items()},
        leave_out_softmax=leave_out_softmax,
    )
