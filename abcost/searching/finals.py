"""The finals: points of the front and the baselines, trained with several seeds each, as trials of a second study.

The same seeds for all, so that differences are paired. Which trainings there are is decided once, when the exploration
has ended, and written down as waiting trials; whoever works on the study takes the next one.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abcost.core.exponents import ExponentSet
from abcost.errors import TrainError
from abcost.searching.baselines import baseline, baselines_of, design_of_baseline
from abcost.searching.bit_true import RegisterForm
from abcost.searching.evaluator import Design, Evaluation, Evaluator, Retraining, design_of, retraining
from abcost.searching.explore import judged
from abcost.searching.halving import front
from abcost.searching.heartbeats import Heartbeats
from abcost.searching.problem import Problem
from abcost.searching.space import Candidate, Space, key_of, slug
from abcost.searching.storage import ask, release_stale
from abcost.searching.tried import tried

if TYPE_CHECKING:
    import optuna

    from abcost.searching.heartbeat_storage import HeartbeatStorage

PLANNED = "planned"


@dataclass(frozen=True, slots=True)
class FinalTraining:
    """One training of the finals: of a candidate, or, where that is None, of a baseline.

    name: key of the candidate, or of the baseline with what tells it from others of its kind. variants: the designs of
    this training that are judged. like: of a baseline, the candidate whose size, registers, device and frame rate it
    has.
    """

    name: str
    seed: int
    candidate: Candidate | None = None
    variants: tuple[Candidate, ...] = ()
    baseline: str = ""
    like: Candidate | None = None

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes that a trial holds of this training."""
        found: dict[str, Any] = {"name": self.name, "seed": self.seed}
        if self.candidate is not None:
            found |= self.candidate.described()
        else:
            found |= {"sets": None, "alpha": None, "scale": None}
        if self.variants not in ((), (self.candidate,)):
            found["variants"] = [variant.described() for variant in self.variants]
        if self.like is not None:
            found |= {"baseline": self.baseline, "like": self.like.described()}
        return found


def plan(explored: Sequence[optuna.trial.FrozenTrial], problem: Problem) -> list[FinalTraining]:
    """All trainings: of the designs of the front, at most so many as finalists, and of the baselines.

    Of a longer front those that are evenly spread along it, both ends included. A training gives all designs of the
    front that differ in nothing that is trained. Baselines are of the size, registers, device and frame rate of the
    best design.
    """
    settings, space = problem.settings, problem.space
    reached = max((len(t.user_attrs["rungs"]) for t in judged(explored)), default=0)
    best = [t for t in judged(explored) if t.user_attrs["end"] == "evaluated"]
    best = [t for t in best if len(t.user_attrs["rungs"]) == reached]
    designs = [design for t in best for design in tried(t.user_attrs, space)]
    points = [(*problem.costs(design.cost), design.losses[-1]) for design in designs]
    chosen = [designs[i].candidate for i in front(points)]
    trainings: dict[Candidate, list[Candidate]] = {}
    for candidate in chosen:
        trainings.setdefault(space.base(candidate) if space.chooses_forms else candidate, []).append(
            candidate
        )
    kept = spread(
        list(trainings), [space.base(c) if space.chooses_forms else c for c in chosen], settings.finalists
    )
    seeds = range(settings.seed, settings.seed + settings.seeds) if settings.epochs else (settings.seed,)
    like = None
    if chosen and (space.sizes or space.formats or space.devices or space.frame_rates):
        like = designs[min(range(len(points)), key=lambda i: (points[i][-1], points[i]))].candidate
    names = baselines_of(settings.model, bit_true=bool(space.formats))
    return [
        *(FinalTraining(base.key, seed, base, tuple(trainings[base])) for seed in seeds for base in kept),
        *(
            FinalTraining(labelled(name, like), seed, None, (), name, like)
            for seed in seeds
            for name in names
        ),
    ]


def spread(trainings: Sequence[Candidate], along: Sequence[Candidate], most: int) -> list[Candidate]:
    """Trainings, at most `most`: those of points evenly spread along a front, then those that come first on it.

    along: the training of each point of the front.
    """
    if len(trainings) <= most:
        return list(trainings)
    last = max(1, most - 1)
    even = [along[round(i * (len(along) - 1) / last)] for i in range(most)]
    return list(dict.fromkeys([*even, *trainings]))[:most]


