"""conv(x, s * v) -> s * conv(x, v): ternary, k-bit, {0, 1}, power-of-two weights in real ones; sums of bases."""

from __future__ import annotations

import torch
from torch import Tensor

from abcost.core.constants import constant_values
from abcost.core.dots import MOST_PLANES
from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.levels import (
    Bases,
    Levels,
    plainly_real,
    powers_of_two,
    sums_of_bases,
    two_valued,
    whole_multiples,
)
from abcost.core.log import Phase
from abcost.core.node import Constant, OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules
from abcost.rewrite.weights import NOISE_UNIT, Behind, as_weight, exact_zero, noise_of, rows_of, span

_FEW = 15
"""Distance of the whole numbers of four bits."""
_FEWEST_TAPS = 3
"""Any two weights have two values."""


class WeightLevels:
    """conv(x, s_o * v) + bias  ->  conv(x, v) * s_o + bias, with v whole numbers of up to 8 bits or powers of two.

        conv(x, p_o or q_o)         ->  conv(x, b) * (q_o - p_o) / 2 + box_sum(x) * (p_o + q_o) / 2, b in {-1, +1}
        conv(x, sum of s_oi * b_i)  ->  sum of conv(x, b_i) * s_oi

    The sum of x over the window is one for all output channels (adaptive binary sets; ABC-Net's bases).
    """

    phase = Phase.RECOGNISE
    kinds = frozenset({OpKind.CONV, OpKind.LINEAR})

    def check(self, graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """Real weights that are not +-s; those are another rule's."""
        found = _read(graph, node)
        if found is None:
            return None
        if isinstance(found, Levels):
            stands = found.values.is_floating_point() and bool((found.scale == 1).all())
            return None if stands else _match(node, _levels_text(found), found, "levels")
        box = not exact_zero(found.offset)
        if box and (bool(node.attrs.get("transposed", False)) or int(node.attrs.get("groups", 1)) != 1):
            return Declined("two values per channel that are not +-s, but no one box sum serves all channels")
        count = len(found.signs)
        text = "two values per output channel" if count == 1 else f"sums of {count} scaled signs"
        return _match(node, f"{text}{', and a box sum' if box else ''}", found, "bases")

    def apply(self, edit: Edit, graph: OpGraph, node: OpNode, match: Match) -> None:
        """Scales become nodes behind the product."""
        behind = Behind(edit, graph, node)
        levels: Levels | None = match.data.get("levels")
        if levels is None:
            _apply_bases(behind, match.data["bases"])
            return
        weight = Constant(as_weight(levels.values, node), shared=node.consts["weight"].shared)
        if bool((levels.scale == 1).all()) and "bias" not in node.consts:
            edit.replace(node, consts={"weight": weight})
            return
        behind.finish(behind.scaled(behind.dot(weight, name="levels"), levels.scale))


def _read(graph: OpGraph, node: OpNode) -> Levels | Bases | None:
    """What the weights are; None for +-s, whole numbers, reals, and where output channels are no axis."""
    weight = node.consts["weight"]
    if weight.binary or weight.scale is not None or not weight.values.is_floating_point():
        return None
    if bool(node.attrs.get("transposed", False)) and node.attrs["groups"] != 1:
        return None  # said by binary-weight
    rows = rows_of(node)
    if (
        rows.shape[1] < _FEWEST_TAPS
        or plainly_real(rows)
        or (_one_magnitude(rows[:1]) and _one_magnitude(rows))
    ):
        return None
    return two_valued(rows) or _powers_of_two(rows, graph.dot_product(node).left) or _multiples_or_bases(rows)


def _powers_of_two(rows: Tensor, bits: int | None) -> Levels | None:
    """None also where they are whole numbers of few bits too (-2, -1, 0, 1), and bit planes count the product.

    bits: of the activations; None if they are real.
    """
    powers = powers_of_two(rows)
    levels = None if powers is None or bits is None else whole_multiples(rows)
    if levels is None or bits is None:
        return powers
    grid = constant_values(Constant(levels.values)).grid
    return None if grid is not None and bits * grid.bits <= MOST_PLANES else powers


def _multiples_or_bases(rows: Tensor) -> Levels | Bases | None:
    """Whole multiples; but two or three signs rather than whole numbers of more bits than bases could be."""
    levels = whole_multiples(rows)
    if levels is not None and int(levels.values.max()) - int(levels.values.min()) <= _FEW:
        return levels
    return sums_of_bases(rows) or levels


def _match(node: OpNode, text: str, found: Levels | Bases, role: str) -> Match:
    """A match that says how far the weights are from what they are read as."""
    if isinstance(found, Levels):
        levels = found.values.to(torch.float64) * found.scale[:, None]
    else:
        parts = zip(found.signs, found.scales, strict=True)
        levels = sum((s.to(torch.float64) * scale[:, None] for s, scale in parts), found.offset[:, None])
    return Match(
        (node,), text, error=noise_of(rows_of(node), levels), error_unit=NOISE_UNIT, data={role: found}
    )


def _one_magnitude(rows: Tensor) -> bool:
    """Whether every row is +-s."""
    magnitude = rows.abs()
    return bool((magnitude == magnitude[:, :1]).all())


def _apply_bases(behind: Behind, bases: Bases) -> None:
    """The first basis stands for the multiply-accumulates as written; the others say that they belong to it."""
    parts = []
    first = ""
    origin = behind.node.consts["weight"].shared
    for signs, scale in zip(bases.signs, bases.scales, strict=True):
        weight = Constant(as_weight(signs, behind.node), binary=True, shared=origin)
        attrs = {"basis_of": first} if first else {"bases": len(bases.signs)} if len(bases.signs) > 1 else {}
        dot = behind.dot(weight, name="binary", attrs=attrs)
        first = first or dot
        parts.append(behind.scaled(dot, scale))
    if not exact_zero(bases.offset):
        parts.append(behind.scaled(behind.box_sum(), bases.offset))
    last = parts[0]
    for part in parts[1:]:
        last = behind.then(OpKind.ADD, [last, part], {}, {}, "sum")
    behind.finish(last)


def _levels_text(levels: Levels) -> str:
    if levels.values.is_floating_point():
        return f"powers of two times s per output channel, {span(levels.scale)}"
    low, high = int(levels.values.min()), int(levels.values.max())
    return f"whole numbers {low} … {high} times s per output channel, {span(levels.scale)}"


rules.add("weight-levels")(WeightLevels())
