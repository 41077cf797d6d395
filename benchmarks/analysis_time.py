"""Time and memory of one analysis next to fvcore's FlopCountAnalysis, in one process.

Both get the same model, already built, and the same input size. fvcore counts FLOPs by module and operator;
abcost traces, rewrites, classifies and prices on one target, printing nothing. The first call of each is
reported apart (it pays for what is loaded late), then the median of alternating calls. Time is CPU seconds on one
thread. Memory is the largest resident set during a call over what it was before, sampled every 2 ms.

    python benchmarks/analysis_time.py [--repeats N] [MODEL …]

MODEL: a name of the zoo, "transformer" (24 layers) or "chain" (1,000 convolutions); default: MODELS.
"""

from __future__ import annotations

import argparse
import gc
import logging
import statistics
import threading
import time
from collections.abc import Callable

import psutil
import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from abcost.core.inputs import InputSpec
from abcost.cost import CostTable
from abcost.cost.organisation import Lanes
from abcost.models.subject import Request, Subject, resolve
from abcost.pipeline import analyze_subject
from abcost.rewrite import RewriteOptions

MODELS = (
    "reactnet_a", "reactnet_18", "reactnet_34", "birealnet_18", "birealnet_34", "xnornet_18", "bnn_18", "transformer",
    "chain",
)  # fmt: skip
Measured = tuple[float, float]  # seconds, MB


class Chain(nn.Module):
    """1,000 convolutions of 4 channels, each with a ReLU: (N, 4, 8, 8) -> the same."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(1000))
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """One after the other."""
        for layer in self.layers:
            x = self.activation(layer(x))
        return x


def transformer() -> nn.Module:
    """24 encoder layers of width 384: (N, 128, 384) -> the same."""
    layer = nn.TransformerEncoderLayer(384, 6, 1536, batch_first=True)
    return nn.TransformerEncoder(layer, 24, enable_nested_tensor=False)


def subject_of(name: str) -> Subject:
    """The model with its input."""
    torch.manual_seed(0)
    own = {"transformer": (transformer, (1, 128, 384)), "chain": (Chain, (1, 4, 8, 8))}
    if name not in own:
        return resolve(Request(name))
    make, shape = own[name]
    return Subject(make(), name, None, (InputSpec(shape),), trained=True)


def measure(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> Measured:
    """Time by a clock, by default the wall's, and growth of the resident set while `call` runs."""
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
    start = clock()
    try:
        call()
    finally:
        seconds = clock() - start
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


def compare(name: str, repeats: int) -> dict[str, tuple[float, float, float]]:
    """Of both: CPU seconds of the first call, median of the others, MB."""
    subject, table = subject_of(name), CostTable.load("fpga-lut6")
    calls = {"abcost": ours(subject, table), "fvcore": theirs(subject)}
    found: dict[str, list[Measured]] = {tool: [] for tool in calls}
    for _ in range(repeats + 1):
        for tool, call in calls.items():
            found[tool].append(measure(call, time.thread_time))
    return {
        tool: (runs[0][0], statistics.median(s for s, _ in runs[1:]), max(m for _, m in runs))
        for tool, runs in found.items()
    }


def main() -> None:
    """Print both medians and their ratios."""
    logging.disable(logging.WARNING)  # fvcore warns about every operator that it does not count
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread, CPU seconds; first call, median, MB; abcost / fvcore")
    for name in options.models:
        found = compare(name, options.repeats)
        (_, ours_s, ours_mb), (_, theirs_s, theirs_mb) = found["abcost"], found["fvcore"]
        numbers = "   ".join(f"{a:.2f} {b:.3f} s {c:.0f} MB" for a, b, c in found.values())
        print(f"{name:14} {numbers}   time {ours_s / theirs_s:.2f}, memory {ours_mb / max(theirs_mb, 1):.2f}")


if __name__ == "__main__":
    main()
