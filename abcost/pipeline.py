"""The recipe: trace, rewrite stage by stage, count, price. The only place that knows the order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from abcost.accelerator.energy import energy_of
from abcost.accelerator.parts import check_part
from abcost.accelerator.result import Accelerator
from abcost.accelerator.silicon.energy import with_power
from abcost.accelerator.solve import AcceleratorGoal, organise
from abcost.accelerator.unrolled import Unrolled, organise_unrolled
from abcost.classify.suspicions import suspicions
from abcost.classify.tally import tally
from abcost.core.garbage import collector_paused
from abcost.core.graph import OpGraph
from abcost.core.inputs import InputSpec
from abcost.core.kinds import OpKind
from abcost.core.log import LogEntry, Phase
from abcost.cost.adders import shared_adders
from abcost.cost.organisation import Lanes
from abcost.cost.price import price, unpriced
from abcost.cost.provenance import figures_used
from abcost.cost.table import CostTable
from abcost.crosscheck import analysis_macs, formula_macs
from abcost.errors import UsageError
from abcost.models.randomise import randomise_parameters
from abcost.models.subject import Request, Subject, resolve
from abcost.registry import unknown_name
from abcost.report.report import Report, Stage
from abcost.rewrite import RewriteOptions, Rewritten, rewrite
from abcost.trace import trace
from abcost.trace.capture import Traced
from abcost.trace.double import float64_only
from abcost.verifying import ROUNDING, Stepped, Verification, double_copy, verify_stages

STAGES: tuple[tuple[str, tuple[Phase, ...]], ...] = (
    ("traced", (Phase.RECOGNISE,)),
    ("mask_removed", (Phase.REMOVE_MASK,)),
    ("rprelu_quantized", (Phase.ROUND_SLOPES, Phase.QUANTISE_SLOPES)),
    ("add_and_bit", (Phase.ROUND_SCALES, Phase.LOWER)),
)
"""Stage names of the reports, in order, and the rewriting phases that lead to each."""

WIDEST = 64  # bits; no bundled law reaches further


@dataclass(frozen=True, slots=True)
class StageGraph:
    """The phases that led from the stage before to this one, each with its graph and its log."""

    name: str
    steps: tuple[Rewritten, ...]

    @property
    def graph(self) -> OpGraph:
        """The graph of the stage."""
        return self.steps[-1].graph

    @property
    def exact(self) -> bool:
        """Whether no rewrite changed a value in fixed-point execution."""
        return all(step.exact for step in self.steps)

    @property
    def log(self) -> tuple[LogEntry, ...]:
        """Everything that fired or declined on the way."""
        return tuple(entry for step in self.steps for entry in step.log)


@dataclass(frozen=True, slots=True)
class Staged:
    """All stages of one traced model."""

    stages: tuple[StageGraph, ...]
    capture: str
    warnings: tuple[str, ...]


def stage_graphs(model: nn.Module, inputs: tuple[InputSpec, ...], options: RewriteOptions) -> Staged:
    """Trace the model and rewrite it, phase by phase; every phase's result is checked against its spec."""
    return stages_of(trace(model, inputs), options)


def stages_of(traced: Traced, options: RewriteOptions) -> Staged:
    """The stages of what is traced already: `stage_graphs` from there on."""
    graph = traced.graph
    stages = []
    for name, phases in STAGES:
        steps = []
        for phase in phases:
            steps.append(rewrite(graph, phase, options))
            graph = steps[-1].graph
        stages.append(StageGraph(name, tuple(steps)))
    _check_slopes(graph, options)
    return Staged(tuple(stages), traced.capture, traced.warnings)


def _check_slopes(graph: OpGraph, options: RewriteOptions) -> None:
    """Raises UnknownName if the exponents of a layer are given that has no power-of-two PReLU."""
    layers = {node.layer for node in graph if node.kind is OpKind.SHIFT_PRELU}
    for layer in options.slopes:
        if layer not in layers:
            raise unknown_name("power-of-two PReLU of --slopes", layer, layers)


