"""Accuracy with `--precision bf16-backward` next to that of 32: the same seeds with both, and a paired test.

The short recipes of digits and mnist5k, the binary step from random weights, a small ReActNet-18. Both trainings of a
seed start from the same weights and see the same images in the same order; a difference of test top-1 is what the
roundings of gradients came to. "Worse" is a one-sided paired t-test at 5 %, chosen before anything was measured;
Wilcoxon's signed ranks are printed beside it. Finished trainings in the folder are not repeated.

    python benchmarks/backward_accuracy.py [--run-dir DIR] [--data digits mnist5k] [--seeds 8] [--epochs N]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from scipy import stats

from abcost.training import run
from abcost.training.recipes import configs

MODEL, NETWORK = "reactnet_18", {"base_width": 16, "blocks": (2, 2, 2)}
PRECISIONS = ("32", "bf16-backward")
LEVEL = 0.05


def top1(folder: Path, data: str, precision: str, seed: int, epochs: int | None) -> float:
    """Test top-1 in percent of one training, on one thread."""
    given = {
        **NETWORK, "data": data, "precision": precision, "seed": seed, "threads": 1, "accelerator": "cpu",
        **({} if epochs is None else {"epochs": epochs}),
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    held = run.stored(folder) is not None
    found = run.train(configs(MODEL, (2,), given=given), folder, resume=held)
    return 100 * float(found["test_top1"])


def verdict(single: Sequence[float], rounded: Sequence[float]) -> str:
    """Mean difference with its 95 % interval, both tests, and whether the second is worse."""
    differences = [new - old for old, new in zip(single, rounded, strict=True)]
    test = stats.ttest_rel(rounded, single, alternative="less")
    low, high = stats.ttest_rel(rounded, single).confidence_interval(1 - LEVEL)
    ranks = stats.wilcoxon(rounded, single, alternative="less").pvalue if any(differences) else 1.0
    word = "worse" if test.pvalue < LEVEL else "not worse"
    return (
        f"mean difference {statistics.fmean(differences):+.2f} points (95 % interval {low:+.2f} to {high:+.2f}); "
        f"one-sided paired t-test p = {test.pvalue:.3f}, signed ranks p = {ranks:.3f}: {word}"
    )


def main() -> None:
    """Print a table and a verdict per data set."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run-dir", type=Path, help="keep the trainings there")
    parser.add_argument("--data", nargs="+", default=["digits", "mnist5k"])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--epochs", type=int, help="default: as documented for the data set")
    arguments = parser.parse_args()
    print(
        f"torch {torch.__version__}, {MODEL} of base width 16, blocks 2,2,2, step 2, seeds 0 to {arguments.seeds - 1}"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.run_dir or Path(temporary)
        for data in arguments.data:
            found: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
            begun = time.process_time()
            for seed in range(arguments.seeds):
                for precision in PRECISIONS:
                    place = folder / data / precision / str(seed)
                    found[precision].append(top1(place, data, precision, seed, arguments.epochs))
            for precision, values in found.items():
                each = ", ".join(f"{value:.2f}" for value in values)
                spread = f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}"
                print(f"{data}, {precision}: top-1 {spread} (seed by seed: {each})")
            print(f"{data}: {verdict(found['32'], found['bf16-backward'])}")
            print(f"{data}: {time.process_time() - begun:.0f} CPU seconds", flush=True)


if __name__ == "__main__":
    main()
