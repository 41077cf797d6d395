"""Candidates per core second of `abcost search` with retrainings side by side, next to another checkout.

Both checkouts search digits from the same start with one worker: random candidates, each retrained for some epochs.
What a candidate takes is the difference between two searches that differ in the number of candidates only, so that
starting and the finals are not counted; in seconds of user and system time of all processes, on one thread, in turns
(other, ours, other, ours).

    python benchmarks/grouped_training.py OTHER [--group 8] [--epochs 4] [--networks 16:2,2,2 8:1,1]
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parents[1]
FEW, MANY = 8, 32  # candidates
TURNS = 2
WANTED = {"16:2,2,2": 1.8, "8:1,1": 2.5}


def abcost(checkout: Path, *arguments: str) -> float:
    """CPU seconds of a command of a checkout. Raises CalledProcessError if it fails."""
    command = [sys.executable, "-c", "from abcost.cli import main; main()", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # python -c and -m look for modules in the current folder first: hence cwd
    subprocess.run(  # noqa: S603
        command,
        check=True,
        cwd=checkout,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def seconds_per_candidate(
    checkout: Path, network: list[str], start: Path, epochs: int, more: list[str]
) -> float:
    """Of the candidates between the first `FEW` and `MANY`."""
    once = ["--keep", "1", "--sampler", "random", "--seeds", "1", "--finalists", "1", "--workers", "1", *more]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for trials in (FEW, MANY):
            place = ["--init", str(start), "--run-dir", f"{folder}/{trials}"]
            asked = ["--trials", str(trials), "--epochs", str(epochs)]
            found[trials] = abcost(checkout, "search", *network, *place, *asked, *once)
    return (found[MANY] - found[FEW]) / (MANY - FEW)


def main() -> None:
    """Print CPU seconds per candidate of both checkouts, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", type=Path, help="another checkout, for its package abcost")
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--networks", nargs="+", default=list(WANTED), help="base width:blocks")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, torch {torch.__version__}, Python {platform.python_version()}")
    for name in arguments.networks:
        width, _, blocks = name.partition(":")
        network = ["reactnet_18", "--data", "digits", "--base-width", width, "--blocks", blocks]
        other, ours = [], []
        with tempfile.TemporaryDirectory() as folder:
            abcost(HERE, "train", *network, "--epochs", "3", "--run-dir", f"{folder}/start")
            start = Path(folder) / "start" / "best.pt"
            for _ in range(TURNS):
                other.append(
                    seconds_per_candidate(arguments.other.resolve(), network, start, arguments.epochs, [])
                )
                more = ["--group", str(arguments.group)]
                ours.append(seconds_per_candidate(HERE, network, start, arguments.epochs, more))
                print(f"{name}: {other[-1]:.3f} s in the other checkout, {ours[-1]:.3f} s here", flush=True)
        ratio = sum(other) / sum(ours)
        wanted = f", wanted {WANTED[name]}" if name in WANTED else ""
        print(f"{name}: {ratio:.2f} times the candidates per core second{wanted}", flush=True)


if __name__ == "__main__":
    main()