def analyze(
    model: str | nn.Module,
    target: str | Path = "fpga-lut6",
    *,
    input_shape: Sequence[int] | None = None,
    width: int | None = None,
    organisation: Lanes | None = None,
    accelerator: AcceleratorGoal | None = None,
    rewriting: RewriteOptions | None = None,
    verify: bool = False,
    **request: Any,
) -> Report:
    """Analyse one model on one target: `abcost.analyze` for those who have lanes, a goal and options as values.

    model: a zoo name, "file.py:factory", "package.module:factory", "model.pt2", "model.onnx", or an nn.Module.
    target: a bundled table's name or the path of a .toml file.
    input_shape: of the model's single input; default (1, 3, 224, 224), or the preset's.
    width: bits of the residual path; default the table's own (16 unless it says otherwise).
    accelerator: device, clock and frames per second of a whole accelerator, organised per stage.
    verify: also execute every stage next to the one before (slower), which fills `max_abs_error`.
    request: fields of `abcost.models.subject.Request`: those of `NetworkSpec` (variant, preset, …), checkpoint, ….

    Raises subclasses of AbcostError, each with one line that says what, where, and what to do.

    >>> report = analyze("reactnet_18", preset="cifar10")
    >>> report.stages[-1].tally.published()   # nothing that the paper counts is left
    0
    """
    table = CostTable.load(target)  # a bad target fails before the slow trace
    given = (InputSpec(tuple(input_shape)),) if input_shape is not None else tuple(request.pop("inputs", ()))
    if isinstance(model, nn.Module):
        if request:
            raise UsageError(f"{', '.join(sorted(request))}: only for models given by name")
        subject = Subject(
            model, type(model).__name__, None, given or (InputSpec((1, 3, 224, 224)),), trained=True
        )
    else:
        subject = resolve(Request(model, inputs=given, **request), late=not verify)
    (report,) = analyze_subject(
        subject,
        [table],
        width=width,
        organisation=organisation or Lanes(),
        accelerator=accelerator,
        rewriting=rewriting or RewriteOptions(),
        verify=verify,
    )
    return report


def analyze_subject(
    subject: Subject,
    tables: Sequence[CostTable],
    *,
    width: int | None,
    organisation: Lanes,
    rewriting: RewriteOptions,
    accelerator: AcceleratorGoal | None = None,
    verify: bool = False,
) -> list[Report]:
    """One report per table; the model is traced and rewritten once."""
    if width is not None:
        check_width(width)
    if accelerator is not None:
        for table in tables:
            check_part(accelerator.device, table.target, table.technology)
    organisation = replace(organisation, fraction_bits=rewriting.fraction_bits)
    verification = verify_subject(subject, rewriting) if verify else None
    with collector_paused():
        staged = stage_graphs(subject.model, subject.inputs, rewriting)
        return [
            _report(
                subject,
                staged,
                table,
                _Settings(width or table.default_width, organisation, accelerator, rewriting),
                verification,
            )
            for table in tables
        ]


def stages_in_double(subject: Subject, rewriting: RewriteOptions, *, owned: bool = False) -> Staged:
    """The stages in float64, with the parameters as they are; with `owned` of the model itself instead of a copy."""
    return _in_double(double_copy(subject.model, owned=owned), subject.inputs, rewriting)


def double_stages(
    subject: Subject, rewriting: RewriteOptions, *, owned: bool = False
) -> tuple[nn.Module, Staged]:
    """The model in float64 and its stages, to be executed; with `owned` the model itself instead of a copy.

    An untrained zoo network is stirred first: with every bias 0 and every slope equal, little would be tested.
    """
    model = double_copy(subject.model, owned=owned)
    if not subject.trained:
        randomise_parameters(model)
    return model, _in_double(model, subject.inputs, rewriting)


def double_trace(subject: Subject) -> Traced:
    """What `double_stages` rewrites, for whoever rewrites it in several ways (`stages_of`, in `float64_only`)."""
    model = double_copy(subject.model)
    if not subject.trained:
        randomise_parameters(model)
    with float64_only():
        return trace(model, tuple(_double(spec) for spec in subject.inputs))


def _in_double(model: nn.Module, inputs: tuple[InputSpec, ...], rewriting: RewriteOptions) -> Staged:
    with float64_only():
        return stage_graphs(model, tuple(_double(spec) for spec in inputs), rewriting)


