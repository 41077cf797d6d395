"""What a rewrite rule promises."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from abcost.core.graph import OpGraph
from abcost.core.inputs import InputSpec
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.pipeline import verify_subject
from abcost.rewrite import RewriteOptions, Rewritten, rewrite, run_rules
from abcost.rewrite.rule import Rule, rules
from abcost.testing.contract import before, hold, specs_of, subject_of
from abcost.trace import trace
from abcost.trace.double import float64_only
from abcost.verifying import Stepped, double_copy, verify_stages


def check_rule(
    name: str,
    module: nn.Module,
    *shapes: Sequence[int] | InputSpec,
    options: RewriteOptions | None = None,
    untouched: Sequence[nn.Module] = (),
) -> None:
    """Raises AssertionError unless the rule fires on `module` and keeps what it claims.

    - It has an equation as docstring, a phase and kinds of nodes.
    - In its phase it fires on the graph of the module, and not again on the result.
    - Where it says exact, no node that keeps its name changes a bit in fixed point: on noise, on zeros, on an image
      that is 0 inside, and with every decision on its threshold and a step around it. In floating point it agrees to
      rounding, unless it says that it changes constants.
    - Where it does not, it says by how much: an error and its unit.
    - Outputs keep names and shapes. With all other rules the stages stay exact where they say so.
    - It fires on none of `untouched`, networks with the same inputs, and where it declines it says why.
    """
    rule, chosen, specs = rules.get(name), options or RewriteOptions(), specs_of(shapes)
    what = f"rule {name}"
    _check_description(what, rule)
    graph, result = _fired(name, rule, module, specs, chosen)
    fired = [entry for entry in result.log if entry.fired]
    hold(
        bool(fired),
        f"{what} does not fire on {type(module).__name__}: "
        + ("; ".join(f"{e.node}: {e.detail}" for e in result.log) or "it has no node of its kinds"),
    )
    for entry in fired:
        said = entry.exact or (entry.error is not None and bool(entry.error_unit))
        hold(said, f"{what} on {entry.node} is not exact and does not say its error and error_unit")
    _check_steps(what, module, specs, graph, result, chosen)
    again = run_rules(result.graph, [(name, rule)], rule.phase, chosen)
    hold(not any(entry.fired for entry in again.log), f"{what} fires again on its own result")
    verification = verify_subject(subject_of(module, specs), chosen)
    hold(verification.holds, f"{what}: with all other rules a stage is not exact; abcost verify says where")
    for other in untouched:
        _, left = _fired(name, rule, other, specs, chosen)
        fires = any(e.fired for e in left.log)
        hold(not fires, f"{what} fires on {type(other).__name__}, which it should leave")
        hold(all(e.detail.strip() for e in left.log), f"{what} declines without a reason")


def _check_description(what: str, rule: Rule) -> None:
    hold(
        bool((type(rule).__doc__ or "").strip()), f"{what}: its class has no docstring; that is its equation"
    )
    hold(
        isinstance(rule.phase, Phase),
        f"{what}: its phase is {rule.phase!r}, none of {[p.name for p in Phase]}",
    )
    kinds = bool(rule.kinds) and all(isinstance(kind, OpKind) for kind in rule.kinds)
    hold(kinds, f"{what}: its kinds are {rule.kinds!r}, not kinds of nodes (OpKind)")


def _fired(
    name: str, rule: Rule, module: nn.Module, specs: tuple[InputSpec, ...], options: RewriteOptions
) -> tuple[OpGraph, Rewritten]:
    """The graph in front of the rule, and what it makes of it; if nothing, behind the other rules of its phase."""
    model = double_copy(module)
    with float64_only():
        graph = trace(model, specs).graph
        for phase in before(rule.phase):
            graph = rewrite(graph, phase, options).graph
        alone = run_rules(graph, [(name, rule)], rule.phase, options)
        if any(entry.fired for entry in alone.log):
            return graph, alone
        others = [(other, one) for other, one in rules if one.phase is rule.phase and other != name]
        graph = run_rules(graph, others, rule.phase, options).graph
        return graph, run_rules(graph, [(name, rule)], rule.phase, options)


def _check_steps(
    what: str,
    module: nn.Module,
    specs: tuple[InputSpec, ...],
    graph: OpGraph,
    result: Rewritten,
    options: RewriteOptions,
) -> None:
    outputs = [[(n.name, n.shape) for n in g.of_kind(OpKind.OUTPUT)] for g in (graph, result.graph)]
    hold(outputs[0] == outputs[1], f"{what}: outputs were {outputs[0]} and are {outputs[1]}")
    changes = tuple(entry for entry in result.log if entry.fired and entry.error is not None)
    stages = [Stepped("before", graph), Stepped("after", result.graph, result.exact, changes)]
    found = verify_stages(double_copy(module), stages, specs, options.fraction_bits)
    compared = [comparison for comparison in found.comparisons if comparison.before == "before"]
    hold(any(c.compared for c in compared), f"{what}: before and after share no node")
    for c in compared:
        hold(
            c.holds,
            f"{what}: {c.where} changes by {c.error:.3g} ({c.arithmetic}, {c.inputs}), though the rule says exact and "
            "the node keeps its name",
        )
