"""What runs workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from abcost.registry import Registry


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """Which workers are wanted: how many, for which study, and what each may use."""

    url: str
    study: str
    folder: str
    workers: int
    cpus: float = 1.0
    gpus: float = 0.0


class Executor(Protocol):
    """Workers that are running. A worker that dies is replaced; one that gives up stops the search."""

    def check(self) -> None:
        """Replace workers that were killed. Raises the error of one that gave up."""

    def stop(self) -> None:
        """Ask all to save and stop, and wait until they have."""


class Start(Protocol):
    """Starts a crew. Raises MissingExtra or SearchError."""

    def __call__(self, crew: WorkerSpec) -> Executor:
        """Running workers."""
        ...


EXECUTORS: Registry[Start] = Registry("executor", "abcost.searching.executors")
