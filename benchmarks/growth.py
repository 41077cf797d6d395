"""Does the analysis grow with the network, and no faster? Time and memory against depth and width.

ReActNet-18 with 1 to 30 times its sixteen blocks, and with a quarter of to twice its channels, at CIFAR size, each in
a process of its own: the model is built first, then analyzed on fpga-lut6. Seconds are the analysis alone, without
loading torch; memory is the largest resident set during it over what it was before. The ratio is that to the base
network over that of the sizes: 1.00 is linear, more is worse. Written to reports/growth.md.

    python benchmarks/growth.py [--most 30] [--output reports]

Base width 16 for depths, so that thirty times the blocks fit into memory. fvcore runs on the same models.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from abcost.cost import CostTable
from abcost.models.subject import Request, resolve
from abcost.training.files import write_text
from analysis_time import measure, ours, theirs

DEPTHS = (1, 2, 5, 10, 20, 30)
WIDTHS = (16, 32, 64, 128)
BLOCKS = 4  # per stage, of the base network
NARROW = 16
REPEATS = 3  # the least counts: what else runs on the machine only adds


def one(depth: int, width: int) -> dict[str, float]:
    """Least time and most memory of both tools on one network, in this process."""
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    request = Request("reactnet_18", preset="cifar10", base_width=width, blocks=(BLOCKS * depth,) * 4)
    subject = resolve(request)
    table = CostTable.load("fpga-lut6")
    small = resolve(Request("reactnet_18", preset="cifar10", base_width=width, blocks=(1, 1, 1, 1)))
    found: dict[str, float] = {}
    for name, make in (("abcost", lambda s: ours(s, table)), ("fvcore", theirs)):
        make(small)()  # what torch loads late
        runs = [measure(make(subject)) for _ in range(REPEATS)]
        found[f"{name}_s"] = min(seconds for seconds, _ in runs)
        found[f"{name}_mb"] = max(mb for _, mb in runs)
    return found


def apart(depth: int, width: int) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--one", str(depth), str(width)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - ourselves
    found: dict[str, float] = json.loads(done.stdout)
    return found


def table(title: str, sizes: Sequence[tuple[str, float, dict[str, float]]]) -> str:
    """Markdown: seconds and MB, and the growth over the first row's."""
    _, first, base = sizes[0]
    lines = [
        f"## {title}\n",
        "| network | abcost, s | growth / size | abcost, MB | growth / size | fvcore, s | fvcore, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, size, found in sizes:
        by_time = found["abcost_s"] / base["abcost_s"] / (size / first)
        by_memory = found["abcost_mb"] / max(1.0, base["abcost_mb"]) / (size / first)
        lines.append(
            f"| {name} | {found['abcost_s']:.2f} | {by_time:.2f} | {found['abcost_mb']:.0f} | {by_memory:.2f} | "
            f"{found['fvcore_s']:.2f} | {found['fvcore_mb']:.0f} |"
        )
        print(lines[-1], flush=True)
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure all networks, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--one", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--most", type=int, default=DEPTHS[-1])
    parser.add_argument("--output", type=Path, default=Path("reports"))
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(*arguments.one)))
        return
    deep = [(f"{16 * d} blocks", d, apart(d, NARROW)) for d in DEPTHS if d <= arguments.most]
    wide = [(f"{w} channels", (w / WIDTHS[0]) ** 2, apart(1, w)) for w in WIDTHS]
    text = (
        "# Analysis against the size of the network\n\n"
        f"Written by `python benchmarks/growth.py`: least of {REPEATS} runs for time, most for memory, one thread. "
        "ReActNet-18 at CIFAR size on fpga-lut6. Growth / size: 1.00 is linear.\n\n"
        + table(f"Depth, {NARROW} channels in the first stage", deep)
        + "\n"
        + table("Width, 16 blocks; size is the number of weights, which grow with the square", wide)
    )
    write_text(arguments.output / "growth.md", text)


if __name__ == "__main__":
    main()
