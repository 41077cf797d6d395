"""Is the wide search worth its training? Three methods that train equally much, on paired seeds.

search:      `abcost search` over sizes of the network, registers and exponents: informed first proposals, NSGA-II, and
             of each training every width and number of fraction bits.
random:      random search over the same space: whole designs drawn evenly, one per training, with the same rungs.
exponents:   the search of another checkout, over exponents alone, of the largest network.

Training is counted in multiply-accumulates of images shown: epochs x MACs of the network (forward; the backward pass is
in proportion). The starts of all sizes are common to search and random search; the exponents-only search, which needs
one start alone, may train as much longer as the others cost. An exploration ends with the training that exceeds its
share.

A front is what exploration found: designs whose training climbed all rungs and that none dominates on the validation
split, in LUTs and in cross-entropy of bit-true execution. Its hypervolume is measured on the test split, from the
corner (LUTs of the dearest design of the space, cross-entropy of guessing), the same for all methods of a seed. The
exponents-only search knows no registers: its designs have 16 bits, with the fraction bits that are best for its front
on the validation split, of those that the others may choose from.

For each of three budgets, shares of the corner's LUTs, stand cross-entropy and accuracy on the test split of the design
within the budget whose validation loss is lowest.

    python benchmarks/search_worth.py OTHER_CHECKOUT [--data digits mnist5k] [--seeds 0:8] [--run-dir FOLDER]

Rows are written to rows.jsonl in the run folder as they come; the same command goes on where it was interrupted, and
prints the comparison of all seeds that are complete. One thread.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from scipy.stats import ttest_rel

from abcost.api.search import settings_of
from abcost.core.exponents import ExponentSet
from abcost.crosscheck import formula_macs
from abcost.rewrite import RewriteOptions
from abcost.searching.evaluator import Design, Evaluator, Retraining, design_of, retraining
from abcost.searching.explore import Explorer, judged
from abcost.searching.halving import front
from abcost.searching.pricing import quantities
from abcost.searching.problem import Problem, Variant, network_graph
from abcost.searching.proposals import first_proposals, parameters
from abcost.searching.run import train_start, trained_slopes
from abcost.searching.settings import Settings
from abcost.searching.space import Candidate, shape_of
from abcost.searching.storage import sqlite_url
from abcost.searching.studies import Studies, begin
from abcost.searching.tried import tried
from abcost.searching.worker import START, digest_of_starts
from abcost.training.listener import SilentListener
from abcost.training.recipes import configs
from fixed_work import machine
from search_quality import hypervolume

MODEL = "reactnet_18"
METHODS = ("search", "random", "exponents")
SAMPLERS = {"search": "nsga2", "random": "random"}
BASE_WIDTHS, DEPTHS = (4, 8), ((1,), (1, 1))
WIDTHS, FRACTIONS = (6, 8, 10, 12, 16), (2, 4, 6)
EPOCHS: Mapping[str, tuple[int, int]] = {"digits": (3, 9), "mnist5k": (1, 3)}  # of the rungs
START_EPOCHS: Mapping[str, int] = {"digits": 12, "mnist5k": 4}  # of each of its two steps
SHARES = (0.4, 0.7, 1.0)  # of the corner's LUTs: the budgets
RUNS: Mapping[str, tuple[range, ...]] = {
    "digits": (range(3, 11), range(11, 19)),
    "mnist5k": (range(8), range(8, 16)),
}
"""Seeds of each run. The search was set up on digits with seeds 0 to 2, which therefore do not count."""
EXPLORE = 12.0
"""Training of an exploration: so many times the last rung's epochs of the largest network."""
TARGET = "fpga-lut6"

