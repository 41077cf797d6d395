"""A whole search: is the budget possible, the start, exploration, finals, results."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from abcost.errors import SearchError
from abcost.models.checkpoint import read_checkpoint, restore
from abcost.searching.baselines import cost_of
from abcost.searching.budget import QUANTITIES
from abcost.searching.claim import check_folder, write_claim
from abcost.searching.evaluator import Evaluator, design_of, retraining
from abcost.searching.executors.executor import EXECUTORS, WorkerSpec
from abcost.searching.explore import EXHAUSTED, finished
from abcost.searching.finals import all_done, enqueue, jobs_of, plan, reopen, results
from abcost.searching.points import Result, TrainedDesign, result_of
from abcost.searching.pricing import Priced, quantities
from abcost.searching.problem import Problem, network_graph
from abcost.searching.progress import SearchListener, SearchProgress, explored
from abcost.searching.proposals import first_proposals, parameters
from abcost.searching.sensitivity import Sensitivity, sensitivities
from abcost.searching.settings import Settings
from abcost.searching.space import Candidate, shape_of
from abcost.searching.storage import database_errors, open_storage, sqlite_url
from abcost.searching.studies import Studies, begin
from abcost.searching.worker import START, digest_of_starts
from abcost.training.config import Config
from abcost.training.context import BEST
from abcost.training.files import alone, copy_whole, sweep
from abcost.training.listener import TrainingListener
from abcost.training.network import network
from abcost.training.run import train
from abcost.training.side_by_side import obstacle

_LOOK_S = 0.3
_READ_EVERY = 3  # looks; reading trials that run takes the database some hundredths of a second


class Impossible(SearchError):  # noqa: N818 - an answer, not a fault
    """No candidate is within the budget; the text says which limit the cheapest one breaks."""


@dataclass(frozen=True, slots=True)
class RunLocation:
    """Where a search runs and is kept: run folder, storage, name, and workers."""

    folder: Path
    url: str
    study: str
    executor: str = "processes"
    workers: int = 2
    cpus: float = 1.0
    gpus: float = 0.0
    init: Path | None = None  # the checkpoint that was given to start from


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """What a finished search found."""

    problem: Problem
    studies: Studies
    result: Result
    sensitivity: tuple[Sensitivity, ...]
    progress: SearchProgress


def search(
    settings: Settings,
    place: RunLocation,
    *,
    start: Callable[[Path, Mapping[str, Any]], None],
    listener: SearchListener,
    stop: Callable[[], bool],
) -> SearchOutcome:
    """Search, or go on with a search.

    start: puts the checkpoint that candidates of a size of the network start from at a path, unless it is there; the
    size as `shape_of` gives it. Raises Impossible if no candidate can meet the budget; KeyboardInterrupt, after all
    workers have saved, if asked to stop; UsageError if another process is in the run folder, or it is another's;
    SearchError, OutputError, and what training raises.
    """
    check_folder(settings, place.study, place.init, place.folder)  # before anything is written
    problem = Problem(settings, place.folder / START)
    check_budget(problem)
    if place.init is not None:
        check_start_fits(problem, place.init)
    if place.url != sqlite_url(place.folder):
        open_storage(place.url)
    with alone(place.folder):
        check_folder(
            settings, place.study, place.init, place.folder
        )  # again: now nobody else can write there
        write_claim(settings, place.study, place.init, place.folder)
        sweep(place.folder)
        open_storage(place.url)  # fails before the start is trained
        for size in problem.sizes:
            start(problem.start_of(size), shape_of(size))
        return _from_start(replace(settings, start=digest_of_starts(problem)), place, listener, stop)


def _from_start(
    settings: Settings, place: RunLocation, listener: SearchListener, stop: Callable[[], bool]
) -> SearchOutcome:
    problem = Problem(settings, place.folder / START)
    check_budget(problem)  # again, with trained parameters
    studies = begin(
        place.url, place.study, problem.settings, len(problem.objectives), str(place.folder.resolve())
    )
    with database_errors(place.url):
        trained = trained_slopes(problem)
        if not studies.explore.get_trials(deepcopy=False):
            for candidate in first_proposals(problem.space, trained, settings.trials):
                studies.explore.enqueue_trial(parameters(candidate, problem.space))
        progress = _run(studies, problem, place, listener, stop)
        points = points_of(studies, problem)
    evaluator = Evaluator(problem, place.folder)
    result = result_of(points[0], points[1], problem.objectives, problem.budget, problem.judge)
    chosen = result.chosen and result.chosen.design
    size = chosen.size if chosen else problem.sizes[0]
    return SearchOutcome(
        problem,
        studies,
        result,
        sensitivities(problem, evaluator, trained if not problem.space.sizes else trained[size], size),
        progress,
    )


def trained_slopes(problem: Problem) -> dict[str, Any]:
    """Exponents of the start as `exponents_of_start` gives them; where the network has sizes, size -> these."""
    if not problem.space.sizes:
        return exponents_of_start(problem.start)
    return {size: exponents_of_start(problem.start_of(size)) for size in problem.sizes}


def check_start_fits(problem: Problem, init: Path) -> None:
    """Raise CheckpointError or SearchError for a checkpoint that candidates cannot start from."""
    exponents_of_start(init)
    restore(network(problem.config, problem.data), read_checkpoint(init))


def check_budget(problem: Problem) -> None:
    """Raises Impossible unless some candidate meets the budget: those with one exponent cost least in everything."""
    space, budget = problem.space, problem.budget
    _ = problem.objectives  # refuses figures that are not to be had
    exponents = range(space.low, space.high + 1)
    of_sizes = [[space.uniform((e,), size) for e in exponents] for size in problem.sizes]
    variants = [[v for one in ones for v in space.variants(one)] for ones in of_sizes]
    for ones in variants:  # one size that has a design within the budget is enough
        if problem.pricer.price(ones).within(budget).any():
            return
    singles = [v for ones in variants for v in ones]
    priced = problem.pricer.price(singles)
    least = min(range(len(singles)), key=lambda i: problem.costs(priced.of(i)))
    found = priced.of(least)
    broken = [
        f"{_shown(found[name])} {QUANTITIES[name].unit} of {limit:.6g}"
        for name, limit in budget.costs.items()
        if budget.excess(found)[name] > 0
    ]
    if not priced.fits[least]:
        broken.append(_misfit(problem, priced, least))
    exponent = next(e for s in singles[least].sets for e in s)
    goal = problem.hardware.goal
    hint = (
        "; organised as fast as the device allows: add fps>=… for less" if goal and goal.fps is None else ""
    )
    raise Impossible(
        f"no design of {problem.settings.model} meets --budget {budget}: the cheapest, {_told(singles[least])}every "
        f"slope 2^{exponent}, "
        f"takes {'; '.join(broken)}{hint}"
    )


def _told(candidate: Candidate) -> str:
    """What a candidate chose beside exponents, in words that end with a comma; "" where there is nothing."""
    said = [f"size {candidate.size}"] if candidate.size else []
    said += (
        [] if candidate.width is None else [f"{candidate.width} bits, {candidate.fraction} behind the point"]
    )
    return "".join(f"{part}, " for part in said)


def _misfit(problem: Problem, priced: Priced, index: int) -> str:
    """Why the device, at the frames per second that are asked for, does not hold the cheapest design."""
    goal = problem.hardware.goal
    values = priced.of(index)
    if goal is None or values["luts"] is None:
        return "more cycles per frame than the frames per second leave"
    if goal.device is None:
        return "resources that the table has no figures for"
    used = [
        f"{values[name]:,.0f} of the {getattr(goal.device, name):,} {name} of {goal.device.part}"
        for name in ("luts", "ffs", "dsps", "blocks", "uram")
        if (values[name] or 0) > getattr(goal.device, name)
    ]
    return "; ".join(used) or "resources that the table has no figures for"


def train_start(
    path: Path,
    steps: Sequence[Config],
    init: Path | None,
    listener: TrainingListener,
    stop: Callable[[], bool],
) -> None:
    """Put the start at `path`, unless it is there: a copy of `init`, or what the recipe's two steps give."""
    if path.exists():
        return
    if init is None:
        folder = path.with_suffix("")
        train(steps, folder, resume=True, listener=listener, stop=stop)
        init = folder / BEST
    read_checkpoint(init)
    copy_whole(init, path)