def verify_subject(subject: Subject, rewriting: RewriteOptions, *, owned: bool = False) -> Verification:
    """Execute every stage next to the one before, in float64 and in fixed point.

    owned: the model is needed for nothing else and may be changed, which saves the memory of a copy.
    """
    model, staged = double_stages(subject, rewriting, owned=owned)
    stepped = []
    for stage in staged.stages:
        *rounding, last = stage.steps
        fired = [step for step in rounding if any(entry.fired for entry in step.log)]
        stepped += [
            *(_stepped(f"{stage.name}{ROUNDING}", step) for step in fired),
            _stepped(stage.name, last),
        ]
    return verify_stages(model, stepped, subject.inputs, rewriting.fraction_bits)


@dataclass(frozen=True, slots=True)
class _Settings:
    """What was asked of one report."""

    width: int
    organisation: Lanes
    accelerator: AcceleratorGoal | None
    rewriting: RewriteOptions


def _stepped(name: str, step: Rewritten) -> Stepped:
    changes = tuple(entry for entry in step.log if entry.fired and entry.error is not None)
    return Stepped(name, step.graph, step.exact, changes)


def check_width(width: int, option: str = "--width") -> None:
    """Raises UsageError for a width of the residual path that no table reaches."""
    if not 2 <= width <= WIDEST:
        raise UsageError(f"{option} {width} is not between 2 and {WIDEST} bits")


def _double(spec: InputSpec) -> InputSpec:
    return replace(spec, dtype=torch.float64) if spec.dtype.is_floating_point else spec


def _report(
    subject: Subject,
    staged: Staged,
    table: CostTable,
    settings: _Settings,
    verification: Verification | None,
) -> Report:
    organisation, rewriting = settings.organisation, settings.rewriting
    stages = _all_priced(staged.stages, table, settings, verification)
    reduction = {} if subject.network is None else subject.network.reduction()
    checked = analysis_macs(subject.model, subject.inputs) if verification else None
    fvcore = formula_macs(staged.stages[0].graph) if checked is None else checked
    return Report(
        model=subject.name,
        variant=subject.variant,
        input_shapes=tuple(spec.shape for spec in subject.inputs),
        parameters=sum(p.numel() for p in subject.model.parameters()),
        table=table,
        width=settings.width,
        settings={
            "lanes": organisation.lanes,
            "simd": organisation.simd,
            "weight_scale": rewriting.weight_scale,
            "constant_multiply": rewriting.constant_multiply,
            "fraction_bits": rewriting.fraction_bits,
            "trained": subject.trained,
            **reduction,
            **_slopes(rewriting),
            **({"leave_out_softmax": True} if rewriting.leave_out_softmax else {}),
        },
        capture=staged.capture,
        stages=stages,
        fvcore_macs=fvcore,
        fvcore_ran=checked is not None,
        warnings=(
            *subject.warnings,
            *staged.warnings,
            *suspicions(staged.stages[0].graph),
            *_warnings(subject, stages, fvcore, restricted=bool(rewriting.slopes)),
            *_kept_softmax(stages, rewriting),
        ),
        unpriced=_unpriced(stages, table),
        figures=figures_used((node for stage in stages for node in stage.nodes), table),
        verified=verification is None or verification.holds,
        reduced=tuple(reduction),
    )


def priced_stage(
    stage: StageGraph,
    table: CostTable,
    *,
    width: int,
    accelerator: AcceleratorGoal | None,
    rewriting: RewriteOptions,
) -> Stage:
    """One stage on one target: what `analyze_subject` makes of it, for those who need no other.

    Raises UsageError for a device that the table is not of, CostError beyond what the table holds.
    """
    if accelerator is not None:
        check_part(accelerator.device, table.target, table.technology)
    organisation = Lanes(fraction_bits=rewriting.fraction_bits)
    return _priced(stage, table, _Settings(width, organisation, accelerator, rewriting), None)


