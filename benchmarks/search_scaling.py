"""Trials per second with one worker and with two, in the same run: random candidates, each retrained for some epochs.

Both searches judge the same number of candidates from the same start; the time is that between the start of the first
trial and the end of the last, so that starting processes is not counted. Needs as many idle cores as workers.

A worker retrains up to eight candidates side by side, so that two share 32 evenly.

    python benchmarks/search_scaling.py [--executor processes|ray] [--trials 32] [--epochs 4]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from abcost.searching.explore import judged
from abcost.searching.storage import sqlite_url
from abcost.searching.studies import join

NETWORK = ["reactnet_18", "--data", "digits", "--base-width", "16", "--blocks", "2,2,2"]


def abcost(*arguments: str) -> None:
    """Run a command of abcost; raises CalledProcessError if it fails."""
    command = [sys.executable, "-c", "from abcost.cli import main; main()", *arguments]
    subprocess.run(command, check=True)  # noqa: S603 - our own command


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--executor", default="processes")
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        abcost("train", *NETWORK, "--epochs", "4", "--run-dir", str(folder / "start"))
        seconds = {}
        for workers in (1, 2):
            place = folder / f"{workers}"
            once = ["--epochs", str(arguments.epochs), "--keep", "1", "--seeds", "1", "--finalists", "1"]
            abcost(
                "search", *NETWORK, "--init", str(folder / "start" / "best.pt"), "--run-dir", str(place),
                "--trials", str(arguments.trials), *once, "--sampler", "random",
                "--workers", str(workers), "--executor", arguments.executor,
            )  # fmt: skip
            trials = judged(join(sqlite_url(place), "search").explore.get_trials(deepcopy=False))
            first = min(t.datetime_start for t in trials if t.datetime_start)
            last = max(t.datetime_complete for t in trials if t.datetime_complete)
            seconds[workers] = (last - first).total_seconds()
            print(f"{workers} worker(s): {len(trials)} trials in {seconds[workers]:.1f} s", flush=True)
        print(f"two workers are {seconds[1] / seconds[2]:.2f} times as fast as one ({arguments.executor})")


if __name__ == "__main__":
    main()
