"""Prices of candidates, thousands at once, against the whole analysis of one."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

import pytest
from torch import nn

from abcost.accelerator.devices import device
from abcost.accelerator.solve import AcceleratorGoal
from abcost.core.inputs import InputSpec
from abcost.cost.bundled import cost_models_dir
from abcost.cost.organisation import Lanes
from abcost.cost.table import CostTable
from abcost.errors import UnknownName
from abcost.models.randomise import randomise_parameters
from abcost.models.subject import Request, resolve
from abcost.pipeline import analyze, analyze_subject, stage_graphs
from abcost.rewrite import RewriteOptions
from abcost.searching.budget import Budget
from abcost.searching.pricing import PricingHardware, SpacePricer, quantities
from abcost.searching.space import Space, groups_of

SMALL = {"preset": "digits", "base_width": 16, "blocks": (2, 2)}


@cache
def subject_of(name, preset, width=None, blocks=None):
    """With parameters that differ from channel to channel, so that ROMs are as wide as in a trained network."""
    subject = resolve(Request(name, preset=preset, base_width=width, blocks=blocks))
    randomise_parameters(subject.model)
    return subject


@cache
def graph_of(subject):
    return stage_graphs(subject.model, subject.inputs, RewriteOptions()).stages[-1].graph


def analysed(subject, hardware, sets):
    """Quantities from the report of a whole analysis."""
    (report,) = analyze_subject(
        subject,
        [hardware.table],
        width=hardware.width,
        organisation=hardware.organisation,
        rewriting=RewriteOptions(slopes=sets),
        accelerator=hardware.goal,
    )
    stage = report.stages[-1]
    found = {
        "energy_uj": None if stage.cost.energy_pj is None else stage.cost.energy_pj / 1e6,
        "weight_kib": stage.weight_bits / 8 / 1024,
        "area_um2": stage.cost.area_um2,
    }
    if stage.organisation is None:
        return True, found | {name: getattr(stage.cost, name) for name in ("luts", "ffs", "dsps")}
    made = stage.organisation.to_dict()
    resources = {
        name: made["resources"][name] for name in ("luts", "ffs", "dsps", "blocks", "uram", "bram36")
    }
    times = {name: made[name] for name in ("latency_ms", "fps")}
    layers = made["layers"]
    parts = {
        "post_luts": sum(x["chain_luts"] for x in layers),
        "prelu_luts": sum(x["prelu_luts"] for x in layers),
    }
    return made["fits"], found | resources | times | parts


CASES = {  # network, table, wishes, candidates: 200 in all, which take minutes
    "nodes": (("reactnet_18", "cifar10"), "fpga-lut6", None, 30),
    "asic": (("reactnet_18", "digits", 16, (2, 2)), "asic-45nm", None, 60),
    "pipeline": (("reactnet_18", "digits", 16, (2, 2)), "fpga-lut6", AcceleratorGoal(None, 5000.0), 45),
    "device": (("reactnet_18", "cifar10"), "fpga-lut6", AcceleratorGoal(device("xc7z020"), 60.0), 4),
    "fastest": (("reactnet_18", "digits", 16, (2, 2)), "fpga-lut6", AcceleratorGoal(device("xc7a35t")), 20),
    "tight": (
        ("reactnet_18", "digits", 16, (2, 2)),
        "fpga-ice40",
        AcceleratorGoal(device("iCE40UP5K"), 30.0),
        12,
    ),
    "on chip": (
        ("reactnet_18", "digits", 16, (2, 2)),
        "fpga-ecp5",
        AcceleratorGoal(
            replace(device("LFE5U-85F"), dsps=3, blocks=4, lutram=900, luts=12_000), weights="on-chip"
        ),
        6,
    ),
    "ecp5": (
        ("reactnet_18", "digits", 16, (2, 2)),
        "fpga-ecp5",
        AcceleratorGoal(device("LFE5U-85F"), 2000.0),
        16,
    ),
    "reactnet_a": (("reactnet_a", "imagenet"), "fpga-lut6", AcceleratorGoal(device("xczu9eg"), 60.0), 3),
    "reactnet_a nodes": (("reactnet_a", "imagenet"), "fpga-lut6", None, 4),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.slow
def test_all_prices_are_those_of_the_whole_analysis(case):
    check_prices(case, 1)


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("reactnet_a", "device")])
def test_prices_are_those_of_the_whole_analysis(case):
    """Networks of CIFAR and ImageNet whole on a device take long; their nodes, and smaller ones on devices, not."""
    check_prices(case, 30)


def check_prices(case, share):
    """Of one candidate in so many, or of all."""
    network, target, goal, count = CASES[case]
    subject = subject_of(*network)
    hardware = PricingHardware(CostTable.load(target), 16, Lanes(), goal)
    graph = graph_of(subject)
    space = Space(groups_of(graph, "layer"))
    generator = random.Random(case)
    candidates = [space.random(generator) for _ in range(-(-count // share))]
    priced = SpacePricer(graph, space, hardware).price(candidates)
    for index, candidate in enumerate(candidates):
        fits, expected = analysed(subject, hardware, space.layers(candidate))
        assert bool(priced.fits[index]) == fits
        found = priced.of(index)
        for name, value in expected.items():
            if fits:
                assert found[name] == (None if value is None else pytest.approx(value, rel=1e-9)), (
                    name,
                    candidate,
                )
    assert sum(count for *_, count in CASES.values()) == 200


def test_layers_that_share_a_set_are_priced_together():
    subject = subject_of("reactnet_18", "digits", 16, (2, 2))
    graph = graph_of(subject)
    hardware = PricingHardware(CostTable.load("fpga-lut6"), 16, Lanes(), AcceleratorGoal(None, 5000.0))
    stages = Space(groups_of(graph, "stage"))
    layers = Space(groups_of(graph, "layer"))
    sets = [(-3, -1), (-4, -2, 0, 1)]
    together = stages.candidate(sets)
    apart = layers.candidate([stages.layers(together)[layer] for (layer,) in layers.groups.values()])
    assert SpacePricer(graph, stages, hardware).price([together]).of(0) == SpacePricer(
        graph, layers, hardware
    ).price([apart]).of(0)


def test_more_exponents_never_cost_less():
    graph = graph_of(subject_of("reactnet_18", "digits", 16, (2, 2)))
    space = Space(groups_of(graph, "layer"))
    pricer = SpacePricer(graph, space, PricingHardware(CostTable.load("fpga-ice40"), 16, Lanes(), None))
    chain = [space.uniform(s) for s in [(-3,), (-3, -1), (-4, -3, -1), (-4, -3, -1, 0)]]
    luts = pricer.price(chain).values["luts"]
    assert list(luts) == sorted(luts)
    assert luts[0] < luts[1] < luts[2]


def test_a_whole_price_knows_what_the_table_does_not():
    graph = graph_of(subject_of("reactnet_18", "digits", 16, (2, 2)))
    found = quantities(graph, PricingHardware(CostTable.load("fpga-ecp5"), 16, Lanes(), None))
    assert found["energy_uj"] is None  # no figure of its block RAM is printed
    assert found["luts"] > 0
    space = Space(groups_of(graph, "layer"))
    priced = SpacePricer(graph, space, PricingHardware(CostTable.load("fpga-ecp5"), 16, Lanes(), None)).price(
        [space.uniform((-3,))]
    )
    assert priced.of(0)["energy_uj"] is None
    assert not priced.within(Budget({"energy_uj": 1e9}))[0]  # unknown is no yes


def test_energy_through_an_unknown_memory_is_within_no_budget(tmp_path):
    """Its operations alone would be."""
    mine = tmp_path / "mine.toml"
    text = (cost_models_dir() / "asic-45nm.toml").read_text()
    mine.write_text(text.replace('weights = "dram"', 'weights = "unknown"'))
    graph = graph_of(subject_of("reactnet_18", "digits", 16, (2, 2)))
    space = Space(groups_of(graph, "layer"))
    hardware = PricingHardware(CostTable.load(mine), 16, Lanes(), None)
    priced = SpacePricer(graph, space, hardware).price([space.uniform((-3,))])
    assert priced.of(0)["energy_uj"] is None
    assert quantities(graph, hardware)["energy_uj"] is None
    assert not priced.within(Budget({"energy_uj": 1e9}))[0]


def test_what_has_no_price_fits_no_device(tmp_path):
    """A table without ROMs: a sigmoid's table might take any number of LUTs."""
    mine = tmp_path / "fpga-lut6.toml"
    head, *entries = (cost_models_dir() / "fpga-lut6.toml").read_text().split("[[entry]]")
    mine.write_text(
        "[[entry]]".join([head, *(e for e in entries if 'op = "rom"' not in e.partition("\n[")[0])])
    )
    model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Sigmoid())
    for table, fits in ((mine, False), ("fpga-lut6", True)):
        report = analyze(
            model, input_shape=(1, 4), target=table, accelerator=AcceleratorGoal(device("xc7z020"))
        )
        made = report.stages[-1].organisation
        assert made.fits is fits
        assert (made.unknown == ()) is fits
    assert (
        "lacks LUTs, flip-flops or DSPs of rom"
        in analyze(model, input_shape=(1, 4), target=mine, accelerator=AcceleratorGoal(device("xc7z020")))
        .stages[-1]
        .organisation.refusal
    )


