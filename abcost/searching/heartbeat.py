"""Trials that run in this process are heard of in the database, so that nobody hands them on."""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

from abcost.searching.storage import HEARTBEAT_S

if TYPE_CHECKING:
    import optuna

    from abcost.searching.beating import BeatingStorage


class Beats:
    """While it is open, a thread beats for the trials that were added and not removed.

    Optuna's own does so for one trial at a time, in `Study.optimize`.
    """

    def __init__(self, storage: BeatingStorage, study: optuna.Study) -> None:
        self._storage = storage
        self._study = study
        self._ids: dict[int, int] = {}  # number -> id
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, number: int) -> None:
        """From now on."""
        study = self._storage.get_study_id_from_name(self._study.study_name)
        self._ids[number] = self._storage.get_trial_id_from_study_id_trial_number(study, number)

    def remove(self, number: int) -> None:
        """It has ended."""
        self._ids.pop(number, None)

    def __enter__(self) -> Self:
        self._stop.clear()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._ids.clear()

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            for trial_id in list(self._ids.values()):
                with contextlib.suppress(Exception):  # whoever works on the trial finds out what is wrong
                    self._storage.record_heartbeat(trial_id)
