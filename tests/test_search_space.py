"""What is searched, what it may cost, who goes on, and what is beyond noise."""

from __future__ import annotations

import contextlib
import json
import math
import pickle
import random
from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abcost.core.exponents import ExponentSet
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode
from abcost.errors import AbcostError, UnknownName, UsageError
from abcost.searching.budget import Budget, parse_budget
from abcost.searching.evaluator import Design, Evaluation
from abcost.searching.halving import dominates, front, passes
from abcost.searching.points import TrainedDesign, exponents_of, noise_of, result_of, rivals, standard_error
from abcost.searching.proposals import first_proposals, parameters, random_unseen, suggest
from abcost.searching.space import Space, groups_of

SPACE = Space({"a": ("a",), "b": ("b1", "b2")}, -7, 2, 4)


# the space


def test_sets_of_a_space_are_all_subsets_of_the_allowed_sizes():
    # 10 exponents: 10 + 45 + 120 + 210 subsets of 1 to 4
    assert len(SPACE.sets()) == 10 + 45 + 120 + 210
    assert len(set(SPACE.sets())) == len(SPACE.sets())
    assert all(len(s) <= 4 and set(s) <= set(range(-7, 3)) for s in SPACE.sets())


def test_shifts_that_leave_only_the_sign_are_one():
    """Of 4 bits, a right shift by 3 leaves the sign; by more, the same."""
    narrow = Space({"a": ("a",)}, -7, 2, 2, width=4)
    assert narrow.candidate([(-7, -3, 0)]).sets == ((-3, 0),)
    assert len(narrow.sets()) == 6 + 15  # -3 … 2
    assert narrow.uniform((-5,)) == narrow.uniform((-3,))


@given(exponents=st.lists(st.integers(-126, 127), min_size=1), width=st.integers(2, 32))
def test_a_set_of_exponents_is_one_value(exponents, width):
    found = ExponentSet(exponents)
    assert list(found) == sorted(set(exponents))  # rising, each once, whatever the order
    assert found == ExponentSet(reversed(exponents)) == tuple(found)
    # a value of `width` bits, shifted to the right: by width - 1 and by more the same bits are left
    value = -(2 ** (width - 1)) + 1
    assert {value >> -e for e in found.at(width) if e < 0} == {value >> -e for e in found if e < 0}
    assert [e for e in found.at(width) if e >= 0] == [e for e in found if e >= 0]
    assert ExponentSet(json.loads(json.dumps(found))) == pickle.loads(pickle.dumps(found)) == found  # noqa: S301 - our own bytes


def test_layers_of_a_group_share_its_set():
    candidate = SPACE.candidate([[-1], [0, -3]])
    assert SPACE.layers(candidate) == {"a": (-1,), "b1": (-3, 0), "b2": (-3, 0)}


@given(seed=st.integers(0, 2**32))
def test_random_candidates_are_in_the_space_and_survive_storage(seed):
    space = Space({"a": ("a",), "b": ("b",)}, -7, 2, 4, 16, (-3, -2), ("none", "po2"))
    candidate = space.random(random.Random(seed))
    assert all(s in set(space.sets()) for s in candidate.sets)
    assert candidate.alpha in {-3, -2}
    assert candidate.scale in {"none", "po2"}
    again = Space.from_dict(space.to_dict())
    assert again == space
    trial = optuna.trial.FixedTrial(parameters(candidate, space))
    assert suggest(trial, again) == candidate
    assert suggest(trial, again).key == candidate.key


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"low": 3, "high": 2}, "must rise and lie between -16 and 8"),
        ({"low": -17}, "must rise and lie between -16 and 8"),
        ({"most": 0}, "--max-exponents 0 must lie between 1 and the 10 exponents"),
        ({"most": 11}, "--max-exponents 11 must lie between 1 and the 10 exponents"),
        ({"low": -16, "high": 8, "most": 8}, "sets per group, of at most 20,000: narrow the range"),
    ],
)
def test_spaces_that_make_no_sense(values, reason):
    with pytest.raises(UsageError, match=reason):
        Space({"a": ("a",)}, **values)


def test_an_unknown_rounding_is_named():
    with pytest.raises(UnknownName, match="no --weight-scales choice 'po3'; did you mean 'po2'"):
        Space({"a": ("a",)}, scales=("po3",))


def graph_with(prelus):
    nodes, inputs, before = [OpNode("x", OpKind.INPUT, (1, 4, 8, 8))], {"x": []}, "x"
    for layer, shape in prelus:
        exponent = Constant(torch_zeros(shape[1]))
        nodes.append(OpNode(layer, OpKind.SHIFT_PRELU, shape, layer, consts={"exponent": exponent}))
        inputs[layer], before = [before], layer
    nodes.append(OpNode("out", OpKind.OUTPUT, (1,)))
    return OpGraph(nodes, {**inputs, "out": [before]})


