"""One worker of a search: takes trials from the studies until nothing is left to do.

python -m abcost.searching.worker < {"url": …, "study": …, "folder": …, "salt": 0, "parent": 123}
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from abcost.errors import AbcostError, SearchError
from abcost.searching.evaluator import Evaluator
from abcost.searching.explore import Explorer
from abcost.searching.finals import Finals, all_done
from abcost.searching.problem import Problem
from abcost.searching.storage import database_errors
from abcost.searching.studies import Studies, join
from abcost.training.interrupt import catching
from abcost.training.memory import keep_memory
from abcost.training.runtime import check_precision

START = "start.pt"
_WAIT_S = 0.5


def work(studies: Studies, folder: Path, salt: int, stop: Callable[[], bool]) -> None:
    """Explore, then wait for the finals and take part in them. `salt` tells the workers of a study apart.

    Raises KeyboardInterrupt if asked to stop, after saving; SearchError, OutputError and what judging raises.
    """
    _check_stop(stop)  # whoever started this worker may have died while it loaded
    settings = studies.settings
    problem = Problem(settings, folder / START)
    check_starts(problem)
    torch.set_num_threads(1)
    check_precision(problem.config)  # a worker may have another processor than who began
    _ = problem.objectives  # loads prices: a trial is taken by who has all that it needs
    evaluator = Evaluator(problem, folder, stop)
    explorer, finals = (
        Explorer(studies.explore, studies.storage, problem, evaluator, salt),
        Finals(studies.finals, studies.storage, problem, evaluator),
    )
    with database_errors(studies.url):
        while explorer.step():
            _check_stop(stop)
        while not all_done(studies.finals):
            _check_stop(stop)
            if not finals.step():
                time.sleep(_WAIT_S)


def check_starts(problem: Problem) -> None:
    """Raises SearchError unless the checkpoints that candidates start from are there, and the same."""
    starts = [problem.start_of(size) for size in problem.sizes]
    for start in starts:
        if not start.is_file():
            raise SearchError(
                f"no {start}: a worker needs the run folder of the search, or a copy of its {start.name}; name it with "
                "--run-dir"
            )
    if digest_of_starts(problem) != problem.settings.start:
        raise SearchError(
            f"{' or '.join(map(str, starts))} is not the checkpoint that this study started with: copy that one"
        )


def digest_of_starts(problem: Problem) -> str:
    """SHA-256 of the start; of several, that of their digests."""
    found = [digest_of(problem.start_of(size)) for size in problem.sizes]
    return found[0] if len(found) == 1 else hashlib.sha256(" ".join(found).encode()).hexdigest()


def digest_of(path: Path) -> str:
    """SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_stop(stop: Callable[[], bool]) -> None:
    if stop():
        raise KeyboardInterrupt


def main() -> int:
    """A worker that dies with the process that started it. Exit status as `abcost`'s."""
    keep_memory()
    asked = json.loads(sys.stdin.readline())
    parent = asked["parent"]  # said by the parent: by now it may be dead, and getppid() another's
    try:
        with catching() as stop, contextlib.redirect_stdout(sys.stderr):
            studies = join(asked["url"], asked["study"])
            work(studies, Path(asked["folder"]), asked["salt"], lambda: stop.asked or os.getppid() != parent)
    except KeyboardInterrupt:
        return 130
    except AbcostError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
