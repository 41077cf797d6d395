"""Searches over more than exponents: registers, sizes of the network, devices. What is trained once is judged often."""

from __future__ import annotations

import json
import random
import shlex
import time
from dataclasses import replace
from itertools import product

import optuna
import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from abcost.api.search import settings_of
from abcost.cli import run as cli
from abcost.core.exponents import ExponentSet
from abcost.core.inputs import InputSpec
from abcost.core.interpret import FixedPoint
from abcost.cost.organisation import Lanes
from abcost.cost.table import CostTable
from abcost.models import build
from abcost.models.subject import Subject
from abcost.pipeline import stage_graphs
from abcost.rewrite import RewriteOptions
from abcost.searching.evaluator import Evaluator
from abcost.searching.explore import Explorer, judged
from abcost.searching.finals import Finals, all_done, enqueue, plan, results, spread
from abcost.searching.halving import passes, passes_any
from abcost.searching.pricing import PricingHardware, SpacePricer
from abcost.searching.problem import Problem
from abcost.searching.proposals import all_of, first_proposals, parameters, suggest
from abcost.searching.run import train_start, trained_slopes
from abcost.searching.space import Candidate, Space, groups_of, joined, key_of, shape_of
from abcost.searching.storage import sqlite_url
from abcost.searching.studies import begin, join
from abcost.searching.tried import tried
from abcost.searching.worker import START, digest_of_starts
from abcost.training.files import copy_whole
from abcost.training.listener import SilentListener
from abcost.training.lowered import Lowered
from abcost.training.recipes import configs
from searching import WAIT_S, options, read_json, rows, run, start

SIZES = {"4:1": ("a",), "8:1,1": ("a", "b")}
SPACE = Space({"g": ("a",), "h": ("b",)}, -4, -3, 2, 16, formats=((4, 2), (16, 2), (16, 8)), sizes=SIZES)


# the space


def test_a_size_has_the_groups_of_its_layers():
    assert SPACE.present("4:1") == {"g": ("a",)}
    small = SPACE.candidate([(-3,), (-4,)], size="4:1")
    assert small.sets == ((-3,), ())
    assert small == SPACE.candidate([(-3,), (-3,)], size="4:1")  # its second group is not there
    assert SPACE.layers(small) == {"a": (-3,)}
    large = SPACE.candidate([(-3,), (-4,)], size="8:1,1")
    assert SPACE.layers(large) == {"a": (-3,), "b": (-4,)}
    assert shape_of(large.size) == {"base_width": 8, "blocks": (1, 1)}


def test_stages_of_sizes_are_called_by_their_numbers():
    found = {"4:1": {"4x8x8": ("a",)}, "8:1,1": {"8x8x8": ("a",), "16x4x4": ("b",)}}
    groups, sizes = joined(found, "stage")
    assert groups == {"stage 1": ("a",), "stage 2": ("b",)}
    assert sizes == SIZES


def test_every_way_to_say_a_candidate_is_one_candidate():
    """All values of a trial's parameters: those that give one candidate offer hardware the same, and no others do."""
    choices = {
        "g size": (1, 2),
        "g 0": (-4, -3),
        "g 1": (-4, -3),
        "h size": (1, 2),
        "h 0": (-4, -3),
        "h 1": (-4, -3),
    }
    offered = {}
    for network, *values in product(SIZES, *choices.values()):
        trial = optuna.trial.FixedTrial({**dict(zip(choices, values, strict=True)), "network": network})
        candidate = suggest(trial, SPACE)
        hardware = (network, frozenset((k, frozenset(v)) for k, v in SPACE.layers(candidate).items()))
        offered.setdefault(candidate, set()).add(hardware)
        again = suggest(optuna.trial.FixedTrial(parameters(candidate, SPACE)), SPACE)
        assert again == candidate
    assert all(len(hardware) == 1 for hardware in offered.values())
    assert len({h for (h,) in offered.values()}) == len(offered)
    # one set of {-4}, {-3}, {-4, -3} for the small network, two for the large one
    assert len(offered) == 3 + 3 * 3
    assert set(all_of(SPACE)) == set(offered)


