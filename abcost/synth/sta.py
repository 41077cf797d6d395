"""Delay of a module before placement, by Yosys' timing analysis: where nothing can place for a device.

It adds up what the library of cells says: clock to output, LUTs, carries, multipliers, setup. Wires take
nothing, so a figure is a lower end; what they add is a stated share (`abcost.calibrate.shares`). Times stand
only in libraries that were read with `read_verilog -specify`: without, the pass counts nothing and says so in
a mere warning.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from abcost.errors import ToolError
from abcost.synth.flows import LIBERTY, Flow
from abcost.synth.runner import in_parallel, leaf_cells, remove_leftovers, work_folder
from abcost.synth.tools import Yosys, cache_folder

_LATEST = re.compile(r"Latest arrival time in '[^']*' is (\d+):")


@dataclass(frozen=True, slots=True)
class StaJob:
    """One module whose slowest path is asked for; `name` is for people."""

    name: str
    top: str
    verilog: str
    flow: Flow
    files: tuple[tuple[str, str], ...] = ()  # what the Verilog reads with $readmemh: name, content


@dataclass(frozen=True, slots=True)
class PreRoute:
    """The slowest path from a register or input to a register or output, in ns without wires; and LUTs."""

    ns: float
    luts: float


class Timer:
    """Yosys' timing analysis with a cache folder."""

    def __init__(self, yosys: Yosys, cache: Path | None = None) -> None:
        """Raises ToolError if the cache folder cannot be made."""
        self.yosys, self.cache = yosys, cache or cache_folder() / "sta"
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ToolError(f"{error.filename}: {error.strerror}") from None
        remove_leftovers(self.cache)

    def script(self, job: StaJob) -> str:
        """The flow's own script, and the analysis behind it."""
        return job.flow.script(job.top, LIBERTY) + "delete */t:$scopeinfo\ntee -q -o sta.txt sta\n"

    def key(self, job: StaJob) -> str:
        """Hash of all that decides the answer."""
        files = [text for pair in job.files for text in pair]
        parts = [str(self.yosys), self.script(job), job.verilog, *files]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def run(self, job: StaJob) -> PreRoute:
        """The kept answer, or a new one. Raises ToolError."""
        file = self.cache / self.key(job)[:2] / f"{self.key(job)}.json"
        try:
            return PreRoute(**json.loads(file.read_text()))
        except (OSError, ValueError, TypeError):
            pass
        with work_folder(self.cache) as folder:
            for name, text in (("unit.v", job.verilog), *job.files):
                (folder / name).write_text(text)
            self.yosys.run(self.script(job), folder)
            try:
                cells = leaf_cells(json.loads((folder / "stat.json").read_text()), job.top)
                said = (folder / "sta.txt").read_text()
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                raise ToolError(f"Yosys ended without an error but left no timing of {job.name}") from None
            answer = PreRoute(read_sta(said, job.name), job.flow.resources(cells, None)["luts"])
            (folder / "kept").write_text(json.dumps({"ns": answer.ns, "luts": answer.luts}))
            file.parent.mkdir(exist_ok=True)
            (folder / "kept").replace(file)
        return answer

    def run_all(
        self, jobs: Mapping[str, StaJob], *, workers: int | None = None, done: Callable[[StaJob], None]
    ) -> dict[str, PreRoute | ToolError]:
        """All jobs in parallel -> answers by their own keys; see `in_parallel`."""
        return in_parallel(jobs, self.run, workers or os.cpu_count() or 1, done)


def read_sta(said: str, name: str) -> float:
    """The latest arrival in ns. Raises ToolError where cells have no times, or there is no path."""
    missing = re.search(r"Module '(\w+)' has no timing arcs|Cell type '([^']+)' not recognised", said)
    if missing is not None:
        raise ToolError(f"{name}: the timing analysis knows no times of {missing[1] or missing[2]}")
    found = _LATEST.search(said)
    if found is None:
        raise ToolError(f"{name}: the timing analysis found no path")
    return int(found[1]) / 1000
