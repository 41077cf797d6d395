"""The finals: points of the front and the baselines, trained with several seeds each, as trials of a second study.

The same seeds for all, so that differences are paired. Which trainings there are is decided once, when the exploration
has ended, and written down as waiting trials; whoever works on the study takes the next one.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abcost.core.exponents import ExponentSet
from abcost.errors import TrainError
from abcost.searching.baselines import baseline, baselines_of, design_of_baseline
from abcost.searching.explore import judged
from abcost.searching.heartbeat import Beats
from abcost.searching.lab import Design, Judged, Lab, Training, design_of, retraining
from abcost.searching.problem import Problem
from abcost.searching.rungs import front
from abcost.searching.space import Candidate
from abcost.searching.storage import ask, release_stale

if TYPE_CHECKING:
    import optuna

    from abcost.searching.beating import BeatingStorage

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


def reopen(study: optuna.Study) -> None:
    """More is explored: which trainings there are is decided anew, and workers that are done sooner wait for it."""
    study.set_user_attr(PLANNED, value=None)


class Finals:
    """Runs trainings of the finals in one process, as many at a time as the settings' `group` says."""

    def __init__(self, study: optuna.Study, storage: BeatingStorage, problem: Problem, lab: Lab) -> None:
        self._study = study
        self._beats = Beats(storage, study)
        self._problem = problem
        self._lab = lab

    def step(self) -> bool:
        """Run the next trainings; False if none is waiting.

        Raises KeyboardInterrupt, after saving and handing them back, if the lab was asked to stop.
        """
        release_stale(self._study)
        taken: dict[int, tuple[optuna.Trial, Job]] = {}  # number -> trial, and what is to be done
        with self._beats, self._handing_back(taken):
            while len(taken) < self._problem.settings.group and self._take(taken):
                pass
            jobs = [job for _, job in taken.values()]
            for (trial, _), found in zip(list(taken.values()), self._judge(jobs), strict=True):
                self._end(trial, found)
                del taken[trial.number]
        return bool(jobs)

    def _take(self, taken: dict[int, tuple[optuna.Trial, Job]]) -> bool:
        """Whether there was another training that nobody has taken."""
        import optuna  # noqa: PLC0415

        if not self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,)):
            return False
        trial = ask(self._study)
        attributes = trial.user_attrs
        if "name" not in attributes:  # another worker was faster, and Optuna made a trial of its own
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return False
        self._beats.add(trial.number)
        candidate = None if attributes["sets"] is None else candidate_of(attributes, self._problem)
        taken[trial.number] = trial, Job(attributes["name"], attributes["seed"], candidate)
        return True

    def _end(self, trial: optuna.Trial, found: Judged | TrainError) -> None:
        import optuna  # noqa: PLC0415

        if isinstance(found, TrainError):
            trial.set_user_attr("reason", str(found))
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            trial.set_user_attr("judged", {**asdict(found), "checkpoint": str(found.checkpoint)})
            self._study.tell(trial, found.merit(self._problem.judge))
        self._beats.remove(trial.number)

    @contextlib.contextmanager
    def _handing_back(self, taken: Mapping[int, tuple[optuna.Trial, Job]]) -> Iterator[None]:
        """On being asked to stop, leave what has not ended to the next worker."""
        import optuna  # noqa: PLC0415

        try:
            yield
        except (Exception, KeyboardInterrupt) as error:
            for trial, _ in taken.values():
                if isinstance(error, KeyboardInterrupt):
                    self._study.enqueue_trial({}, user_attrs=dict(trial.user_attrs))
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise

    def _judge(self, jobs: Sequence[Job]) -> Sequence[Judged | TrainError]:
        problem = self._problem
        if not problem.settings.epochs:
            return [self._lab.untrained(self._design(job), _place(job)) for job in jobs]
        return self._lab.trained([self._training(job) for job in jobs])

    def _design(self, job: Job) -> Design:
        if job.candidate is None:
            return design_of_baseline(job.name, self._problem)
        return design_of(job.candidate, self._problem.space)

    def _training(self, job: Job) -> Training:
        if job.candidate is None:
            return baseline(job.name, job.seed, self._problem, self._lab, _place(job))
        design = self._design(job)
        config = retraining(self._problem, design, epochs=self._problem.settings.epochs[-1], seed=job.seed)
        return Training(config, _place(job), scale=design.scale)


def _place(job: Job) -> str:
    return f"finals/{slug(job.name)}-{job.seed}"


def candidate_of(attributes: Mapping[str, Any], problem: Problem) -> Candidate:
    """What the attributes of a trial describe."""
    return problem.space.candidate(attributes["sets"], attributes["alpha"], attributes["scale"])


def all_done(study: optuna.Study) -> bool:
    """Whether every planned training has ended."""
    if study.user_attrs.get(PLANNED) is None:
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
