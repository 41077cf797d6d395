"""abcost analyze as scripts use it - the contract, targets and options."""

from __future__ import annotations

import io
import json
import sys

import pandas as pd
import pytest
import torch

from abcost.cli import run
from abcost.cost import CostTable, bundled_targets
from abcost.models.subject import parse_arguments
from analyzing import (
    COSTS,
    FAN_IN,
    MODELS,
    OPS,
    SMALL,
    STAGES,
    STEM,
    ZOO,
    N,
    by_stage,
    data_of,
    detail_rows,
    frame_of,
    output_of,
)

ORIGINS = [
    "activation_scale", "residual_scale", "rprelu", "avg_pool", "weight_scale", "batch_norm", "shortcut", "stem",
    "classifier", "global_pool", "quantiser", "attention", "activation_function", "squeeze_excite", "other",
]  # fmt: skip


POOLED = 8 * 4 * 4  # means over 2x2
MEANS = 8  # over the 4x4 that are left
CLASSIFIER = 8 * 10


# the contract


@pytest.fixture(scope="module")
def zoo_reports(tmp_path_factory):
    """The JSON of one zoo network on every bundled target, by target."""
    file = tmp_path_factory.mktemp("zoo") / "reports.json"
    targets = [option for name in bundled_targets() for option in ("-t", name)]
    assert run(["analyze", *ZOO, *targets, "--format", "json", "-o", str(file)]) == 0
    data = json.loads(file.read_text(encoding="utf-8"))
    return {report["target"]: report for report in data["reports"]}


@pytest.fixture(params=bundled_targets())
def zoo_report(request, zoo_reports):
    return zoo_reports[request.param]


def test_every_key_of_the_contract_has_its_type(zoo_report):
    types = {
        "schema": int, "model": str, "variant": str, "input_shape": list, "parameters": int, "target": str,
        "width_bits": int, "stages": list, "layers": list, "published_convention": dict, "warnings": list,
    }  # fmt: skip
    assert {key: type(zoo_report[key]) for key in types} == types
    assert (zoo_report["schema"], zoo_report["model"], zoo_report["variant"]) == (1, "reactnet_18", "ab")
    assert zoo_report["input_shape"] == [1, 3, 32, 32]
    assert [stage["name"] for stage in zoo_report["stages"]] == STAGES
    assert list(zoo_report["published_convention"]) == STAGES
    for stage in zoo_report["stages"]:
        assert list(stage["ops"]) == OPS
        assert list(stage["multiplications"]) == ORIGINS
        assert all(
            type(count) is int for count in (*stage["ops"].values(), *stage["multiplications"].values())
        )
        assert [*COSTS, "weight_bits"] == list(stage["cost"])[:6]
        assert all(value is None or type(value) in (int, float) for value in stage["cost"].values())
        assert type(stage["exact"]) is bool
        assert stage["max_abs_error"] is None
    for layer in zoo_report["layers"]:
        assert type(layer["name"]) is str
        assert layer["stage"] in STAGES
        assert list(layer["ops"]) == OPS
        assert [*COSTS, "weight_bits"] == list(layer["cost"])


def test_parts_sum_to_the_whole(zoo_report):
    for stage in zoo_report["stages"]:
        layers = [layer for layer in zoo_report["layers"] if layer["stage"] == stage["name"]]
        assert sum(stage["multiplications"].values()) == stage["ops"]["multiply"]
        assert {op: sum(layer["ops"][op] for layer in layers) for op in OPS} == stage["ops"]
        for name in (*COSTS, "weight_bits"):
            parts = [layer["cost"][name] for layer in layers]
            if stage["cost"][name] is None:
                assert None in parts
            else:
                assert sum(parts) == pytest.approx(stage["cost"][name], rel=1e-12)


@pytest.mark.parametrize(
    ("target", "known", "unknown"),
    [
        ("fpga-lut6", ["energy_pj", "luts", "dsps"], ["area_um2"]),
        ("fpga-ecp5", ["luts", "dsps"], ["energy_pj", "area_um2"]),  # its block RAM has no energy
        ("asic-45nm", ["energy_pj", "area_um2"], ["luts", "ffs", "dsps"]),
    ],
)
def test_unknown_cost_is_null_and_never_zero(capsys, target, known, unknown):
    data = data_of(capsys, *SMALL, "-t", target)
    for stage in data["stages"]:
        assert [stage["cost"][name] for name in unknown] == [None] * len(unknown)
        assert all(stage["cost"][name] > 0 for name in known)
    rows = frame_of(capsys, *SMALL, "-t", target)
    of_units = [name for name in unknown if (target, name) != ("fpga-ecp5", "energy_pj")]
    assert rows[rows["kind"] == "multiply"][of_units].isna().all(axis=None)


