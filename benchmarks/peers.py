"""abcost next to other tools: what each reports on the same models, what it does not see, time and memory.

Every measurement is a process of its own on one thread. `first` is the first call, with the tool's import; `again`
the median of three more; memory is the largest resident set of the process over what it was with torch and the
model loaded. What a tool sees is measured too: an operation is put behind a convolution, and the tool's own total
is compared. Exporting files for the tools that read QONNX is not part of their time.

    python benchmarks/peers.py            # writes reports/peers.md and reports/peers.csv, and prints the first
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import torch
from torch import nn

from abcost.models import build
from peer_tools import TOOLS, Held

REPORTS = Path(__file__).parents[1] / "reports"
MODELS = {
    "reactnet_18, 32x32": ("reactnet_18", "cifar", 10, (1, 3, 32, 32)),
    "reactnet_a, 224x224": ("reactnet_a", "imagenet", 1000, (1, 3, 224, 224)),
}
CHANNELS, SIZE = 8, 8
ELEMENTS = CHANNELS * SIZE * SIZE  # that an operation of a probe works on


class Probe(nn.Module):
    """A real or binary 3x3 convolution with a function or layer behind it."""

    def __init__(
        self, behind: Callable[[torch.Tensor], torch.Tensor] | None, *, binary: bool = False
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)
        if binary:
            self.conv.weight.data = torch.sign(self.conv.weight.data)
        self.binary, self.behind = binary, behind

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The convolution, of signs if it is binary, and what is behind it."""
        y: torch.Tensor = self.conv(torch.sign(x) if self.binary else x)
        return y if self.behind is None else self.behind(y)


def _prelu() -> nn.PReLU:
    layer = nn.PReLU(CHANNELS)
    layer.weight.data = torch.linspace(0.1, 0.3, CHANNELS)
    return layer


PROBES: dict[str, Callable[[], nn.Module]] = {
    "real conv": lambda: Probe(None),
    "binary conv": lambda: Probe(None, binary=True),
    "x * 0.3": lambda: Probe(lambda y: y * 0.3),
    "PReLU": lambda: Probe(_prelu()),
    "x + x": lambda: Probe(lambda y: y + y.flip(1)),
    "sign": lambda: Probe(torch.sign),
    "2x2 mean": lambda: Probe(nn.AvgPool2d(2)),
    "batch norm": lambda: Probe(nn.BatchNorm2d(CHANNELS)),
}


def made(name: str) -> Held:
    """A model of the zoo or a probe."""
    torch.manual_seed(0)
    if name in PROBES:
        return Held(PROBES[name]().eval(), (1, CHANNELS, SIZE, SIZE))
    network, stem, classes, shape = MODELS[name]
    return Held(build(network, variant="ab", step=2, stem=stem, num_classes=classes).eval(), shape)


def child(tool: str, model: str, file: str) -> dict[str, Any]:
    """One measurement, in this process."""
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    function, _, reads = TOOLS[tool]
    held = made(model)
    if reads == "file":
        held = Held(nn.Identity(), held.shape, Path(file))
    before = psutil.Process().memory_info().rss
    seconds = []
    for _ in range(1 if model in PROBES else 4):
        start = time.perf_counter()
        answer = function(held)
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # kB on Linux
    again = statistics.median(seconds[1:]) if seconds[1:] else None
    return {
        **asdict(answer),
        "first_s": seconds[0],
        "again_s": again,
        "memory_mb": max(0, peak - before) / 1e6,
    }


def write_file(model: str, file: Path) -> None:
    """The model as QONNX."""
    from qonnx_files import as_qonnx, export

    held = made(model)
    as_qonnx(export(held.model, held.shape, file.with_suffix(".plain.onnx"), optimize=True), file)


