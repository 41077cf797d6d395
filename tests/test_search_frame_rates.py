"""Searches that choose the frames per second which engines are folded for: priced, never trained."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import pytest

from abcost.api.search import settings_of
from abcost.cli import run as cli
from abcost.searching.pricing import quantities
from abcost.searching.problem import Problem, network_graph
from abcost.training.recipes import configs
from searching import options, read_json, rows, run, trained

RATES = (100.0, 120.0, 1_000.0, 4_000.0, 1e6, 2e6)


def problem(path, rates, **changed):
    """Of a small network on LUTs, with a start that is never trained."""
    config = configs("reactnet_18", (1, 2), given={"data": "digits", "base_width": 4, "blocks": (1, 1)})[-1]
    asked = {
        "target": "fpga-ice40", "device": None, "clock_mhz": 12.0, "budget": "", "objectives": (), "width": None,
        "fraction_bits": 12, "keep": 1.0, "finalists": 2, "seeds": 1, "sampler": "random", "seed": 0, "trials": 4,
        "images": 64, "group": 1,
    } | changed  # fmt: skip
    choices = {"low": -7, "high": 2, "most": 2, "scales": ("none",), "alphas": (), "frame_rates": rates}
    return Problem(settings_of(config, asked, choices, "network", (1,)), path / "start.pt")


def test_of_each_rate_that_hardware_can_tell_a_design(tmp_path):
    """Against whole analyses, one per rate: two rates of one folding are one design, which is that of the first."""
    found = problem(tmp_path, RATES)
    assert found.objectives == ("luts", "fps")
    candidate = found.space.uniform((-3, -1))
    variants = found.variants(candidate)
    rewriting = found.rewriting(slopes=found.space.layers(candidate))
    graph = network_graph(found.config, found.data, rewriting)
    costs = {rate: json.dumps(quantities(graph, found.hardware_for(fps=rate))) for rate in RATES}
    expected = {}
    for rate, cost in costs.items():
        expected.setdefault(cost, rate)
    assert 2 <= len(expected) < len(RATES)  # both happens
    # what cannot keep up is told from what can, and is not within
    fitting = [rate for rate in expected.values() if json.loads(costs[rate])["fps"] >= rate]
    assert [v.candidate.fps for v in variants if v.within] == fitting
    for variant in (v for v in variants if v.fits):
        whole = quantities(graph, found.hardware_for(fps=variant.candidate.fps))
        assert variant.cost["luts"] == pytest.approx(whole["luts"], rel=1e-12)
        assert variant.cost["fps"] == pytest.approx(whole["fps"], rel=1e-12)
        assert variant.within
        assert whole["fps"] >= variant.candidate.fps
    for variant in variants:
        again = found.space.read(json.loads(json.dumps(variant.candidate.described())))
        assert again == variant.candidate
    assert len({v.candidate.key for v in variants}) == len(variants)
    assert {found.space.base(v.candidate) for v in variants} == {candidate}


def test_a_rate_that_no_folding_reaches_does_not_hide_one_that_is(tmp_path):
    """Whatever their order: what cannot keep up is as parallel as can be, and so is the last that does."""
    fastest = quantities_at_most(problem(tmp_path, RATES))
    for rates in ((fastest, 1e8), (1e8, fastest)):
        found = problem(tmp_path, rates)
        variants = found.variants(found.space.uniform((-3,)))
        assert {v.candidate.fps for v in variants if v.within} == {fastest}


def quantities_at_most(found):
    """Frames per second of the most parallel engines: those of a rate that cannot be reached."""
    hardware = found.hardware_for(fps=1e8)
    graph = network_graph(found.config, found.data, found.rewriting())
    return quantities(graph, replace(hardware, goal=replace(hardware.goal, fps=1e8)))["fps"]


def test_whole(tmp_path, capsys):
    """A front of LUTs, frames per second and loss; each of its designs is had again; rates cost no training."""
    init = trained(tmp_path / "start")
    folder = tmp_path / "run"
    chosen = {
        "target": "fpga-lut6",
        "epochs": 0,
        "trials": 3,
        "workers": 1,
        "granularity": "network",
        "finalists": 3,
    }
    status, out, said = run(*options(folder, init, frame_rates="1000,20000", **chosen))
    assert status == 0, said
    found = read_json(folder / "front.json")
    assert found["objectives"] == ["luts", "fps", "loss"]
    assert {point["folded_for_fps"] for point in found["front"]} == {1000, 20000}
    capsys.readouterr()
    assert all(point["cost"]["fps"] >= point["folded_for_fps"] for point in found["front"])
    for point in found["front"][-1:]:
        command = point["commands"]["analyze"]
        assert cli([*shlex.split(command)[1:], "--format", "json"]) == 0
        accelerator = json.loads(capsys.readouterr().out)["stages"][-1]["organisation"]
        assert accelerator["fps"] == pytest.approx(point["cost"]["fps"], rel=1e-12)
        assert accelerator["resources"]["luts"] == pytest.approx(point["cost"]["luts"], rel=1e-12)
    losses = {}
    for point in found["front"]:
        losses.setdefault(json.dumps(point["slopes"]), set()).add(point["loss"])
    assert all(len(of) == 1 for of in losses.values())  # one network, whatever its folding
    judged = [row for row in rows(folder / "trials.csv") if row["end"] == "evaluated"]
    assert len(judged) == 2 * len({row["trial"] for row in judged})
    assert "frames/s)" in out  # of baselines, whose names are long, all is there


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"frame-rates": "x"}, "--frame-rates 'x' is not a list of frames per second"),
        ({"frame-rates": "0"}, "must be at least"),
        ({"frame-rates": "nan"}, "must be at least"),
        ({"frame-rates": "100,1000", "budget": "fps>=500"}, "--frame-rates 100 is below the 500 frames/s"),
        ({"frame-rates": "100,1000", "objectives": "luts,loss"}, "--frame-rates without fps or latency_ms"),
        ({"frame-rates": "100", "target": "asic-45nm"}, "asic"),
    ],
)
def test_refusals(tmp_path, capfd, changed, reason):
    nothing = tmp_path / "none.pt"  # what is wrong is found before it is looked for
    assert cli(options(tmp_path / "run", nothing, **{"target": "fpga-lut6", **changed})) == 2
    said = capfd.readouterr().err
    assert reason in said
    assert len([line for line in said.splitlines() if line.startswith("error:")]) == 1
