"""What people wait for besides their question: imports, tracing, checks, saving. Writes reports/fixed_work.md.

    git worktree add ../baseline 3e284d1
    OMP_NUM_THREADS=1 python benchmarks/fixed_work.py ../baseline

Three ratios, in CPU seconds (user and system) on one thread and in peak resident memory, of whole processes:

a. `abcost analyze reactnet_a --target fpga-lut6` here to that of the other checkout, in turn (A B A B)
b. batches (forward, backward, step) of `abcost train … --data digits --epochs 4` to the whole process
c. an analysis to fvcore's FlopCountAnalysis, model by model, in process (`analysis_time.py`)
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
REPORT = HERE / "reports" / "fixed_work.md"
ANALYSIS = ("analyze", "reactnet_a", "--target", "fpga-lut6")
SMALL = ("--base-width", "16", "--blocks", "2,2,2")  # of the README's first training
TRAININGS = {"base width 16, blocks 2,2,2": SMALL, "as published": ()}
COMMAND = "import sys; from abcost.cli import main; sys.argv[0] = 'abcost'; main()"
TRAINING = """
import sys, time
from abcost.cli import main
from abcost.training import loop
spent, batch = 0.0, loop._Trainer._batch

def timed(*arguments):
    global spent
    begun = time.process_time()
    try:
        return batch(*arguments)
    finally:
        spent += time.process_time() - begun

loop._Trainer._batch = timed
sys.argv[0] = "abcost"
try:
    main()
finally:
    print(spent, file=sys.stderr)
"""
FLOOR = {"python": "pass", "numpy": "import numpy", "torch": "import torch"}


def process(code: str, *arguments: str, root: Path = HERE) -> tuple[float, float, str]:
    """CPU seconds and peak MB of a Python process of its own, and what it wrote on stderr."""
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as errors:
        command = [sys.executable, "-c", code, *arguments]
        started = subprocess.Popen(  # noqa: S603 - our own program
            command, cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=errors
        )
        _, status, used = os.wait4(started.pid, 0)
        started.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        said = errors.read()
    if started.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {started.returncode}: {said[-500:]}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, said


def analysis(baseline: Path, rounds: int) -> list[str]:
    """a: rows of both sides and their ratio."""
    sides: dict[str, list[tuple[float, float]]] = {"baseline": [], "here": []}
    for _ in range(rounds):
        for side, root in (("baseline", baseline), ("here", HERE)):
            sides[side].append(process(COMMAND, *ANALYSIS, root=root)[:2])
    seconds, mb = (
        {side: statistics.mean(run[i] for run in runs) for side, runs in sides.items()} for i in (0, 1)
    )
    lines = [f"| {side} | {seconds[side]:.2f} | {mb[side]:.0f} |" for side in sides]
    ratios = [measured["here"] / measured["baseline"] for measured in (seconds, mb)]
    return [
        "| | CPU s | peak MB |",
        "|---|---|---|",
        *lines,
        "| **ratio** | **{:.2f}** | **{:.2f}** |".format(*ratios),
    ]


def floor() -> list[str]:
    """What is left when nothing is asked."""
    rows = []
    for name, code in FLOOR.items():
        seconds, mb, _ = process(code)
        rows.append(f"| {name} | {seconds:.2f} | {mb:.0f} |")
    return ["| import | CPU s | peak MB |", "|---|---|---|", *rows]


def trainings(names: list[str]) -> list[str]:
    """b: the share of batches, for each network."""
    rows = [
        "| reactnet_18, both steps, 4 epochs each | CPU s | of which batches | **share** |",
        "|---|---|---|---|",
    ]
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            arguments = ("train", "reactnet_18", "--data", "digits", *TRAININGS[name], "--epochs", "4")
            seconds, _, said = process(TRAINING, *arguments, "--seed", "0", "--run-dir", f"{folder}/run")
        batches = float(said.split()[-1])
        rows.append(f"| {name} | {seconds:.1f} | {batches:.1f} | **{100 * batches / seconds:.0f} %** |")
    return rows


def against_fvcore(repeats: int) -> list[str]:
    """c: a row for each model."""
    import torch  # noqa: PLC0415 - a child's peak of memory begins with what its parent has

    from analysis_time import MODELS, compare  # noqa: PLC0415 - as above

    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    rows = ["| model | abcost, CPU s | fvcore, CPU s | **ratio** |", "|---|---|---|---|"]
    for name in MODELS:
        found = compare(name, repeats)
        ours, theirs = found["abcost"][1], found["fvcore"][1]
        rows.append(f"| {name} | {ours:.3f} | {theirs:.3f} | **{ours / theirs:.2f}** |")
    return rows


def machine() -> str:
    """Processor, versions, date."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        processor = next(line.split(": ")[1] for line in text.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.machine()
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("torch", "numpy", "fvcore")
    )
    return f"{processor}, one thread; Python {platform.python_version()}, {versions}; {time.strftime('%Y-%m-%d')}."


def main() -> None:
    """Print the three, and write them down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("baseline", type=Path, help="root of the other checkout")
    parser.add_argument("--rounds", type=int, default=3, help="of A B")
    parser.add_argument("--trainings", nargs="*", default=list(TRAININGS), choices=list(TRAININGS))
    options = parser.parse_args()
    lines = [
        "# Fixed work",
        "",
        "Written by `benchmarks/fixed_work.py`, which says what is measured.",
        "",
        machine(),
        "",
        "## `abcost analyze reactnet_a --target fpga-lut6`, a whole process, against 3e284d1",
        "",
        *analysis(options.baseline.resolve(), options.rounds),
        "",
        "What is left when nothing is asked:",
        "",
        *floor(),
        "",
        "## Batches in `abcost train --data digits --epochs 4`, a whole process",
        "",
        *trainings(options.trainings),
        "",
        "## An analysis in process, against fvcore's FlopCountAnalysis",
        "",
        *against_fvcore(repeats=5),
        "",
    ]
    REPORT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