def exponents_of_start(path: Path) -> dict[str, list[int]]:
    """Layer -> slope exponent of each channel. Raises SearchError for a network without power-of-two slopes."""
    tensors = read_checkpoint(path).tensors
    found = {
        name.removesuffix(".L_alpha"): [int(e) for e in torch.round(tensor).tolist()]
        for name, tensor in tensors.items()
        if name.endswith(".L_alpha")
    }
    if not found:
        raise SearchError(f"{path} has no power-of-two slopes: search needs a network of variant ab")
    return found


def _run(
    studies: Studies, problem: Problem, place: RunLocation, listener: SearchListener, stop: Callable[[], bool]
) -> SearchProgress:
    """Keep workers running until the finals are over."""
    began = time.monotonic()
    before = explored(studies.explore.get_trials(deepcopy=False), problem.settings, seconds=0, done_before=0)
    if all_done(studies.finals) and before.done >= problem.settings.trials:
        return before
    if before.done < problem.settings.trials:
        reopen(studies.finals)
    size = problem.sized(problem.sizes[0])  # workers look at every size that they train
    if problem.settings.group > 1 and (reason := obstacle(size, problem.data)):
        listener.note(
            f"candidates are retrained one by one, not {problem.settings.group} side by side: {reason}"
        )
    crew = WorkerSpec(
        place.url, place.study, str(place.folder.resolve()), place.workers, place.cpus, place.gpus
    )
    executor = EXECUTORS.get(place.executor)(crew)
    try:
        while True:
            trials = studies.explore.get_trials(deepcopy=False)
            now = explored(
                trials, problem.settings, seconds=time.monotonic() - began, done_before=before.done
            )
            listener.moved(now)
            executor.check()
            if stop():
                raise KeyboardInterrupt
            if finished(trials, problem.settings.trials) or studies.explore.user_attrs.get(EXHAUSTED):
                break
            _pause(stop)
        if studies.explore.user_attrs.get(EXHAUSTED):
            listener.note(f"the space has no more candidates within the budget: {now.done} were judged")
        if not now.done:
            raise SearchError("no candidate within the budget was found")
        jobs = plan(trials, problem)
        enqueue(studies.finals, jobs)
        listener.note(f"finals: {len(jobs)} trainings")
        finals_began = time.monotonic()
        held = _ended(studies)
        while not all_done(studies.finals):
            executor.check()
            if stop():
                raise KeyboardInterrupt
            listener.moved(
                replace(
                    now,
                    phase="finals",
                    done=_ended(studies),
                    wanted=len(jobs),
                    seconds=time.monotonic() - finals_began,
                    done_before=held,
                )
            )
            _pause(stop)
        trials = studies.explore.get_trials(deepcopy=False)  # some that were over budget have ended since
        return explored(trials, problem.settings, seconds=time.monotonic() - began, done_before=before.done)
    finally:
        executor.stop()


