"""The database of a search: what is written together, what others see of it, and that reading waits for nobody."""

from __future__ import annotations

import sqlite3

import optuna
import pytest
from optuna.trial import TrialState

from abcost.searching import storage
from abcost.searching.storage import sqlite_url

NAMES = [f"layer {i}" for i in range(30)]


class Worker:
    """A connection of its own to the study in a folder."""

    def __init__(self, folder):
        self.storage = storage.open_storage(sqlite_url(folder))
        sampler = optuna.samplers.RandomSampler(seed=0)
        self.study = optuna.create_study(
            storage=self.storage,
            study_name="search",
            sampler=sampler,
            directions=["minimize"] * 2,
            load_if_exists=True,
        )

    def ask(self):
        return storage.ask(self.study, self.storage)

    def trials(self):
        return self.study.get_trials(deepcopy=False)


@pytest.fixture
def workers(tmp_path):
    pair = Worker(tmp_path), Worker(tmp_path)
    yield pair
    for worker in pair:
        worker.storage.engine.dispose()


def proposed(trial):
    """As an explorer says it: parameters, attributes, and a constraint."""
    given = {name: trial.suggest_int(name, -4, 1) for name in NAMES}
    trial.set_user_attr("key", "a candidate")
    trial.set_user_attr("key", "the same, said again")
    trial.set_constraint("luts", 0.5)
    return given


def test_what_is_gathered_is_seen_when_all_of_it_is_written(workers):
    """That the trial runs is seen before; parameters of one that runs are not read."""
    one, other = workers
    with one.storage.gathered():
        trial = one.ask()
        given = proposed(trial)
        (seen,) = other.trials()
        assert (seen.state, seen.user_attrs, seen.system_attrs) == (TrialState.RUNNING, {}, {})
        assert trial.constraints == {"luts": 0.5}  # to who says it, it is said
    (seen,) = other.trials()
    assert (seen.state, seen.user_attrs) == (TrialState.RUNNING, {"key": "the same, said again"})
    assert list(seen.system_attrs.values()) == [0.5]
    with one.storage.gathered():
        trial.set_user_attr("end", "evaluated")
        one.study.tell(trial, [3.0, float("inf")])
        (seen,) = other.trials()
        assert (seen.state, "end" in seen.user_attrs) == (TrialState.RUNNING, False)
    (seen,) = other.trials()
    assert (seen.state, seen.values, seen.user_attrs["end"]) == (
        TrialState.COMPLETE,
        [3.0, float("inf")],
        "evaluated",
    )
    assert seen.params == given


def test_trials_are_as_optuna_reads_them(workers, tmp_path):
    """In every state but running: an independent reading of the same file."""
    one, other = workers
    one.study.enqueue_trial(dict.fromkeys(NAMES, 1))
    for values, state in ((None, TrialState.PRUNED), ([1.0, -2.0], None), (None, TrialState.FAIL)):
        with one.storage.gathered():
            trial = one.ask()
            proposed(trial)
        one.study.tell(trial, values, state=state)
    one.study.enqueue_trial({"layer 0": 0}, user_attrs={"name": "waiting"})
    plain = optuna.storages.RDBStorage(sqlite_url(tmp_path))
    expected = plain.get_all_trials(plain.get_study_id_from_name("search"))
    plain.engine.dispose()
    assert [t.state.name for t in expected] == ["PRUNED", "COMPLETE", "FAIL", "WAITING"]
    assert other.trials() == expected
    assert expected[0].params == dict.fromkeys(NAMES, 1)  # as was enqueued


def test_of_what_fails_nothing_is_written(workers):
    one, other = workers
    trials = []

    def interrupted():
        with one.storage.gathered():
            trials.append(one.ask())
            proposed(trials[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    (seen,) = other.trials()
    assert (seen.state, seen.user_attrs) == (TrialState.RUNNING, {})
    trials[0].set_user_attr("reason", "written at once")
    assert other.trials()[0].user_attrs == {"reason": "written at once"}


def test_a_trial_that_others_have_failed_is_left_as_it_is(workers):
    """They thought that its worker was dead."""
    one, other = workers
    trial = one.ask()
    other.study.tell(trial.number, state=TrialState.FAIL)

    def ended():
        with one.storage.gathered():
            trial.set_user_attr("end", "evaluated")
            one.study.tell(trial, [1.0, 2.0])

    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        ended()
    (seen,) = one.trials()
    assert (seen.state, seen.user_attrs) == (TrialState.FAIL, {})


def test_a_waiting_trial_is_taken_once(workers):
    """Also by one who has not noticed yet that another has it; a trial of its own is new."""
    one = workers[0]
    one.study.enqueue_trial({"layer 0": 0})
    for worker in workers:
        assert [t.state for t in worker.trials()] == [TrialState.WAITING]
    assert [worker.ask().number for worker in workers] == [0, 1]


def test_reading_waits_for_no_writer(workers, tmp_path):
    """Who writes has SQLite's lock; to read is to see what was before."""
    one, other = workers
    trial = one.ask()
    other.trials()
    writer = sqlite3.connect(tmp_path / "study.db")
    writer.execute("BEGIN EXCLUSIVE")
    writer.execute("DELETE FROM trials")
    try:
        assert [t.number for t in other.trials()] == [
            trial.number
        ]  # else: locked for a minute, then an error
    finally:
        writer.rollback()
        writer.close()


def test_beats_of_a_group(workers):
    """In one transaction; a trial that nobody beats for is stale, one whose beat is new is not."""
    one, other = workers
    numbers = [one.ask()._trial_id for _ in range(3)]
    with one.storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trial_heartbeats SET heartbeat = '2020-01-01 00:00:00'")
    one.storage.beat(numbers[:2])
    study = other.storage.get_study_id_from_name("search")
    assert other.storage._get_stale_trial_ids(study) == numbers[2:]