OTHER = r"""
import json, sys
from dataclasses import replace
from pathlib import Path
import torch
torch.set_num_threads(1)
import abcost
asked = json.load(sys.stdin)
assert Path(abcost.__file__).is_relative_to(asked["checkout"]), abcost.__file__
from abcost.cost.table import CostTable
from abcost.rewrite import RewriteOptions
from abcost.search.explore import Explorer, judged
from abcost.search.lab import Lab
from abcost.search.problem import Problem, network_graph
from abcost.search.proposals import first_proposals, parameters
from abcost.search.run import exponents_of_start
from abcost.search.settings import Settings
from abcost.search.space import Space, groups_of
from abcost.search.storage import sqlite_url
from abcost.search.studies import begin
from abcost.search.worker import digest_of
from abcost.train.recipes import configs
from abcost.train.run import images
given = {**asked["given"], "blocks": tuple(asked["given"]["blocks"])}
config = configs(asked["model"], (1, 2), given=given)[-1]
space = Space(groups_of(network_graph(config, images(config), RewriteOptions()), "layer"))
start, folder = Path(asked["start"]), Path(asked["folder"])
settings = Settings(
    model=asked["model"], recipe=config.to_dict(), space=space.to_dict(), target=asked["target"],
    table=CostTable.load(asked["target"]).digest, width=16, fraction_bits=12, device=None, clock_mhz=100.0, budget="",
    epochs=tuple(asked["epochs"]), keep=0.5, finalists=6, seeds=3, sampler="nsga2", seed=given["seed"], trials=60,
    images=256, start=digest_of(start),
)
problem = Problem(settings, start)
studies = begin(sqlite_url(folder), "search", settings, len(problem.objectives), str(folder))
if not studies.explore.get_trials(deepcopy=False):
    for candidate in first_proposals(problem.space, exponents_of_start(start), settings.trials):
        studies.explore.enqueue_trial(parameters(candidate, problem.space))
explorer = Explorer(studies.explore, problem, Lab(problem, folder), 0)
def found():
    return judged(studies.explore.get_trials(deepcopy=False))
def spent():
    return sum(sum(asked["epochs"][: len(t.user_attrs.get("rungs", [0])) - 1]) for t in found())
while spent() < asked["limit"] and explorer.step():
    pass
top = [t for t in found() if len(t.user_attrs["rungs"]) == 1 + len(asked["epochs"])]
print(json.dumps({"spent": spent(), "trials": len(found()), "designs": [
    {"slopes": {l: list(s) for l, s in problem.space.layers(problem.space.candidate(t.user_attrs["sets"])).items()},
     "luts": t.values[0], "loss": t.values[-1], "checkpoint": t.user_attrs["judged"]["checkpoint"]} for t in top]}))
"""


class OneVariant(Problem):
    """A problem in which a training gives one design, drawn at random: that of random search."""

    def variants(self, candidate: Candidate) -> list[Variant]:
        """One of those that there are."""
        those = super().variants(candidate)
        return [random.Random(f"{self.settings.seed} {candidate.key}").choice(those)]  # noqa: S311 - not a secret


@dataclass(frozen=True)
class Measured:
    """A design on the front: LUTs, validation loss, and loss and top-1 on the test split."""

    luts: float
    loss: float
    test_loss: float
    test_top1: float


@dataclass(frozen=True)
class Stage:
    """What all methods of a seed share."""

    data: str
    seed: int
    folder: Path
    settings: Settings
    problem: Problem
    macs: Mapping[str, int]  # size -> of one image
    corner: tuple[float, float]  # LUTs, loss

    @property
    def epochs(self) -> tuple[int, int]:
        """Of the rungs."""
        return EPOCHS[self.data]

    @property
    def share(self) -> float:
        """What an exploration may train, in epochs x MACs."""
        return EXPLORE * self.epochs[-1] * max(self.macs.values())


def prepared(data: str, seed: int, folder: Path) -> Stage:
    """The space, and a trained start of every size."""
    given = {"data": data, "seed": seed, "epochs": START_EPOCHS[data]}
    steps = configs(MODEL, (1, 2), given=given)
    asked = {
        "target": TARGET, "device": None, "clock_mhz": 100.0, "budget": "", "objectives": ("luts", "loss"),
        "width": None, "fraction_bits": 12, "keep": 0.5, "finalists": 6, "seeds": 1, "sampler": "nsga2", "seed": seed,
        "trials": 60, "images": 256, "group": 8,
    }  # fmt: skip
    choices = {
        "low": -7, "high": 2, "most": 4, "scales": ("none",), "alphas": (), "widths": WIDTHS, "fractions": FRACTIONS,
        "base_widths": BASE_WIDTHS, "depths": DEPTHS,
    }  # fmt: skip
    settings = settings_of(steps[-1], asked, choices, "stage", EPOCHS[data])
    problem = Problem(settings, folder / START)
    folder.mkdir(parents=True, exist_ok=True)
    for size in problem.sizes:
        train_start(
            problem.start_of(size),
            [replace(step, **shape_of(size)) for step in steps],
            None,
            SilentListener(),
            lambda: False,
        )
    settings = replace(settings, start=digest_of_starts(problem))
    problem = Problem(settings, folder / START)
    macs = {
        size: formula_macs(network_graph(problem.sized(size), problem.data, RewriteOptions()))
        for size in problem.sizes
    }
    spread = [-7, -4, -1, 2]  # as many exponents as there may be, as far apart as may be
    every = [v for size in problem.sizes for v in problem.variants(problem.space.uniform(spread, size))]
    luts = max(variant.cost["luts"] or 0.0 for variant in every)
    return Stage(data, seed, folder, settings, problem, macs, (luts, math.log(len(problem.data.classes))))


