"""Is the search better than random search? Two comparisons on real digits, written to reports/.

Without retraining (mnist5k, where exponents matter most): the same number of evaluations of the calibration loss,
five seeds, on fpga-ice40, whose LUT4s make every further exponent cost (up to three cost a LUT6 no more than one). The
fronts of LUTs against cross-entropy are measured again on the test split, which nothing has seen, and compared by
hypervolume: the area, in LUTs x nats, between the front and the corner where a design takes as many LUTs as the network
with unrestricted slopes and guesses (cross-entropy log 10). Beyond that corner, nobody needs a search.

With retraining (digits): the same number of training epochs in the exploration, three seeds of search, then the
same finals of three trainings for every point of both fronts and for the baselines.

    python benchmarks/search_quality.py [--part untrained retrained] [--run-dir runs/search_quality] [--output reports]

The same command goes on where it was interrupted. One thread; a quarter of an hour, and half an hour.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from scipy.stats import ttest_rel

from abcost.cost.table import CostTable
from abcost.rewrite import RewriteOptions
from abcost.searching.baselines import FREE, cost_of
from abcost.searching.evaluator import Design, Evaluator, design_of
from abcost.searching.explore import Explorer, judged
from abcost.searching.finals import Finals, all_done, enqueue, plan
from abcost.searching.points import NOISE, Result, TrainedDesign, result_of
from abcost.searching.problem import Problem, network_graph
from abcost.searching.proposals import first_proposals, parameters
from abcost.searching.run import exponents_of_start, points_of, train_start
from abcost.searching.settings import Settings
from abcost.searching.space import Space, groups_of
from abcost.searching.storage import sqlite_url
from abcost.searching.studies import Studies, begin
from abcost.searching.worker import START, digest_of
from abcost.training.files import write_text
from abcost.training.listener import SilentListener
from abcost.training.recipes import configs
from abcost.training.run import images

MODEL = "reactnet_18"
NETWORKS: Mapping[
    str, Mapping[str, Any]
] = {  # the depth as published; a small one where candidates are trained
    "mnist5k": {"base_width": 16},
    "digits": {"base_width": 16, "blocks": (2, 2, 2)},
}
TARGETS = {"mnist5k": "fpga-ice40", "digits": "fpga-lut6"}
METHODS: Mapping[str, tuple[str, bool]] = {  # name -> sampler, whether the first proposals are made
    "abcost search": ("nsga2", True),
    "NSGA-II alone": ("nsga2", False),
    "random search": ("random", False),
}
OURS, RANDOM = "abcost search", "random search"
UNTRAINED_SEEDS, RETRAINED_SEEDS = range(5), range(3)
EVALUATIONS = 100
EPOCHS = (4, 13)  # of the rungs
EXPLORE_EPOCHS = 150  # in total


def settings_of(data: str, seed: int, sampler: str, *, trials: int, epochs: tuple[int, ...]) -> Settings:
    """Of one search, before its start is known."""
    config = configs(MODEL, (1, 2), given={**NETWORKS[data], "data": data, "seed": seed})[-1]
    table = CostTable.load(TARGETS[data])
    space = Space(groups_of(network_graph(config, images(config), RewriteOptions()), "layer"))
    return Settings(
        model=MODEL,
        recipe=config.to_dict(),
        space=space.to_dict(),
        target=TARGETS[data],
        table=table.digest,
        width=16,
        fraction_bits=12,
        device=None,
        clock_mhz=100.0,
        budget="",
        epochs=epochs,
        keep=0.5,
        finalists=6,
        seeds=3,
        sampler=sampler,
        seed=seed,
        trials=trials,
        images=256,
    )


def opened(settings: Settings, folder: Path, *, proposals: bool) -> tuple[Problem, Studies, Evaluator]:
    """The problem, its start trained, and its studies in the folder. The start is that of all methods of a seed."""
    folder.mkdir(parents=True, exist_ok=True)
    data = settings.recipe["data"]
    steps = configs(MODEL, (1, 2), given={**NETWORKS[data], "data": data, "seed": settings.seed})
    start = folder.parent / f"{data}-{settings.seed}" / START
    start.parent.mkdir(parents=True, exist_ok=True)
    train_start(start, steps, None, SilentListener(), lambda: False)
    problem = Problem(replace(settings, start=digest_of(start)), start)
    studies = begin(
        sqlite_url(folder), "search", problem.settings, len(problem.objectives), str(folder.resolve())
    )
    if proposals and not studies.explore.get_trials(deepcopy=False):
        trained = exponents_of_start(start)
        for candidate in first_proposals(problem.space, trained, settings.trials):
            studies.explore.enqueue_trial(parameters(candidate, problem.space))
    return problem, studies, Evaluator(problem, folder)


def hypervolume(points: Sequence[tuple[float, float]], corner: tuple[float, float]) -> float:
    """Area between two costs that are to be low and a corner: sum of the steps of the front."""
    area, lowest = 0.0, corner[1]
    for cost, loss in sorted(points):
        if cost < corner[0] and loss < lowest:
            area += (corner[0] - cost) * (lowest - loss)
            lowest = loss
    return area


def corner_of(problem: Problem, evaluator: Evaluator) -> tuple[float, float]:
    """LUTs of the start with the slopes that it was trained to, cross-entropy of guessing."""
    luts = cost_of(FREE, evaluator.untrained(Design(), "free"), problem)["luts"]
    return luts or math.inf, math.log(len(problem.data.classes))


def untrained(folder: Path) -> list[dict[str, Any]]:
    """A row per method and seed: hypervolume on the test split."""
    rows = []
    for seed in UNTRAINED_SEEDS:
        for method, (sampler, proposals) in METHODS.items():
            settings = settings_of("mnist5k", seed, sampler, trials=EVALUATIONS, epochs=())
            place = folder / f"untrained-{method.replace(' ', '-')}-{seed}"
            problem, studies, evaluator = opened(settings, place, proposals=proposals)
            explorer = Explorer(studies.explore, studies.storage, problem, evaluator, 0)
            while explorer.step():
                pass
            trials = judged(studies.explore.get_trials(deepcopy=False))
            measured = []
            for trial in trials:
                better = [
                    t for t in trials if t.values[0] <= trial.values[0] and t.values[1] < trial.values[1]
                ]
                if not better:
                    candidate = problem.space.candidate(trial.user_attrs["sets"])
                    found = evaluator.untrained(design_of(candidate, problem.space), f"front/{candidate.key}")
                    measured.append((trial.values[0], found.test_loss))
            volume = hypervolume(measured, corner_of(problem, evaluator))
            rows.append({"method": method, "seed": seed, "evaluations": len(trials), "hypervolume": volume})
            print(f"{method}, seed {seed}: {len(trials)} evaluations, hypervolume {volume:.2f}", flush=True)
    return rows


def epochs_of(studies: Studies) -> int:
    """Training epochs of an exploration so far."""
    trials = studies.explore.get_trials(deepcopy=False)
    return sum(sum(EPOCHS[: len(t.user_attrs.get("rungs", [0])) - 1]) for t in judged(trials))


def retrained(folder: Path, seed: int, method: str) -> tuple[tuple[float, float], Result]:
    """The corner and the result of one search with retraining."""
    sampler, proposals = METHODS[method]
    settings = settings_of("digits", seed, sampler, trials=10_000, epochs=EPOCHS)
    settings = replace(settings, trials=60)  # sets the size of a generation; epochs end the exploration
    problem, studies, evaluator = opened(
        settings, folder / f"retrained-{method.replace(' ', '-')}-{seed}", proposals=proposals
    )
    explorer = Explorer(studies.explore, studies.storage, problem, evaluator, 0)
    while epochs_of(studies) < EXPLORE_EPOCHS and explorer.step():
        pass
    if "planned" not in studies.finals.user_attrs:
        enqueue(studies.finals, plan(studies.explore.get_trials(deepcopy=False), problem))
    finals = Finals(studies.finals, studies.storage, problem, evaluator)
    while not all_done(studies.finals):
        finals.step()
    finalists, baselines = points_of(studies, problem)
    count = len(judged(studies.explore.get_trials(deepcopy=False)))
    print(f"{method}, seed {seed}: {count} candidates, {epochs_of(studies)} epochs", flush=True)
    return corner_of(problem, evaluator), result_of(finalists, baselines, problem.objectives, problem.budget)


def untrained_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The first section of the report."""
    by = {m: [r["hypervolume"] for r in rows if r["method"] == m] for m in METHODS}
    random = by[RANDOM]
    lines = [
        "## Without retraining\n",
        f"{MODEL} (base width 16, depth as published) on mnist5k, {TARGETS['mnist5k']}, {EVALUATIONS} "
        f"evaluations of the calibration loss (256 validation images) each, "
        f"{len(random)} seeds. Hypervolume of LUTs against cross-entropy on the test split, in LUTs x nats; larger "
        "is better.\n",
        "| method | mean | standard error | over random search, mean of the seeds' ratios | least of them |",
        "|---|---|---|---|---|",
    ]
    for method, values in by.items():
        ratios = [v / r for v, r in zip(values, random, strict=True)]
        error = statistics.stdev(values) / math.sqrt(len(values))
        lines.append(
            f"| {method} | {statistics.fmean(values):.1f} | {error:.1f} | "
            f"{statistics.fmean(ratios):.2f} | {min(ratios):.2f} |"
        )
    return "\n".join(lines) + "\n"


