"""clamp(round(f(x))) -> how many of k - 1 levels x reaches: a k-level quantiser is k - 1 comparisons."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import Constant, OpNode
from abcost.core.roundings import ROUNDINGS
from abcost.core.values import MOST_MEMBERS, Values
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules
from abcost.rewrite.steps import RewriteStep, chain_above, ends_of, find_steps, monotone


class Quantiser:
    """q(x), monotone with k whole values in a row, 2 < k <= 16  ->  q_1 + number of levels that x reaches.

    The multi-threshold of FINN and QONNX. Exact to the bit in fixed point.
    """

    phase = Phase.LOWER
    kinds = frozenset({OpKind.CLAMP, OpKind.FUNCTION, OpKind.QUANTISE})

    def check(self, graph: OpGraph, node: OpNode, options: RewriteOptions) -> Match | Declined | None:
        """The last node of the chain that has so few values; what follows (a scale) stays."""
        levels = _levels(graph.values(node))
        if levels is None or not monotone(node) or _goes_on(graph, node):
            return None
        chain = (*chain_above(graph, node), node)
        if node.kind is OpKind.QUANTISE:  # a scale that came in front of it since
            if len(chain) == 1:
                return None
        elif not any(n.attrs.get("aten") in ROUNDINGS for n in chain):
            return None
        least = range(levels[0] + 1, levels[1] + 1)
        conditions = [partial(torch.le, torch.tensor(float(value))) for value in least]
        found = find_steps(graph, chain, conditions, options.fraction_bits)
        if found is None:
            return Declined("the quantiser is more than fixed-point execution holds exactly")
        least_fixed, most_fixed = ends_of(graph, chain, options.fraction_bits)
        if least_fixed < levels[0] or most_fixed > levels[1]:
            return Declined("constants rounded to fixed point reach a level that the real ones do not")
        data = {"steps": found, "first": levels[0], "x": graph.inputs(chain[0].name)}
        return Match(chain, f"{len(found) + 1} levels: {len(found)} comparisons", data=data)

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, match: Match) -> None:
        """The chain dies with its only reader."""
        steps: list[RewriteStep] = match.data["steps"]
        values = torch.stack([step.level.values for step in steps])
        fixed = torch.stack([_fixed(step.level) for step in steps])
        consts = {"levels": Constant(values, fixed=fixed)}
        gains = [
            torch.ones_like(step.level.values) if step.gain is None else step.gain.values for step in steps
        ]
        if any(step.gain is not None for step in steps):
            consts["gain"] = Constant(torch.stack(gains).to(torch.int8), binary=True)
        attrs: dict[str, Any] = {"levels": len(steps) + 1, "step": 1.0, "offset": float(match.data["first"])}
        edit.replace(node, match.data["x"], kind=OpKind.QUANTISE, attrs=attrs, consts=consts)


def _fixed(level: Constant) -> torch.Tensor:
    return level.values if level.fixed is None else level.fixed


def _levels(values: Values) -> tuple[int, int] | None:
    """Least and largest of a few whole numbers in a row; two are a sign."""
    grid = values.code
    if grid is None or not grid.whole or grid.members is not None or not 2 < grid.levels <= MOST_MEMBERS:
        return None
    ends = sorted(int(float(grid.scale) * k + float(grid.offset)) for k in (grid.low, grid.high))
    return ends[0], ends[1]


def _goes_on(graph: OpGraph, node: OpNode) -> bool:
    """Whether the only reader is a part of the quantiser too."""
    users = graph.users(node)
    return (
        len(users) == 1 and users[0].kind in Quantiser.kinds and _levels(graph.values(users[0])) is not None
    )


rules.add("quantiser")(Quantiser())
