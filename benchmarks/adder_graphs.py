"""Graphs of adders next to signed digits and to popcounts, as Yosys maps them, and next to what the table's laws say.

    python benchmarks/adder_graphs.py [CHECKPOINT]      some minutes with the Yosys of PyPI; answers are kept

Stem and classifier of ReActNet-18 on digits (base width 16, blocks 2,2,2; of a checkpoint, or as initialised), 12
fraction bits and values of 16 bits, and a layer of 64 x 64 random signs on bits, without registers. The law is the sum
over the adders of the ECP5 table's figure for one of that width; of popcounts what an engine is priced with, whose
weights are constants.

    apart      every adder is a module that synthesis keeps, as in engines, where a register stands behind each
    together   one module, in which Yosys makes sums of several operands of adders that one other reads
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from abcost.core.adders.graph import ZERO, AdderGraph
from abcost.core.adders.of_node import constant_matrix, in_adders
from abcost.core.adders.shared import shared
from abcost.core.adders.unshared import unshared
from abcost.core.adders.widths import adders_by_bits, signed_range, value_bits
from abcost.cost.organisation import Unit as Priced
from abcost.cost.price import unit_cost
from abcost.cost.table import CostTable
from abcost.models.subject import Request, resolve
from abcost.pipeline import stage_graphs
from abcost.rewrite import RewriteOptions
from abcost.rtl.unit import Port, Unit, build
from abcost.synth.flows import flow
from abcost.synth.runner import Job, Synthesizer, default_cache
from abcost.synth.tools import find_yosys

SIGNS = 64  # inputs and outputs of the layer of signs


def layers(checkpoint: Path | None) -> dict[str, NDArray[np.int64]]:
    """The constants of stem and classifier as whole numbers, (outputs, inputs)."""
    request = Request("reactnet_18", preset="digits", base_width=16, blocks=(2, 2, 2))
    if checkpoint is not None:
        request = Request("reactnet_18", preset="digits", checkpoint=checkpoint)
    subject = resolve(request)
    options = RewriteOptions(constant_multiply="graph")
    last = stage_graphs(subject.model, subject.inputs, options).stages[-1].graph
    found = {node.layer: constant_matrix(node.consts["weight"]) for node in last if in_adders(node)}
    return {name: matrix[0] for name, matrix in found.items() if matrix is not None}


def law(units: list[Priced]) -> float:
    """LUTs by the table."""
    table = CostTable.load("fpga-ecp5")
    return sum((unit_cost(unit, table).luts or 0.0) * unit.count for unit in units)


def adders_of(graph: AdderGraph, width: int) -> list[Priced]:
    """The graph's adders as units of the table."""
    low, high = (0, 1) if width == 1 else signed_range(width)
    return [Priced("add", count, bits) for bits, count in adders_by_bits(graph, low, high).items()]


def apart(graph: AdderGraph, width: int) -> Unit:
    """The graph with a module for each adder; the outputs are as wide as their values."""
    low, high = signed_range(width)
    bits = [max(2, n) for n in value_bits(graph, low, high)]
    lines, units = (
        [f"    wire signed [{width - 1}:0] v{i} = x[{i * width} +: {width}];" for i in range(graph.inputs)],
        [],
    )
    for number, add in enumerate(graph.adds, graph.inputs):
        there = add.left != ZERO
        units.append(
            build(
                "shift_add", left=bits[add.left] if there else 0, left_shift=add.left_shift, right=bits[add.right],
                right_shift=add.right_shift, width=bits[number], subtract=add.subtract,
            )
        )  # fmt: skip
        ports = [*([f".a(v{add.left})"] if there else []), f".b(v{add.right})", f".s(v{number})"]
        lines += [
            f"    wire signed [{bits[number] - 1}:0] v{number};",
            f"    {units[-1].name} u{number} ({', '.join(ports)});",
        ]
    read = [output.value for output in graph.outputs]
    lines.append(f"    assign y = {{{', '.join(f'v{value}' for value in reversed(read))}}};")
    total = sum(bits[value] for value in read)
    return Unit(
        name="apart", inputs=(Port("x", width, graph.inputs),), outputs=(Port("y", 1, total, signed=False),),
        body="\n".join(lines), model=lambda _v: {}, needs=tuple(replace(unit, keep=True) for unit in units),
    )  # fmt: skip


def row(name: str, unit: Unit, priced: list[Priced], adders: int | None) -> None:
    """Map one module, and print what it takes beside its price."""
    synthesizer = Synthesizer(find_yosys(), default_cache())
    answer = synthesizer.run(Job(unit.name, unit.name, unit.source, flow("ecp5")))
    luts, price = float(answer.resources["luts"] or 0.0), law(priced)
    shown = "-" if adders is None else f"{adders:,}"
    print(f"| {name} | {shown} | {price:,.0f} | {luts:,.0f} | {price / luts - 1:+.1%} |", flush=True)


def main(arguments: list[str]) -> None:
    """Print the table."""
    print("| constants | adders | LUT4 by the law | LUT4, Yosys | error |\n|---|---|---|---|---|")
    signs = np.random.default_rng(0).choice([-1, 1], (SIGNS, SIGNS))
    graph = shared(signs)
    row(
        "64 x 64 signs, graph, together",
        build("adder_graph", graph=graph, width=1),
        adders_of(graph, 1),
        len(graph.adds),
    )
    words = tuple(sum(1 << i for i, sign in enumerate(signs[o].tolist()) if sign > 0) for o in range(SIGNS))
    halves = [Priced("constant_popcount", 2, 1, bits=SIGNS // 2, choices=SIGNS), Priced("add", SIGNS, 6)]
    row("64 x 64 signs, popcounts", build("constant_popcount", bits=SIGNS, words=words), halves, None)
    for name, matrix in layers(Path(arguments[0]) if arguments else None).items():
        for how, graph in (("graph", shared(matrix)), ("signed digits", unshared(matrix))):
            count = len(graph.adds)
            row(f"{name}, {how}, apart", apart(graph, 16), adders_of(graph, 16), count)
            if how == "graph":
                flat = build("adder_graph", graph=graph, width=16)
                row(f"{name}, {how}, together", flat, adders_of(graph, 16), count)


if __name__ == "__main__":
    main(sys.argv[1:])
