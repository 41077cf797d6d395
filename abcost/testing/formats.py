"""What a report format promises."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

from abcost.accelerator.devices import device
from abcost.accelerator.solve import AcceleratorGoal
from abcost.core.writing import write_bytes
from abcost.pipeline import analyze
from abcost.report.files import TEXTS, save
from abcost.report.format import FORMATS, By, Detail, View
from abcost.report.report import Report
from abcost.testing.contract import hold

ESCAPE = "\x1b"


def check_format(name: str) -> None:
    """Raises AssertionError unless the format renders every report, for every view, and into a file.

    - The text is text, ends its last line, is the same twice, and names the model and every target (a backslash in
      front of a character is its escape).
    - Without colour it has no escape codes.
    - Reports of one target, of several, without prices (a table that knows few units), with an accelerator.
    - `Report.save` and `abcost analyze --output` write it into a file that ends in its name, in UTF-8.
    """
    first, *others = _samples()
    for by, detail in itertools.product(get_args(By), get_args(Detail)):
        _check_text(name, first, View(by=by, detail=detail))
    for reports in (first, *others):
        text = _check_text(name, reports, View())
        hold(text == FORMATS.get(name)(reports, View()), f"format {name}: another text the second time")
        _check_file(name, reports)


def _check_text(name: str, reports: Sequence[Report], view: View) -> str:
    text: object = FORMATS.get(name)(reports, view)
    what = f"format {name}, {len(reports)} reports, by {view.by}, {view.detail}"
    if not isinstance(text, str):
        raise AssertionError(f"{what}: gives a {type(text).__name__}, not text")  # noqa: TRY004 - as all of them
    hold(text.endswith("\n"), f"{what}: the last line does not end")
    hold(ESCAPE not in text, f"{what}: escape codes though no colour is asked for")
    plain = text.replace("\\", "")
    hold(reports[0].model in plain, f"{what}: the model is not named")
    for report in reports:
        hold(report.table.target in plain, f"{what}: the target {report.table.target} is not named")
    return text


def _check_file(name: str, reports: Sequence[Report]) -> None:
    text = FORMATS.get(name)(reports, View(detail="full"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"report.{name}"
        if name in TEXTS.values():
            write_bytes(text.encode("utf-8"), path)
        else:
            save(reports, path)
        hold(path.read_bytes().decode("utf-8") == text, f"format {name}: its file holds another text")


@cache
def _samples() -> tuple[list[Report], ...]:
    small: dict[str, Any] = {"preset": "digits", "base_width": 4, "blocks": (1,)}
    plain = [analyze("reactnet_18", target, **small) for target in ("fpga-lut6", "asic-45nm")]
    poor = analyze("reactnet_18", "abbnn-paper", **small)
    sized = analyze(
        "reactnet_18", "fpga-lut6", accelerator=AcceleratorGoal(device("xc7z020"), 100.0), **small
    )
    return plain[:1], plain, [poor], [sized]
