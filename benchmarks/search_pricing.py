"""Candidates priced per second, next to a full analysis of each in the same run.

Random sets of up to four exponents for every PReLU of a network, organised for a device and frames per second. Set-up
and the first batch, which meets every combination of sets for the first time, are timed apart; the rate is of a second
batch. The peer is `abcost analyze` without tracing: price and organise the rewritten graph of one candidate.

    python benchmarks/search_pricing.py [--model reactnet_a] [--preset imagenet] [--candidates 20000]
"""

from __future__ import annotations

import argparse
import random
import time

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

WHOLE = 5  # analyses of the peer
SINGLE, WARM = (
    60,
    6,
)  # candidates priced one by one by a new pricer; those at first, which meet most for the first time


def main() -> None:
    """Print set-up, rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="reactnet_a")
    parser.add_argument("--preset", default="imagenet")
    parser.add_argument("--device", default="xczu9eg")
    parser.add_argument("--fps", type=float, default=60.0)
    parser.add_argument("--candidates", type=int, default=20_000)
    arguments = parser.parse_args()
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
