"""Properties of the rules on random graphs: exact means equal, order does not matter, twice is once."""

from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from abcost.classify import tally
from abcost.core.interpret import FixedPoint, Floating, execute
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.primitives import OpClass
from abcost.rewrite import RewriteOptions, rewrite, run_rules
from abcost.rewrite.rule import rules
from abcost.rewrite.spec import check_spec
from strategies import FRACTION_BITS, legal_graphs

OPTIONS = RewriteOptions(fraction_bits=FRACTION_BITS)
EVERYTHING = RewriteOptions(fraction_bits=FRACTION_BITS, weight_scale="po2", constant_multiply="csd")
options = st.sampled_from(
    [
        OPTIONS,
        EVERYTHING,
        RewriteOptions(fraction_bits=FRACTION_BITS, constant_multiply="csd"),
        RewriteOptions(fraction_bits=FRACTION_BITS, constant_multiply="graph"),
    ]
)


def stages(graph, chosen):
    for phase in Phase:
        result = rewrite(graph, phase, chosen)
        yield phase, graph, result
        graph = result.graph


def values(graph, x, arithmetic):
    return execute(graph, [x], arithmetic, keep=lambda node: node.kind is not OpKind.INPUT)


def counts(graph):
    found = tally(graph, 16)
    return found.by_class(), found.by_origin(), found.macs


def inverted(graph):
    return sum(n.elements for n in graph.of_kind(OpKind.THRESHOLD) if "gain" in n.consts)


@given(legal_graphs(), options)
def test_exact_phases_change_no_value_in_fixed_point(drawn, chosen):
    graph, x = drawn
    for phase, before, after in stages(graph, chosen):
        if not after.exact:
            continue
        old, new = (
            values(before, x, FixedPoint(FRACTION_BITS)),
            values(after.graph, x, FixedPoint(FRACTION_BITS)),
        )
        # a mask is one function where a scale was cut before: its own value may differ, no sign behind it does
        masks = (
            {node.name for node in after.graph.of_kind(OpKind.MASK)} if phase is Phase.RECOGNISE else set()
        )
        for name in (old.keys() & new.keys()) - masks:
            assert torch.equal(old[name], new[name]), f"{phase.name} changed {name}"


@given(legal_graphs())
def test_exact_phases_change_no_value_in_floating_point(drawn):
    graph, x = drawn
    hardware = Floating(hardware_sign=True)
    for phase, before, after in stages(graph, OPTIONS):
        if not after.exact or phase is Phase.RECOGNISE:  # w * x summed, then s * (b * x): rounds differently
            continue
        old, new = values(before, x, hardware), values(after.graph, x, hardware)
        for name in old.keys() & new.keys():
            assert torch.allclose(old[name], new[name], rtol=1e-12, atol=1e-9), f"{phase.name} changed {name}"


@given(legal_graphs(), options, st.randoms(use_true_random=False))
def test_rules_of_a_phase_commute(drawn, chosen, random):
    graph, _ = drawn
    for phase, before, after in stages(graph, chosen):
        named = [(name, rule) for name, rule in rules if rule.phase is phase]
        random.shuffle(named)
        shuffled = run_rules(before, named, phase, chosen)
        assert counts(shuffled.graph) == counts(after.graph)
        assert sorted(n.kind.value for n in shuffled.graph) == sorted(n.kind.value for n in after.graph)


@given(legal_graphs(), options)
def test_a_phase_applied_twice_fires_nothing_new(drawn, chosen):
    graph, _ = drawn
    for phase, _before, after in stages(graph, chosen):
        again = rewrite(after.graph, phase, chosen)
        assert not [entry for entry in again.log if entry.fired]
        assert again.graph is after.graph


@given(legal_graphs())
def test_every_phase_leaves_what_its_spec_allows(drawn):
    graph, _ = drawn
    for phase, _before, after in stages(graph, OPTIONS):
        check_spec(after.graph, phase)
    assert not after.graph.of_kind(OpKind.MASK)


@given(legal_graphs())
def test_no_multiplication_is_lost_before_lowering(drawn):
    # REMOVE_MASK and QUANTISE_SLOPES only ever take multiplications away, and add no other work but shifts;
    # LOWER adds comparisons, and a bit that inverts them where channels differ in which side is which
    graph, _ = drawn
    graphs = [after.graph for _phase, _before, after in stages(graph, OPTIONS)]
    found = [(*counts(after), inverted(after)) for after in graphs]
    for (before, _, macs, _), (after, _, macs_after, inversions) in pairwise(found):
        assert after[OpClass.BITOP] <= before[OpClass.BITOP] + inversions
        for op_class in before:
            if op_class.value not in ("shift", "compare", "bitop"):
                assert after[op_class] <= before[op_class]
        assert macs.total == macs_after.total
