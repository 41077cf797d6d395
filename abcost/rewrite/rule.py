"""What a rewrite rule is, and what it says when it fires or declines.

A rule looks at one node. `check` returns None (this node is none of its business), `Declined` with a reason a
user can read, or a `Match`; `apply` performs a match on an `Edit`. One file in `abcost/rewrite/rules/` each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import OpNode
from abcost.errors import UsageError
from abcost.registry import Registry

MOST_FRACTION_BITS = 20  # twice as many and 12 integer bits fill a float64's mantissa


@dataclass(frozen=True, slots=True)
class RewriteOptions:
    """Opt-in lowering of multiplications that cannot be lowered exactly.

    weight_scale: "po2" rounds gain*s to powers of two (lossy).
    constant_multiply: "csd" turns multiplications by constants into shifts and adds, canonical signed
    digits with `fraction_bits` bits after the point; "graph" does too, and computes once what outputs of a dot
    product have in common (`abcost.core.adders`).
    slopes: layer -> exponents that its power-of-two PReLU may take: slopes are rounded to the nearest of them
    (lossy), and hardware offers all of them. Other layers keep the exponents that they have.
    leave_out_softmax: a softmax or log-softmax that makes the only output gives way to what it reads: the order in each
    row stays, and with it an argmax.
    Raises UsageError for fraction bits that the arithmetic cannot hold.
    """

    weight_scale: Literal["exact", "po2"] = "exact"
    constant_multiply: Literal["keep", "csd", "graph"] = "keep"
    fraction_bits: int = 12
    slopes: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False)
    leave_out_softmax: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.fraction_bits <= MOST_FRACTION_BITS:
            raise UsageError(
                f"--fraction-bits {self.fraction_bits} is not between 1 and {MOST_FRACTION_BITS}"
            )


@dataclass(frozen=True, slots=True)
class Match:
    """The nodes a rewrite would change or read, and what `apply` needs to know.

    exact: the rewrite changes no value in fixed-point execution. error: the largest change of a constant,
    in `error_unit`, where one is changed.
    """

    nodes: tuple[OpNode, ...]
    detail: str
    exact: bool = True
    error: float | None = None
    error_unit: str = ""
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Declined:
    """Why a rule did not apply to a node it is about."""

    reason: str


class Rule(Protocol):
    """A rewrite; see the module's docstring."""

    phase: Phase
    kinds: frozenset[OpKind]  # the kinds of node it looks at

    def check(self, graph: OpGraph, node: OpNode, options: RewriteOptions) -> Match | Declined | None:
        """Whether the rule applies to `node`."""
        ...

    def apply(self, edit: Edit, graph: OpGraph, node: OpNode, match: Match) -> None:
        """Perform it."""
        ...


rules: Registry[Rule] = Registry("rewrite rule", "abcost.rewrite.rules", "abcost.rules")


def only_user(graph: OpGraph, node: OpNode) -> OpNode | None:
    """The single reader of `node`, or None."""
    users = graph.users(node)
    return users[0] if len(users) == 1 else None
