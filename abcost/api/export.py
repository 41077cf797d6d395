"""`abcost.export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Unpack

from torch import nn

from abcost.accelerator.folding_file import finn_text
from abcost.accelerator.parts import fpga_of, target_of
from abcost.accelerator.solve import AcceleratorGoal
from abcost.api.arguments import choice
from abcost.api.checked import call
from abcost.api.options import AcceleratorOptions, AnalysisOptions, rewriting_of, subject_of, wishes_of
from abcost.core.writing import write_bytes
from abcost.cost import CostTable
from abcost.cost.organisation import Lanes
from abcost.errors import UsageError
from abcost.models.subject import Subject
from abcost.onnx.write.model import DIALECTS, onnx_bytes
from abcost.pipeline import STAGES, analyze_subject, stages_in_double
from abcost.rewrite import RewriteOptions

FORMATS = (*DIALECTS, "folding")
_BY_SUFFIX = {".onnx": "onnx", ".json": "folding"}
_SIZING = ("target", "width", *AcceleratorOptions.__annotations__)


@dataclass(frozen=True, slots=True, repr=False)
class Exported:
    """What `abcost.export` returns: the file, its format, the stage that it holds, and what to know about it."""

    file: Path
    format: str
    stage: str
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Exported: {self.stage} as {self.format} in {str(self.file)[-80:]}>"


@dataclass(frozen=True, slots=True)
class Sizing:
    """The accelerator whose folding is written: what is asked of it, its target, and its width in bits."""

    goal: AcceleratorGoal
    target: str | Path
    width: int | None = None


@call
def export(
    model: str | nn.Module,
    out: str | Path,
    *,
    format: Literal["onnx", "qonnx", "folding"] | None = None,  # noqa: A002 - called as on the command line
    stage: Literal["traced", "mask_removed", "rprelu_quantized", "add_and_bit"] = "add_and_bit",
    target: str | Path | None = None,
    width: int | None = None,
    **options: Unpack[AnalysisOptions],
) -> Exported:
    """Write a network at one stage into a file for other programs, as `abcost export` does.

    model: as `abcost.analyze` takes it.  out: the file.  format: "onnx", in single precision, which any runtime
    executes; "qonnx", with signs of one bit (0 becomes +1), thresholds and narrow weights as such; "folding", PE and
    SIMD of the accelerator as a folding_config.json of FINN, which needs `device` or `fps`. Default: as `out` ends,
    ".onnx" or ".json".  stage: of the rewriting.
    target, width (bits): of the accelerator.  options: see `NetworkOptions`, `SlopeOptions`, `AcceleratorOptions`.

    Raises AbcostError; GraphError, one of them, for a node that has no form in ONNX.

    >>> export("reactnet_18", "net.onnx", preset="digits", base_width=16)   # doctest: +SKIP
    <Exported: add_and_bit as onnx in net.onnx>
    """
    form = format_of(format, Path(out))
    given = {"target": target, "width": width, **options}
    sizing = sizing_of(
        form, wishes_of(options), target, width, [name for name in _SIZING if given.get(name) is not None]
    )
    subject = subject_of(model, options)
    rewriting = rewriting_of(options, model if isinstance(model, str) else type(model).__name__)
    content, warnings = exported(subject, form, stage, rewriting, sizing, owned=isinstance(model, str))
    write_bytes(content, Path(out))
    return Exported(Path(out), form, stage, warnings)


def format_of(asked: str | None, out: Path) -> str:
    """The format: as asked, else as the file ends. Raises UsageError or UnknownName."""
    found = asked or _BY_SUFFIX.get(out.suffix.lower())
    if found is None:
        raise UsageError(f"{out} ends neither in .onnx nor in .json: say --format {', '.join(FORMATS)}")
    return choice("--format", found, FORMATS)


def sizing_of(
    form: str, goal: AcceleratorGoal | None, target: str | Path | None, width: int | None, given: list[str]
) -> Sizing | None:
    """The accelerator of a folding, None of other formats. given: options that only a folding has a use for.

    Raises UsageError where they do nothing, or where there is no folding.
    """
    if form != "folding":
        if given:
            raise UsageError(
                f"--{given[0].replace('_', '-')} does nothing with --format {form}: leave it out"
            )
        return None
    if goal is None:
        raise UsageError("--format folding writes the folding of an accelerator: add --device or --fps")
    if goal.kind != "pipelined":
        raise UsageError(
            "--format folding: one engine for all layers has no folding of each: --organisation pipelined has"
        )
    own = target_of(fpga_of(goal.device))
    return Sizing(goal, target or own, width)


def exported(
    subject: Subject,
    form: str,
    stage: str,
    rewriting: RewriteOptions,
    sizing: Sizing | None,
    *,
    owned: bool,
) -> tuple[bytes, tuple[str, ...]]:
    """Content of the file, and warnings. owned: the model may be changed. Raises as `abcost.export`."""
    number = [name for name, _ in STAGES].index(stage)
    if sizing is not None:
        return _folding(subject, number, rewriting, sizing)
    staged = stages_in_double(subject, rewriting, owned=owned)
    about = {
        "model": subject.name,
        "stage": stage,
        **({"variant": subject.variant} if subject.variant else {}),
    }
    content = onnx_bytes(staged.stages[number].graph, form, about)
    return content, (*subject.warnings, *staged.warnings)


def _folding(
    subject: Subject, number: int, rewriting: RewriteOptions, sizing: Sizing
) -> tuple[bytes, tuple[str, ...]]:
    (report,) = analyze_subject(
        subject, [CostTable.load(sizing.target)], width=sizing.width, organisation=Lanes(), rewriting=rewriting,
        accelerator=sizing.goal,
    )  # fmt: skip
    organised = report.stages[number].organisation
    if organised is None:
        raise AssertionError("an accelerator was asked for")
    unfit = () if organised.fits else (f"the accelerator is not what was asked for: {organised.refusal}",)
    return finn_text(organised.layers).encode(), (*report.warnings, *unfit)