def _row(kind: str, point: TrainedDesign, *, chosen: bool = False) -> str:
    cost = point.cost
    name = f"{point.name}{' (chosen)' if chosen else ''}"
    return (
        f"| {kind} | {name} | {cost['luts']:,.0f} | {cost['prelu_luts']:,.0f} | "
        f"{point.loss:.4f} ± {point.loss_se:.4f} | "
        f"{point.test_top1:.2%} ± {100 * (point.test_top1_se or 0):.2f} |"
    )


def retrained_text(found: Mapping[tuple[int, str], tuple[tuple[float, float], Result]]) -> str:
    """The second section of the report."""
    lines = [
        "## With retraining\n",
        f"{MODEL} (base width 16, blocks 2,2,2) on digits, {TARGETS['digits']}: {EXPLORE_EPOCHS} epochs of "
        f"retraining in each exploration (rungs of {' and '.join(map(str, EPOCHS))} epochs), then every point of a "
        f"front and every baseline trained for {EPOCHS[-1]} epochs with three seeds, all from the same start. "
        "Mean ± standard error; the validation split chooses, the test split reports.\n",
        "| seed and method | design | LUTs | of them PReLUs | validation loss | test top-1 |",
        "|---|---|---|---|---|---|",
    ]
    verdicts: list[str] = []
    volumes: dict[str, list[float]] = {OURS: [], RANDOM: []}
    for (seed, method), (corner, result) in found.items():
        lines += [_row(f"{seed}, {method}", p, chosen=p is result.chosen) for p in result.front]
        volumes[method].append(hypervolume([(p.cost["luts"] or 0, p.loss) for p in result.front], corner))
        if method == OURS:
            lines += [_row(f"{seed}, baseline", p) for p in result.baselines]
            verdicts.append(verdict(seed, result))
    differences = [a - b for a, b in zip(volumes[OURS], volumes[RANDOM], strict=True)]
    p = ttest_rel(volumes[OURS], volumes[RANDOM]).pvalue
    ratio = statistics.fmean(a / b for a, b in zip(volumes[OURS], volumes[RANDOM], strict=True))
    beyond = "beyond" if p < 0.05 else "not beyond"
    lines += [
        "",
        f"Hypervolume of LUTs against validation loss, search over random search: {ratio:.3f} (mean of the seeds); the "
        f"differences ({', '.join(f'{d:+.2f}' for d in differences)} LUTs x nats) are {beyond} the noise of "
        f"{len(differences)} seeds (paired t test, p = {p:.2f}).\n",
        *verdicts,
    ]
    return "\n".join(lines) + "\n"


