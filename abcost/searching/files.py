"""The run folder of a finished search: front.csv, trials.csv, front.json, slopes/, best.pt, each written whole."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abcost.errors import OutputError
from abcost.models.slope_sets import SCHEMA as SLOPES_SCHEMA
from abcost.searching.budget import QUANTITIES
from abcost.searching.evaluator import Design
from abcost.searching.explore import ended
from abcost.searching.points import TrainedDesign
from abcost.searching.problem import Problem
from abcost.searching.run import SearchOutcome
from abcost.searching.settings import SCHEMA
from abcost.searching.space import Candidate
from abcost.searching.tried import Tried, tried
from abcost.training.files import copy_whole, write_json, write_text
from abcost.training.network import arguments_of

if TYPE_CHECKING:
    import optuna

FRONT, TRIALS, FRONT_JSON, BEST, SLOPES = "front.csv", "trials.csv", "front.json", "best.pt", "slopes"
_ROUNDING = {"none": [], "po2": ["--weight-scale", "po2"], "csd": ["--constant-multiply", "csd"]}
_COSTS = (*QUANTITIES, "post_luts", "prelu_luts")


def write_results(outcome: SearchOutcome, folder: Path) -> None:
    """Write all files of a finished search. Raises OutputError."""
    result, problem = outcome.result, outcome.problem
    try:
        (folder / SLOPES).mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder / SLOPES}: {error.strerror or error}") from error
    for point in (*result.front, *result.dominated, *result.over):
        content = {"schema": SLOPES_SCHEMA, "model": problem.settings.model, "layers": _slopes(point)}
        write_json(folder / slopes_file(point), content)
    write_text(folder / FRONT, _csv([_front_row(p, outcome, folder) for p in result.front]))
    write_text(folder / TRIALS, _csv(trial_rows(outcome)))
    if result.chosen is not None:
        copy_whole(result.chosen.best.checkpoint, folder / BEST)
    write_json(folder / FRONT_JSON, front_json(outcome, folder))


def trial_rows(outcome: SearchOutcome) -> list[dict[str, Any]]:
    """Rows of trials.csv: one per candidate that was proposed; one per design where a training gives several."""
    trials = outcome.studies.explore.get_trials(deepcopy=False)
    space = outcome.problem.space
    return [
        _trial_row(t, design, outcome.problem) for t in ended(trials) for design in tried(t.user_attrs, space)
    ]


def slopes_file(point: TrainedDesign) -> str:
    """Path of a point's slopes, relative to the run folder."""
    return f"{SLOPES}/{point.name}.json"


def front_json(outcome: SearchOutcome, folder: Path) -> dict[str, Any]:
    """Everything that was found; unknown is None."""
    result, problem = outcome.result, outcome.problem

    def plain(points: Sequence[TrainedDesign]) -> list[dict[str, Any]]:
        return [_plain(point, outcome, folder) for point in points]

    return {
        "schema": SCHEMA,
        "study": outcome.studies.explore.study_name,
        "settings": problem.settings.to_dict(),
        "objectives": [*problem.objectives, problem.judge],
        "units": {name: quantity.unit for name, quantity in QUANTITIES.items()},
        "front": plain(result.front),
        "dominated": plain(result.dominated),
        "over_budget": plain(result.over),
        "baselines": plain(result.baselines),
        "chosen": None if result.chosen is None else result.chosen.name,
        "noise": result.noise,
        "sensitivity": [asdict(s) for s in outcome.sensitivity],
    }


def commands(point: TrainedDesign, problem: Problem, folder: Path) -> dict[str, str]:
    """The commands that find a point's cost and accuracy again, from any folder; of own networks, from this one."""
    settings, config = problem.settings, problem.config
    slopes = str(folder.resolve() / slopes_file(point))
    analyze = ["abcost", "analyze", settings.model, "--checkpoint", str(point.best.checkpoint)]
    own = [f"--model-arg={k}={v!r}" for k, v in arguments_of(config).items()] if config.own else []
    if config.own:
        analyze += [*own, "--input-size", "x".join(map(str, (1, *problem.data.input_shape)))]
    design = point.design or Design()
    width, fraction = design.width or settings.width, settings.fraction_bits
    fraction = fraction if design.fraction is None else design.fraction
    analyze += ["--slopes", slopes, "--target", settings.target, "--width", str(width)]
    analyze += ["--fraction-bits", str(fraction)]
    rounding = _ROUNDING[design.scale]
    analyze += rounding
    fps, part = design.fps or problem.budget.fps, design.device or settings.device
    if part is not None:
        analyze += ["--device", part]
    if fps is not None:
        analyze += ["--fps", f"{fps:.12g}"]
    if part is not None or fps is not None:
        analyze += ["--clock-mhz", f"{settings.clock_mhz:.12g}"]
    evaluate = ["abcost", "evaluate", settings.model, "--checkpoint", str(point.best.checkpoint)]
    evaluate += [*own, "--data", config.data]
    if config.data_root is not None:
        evaluate += ["--data-root", config.data_root]
    if design.width is not None:
        evaluate += [
            "--as",
            "fixed-point",
            "--width",
            str(width),
            "--fraction-bits",
            str(fraction),
            *rounding,
        ]
    elif rounding:
        evaluate += ["--as", "rewritten", "--fraction-bits", str(settings.fraction_bits), *rounding]
    return {"analyze": shlex.join(analyze), "evaluate": shlex.join(evaluate)}