def test_each_design_of_hardware_is_made_in_one_way():
    """Of 4 bits, a shift by 4 is one by 3: the candidate with -4 is not made at that width, the one with -3 is."""
    three, four = (SPACE.candidate([(e,), (e,)], size="4:1") for e in (-3, -4))
    assert [(v.width, v.fraction) for v in SPACE.variants(three)] == [(4, 2), (16, 2), (16, 8)]
    assert [(v.width, v.fraction) for v in SPACE.variants(four)] == [(16, 2), (16, 8)]
    assert len({v.key for v in SPACE.variants(three)}) == 3
    assert all(SPACE.base(v) == three for v in SPACE.variants(three))
    for variant in SPACE.variants(three):
        plain = json.loads(json.dumps(variant.described()))
        assert SPACE.read(plain) == variant
        assert key_of(plain) == variant.key


def test_a_space_is_written_as_before_where_nothing_else_is_chosen():
    """Else an older search would be told from the same one of today."""
    assert set(Space({"a": ("a",)}).to_dict()) == {
        "groups",
        "low",
        "high",
        "most",
        "width",
        "alphas",
        "scales",
    }
    assert Space.from_dict(SPACE.to_dict()) == SPACE
    assert Candidate((ExponentSet((-3,)),)).described() == {"sets": [[-3]], "alpha": None, "scale": "none"}


@given(seed=st.integers(0, 2**32))
def test_random_candidates_survive_storage(seed):
    candidate = SPACE.random(random.Random(seed))
    again = Space.from_dict(json.loads(json.dumps(SPACE.to_dict())))
    assert suggest(optuna.trial.FixedTrial(parameters(candidate, SPACE)), again) == candidate


def test_first_proposals_know_both_ends_of_the_sizes():
    sizes = dict.fromkeys(("4:1", "8:1", "16:1", "32:1"), ("a",))
    space = Space({"g": ("a",)}, sizes=sizes)
    slopes = {name: {"a": [-3, -1, -1]} for name in sizes}
    found = first_proposals(space, slopes, trials=30)
    assert [c.size for c in found[:4]] == ["4:1", "32:1", "16:1", "8:1"]
    assert all(c.sets == ((-1,),) for c in found[:4])  # the commonest
    assert len(first_proposals(space, slopes, trials=3)) == 4  # one of every size at least


def network(exponent):
    """With every slope 2**exponent, and its batch of images."""
    torch.manual_seed(0)
    model = build("reactnet_18", preset="digits", base_width=4, blocks=(1, 1))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("L_alpha"):
                parameter.fill_(exponent)
    spec = InputSpec((1, 3, 8, 8))
    return Subject(model, "reactnet_18", None, (spec,), trained=True)


@pytest.mark.parametrize(
    ("exponents", "merged"), [((-9, -7, -6, -5), 2), pytest.param(range(-12, -4), 6, marks=pytest.mark.slow)]
)
def test_what_is_merged_prices_and_computes_the_same(exponents, merged):
    """At 8 bits: those that a set is normalised to the same are the same price and bits."""
    width, images = 8, torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = {}
    for exponent in exponents:
        subject = network(exponent)
        rewriting = RewriteOptions(fraction_bits=4)
        logits = Lowered(subject, rewriting, FixedPoint(4, width=width))(images)
        graph = stage_graphs(subject.model, subject.inputs, rewriting).stages[-1].graph
        space = Space(groups_of(graph, "network"), -12, 2, 1, width=width)
        hardware = PricingHardware(CostTable.load("fpga-lut6"), width, Lanes(fraction_bits=4), None)
        candidate = space.uniform((exponent,))
        price = SpacePricer(graph, space, hardware).price([candidate]).of(0)
        found.setdefault(candidate.key, []).append((price["luts"], price["energy_uj"], logits))
    assert len(found) == 3  # -7 and below, -6, -5
    assert max(len(same) for same in found.values()) == merged
    for same in found.values():
        assert all((luts, energy) == same[0][:2] for luts, energy, _ in same)
        assert all(torch.equal(logits, same[0][2]) for *_, logits in same)


# who goes on