def labelled(name: str, like: Candidate | None) -> str:
    """A baseline with what it is beside its slopes, where that can be chosen: "fixed 2^-3 (16:2,2, 12.8 bits)"."""
    if like is None:
        return name
    bits = "" if like.width is None else f"{like.width}.{like.fraction} bits"
    rate = "" if like.fps is None else f"{like.fps:g} frames/s"
    said = ", ".join(part for part in (like.size, bits, like.device, rate) if part)
    return f"{name} ({said})" if said else name


def enqueue(study: optuna.Study, jobs: Sequence[FinalTraining]) -> None:
    """Write the trainings down; those that a killed process has written before are not repeated."""
    there = {_identity(t.user_attrs) for t in study.get_trials(deepcopy=False)}
    for job in jobs:
        if _identity(job.attributes) not in there:
            study.enqueue_trial({}, user_attrs=job.attributes)
    study.set_user_attr(PLANNED, value=[_identity(job.attributes) for job in jobs])


def reopen(study: optuna.Study) -> None:
    """Have the trainings planned anew, for more is explored; workers that are done sooner wait for the plan."""
    study.set_user_attr(PLANNED, value=None)


class Finals:
    """Runs trainings of the finals in one process, as many at a time as the settings' `group` says."""

    def __init__(
        self, study: optuna.Study, storage: HeartbeatStorage, problem: Problem, evaluator: Evaluator
    ) -> None:
        self._study = study
        self._storage = storage
        self._beats = Heartbeats(storage)
        self._problem = problem
        self._evaluator = evaluator

    def step(self) -> bool:
        """Run the next trainings; False if none is waiting.

        Raises KeyboardInterrupt, after saving and handing them back, if the lab was asked to stop.
        """
        release_stale(self._study)
        taken: dict[int, tuple[optuna.Trial, FinalTraining]] = {}  # number -> trial, and what is to be done
        with self._beats, self._handing_back(taken):
            while len(taken) < self._problem.settings.group and self._take(taken):
                pass
            jobs = [job for _, job in taken.values()]
            for (trial, _), found in zip(list(taken.values()), self._judge(jobs), strict=True):
                self._end(trial, found)
                del taken[trial.number]
        return bool(jobs)

    def _take(self, taken: dict[int, tuple[optuna.Trial, FinalTraining]]) -> bool:
        """Take a training that nobody has taken; returns whether there was one."""
        import optuna  # noqa: PLC0415

        if not self._study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,)):
            return False
        trial = ask(self._study, self._storage)
        attributes = trial.user_attrs
        if "name" not in attributes:  # another worker was faster, and Optuna made a trial of its own
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return False
        self._beats.add(trial)
        taken[trial.number] = trial, job_of(attributes, self._problem.space)
        return True

    def _end(self, trial: optuna.Trial, found: tuple[Evaluation, ...] | TrainError) -> None:
        import optuna  # noqa: PLC0415

        with self._storage.gathered():
            if isinstance(found, TrainError):
                trial.set_user_attr("reason", str(found))
                self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                held = [{**asdict(judged), "checkpoint": str(judged.checkpoint)} for judged in found]
                trial.set_user_attr("judged", held if "variants" in trial.user_attrs else held[0])
                self._study.tell(trial, min(judged.merit(self._problem.judge) for judged in found))
        self._beats.remove(trial)

    @contextlib.contextmanager
    def _handing_back(self, taken: Mapping[int, tuple[optuna.Trial, FinalTraining]]) -> Iterator[None]:
        """Mark what has not ended as failed on an error; on being asked to stop, also leave it to the next worker."""
        import optuna  # noqa: PLC0415

        try:
            yield
        except (Exception, KeyboardInterrupt) as error:
            for trial, _ in taken.values():
                if isinstance(error, KeyboardInterrupt):
                    self._study.enqueue_trial({}, user_attrs=dict(trial.user_attrs))
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise

    def _judge(self, jobs: Sequence[FinalTraining]) -> Sequence[tuple[Evaluation, ...] | TrainError]:
        problem = self._problem
        if not problem.settings.epochs:
            return [
                self._evaluator.untrained_forms(self._design(job), _place(job), self._forms(job))
                for job in jobs
            ]
        return self._evaluator.trained([self._training(job) for job in jobs])

    def _design(self, job: FinalTraining) -> Design:
        if job.candidate is None:
            return design_of_baseline(job.baseline, self._problem, job.like or Candidate(()))
        return design_of(job.candidate, self._problem.space)

    def _forms(self, job: FinalTraining) -> tuple[RegisterForm, ...]:
        if job.candidate is None:
            return (self._design(job).form,)
        return tuple(design_of(variant, self._problem.space).form for variant in job.variants)

    def _training(self, job: FinalTraining) -> Retraining:
        if job.candidate is None:
            like = job.like or Candidate(())
            return baseline(job.baseline, job.seed, self._problem, self._evaluator, _place(job), like)
        design = self._design(job)
        config = retraining(self._problem, design, epochs=self._problem.settings.epochs[-1], seed=job.seed)
        return Retraining(config, _place(job), design.size, forms=self._forms(job))