def _others(chosen: Design | Candidate | None, problem: Problem) -> dict[str, Any]:
    """What a design has beside exponents, alpha and rounding: size, registers, device, frames/s it is folded for."""
    settings = problem.settings
    if chosen is None:
        return dict.fromkeys(
            ("base_width", "blocks_per_stage", "width", "fraction_bits", "device", "folded_for_fps")
        )
    config = problem.sized(chosen.size)
    return {
        "base_width": config.base_width,
        "blocks_per_stage": None if config.blocks is None else ",".join(map(str, config.blocks)),
        "width": settings.width if chosen.width is None else chosen.width,
        "fraction_bits": settings.fraction_bits if chosen.fraction is None else chosen.fraction,
        "device": chosen.device or settings.device,
        "folded_for_fps": chosen.fps or problem.budget.fps,
    }


def _plain(point: TrainedDesign, outcome: SearchOutcome, folder: Path) -> dict[str, Any]:
    problem = outcome.problem
    return {
        "name": point.name,
        "slopes": None if point.design is None else _slopes(point),
        "alpha_exponent": None if point.design is None else point.design.alpha,
        "weight_scale": None if point.design is None else point.design.scale,
        **_others(point.design, problem),
        "cost": {name: point.cost.get(name) for name in _COSTS},
        "loss": point.loss,
        "loss_se": point.loss_se,
        "test_top1": point.test_top1,
        "test_top1_se": point.test_top1_se,
        "trainings": [
            {
                "loss": j.loss,
                "validation_top1": j.validation_top1,
                "test_top1": j.test_top1,
                "checkpoint": str(j.checkpoint),
            }
            for j in point.reached
        ],
        "checkpoint": str(point.best.checkpoint),
        "checkpoint_test_top1": point.best.test_top1,
        "checkpoint_test_top1_ci95": list(point.best.test_ci95),
        "commands": None if point.design is None else commands(point, outcome.problem, folder),
    }


def _front_row(point: TrainedDesign, outcome: SearchOutcome, folder: Path) -> dict[str, Any]:
    best = point.best
    low, high = best.test_ci95
    return {
        "point": point.name,
        "chosen": int(point is outcome.result.chosen),
        **{name: point.cost.get(name) for name in _COSTS},
        "loss": point.loss,
        "loss_se": point.loss_se,
        "test_top1": point.test_top1,
        "test_top1_se": point.test_top1_se,
        "seeds": len(point.reached),
        "exponents_per_layer": _mean_size(point),
        "alpha_exponent": None if point.design is None else point.design.alpha,
        "weight_scale": None if point.design is None else point.design.scale,
        **_others(point.design, outcome.problem),
        "slopes": slopes_file(point),
        "checkpoint": str(best.checkpoint),
        "checkpoint_loss": best.loss,
        "checkpoint_test_top1": best.test_top1,
        "checkpoint_test_top1_low": low,
        "checkpoint_test_top1_high": high,
        "command": commands(point, outcome.problem, folder)["analyze"],
    }


def _slopes(point: TrainedDesign) -> dict[str, list[int]]:
    """Layer -> exponents."""
    sets = {} if point.design is None else point.design.slopes or {}
    return {layer: list(exponents) for layer, exponents in sets.items()}


def _mean_size(point: TrainedDesign) -> float:
    sizes = [len(exponents) for exponents in _slopes(point).values()]
    return sum(sizes) / max(1, len(sizes))


def _trial_row(trial: optuna.trial.FrozenTrial, design: Tried, problem: Problem) -> dict[str, Any]:
    attributes, candidate, losses = trial.user_attrs, design.candidate, design.losses
    rungs = (0, *problem.settings.epochs)
    return {
        "trial": trial.number,
        "candidate": candidate.key if "variants" in attributes else attributes["key"],
        "end": attributes["end"],
        "alpha_exponent": candidate.alpha,
        "weight_scale": candidate.scale,
        **_others(candidate, problem),
        **{name: design.cost.get(name) for name in _COSTS},
        **{f"loss_{epochs}_epochs": losses[i] if i < len(losses) else None for i, epochs in enumerate(rungs)},
        "validation_top1": design.validation_top1,
        "seconds": None if trial.duration is None else trial.duration.total_seconds(),
        "sets": " ".join(
            f"{group}:{'/'.join(map(str, exponents))}"
            for group, exponents in zip(problem.space.groups, candidate.sets, strict=True)
            if exponents
        ),
    }


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Unknown is an empty cell."""
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return out.getvalue()
