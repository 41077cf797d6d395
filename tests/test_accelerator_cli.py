"""`abcost analyze --device --fps`: its JSON, its table, its exit status and its refusals.

Shapes of reactnet_18 on 32x32 images are written out here; nothing is pinned that depends on a measured table.
"""

from __future__ import annotations

import csv
import json
import re
from functools import cache
from pathlib import Path

import pytest

from abcost.cli import run

MODELS = Path(__file__).parent / "data" / "user_models.py"
SMALL = (f"{MODELS}:Small", "--input-size", "1x3x8x8")
ZOO = ("reactnet_18", "--preset", "cifar10")
STAGES = ["traced", "mask_removed", "rprelu_quantized", "add_and_bit"]


def stage_shapes(blocks=4):
    """Layer -> positions, channels, K of reactnet_18: 64, 128, 256, 512 channels at 32, 16, 8, 4 pixels."""
    shapes = {"conv1": (32 * 32, 64, 3 * 3 * 3), "fc": (1, 10, 512)}
    before = 64
    for number, (channels, size) in enumerate([(64, 32), (128, 16), (256, 8), (512, 4)], start=1):
        for block in range(blocks):
            shapes[f"layer{number}.{block}.conv1"] = (
                size * size,
                channels,
                9 * (before if block == 0 else channels),
            )
        if number > 1:
            shapes[f"layer{number}.0.downsample.1"] = (size * size, channels, before)
        before = channels
    return shapes


@pytest.fixture
def call(capsys):
    def run_it(*arguments):
        status = run(["analyze", *map(str, arguments)])
        out, err = capsys.readouterr()
        return status, out, err

    return run_it


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """JSON reports of the zoo network by the arguments of the accelerator, each made once."""

    @cache
    def made(*arguments):
        path = tmp_path_factory.mktemp("zoo") / "report.json"
        status = run(["analyze", *ZOO, *arguments, "--format", "json", "-o", str(path)])
        return status, json.loads(path.read_text())

    return made


SIXTY = ("--device", "xc7z020", "--fps", "60", "--clock-mhz", "100")


def test_every_stage_has_the_fields_of_the_contract(zoo):
    status, data = zoo(*SIXTY)
    assert status == 0
    assert [stage["name"] for stage in data["stages"]] == STAGES
    for stage in data["stages"]:
        found = stage["organisation"]
        assert {
            "device",
            "clock_mhz",
            "fps",
            "latency_ms",
            "bottleneck",
            "resources",
            "utilisation",
            "layers",
        } <= set(found)
        assert (found["device"], found["clock_mhz"], found["fits"], found["limit"]) == (
            "xc7z020",
            100,
            True,
            None,
        )
        assert found["fps"] == pytest.approx(100e6 / found["interval_cycles"])
        assert found["fps"] >= 60
        assert found["latency_ms"] >= 1000 / found["fps"]
        for name in ("luts", "ffs", "dsps", "bram36", "uram"):
            assert found["resources"][name] >= 0
        assert found["resources"]["bram36"] == found["resources"]["blocks"] / 2
        for name, available in {"luts": 53200, "ffs": 106400, "dsps": 220, "bram36": 140}.items():
            assert found["utilisation"][name] == pytest.approx(found["resources"][name] / available)
            assert found["utilisation"][name] <= 1
        assert found["utilisation"]["uram"] is None  # it has none