@given(
    points=st.lists(
        st.tuples(st.integers(0, 5).map(float), st.integers(0, 5).map(float)), min_size=1, max_size=12
    ),
    keep=st.floats(0.05, 1.0),
)
def test_of_one_design_each_as_before(points, keep):
    *others, mine = points
    assert passes_any([mine], [[other] for other in others], keep) == passes(mine, others, keep)


def test_a_training_counts_by_its_best_design():
    others = [[(1.0, 1.0)], [(2.0, 0.5)]]
    assert not passes_any([(3.0, 3.0)], others, keep=0.3)
    assert passes_any([(3.0, 3.0), (0.5, 9.0)], others, keep=0.3)  # nothing dominates the second


def test_finalists_are_trainings():
    a, b, c, d = (Candidate((ExponentSet((e,)),)) for e in (-1, -2, -3, -4))
    assert spread([a, b, c], [a, b, b, c], 3) == [a, b, c]
    assert spread([a, b, c, d], [a, a, b, c, d], 2) == [a, d]  # both ends of the front
    assert spread([a, b], [a, a, a, b], 1) == [a]


# whole searches


def opened(folder, starts, *, group=4, stop=lambda: False, trials=4):
    """A search over two sizes and three formats, from starts that are trained."""
    given_ = {"data": "digits", "seed": 0, "epochs": 1, "batch_size": 256}
    steps = configs("reactnet_18", (1, 2), given=given_)
    asked = {
        "target": "fpga-lut6", "device": None, "clock_mhz": 100.0, "budget": "", "objectives": ("luts", "loss"),
        "width": None, "fraction_bits": 12, "keep": 1.0, "finalists": 2, "seeds": 1, "sampler": "random", "seed": 0,
        "trials": trials, "images": 64, "group": group,
    }  # fmt: skip
    choices = {
        "low": -7, "high": 2, "most": 2, "scales": ("none",), "alphas": (), "widths": (8, 12), "fractions": (4,),
        "base_widths": (4, 8), "depths": ((1,),),
    }  # fmt: skip
    settings = settings_of(steps[-1], asked, choices, "network", (1,))
    problem = Problem(settings, folder / START)
    folder.mkdir(exist_ok=True)
    for size in problem.sizes:
        there = starts / problem.start_of(size).name
        if not there.exists():
            shaped = [replace(step, **shape_of(size)) for step in steps]
            train_start(there, shaped, None, SilentListener(), lambda: False)
        copy_whole(there, problem.start_of(size))
    problem = Problem(replace(settings, start=digest_of_starts(problem)), folder / START)
    studies = begin(sqlite_url(folder), "search", problem.settings, len(problem.objectives), str(folder))
    if not studies.explore.get_trials(deepcopy=False):
        for candidate in first_proposals(problem.space, trained_slopes(problem), trials):
            studies.explore.enqueue_trial(parameters(candidate, problem.space))
    return problem, studies, Evaluator(problem, folder, stop)


def explored(problem, studies, evaluator):
    """Key of a design -> its losses on all rungs."""
    explorer = Explorer(studies.explore, studies.storage, problem, evaluator, 0)
    while explorer.step():
        pass
    found = judged(studies.explore.get_trials(deepcopy=False))
    return {d.candidate.key: d.losses for t in found for d in tried(t.user_attrs, problem.space)}


@pytest.fixture(scope="module")
def starts(tmp_path_factory):
    return tmp_path_factory.mktemp("starts")


def test_an_interrupted_search_judges_as_one_that_is_not(starts, tmp_path):
    """To the bit, though what is gone on with has other neighbours; a training has two designs, judged both."""
    problem, studies, evaluator = opened(tmp_path / "whole", starts)
    whole = explored(problem, studies, evaluator)
    calls = iter(range(10_000))
    broken = opened(tmp_path / "broken", starts, stop=lambda: next(calls) == 3)
    with pytest.raises(KeyboardInterrupt):
        explored(*broken)
    found = explored(*opened(tmp_path / "broken", starts))
    common = found.keys() & whole.keys()
    assert len(common) >= 4  # those that had been proposed: of every size one, with two designs each
    assert all(found[key] == whole[key] for key in common)
    trials = judged(studies.explore.get_trials(deepcopy=False))
    assert len(trials) == 4
    assert len(whole) == 8
    # the finals: one training gives all designs of it that are on the front
    jobs = plan(studies.explore.get_trials(deepcopy=False), problem)
    enqueue(studies.finals, jobs)
    finals = Finals(studies.finals, studies.storage, problem, evaluator)
    while not all_done(studies.finals):
        assert finals.step()
    designs = {v.key for job in jobs for v in job.variants}
    assert designs <= results(studies.finals).keys()
    kept = [place for place in (tmp_path / "whole" / "finals").iterdir() if place.is_dir()]
    assert len(kept) == len(jobs)
    for of in (studies, broken[1]):
        of.storage.engine.dispose()


