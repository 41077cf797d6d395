"""`analyze --folding` and `--write-folding`: files of both forms, layers that are folded so, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from abcost.accelerator.folding import Folding
from abcost.accelerator.folding_file import read_folding
from abcost.accelerator.own_folding import Given, OwnFolding, layer_keys
from abcost.accelerator.solve import AcceleratorGoal
from abcost.cli import run
from abcost.core.kinds import OpKind
from abcost.errors import AbcostError, UsageError
from accelerators import Net, accelerator, device, layers, residual

DATA = Path(__file__).parent / "data"
CNV = (f"{DATA / 'finn_cnv.py'}:cnv", "--input-size", "1x3x32x32")
CNV_FOLDING = DATA / "cnv-w1a1_folding_config.json"
SMALL = (f"{DATA / 'user_models.py'}:Small", "--input-size", "1x3x8x8")


def own(**folded):
    return OwnFolding("--folding mine", tuple(Given(name, Folding(*f)) for name, f in folded.items()))


def nodes(*folded):
    given = (Given(f"MVAU_hls_{i}", Folding(*f), False) for i, f in enumerate(folded))
    return OwnFolding("--folding finn.json", tuple(given), in_order=True)


# what is done with a folding


def test_layers_are_folded_as_given_and_the_rest_is_found():
    """stem 8 x 27 products a position, conv 8 x 72, last 8 x 8, at 8 x 8 positions."""
    found = accelerator(residual(), device=device(), fps=1e5, folding=own(conv=(2, 36)))
    mine = layers(found)
    assert (mine["conv"].pe, mine["conv"].simd, mine["conv"].cycles) == (2, 36, 64 * 4 * 2)
    free = layers(accelerator(residual(), device=device(), fps=1e5))
    assert {n: (mine[n].pe, mine[n].simd) for n in ("stem", "last")} == {
        n: (free[n].pe, free[n].simd) for n in ("stem", "last")
    }
    assert found.to_dict()["folding"] == {
        "source": "--folding mine",
        "given": ["conv"],
        "found": ["stem", "last"],
    }
    assert accelerator(residual(), device=device()).to_dict()["folding"] is None


def test_a_folding_limits_the_frames_and_is_named_as_the_limit():
    found = accelerator(residual(), device=device(), folding=own(conv=(1, 1)))
    assert found.interval == 64 * 8 * 72
    assert f"folded as given, conv needs {64 * 8 * 72:,} cycles" in found.limit
    slow = accelerator(residual(), device=device(), fps=1e4, folding=own(conv=(1, 1)))
    assert not slow.fits
    assert "10000 frames per second at 100 MHz are not reached" in slow.refusal


def test_a_whole_folding_that_exceeds_the_device_is_the_one_that_was_given():
    folding = own(stem=(8, 27), conv=(8, 72), last=(8, 8))
    found = accelerator(residual(), device=device(luts=100), folding=folding)
    assert (found.interval, found.fits) == (64, False)
    assert found.limit.startswith("nothing fits: the folding given exceeds the device: ")


def test_nodes_of_finn_are_layers_in_the_order_of_execution():
    found = layers(accelerator(residual(), device=device(), folding=nodes((4, 9), (2, 36), (8, 1))))
    assert {name: (x.pe, x.simd) for name, x in found.items()} == {
        "stem": (4, 9),
        "conv": (2, 36),
        "last": (8, 1),
    }


def test_a_layer_that_is_run_twice_has_two_names():
    assert layer_keys(["a", "b", "a", "a"]) == ["a", "b", "a:2", "a:3"]


@pytest.mark.parametrize(
    ("folding", "reason"),
    [
        (own(con=(1, 1)), "no layer in --folding mine 'con'; did you mean 'conv'? (known: conv, last, stem)"),
        (own(conv=(3, 1)), "mine: conv: PE 3 does not divide its 8 output channels; nearest: 2 and 4"),
        (
            own(conv=(1, 5)),
            "mine: conv: SIMD 5 does not divide its 72 products per output; nearest: 4 and 6",
        ),
        (own(conv=(16, 1)), "mine: conv: PE 16 does not divide its 8 output channels; nearest: 8"),
        (
            nodes((1, 1)),
            "finn.json folds 1 nodes, the network has 3 layers: MVAU_hls_0 against stem, conv, last",
        ),
        (
            nodes((1, 1), (3, 1), (1, 1)),
            "finn.json: MVAU_hls_1 (conv): PE 3 does not divide its 8 output channels; nearest: 2 and 4",
        ),
        (
            OwnFolding("f", (Given("VVAU_hls_0", Folding(1, 1), True),) * 3, in_order=True),
            "VVAU_hls_0 (stem) is depthwise, and the layer is not: the nodes are of another network",
        ),
    ],
)
def test_a_folding_that_a_layer_cannot_have_is_refused(folding, reason):
    with pytest.raises(AbcostError) as error:
        accelerator(residual(), device=device(), folding=folding)
    assert reason in str(error.value)


def test_a_dot_product_wider_than_what_was_measured_is_refused():
    net = Net(1, 256, 4, 4)
    net.sign("sign", "x")
    net.conv("conv", "sign", 4)
    with pytest.raises(UsageError, match="conv: SIMD 2304 is more than 1152, the widest that is priced"):
        accelerator(net.done(), device=device(), folding=own(conv=(1, 2304)))


def test_one_engine_for_all_layers_has_no_folding_of_each():
    with pytest.raises(UsageError, match="--organisation shared has one engine for all layers: leave one"):
        AcceleratorGoal(device(), kind="shared", folding=own(conv=(1, 1)))


def test_depthwise_layers_are_vvau():
    net = Net(1, 8, 4, 4)
    net.conv("deep", "x", 8, binary_weight=False, groups=8)
    net.conv("wide", "deep", 8, 1, binary_weight=False)
    graph = net.done()
    assert [node.kind for node in graph if node.kind is OpKind.CONV] == [OpKind.CONV] * 2
    given = (Given("VVAU_rtl_0", Folding(2, 3), True), Given("MVAU_rtl_0", Folding(4, 2), False))
    found = accelerator(graph, device=device(), folding=OwnFolding("f", given, in_order=True))
    assert [(x.name, x.pe, x.simd, x.depthwise) for x in found.layers] == [
        ("deep", 2, 3, True),
        ("wide", 4, 2, False),
    ]


# files


def written(tmp_path, content):
    path = tmp_path / "folding.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_both_forms_are_read(tmp_path):
    ours = read_folding(written(tmp_path, {"schema": 1, "layers": {"a": {"pe": 4, "simd": 36}}}))
    assert (ours.in_order, ours.given) == (False, (Given("a", Folding(4, 36)),))
    finn = read_folding(CNV_FOLDING)
    assert finn.in_order
    assert [(g.folding.pe, g.folding.simd) for g in finn.given] == [
        (16, 3), (32, 32), (16, 32), (16, 32), (4, 32), (1, 32), (1, 4), (1, 8), (5, 1),
    ]  # fmt: skip
    assert {g.depthwise for g in finn.given} == {False}


def test_defaults_and_other_names_of_nodes(tmp_path):
    content = {
        "Defaults": {"PE": [2, ["MVAU_rtl"]], "SIMD": [6, ["all"]], "mem_mode": ["const", ["all"]]},
        "ConvolutionInputGenerator_rtl_0": {"SIMD": 3},
        "MVAU_hls_0": {"PE": 1},
        "MVAU_rtl_0": {"SIMD": 4},
        "VVAU_hls_0": {"PE": 8},
        "StreamingFCLayer_Batch_0": {"PE": 3, "SIMD": 1},
    }
    found = read_folding(written(tmp_path, content)).given
    assert [(g.name, g.folding.pe, g.folding.simd) for g in found] == [
        ("MVAU_hls_0", 1, 6),
        ("MVAU_rtl_0", 2, 4),
        ("VVAU_hls_0", 8, 6),
        ("StreamingFCLayer_Batch_0", 3, 1),
    ]
    (alone,) = read_folding(written(tmp_path, {"VectorVectorActivation_3": {"PE": 8}})).given
    assert alone.folding == Folding(8, 1)  # FINN's default


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[1]", "is no object: "),
        ("{}", 'has neither "layers" nor a node such as MVAU_hls_0'),
        ({"LabelSelect_0": {"PE": 1}}, 'has neither "layers" nor a node such as MVAU_hls_0'),
        ({"layers": {"a": {"pe": 1, "simd": 1}}}, '"schema" is None, this version reads 1'),
        ({"schema": 2, "layers": {"a": {"pe": 1, "simd": 1}}}, '"schema" is 2, this version reads 1'),
        ({"schema": True, "layers": {"a": {"pe": 1, "simd": 1}}}, '"schema" is True'),
        ({"schema": 1, "layers": {}}, '"layers" names no layer'),
        ({"schema": 1, "layers": [1]}, '"layers" names no layer'),
        (
            {"schema": 1, "layer": {}, "layers": {"a": {}}},
            "has a key 'layer'; known are schema, model, layers",
        ),
        ({"schema": 1, "layers": {"a": {"pe": 1}}}, 'a must be of the form {"pe": 4, "simd": 36}'),
        ({"schema": 1, "layers": {"a": {"pe": 1, "simd": 1, "x": 1}}}, "a must be of the form"),
        ({"schema": 1, "layers": {"a": {"pe": 0, "simd": 1}}}, "a: pe is 0, not a whole number from 1 up"),
        ({"schema": 1, "layers": {"a": {"pe": 1.5, "simd": 1}}}, "a: pe is 1.5, not a whole number"),
        ({"schema": 1, "layers": {"a": {"pe": True, "simd": 1}}}, "a: pe is True, not a whole number"),
        (
            '{"schema": 1, "layers": {"a": {"pe": 1, "simd": 1}, "a": {"pe": 2, "simd": 1}}}',
            "'a' stands twice",
        ),
        ({"MVAU_0": {"PE": 1}}, "MVAU_0 has no SIMD"),
        ({"MVAU_0": 1}, "MVAU_0 is no object"),
        ({"MVAU_1": {"PE": 1, "SIMD": 1}, "MVAU_0": {"PE": 1, "SIMD": 1}}, "MVAU_0 stands behind MVAU_1"),
        ({"MVAU_0": {"PE": 1, "SIMD": "x"}}, "MVAU_0: SIMD is x, not a whole number"),
        ({"Defaults": {"PE": 4}, "MVAU_0": {"SIMD": 1}}, '"Defaults": PE must be of the form [4, ["all"]]'),
        ({"Defaults": [], "MVAU_0": {"SIMD": 1}}, '"Defaults" is no object'),
    ],
)
def test_files_that_say_no_folding(tmp_path, content, reason):
    with pytest.raises(UsageError) as error:
        read_folding(written(tmp_path, content))
    assert reason in str(error.value)
    assert str(error.value).startswith("--folding ")


# the command


@pytest.fixture
def call(capsys):
    def run_it(*arguments):
        status = run(["analyze", *map(str, arguments)])
        out, err = capsys.readouterr()
        return status, out, err

    return run_it


def folded(out):
    found = json.loads(out)["stages"][-1]["organisation"]
    return {layer["name"]: (layer["pe"], layer["simd"]) for layer in found["layers"]}


def test_what_was_written_is_read_as_the_same_folding(call, tmp_path):
    own_file, finn_file = tmp_path / "folding.json", tmp_path / "finn.json"
    rate = ("--device", "xc7z020", "--fps", "20000", "--format", "json")
    status, out, _ = call(*SMALL, *rate, "--write-folding", own_file, "--write-finn-folding", finn_file)
    assert status == 0
    found = folded(out)
    text = json.loads(own_file.read_text())
    assert (text["schema"], text["model"]) == (1, SMALL[0])
    assert {name: (f["pe"], f["simd"]) for name, f in text["layers"].items()} == found
    names = json.loads(finn_file.read_text())
    assert list(names) == ["Defaults", *(f"MVAU_hls_{i}" for i in range(len(found)))]
    for file in (own_file, finn_file):
        status, out, _ = call(*SMALL, *rate, "--folding", file)
        assert (status, folded(out)) == (0, found)


def test_cnv_of_finn_folded_as_published(call):
    """Cycles as BNN-PYNQ's config.h of cnvW1A1 says ("Ext Latency"), but for L8, which has 10 outputs here, not 64.

    The whole design took 26,072 LUTs, 41,312 flip-flops, 248 BRAM18 and 24 DSPs on that part (BNN-PYNQ, README of
    cnvW1A1, Vivado 2018.2); the documentation says that it is two to three times the estimate in LUTs.
    """
    status, out, _ = call(
        *CNV, "--device", "xc7z020", "--folding", CNV_FOLDING, "--weights", "on-chip", "--format", "json"
    )
    assert status == 0
    found = json.loads(out)["stages"][-1]["organisation"]
    published = [32_400, 28_224, 20_736, 28_800, 20_736, 18_432, 32_768, 32_768]
    assert [layer["cycles"] for layer in found["layers"]] == [*published, 512 * 10 // 5]
    assert found["folding"]["found"] == []
    assert 1.8 < 26_072 / found["resources"]["luts"] < 3
    assert found["resources"]["ffs"] < 41_312
    assert found["resources"]["blocks"] < 248
    assert found["resources"]["dsps"] < 24
    assert found["weights"] == "on-chip"


def test_the_table_says_which_layers_were_given(call, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"schema": 1, "layers": {"stem": {"pe": 1, "simd": 3}}}))
    _, out, _ = call(*SMALL, "--device", "xc7z020", "--folding", path)
    joined = " ".join(out.split())
    assert (
        f"folding: as --folding {path} says; found for " in joined.replace("/ ", "/") or "found for" in joined
    )


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--folding", CNV_FOLDING), "--weights and --folding size an accelerator: add --device or --fps"),
        (("--weights", "on-chip"), "--weights and --folding size an accelerator: add --device or --fps"),
        (("--write-folding", "x.json"), "--write-folding writes the folding of an accelerator: add --device"),
        (
            ("--device", "xc7z020", "--organisation", "shared", "--write-finn-folding", "x.json"),
            "--write-finn-folding: one engine for all layers has no folding of each",
        ),
        (
            ("--fps", "5", "-t", "fpga-lut6", "-t", "fpga-ecp5", "--write-folding", "x.json"),
            "--write-folding: every target has a folding of its own: name one --target",
        ),
        (("--fps", "5", "--folding", "none.json"), "cannot read --folding none.json: No such file"),
        (("--device", "xc7z020", "--weights", "outside"), "no --weights choice 'outside'"),
        (
            ("--device", "iCE40UP5K", "--weights", "external"),
            "--weights external: iCE40UP5K has no memory outside",
        ),
        (("--device", "xc7z020", "--folding", CNV_FOLDING), "folds 9 nodes, the network has"),
    ],
)
def test_the_command_refuses(call, arguments, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = call(*SMALL, *arguments)
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert reason in line
    assert list(tmp_path.iterdir()) == []


def test_figures_of_cnv_stand_in_the_documentation():
    """Those of the published design, which the page puts beside the estimate."""
    page = (Path(__file__).parents[1] / "docs" / "howto" / "own-device.md").read_text(encoding="utf-8")
    for figure in ("26,072", "41,312", "248"):
        assert figure in page
