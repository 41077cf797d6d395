"""Runs the rules of each phase to a fixed point and checks the result against the phase's spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import LogEntry, Phase
from abcost.errors import RewriteError
from abcost.rewrite.rule import Declined, Match, RewriteOptions, Rule, rules
from abcost.rewrite.spec import check_spec

_MOST_ROUNDS = 64  # a chain of rewrites longer than this is a rule that undoes another


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The graph after a phase, and what happened."""

    graph: OpGraph
    log: tuple[LogEntry, ...]

    @property
    def exact(self) -> bool:
        """Whether every rewrite that fired keeps all values in fixed-point execution."""
        return all(entry.exact for entry in self.log if entry.fired)


def rewrite(graph: OpGraph, phase: Phase, options: RewriteOptions) -> Rewritten:
    """Run one phase. Raises RewriteError if its spec is broken afterwards (a bug in a rule)."""
    named = [(name, rule) for name, rule in rules if rule.phase is phase]
    result = run_rules(graph, named, phase, options)
    check_spec(result.graph, phase)
    return result


def run_rules(
    graph: OpGraph, named: Sequence[tuple[str, Rule]], phase: Phase, options: RewriteOptions
) -> Rewritten:
    """Apply rules until none fires; nodes that one rewrite changed are left alone until the next round."""
    by_kind: dict[OpKind, list[tuple[str, Rule]]] = {}
    for name, rule in named:
        for kind in rule.kinds:
            by_kind.setdefault(kind, []).append((name, rule))
    log: list[LogEntry] = []
    for _ in range(_MOST_ROUNDS):
        fired, declined, graph = _one_round(graph, by_kind, phase, options)
        log += fired
        if not fired:
            return Rewritten(graph, (*log, *declined))
    raise RewriteError(f"phase {phase.name} does not settle; last fired: {log[-1].rule} on {log[-1].node}")


def _one_round(
    graph: OpGraph, by_kind: dict[OpKind, list[tuple[str, Rule]]], phase: Phase, options: RewriteOptions
) -> tuple[list[LogEntry], list[LogEntry], OpGraph]:
    edit = Edit(graph)
    touched: set[str] = set()
    fired: list[LogEntry] = []
    declined: list[LogEntry] = []
    for node in graph:
        for name, rule in by_kind.get(node.kind, ()):
            outcome = rule.check(graph, node, options)
            if isinstance(outcome, Declined):
                declined.append(
                    LogEntry(phase, name, node.name, node.layer, fired=False, detail=outcome.reason)
                )
            elif isinstance(outcome, Match) and touched.isdisjoint(n.name for n in outcome.nodes):
                touched.update(n.name for n in outcome.nodes)
                rule.apply(edit, graph, node, outcome)
                fired.append(
                    LogEntry(
                        phase,
                        name,
                        node.name,
                        node.layer,
                        fired=True,
                        detail=outcome.detail,
                        exact=outcome.exact,
                        error=outcome.error,
                        error_unit=outcome.error_unit,
                    )
                )
    return fired, declined, edit.freeze() if fired else graph
