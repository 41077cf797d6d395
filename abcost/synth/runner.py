"""Runs many syntheses in parallel; keeps every answer, so that an interrupted or repeated run goes on from there.

The key of an answer is a hash of everything that decides it: the Verilog, the flow's script, the tool and its
version, and the Liberty text. An answer is written in its work folder and renamed, so a kill leaves
either all of it or nothing; the work folders that it leaves are removed by a later start. A failed job is reported
and not kept; the others are not touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from abcost.errors import ToolError
from abcost.synth.flows import Flow, Resources
from abcost.synth.lent import LentTexts
from abcost.synth.standard_cells import StandardCells
from abcost.synth.standing import end_idle
from abcost.synth.tools import TIMEOUT, Yosys, cache_folder, end_running

_LOOK_S = 0.05  # seconds between two looks at what still runs

J = TypeVar("J")
A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Job:
    """One module to synthesize with one flow; `name` is for people."""

    name: str
    top: str
    verilog: str
    flow: Flow
    keep_netlist: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the synthesizer made of a job.

    netlist: Yosys' JSON, only where the job asked for it; key: hash of all that decided the answer.
    """

    cells: dict[str, int]
    area: float | None  # square micrometres, flows with a Liberty file
    resources: Resources
    netlist: dict[str, Any] | None = None
    key: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job has no answer."""

    job: Job
    reason: str


class Synthesizer:
    """Yosys with a cache folder, and the standard cells for the flows that need some."""

    def __init__(self, yosys: Yosys, cache: Path, *, cells: StandardCells | None = None) -> None:
        """Raises ToolError if the cache folder cannot be made."""
        self.yosys = yosys
        self.cache = cache
        self.cells = cells
        self._cells_digest = cells.digest if cells else ""  # the key says what was used
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ToolError(f"{error.filename}: {error.strerror}") from None
        remove_leftovers(cache)
        self._texts = LentTexts(lambda: new_folder(cache), (cells.text, cells.outline) if cells else ())

    def key(self, job: Job) -> str:
        """Hash of all that decides the answer."""
        parts = [str(self.yosys), job.flow.script(job.top, netlist=job.keep_netlist), job.verilog]
        if job.flow.technology == "asic":
            parts.append(self._cells_digest)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def known(self, job: Job) -> Answer | None:
        """The kept answer, or None; a damaged file counts as none."""
        try:
            data = json.loads(self._file(job).read_text())
            cells = {str(name): int(count) for name, count in data["cells"].items()}
            area = None if data["area"] is None else float(data["area"])
            netlist = data["netlist"] if job.keep_netlist else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return Answer(cells, area, job.flow.resources(cells, area), netlist, self.key(job))

    def run(self, job: Job) -> Answer:
        """The kept answer, or a new one. Raises ToolError."""
        kept = self.known(job)
        if kept is not None:
            return kept
        if job.flow.technology == "asic" and self.cells is None:
            raise ToolError(f"flow {job.flow.name} needs a Liberty file; give --liberty FILE.lib")
        try:
            with work_folder(self.cache) as folder:
                return self._synthesize(job, folder)
        except OSError as error:
            raise ToolError(
                f"the folder of finished syntheses, {self.cache}, cannot be written ({error.strerror}); "
                "choose another with --cache"
            ) from None

    def _synthesize(self, job: Job, folder: Path) -> Answer:
        (folder / "unit.v").write_text(job.verilog)
        lent = self._texts.into(folder) if job.flow.technology == "asic" else ()
        paths = [self.yosys.path(file) for file in lent]
        self.yosys.run(job.flow.script(job.top, *paths, netlist=job.keep_netlist), folder)
        cells, area = _statistics(folder / "stat.json", job)
        netlist = _netlist(folder / "netlist.json", job) if job.keep_netlist else None
        if area is None and job.flow.technology == "asic":
            area = self._area(cells)
        answer = Answer(cells, area, job.flow.resources(cells, area), netlist, self.key(job))
        content = {"name": job.name, "cells": cells, "area": area, "netlist": netlist}
        (folder / "answer.json").write_text(json.dumps(content))
        file = self._file(job)
        file.parent.mkdir(exist_ok=True)
        (folder / "answer.json").replace(file)
        return answer

    def run_all(
        self,
        jobs: Sequence[Job],
        *,
        workers: int | None = None,
        done: Callable[[Job], None] = lambda _job: None,
    ) -> dict[str, Answer | Failure]:
        """All jobs in parallel -> answers by key; `done` is called after each, always from the same thread.

        An interrupt drops the jobs that have not started, ends those that run, and is raised again.
        """
        return self.run_each(jobs, lambda _job, answer: answer, workers=workers, done=done)

    def run_each(
        self,
        jobs: Sequence[Job],
        use: Callable[[Job, Answer], A],
        *,
        workers: int | None = None,
        done: Callable[[Job], None] = lambda _job: None,
    ) -> dict[str, A | Failure]:
        """The same -> what `use` makes of each answer by key, so that no netlist is held longer than it is read.

        It is called while other jobs are synthesized; where it raises ToolError the job has failed.
        """

        def both(job: Job) -> A:
            return use(job, self.run(job))

        unique = {self.key(job): job for job in jobs}
        found = in_parallel(unique, both, workers or os.cpu_count() or 1, done)
        return {
            key: Failure(unique[key], str(used)) if isinstance(used, ToolError) else used
            for key, used in found.items()
        }

    def _area(self, cells: Mapping[str, int]) -> float | None:
        """Sum of the library's areas, for a Yosys whose statistics have none (0.23); None for a foreign cell."""
        known = self.cells.library.cells if self.cells else {}
        if not set(cells) - {"$scopeinfo"} <= set(known):
            return None
        return sum(known[name].area * count for name, count in cells.items() if name in known)

    def _file(self, job: Job) -> Path:
        key = self.key(job)
        return self.cache / key[:2] / f"{key}.json"


