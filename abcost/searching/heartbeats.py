"""Trials that run in this process are heard of in the database, so that nobody hands them on."""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

from abcost.searching.storage import HEARTBEAT_S

if TYPE_CHECKING:
    import optuna

    from abcost.searching.heartbeat_storage import HeartbeatStorage


class Heartbeats:
    """While it is open, a thread beats for the trials that were added and not removed.

    Optuna's own does so for one trial at a time, in `Study.optimize`.
    """

    def __init__(self, storage: HeartbeatStorage) -> None:
        self._storage = storage
        self._ids: dict[int, int] = {}  # number -> id
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, trial: optuna.Trial) -> None:
        """Beat for a trial from now on."""
        self._ids[trial.number] = trial._trial_id  # noqa: SLF001 - which has no other name

    def remove(self, trial: optuna.Trial) -> None:
        """Beat no longer for a trial: it has ended."""
        self._ids.pop(trial.number, None)

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
            if ids := list(self._ids.values()):
                with contextlib.suppress(Exception):  # whoever works on the trials finds out what is wrong
                    self._storage.beat(ids)
