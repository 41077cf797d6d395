"""Time and memory of one analysis next to fvcore's FlopCountAnalysis, in one process.

Both get the same model, already built, and the same input size. fvcore counts FLOPs by module and operator;
abcost traces, rewrites, classifies and prices on one target, printing nothing. The first call of each is
reported apart (it pays for what torch loads late), then the median of alternating calls. Memory is the
largest resident set during a call over what it was before, sampled every 2 ms.

    python benchmarks/analysis_time.py [model] [repeats]
"""

from __future__ import annotations

import gc
import logging
import statistics
import sys
import threading
import time
from collections.abc import Callable

import psutil
import torch
from fvcore.nn import FlopCountAnalysis

from abcost.cost import CostTable
from abcost.cost.organisation import Lanes
from abcost.models.subject import Request, Subject, resolve
from abcost.pipeline import analyze_subject
from abcost.rewrite import RewriteOptions

Measured = tuple[float, float]  # seconds, MB


def measure(call: Callable[[], object]) -> Measured:
    """Wall time and growth of the resident set while `call` runs."""
    gc.collect()
    process = psutil.Process()
    before = largest = process.memory_info().rss
    done = threading.Event()

    def watch() -> None:
        nonlocal largest
        while not done.wait(0.002):
            largest = max(largest, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        call()
    finally:
        seconds = time.perf_counter() - start
        done.set()
        watcher.join()
    return seconds, (largest - before) / 1e6


def ours(subject: Subject, table: CostTable) -> Callable[[], object]:
    """Trace, rewrite, classify, price."""
    return lambda: analyze_subject(
        subject, [table], width=None, organisation=Lanes(), rewriting=RewriteOptions()
    )


def theirs(subject: Subject) -> Callable[[], object]:
    """FLOPs by module and operator."""

    def call() -> object:
        inputs = torch.zeros(subject.inputs[0].shape)
        analysis = FlopCountAnalysis(subject.model.eval(), inputs)
        return analysis.by_module(), analysis.by_module_and_operator()

    return call


def main() -> None:
    """Print both medians and their ratios."""
    logging.disable(logging.WARNING)  # fvcore warns about every operator that it does not count
    model = sys.argv[1] if len(sys.argv) > 1 else "reactnet_a"
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    subject, table = resolve(Request(model)), CostTable.load("fpga-lut6")
    calls = {"abcost": ours(subject, table), "fvcore": theirs(subject)}
    found: dict[str, list[Measured]] = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            found[name].append(measure(call))
    print(
        f"{model}, input {subject.inputs[0].text}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    print(f"{'':8} {'first call':>12} {'median':>10} {'memory':>10}")
    seconds = {name: statistics.median(s for s, _ in runs[1:]) for name, runs in found.items()}
    memory = {name: max(m for _, m in runs) for name, runs in found.items()}
    for name, runs in found.items():
        print(f"{name:8} {runs[0][0]:10.2f} s {seconds[name]:8.2f} s {memory[name]:7.0f} MB")
    time_ratio, memory_ratio = seconds["abcost"] / seconds["fvcore"], memory["abcost"] / memory["fvcore"]
    print(f"abcost / fvcore: time {time_ratio:.2f}, memory {memory_ratio:.2f}")


if __name__ == "__main__":
    main()