def torch_zeros(n):
    import torch

    return torch.zeros(n, dtype=torch.int32)


def test_groups_of_layers():
    graph = graph_with([("p", (1, 4, 8, 8)), ("q", (1, 4, 8, 8)), ("r", (1, 8, 4, 4))])
    assert groups_of(graph, "layer") == {"p": ("p",), "q": ("q",), "r": ("r",)}
    assert groups_of(graph, "stage") == {"4x8x8": ("p", "q"), "8x4x4": ("r",)}
    assert groups_of(graph, "network") == {"network": ("p", "q", "r")}
    with pytest.raises(UsageError, match="no power-of-two slopes to choose"):
        groups_of(graph_with([]), "layer")


# proposals


def test_first_proposals_take_the_commonest_exponents():
    trained = {"a": [-3, -3, -1, 0], "b1": [2, 2, 2, 2], "b2": [5, -9, -9, -9]}
    found = first_proposals(SPACE, trained, trials=30)
    # a: -3 twice, then -1, 0; b: 2 four times and 5, which is clipped to 2; -9, clipped to -7, three times
    assert SPACE.candidate([[-3], [2]]) in found
    assert SPACE.candidate([[-3, -1], [2, -7]]) in found
    assert SPACE.uniform((-3,)) in found
    assert len(first_proposals(SPACE, trained, trials=6)) == 2


def test_a_random_candidate_is_new_and_within_budget_or_there_is_none():
    space = Space({"a": ("a",)}, -2, 0, 1)  # three candidates
    seen = {space.uniform((-2,)).key}
    within = lambda those: [c.sets != ((0,),) for c in those]  # noqa: E731
    found = random_unseen(space, within, seen, random.Random(0), 100)
    assert found == space.uniform((-1,))
    assert random_unseen(space, within, seen | {found.key}, random.Random(0), 100) is None


# budgets


def test_a_budget_is_read_and_written():
    budget = parse_budget(" luts = 9000 , energy_uj<=1.5,fps>=60,dsps=0")
    assert budget.costs == {"luts": 9000, "energy_uj": 1.5, "dsps": 0}
    assert budget.fps == 60
    assert parse_budget(str(budget)) == budget


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("lutz=9", "no quantity of --budget 'lutz'; did you mean 'luts'"),
        ("luts=1,luts=2", "limits luts twice: 1 and 2; give one"),
        ("luts>=9", "write luts=9: the most"),
        ("fps=60", "write fps>=60: the least"),
        ("luts=many", "'many' is not a number"),
        ("luts=-1", "must be at least 0"),
        ("luts=nan", "must be at least 0"),
        ("fps>=0", "must be above 0"),
        ("", "is not of the form luts=9000"),
        ("luts", "is not of the form luts=9000"),
        ("luts=1,", "is not of the form luts=9000"),
    ],
)
def test_budgets_that_make_no_sense(text, reason):
    with pytest.raises(AbcostError, match=reason):
        parse_budget(text)


@given(st.text(max_size=60))
def test_any_text_is_a_budget_or_refused(text):
    with contextlib.suppress(AbcostError):  # any other exception fails the test
        budget = parse_budget(text)
        assert all(math.isfinite(limit) and limit >= 0 for limit in budget.limits.values())
        assert parse_budget(str(budget)).limits.keys() == budget.limits.keys()


def test_an_unknown_cost_is_over_budget_for_the_sampler_too():
    budget = Budget({"luts": 10, "energy_uj": 0.5, "fps": 60})
    assert budget.excess({"luts": 5, "energy_uj": 0.5}) == {"luts": -0.5, "energy_uj": 0.0}
    assert budget.excess({"luts": 20, "energy_uj": 1.0}) == {"luts": 1.0, "energy_uj": 0.5}
    unknown = budget.excess({"luts": None, "energy_uj": math.nan})
    assert unknown == {"luts": math.inf, "energy_uj": math.inf}
    assert budget.excess({}) == unknown


def test_an_unknown_quantity_holds_no_budget():
    budget = Budget({"luts": 10, "fps": 60})
    assert budget.holds({"luts": 10.0, "fps": 60.0})
    assert not budget.holds({"luts": 10.1, "fps": 60.0})
    assert not budget.holds({"luts": 9.0, "fps": 59.0})
    assert not budget.holds({"luts": None, "fps": 60.0})
    assert not budget.holds({"fps": 60.0})


# rungs

costs = st.lists(st.tuples(*[st.integers(0, 5).map(float)] * 3), min_size=1, max_size=12)


@given(costs)
def test_the_front_is_what_no_point_beats_everywhere(points):
    kept = [points[i] for i in front(points)]
    for p in points:
        beaten = any(all(a <= b for a, b in zip(q, p, strict=True)) and q != p for q in points)
        assert (p in kept) == (not beaten)
    assert len(set(kept)) == len(kept)
    assert kept == sorted(kept)


