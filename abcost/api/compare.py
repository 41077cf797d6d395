"""`abcost.compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from abcost.api.checked import call
from abcost.api.sides import check_common, side
from abcost.comparing.answer import Compared, compared
from abcost.comparing.condition import parse_condition
from abcost.comparing.saved import ComparedSide, side_of
from abcost.errors import UsageError
from abcost.report.report import Report


@call
def compare(
    *sides: str | Path | Report,
    fail_if: Sequence[str] = (),
    target: str | None = None,
    preset: str | None = None,
    width: int | None = None,
    device: str | None = None,
    fps: float | None = None,
    clock_mhz: float | Literal["max"] | None = None,
    leave_out_softmax: bool = False,
) -> Compared:
    """What changes between the first side and each of the others, as `abcost compare` says it.

    sides: reports of `abcost.analyze`; files of saved ones (.json, .csv); or models with options of their own, as text:
    "reactnet_18,checkpoint=best.pt,width=12".  fail_if: conditions on the last stage, such as "luts>+5%" (change),
    "multiplications>0" (value); `broken` says which hold.  target, preset, width (bits), device, fps (frames per
    second), clock_mhz (MHz, or "max"), leave_out_softmax: of all sides that are models in text. With a device or a
    rate, "luts", "ffs", "dsps", "blocks", "fps", "latency_ms", "energy_uj" and "fits" are of the accelerator.

    Raises AbcostError.

    >>> compare("reactnet_18", "reactnet_18,width=12", preset="digits", fail_if=["luts>+5%"]).holds
    True
    """
    if len(sides) < 2:
        raise UsageError("compare needs two or more reports or models")
    conditions = [parse_condition(text) for text in fail_if]
    asked = {
        "target": target, "preset": preset, "width": width, "device": device, "fps": fps,
        "clock_mhz": clock_mhz, "leave_out_softmax": leave_out_softmax or None,
    }  # fmt: skip
    common = {name: value for name, value in asked.items() if value is not None}
    check_common([str(one) for one in sides if not isinstance(one, Report)], common)

    def side_called(one: str | Path | Report, number: int) -> ComparedSide:
        if isinstance(one, Report):
            return side_of(one.to_dict(), f"{number}: {one.model} on {one.table.target}")
        return side(str(one), common)

    first, *others = [side_called(one, number) for number, one in enumerate(sides, start=1)]
    return compared(first, others, conditions)
