"""Candidates priced per second, next to a full analysis of each in the same run.

Random sets of up to four exponents for every PReLU of a network, organised for a device and frames per second. Set-up
and the first batch, which meets every combination of sets for the first time, are timed apart; the rate is of a second
batch. The peer is `abcost analyze` without tracing: price and organise the rewritten graph of one candidate.

    python benchmarks/search_pricing.py [--model reactnet_a] [--preset imagenet] [--candidates 20000]
    python benchmarks/search_pricing.py --against OTHER    this benchmark of both checkouts in turns, and the ratios;
                                                           --report adds a run to reports/search_pricing.md
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from abcost.accelerator.devices import device
from abcost.accelerator.solve import AcceleratorGoal
from abcost.accelerator.variants import offering
from abcost.core.edit import Edit
from abcost.core.kinds import OpKind
from abcost.cost.organisation import Lanes
from abcost.cost.table import CostTable
from abcost.models.subject import Request, resolve
from abcost.pipeline import stage_graphs
from abcost.rewrite import RewriteOptions
from abcost.searching.pricing import PricingHardware, SpacePricer, quantities
from abcost.searching.space import Space, groups_of
from fixed_work import machine

HERE = Path(__file__).resolve().parents[1]
ORGANISED = re.compile(
    r" fps: .*first batch ([\d.]+) s, then ([\d,]+) candidates/s(?:.*a single new one ([\d.]+) ms)?"
)
REPORT = HERE / "reports" / "search_pricing.md"
FIRST, SINGLE_S = 0.1, 0.02
"""Wanted: of the other checkout's CPU time of a first batch; CPU seconds of a single new candidate."""
WHOLE = 5  # analyses of the peer
SINGLE, WARM = (
    60,
    6,
)  # candidates priced one by one by a new pricer; those at first, which meet most for the first time


def of_checkout(root: Path) -> tuple[float, float, float]:
    """Seconds of the first batch, microseconds of a further candidate, milliseconds of a single new one, on a device.

    CPU time of one thread; NaN where the checkout does not say.
    """
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "benchmarks/search_pricing.py"]
    done = subprocess.run(program, cwd=root, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    found = ORGANISED.search(done.stdout)
    if found is None:
        raise SystemExit(f"{root}: no line of a device in what its benchmark prints")
    return float(found[1]), 1e6 / float(found[2].replace(",", "")), float(found[3] or "nan")


def against(other: Path, report: Path | None) -> None:
    """Print both checkouts in turns, other, ours, other, ours, and the ratios of their sums; add them to a report."""
    theirs: list[tuple[float, float, float]] = []
    ours: list[tuple[float, float, float]] = []
    for _ in range(2):
        for name, root, found in (("other", other, theirs), ("here", HERE, ours)):
            found.append(of_checkout(root))
            batch, each, new = found[-1]
            said = (
                f"first batch {batch:.1f} s, a further candidate {each:.1f} us, a single new one {new:.1f} ms"
            )
            print(f"{name}: {said}", flush=True)
    (first, its_first), (further, its_further) = (
        ([run[i] for run in ours], [run[i] for run in theirs]) for i in range(2)
    )
    single = sum(run[2] for run in ours) / len(ours) / 1e3
    ratios = sum(first) / sum(its_first), sum(further) / sum(its_further)
    print(f"first batch: {ratios[0]:.3f} times the CPU time (wanted {FIRST})")
    print(f"a further candidate: {ratios[1]:.3f} times the CPU time")
    print(f"a single new one: {single:.4f} s (wanted {SINGLE_S})")
    if report is not None:
        columns = (its_first, first, its_further, further)
        a, b, c, d = (", ".join(f"{value:.1f}" for value in column) for column in columns)
        add(
            report, (a, b, f"**{ratios[0]:.3f}**", c, d, f"{ratios[1]:.2f}", f"**{single:.4f} s**", machine())
        )


def add(report: Path, cells: Sequence[str]) -> None:
    """A row more; the head where there is no report yet."""
    head = f"""# Candidates priced on a device

`python benchmarks/search_pricing.py --against ../baseline --report`, a row each time: ReActNet-A on an xczu9eg at
60 frames/s, other checkout (3e284d1) and this one in turns, twice, CPU time of one thread. Wanted: a first batch of
20,000 candidates in {FIRST} times the CPU time, a single new candidate in {SINGLE_S} s (median of {SINGLE - WARM}).

| first batch, s: other | here | ratio | a further candidate, us: other | here | ratio | a single new one | machine |
|---|---|---|---|---|---|---|---|
"""
    text = report.read_text(encoding="utf-8") if report.exists() else head
    report.write_text(f"{text}| {' | '.join(cells)} |\n", encoding="utf-8")


def main() -> None:
    """Print set-up, rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="reactnet_a")
    parser.add_argument("--preset", default="imagenet")
    parser.add_argument("--device", default="xczu9eg")
    parser.add_argument("--fps", type=float, default=60.0)
    parser.add_argument("--candidates", type=int, default=20_000)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--report", action="store_true", help=f"with --against: a row more in {REPORT.name}")
    arguments = parser.parse_args()
    if arguments.against is not None:
        against(arguments.against.resolve(), REPORT if arguments.report else None)
        return
    torch.set_num_threads(1)
    subject = resolve(Request(arguments.model, preset=arguments.preset))
    graph = stage_graphs(subject.model, subject.inputs, RewriteOptions()).stages[-1].graph
    space = Space(groups_of(graph, "layer"))
    goal = AcceleratorGoal(device(arguments.device), arguments.fps)
    for name, accelerator in (
        ("units of every node", None),
        (f"{arguments.device}, {arguments.fps:g} fps", goal),
    ):
        hardware = PricingHardware(CostTable.load("fpga-lut6"), 16, Lanes(), accelerator)
        start = time.process_time()
        pricer = SpacePricer(graph, space, hardware)
        setup = time.process_time() - start
        structures = len(set(pricer.encode([space.uniform(s) for s in space.sets()])[:, 0]))
        batch = np.random.default_rng(0).integers(0, structures, (arguments.candidates, len(space.groups)))
        times = []
        for _ in range(2):
            start = time.process_time()
            pricer.price_encoded(batch)
            times.append(time.process_time() - start)
        alone = SpacePricer(graph, space, hardware)
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