@given(costs, st.sampled_from([0.1, 0.5, 1.0]))
def test_what_none_dominates_goes_on_and_of_others_the_share(points, keep):
    mine, *others = points
    dominators = [sum(dominates(q, p) for q in points) for p in points]
    better = sum(d < dominators[0] for d in dominators[1:])
    assert passes(mine, others, keep) == (better < math.ceil(keep * len(points)))
    if dominators[0] == 0:
        assert passes(mine, others, keep)


# points


def judged(loss, top1=0.9):
    return Evaluation(loss, 0.9, loss, top1, (0.8, 0.95), 100, {}, Path("x"))


def point(name, luts, losses):
    return TrainedDesign(name, None, {"luts": luts}, tuple(judged(loss) for loss in losses))


def test_noise_is_what_neither_design_nor_seed_explains():
    """Two designs, two seeds: losses 1, 2 and 3, 6.

    Means of designs 1.5 and 4.5, of seeds 2 and 4, of all 3. Residuals: 1 - 1.5 - 2 + 3 = 0.5, and by symmetry
    -0.5, -0.5, 0.5; variance = 4 * 0.25 / ((2 - 1) * (2 - 1)) = 1; error of a difference = sqrt(1 * 2 / 2) = 1.
    """
    assert noise_of([point("a", 1, (1, 2)), point("b", 2, (3, 6))]) == pytest.approx(1.0)
    assert noise_of([point("a", 1, (1,)), point("b", 2, (3,))]) is None
    assert noise_of([point("a", 1, (1, 2))]) is None


def test_the_cheapest_within_the_noise_is_chosen():
    cheap, middle, dear = (
        point("cheap", 1, (2.0, 2.2)),
        point("middle", 2, (1.1, 1.2)),
        point("dear", 3, (1.0, 1.3)),
    )
    # residuals of two seeds: differences per design 0.2, 0.1, 0.3, mean 0.2; noise = sqrt(s2), s2 of (0, -.05, .05)
    noise = noise_of([cheap, middle, dear])
    # residual of each cell is half the design's difference from the mean difference: 0, 0.05, 0.05 over two cells each
    assert noise == pytest.approx(math.sqrt(2 * (0.05**2 + 0.05**2) / ((3 - 1) * (2 - 1))))
    found = result_of([cheap, middle, dear], [], ["luts"], Budget({}))
    assert [p.name for p in found.front] == ["cheap", "middle", "dear"] or [p.name for p in found.front] == [
        "cheap",
        "middle",
    ]
    assert found.chosen is middle  # 1.15 like dear's 1.15, and cheaper


def test_a_baseline_at_the_same_price_that_is_no_worse_is_told():
    """Losses 1.0 and 1.2 of the chosen design; without a second finalist there is no noise."""
    chosen = point("found", 5, (1.0, 1.2))
    same, cheaper, worse, dearer, unknown = (
        point("2^-3", 5, (1.1, 1.1)), point("2^-7", 4, (0.9, 0.9)), point("real", 4, (1.2, 1.2)),
        point("free", 6, (0.1, 0.1)), point("lost", None, (0.1, 0.1)),
    )  # fmt: skip
    found = result_of([chosen], [same, cheaper, worse, dearer, unknown], ["luts"], Budget({}))
    told = rivals(found, ["luts"])
    assert [text.split()[0] for text in told] == ["2^-3", "2^-7"]
    assert told[0].startswith(
        "2^-3 costs the same as the chosen design and its loss is not told apart from it (1.1000"
    )
    assert told[1].startswith(
        "2^-7 costs less than the chosen design and its loss is lower (0.9000, chosen 1.1000)"
    )
    assert rivals(result_of([], [same], ["luts"], Budget({})), ["luts"]) == []


def test_exponents_are_told_by_set():
    design = Design({"a.prelu": (-3, 0), "b.prelu": (-1,), "c.prelu": (0, -3)})
    one = TrainedDesign("x", design, {}, (judged(1.0),))
    assert exponents_of(one) == ["-3, 0: a.prelu, c.prelu", "-1: b.prelu"]
    assert exponents_of(point("baseline", 1, (1.0,))) == []


def test_points_over_budget_are_left_out():
    found = result_of([point("a", 5, (1, 1)), point("b", 9, (0.5, 0.5))], [], ["luts"], Budget({"luts": 6}))
    assert [p.name for p in found.front] == ["a"]
    assert [p.name for p in found.over] == ["b"]
    assert found.chosen.name == "a"


def test_standard_error():
    assert standard_error([1.0, 3.0]) == pytest.approx(math.sqrt(2) / math.sqrt(2))
    assert standard_error([1.0]) is None
