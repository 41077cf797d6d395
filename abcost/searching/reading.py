"""Trials as Optuna reads them from its database, but those that run without their parameters, all without reports.

Nobody reports, and nobody asks for these parameters: samplers learn from trials that have ended, and who runs a trial
knows what it has proposed. Reading them, many times for each candidate, took a good part of the time of a worker.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from typing import Any

from optuna.distributions import json_to_distribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

_Rows = dict[int, list[Any]]  # id of a trial -> rows


def read_trials(session: Session, study_id: int, ids: Collection[int], above: int) -> list[FrozenTrial]:
    """The trials of a study with these ids, or with higher ones than `above`; in the order of their ids."""
    of = models.TrialModel
    wanted = and_(of.study_id == study_id, or_(of.trial_id > above, of.trial_id.in_(ids)))
    trials: list[Any] = session.query(of).filter(wanted).order_by(of.trial_id).all()
    if not trials:
        return []
    still = and_(wanted, of.state != TrialState.RUNNING)
    params = _rows(session, models.TrialParamModel, still)
    values = _rows(session, models.TrialValueModel, still)
    user = _rows(session, models.TrialUserAttributeModel, wanted)
    system = _rows(session, models.TrialSystemAttributeModel, wanted)
    return [_trial(t, *(rows.get(t.trial_id, []) for rows in (params, values, user, system))) for t in trials]


def _rows(session: Session, model: Any, wanted: ColumnElement[bool]) -> _Rows:
    """Trial id -> rows of a table of what trials have, in the order in which they were written."""
    table = model.__table__
    chosen = select(table).join(models.TrialModel.__table__).where(wanted).order_by(*table.primary_key)
    found: _Rows = defaultdict(list)
    for row in session.execute(chosen):
        found[row.trial_id].append(row)
    return found


def _trial(
    trial: Any, params: list[Any], values: list[Any], user: list[Any], system: list[Any]
) -> FrozenTrial:
    given = {p.param_name: (json_to_distribution(p.distribution_json), p.param_value) for p in params}
    reached = {
        v.objective: models.TrialValueModel.stored_repr_to_value(v.value, v.value_type) for v in values
    }
    return FrozenTrial(
        number=trial.number,
        state=trial.state,
        value=None,
        values=[reached[i] for i in range(len(reached))] or None,
        datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete,
        params={name: kind.to_external_repr(value) for name, (kind, value) in given.items()},
        distributions={name: kind for name, (kind, _) in given.items()},
        user_attrs={held.key: json.loads(held.value_json) for held in user},
        system_attrs={held.key: json.loads(held.value_json) for held in system},
        intermediate_values={},
        trial_id=trial.trial_id,
    )
