"""Graphs of adders as Yosys maps them, next to what the table's laws say, and to popcounts.

    python benchmarks/adder_graphs.py [CHECKPOINT]      ten minutes with the Yosys of PyPI; answers are kept

A layer of 64 x 64 random signs on bits as one module without registers, next to popcounts with the same weights; and
stem and classifier of ReActNet-18 on digits (base width 16, blocks 2,2,2; of a checkpoint, or as initialised), 12
fraction bits, values of 16 bits. Of those some adders of the graph, evenly taken, are mapped one by one, as they stand
in engines, where a register is behind each and synthesis keeps them apart. As one module Yosys makes sums of several
operands of adders that one other reads: the stem takes more LUTs then.

The law is the sum over the adders of the ECP5 table's figure for one of that width; of popcounts what an engine is
priced with, whose weights are constants.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abcost.core.adders.graph import ZERO, AdderGraph
from abcost.core.adders.of_node import constant_matrix, in_adders
from abcost.core.adders.shared import shared
from abcost.core.adders.widths import adder_bits, adders_by_bits, signed_range, value_bits
from abcost.cost.organisation import Unit as Priced
from abcost.cost.price import unit_cost
from abcost.cost.table import CostTable
from abcost.models.subject import Request, resolve
from abcost.pipeline import stage_graphs
from abcost.rewrite import RewriteOptions
from abcost.rtl.unit import Unit, build
from abcost.synth.flows import flow
from abcost.synth.runner import Job, Synthesizer, default_cache
from abcost.synth.tools import find_yosys

SIGNS = 64  # inputs and outputs of the layer of signs
SAMPLE = 12  # adders of a layer that are mapped one by one
WIDTH = 16


def layers(checkpoint: Path | None) -> dict[str, NDArray[np.int64]]:
    """The constants of stem and classifier as whole numbers, (outputs, inputs)."""
    request = Request("reactnet_18", preset="digits", base_width=16, blocks=(2, 2, 2))
    if checkpoint is not None:
        request = Request("reactnet_18", preset="digits", checkpoint=checkpoint)
    subject = resolve(request)
    options = RewriteOptions(constant_multiply="graph")
    last = stage_graphs(subject.model, subject.inputs, options).stages[-1].graph
    found = {node.layer: constant_matrix(node.consts["weight"]) for node in last if in_adders(node)}
    return {name: found[name][0] for name in ("conv1", "fc") if found[name] is not None}  # type: ignore[index]


def law(units: list[Priced]) -> float:
    """LUTs by the table."""
    table = CostTable.load("fpga-ecp5")
    return sum((unit_cost(unit, table).luts or 0.0) * unit.count for unit in units)


def adders_of(graph: AdderGraph, low: int, high: int) -> list[Priced]:
    """The graph's adders as units of the table."""
    return [Priced("add", count, bits) for bits, count in adders_by_bits(graph, low, high).items()]


def sample_of(graph: AdderGraph) -> tuple[list[Unit], list[Priced]]:
    """Some adders of a graph, and what they are in the table."""
    low, high = signed_range(WIDTH)
    bits = [max(2, n) for n in value_bits(graph, low, high)]
    widths = adder_bits(graph, low, high)
    units, priced = [], []
    for number in np.linspace(0, len(graph.adds) - 1, SAMPLE).astype(int).tolist():
        add = graph.adds[number]
        units.append(
            build(
                "shift_add", left=bits[add.left] if add.left != ZERO else 0, left_shift=add.left_shift,
                right=bits[add.right], right_shift=add.right_shift, width=bits[graph.inputs + number],
                subtract=add.subtract,
            )
        )  # fmt: skip
        priced.append(Priced("add", 1, widths[number]))
    return units, priced


def row(name: str, units: list[Unit], priced: list[Priced], adders: int | None) -> None:
    """Map modules, and print what they take beside their price."""
    synthesizer, luts = Synthesizer(find_yosys(), default_cache()), 0.0
    for unit in units:
        answer = synthesizer.run(Job(unit.name, unit.name, unit.source, flow("ecp5")))
        luts += answer.resources["luts"] or 0.0
    price = law(priced)
    shown = "-" if adders is None else f"{adders:,}"
    print(f"| {name} | {shown} | {price:,.0f} | {luts:,.0f} | {price / luts - 1:+.1%} |", flush=True)


def main(arguments: list[str]) -> None:
    """Print the table."""
    print("| constants | adders | LUT4 by the law | LUT4, Yosys | error |\n|---|---|---|---|---|")
    signs = np.random.default_rng(0).choice([-1, 1], (SIGNS, SIGNS))
    graph = shared(signs)
    flat = build("adder_graph", graph=graph, width=1)
    row("64 x 64 signs, graph, one module", [flat], adders_of(graph, 0, 1), len(graph.adds))
    words = tuple(sum(1 << i for i, sign in enumerate(signs[o].tolist()) if sign > 0) for o in range(SIGNS))
    halves = [Priced("constant_popcount", 2, 1, bits=SIGNS // 2, choices=SIGNS), Priced("add", SIGNS, 6)]
    row("64 x 64 signs, popcounts", [build("constant_popcount", bits=SIGNS, words=words)], halves, None)
    for name, matrix in layers(Path(arguments[0]) if arguments else None).items():
        graph = shared(matrix)
        row(f"{name}, {SAMPLE} of {len(graph.adds):,} adders", *sample_of(graph), SAMPLE)
        if name == "conv1":
            flat = build("adder_graph", graph=graph, width=WIDTH)
            row(f"{name}, graph, one module", [flat], adders_of(graph, *signed_range(WIDTH)), len(graph.adds))


if __name__ == "__main__":
    main(sys.argv[1:])