def json_of(capsys, command):
    assert cli([*shlex.split(command)[1:], "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_costs_and_bits_can_be_had_again(tmp_path, capsys):
    """With sizes and registers to choose from, and no retraining; the same command again changes nothing."""
    (tmp_path / "short.toml").write_text("epochs = 1\n", encoding="utf-8")
    arguments = [
        "search", "reactnet_18", "--data", "digits", "--config", str(tmp_path / "short.toml"), "--base-widths", "4,8",
        "--depths", "1", "--widths", "8,12", "--fractions", "4", "--granularity", "stage", "--epochs", "0", "--trials",
        "3", "--workers", "1", "--objectives", "luts,accuracy", "--run-dir", str(tmp_path / "run"),
    ]  # fmt: skip
    status, out, said = run(*arguments)
    assert status == 0, said
    assert read_json(tmp_path / "run" / "search.json")["settings"]["schema"] == 2
    found = read_json(tmp_path / "run" / "front.json")
    assert found["front"]
    for point in found["front"]:
        assert point["width"] in {8, 12}
        assert point["base_width"] in {4, 8}
        stage = json_of(capsys, point["commands"]["analyze"])["stages"][-1]
        assert stage["cost"]["luts"] == pytest.approx(point["cost"]["luts"], rel=1e-12)
        assert json_of(capsys, point["commands"]["evaluate"])["top1"] == point["checkpoint_test_top1"]
    trials = [row for row in rows(tmp_path / "run" / "trials.csv") if row["end"] == "evaluated"]
    assert len(trials) == 2 * 3  # two widths of each training
    assert {row["width"] for row in trials} == {"8", "12"}
    assert {row["blocks_per_stage"] for row in trials} == {"1"}
    assert {row["blocks"] for row in trials} == {""}  # of memory, which are of an accelerator
    assert "fixed 2^-3 (" in out  # a baseline says what it is beside its slopes
    assert run(*arguments)[:2] == (0, out)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"widths": "8", "fractions": "8,12"}, "holds a bit before the point with 8,12 fraction bits"),
        ({"widths": "8,8"}, "--widths 8,8 must be different whole numbers"),
        ({"widths": "x"}, "--widths 'x' is not a list of whole numbers"),
        ({"widths": "8", "width": "8"}, "--width does nothing with --widths"),
        ({"fractions": "4", "fraction-bits": "4"}, "--fraction-bits does nothing with --fractions"),
        ({"base-widths": "4"}, "--base-width does nothing with --base-widths"),
        ({"devices": "xc7z020", "device": "xc7z020"}, "--device does nothing with --devices"),
        ({"devices": "xc7z02"}, "xc7z020"),
    ],
)
def test_refusals(tmp_path, capfd, changed, reason):
    init = tmp_path / "none.pt"
    assert cli(options(tmp_path / "run", init, target="fpga-lut6", **changed)) == 2
    said = capfd.readouterr().err
    assert reason in said
    assert len([line for line in said.splitlines() if line.startswith("error:")]) == 1


def test_an_older_study_is_read(tmp_path):
    """Its trials have one design each, described by themselves."""
    space = Space({"a": ("a",)}, scales=("none", "po2"))
    held = {"sets": [[-3]], "alpha": None, "scale": "po2", "cost": {"luts": 3.0}, "rungs": [2.0, 1.0]}
    (found,) = tried({**held, "judged": {"validation_top1": 0.5}}, space)
    assert found.candidate == space.candidate([(-3,)], scale="po2")
    assert (found.losses, found.validation_top1) == ((2.0, 1.0), 0.5)