def _place(job: FinalTraining) -> str:
    return f"finals/{slug(job.name)}-{job.seed}"


def job_of(attributes: Mapping[str, Any], space: Space) -> FinalTraining:
    """What the attributes of a trial describe."""
    name, seed = attributes["name"], attributes["seed"]
    if attributes["sets"] is None:
        like = None if "like" not in attributes else space.read(attributes["like"])
        return FinalTraining(name, seed, None, (), attributes.get("baseline", name), like)
    candidate = space.read(attributes)
    held = attributes.get("variants")
    variants = (candidate,) if held is None else tuple(space.read(variant) for variant in held)
    return FinalTraining(name, seed, candidate, variants)


def jobs_of(study: optuna.Study, space: Space) -> dict[str, tuple[FinalTraining, Candidate | None]]:
    """Name of a design, as in `results` -> the training that gave it, and the candidate; None of a baseline."""
    found: dict[str, tuple[FinalTraining, Candidate | None]] = {}
    for t in study.get_trials(deepcopy=False):
        if "name" in t.user_attrs:
            job = job_of(t.user_attrs, space)
            if job.candidate is None:
                found[job.name] = job, None
            found |= {variant.key: (job, variant) for variant in job.variants}
    return found


def all_done(study: optuna.Study) -> bool:
    """Whether every planned training has ended."""
    if study.user_attrs.get(PLANNED) is None:
        return False
    ended = {_identity(t.user_attrs) for t in study.get_trials(deepcopy=False) if _ended(t)}
    return set(study.user_attrs[PLANNED]) <= ended


def results(study: optuna.Study) -> dict[str, list[Evaluation]]:
    """Name of a design -> what its trainings reached, in the order of the seeds; those that diverged are left out.

    Its name is the key of its candidate, or the name of the baseline.
    """
    found: dict[str, dict[int, Evaluation]] = {}
    for t in study.get_trials(deepcopy=False):
        if "judged" in t.user_attrs and _ended(t):
            held = t.user_attrs["judged"]
            names = [key_of(variant) for variant in t.user_attrs.get("variants", ())] or [
                t.user_attrs["name"]
            ]
            for name, judged_ in zip(names, held if isinstance(held, list) else [held], strict=True):
                found.setdefault(name, {})[t.user_attrs["seed"]] = read(judged_)
    return {name: [of[seed] for seed in sorted(of)] for name, of in found.items()}


def read(held: Mapping[str, Any]) -> Evaluation:
    """The evaluation that was written as JSON of its `asdict`."""
    exponents = {layer: ExponentSet(values) for layer, values in held["exponents"].items()}
    low, high = held["test_ci95"]
    return Evaluation(
        **{
            **held,
            "exponents": exponents,
            "test_ci95": (low, high),
            "checkpoint": Path(held["checkpoint"]),
        }
    )


def _ended(trial: optuna.trial.FrozenTrial) -> bool:
    import optuna  # noqa: PLC0415

    return trial.state in (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)


def _identity(attributes: Mapping[str, Any]) -> str | None:
    if "name" not in attributes:
        return None
    return json.dumps([attributes["name"], attributes["seed"]])
