"""What a search keeps low: any priced figures, beside the loss or the accuracy."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abcost.api.search import settings_of
from abcost.cli import run as cli
from abcost.searching.budget import Budget
from abcost.searching.evaluator import Design, Evaluation
from abcost.searching.objectives import all_low, judge_of, parse_objectives, priced
from abcost.searching.points import TrainedDesign, noise_of, result_of
from abcost.training.recipes import configs
from searching import FEW_FINALS, options, read_json, run, trained


@pytest.fixture(scope="module")
def init(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("start"))


def test_objectives_are_read():
    found = parse_objectives("luts, accuracy,fps")
    assert found == ("luts", "accuracy", "fps")
    assert (judge_of(found), priced(found), judge_of(())) == ("accuracy", ("luts", "fps"), "loss")
    # more frames per second are better, more LUTs are not
    assert all_low(("luts", "fps"), {"luts": 900.0, "fps": 60.0}) == (900.0, -60.0)
    assert all_low(("luts",), {"luts": None}) == (math.inf,)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("luts", "must name either loss or accuracy"),
        ("luts,loss,accuracy", "must name either loss or accuracy"),
        ("loss", "must name what is priced too"),
        ("luts,loss,luts", "names luts twice"),
        ("lutz,loss", "did you mean 'luts'"),
        ("bram36,loss", "only a whole accelerator has 36 kbit block RAMs; add --device or fps>="),
        ("area_um2,loss", "--objectives area_um2: fpga-lut6 has no figures for silicon area"),
    ],
)
def test_objectives_that_make_no_sense(init, tmp_path, capfd, text, reason):
    assert cli(options(tmp_path / "run", init, target="fpga-lut6", objectives=text)) == 2
    said = capfd.readouterr().err
    assert reason in said
    assert len([line for line in said.splitlines() if line.startswith("error:")]) == 1


def point(name, luts, energy, loss, top1):
    judged = Evaluation(loss, top1, loss, top1, (0.0, 1.0), 100, {}, Path("x.pt"))
    return TrainedDesign(name, Design(), {"luts": luts, "energy_uj": energy}, (judged,))


figures = st.integers(0, 4).map(float)


@given(
    values=st.lists(st.tuples(figures, figures, figures, figures), min_size=1, max_size=8),
    judge=st.booleans(),
)
def test_the_front_of_three_figures(values, judge):
    """A point is off the front where another is nowhere worse and somewhere better, or the same and before it."""
    name = "accuracy" if judge else "loss"
    points = [point(str(i), *v[:3], v[3] / 4) for i, v in enumerate(values)]
    rank = [(v[0], v[1], 1 - v[3] / 4 if judge else v[2]) for v in values]
    found = result_of(points, [], ("luts", "energy_uj"), Budget({}), name)
    expected = {
        str(i)
        for i, mine in enumerate(rank)
        if not any(
            all(x <= y for x, y in zip(other, mine, strict=True)) and (other != mine or j < i)
            for j, other in enumerate(rank)
            if j != i
        )
    }
    assert {p.name for p in found.front} == expected
    # one seed: no noise, so that the chosen one is the best by the judge
    assert found.chosen is not None
    assert found.chosen.merit(name) == pytest.approx(min(r[2] for r in rank))


def test_a_search_for_three_figures(init, tmp_path):
    asked = {"epochs": 0, "objectives": "energy_uj,accuracy,luts", "trials": 6, "workers": 1}
    status, out, said = run(*options(tmp_path, init, **asked))
    assert status == 0, said
    assert read_json(tmp_path / "search.json")["settings"]["schema"] == 2
    found = read_json(tmp_path / "front.json")
    assert found["objectives"] == ["energy_uj", "luts", "accuracy"]
    assert found["settings"]["objectives"] == ["energy_uj", "accuracy", "luts"]
    costs = [p["cost"]["energy_uj"] for p in found["front"]]
    assert costs == sorted(costs)
    assert all(x in out for x in ("energy_uj, uJ", "luts, LUTs", "One seed"))
    charts = (tmp_path / "front.html").read_text(encoding="utf-8")
    assert "front-energy-uj" in charts
    assert "front-luts" in charts


def test_an_old_settings_file_has_no_objectives(init, tmp_path, capfd):
    """A search begun without them goes on without them, and not with others."""
    arguments = options(tmp_path, init, epochs=0, trials=2, workers=1, **FEW_FINALS)
    status, _, said = run(*arguments)
    assert status == 0, said
    file = tmp_path / "search.json"
    held = read_json(file)
    assert held["settings"]["schema"] == 1
    del held["settings"]["objectives"]
    file.write_text(json.dumps(held), encoding="utf-8")
    status, _, said = run(*arguments)
    assert status == 0, said
    assert cli([*arguments, "--objectives", "luts,loss"]) == 2
    assert "is a search with objectives" in capfd.readouterr().err


def test_who_knows_no_such_choices_is_told_by_the_schema():
    """An abcost of schema 1 refuses a study with objectives or wide choices instead of passing over them."""
    (config,) = configs("reactnet_18", (2,), given={"data": "digits", "base_width": 4, "blocks": (1, 1)})
    asked = {
        "target": "fpga-lut6", "device": None, "clock_mhz": 100.0, "budget": "", "objectives": (), "width": None,
        "fraction_bits": 12, "keep": 0.5, "finalists": 1, "seeds": 1, "sampler": "nsga2", "seed": 0, "trials": 1,
        "images": 64, "group": 1,
    }  # fmt: skip
    space = {"low": -4, "high": 1, "most": 3, "scales": ("none",), "alphas": ()}

    def schema(**more):
        given = {**asked, **{name: more[name] for name in more.keys() & asked.keys()}}
        wide = {name: more[name] for name in more.keys() - asked.keys()}
        return settings_of(config, given, {**space, **wide}, "layer", (1,)).to_dict()["schema"]

    assert schema() == 1
    assert schema(objectives=("luts", "loss")) == 2
    assert schema(widths=(8, 12), fractions=(4,)) == 2


def test_noise_is_that_of_trainings_not_of_registers():
    """Two trainings of which each is also made with registers that overflow, and then varies by whole nats."""
    path = Path("x.pt")

    def made(name, exponent, width, losses):
        reached = tuple(Evaluation(x, 0.5, x, 0.5, (0.0, 1.0), 100, {}, path) for x in losses)
        design = Design({"a": (exponent,)}, width=width, fraction=4)
        return TrainedDesign(name, design, {"luts": float(width)}, reached)

    wide = [made("a", -3, 16, (0.50, 0.54)), made("b", -2, 16, (0.60, 0.62))]
    narrow = [made("c", -3, 8, (2.0, 5.0)), made("d", -2, 8, (6.0, 1.0))]
    found = result_of([*wide, *narrow], [], ("luts",), Budget({}))
    assert found.noise == pytest.approx(noise_of(wide))
    # of a, b: residuals -0.005, 0.005, 0.005, -0.005; s² = 1e-4 / 1, noise = sqrt(1e-4 * 2 / 2)
    assert found.noise == pytest.approx(0.01)
    assert found.chosen is not None
    assert found.chosen.name == "a"  # not the narrow one, which all four together would not tell apart