def spent(studies: Studies, stage: Stage) -> float:
    """Epochs x MACs that an exploration has trained so far."""
    return sum(
        sum(stage.epochs[: len(t.user_attrs.get("rungs", [0])) - 1]) * stage.macs[t.user_attrs["size"]]
        for t in judged(studies.explore.get_trials(deepcopy=False))
    )


def explored(stage: Stage, method: str) -> tuple[list[Measured], dict[str, Any]]:
    """The front of one method over the wide space, and what it took."""
    settings = replace(stage.settings, sampler=SAMPLERS[method])
    kind = OneVariant if method == "random" else Problem
    problem = kind(settings, stage.problem.start)
    problem.__dict__["pricer"] = stage.problem.pricer  # set up once for both
    folder = stage.folder / method
    folder.mkdir(exist_ok=True)
    studies = begin(sqlite_url(folder), "search", settings, len(problem.objectives), str(folder.resolve()))
    if method != "random" and not studies.explore.get_trials(deepcopy=False):
        for candidate in first_proposals(problem.space, trained_slopes(problem), settings.trials):
            studies.explore.enqueue_trial(parameters(candidate, problem.space))
    evaluator = Evaluator(problem, folder)
    explorer = Explorer(studies.explore, studies.storage, problem, evaluator, 0)
    while spent(studies, stage) < stage.share and explorer.step():
        pass
    trials = judged(studies.explore.get_trials(deepcopy=False))
    top = [t for t in trials if len(t.user_attrs["rungs"]) == 1 + len(stage.epochs)]
    designs = [
        design
        for t in top
        if t.user_attrs["end"] == "evaluated"
        for design in tried(t.user_attrs, problem.space)
    ]
    points = [(design.cost["luts"] or math.inf, design.losses[-1]) for design in designs]
    measured = []
    for i in front(points):
        design = design_of(designs[i].candidate, problem.space)
        config = retraining(problem, design, epochs=stage.epochs[-1], seed=settings.seed)
        base = problem.space.base(designs[i].candidate)
        name = f"trials/{base.key}-{stage.epochs[-1]}"
        (found,) = evaluator.trained([Retraining(config, name, design.size, forms=(design.form,))])
        if isinstance(found, Exception):
            raise found
        measured.append(Measured(*points[i], found[0].test_loss, found[0].test_top1))
    studies.storage.engine.dispose()
    return measured, {"trained": spent(studies, stage), "trainings": len(trials)}


def exponents_only(stage: Stage, checkout: Path) -> tuple[list[Measured], dict[str, Any]]:
    """The front of the other checkout's search over the largest network, and what it took."""
    size = max(stage.macs, key=lambda name: stage.macs[name])
    others = sum(macs for name, macs in stage.macs.items() if name != size)
    limit = (stage.share + 2 * START_EPOCHS[stage.data] * others) / stage.macs[size]
    folder = stage.folder / "exponents"
    folder.mkdir(exist_ok=True)
    shape = shape_of(size)
    asked = {
        "checkout": str(checkout.resolve()), "model": MODEL, "target": TARGET, "epochs": stage.epochs, "limit": limit,
        "start": str(stage.problem.start_of(size).resolve()), "folder": str(folder.resolve()),
        "given": {"data": stage.data, "seed": stage.seed, "epochs": START_EPOCHS[stage.data], **shape},
    }  # fmt: skip
    ran = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-c", OTHER],
        input=json.dumps(asked), env=os.environ | {"PYTHONPATH": str(checkout.resolve())},
        cwd=checkout, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ran.returncode:
        raise SystemExit(f"the search of {checkout} failed:\n{ran.stderr[-2000:]}")
    said = json.loads(ran.stdout.splitlines()[-1])
    problem = stage.problem
    evaluator = Evaluator(problem, folder / "again")
    best: list[tuple[float, list[Measured]]] = []
    for fraction in FRACTIONS:
        points = []
        for held in said["designs"]:
            slopes = {layer: ExponentSet(values) for layer, values in held["slopes"].items()}
            design = Design(slopes, None, "none", size, 16, fraction)
            points.append(measured_again(evaluator, problem, design, Path(held["checkpoint"])))
        kept = [points[i] for i in front([(p.luts, p.loss) for p in points])]
        best.append((hypervolume([(p.luts, p.loss) for p in kept], stage.corner), kept))
    _, measured = max(best, key=lambda pair: pair[0])
    return measured, {"trained": said["spent"] * stage.macs[size], "trainings": said["trials"]}