def test_counts_of_the_small_network(capsys):
    data = data_of(capsys, *SMALL)
    sums = {"pool": POOLED * (2 * 2 - 1), "mean": MEANS * (4 * 4 - 1)}
    adds = STEM + N + N + sum(sums.values()) + CLASSIFIER + 10  # one per binary dot, residual, bias
    origins = {
        "activation_scale": N, "residual_scale": N, "rprelu": N, "avg_pool": POOLED, "weight_scale": N,
        "batch_norm": 0, "shortcut": 0, "stem": STEM, "classifier": CLASSIFIER, "global_pool": MEANS, "other": 0,
        "quantiser": 0, "attention": 0, "activation_function": 0, "squeeze_excite": 0,
    }  # fmt: skip
    before, *_, after = data["stages"]
    assert before["multiplications"] == origins
    assert before["ops"] == {
        "multiply": sum(origins.values()),
        "add": adds,
        "bitop": 2 * FAN_IN * N,  # XNOR and popcount
        "shift": 0,
        "compare": N + N,  # sign, and the select of the PReLU
        "other": N,  # the mask
    }
    left = {"weight_scale": N, "stem": STEM, "classifier": CLASSIFIER}
    assert after["multiplications"] == {**dict.fromkeys(ORIGINS, 0), **left}
    assert after["ops"] == {
        **before["ops"],
        "multiply": sum(left.values()),
        "shift": N + N + POOLED + MEANS,  # alpha, slopes, both pools
        "other": 0,
    }
    published = N + N + N + POOLED  # beta, alpha, slopes, windowed pool
    assert data["published_convention"] == {
        "traced": published,
        "mask_removed": published - N,
        "rprelu_quantized": published - N - N,
        "add_and_bit": 0,
    }
    assert (
        data["parameters"] == 3 * 3 * 3 * 8 + FAN_IN * 8 + 8 + 8 + CLASSIFIER + 10
    )  # + gains, slopes, biases
    macs = {
        "total": STEM + FAN_IN * N + CLASSIFIER,
        "binary_binary": FAN_IN * N,
        "binary_real": 0,
        "real_real": STEM + CLASSIFIER,
        "fvcore": STEM + FAN_IN * N + CLASSIFIER,
    }
    assert {name: data["macs"][name] for name in macs} == macs
    assert data["variant"] is None


def test_stages_are_exact_and_executed_only_on_request(capsys):
    plain, checked = data_of(capsys, *SMALL), data_of(capsys, *SMALL, "--verify")
    assert list(by_stage(plain, "max_abs_error").values()) == [None] * 4
    assert list(by_stage(checked, "exact").values()) == [True] * 4
    traced, *rewritten = by_stage(checked, "max_abs_error").values()
    assert 0 <= traced < 1e-9  # the model against its trace, in float64
    assert rewritten == [0.0] * 3


def test_python_gives_the_same_report(zoo_reports):
    from abcost.pipeline import analyze

    report = analyze("reactnet_18", target="asic-45nm", preset="cifar10")
    assert report.to_dict() == zoo_reports["asic-45nm"]


def test_checkpoint_ends_the_warning_about_untrained_weights(capsys, tmp_path):
    from abcost.models import build

    file = tmp_path / "trained.pt"
    network = build("reactnet_18", stem="cifar", num_classes=10)
    torch.nn.init.constant_(network.layer1[0].prelu.L_alpha[:32], -2.0)  # two slopes: no longer wiring
    torch.save(network.state_dict(), file)
    out, err = output_of(capsys, *ZOO, "--checkpoint", file, "--format", "csv")
    assert "untrained" not in err
    rows = pd.read_csv(io.StringIO(out))
    chosen = rows[(rows["kind"] == "shift_select") & (rows["stage"] == "add_and_bit")]
    assert list(chosen["count"]) == [64 * 32 * 32]