def test_cycles_of_every_layer_by_hand(zoo):
    _, data = zoo(*SIXTY)
    shapes = stage_shapes()
    for stage in data["stages"]:
        found = stage["organisation"]
        by_name = {layer["name"]: layer for layer in found["layers"]}
        assert set(by_name) == set(shapes)
        for name, (positions, channels, taps) in shapes.items():
            layer = by_name[name]
            assert channels % layer["pe"] == 0
            assert taps % layer["simd"] == 0
            assert layer["cycles"] == positions * (channels // layer["pe"]) * (taps // layer["simd"])
        assert found["interval_cycles"] == max(layer["cycles"] for layer in found["layers"])
        assert by_name[found["bottleneck"]]["cycles"] == found["interval_cycles"]
        for name in ("luts", "ffs", "dsps", "blocks"):
            assert found["resources"][name] == pytest.approx(sum(layer[name] for layer in found["layers"]))


def test_the_rewrites_save_dsps_and_nothing_grows(zoo):
    _, data = zoo(*SIXTY)
    dsps = [stage["organisation"]["resources"]["dsps"] for stage in data["stages"]]
    assert dsps == sorted(dsps, reverse=True)
    assert dsps[-1] < dsps[0] / 2
    ffs = [stage["organisation"]["resources"]["ffs"] for stage in data["stages"]]
    assert ffs[-1] < ffs[0]


def test_external_weights_have_traffic_and_energy(zoo):
    """11 Mbit of binary weights do not fit the 4.9 Mbit of an xc7z020."""
    _, data = zoo(*SIXTY)
    shapes = stage_shapes()
    for stage in data["stages"]:
        found = stage["organisation"]
        outside = [layer for layer in found["layers"] if layer["weights"] == "external"]
        assert outside
        for layer in outside:  # the big ones are binary: one bit per weight, read again at each position
            positions, channels, taps = shapes[layer["name"]]
            assert layer["external_bits"] == positions * channels * taps
        bits = sum(layer["external_bits"] for layer in outside)
        assert found["external_bits"] == bits
        assert found["external_gbit_per_s"] == pytest.approx(bits * found["fps"] / 1e9)
        assert found["weights"] == "external"
        assert found["bandwidth_gb_s"]["needed"] == pytest.approx(bits * found["fps"] / 8e9)
        assert found["bandwidth_gb_s"]["available"] == 2.1  # 16 bits at 1050 MT/s
        assert found["bandwidth_gb_s"]["confidence"] == "verified"
        energy = found["external_energy_uj"]
        assert energy["low"] == pytest.approx(bits / 64 * 1300 / 1e6, rel=0.02)
        assert energy["high"] == pytest.approx(bits / 64 * 2600 / 1e6)
        assert "Horowitz" in energy["source"]


def test_weights_that_must_stay_on_the_chip_need_their_blocks(call):
    """layer4 alone has 3 x 3 x 512 x (256 + 512) bits, 3.5 million; an xc7a35t has 100 blocks of 18 kbit."""
    few = ("--blocks", "1,1,1,2", "--device", "xc7a35t", "--fps", "60")
    status, out, err = call(*ZOO, *few, "--weights", "on-chip", "--format", "json")
    assert status == 1
    found = json.loads(out)["stages"][-1]["organisation"]
    assert (found["weights"], found["external_bits"], found["fits"]) == ("on-chip", 0, False)
    (line,) = [text for text in err.splitlines() if text.startswith("no: ")]
    assert re.search(r"exceeds the device: [\d,]+ of 100 BRAM18 \([\d,]+ in layer4", line)


def test_an_impossible_rate_says_the_most_that_fits_and_why(call):
    few = ("--blocks", "1,1,1,1", "--device", "xc7z020", "--fps", "1e6")
    status, out, err = call(*ZOO, *few, "--format", "json")
    assert status == 1
    (line,) = [text for text in err.splitlines() if text.startswith("no: ")]
    found = json.loads(out)["stages"][-1]["organisation"]
    assert line.startswith(
        "no: fpga-lut6: 1e+06 frames per second at 100 MHz are not reached: "
        f"at most {found['fps']:.6g} frames per second"
    )
    assert re.search(
        r"[\d,]+ of [\d,]+ (LUTs|BRAM18|DSP slices) \([\d,]+ in \S+\)|fully unrolled, \S+ needs"
        r"|[\d.]+ of 2\.1 GB/s from outside at [\d.]+ frames per second \([\d.]+ for weights of \S+\)",
        line,
    )
    assert found["fits"] is False
    assert (
        max(share for share in found["utilisation"].values() if share is not None) <= 1
    )  # what is shown fits


def test_shared_takes_less_and_adds_up(zoo):
    status, data = zoo("--blocks", "1,1,1,1", "--fps", "1", "--organisation", "shared")
    _, piped = zoo("--blocks", "1,1,1,1", "--fps", "1")
    assert status == 0
    for one, many in zip(data["stages"], piped["stages"], strict=True):
        shared, pipelined = one["organisation"], many["organisation"]
        assert shared["kind"] == "shared"
        engine, *layers = shared["layers"]
        assert shared["interval_cycles"] == sum(layer["cycles"] for layer in layers)
        assert engine["cycles"] is None
        assert all(layer["luts"] is None for layer in layers)  # theirs are the engine's
        assert {layer["name"] for layer in shared["layers"]} == {*stage_shapes(1), "(shared engine)"}
        for name in ("luts", "ffs", "dsps"):
            assert shared["resources"][name] < pipelined["resources"][name]


def test_a_device_brings_its_target(call):
    status, out, _ = call(*SMALL, "--device", "LFE5U-85F", "--format", "json")
    assert (status, json.loads(out)["target"]) == (0, "fpga-ecp5")


def test_device_alone_asks_for_the_most(call):
    status, out, _ = call(*SMALL, "--device", "xcu200", "--format", "json")
    assert status == 0
    found = json.loads(out)["stages"][-1]["organisation"]
    assert found["fits"] is True
    # 64 positions of 8 channels: fully unrolled, one position per cycle
    assert (found["interval_cycles"], found["wanted_fps"]) == (64, None)
    assert found["limit"].startswith(
        "at most 1.5625e+06 frames per second at 100 MHz: fully unrolled, stem needs 64"
    )


def test_drawing_at_100_columns_breaks_no_name(call):
    status, out, _ = call(*ZOO, *SIXTY)
    assert status == 0
    drawn = out[out.index("Accelerator, pipelined: xc7z020 at 100 MHz") : out.index("By block")]
    assert max(map(len, drawn.splitlines())) <= 100
    header = next(line for line in drawn.splitlines() if "traced" in line)
    assert header.split() == [*STAGES, "change"]
    labels = {re.split(r" {2,}", line.strip())[0] for line in drawn.splitlines()}
    assert {
        "frames/s", "cycles/frame", "latency, ms", "bottleneck", "LUTs", "flip-flops", "DSP slices", "BRAM18",
        "LUTs as RAM", "DRAM, GB/s", "DRAM, uJ/frame", "fits", "layer1.0.conv1", "fc",
    } <= labels  # fmt: skip
    assert "device figures: " in drawn
    assert "memory: 16 bit DDR3 at 1050 MT/s of a PYNQ-Z1; Digilent" in drawn
    assert "not included: DMA" in drawn
    assert re.search(r"energy: M\. Horowitz.*\(verified\)", drawn, re.DOTALL)


def test_no_external_row_where_nothing_is_outside(call):
    _, out, _ = call(*SMALL, "--device", "xc7z020", "--fps", "60")
    drawn = out[out.index("Accelerator") : out.index("By block")]
    assert "BRAM18" in drawn
    assert "DRAM" not in drawn


def test_without_device_and_rate_there_is_no_accelerator(call):
    status, out, _ = call(*SMALL, "--format", "json")
    assert status == 0
    assert [stage["organisation"] for stage in json.loads(out)["stages"]] == [None] * 4


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--device", "xc7z02"), r"no device 'xc7z02'; did you mean 'xc7z020'\?"),
        (("--fps", "0"), "--fps must be at least 1e-06 and below 1e9, got 0"),
        (("--fps", "60", "--clock-mhz", "0"), "--clock-mhz must be at least 1e-06 and at most 10000, got 0"),
        (
            ("--fps", "60", "--organisation", "shard"),
            "no --organisation choice 'shard'; did you mean 'shared'",
        ),
        (
            ("--organisation", "shared"),
            "--clock-mhz and --organisation size an accelerator: add --device or --fps",
        ),
        (("--clock-mhz", "50"), "--clock-mhz and --organisation size an accelerator: add --device or --fps"),
        (
            ("--device", "xc7z020", "--target", "asic-45nm"),
            "--device and --fps size an FPGA, target asic-45nm is not one; use --target fpga-lut6",
        ),
        (
            ("--device", "ice40up5k", "--target", "fpga-lut6"),
            "--device iCE40UP5K is iCE40, whose target is fpga-ice40, not fpga-lut6",
        ),
    ],
)
def test_bad_input_is_refused_with_its_reason(call, arguments, reason):
    status, out, err = call(*SMALL, *arguments)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert re.match(rf"error: .*{reason}", err)


