"""Optuna's database, in few transactions: workers wait for each other's, and SQLite has but one writer at a time.

A worker's own trials are known without reading them, and what is said of them can be gathered (`gathered`).
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Container, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import func
from sqlalchemy.orm import Session

from abcost.searching.reading import read_trials

READING: ContextVar[bool] = ContextVar("READING", default=False)
"""Whether transactions that this thread begins read and do not write."""


@dataclass(slots=True)
class _Said:
    """Of a trial, not yet written. params: name -> value as the database holds it, and distribution."""

    params: dict[str, tuple[float, BaseDistribution]] = field(default_factory=dict)
    user: dict[str, Any] = field(default_factory=dict)
    system: dict[str, Any] = field(default_factory=dict)
    state: TrialState | None = None  # one that ends it
    values: Sequence[float] = ()


class HeartbeatStorage(optuna.storages.RDBStorage):
    """As Optuna's; a trial is heard of as soon as it is taken.

    Optuna's first heartbeat comes after the sampler has proposed: a worker killed before would never be missed.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._mine: dict[int, FrozenTrial] = {}  # that this process has taken and that have not ended
        self._said: dict[int, _Said] | None = None  # while it is gathered
        self._as_read = False
        super().__init__(*arguments, **options)

    @contextlib.contextmanager
    def gathered(self) -> Iterator[None]:
        """Write what is said inside of trials taken here at the end, in one transaction; on an error nothing.

        Taking a trial is written at once. Inside another `gathered`, the outer one writes. Not for threads.
        Raises UpdateFinishedTrialError if others have ended one of the trials meanwhile.
        """
        if self._said is not None:
            yield
            return
        self._said = {}
        try:
            yield
            said = self._said
        finally:
            self._said = None
        if said:
            self._write(said)

    @contextlib.contextmanager
    def as_read(self) -> Iterator[None]:
        """Show trials, inside, as they were when they were last read, apart from what this process has made since."""
        self._as_read = True
        try:
            yield
        finally:
            self._as_read = False

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        """A new trial; a running one has a heartbeat at once. Optuna's cache calls this, not `create_new_trial`."""
        trial = super()._create_new_trial(study_id, template_trial)
        if trial.state == TrialState.RUNNING:
            self.record_heartbeat(trial._trial_id)  # noqa: SLF001 - which has no other name
            self._mine[trial._trial_id] = copy.deepcopy(trial)  # noqa: SLF001
        return trial

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Whether the trial was changed; one that was taken from the queue has a heartbeat at once."""
        if state.is_finished() and (said := self._of(trial_id)) is not None:
            said.state, said.values = state, values or ()
            return True
        changed = super().set_trial_state_values(trial_id, state, values)
        if changed and state == TrialState.RUNNING:
            self.record_heartbeat(trial_id)
            self._mine[trial_id] = self.get_trial(trial_id)
        elif state.is_finished():
            self._mine.pop(trial_id, None)
        return changed

    def _set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None,
    ) -> None:
        """Set a parameter of a trial. Optuna's cache calls this, not `set_trial_param`."""
        if (said := self._of(trial_id)) is not None:
            said.params[param_name] = param_value_internal, distribution
        else:
            super()._set_trial_param(
                trial_id, param_name, param_value_internal, distribution, previous_distribution
            )

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a user attribute of a running trial."""
        if (said := self._of(trial_id)) is not None:
            said.user[key] = value
        else:
            super().set_trial_user_attr(trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set a system attribute of a running trial, as samplers and constraints do."""
        if (said := self._of(trial_id)) is not None:
            said.system[key] = value
        else:
            super().set_trial_system_attr(trial_id, key, value)
        if trial_id in self._mine:  # which samplers read again
            self._mine[trial_id].system_attrs[key] = value

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """A trial. One that runs here is not read: nobody else changes it, but to mark it as failed."""
        if trial_id in self._mine:
            return self._mine[trial_id]
        with _reading():
            return super().get_trial(trial_id)

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """Those that Optuna's cache does not know to be finished; see `read_trials`."""
        if self._as_read:
            return []
        if states is not None:
            return super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)
        with _reading(), self.scoped_session() as session, session.begin():
            return read_trials(session, study_id, included_trial_ids, trial_id_greater_than)

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        with _reading():
            return super()._get_stale_trial_ids(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """User attributes of a study."""
        with _reading():
            return super().get_study_user_attrs(study_id)

    def beat(self, trial_ids: Sequence[int]) -> None:
        """Write heartbeats of trials that have been taken."""
        beats = models.TrialHeartbeatModel
        with self.scoped_session() as session, session.begin():
            session.query(beats).filter(beats.trial_id.in_(trial_ids)).update(
                {beats.heartbeat: func.now()}, synchronize_session=False
            )

    def _of(self, trial_id: int) -> _Said | None:
        """What is gathered of a trial, to be added to; None if what is said of it is written at once."""
        if self._said is None or trial_id not in self._mine:
            return None
        return self._said.setdefault(trial_id, _Said())

    def _write(self, said: dict[int, _Said]) -> None:
        with self.scoped_session() as session, session.begin():
            for trial_id, of in said.items():
                trial: Any = models.TrialModel.find_or_raise_by_id(trial_id, session, for_update=True)
                self.check_trial_is_updatable(trial_id, trial.state)
                session.add_all(
                    models.TrialParamModel(
                        trial_id=trial_id,
                        param_name=name,
                        param_value=value,
                        distribution_json=distribution_to_json(distribution),
                    )
                    for name, (value, distribution) in of.params.items()
                )
                _put(session, models.TrialUserAttributeModel, trial_id, of.user)
                _put(session, models.TrialSystemAttributeModel, trial_id, of.system)
                if of.state is not None:
                    for objective, value in enumerate(of.values):
                        self._set_trial_value_without_commit(session, trial, objective, value)
                    trial.state, trial.datetime_complete = of.state, datetime.now()  # noqa: DTZ005 - as Optuna's
        for trial_id, of in said.items():
            if of.state is not None:
                del self._mine[trial_id]


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    token = READING.set(True)
    try:
        yield
    finally:
        READING.reset(token)


def _put(session: Session, model: Any, trial_id: int, attributes: dict[str, Any]) -> None:
    """Attributes of a trial: new ones together, others changed."""
    if not attributes:
        return
    there = {held.key: held for held in model.where_trial_id(trial_id, session)}
    for key, value in attributes.items():
        if key in there:
            there[key].value_json = json.dumps(value)
        else:
            session.add(model(trial_id=trial_id, key=key, value_json=json.dumps(value)))
