"""The engine that runs the rules, and the specs of its phases."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.errors import RewriteError
from abcost.rewrite import rewrite, run_rules
from abcost.rewrite.rule import Match
from abcost.rewrite.rules.remove_mask import MaskBeforeSign
from rewriting import EXACT, SHAPE, binary_conv, fired, kinds, recognised, through
from strategies import const, graph_of, traced


def test_a_rule_that_leaves_what_the_spec_forbids_is_an_error(monkeypatch):
    monkeypatch.setattr(MaskBeforeSign, "check", lambda *_: None)
    graph = recognised(lambda m, x: torch.sign(torch.tanh(x)))
    with pytest.raises(
        RewriteError, match=r"^after REMOVE_MASK: mask 'function' at \S+ survived, but masks exist for train"
    ):
        rewrite(graph, Phase.REMOVE_MASK, EXACT)


@pytest.mark.parametrize(
    ("phase", "node", "why"),
    [
        (
            Phase.REMOVE_MASK,
            ("y", OpKind.SCALE, {}, {"factor": const(0.5)}),
            "a positive scale in front of a sign",
        ),
        (
            Phase.QUANTISE_SLOPES,
            ("y", OpKind.PRELU, {}, {"slope": const([0.25])}),
            "slopes that are powers of two are",
        ),
        (
            Phase.LOWER,
            ("y", OpKind.SCALE, {}, {"factor": const([4.0])}),
            "a scale by powers of two is a shift",
        ),
        (
            Phase.LOWER,
            ("y", OpKind.AVG_POOL, {"taps": 4}, {}),
            r"an average of 2\*\*k taps is a sum and a shift",
        ),
    ],
)
def test_the_specs_forbid(monkeypatch, phase, node, why):
    from abcost.rewrite.spec import check_spec

    name, kind, attrs, consts = node
    graph = graph_of(
        (name, kind, (1, 4), ["x0"], attrs, consts), ("s", OpKind.SIGN, (1, 4), ["y"], {"at_zero": 1}, {})
    )
    with pytest.raises(RewriteError, match=f"after {phase.name}: {kind.value} 'y' survived, but {why}"):
        check_spec(graph, phase)


def test_rules_that_undo_each_other_do_not_run_for_ever():
    class Flip:
        phase = Phase.LOWER

        def __init__(self, a, b):
            self.kinds, self.to = frozenset({a}), b

        def check(self, _graph, node, _options):
            return Match((node,), "flip")

        def apply(self, edit, _graph, node, _match):
            edit.replace(node, kind=self.to)

    graph = graph_of(("y", OpKind.NEGATE, (1, 4), ["x0"], {}, {}))
    pair = [("there", Flip(OpKind.NEGATE, OpKind.SIGN)), ("back", Flip(OpKind.SIGN, OpKind.NEGATE))]
    with pytest.raises(RewriteError, match=r"^phase LOWER does not settle; last fired: (there|back) on y$"):
        run_rules(graph, pair, Phase.LOWER, EXACT)


def test_a_rewrite_that_overlaps_another_waits_for_the_next_round():
    # two masks in a row of scales: all go, one round after the other
    graph = recognised(lambda m, x: torch.sign(0.5 * (0.25 * (3.0 * x))))
    after, log = through(graph, Phase.REMOVE_MASK)
    assert kinds(after) == ["sign"]
    assert len(fired(log)) == 3


def test_the_log_names_node_layer_and_reason():
    graph = traced(lambda m, x: m.act(x), SHAPE, act=nn.PReLU(2, init=0.0))
    (entry,) = rewrite(graph, Phase.QUANTISE_SLOPES, EXACT).log
    assert (entry.rule, entry.node, entry.layer, entry.fired) == (
        "quantise-slopes",
        "act/prelu",
        "act",
        False,
    )
    assert "2 of 2 slopes are not positive" in entry.detail


def test_an_estimator_does_not_rewire_readers_that_another_rule_changes():
    # the convolution behind the estimator is split in the round after it: each rule fires once
    graph = traced(lambda m, x: m.conv(x + (x.sign() - x).detach()), SHAPE, conv=binary_conv([0.5, 0.3, 1.0]))
    after, log = through(graph, Phase.RECOGNISE)
    assert sorted(fired(log)) == ["binary-weight", "straight-through"]
    assert kinds(after) == ["sign", "conv", "scale"]