def in_parallel(
    jobs: Mapping[str, J], run: Callable[[J], A], workers: int, done: Callable[[J], None]
) -> dict[str, A | ToolError]:
    """What `run` makes of each job, a ToolError where it raised one; `done` is called after each, from this thread.

    An interrupt drops the jobs that have not started, ends those that run, keeps what is finished, and is raised again.
    """
    found: dict[str, A | ToolError] = {}
    with ThreadPoolExecutor(workers) as pool:
        running = {pool.submit(run, job): key for key, job in jobs.items()}
        try:
            for future in _as_finished(set(running)):
                key = running[future]
                try:
                    found[key] = future.result()
                except ToolError as error:
                    found[key] = error
                done(jobs[key])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            while not all(future.done() for future in running):
                end_running()
                time.sleep(_LOOK_S)
            raise
        finally:
            end_idle()
    return found


def _as_finished(waiting: set[Future[A]]) -> Iterator[Future[A]]:
    while waiting:
        finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        yield from finished


@contextmanager
def work_folder(cache: Path) -> Iterator[Path]:
    """A fresh folder inside the cache, so that the answer only has to be renamed."""
    folder = new_folder(cache)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_folder(cache: Path) -> Path:
    """A folder that a later start removes, should this one be killed; raises OSError."""
    return Path(tempfile.mkdtemp(prefix="run-", dir=cache))


def remove_leftovers(cache: Path) -> None:
    """Work folders of killed runs: no run lasts longer than TIMEOUT, so one that is twice as old is nobody's."""
    for folder in cache.glob("run-*"):
        with suppress(OSError):  # another start may have been faster
            if folder.stat().st_mtime < time.time() - 2 * TIMEOUT:
                shutil.rmtree(folder, ignore_errors=True)


def _statistics(file: Path, job: Job) -> tuple[dict[str, int], float | None]:
    """Cells by type, and area. Yosys has been seen to exit 0 and write nothing: a missing file is a failure."""
    try:
        found = json.loads(file.read_text())
        cells = leaf_cells(found, job.top)
        area = found["design"].get("area")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ToolError(f"Yosys ended without an error but left no statistics of {job.name}") from None
    return cells, None if area is None else float(area)


def leaf_cells(statistics: Mapping[str, Any], top: str) -> dict[str, int]:
    """Cells by type below `top`, of what `stat -json` writes. Raises KeyError, TypeError for other content."""
    counts = {
        str(name).removeprefix("\\"): module["num_cells_by_type"]
        for name, module in statistics["modules"].items()
    }
    return {name: int(count) for name, count in _leaves(counts, top).items()}


def _leaves(modules: Mapping[str, Mapping[str, int]], top: str) -> Counter[str]:
    """Cells below `top`. Yosys' own sum over a hierarchy leaves out flip-flops of modules that were kept apart."""
    found: Counter[str] = Counter()
    for name, count in modules[top].items():
        inside = _leaves(modules, name) if name in modules else {name: 1}
        for cell, each in inside.items():
            found[cell] += each * count
    return found


def _netlist(file: Path, job: Job) -> dict[str, Any]:
    try:
        netlist: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError):
        raise ToolError(f"Yosys ended without an error but left no netlist of {job.name}") from None
    return netlist


def default_cache() -> Path:
    """The user's cache folder: $XDG_CACHE_HOME/abcost/synth, or ~/.cache/abcost/synth."""
    return cache_folder() / "synth"