# --- a part of one's own

PART = {
    "part": "mine", "family": "7-series", "luts": "53200", "ffs": "106400", "dsps": "220", "blocks": "280",
    "uram": "0", "source": "our data sheet, rev. 2", "confidence": "partly",
}  # fmt: skip


def described(path, *parts):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(parts[0]))
        writer.writeheader()
        writer.writerows(parts)
    return str(path)


def test_a_part_of_ones_own(call, tmp_path):
    """With the figures of an xc7z020 it gives what an xc7z020 gives, under its own name and source."""
    memory = {"bandwidth_gb_s": "2.1", "memory_source": "our data sheet", "memory_confidence": "partly"}
    path = described(tmp_path / "mine.csv", PART | {"lutram": "17400"} | memory)
    own, known = (call(*SMALL, "--device", d, "--fps", "60", "--format", "json") for d in (path, "xc7z020"))
    found, same = (json.loads(out)["stages"][-1]["organisation"] for _, out, _ in (own, known))
    assert (found["device"], same["device"]) == ("mine", "xc7z020")
    assert found["resources"] == same["resources"]
    assert found["utilisation"] == same["utilisation"]


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([PART, PART], "has 2 rows: describe one part"),
        ([{k: v for k, v in PART.items() if k not in ("source", "dsps")}], "lacks dsps, source"),
        ([PART | {"family": "7series"}], "did you mean '7-series'"),
        ([PART | {"confidence": "sure"}], "no confidence in"),
        ([PART | {"luts": "many"}], "must be whole numbers"),
        ([PART | {"luts": "-1"}], "a count is negative"),
        ([PART | {"lutram": "some"}], "lutram is 'some', not between 0 and"),
        (
            [PART | {"bandwidth_gb_s": "2"}],
            "states a memory by bandwidth_gb_s and lacks memory_source, memory_con",
        ),
        (
            [PART | {"bandwidth_gb_s": "0", "memory_source": "me", "memory_confidence": "partly"}],
            "bandwidth_gb_s is '0', not above 0",
        ),
        (
            [PART | {"bandwidth_gb_s": "2", "memory_source": "me", "memory_confidence": "sure"}],
            "no memory_confidence in",
        ),
    ],
)
def test_descriptions_that_are_none(call, tmp_path, parts, reason):
    path = described(tmp_path / "mine.csv", *parts)
    status, _, said = call(*ZOO, "--device", path)
    assert status == 2
    assert reason in said
    status, _, said = call(*ZOO, "--device", str(tmp_path / "none.csv"))
    assert (status, "No such file" in said) == (2, True)
