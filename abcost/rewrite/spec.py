"""What a graph must look like after each phase, as tables; checked after every rewrite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from abcost.core.graph import OpGraph
from abcost.core.interpret import is_power_of_two
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import OpNode
from abcost.errors import RewriteError


@dataclass(frozen=True, slots=True)
class Forbid:
    """No node of this kind for which `when` holds may be left."""

    kind: OpKind
    why: str
    when: Callable[[OpGraph, OpNode], bool] = lambda _graph, _node: True


def _all_powers_of_two(role: str) -> Callable[[OpGraph, OpNode], bool]:
    def holds(_graph: OpGraph, node: OpNode) -> bool:
        values = node.consts[role].real()
        return bool((is_power_of_two(values) & (values > 0)).all())

    return holds


def _two_to_the_k_taps(_graph: OpGraph, node: OpNode) -> bool:
    taps = int(node.attrs["taps"])
    return taps & (taps - 1) == 0


def _feeds_only_signs_and_is_positive(graph: OpGraph, node: OpNode) -> bool:
    users = graph.users(node)
    signs = bool(users) and all(user.kind is OpKind.SIGN for user in users)
    expands = graph.sources(node)[0].shape != node.shape  # then the sign needs it for its shape
    return signs and not expands and bool((node.consts["factor"].real() > 0).all())


SPECS: dict[Phase, tuple[Forbid, ...]] = {
    Phase.REMOVE_MASK: (
        Forbid(OpKind.MASK, "masks exist for training only"),
        Forbid(
            OpKind.SCALE,
            "a positive scale in front of a sign changes nothing",
            _feeds_only_signs_and_is_positive,
        ),
    ),
    Phase.QUANTISE_SLOPES: (
        Forbid(OpKind.MASK, "masks exist for training only"),
        Forbid(OpKind.PRELU, "slopes that are powers of two are shifts", _all_powers_of_two("slope")),
    ),
    Phase.LOWER: (
        Forbid(OpKind.MASK, "masks exist for training only"),
        Forbid(OpKind.PRELU, "slopes that are powers of two are shifts", _all_powers_of_two("slope")),
        Forbid(OpKind.SCALE, "a scale by powers of two is a shift", _all_powers_of_two("factor")),
        Forbid(OpKind.AVG_POOL, "an average of 2**k taps is a sum and a shift", _two_to_the_k_taps),
    ),
}


def check_spec(graph: OpGraph, phase: Phase) -> None:
    """Raises RewriteError naming the first node that should not have survived the phase."""
    for rule in SPECS.get(phase, ()):
        for node in graph.of_kind(rule.kind):
            if rule.when(graph, node):
                raise RewriteError(f"after {phase.name}: {node} survived, but {rule.why}")
