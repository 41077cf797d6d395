"""The sweep itself: each network is traced and rewritten once, and its last stage priced with every combination."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from abcost.classify.tally import tally
from abcost.core.garbage import collector_paused
from abcost.core.primitives import OpClass
from abcost.errors import AbcostError
from abcost.pipeline import StageGraph, priced_stage, stage_graphs
from abcost.sweeping.plan import Combination, SweptNetwork
from abcost.sweeping.row import SweepRow, impossible_row, priced_row

Progress = Callable[[int, str], None]
"""Told how many rows are done, and of which network the next ones are."""


def rows_of(
    networks: Sequence[SweptNetwork], asked: Sequence[Combination], progress: Progress
) -> list[SweepRow]:
    """One row per network and combination, in this order; what cannot be says why."""
    rows: list[SweepRow] = []
    for network in networks:
        progress(len(rows), network.name)
        with collector_paused():
            for row in _of_network(network, asked):
                rows.append(row)
                progress(len(rows), network.name)
    return rows


def _of_network(network: SweptNetwork, asked: Sequence[Combination]) -> Iterator[SweepRow]:
    try:
        stages = stage_graphs(network.subject.model, network.subject.inputs, network.rewriting).stages
    except AbcostError as error:
        for combination in asked:
            yield impossible_row(network.name, combination, str(error), {})
        return
    first, last = stages[0], stages[-1]
    counts = _counts(first, last)
    for combination in asked:
        yield _row(network, last, combination, counts)


def _counts(first: StageGraph, last: StageGraph) -> dict[str, int]:
    """What no target changes; counts do not depend on the width."""
    before, after = (tally(stage.graph, 16) for stage in (first, last))
    return {
        "macs": before.macs.total,
        "multiplications_traced": before.by_class()[OpClass.MULTIPLY],
        "multiplications": after.by_class()[OpClass.MULTIPLY],
    }


def _row(network: SweptNetwork, last: StageGraph, asked: Combination, counts: dict[str, int]) -> SweepRow:
    try:
        stage = priced_stage(
            last, asked.table, width=asked.width, accelerator=asked.goal, rewriting=network.rewriting
        )
    except AbcostError as error:
        return impossible_row(network.name, asked, str(error), counts)
    return priced_row(network.name, asked, stage, counts)
