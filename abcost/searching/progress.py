"""How far a search is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from abcost.searching.explore import ended, judged
from abcost.searching.objectives import LOSS, judge_of
from abcost.searching.settings import Settings

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """Candidates judged of those wanted; how many a rung stopped, were over budget, diverged; trainings of the finals.

    best: the lowest loss (judged by accuracy: share of wrong images) of candidates that reached the last rung, None
    before one has. seconds: of this command.
    """

    phase: str  # "explore" or "finals"
    done: int
    wanted: int
    stopped: int
    over: int
    diverged: int
    best: float | None
    seconds: float
    done_before: int  # by an earlier command
    judge: str = LOSS

    @property
    def seconds_left(self) -> float | None:
        """Seconds that are left at the mean pace of this command; None while it has none."""
        pace = self.done - self.done_before
        return None if pace <= 0 else self.seconds / pace * (self.wanted - self.done)


class SearchListener(Protocol):
    """What a search tells while it runs."""

    def note(self, text: str) -> None:
        """A line for people."""

    def moved(self, progress: SearchProgress) -> None:
        """Called several times a second."""


def explored(
    trials: Sequence[optuna.trial.FrozenTrial], settings: Settings, *, seconds: float, done_before: int
) -> SearchProgress:
    """Progress of the exploration."""
    good = judged(trials)
    ends = Counter(t.user_attrs["end"] for t in ended(trials))
    top = 1 + len(settings.epochs)
    finished = [t for t in good if len(t.user_attrs.get("rungs", ())) == top]
    finished = [t for t in finished if t.user_attrs["end"] == "evaluated"]
    return SearchProgress(
        phase="explore",
        done=len(good),
        wanted=settings.trials,
        stopped=len(good) - len(finished) - ends["diverged"],
        over=ends["over"],
        diverged=ends["diverged"],
        best=min((t.values[-1] for t in finished), default=None),
        seconds=seconds,
        done_before=done_before,
        judge=judge_of(settings.objectives),
    )