def test_reduced_network_says_so(capsys):
    reduced = (
        "reactnet_18",
        "--preset",
        "digits",
        "--base-width",
        "4",
        "--blocks",
        "1,2",
        "--num-classes",
        "3",
    )
    data = data_of(capsys, *reduced)
    assert (data["settings"]["base_width"], data["settings"]["blocks"]) == (4, [1, 2])
    assert data["input_shape"] == [1, 3, 8, 8]
    # stem 4 channels at 8x8; 4 -> 4; then 4 -> 8 and 8 -> 8 at 4x4, with a 1x1 shortcut
    macs = 27 * 4 * 64 + 36 * 4 * 64 + (36 + 72 + 4) * 8 * 16 + 8 * 3
    assert data["macs"]["total"] == macs
    text, _ = output_of(capsys, *reduced)
    assert "reactnet_18 (ab, base width 4, blocks 1,2), 1x3x8x8, " in text.splitlines()[0]


def test_a_network_as_published_has_no_setting_of_its_size(zoo_reports):
    assert {"base_width", "blocks"} & set(zoo_reports["asic-45nm"]["settings"]) == set()


# targets


def test_several_targets_in_the_order_given(capsys):
    both = data_of(capsys, *SMALL, "-t", "fpga-lut6", "-t", "asic-45nm", "-t", "fpga-lut6")
    assert both["schema"] == 1
    assert both["reports"] == [data_of(capsys, *SMALL, "-t", name) for name in ("fpga-lut6", "asic-45nm")]
    rows = frame_of(capsys, *SMALL, "-t", "fpga-lut6", "-t", "asic-45nm")
    assert list(rows["target"].unique()) == ["fpga-lut6", "asic-45nm"]
    drawn = output_of(capsys, *SMALL, "-t", "fpga-lut6", "-t", "asic-45nm")[0]
    assert drawn.index("Cost on fpga-lut6") < drawn.index("Cost on asic-45nm")


def test_default_width_is_the_tables_own(capsys):
    assert data_of(capsys, *SMALL, "-t", "fpga-lut6")["width_bits"] == 16
    assert data_of(capsys, *SMALL, "-t", "abbnn-paper")["width_bits"] == 32


OWN_TABLE = """
schema = 1
target = "mine"
title = "Only multipliers"
technology = "fpga"
node = "none"
[[entry]]
op = "multiply"
luts = 100
source = "me"
method = "derived"
confidence = "derived"
note = "made up"
[source.me]
title = "me"
where = "here"
"""


def test_part_of_a_cost_is_not_the_cost(capsys, tmp_path):
    """A table that knows multipliers only must not price a block of multipliers and adders at the multipliers."""
    table = tmp_path / "mine.toml"
    table.write_text(OWN_TABLE)
    data = data_of(capsys, *SMALL, "-t", table)
    assert data["target"] == "mine"
    assert {by_stage(data, "cost")["traced"][name] for name in COSTS} == {None}
    assert "add luts" in data["unpriced"]
    rows = detail_rows(output_of(capsys, *SMALL, "-t", table, "--by", "layer")[0], "layer")
    assert rows["stem"]["luts"] == ("unknown", "unknown")  # multiply and add
    assert rows["fc"]["luts"] == ("unknown", "unknown")
    assert rows["alpha"]["luts"] == ("100", "0")  # multiply, then a shift by one amount, which is wiring


# options


def test_width_prices_wider_units_and_counts_the_same(capsys):
    narrow, wide = (data_of(capsys, *SMALL, "-t", "asic-45nm", "--width", width) for width in (8, 32))
    assert (narrow["width_bits"], wide["width_bits"]) == (8, 32)
    assert by_stage(narrow, "ops") == by_stage(wide, "ops")
    table = CostTable.load("asic-45nm")
    for width in (8, 32):
        rows = frame_of(capsys, *SMALL, "-t", "asic-45nm", "--width", width)
        stem = rows[(rows["layer"] == "stem") & (rows["stage"] == "traced")].set_index("kind")["energy_pj"]
        each = {kind: table.price(kind, width=width).cost.energy_pj for kind in ("multiply", "add")}
        assert stem.to_dict() == pytest.approx({kind: STEM * each[kind] for kind in each})
    # 32-bit against 8-bit multiplier of Horowitz 2014: 3.1 pJ, 0.2 pJ
    assert table.price("multiply", width=32).cost.energy_pj == 3.1
    assert table.price("multiply", width=8).cost.energy_pj == 0.2


@pytest.mark.parametrize(
    ("target", "area"), [("fpga-lut6", "luts"), ("fpga-lut6", "dsps"), ("asic-45nm", "area_um2")]
)
def test_area_doubles_with_the_lanes(capsys, target, area):
    one, two = (data_of(capsys, *SMALL, "-t", target, "--lanes", lanes) for lanes in (1, 2))
    assert by_stage(one, "ops") == by_stage(two, "ops")
    for before, after in zip(one["stages"], two["stages"], strict=True):
        assert after["cost"][area] == pytest.approx(2 * before["cost"][area])
        assert after["cost"]["energy_pj"] == before["cost"]["energy_pj"]  # as much work
    assert two["settings"]["lanes"] == 2