def _pause(stop: Callable[[], bool]) -> None:
    """Wait until trials are to be read again; wait less if asked to stop."""
    for _ in range(_READ_EVERY):
        if not stop():
            time.sleep(_LOOK_S)


def _ended(studies: Studies) -> int:
    return sum(len(of) for of in results(studies.finals).values())


def points_of(studies: Studies, problem: Problem) -> tuple[list[TrainedDesign], list[TrainedDesign]]:
    """Finalists and baselines, priced with the weights that their best training ended with."""
    held = jobs_of(studies.finals, problem.space)
    finalists, others = [], []
    for name, reached in results(studies.finals).items():
        best = min(reached, key=lambda j: j.loss)  # as `TrainedDesign.best`, whose checkpoint is kept
        job, candidate = held[name]
        if candidate is None:
            cost = cost_of(job.baseline, best, problem, job.like)
            others.append(TrainedDesign(name, None, cost, tuple(reached)))
        else:
            design = design_of(candidate, problem.space)
            config = retraining(problem, design, epochs=problem.config.epochs, seed=problem.config.seed)
            rewriting = problem.rewriting(design.scale, design.slopes, design.fraction)
            graph = network_graph(config, problem.data, rewriting, best.checkpoint)
            cost = quantities(
                graph, problem.hardware_for(design.width, design.fraction, design.device, design.fps)
            )
            finalists.append(TrainedDesign(name, design, cost, tuple(reached)))
    return finalists, others


def _shown(value: float | None) -> str:
    return "an unknown number of" if value is None else f"{value:.6g}"