def run(arguments: Sequence[str]) -> str:
    """This script in a process of its own; its last line. Raises RuntimeError with the last line of its complaint."""
    done = subprocess.run(  # noqa: S603 - our own interpreter and script
        [sys.executable, __file__, *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return (done.stdout.strip().splitlines() or [""])[-1]


def measure() -> pd.DataFrame:
    """A row for each model (or probe) and tool."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, model in enumerate([*MODELS, *PROBES]):
            file = str(Path(folder) / f"{number}.onnx")
            run(["--export", model, file])
            for tool, (_, package, _) in TOOLS.items():
                print(f"{model}: {tool}", file=sys.stderr)
                found = json.loads(run(["--measure", tool, model, file]))
                found["split"] = "; ".join(
                    f"{name} {count:,.0f}" for name, count in found["split"].items() if count
                )
                rows.append(
                    {"model": model, "tool": tool, "version": importlib.metadata.version(package), **found}
                )
    return pd.DataFrame(rows)


def read(file: Path) -> pd.DataFrame:
    """The table that was measured."""
    return pd.read_csv(file).fillna({"split": ""})


def sees(table: pd.DataFrame) -> list[str]:
    """Markdown rows: by how much the tool's own total grows for each operation, per element it works on."""
    lines = [
        f"| tool | binary conv told from real | {' | '.join(list(PROBES)[2:])} |",
        "|---" * len(PROBES) + "|",
    ]
    for tool in TOOLS:
        own = table[table.tool == tool].set_index("model")
        real, binary = own.loc["real conv"], own.loc["binary conv"]
        told = "yes" if real.split != binary.split or real.total != binary.total else "no"
        grown = [(own.loc[probe].total - real.total) / ELEMENTS for probe in list(PROBES)[2:]]
        lines.append(
            f"| {tool} | {told} | {' | '.join('0, missed' if g == 0 else f'{g:+.3g}' for g in grown)} |"
        )
    return lines


def _line(row: dict[Any, Any]) -> str:
    """A row of a model's table."""
    parameters = float(str(row["parameters"]))
    known = "not reported" if isnan(parameters) else f"{parameters:,.0f}"
    return (
        f"| {row['tool']} {row['version']} | {row['total']:,.0f} {row['unit']} | {row['macs']:,.0f} | {known} "
        f"| {row['first_s']:.2f} s | {row['again_s']:.2f} s | {row['memory_mb']:.0f} MB |"
    )


def text(table: pd.DataFrame) -> str:
    """The report in Markdown."""
    torch_version = table[table.tool == "FlopCounterMode"].version.iloc[0]
    lines = [
        "# Peers, side by side",
        "",
        "Written by `make peers` (`benchmarks/peers.py`); raw rows in `peers.csv`. One process on one thread for each",
        f"measurement, torch {torch_version}. `first` is the first call, with the tool's import, `again` the median of",
        "three more; memory is the largest resident set over that with torch and the model loaded. MACs are the tool's",
        "own figure, halved where it counts two for each. Parameters by qonnx are those of dot products. abcost reads",
        "the same QONNX file as qonnx, as optimised by torch.",
    ]
    for model in MODELS:
        lines += ["", f"## {model}", "", "| tool | reports | MACs | parameters | first | again | memory |"]
        lines += ["|---" * 7 + "|", *(_line(row) for row in table[table.model == model].to_dict("records"))]
        ours = table[(table.model == model) & (table.tool == "abcost")].iloc[0]
        theirs = table[(table.model == model) & (table.tool == "qonnx")].iloc[0]
        lines += ["", f"abcost splits its figure: {ours.split}.", f"qonnx splits its own: {theirs.split}."]
    lines += [
        "",
        "## What each tool sees",
        "",
        "Growth of the tool's own total, per element, when the operation is put behind a 3x3 convolution of",
        f"{CHANNELS} channels; in a network of A&B BNN, `x * 0.3` is the scale beta or alpha. Who reads a file does",
        "not see what the exporter folded into something else (batch norm). That the multiplications of a PReLU can",
        "be shifts is a question that only abcost asks: see the stages of `abcost analyze`. ptflops' default backend",
        "counts the plain nn.Conv2d of the probes, but not the subclasses of it in the networks above.",
        "",
        *sees(table),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure everything, or one thing for the parent process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--measure", nargs=3, metavar=("TOOL", "MODEL", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--render", action="store_true", help="write the text anew from the table")
    parser.add_argument("--export", nargs=2, metavar=("MODEL", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(child(*arguments.measure)))
    elif arguments.export:
        write_file(arguments.export[0], Path(arguments.export[1]))
    else:
        if not arguments.render:
            measure().to_csv(REPORTS / "peers.csv", index=False)
        report = text(read(REPORTS / "peers.csv"))
        (REPORTS / "peers.md").write_text(report, encoding="utf-8")
        print(report)


if __name__ == "__main__":
    main()