def measured_again(evaluator: Evaluator, problem: Problem, design: Design, checkpoint: Path) -> Measured:
    """A trained checkpoint, priced and judged bit by bit."""
    config = retraining(problem, design, epochs=problem.settings.epochs[-1], seed=problem.settings.seed)
    (found,) = evaluator.measured(config, checkpoint, (design.form,))
    rewriting = problem.rewriting(design.scale, design.slopes, design.fraction)
    graph = network_graph(config, problem.data, rewriting, checkpoint)
    cost = quantities(graph, problem.hardware_for(design.width, design.fraction))
    return Measured(cost["luts"] or math.inf, found.loss, found.test_loss, found.test_top1)


def row(stage: Stage, method: str, measured: Sequence[Measured], took: Mapping[str, Any]) -> dict[str, Any]:
    """What a method reached: its front, and the front's hypervolume on the test split."""
    return {
        "data": stage.data,
        "seed": stage.seed,
        "method": method,
        "hypervolume": hypervolume([(m.luts, m.test_loss) for m in measured], stage.corner),
        "corner": stage.corner,
        "front": [astuple(m) for m in measured],
        **took,
    }


def answer(held: Mapping[str, Any], share: float) -> Measured | None:
    """The design of the lowest validation loss within a share of the corner's LUTs; None if there is none."""
    designs = [Measured(*values) for values in held["front"]]
    return min(
        (m for m in designs if m.luts <= share * held["corner"][0]), key=lambda m: m.loss, default=None
    )


@dataclass(frozen=True)
class Compared:
    """All methods on the seeds of one data set that all of them have."""

    data: str
    seeds: list[int]
    table: Mapping[tuple[str, int], Mapping[str, Any]]  # (method, seed) -> row

    def values(self, method: str, name: str) -> list[float]:
        """Of a method, seed by seed."""
        return [float(self.table[method, seed][name]) for seed in self.seeds]

    def against(self, other: str) -> tuple[float, float, float]:
        """Ratio of the means of hypervolumes, least of the seeds' ratios, p of a paired t test."""
        mine, its = self.values("search", "hypervolume"), self.values(other, "hypervolume")
        ratios = [a / b if b else math.inf for a, b in zip(mine, its, strict=True)]
        p = float(ttest_rel(mine, its).pvalue)
        return statistics.fmean(mine) / statistics.fmean(its), min(ratios), p

    def answers(self, method: str, share: float) -> list[Measured]:
        """What a method answers within a share of the corner's LUTs, of the seeds that have an answer."""
        found = [answer(self.table[method, seed], share) for seed in self.seeds]
        return [design for design in found if design is not None]


def compared(rows: Sequence[Mapping[str, Any]], data: str, seeds: Sequence[int]) -> Compared:
    """Of those seeds that are complete."""
    table = {(r["method"], r["seed"]): r for r in rows if r["data"] == data}
    complete = [seed for seed in seeds if all((m, seed) in table for m in METHODS)]
    return Compared(data, complete, table)