def _priced(
    stage: StageGraph, table: CostTable, settings: _Settings, verification: Verification | None
) -> Stage:
    nodes = price(stage.graph, table, width=settings.width, organisation=settings.organisation)
    organised, layers = _organised(stage.graph, table, settings)
    return Stage(
        stage.name,
        tally(stage.graph, settings.width),
        nodes,
        stage.exact,
        stage.log,
        verification.error_of(stage.name) if verification else None,
        organised,
        unpriced(nodes, table),
        shared_adders(stage.graph, table, settings.width),
        layers,
    )


def _all_priced(
    stages: Sequence[StageGraph],
    table: CostTable,
    settings: _Settings,
    verification: Verification | None,
) -> tuple[Stage, ...]:
    """Every stage; one that changed nothing costs what the stage before does, and is not priced again."""
    found: list[Stage] = []
    for stage, before in zip(stages, (None, *stages), strict=False):
        if before is not None and stage.graph is before.graph:
            error = verification.error_of(stage.name) if verification else None
            found.append(
                replace(found[-1], name=stage.name, exact=stage.exact, log=stage.log, max_abs_error=error)
            )
        else:
            found.append(_priced(stage, table, settings, verification))
    return tuple(found)


def _unpriced(stages: Sequence[Stage], table: CostTable) -> tuple[str, ...]:
    """What the table has no energy of and no area of at any stage: "rom energy", "rom luts"; sorted."""
    fields = {
        "energy_pj": "energy",
        **({"luts": "luts"} if table.technology == "fpga" else {"area_um2": "area_um2"}),
    }
    names = {f"{unit} {name}" for s in stages for f, name in fields.items() for unit in s.unpriced.get(f, ())}
    return tuple(sorted(names))


def _slopes(rewriting: RewriteOptions) -> dict[str, Any]:
    """The exponents that layers may take, where they were given."""
    sets = {layer: sorted(exponents) for layer, exponents in rewriting.slopes.items()}
    return {"slopes": sets} if sets else {}


def _organised(
    graph: OpGraph, table: CostTable, settings: _Settings
) -> tuple[Accelerator | None, tuple[Unrolled, ...]]:
    """The accelerator, and binary layers that are unrolled whole, where graphs of adders were asked for."""
    if settings.accelerator is None:
        return None, ()
    width, fraction_bits = settings.width, settings.rewriting.fraction_bits
    goal, layers = settings.accelerator, tuple[Unrolled, ...]()
    if settings.rewriting.constant_multiply == "graph":
        graph, found, layers = organise_unrolled(
            graph, table, width=width, fraction_bits=fraction_bits, goal=goal
        )
    else:
        found = organise(graph, table, width=width, fraction_bits=fraction_bits, goal=goal)
    if table.technology == "asic":
        return with_power(graph, table, found, width=width, fraction_bits=fraction_bits), layers
    spent = energy_of(graph, table, found, width=width, fraction_bits=fraction_bits)
    return replace(found, energy=spent), layers


def _kept_softmax(stages: Sequence[Stage], rewriting: RewriteOptions) -> list[str]:
    """Says so where a softmax was to be left out and none was."""
    found = [e for stage in stages for e in stage.log if e.rule == "leave-out-softmax"]
    if not rewriting.leave_out_softmax or any(entry.fired for entry in found):
        return []
    reasons = "; ".join(f"{e.layer or e.node}: {e.detail}" for e in found) or "the network has none"
    return [f"no softmax is left out: {reasons}"]


def _warnings(subject: Subject, stages: tuple[Stage, ...], fvcore: int, *, restricted: bool) -> list[str]:
    found = []
    macs = stages[0].tally.macs.total
    if macs != fvcore:
        found.append(
            f"abcost counts {macs:,} multiply-accumulates, fvcore {fvcore:,}: please report this model"
        )
    if not subject.trained and not restricted:
        found.append(
            "weights are untrained (no --checkpoint): every RPReLU slope is its initial value, so slope shifts "
            "are wiring here and multiplexers in a trained network"
        )
    zeros = [e for e in stages[0].log if e.fired and "exactly 0" in e.detail]
    if zeros:
        found.append(
            f"{len(zeros)} binary weight tensors hold exact zeros (torch.sign(0) = 0), which hardware stores as +1: "
            + "; ".join(f"{e.layer}: {e.detail.split('; ')[-1].split(' weights')[0]}" for e in zeros[:3])
        )
    return found
