"""Optuna's database, with a first heartbeat as soon as a trial is taken."""

from __future__ import annotations

from collections.abc import Sequence

import optuna


class BeatingStorage(optuna.storages.RDBStorage):
    """Optuna's first heartbeat comes after the sampler has proposed: a worker killed before would never be missed."""

    def _create_new_trial(
        self, study_id: int, template_trial: optuna.trial.FrozenTrial | None = None
    ) -> optuna.trial.FrozenTrial:
        """A new trial; a running one is heard of at once. Optuna's cache calls this, not `create_new_trial`."""
        trial = super()._create_new_trial(study_id, template_trial)
        if trial.state == optuna.trial.TrialState.RUNNING:
            self.record_heartbeat(trial._trial_id)  # noqa: SLF001 - which has no other name
        return trial

    def set_trial_state_values(
        self, trial_id: int, state: optuna.trial.TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Whether the trial was changed; one that was taken from the queue is heard of at once."""
        changed = super().set_trial_state_values(trial_id, state, values)
        if changed and state == optuna.trial.TrialState.RUNNING:
            self.record_heartbeat(trial_id)
        return changed
