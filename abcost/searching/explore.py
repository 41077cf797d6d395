"""The exploration: trials of an Optuna study, each a candidate that goes up the rungs as far as it deserves.

Every trial says in its user attributes how it ended (`end`):
    evaluated    judged; `rungs` has its loss on each rung that it reached, the last of which is its value
    over         over budget: never trained
    known        a candidate that was judged before; it has the same values
    surplus      proposed while the last trials of the study were running, or twice at the same time; not judged
    diverged     its training ended in a loss that is no number
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from abcost.errors import TrainError
from abcost.searching.lab import Lab, design_of, retraining
from abcost.searching.problem import Problem
from abcost.searching.proposals import parameters, random_unseen, sampler_of, suggest
from abcost.searching.rungs import Costs, passes
from abcost.searching.space import Candidate
from abcost.searching.storage import release_stale

if TYPE_CHECKING:
    import optuna

JUDGED = ("evaluated", "diverged")
EXHAUSTED = "exhausted"
_PATIENCE = 20  # proposals in a row that bring nothing new, before a random one is looked for
_ATTEMPTS = 20_000
_FAR_OVER = 1e9  # how far over budget, in budgets, a cost without a price is for the sampler
_WORST = 1e3  # a loss for the sampler where there is none: larger than any that is measured
_WAIT_S = 0.5
_LOOK_S = 0.05


class Explorer:
    """Runs trials of one study in one process."""

    def __init__(self, study: optuna.Study, problem: Problem, lab: Lab, salt: int) -> None:
        self._study = study
        self._problem = problem
        self._lab = lab
        self._salt = salt

    def step(self) -> bool:
        """Run one trial, or wait a moment if the last ones are running elsewhere; False when nothing is left to do.

        Raises KeyboardInterrupt, after saving and handing the trial back, if the lab was asked to stop.
        """
        import optuna  # noqa: PLC0415

        release_stale(self._study)
        trials = self._study.get_trials(deepcopy=False)
        if finished(trials, self._problem.settings.trials) or self._study.user_attrs.get(EXHAUSTED):
            return False
        running = [t for t in trials if t.state == optuna.trial.TrialState.RUNNING]
        if len(judged(trials)) + len(running) >= self._problem.settings.trials:
            time.sleep(_WAIT_S)
            return True
        if self._stuck(trials) and not self._propose(trials):
            return False
        self._study.sampler = sampler_of(self._problem.settings, salt=(self._salt, len(trials)))
        self._study.optimize(self._handing_back, n_trials=1)
        return True

    def _stuck(self, trials: Sequence[optuna.trial.FrozenTrial]) -> bool:
        """Whether the sampler proposes nothing new any more."""
        import optuna  # noqa: PLC0415

        last = [t for t in trials if t.state == optuna.trial.TrialState.COMPLETE][-_PATIENCE:]
        waiting = any(t.state == optuna.trial.TrialState.WAITING for t in trials)
        return not waiting and len(last) == _PATIENCE and not judged(last)

    def _propose(self, trials: Sequence[optuna.trial.FrozenTrial]) -> bool:
        """Enqueue a random candidate that is new and in budget; False, noted in the study, if there is none."""
        space, pricer, budget = self._problem.space, self._problem.pricer, self._problem.budget
        seen = {t.user_attrs["key"] for t in judged(trials)}
        generator = random.Random(  # noqa: S311 - not a secret
            f"{self._problem.settings.seed} {self._salt} {len(trials)}"
        )
        found = random_unseen(
            space,
            lambda those: pricer.price(those).within(budget).tolist() if those else [],
            seen,
            generator,
            _ATTEMPTS,
        )
        if found is None:
            self._study.set_user_attr(EXHAUSTED, value=True)
            return False
        self._study.enqueue_trial(parameters(found, space))
        return True

    def _handing_back(self, trial: optuna.Trial) -> tuple[float, ...]:
        """Judge the candidate; on being asked to stop, leave it to the next worker."""
        import optuna  # noqa: PLC0415

        try:
            return self._objective(trial)
        except KeyboardInterrupt:
            self._study.enqueue_trial(trial.params)
            self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            raise

    def _objective(self, trial: optuna.Trial) -> tuple[float, ...]:
        """Objectives of the problem, then the loss."""
        import optuna  # noqa: PLC0415

        problem = self._problem
        candidate = suggest(trial, problem.space)
        trial.set_user_attr("key", candidate.key)
        trial.set_user_attr("sets", [list(s) for s in candidate.sets])
        trial.set_user_attr("alpha", candidate.alpha)
        trial.set_user_attr("scale", candidate.scale)
        priced = problem.pricer.price([candidate])
        cost = priced.of(0)
        trial.set_user_attr("cost", cost)
        fits = bool(priced.fits[0])
        trial.set_constraint("device", 0.0 if fits else 1.0)
        for name, excess in problem.budget.excess(cost).items():
            trial.set_constraint(
                name, min(excess, _FAR_OVER)
            )  # unknown is over, and databases hold no infinity
        costs = tuple(_known(cost[name]) for name in problem.objectives)
        if not priced.within(problem.budget)[0]:
            trial.set_user_attr("end", "over")
            return (*costs, _WORST)
        others = self._others(trial.number)
        same = [t for t in judged(others) if t.user_attrs["key"] == candidate.key]
        if same:
            trial.set_user_attr("end", "known")
            return (*costs, same[0].values[-1])
        if self._surplus(trial, others):
            trial.set_user_attr("end", "surplus")
            raise optuna.TrialPruned
        return (*costs, self._climb(trial, candidate, costs))

    def _others(self, number: int) -> list[optuna.trial.FrozenTrial]:
        """The other trials, as soon as every earlier one that is running has said what its candidate is.

        One that has an end is waited for too: its state follows, and until then it is neither judged nor under way.
        """
        while True:
            others = [t for t in self._study.get_trials(deepcopy=False) if t.number != number]
            earlier = [t.user_attrs for t in _running_before(number, others)]
            if all("key" in said and "end" not in said for said in earlier):
                return others
            release_stale(self._study)
            time.sleep(_LOOK_S)

    def _surplus(self, trial: optuna.Trial, others: Sequence[optuna.trial.FrozenTrial]) -> bool:
        """Whether earlier trials that run elsewhere are enough, or one of them has the same candidate."""
        earlier = _running_before(trial.number, others)
        twin = any(t.user_attrs["key"] == trial.user_attrs["key"] for t in earlier)
        return twin or len(judged(others)) + len(earlier) >= self._problem.settings.trials

    def _climb(self, trial: optuna.Trial, candidate: Candidate, costs: Costs) -> float:
        """The loss on the highest rung that the candidate reaches."""
        settings, design = self._problem.settings, design_of(candidate, self._problem.space)
        losses = [self._lab.calibration_loss(design)]
        trial.set_user_attr("rungs", losses)
        for rung, epochs in enumerate(settings.epochs):
            if not passes((*costs, losses[-1]), self._results(trial.number, rung), settings.keep):
                break
            config = retraining(self._problem, design, epochs=epochs, seed=settings.seed)
            try:
                found = self._lab.trained(config, f"trials/{candidate.key}-{epochs}", scale=design.scale)
            except TrainError as error:
                trial.set_user_attr("end", "diverged")
                trial.set_user_attr("reason", str(error))
                return _WORST
            losses = [*losses, found.loss]
            trial.set_user_attr("rungs", losses)
            trial.set_user_attr("judged", {**asdict(found), "checkpoint": str(found.checkpoint)})
        trial.set_user_attr("end", "evaluated")
        return losses[-1]

    def _results(self, number: int, rung: int) -> list[Costs]:
        """Costs and loss of the other candidates that have reached a rung."""
        import optuna  # noqa: PLC0415

        found = []
        alive = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.RUNNING)
        for t in self._study.get_trials(deepcopy=False, states=alive):
            losses = t.user_attrs.get("rungs", [])
            if t.number != number and t.user_attrs.get("end") != "diverged" and len(losses) > rung:
                costs = tuple(_known(t.user_attrs["cost"][name]) for name in self._problem.objectives)
                found.append((*costs, losses[rung]))
        return found


def _running_before(
    number: int, trials: Sequence[optuna.trial.FrozenTrial]
) -> list[optuna.trial.FrozenTrial]:
    import optuna  # noqa: PLC0415

    return [t for t in trials if t.state == optuna.trial.TrialState.RUNNING and t.number < number]


def ended(trials: Sequence[optuna.trial.FrozenTrial]) -> list[optuna.trial.FrozenTrial]:
    """The trials that have an end; that of a worker that died before it could say so has none, and runs again."""
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


def _known(cost: Any) -> float:
    return float("inf") if cost is None else float(cost)
