"""The finals of a search: which trainings are left."""

import optuna

from abcost.searching.finals import FinalTraining, all_done, enqueue, reopen


def test_who_explores_more_waits_until_the_finals_are_planned_anew():
    """Else a worker that has nothing left to explore sees those of the search before, all done, and goes."""
    study, jobs = optuna.create_study(), [FinalTraining("uniform 2^-3", 0)]
    assert not all_done(study)
    enqueue(study, jobs)
    assert not all_done(study)
    study.tell(study.ask(), 0.5)
    assert all_done(study)
    reopen(study)
    assert not all_done(study)
    enqueue(study, jobs)
    assert all_done(study)
    enqueue(study, [*jobs, FinalTraining("uniform 2^-2", 0)])
    assert not all_done(study)
