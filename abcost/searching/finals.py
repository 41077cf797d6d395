"""The finals: points of the front and the baselines, trained with several seeds each, as trials of a second study.

The same seeds for all, so that differences are paired. Which trainings there are is decided once, when the exploration
has ended, and written down as waiting trials; whoever works on the study takes the next one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abcost.core.exponents import ExponentSet
from abcost.errors import TrainError
from abcost.searching.baselines import baseline, baselines_of
from abcost.searching.explore import judged
from abcost.searching.lab import Judged, Lab, design_of, retraining
from abcost.searching.problem import Problem
from abcost.searching.rungs import front
from abcost.searching.space import Candidate
from abcost.searching.storage import release_stale

if TYPE_CHECKING:
    import optuna

PLANNED = "planned"


@dataclass(frozen=True, slots=True)
class Job:
    """One training of the finals: of a candidate, or, where that is None, of the baseline called `name`."""

    name: str
    seed: int
    candidate: Candidate | None = None

    @property
    def attributes(self) -> dict[str, Any]:
        """As a trial holds them."""
        c = self.candidate
        sets = None if c is None else [list(s) for s in c.sets]
        return {
            "name": self.name,
            "seed": self.seed,
            "sets": sets,
            "alpha": c and c.alpha,
            "scale": c and c.scale,
        }


def plan(explored: Sequence[optuna.trial.FrozenTrial], problem: Problem) -> list[Job]:
    """All trainings: of the points of the front, at most so many as finalists, and of the baselines.

    Of a longer front those that are evenly spread along it, both ends included.
    """
    settings = problem.settings
    reached = max((len(t.user_attrs["rungs"]) for t in judged(explored)), default=0)
    best = [t for t in judged(explored) if t.user_attrs["end"] == "evaluated"]
    best = [t for t in best if len(t.user_attrs["rungs"]) == reached]
    chosen = [best[i] for i in front([tuple(t.values) for t in best])]
    if len(chosen) > settings.finalists:
        last = max(1, settings.finalists - 1)
        chosen = [chosen[round(i * (len(chosen) - 1) / last)] for i in range(settings.finalists)]
    finalists = {t.user_attrs["key"]: candidate_of(t.user_attrs, problem) for t in chosen}
    seeds = range(settings.seed, settings.seed + settings.seeds) if settings.epochs else (settings.seed,)
    return [
        *(Job(key, seed, candidate) for seed in seeds for key, candidate in finalists.items()),
        *(Job(name, seed) for seed in seeds for name in baselines_of(settings.model)),
    ]


def enqueue(study: optuna.Study, jobs: Sequence[Job]) -> None:
    """Write the trainings down; those that a killed process has written before are not repeated."""
    there = {_identity(t.user_attrs) for t in study.get_trials(deepcopy=False)}
    for job in jobs:
        if _identity(job.attributes) not in there:
            study.enqueue_trial({}, user_attrs=job.attributes)
    study.set_user_attr(PLANNED, value=[_identity(job.attributes) for job in jobs])


class Finals:
    """Runs trainings of the finals in one process."""

    def __init__(self, study: optuna.Study, problem: Problem, lab: Lab) -> None:
        self._study = study
        self._problem = problem
        self._lab = lab

    def step(self) -> bool:
        """Run the next training; False if none is waiting."""
        import optuna  # noqa: PLC0415

        release_stale(self._study)
        waiting = self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,))
        if not waiting:
            return False
        self._study.optimize(self._objective, n_trials=1)
        return True

    def _objective(self, trial: optuna.Trial) -> float:
        import optuna  # noqa: PLC0415

        attributes = trial.user_attrs
        if "name" not in attributes:  # another worker was faster, and Optuna made a trial of its own
            raise optuna.TrialPruned
        candidate = None if attributes["sets"] is None else candidate_of(attributes, self._problem)
        job = Job(attributes["name"], attributes["seed"], candidate)
        try:
            found = self._judge(job)
        except TrainError as error:
            trial.set_user_attr("reason", str(error))
            raise optuna.TrialPruned from error
        except KeyboardInterrupt:
            self._study.enqueue_trial({}, user_attrs=dict(attributes))
            self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            raise
        trial.set_user_attr("judged", {**asdict(found), "checkpoint": str(found.checkpoint)})
        return found.loss

    def _judge(self, job: Job) -> Judged:
        problem, settings = self._problem, self._problem.settings
        name = f"finals/{slug(job.name)}-{job.seed}"
        if job.candidate is None:
            return baseline(job.name, job.seed, problem, self._lab, name)
        design = design_of(job.candidate, problem.space)
        if not settings.epochs:
            return self._lab.untrained(design, name)
        config = retraining(problem, design, epochs=settings.epochs[-1], seed=job.seed)
        return self._lab.trained(config, name, scale=design.scale)


def candidate_of(attributes: Mapping[str, Any], problem: Problem) -> Candidate:
    """What the attributes of a trial describe."""
    return problem.space.candidate(attributes["sets"], attributes["alpha"], attributes["scale"])


def all_done(study: optuna.Study) -> bool:
    """Whether every planned training has ended."""
    if PLANNED not in study.user_attrs:
        return False
    ended = {_identity(t.user_attrs) for t in study.get_trials(deepcopy=False) if _ended(t)}
    return set(study.user_attrs[PLANNED]) <= ended


def results(study: optuna.Study) -> dict[str, list[Judged]]:
    """Name -> what its trainings reached, in the order of the seeds; those that diverged are left out."""
    found: dict[str, dict[int, Judged]] = {}
    for t in study.get_trials(deepcopy=False):
        if "judged" in t.user_attrs and _ended(t):
            held = t.user_attrs["judged"]
            found.setdefault(t.user_attrs["name"], {})[t.user_attrs["seed"]] = read(held)
    return {name: [of[seed] for seed in sorted(of)] for name, of in found.items()}


def read(held: Mapping[str, Any]) -> Judged:
    """What `asdict` made of a judgement, as JSON gives it back."""
    exponents = {layer: ExponentSet(values) for layer, values in held["exponents"].items()}
    low, high = held["test_ci95"]
    return Judged(
        **{
            **held,
            "exponents": exponents,
            "test_ci95": (low, high),
            "checkpoint": Path(held["checkpoint"]),
        }
    )


def slug(name: str) -> str:
    """A name as a file is called.

    >>> slug("fixed 2^-3")
    'fixed-2-3'
    """
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")


def _ended(trial: optuna.trial.FrozenTrial) -> bool:
    import optuna  # noqa: PLC0415

    return trial.state in (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)


def _identity(attributes: Mapping[str, Any]) -> str | None:
    if "name" not in attributes:
        return None
    return json.dumps([attributes["name"], attributes["seed"]])