def test_a_worker_needs_the_starts_of_all_sizes(starts, tmp_path):
    from abcost.errors import SearchError
    from abcost.searching.worker import check_starts

    problem, studies, _ = opened(tmp_path, starts)
    check_starts(problem)
    problem.start_of("8:1").unlink()
    with pytest.raises(SearchError, match=r"a copy of its start-8-1\.pt"):
        check_starts(problem)
    studies.storage.engine.dispose()


def test_of_the_parts_the_first_that_holds_a_design_is_taken(starts, tmp_path):
    """Where none does, the last stands there, over budget."""
    problem, studies, _ = opened(tmp_path, starts)
    candidate, table = problem.space.uniform((-3,), "8:1"), CostTable.load("fpga-ice40")
    told = set()
    for parts, fps in product([("iCE40UP5K", "iCE40HX8K"), ("iCE40HX8K", "iCE40UP5K")], (1_000, 1_000_000)):
        space = {**problem.space.to_dict(), "devices": list(parts)}
        settings = replace(
            problem.settings, space=space, budget=f"fps>={fps}", target="fpga-ice40", table=table.digest
        )
        asked = Problem(settings, problem.start)
        narrow = replace(candidate, width=8, fraction=4)
        fits = {part: asked.pricer.price([replace(narrow, device=part)]).fits[0] for part in parts}
        (found,) = [v for v in asked.variants(candidate) if v.candidate.width == 8]
        assert found.candidate.device == next((part for part in parts if fits[part]), parts[-1])
        assert found.within == any(fits.values())
        told.add((found.candidate.device == parts[0], found.within))
    assert told == {(True, True), (False, True), (False, False)}  # all that there is has been met
    studies.storage.engine.dispose()


def designs(folder):
    """Key -> losses on all rungs, and of the finals those of all seeds; and how many trainings were judged."""
    studies = join(sqlite_url(folder), "search")
    trials = judged(studies.explore.get_trials(deepcopy=False))
    space = Space.from_dict(studies.settings.space)
    found = {d.candidate.key: d.losses for t in trials for d in tried(t.user_attrs, space)}
    reached = {name: [j.loss for j in of] for name, of in results(studies.finals).items()}
    studies.storage.engine.dispose()
    return found, reached, len(trials)


@pytest.mark.slow
def test_a_killed_and_shared_search_judges_as_the_undisturbed_one(tmp_path):
    """Two workers, and the main process killed once, against one worker alone: to the bit, whatever both judged."""
    (tmp_path / "short.toml").write_text("epochs = 1\n", encoding="utf-8")
    arguments = [
        "search", "reactnet_18", "--data", "digits", "--config", str(tmp_path / "short.toml"), "--base-widths", "4,8",
        "--depths", "1", "--widths", "8,12", "--fractions", "2,4", "--granularity", "network", "--trials", "8",
        "--epochs", "1,2", "--keep", "1", "--seeds", "2", "--finalists", "2",
    ]  # fmt: skip
    status, _, said = run(*arguments, "--workers", "1", "--run-dir", tmp_path / "whole")
    assert status == 0, said
    broken = [*arguments, "--workers", "2", "--run-dir", tmp_path / "broken"]
    process = start(*broken)
    places = tmp_path / "broken" / "trials"
    began = time.monotonic()
    while process.poll() is None and time.monotonic() < began + WAIT_S:
        if places.exists() and len(list(places.iterdir())) >= 4:
            break
        time.sleep(0.05)
    children = psutil.Process(process.pid).children()
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=WAIT_S)
    assert not alive
    status, _, said = run(*broken)
    assert status == 0, said
    (whole, finals, count), (found, others, again) = designs(tmp_path / "whole"), designs(tmp_path / "broken")
    assert count == again == 8
    common = whole.keys() & found.keys()
    assert len(common) >= 8  # two proposals of each size, in four forms each
    assert all(found[key] == whole[key] for key in common)
    assert all(others[name] == finals[name] for name in finals.keys() & others.keys())
