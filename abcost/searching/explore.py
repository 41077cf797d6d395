"""The exploration: trials of an Optuna study, each a candidate that is promoted from rung to rung (successive halving).

Every trial says in its user attributes how it ended (`end`):
    evaluated    judged; `rungs` has its loss on each rung that it reached, the last of which is its value. Of what one
                 training gives in several forms, all are judged (`variants`, `losses`), and the best is its value
    over         over budget: never trained
    known        a candidate that was judged before; it has the same values
    surplus      proposed while the last trials of the study were running, or twice at the same time; not judged
    diverged     its training ended in a loss that is no number
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from abcost.errors import TrainError
from abcost.searching.evaluator import Evaluation, Evaluator, Retraining, design_of, retraining
from abcost.searching.halving import Costs, passes_any
from abcost.searching.heartbeats import Heartbeats
from abcost.searching.problem import Problem
from abcost.searching.proposals import learns_now, parameters, random_unseen, sampler_of, suggest
from abcost.searching.space import Candidate
from abcost.searching.storage import ask, release_stale
from abcost.searching.tried import described, tried

if TYPE_CHECKING:
    import optuna

    from abcost.searching.heartbeat_storage import HeartbeatStorage

JUDGED = ("evaluated", "diverged")
EXHAUSTED = "exhausted"
_PATIENCE = 20  # proposals in a row that bring nothing new, before a random one is looked for
_ATTEMPTS = 20_000
_FAR_OVER = 1e9  # how far over budget, in budgets, a cost without a price is for the sampler
_WORST = 1e3  # a loss for the sampler where there is none: larger than any that is measured
_WAIT_S = 0.5
_LOOK_S = 0.01
_LOOKS = 50  # before it is asked whether who is waited for has died


@dataclass(slots=True)
class _Taken:
    """A trial that runs in this process.

    variants: what its training gives within the budget, costs: of each. losses: of each, on the rungs that it reached.
    twin: an earlier one of the same group, with the same candidate. values: what the sampler is told, once it ended.
    """

    trial: optuna.Trial
    candidate: Candidate
    variants: list[Candidate] = field(default_factory=list)
    costs: list[Costs] = field(default_factory=list)
    losses: list[list[float]] = field(default_factory=list)
    twin: _Taken | None = None
    values: Costs = ()
    ended: bool = False

    @property
    def points(self) -> list[Costs]:
        """Costs and loss of each variant, as far as it has been promoted."""
        return [(*costs, loss) for costs, loss in zip(self.costs, self.losses[-1], strict=True)]

    @property
    def best(self) -> Costs:
        """Costs and loss of the variant with the lowest loss; of equals the cheapest."""
        return min(self.points, key=lambda point: (point[-1], point))


class Explorer:
    """Runs trials of one study in one process, as many at a time as the settings' `group` says.

    What is proposed, and what becomes of it, is the same as one by one: a trial is compared with earlier ones alone,
    and a group ends where the sampler would learn from it (`proposals.learns_now`).
    """

    def __init__(
        self,
        study: optuna.Study,
        storage: HeartbeatStorage,
        problem: Problem,
        evaluator: Evaluator,
        salt: int,
    ) -> None:
        self._study = study
        self._storage = storage
        self._beats = Heartbeats(storage)
        self._problem = problem
        self._evaluator = evaluator
        self._salt = salt

    def step(self) -> bool:
        """Run some trials, or wait a moment if the last ones are running elsewhere; False when nothing is left to do.

        Raises KeyboardInterrupt, after saving and handing the trials back, if the lab was asked to stop.
        """
        release_stale(self._study)
        trials = self._study.get_trials(deepcopy=False)
        if finished(trials, self._problem.settings.trials) or self._study.user_attrs.get(EXHAUSTED):
            return False
        if not self._room(trials):
            time.sleep(_WAIT_S)
            return True
        if self._stuck(trials):
            if not self._propose(trials):
                return False
            trials = self._study.get_trials(deepcopy=False)
        group: list[_Taken] = []
        with self._beats, self._handing_back(group):
            while self._wants_more(group, trials):
                now = self._take(group, trials)
                if not group:
                    return True
                trials = now or self._study.get_trials(deepcopy=False)
            self._promote([taken for taken in group if taken.twin is None])
            for taken in group:
                if taken.twin is not None:
                    self._end(taken, "known", taken.twin.values)
        return True

    def _room(self, trials: Sequence[optuna.trial.FrozenTrial]) -> bool:
        """Whether more candidates are wanted than are judged or under way."""
        import optuna  # noqa: PLC0415

        running = [t for t in trials if t.state == optuna.trial.TrialState.RUNNING]
        return len(judged(trials)) + len(running) < self._problem.settings.trials

    def _wants_more(self, group: Sequence[_Taken], trials: Sequence[optuna.trial.FrozenTrial]) -> bool:
        """Whether another trial may run beside those of the group."""
        if not group:
            return True
        import optuna  # noqa: PLC0415

        settings = self._problem.settings
        complete = [t for t in trials if t.state == optuna.trial.TrialState.COMPLETE]
        full = sum(taken.twin is None for taken in group) == settings.group
        mine = {taken.trial.number for taken in group}
        learns = learns_now(settings, complete, [t for t in trials if t.number in mine])
        return not full and not learns and self._room(trials) and not self._stuck(trials)

    def _stuck(self, trials: Sequence[optuna.trial.FrozenTrial]) -> bool:
        """Whether the sampler proposes nothing new any more."""
        import optuna  # noqa: PLC0415

        last = [t for t in trials if t.state == optuna.trial.TrialState.COMPLETE][-_PATIENCE:]
        waiting = any(t.state == optuna.trial.TrialState.WAITING for t in trials)
        return not waiting and len(last) == _PATIENCE and not judged(last)

    def _propose(self, trials: Sequence[optuna.trial.FrozenTrial]) -> bool:
        """Enqueue a random candidate that is new and in budget; False, noted in the study, if there is none."""
        space, pricer, budget = self._problem.space, self._problem.pricer, self._problem.budget

        def within(those: Sequence[Candidate]) -> list[bool]:
            """Whether any variant of each candidate is within the budget."""
            variants = [space.variants(candidate) for candidate in those]
            flat = [variant for of_one in variants for variant in of_one]
            inside = pricer.price(flat).within(budget).tolist() if flat else []
            good = {v for v, is_inside in zip(flat, inside, strict=True) if is_inside}
            return [not good.isdisjoint(of_one) for of_one in variants]

        seen = {t.user_attrs["key"] for t in judged(trials)}
        generator = random.Random(  # noqa: S311 - not a secret
            f"{self._problem.settings.seed} {self._salt} {len(trials)}"
        )
        found = random_unseen(
            space,
            within,
            seen,
            generator,
            _ATTEMPTS,
        )
        if found is None:
            self._study.set_user_attr(EXHAUSTED, value=True)
            return False
        self._study.enqueue_trial(parameters(found, space))
        return True

    @contextlib.contextmanager
    def _handing_back(self, group: Sequence[_Taken]) -> Iterator[None]:
        """Mark what has not ended as failed on an error; on being asked to stop, also leave it to the next worker."""
        import optuna  # noqa: PLC0415

        try:
            yield
        except (Exception, KeyboardInterrupt) as error:
            for taken in group:
                if not taken.ended:
                    if isinstance(error, KeyboardInterrupt):
                        self._study.enqueue_trial(taken.trial.params)
                    self._study.tell(taken.trial, state=optuna.trial.TrialState.FAIL)
            raise

    def _take(
        self, group: list[_Taken], trials: Sequence[optuna.trial.FrozenTrial]
    ) -> list[optuna.trial.FrozenTrial] | None:
        """Have a candidate proposed, knowing `trials`; unless its trial ends at once, it joins the group.

        Returns the trials as they are then, None if they are to be read again.
        """
        self._study.sampler = sampler_of(self._problem.settings, salt=(self._salt, len(trials)))
        with self._storage.gathered():
            trial = ask(self._study, self._storage)
            self._beats.add(trial)
            taken = _Taken(trial, suggest(trial, self._problem.space))
            group.append(taken)
            self._describe(taken)
        now = None if taken.ended else self._join(taken, group)
        group[:] = [t for t in group if not t.ended]
        return None if taken.ended else now

    def _describe(self, taken: _Taken) -> None:
        """Say what the candidate is and costs; end the trial if none of its variants is within the budget."""
        problem, trial, candidate = self._problem, taken.trial, taken.candidate
        trial.set_user_attr("key", candidate.key)
        for name, value in candidate.described().items():
            trial.set_user_attr(name, value)
        every = problem.variants(candidate)
        inside = [variant for variant in every if variant.within]
        nearest = min(
            every, key=lambda v: (not v.within, not v.fits, sum(problem.budget.excess(v.cost).values()))
        )
        trial.set_user_attr("cost", nearest.cost)
        for name, value in described(inside or [nearest], candidate).items():
            trial.set_user_attr(name, value)
        trial.set_constraint("device", 0.0 if nearest.fits else 1.0)
        for name, excess in problem.budget.excess(nearest.cost).items():
            trial.set_constraint(
                name, min(excess, _FAR_OVER)
            )  # unknown is over, and databases hold no infinity
        taken.variants = [variant.candidate for variant in inside]
        taken.costs = [problem.costs(variant.cost) for variant in inside]
        if not inside:
            self._end(taken, "over", (*problem.costs(nearest.cost), _WORST))

    def _join(self, taken: _Taken, group: Sequence[_Taken]) -> list[optuna.trial.FrozenTrial]:
        """End the trial if its candidate is known, or no more are wanted; note a twin here of the same candidate.

        Returns the trials by which that was decided.
        """
        mates = {t.trial.number: t for t in group if t is not taken}
        trials = self._once_said(taken.trial.number, mates)
        others = [t for t in trials if t.number != taken.trial.number]
        same = [t for t in judged(others) if t.user_attrs["key"] == taken.candidate.key]
        taken.twin = next((t for t in mates.values() if t.candidate.key == taken.candidate.key), None)
        if same:
            self._end(taken, "known", tuple(same[0].values))
        elif taken.twin is None and self._surplus(taken.trial, others):
            self._end(taken, "surplus")
        return trials

    def _end(self, taken: _Taken, end: str, values: Costs | None = None) -> None:
        """Say how a trial ended, with its values: costs and loss; without them it is pruned."""
        import optuna  # noqa: PLC0415

        with self._storage.gathered():
            taken.trial.set_user_attr("end", end)
            if values is None:
                self._study.tell(taken.trial, state=optuna.trial.TrialState.PRUNED)
            else:
                taken.values = values
                self._study.tell(taken.trial, values)
        taken.ended = True
        self._beats.remove(taken.trial)

    def _once_said(self, number: int, mates: Collection[int] = ()) -> list[optuna.trial.FrozenTrial]:
        """All trials, as soon as every one before `number` that is running has said what its candidate is.

        Also waits for one with an end: its state follows, and until then it is neither judged nor under way.
        mates: of the same group, which need not be waited for.
        """
        for look in count(1):
            trials = self._study.get_trials(deepcopy=False)
            earlier = [t.user_attrs for t in _running_before(number, trials) if t.number not in mates]
            if all("key" in said and "end" not in said for said in earlier):
                return trials
            if look % _LOOKS == 0:
                release_stale(self._study)
            time.sleep(_LOOK_S)
        raise AssertionError  # for it counts without end

    def _surplus(self, trial: optuna.Trial, others: Sequence[optuna.trial.FrozenTrial]) -> bool:
        """Whether earlier trials that run elsewhere are enough, or one of them has the same candidate."""
        earlier = _running_before(trial.number, others)
        twin = any(t.user_attrs["key"] == trial.user_attrs["key"] for t in earlier)
        return twin or len(judged(others)) + len(earlier) >= self._problem.settings.trials

    def _promote(self, group: Sequence[_Taken]) -> None:
        """Judge the candidates on the rungs that they reach, those on a rung side by side."""
        settings, space = self._problem.settings, self._problem.space
        with self._storage.gathered():
            for taken in group:
                designs = [design_of(variant, space) for variant in taken.variants]
                self._reached(taken, self._evaluator.calibration_losses(designs))
        promoted = list(group)
        for rung, epochs in enumerate(settings.epochs):
            trials = self._study.get_trials(deepcopy=False)
            promoted = [taken for taken in promoted if self._passes(taken, rung, group, trials)]
            jobs = []
            for taken in promoted:
                design = design_of(taken.candidate, space)
                config = retraining(self._problem, design, epochs=epochs, seed=settings.seed)
                forms = tuple(design_of(variant, space).form for variant in taken.variants)
                name = f"trials/{taken.candidate.key}-{epochs}"
                jobs.append(Retraining(config, name, design.size, forms=forms))
            outcomes = self._evaluator.trained(jobs)
            with self._storage.gathered():
                for taken, found in zip(promoted, outcomes, strict=True):
                    self._retrained(taken, found)
            promoted = [taken for taken in promoted if not taken.ended]
        for taken in group:
            if not taken.ended:
                self._end(taken, "evaluated", taken.best)

    def _retrained(self, taken: _Taken, found: tuple[Evaluation, ...] | TrainError) -> None:
        """Say what a training has reached; end the trial if it has diverged."""
        if isinstance(found, TrainError):
            taken.trial.set_user_attr("reason", str(found))
            taken.losses.append([_WORST] * len(taken.variants))
            self._end(taken, "diverged", taken.best)
            return
        merits = [judged.merit(self._problem.judge) for judged in found]
        self._reached(taken, merits)
        best = found[merits.index(min(merits))]
        taken.trial.set_user_attr("judged", {**asdict(best), "checkpoint": str(best.checkpoint)})
        if taken.variants != [taken.candidate]:
            taken.trial.set_user_attr("validation_top1", [judged.validation_top1 for judged in found])

    def _reached(self, taken: _Taken, losses: list[float]) -> None:
        """The losses of the variants; `rungs` has the lowest of each rung."""
        taken.losses.append(losses)
        if taken.variants != [taken.candidate]:
            taken.trial.set_user_attr("losses", taken.losses)
        taken.trial.set_user_attr("rungs", [min(of_rung) for of_rung in taken.losses])

    def _passes(
        self,
        taken: _Taken,
        rung: int,
        group: Sequence[_Taken],
        trials: Sequence[optuna.trial.FrozenTrial],
    ) -> bool:
        """Whether a candidate goes up from a rung, compared with all but the later ones of its group.

        Before it is retrained, it is compared with candidates of its size only: losses of starts say little of what
        networks of different sizes reach.
        """
        later = {t.trial.number for t in group if t.trial.number > taken.trial.number}
        size = taken.candidate.size if rung == 0 else None
        others = self._results(trials, {taken.trial.number, *later}, rung, size)
        return passes_any(taken.points, others, self._problem.settings.keep)

    def _results(
        self,
        trials: Sequence[optuna.trial.FrozenTrial],
        left_out: Collection[int],
        rung: int,
        size: str | None,
    ) -> list[list[Costs]]:
        """Costs and losses of the variants of the other candidates, of one size or of all, that have reached a rung."""
        import optuna  # noqa: PLC0415

        found = []
        alive = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.RUNNING)
        for t in (t for t in trials if t.state in alive):
            reached = len(t.user_attrs.get("rungs", []))
            if size not in (None, t.user_attrs.get("size", "")):
                continue
            if t.number not in left_out and t.user_attrs.get("end") != "diverged" and reached > rung:
                designs = tried(t.user_attrs, self._problem.space)
                found.append([(*self._problem.costs(d.cost), d.losses[rung]) for d in designs])
        return found


def _running_before(
    number: int, trials: Sequence[optuna.trial.FrozenTrial]
) -> list[optuna.trial.FrozenTrial]:
    import optuna  # noqa: PLC0415

    return [t for t in trials if t.state == optuna.trial.TrialState.RUNNING and t.number < number]


def ended(trials: Sequence[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
    """The trials that have ended. One whose worker died before it could say so has not, and runs again."""
    import optuna  # noqa: PLC0415

    over = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return [t for t in trials if t.state in over and "end" in t.user_attrs]


def judged(trials: Sequence[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
    """The complete trials that count: candidates that were judged."""
    import optuna  # noqa: PLC0415

    complete = optuna.trial.TrialState.COMPLETE
    return [t for t in trials if t.state == complete and t.user_attrs.get("end") in JUDGED]


def finished(trials: Sequence[optuna.trial.FrozenTrial], wanted: int) -> bool:
    """Whether as many candidates are judged as were asked for."""
    return len(judged(trials)) >= wanted