# analyze --slopes


def last_stage(sets, model=None):
    subject = subject_of("reactnet_18", "digits", 16, (2, 2))
    (report,) = analyze_subject(
        subject,
        [CostTable.load("fpga-lut6")],
        width=16,
        organisation=Lanes(),
        rewriting=RewriteOptions(slopes=sets),
        verify=model is not None,
    )
    return report


def test_hardware_offers_the_named_exponents():
    report = last_stage({"layer1.0.prelu": (-3, 0), "layer2.0.prelu": (-7, -4, -2, 1)})
    units = {unit for node in report.stages[-1].nodes for unit in node.units if unit.op == "qprelu"}
    of = {
        node.node.layer: node.units[0]
        for node in report.stages[-1].nodes
        if node.node.kind.value == "shift_prelu"
    }
    assert units
    assert of["layer1.0.prelu"].exponents == 2
    assert of["layer2.0.prelu"].exponents == 4
    assert report.to_dict()["settings"]["slopes"] == {
        "layer1.0.prelu": [-3, 0],
        "layer2.0.prelu": [-7, -4, -2, 1],
    }


def test_slopes_move_to_the_nearest_allowed_exponent():
    subject = subject_of("reactnet_18", "digits", 16, (2, 2))
    before = stage_graphs(subject.model, subject.inputs, RewriteOptions()).stages[-1].graph
    after = stage_graphs(subject.model, subject.inputs, RewriteOptions(slopes={"layer1.0.prelu": (-6, -2)}))
    old, new = (
        {n.layer: n for n in g if n.kind.value == "shift_prelu"}["layer1.0.prelu"]
        .consts["exponent"]
        .values.flatten()
        for g in (before, after.stages[-1].graph)
    )
    assert set(old.tolist()) > {-6, -2} or len(set(old.tolist())) > 1
    for was, now in zip(old.tolist(), new.tolist(), strict=True):
        assert now == min((-6, -2), key=lambda e: (abs(was - e), e))
    stage = {s.name: s for s in after.stages}["rprelu_quantized"]
    assert not stage.exact
    assert any("rounded to 2**e, e of [-6, -2]" in entry.detail for entry in stage.log if entry.fired)


def test_a_layer_without_power_of_two_slopes_is_named():
    with pytest.raises(UnknownName, match=r"--slopes 'layer1.0.prelo'; did you mean 'layer1.0.prelu'"):
        last_stage({"layer1.0.prelo": (-3,)})


def test_restricted_slopes_are_proved_by_execution():
    report = last_stage({"layer1.0.prelu": (-3, 0)}, model="verify")
    assert report.verified
    assert InputSpec((1, 3, 8, 8)).shape == report.input_shapes[0]
