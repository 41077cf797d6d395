"""`abcost.analyze`."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from torch import nn

from abcost.api.arguments import default_target
from abcost.api.checked import call
from abcost.api.options import AnalysisOptions, rewriting_of, subject_of, wishes_and_clock
from abcost.cost import CostTable
from abcost.cost.organisation import Lanes
from abcost.pipeline import analyze_subject
from abcost.report.report import Report


@call
def analyze(
    model: str | nn.Module,
    target: str | Path | None = None,
    *,
    width: int | None = None,
    lanes: int = 1,
    simd: int = 64,
    verify: bool = False,
    **options: Unpack[AnalysisOptions],
) -> Report:
    """What a network costs on one target, before and after, as `abcost analyze` says it.

    model: a name of the zoo, "file.py:factory", "package.module:factory", "model.pt2", "model.onnx", or an nn.Module.
    target: a bundled table, or the path of a .toml file; default: that of `device`, else "fpga-lut6".
    width: bits of the residual path; default: the table's own (16 unless it says otherwise).
    lanes: results per cycle of every node.  simd: bits per cycle of a binary dot product in one lane.
    verify: also execute every stage next to the one before (slower), which fills `max_abs_error`.
    options: see `NetworkOptions`, `SlopeOptions` and `AcceleratorOptions`.

    Whether an accelerator fits is `report.stages[-1].organisation.fits`. Raises AbcostError.

    >>> report = analyze("reactnet_18", preset="cifar10", device="xc7z020", fps=60)
    >>> report.stages[-1].organisation.fits
    True
    """
    table = CostTable.load(
        target or default_target(options.get("device"))
    )  # a bad target fails before the slow trace
    goal, clock = wishes_and_clock(options, [table])
    rewriting = rewriting_of(options, model if isinstance(model, str) else type(model).__name__)
    (report,) = analyze_subject(
        subject_of(model, options, late=not verify),
        [table],
        width=width,
        organisation=Lanes(lanes, simd),
        accelerator=goal,
        rewriting=rewriting,
        verify=verify,
    )
    return report.at_clock(clock)