def test_simd_is_the_width_of_the_popcounts(capsys):
    for simd in (8, 64, 1024):
        data = data_of(capsys, *SMALL, "--simd", simd)
        units = [unit for unit in data["stages"][0]["units"] if unit["unit"] == "xnor_popcount"]
        assert [(unit["bits"], unit["count"]) for unit in units] == [(min(simd, FAN_IN), 1)]


def test_lossy_lowering_is_said_to_be_lossy(capsys):
    data = data_of(capsys, *SMALL, "--weight-scale", "po2", "--constant-multiply", "csd")
    assert by_stage(data, "ops")["add_and_bit"]["multiply"] == 0
    assert by_stage(data, "exact") == {**dict.fromkeys(STAGES, True), "add_and_bit": False}
    assert (data["settings"]["weight_scale"], data["settings"]["constant_multiply"]) == ("po2", "csd")


def test_graphs_of_adders_take_at_most_three_quarters_of_signed_digits(capsys):
    """The stem of 3 x 3 x 3 products and the classifier of the digits network, on both sorts of target."""
    command = ["reactnet_18", "--preset", "digits", "--base-width", "8", "--blocks", "1,1"]
    for target, area in (("fpga-lut6", "luts"), ("asic-45nm", "area_um2")):
        data = data_of(capsys, *command, "-t", target, "--constant-multiply", "graph")
        found = {layer["layer"]: layer for layer in data["stages"][-1]["adder_graphs"]}
        shape = {name: [of[key] for key in ("inputs", "outputs", "positions")] for name, of in found.items()}
        assert shape == {"conv1": [27, 8, 64], "layer2.0.downsample.1": [8, 16, 16], "fc": [16, 10, 1]}
        # the shortcut has weights of +-1: 7 adders an output where nothing is shared
        assert found["layer2.0.downsample.1"]["csd"]["adders"] == 7 * 16
        for layer in found.values():
            for name in ("adders", "adder_bits", area, "energy_pj", "energy_pj_low", "energy_pj_high"):
                assert 0 < layer["graph"][name] <= 0.75 * layer["csd"][name], name
            ends = [layer["graph"][f"energy_pj{end}"] for end in ("_low", "", "_high")]
            assert ends == sorted(ends)
        assert [stage["adder_graphs"] for stage in data["stages"][:-1]] == [[], [], []]
        assert data["settings"]["constant_multiply"] == "graph"
    assert run(["analyze", *command, "--constant-multiply", "graph"]) == 0
    assert (
        "Constants as graphs of adders, outputs on their own -> shared (fpga-lut6)" in capsys.readouterr().out
    )


def test_graphs_of_adders_without_their_solver_are_one_line(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "da4ml", None)
    assert run(["analyze", *SMALL, "--constant-multiply", "graph"]) == 2
    found = capsys.readouterr()
    assert (found.out, found.err) == (
        "",
        "error: --constant-multiply graph needs da4ml, which is not installed; pip install 'abcost[adders]'\n",
    )


@pytest.mark.parametrize("text", ["1if", "{[]: 1}", "-" * 10_000 + "1", "[" * 10_000, "deep"])
def test_an_argument_that_is_no_literal_is_text(text):
    assert parse_arguments([f"name={text}"]) == {"name": text}


def test_model_arguments_reach_the_factory(capsys):
    data = data_of(capsys, *SMALL, "--model-arg", "classes=3")
    assert data["stages"][0]["multiplications"]["classifier"] == 8 * 3


def test_variants_and_classes_of_the_zoo(capsys):
    data = data_of(capsys, *ZOO, "--variant", "bn", "--num-classes", "7")
    assert data["variant"] == "bn"
    assert data["stages"][0]["multiplications"]["classifier"] == 512 * 7
    assert data["stages"][0]["multiplications"]["batch_norm"] > 0


def test_module_and_ready_model_are_taken_too(capsys, monkeypatch):
    monkeypatch.chdir(MODELS.parent)
    ready = data_of(capsys, "user_models:ready", "--input-size", "1x3x8x8")
    assert ready["model"] == "user_models:ready"
    assert ready["stages"][0]["multiplications"]["stem"] == 3 * 4 * 8 * 8