def verdict(seed: int, result: Result) -> str:
    """The chosen point next to unrestricted quantized RPReLU."""
    chosen = result.chosen
    (free,) = [p for p in result.baselines if p.name == FREE]
    if chosen is None or chosen.loss_se is None or free.loss_se is None:
        return f"- Seed {seed}: nothing was chosen."
    difference, error = chosen.loss - free.loss, math.hypot(chosen.loss_se, free.loss_se)
    said = "no worse than" if difference <= NOISE * error else "worse than"
    used, unrestricted = chosen.cost["prelu_luts"] or 0.0, free.cost["prelu_luts"] or math.inf
    post, free_post = chosen.cost["post_luts"] or 0.0, free.cost["post_luts"] or math.inf
    return (
        f"- Seed {seed}: the chosen design is {said} unrestricted quantized RPReLU within two standard errors "
        f"(validation loss {difference:+.4f}, standard error {error:.4f}); its PReLU units take "
        f"{1 - used / unrestricted:.0%} fewer LUTs ({used:,.0f} of {unrestricted:,.0f}), "
        f"all post-processing {1 - post / free_post:.0%} fewer "
        f"({post:,.0f} of {free_post:,.0f})."
    )


def main() -> None:
    """Run, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--part", nargs="+", choices=("untrained", "retrained"), default=["untrained", "retrained"]
    )
    parser.add_argument("--run-dir", type=Path, default=Path("runs/search_quality"))
    parser.add_argument("--output", type=Path, default=Path("reports"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = arguments.run_dir / "untrained.json"
    sections = [
        "# Is `abcost search` better than random search?\n\nWritten by `python benchmarks/search_quality.py`.\n"
    ]
    if "untrained" in arguments.part:
        arguments.run_dir.mkdir(parents=True, exist_ok=True)
        write_text(table, json.dumps(untrained(arguments.run_dir)))
    if table.exists():
        rows = json.loads(table.read_text(encoding="utf-8"))
        out = io.StringIO()
        writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(arguments.output / "search_untrained.csv", out.getvalue())
        sections.append(untrained_text(rows))
    if "retrained" in arguments.part:
        found = {
            (seed, method): retrained(arguments.run_dir, seed, method)
            for seed in RETRAINED_SEEDS
            for method in (OURS, RANDOM)
        }
        sections.append(retrained_text(found))
    write_text(arguments.output / "search.md", "\n".join(sections))


if __name__ == "__main__":
    main()