def rendered(found: Compared) -> str:
    """Tables for a report."""
    if len(found.seeds) < 2:
        return f"## {found.data}\n\n{len(found.seeds)} seeds are complete.\n"
    said = ", ".join(map(str, found.seeds))
    lines = [
        f"## {found.data}",
        "",
        f"{len(found.seeds)} paired seeds: {said}. Rungs of {' and '.join(map(str, EPOCHS[found.data]))} epochs; "
        f"starts of {START_EPOCHS[found.data]} epochs per step.",
        "",
        "| method | hypervolume, LUTs x nats | seed by seed | epochs x MACs | trainings |",
        "|---|---|---|---|---|",
    ]
    for method in METHODS:
        volumes = found.values(method, "hypervolume")
        each = " ".join(f"{volume:.0f}" for volume in volumes)
        trained, trainings = (statistics.fmean(found.values(method, n)) for n in ("trained", "trainings"))
        lines.append(f"| {method} | {_mean(volumes, 1, 1)} | {each} | {trained:.3g} | {trainings:.1f} |")
    lines.append("")
    for other in METHODS[1:]:
        ratio, least, p = found.against(other)
        lines.append(
            f"- search over {other}: **{ratio:.2f}** of the means, least of the seeds {least:.2f}; paired t test "
            f"**p = {p:.2g}**."
        )
    lines += ["", "| within | " + " | ".join(f"{m}: test cross-entropy, top-1" for m in METHODS) + " |"]
    lines.append("|---|" + "---|" * len(METHODS))
    luts = statistics.fmean(row["corner"][0] for row in found.table.values())
    for share in SHARES:
        cells = [_answered(found.answers(method, share), len(found.seeds)) for method in METHODS]
        lines.append(f"| {share * luts:,.0f} LUTs ({share:.0%} of the corner) | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _answered(designs: Sequence[Measured], seeds: int) -> str:
    if len(designs) < 2:
        return f"{len(designs)} of {seeds} seeds have an answer"
    told = f"{_mean([m.test_loss for m in designs], 1, 3)}, {_mean([m.test_top1 for m in designs], 100, 1)} %"
    return told if len(designs) == seeds else f"{told} ({len(designs)} of {seeds} seeds)"


def report(parts: Sequence[Compared], checkout: Path) -> str:
    """The report of some data sets."""
    commit = subprocess.run(  # noqa: S603
        ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"],  # noqa: S607
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    text = __doc__.partition("    python benchmarks")[0].partition("\n\n")[2].strip()
    head = [
        "# Is a search over registers, sizes and exponents worth its training?",
        "",
        "Written by `python benchmarks/search_worth.py ../baseline --report reports/search_worth.md`; "
        f"{machine()} The other checkout is {commit}. Mean ± standard error over the seeds.",
        "",
        f"{MODEL}, base widths {', '.join(map(str, BASE_WIDTHS))}, blocks "
        f"{' or '.join(','.join(map(str, d)) for d in DEPTHS)}, widths {', '.join(map(str, WIDTHS))}, fraction bits "
        f"{', '.join(map(str, FRACTIONS))}, exponents -7 to 2, at most four per stage; {TARGET}.",
        "",
        "```",
        text,
        "```",
        "",
    ]
    return "\n".join([*head, *(rendered(part) for part in parts)])


def _mean(values: Sequence[float], factor: float, digits: int) -> str:
    """With its standard error."""
    error = statistics.stdev(values) / math.sqrt(len(values))
    return f"{factor * statistics.fmean(values):.{digits}f} ± {factor * error:.{digits}f}"


def seeds_of(text: str) -> range:
    """`3:11` -> range(3, 11)."""
    first, _, end = text.partition(":")
    return range(int(first), int(end))


def main() -> None:
    """Run what is missing, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkout", type=Path, help="of the exponents-only search")
    parser.add_argument("--data", nargs="+", choices=tuple(EPOCHS), default=list(EPOCHS))
    parser.add_argument(
        "--seeds", type=seeds_of, help="FIRST:END, END not included; default: two runs of 8 on each data set"
    )
    parser.add_argument("--run-dir", type=Path, default=Path("runs/search_worth"))
    parser.add_argument("--report", type=Path, help="a file for the tables")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.run_dir.mkdir(parents=True, exist_ok=True)
    log = arguments.run_dir / "rows.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    rows = [json.loads(line) for line in lines]
    runs = [
        (data, seeds)
        for data in arguments.data
        for seeds in ((arguments.seeds,) if arguments.seeds else RUNS[data])
    ]
    for data, seeds in runs:
        for seed in seeds:
            there = {(r["data"], r["seed"], r["method"]) for r in rows}
            missing = [method for method in METHODS if (data, seed, method) not in there]
            if not missing:
                continue
            stage = prepared(data, seed, arguments.run_dir / f"{data}-{seed}")
            for method in missing:
                if method == "exponents":
                    measured, took = exponents_only(stage, arguments.checkout)
                else:
                    measured, took = explored(stage, method)
                rows.append(row(stage, method, measured, took))
                with log.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
                print(json.dumps(rows[-1]), flush=True)
        print(rendered(compared(rows, data, seeds)), flush=True)
    if arguments.report:
        parts = [compared(rows, data, seeds) for data, seeds in runs]
        arguments.report.write_text(report(parts, arguments.checkout), encoding="utf-8")


if __name__ == "__main__":
    main()
