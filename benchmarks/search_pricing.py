"""Candidates priced per second, next to a full analysis of each in the same run.

Random sets of up to four exponents for every PReLU of a network, organised for a device and frames per second. Set-up
and the first batch, which meets every combination of sets for the first time, are timed apart; the rate is of a second
batch. The peer is `abcost analyze` without tracing: price and organise the rewritten graph of one candidate.

    python benchmarks/search_pricing.py [--model reactnet_a] [--preset imagenet] [--candidates 20000]
    python benchmarks/search_pricing.py --against OTHER    this benchmark of both checkouts in turns, and the ratios
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from abcost.accelerator.devices import device
from abcost.accelerator.solve import Wishes
from abcost.accelerator.variants import offering
from abcost.core.edit import Edit
from abcost.core.kinds import OpKind
from abcost.cost.organisation import Lanes
from abcost.cost.table import CostTable
from abcost.models.subject import Request, resolve
from abcost.pipeline import stage_graphs
from abcost.rewrite import RewriteOptions
from abcost.searching.pricing import Hardware, Pricer, quantities
from abcost.searching.space import Space, groups_of

HERE = Path(__file__).resolve().parents[1]
ORGANISED = re.compile(r" fps: .*first batch ([\d.]+) s, then ([\d,]+) candidates/s")
WHOLE = 5  # analyses of the peer
SINGLE, WARM = (
    60,
    6,
)  # candidates priced one by one by a new pricer; those at first, which meet most for the first time


def of_checkout(root: Path) -> tuple[float, float]:
    """CPU seconds of the first batch, and microseconds of a further candidate, on a device. One thread."""
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "benchmarks/search_pricing.py"]
    done = subprocess.run(program, cwd=root, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    found = ORGANISED.search(done.stdout)
    if found is None:
        raise SystemExit(f"{root}: no line of a device in what its benchmark prints")
    return float(found[1]), 1e6 / float(found[2].replace(",", ""))


def against(other: Path) -> None:
    """Print both checkouts in turns, other, ours, other, ours, and the ratios of their sums."""
    theirs, ours = [], []
    for _ in range(2):
        theirs.append(of_checkout(other))
        ours.append(of_checkout(HERE))
        for name, (first, further) in (("other", theirs[-1]), ("here", ours[-1])):
            print(f"{name}: first batch {first:.1f} s, a further candidate {further:.1f} us", flush=True)
    for what, mine, its in zip(
        ("first batch", "a further candidate"),
        zip(*ours, strict=True),
        zip(*theirs, strict=True),
        strict=True,
    ):
        print(f"{what}: {sum(mine) / sum(its):.3f} times the CPU time")


def main() -> None:
    """Print set-up, rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="reactnet_a")
    parser.add_argument("--preset", default="imagenet")
    parser.add_argument("--device", default="xczu9eg")
    parser.add_argument("--fps", type=float, default=60.0)
    parser.add_argument("--candidates", type=int, default=20_000)
    parser.add_argument("--against", type=Path, help="another checkout")
    arguments = parser.parse_args()
    if arguments.against is not None:
        against(arguments.against.resolve())
        return
    torch.set_num_threads(1)
    subject = resolve(Request(arguments.model, preset=arguments.preset))
    graph = stage_graphs(subject.model, subject.inputs, RewriteOptions()).stages[-1].graph
    space = Space(groups_of(graph, "layer"))
    wishes = Wishes(device(arguments.device), arguments.fps)
    for name, organised in (
        ("units of every node", None),
        (f"{arguments.device}, {arguments.fps:g} fps", wishes),
    ):
        hardware = Hardware(CostTable.load("fpga-lut6"), 16, Lanes(), organised)
        start = time.process_time()
        pricer = Pricer(graph, space, hardware)
        setup = time.process_time() - start
        structures = len(set(pricer.encode([space.uniform(s) for s in space.sets()])[:, 0]))
        batch = np.random.default_rng(0).integers(0, structures, (arguments.candidates, len(space.groups)))
        times = []
        for _ in range(2):
            start = time.process_time()
            pricer.price_encoded(batch)
            times.append(time.process_time() - start)
        alone = Pricer(graph, space, hardware)
        one_by_one = []
        for row in np.random.default_rng(1).integers(0, structures, (SINGLE, len(space.groups))):
            start = time.process_time()
            alone.price_encoded(row[None])
            one_by_one.append(time.process_time() - start)
        single = float(np.median(one_by_one[WARM:]))
        generator = random.Random(0)  # noqa: S311 - a sample
        start = time.process_time()
        for _ in range(WHOLE):
            sets = space.layers(space.random(generator))
            edit = Edit(graph)
            for node in graph.of_kind(OpKind.SHIFT_PRELU):
                edit.replace(node, attrs=offering(node, sets[node.layer]).attrs)
            quantities(edit.freeze(), hardware)
        whole = (time.process_time() - start) / WHOLE
        rate = arguments.candidates / times[1]
        print(
            f"{arguments.model}, {len(space.groups)} PReLUs, {name}: "
            f"set-up {setup:.1f} s, first batch {times[0]:.1f} s, "
            f"then {rate:,.0f} candidates/s of one core; a single new one {single * 1e3:.1f} ms (median); "
            f"one whole analysis {whole * 1e3:.0f} ms: {rate * whole:,.0f}x"
        )


if __name__ == "__main__":
    main()
