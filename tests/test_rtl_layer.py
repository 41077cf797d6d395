"""Whole layers as Verilog: in a simulator against the interpreter, and the interpreter's vectors by hand."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from abcost.cli import run
from abcost.core.inputs import InputSpec
from abcost.core.kinds import OpKind
from abcost.emit.make import make
from abcost.emit.vectors import weight_rows
from abcost.errors import UsageError
from abcost.models.subject import Subject
from abcost.rtl.simulate import simulate
from layers import OWN_SLOPES, USERS, path_of, prepared, project_of, values_of, vectors_of
from simulators import need_simulator

LAYERS = [
    # 576 taps, 10 exponents, ROMs of 32 words; both foldings leave several steps per dot product
    ("reactnet_18", "layer1.0.conv1", {"pe": 2, "simd": 64, "pipelined": True}),
    ("reactnet_18", "layer1.0.conv1", {"pe": 4, "simd": 192, "pipelined": False}),
    ("reactnet_a", "feature.1.binary_3x3", {"pe": 4, "simd": 36, "pipelined": True}),
    ("reactnet_a", "feature.1.binary_pw_down1", {"pe": 2, "simd": 8, "pipelined": False}),
    ("own", "conv2", {"pe": 2, "simd": 24, "pipelined": True}),
    ("own", "conv2", {"pe": 2, "simd": 24, "pipelined": False}),
    ("own", "conv2", {"pe": 1, "simd": 1, "pipelined": True}),
    ("own", "conv2", {"pe": 8, "simd": 72, "pipelined": False}),  # no state at all
    ("detach", "block.conv", {"pe": 3, "simd": 9, "pipelined": True}),
    ("where", "conv", {"pe": 3, "simd": 27, "pipelined": True}),
    ("where", "linear", {"pe": 5, "simd": 32, "pipelined": False}),
]


def passes(project, folder, **changed):
    files = {**project.bench.files, **changed}
    return simulate(replace(project.bench, files=files), folder, tool=need_simulator()).passed


@pytest.mark.parametrize(("name", "layer", "style"), LAYERS)
def test_the_emitted_layer_computes_what_the_interpreter_does(name, layer, style, tmp_path):
    project = project_of(name, layer, windows=2, **style)
    outcome = simulate(project.bench, tmp_path, tool=need_simulator())
    facts = json.loads(project.files["layer.json"])
    # one answer per window and fold; a linear layer has a single window
    answers = (1 if layer == "linear" else 2) * facts["channels"] // facts["pe"]
    assert outcome.passed, outcome.log
    assert f"PASS {answers} vectors" in outcome.log


def test_the_zoo_layers_choose_from_several_exponents():
    for name, layer in (
        ("reactnet_18", "layer1.0.conv1"),
        ("reactnet_a", "feature.1.binary_3x3"),
        ("own", "conv2"),
    ):
        (prelu,) = [n for n in path_of(name, layer, pe=1, simd=9).scope.chain if n.kind is OpKind.SHIFT_PRELU]
        assert len(prelu.consts["exponent"].real().unique()) >= 4


# Mutations. `own` with every window and slopes of at least 1/4: two counts of the dot product (0.1 or so), or
# one bit of a parameter above the third, move some result by several steps of 2**-8.

OWN = {"pe": 2, "simd": 24, "windows": 36}
WRONG = {
    "an XNOR": (r"~\(a\[5\] \^ w\[5\]\)", "(a[5] ^ w[5])"),
    "accumulator starts": (r"\(first \?", "(!first ?"),
    "2p": (r", 1'b0\}", ", 1'b1}"),
    "2p - K": (r"= a - b;", "= a + b;"),
    "K": (r"'sd72;", "'sd71;"),
    "arithmetic shift": (r">>> 1", ">> 1"),
    "shift distance": (r">>> 2", ">>> 1"),
    "sign of the PReLU": (r"x\[15\]", "!x[15]"),
    "product bits": (r"\[23:8\]", "[22:7]"),
    "sum": (r"= a \+ b;", "= a | b;"),
    "weight address": (r"weights\[address\]", "weights[address ^ 1]"),
    "residual lane": (r"= x0\[31:16\];", "= x0[15:0];"),
    "pipeline register": (r"kept <= d;\n    assign q = kept;", "kept <= d;\n    assign q = d;"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_bit_of_the_layer_is_caught(what, tmp_path):
    project = project_of("own", "conv2", **OWN)
    wrong, times = re.subn(*WRONG[what], project.files["layer.v"], count=1)
    assert times == 1, f"the mutation does not apply any more:\n{project.files['layer.v']}"
    assert not passes(project, tmp_path, **{"layer.v": wrong})


def test_every_stored_parameter_matters(tmp_path):
    """Bit 3 of the first word of each ROM, codes aside: more than the smallest slope, 1/4, can hide."""
    project = project_of("own", "conv2", **OWN)
    verilog = project.files["layer.v"]
    words = list(re.finditer(r"'d0: bank0 <= \d+'h([0-9a-f]{2,});", verilog))
    assert len(words) == 2 * 3  # lanes * (scale of the weights, gain and bias of the batch norm)
    for number, word in enumerate(words):
        flipped = f"{int(word[1], 16) ^ 8:0{len(word[1])}x}"
        wrong = verilog[: word.start(1)] + flipped + verilog[word.end(1) :]
        assert not passes(project, tmp_path / str(number), **{"layer.v": wrong})


@pytest.mark.parametrize("row", [0, 5, 11])
@pytest.mark.parametrize("bit", [0, 47])
def test_a_wrong_weight_bit_is_caught(row, bit, tmp_path):
    project = project_of("own", "conv2", **OWN)
    words = project.files["weights.hex"].split()
    assert len(words) == 8 // 2 * 72 // 24  # folds * steps
    words[row] = f"{int(words[row], 16) ^ 1 << bit:012x}"
    assert not passes(project, tmp_path, **{"weights.hex": "\n".join(words) + "\n"})


@pytest.mark.parametrize(("right", "wrong"), [("y = a >= b", "y = a < b"), ("{r", "{~r")])
def test_a_wrong_sign_is_caught(right, wrong, tmp_path):
    """The thresholds of ReActNet-18; the second mutation inverts the whole results."""
    project = project_of("reactnet_18", "layer1.0.conv1", pe=4, simd=192, windows=1)
    assert right in project.files["layer.v"]
    changed = project.files["layer.v"].replace(right, wrong, 1)
    assert not passes(project, tmp_path, **{"layer.v": changed})


# Vectors by hand


def own_by_hand(fraction_bits, row, column):
    """Bits of a window, and its residual input and results in steps of 2**-F, by the definition of the network.

    y = prelu(bn2(conv2(sign x)) + x); bn2(c * s) = c * s * g + b, where s = mean |W| and g = gamma / sqrt(var + eps).
    """
    model, _, _ = prepared("own")
    grid = 2.0**fraction_bits
    weight = model.conv2.weight.detach().double()
    gain = (model.bn2.weight / torch.sqrt(model.bn2.running_var + model.bn2.eps)).detach().double()
    bias = (model.bn2.bias - model.bn2.running_mean * gain).detach().double()
    x = values_of("own", fraction_bits)[path_of("own", "conv2", pe=1, simd=72).scope.side["x0"].name][0]
    bits = (x[:, row - 1 : row + 2, column - 1 : column + 2] >= 0).flatten()
    results = []
    for channel in range(8):
        agree = sum(bool(a) == bool(b) for a, b in zip(bits, (weight[channel] >= 0).flatten(), strict=True))
        dot = 2 * agree - 72
        scaled = dot * round(float(weight[channel].abs().mean()) * grid)  # an integer times a grid value
        normed = scaled * round(float(gain[channel]) * grid) >> fraction_bits
        residual = int(x[channel, row, column] * grid)
        total = normed + round(float(bias[channel]) * grid) + residual
        exponent = int(math.log2(OWN_SLOPES[channel]))
        bent = total if total >= 0 else total << exponent if exponent > 0 else total >> -exponent
        results.append((residual, bent))
    return bits.to(torch.int64), results


def test_vectors_are_the_definition_in_integers():
    """All 36 windows without padding, 4 folds of 2 lanes, 3 steps of 24 taps: bit by bit, in Python's integers."""
    path = path_of("own", "conv2", pe=2, simd=24, pipelined=False, fraction_bits=10)
    found = vectors_of("own", path, windows=99)
    assert [n.kind for n in path.scope.chain] == [
        OpKind.SCALE, OpKind.SCALE, OpKind.ADD_CONST, OpKind.ADD, OpKind.SHIFT_PRELU
    ]  # fmt: skip
    # the first row is there for the channel alone, which comes one row ahead
    assert len(found.check) == 1 + 36 * 4 * 3
    assert found.check.tolist() == [0, *[0, 0, 1] * 36 * 4]
    assert found.inputs["first"].tolist() == [1, *[1, 0, 0] * 36 * 4]
    assert found.inputs["fold"].tolist() == [*[0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3] * 36, 3]
    assert found.address.tolist() == [0, *list(range(12)) * 36]
    rows = Counter(
        (tuple(found.inputs["a"][i : i + 3].flatten().tolist()), fold,
         tuple(found.inputs["x0"][i + 2].tolist()), tuple(found.expected["y0"][i + 2].tolist()))
        for i, fold in zip(range(1, 36 * 12, 3), [0, 1, 2, 3] * 36, strict=True)
    )  # fmt: skip
    wanted = Counter()
    for row in range(1, 7):
        for column in range(1, 7):
            bits, results = own_by_hand(10, row, column)
            for fold in range(4):
                (x_0, y_0), (x_1, y_1) = results[2 * fold : 2 * fold + 2]
                wanted[tuple(bits.tolist()), fold, (x_0, x_1), (y_0, y_1)] += 1
    assert rows == wanted


def test_results_are_torchs_own_within_the_fixed_point_step():
    """Against the model's own forward in float64, with d = 2**-F.

    x: 27 inputs below 4 times weights off by d/2, and inputs off by d times weights below 0.2; gains below 1.6.
    y: a scale off by d/2 times 72 times a gain; a gain off by d/2 times 72 * 0.12; three cuts; slopes up to 2.
    """
    step = 2.0**-11
    model, inputs, _ = prepared("own")
    path = path_of("own", "conv2", pe=1, simd=72, width=18, fraction_bits=11)
    ours = values_of("own", 11)
    ours_x, ours_y = (ours[node.name] for node in (path.scope.side["x0"], path.scope.results["y0"]))
    seen = {}
    handle = model.act.register_forward_hook(lambda _m, _i, output: seen.update(y=output))
    with torch.no_grad():
        x = model.bn1(model.conv1(inputs[0].double()))
        model(inputs[0].double())
    handle.remove()
    off_x = 1.6 * (27 * 4 / 2 + 27 * 0.2 + 2) * step
    assert (ours_x - x).abs().max() < off_x
    flipped = (torch.sign(ours_x) != torch.sign(x)).any(1).double()
    whole = F.max_pool2d(flipped, 3, stride=1)[0] == 0  # windows in which rounding changed no sign
    assert whole.sum() >= 18  # of 36
    difference = (ours_y - seen["y"])[0, :, 1:7, 1:7][:, whole]
    assert difference.abs().max() < 2 * (off_x + (72 * 1.6 + 72 * 0.12) / 2 * step + 3 * step)


def test_weights_are_stored_fold_by_fold():
    path = path_of("own", "conv2", pe=2, simd=24)
    weight = (prepared("own")[0].conv2.weight >= 0).to(torch.int64).reshape(8, 72)
    rows = weight_rows(path)
    assert rows.shape == (12, 48)
    for fold in range(4):
        for step in range(3):
            taps = slice(24 * step, 24 * step + 24)
            lanes = torch.cat([weight[2 * fold, taps], weight[2 * fold + 1, taps]])
            assert torch.equal(rows[3 * fold + step], lanes)


# Edges of number formats


class Odd(nn.Module):
    """A dot product that is not scaled, small biases, and signs of 0 that are -1."""

    def __init__(self, bend, below):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.bend, self.below = bend, below
        self.weight = nn.Parameter(torch.tensor([*[1.0] * 8, -1.0]).reshape(3, 3).expand(6, 1, 3, 3).clone())
        self.last = nn.Parameter(torch.randn(6, 6, 1, 1, generator=generator))
        self.bias = nn.Parameter(torch.tensor([2.0**-20, -(2.0**-20), 0.3, -1.0, 1.0, 0.0]).reshape(6, 1, 1))
        self.fc = nn.Linear(6, 3)

    def sign(self, x):
        return torch.where(x > 0, 1.0, -1.0)

    def forward(self, x):
        y = F.conv2d(self.sign(x - self.below), torch.sign(self.weight))
        y = torch.where(y >= 0, y, self.bend * y) + self.bias
        return self.fc((F.conv2d(self.sign(y), torch.sign(self.last)) + y).mean((2, 3)))


def odd(*, bend, below, **style):
    subject = Subject(Odd(bend, below), "odd", None, (InputSpec((1, 1, 9, 9)),), trained=True)
    return make(subject, "conv", pe=3, simd=3, windows=49, **style)


def test_powers_of_two_below_the_grid_act_as_the_interpreter_has_them(tmp_path):
    """A bias of -2**-20 moves a value one step down, and x > 0 is not x >= 0 (odd dot products: 1 - 1 = 0)."""
    project = odd(bend=0.25, below=0.0, fraction_bits=6)
    assert passes(project, tmp_path / "right")
    outputs = json.loads(project.files["layer.json"])["outputs"]
    assert len(outputs) == 2  # the sum and its sign
    wrong = project.files["layer.v"].replace("16'sd1;", "16'sd0;")
    assert wrong != project.files["layer.v"]
    assert not passes(project, tmp_path / "wrong", **{"layer.v": wrong})


def test_the_format_has_room_for_a_dot_product_that_is_not_scaled(tmp_path):
    """All inputs are -1, so all dot products 1 - 8 = -7, then -0.0547: three bits, the sign, 8 behind the point."""
    project = odd(bend=2.0**-7, below=10.0, width=12)
    assert json.loads(project.files["layer.json"])["fraction_bits"] == 8
    assert passes(project, tmp_path)


# The command

CALL = ["rtl", f"{USERS}/bnn_function.py:factory", "--input-size", "1x3x8x8", "--layer"]


def test_the_command_writes_a_folder_that_runs(tmp_path, capsys):
    need_simulator()
    out = tmp_path / "new" / "layer"
    assert (
        run([*CALL, "conv2", "--pe", "2", "--simd", "24", "--pipelined", "--simulate", "--out", str(out)])
        == 0
    )
    said = capsys.readouterr()
    assert said.out == ""
    assert "PASS 16 vectors" in said.err  # 4 windows * 8 / 2 folds
    assert {p.name for p in out.iterdir()} >= {
        "layer.v", "layer_tb.v", "layer_stimulus.hex", "layer_expected.hex", "weights.hex", "Makefile", "layer.json"
    }  # fmt: skip
    facts = json.loads((out / "layer.json").read_text())
    values = facts.pop("fraction_bits")
    # registers: popcount; sum; 2p - K; two scales, a bias, a residual add and a PReLU
    assert facts == {
        "schema": 1, "model": CALL[1], "layer": "conv2", "taps": 72, "channels": 8, "pe": 2, "simd": 24,
        "width_bits": 16, "pipelined": True, "latency_cycles": 8,
        "inputs": {"x0": "bn1/add_const"}, "outputs": {"y0": "act/prelu"},
    }  # fmt: skip
    head = (out / "layer.v").read_text().split("\nmodule")[0]
    for part in (
        f"// Layer conv2 of {CALL[1]}: 8 channels, 72 taps each.",
        "a window takes 4 folds x 3 steps = 12 cycles; channel = fold * 2 + lane.",
        f"// Values: 16 bits, signed, {values} behind the point.",
        "// Results come 8 rising edges of clk after the last step of a fold.",
        "//   x0      2 x 16     bn1/add_const, the same in every step of a fold",
    ):
        assert part in head


def make_in(folder, *goals):
    call = ["make", "-C", str(folder), *goals]
    return subprocess.run(call, capture_output=True, text=True, check=False)  # noqa: S603


@pytest.mark.parametrize(("goal", "needs"), [("simulate", "iverilog"), ("verilator", "verilator")])
def test_the_commands_of_the_makefile_work(goal, needs, tmp_path):
    if not (shutil.which(needs) and shutil.which("make")):
        pytest.skip(f"needs make and {needs}")
    assert run([*CALL, "conv2", "--pe", "2", "--simd", "8", "--out", str(tmp_path)]) == 0
    done = make_in(tmp_path, goal)
    assert done.returncode == 0, done.stderr
    assert "PASS 16 vectors" in done.stdout
    weights = tmp_path / "weights.hex"
    weights.write_text("".join(f"{int(word, 16) ^ 1:04x}\n" for word in weights.read_text().split()))
    done = make_in(tmp_path, goal)
    assert done.returncode != 0
    assert "FAIL" in done.stdout


def test_the_layer_synthesizes(tmp_path):
    if not (shutil.which("yosys") and shutil.which("make")):
        pytest.skip("needs make and yosys")
    assert run([*CALL, "conv2", "--simd", "8", "--out", str(tmp_path)]) == 0
    done = make_in(tmp_path, "synth")
    assert done.returncode == 0, done.stderr
    assert re.search(r"DSP48E1 +\d", done.stdout)  # the scales
    assert (tmp_path / "synth.txt").exists()


def test_a_failing_simulation_is_status_1(tmp_path, monkeypatch, capsys):
    need_simulator()
    from abcost.emit import project as module

    monkeypatch.setattr(module, "weight_rows", lambda path: 1 - weight_rows(path))
    assert run([*CALL, "conv2", "--simulate", "--out", str(tmp_path)]) == 1
    assert "FAIL" in capsys.readouterr().err


REFUSED = [
    (["conv9"], "no layer 'conv9' with a dot product; binary ones are conv2"),
    (["conv1"], "layer conv1 is not binary x binary"),
    (["fc"], "layer fc is not binary x binary"),
    (["conv2", "--pe", "3"], "--pe 3 must divide the 8 channels"),
    (["conv2", "--simd", "10"], "--simd 10 must divide the 72 taps of layer conv2"),
    (["conv2", "--pe", "0"], "--pe must be at least 1, got 0"),
    (["conv2", "--simd", "0"], "--simd must be at least 1, got 0"),
    (["conv2", "--windows", "0"], "--windows must be at least 1, got 0"),
    (["conv2", "--width", "7"], "a dot product over 72 taps needs 8 bits, --width is 7"),
    (["conv2", "--width", "33"], "--width 33 is not between 4 and 32 bits"),
    (["conv2", "--width", "16", "--fraction-bits", "16"], "--fraction-bits 16 is not between 0 and the width 16"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "reason"), REFUSED)
def test_refusals_say_why(options, reason, tmp_path, capsys):
    assert run([*CALL, *options, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert reason in " ".join(said.err.split())
    assert not (tmp_path / "out").exists()


def test_an_unknown_layer_lists_some_of_many():
    """Four stages of four blocks with one binary convolution each."""
    with pytest.raises(
        UsageError, match=r"binary ones are layer1\.0\.conv1, .*layer2\.3\.conv1, and 8 more$"
    ):
        path_of("reactnet_18", "layer9", pe=1, simd=1)


def test_a_file_is_no_folder(tmp_path, capsys):
    (tmp_path / "taken").write_text("mine")
    assert run([*CALL, "conv2", "--out", str(tmp_path / "taken")]) == 2
    assert "taken is not a folder" in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "taken").read_text() == "mine"


def test_windows_that_all_touch_padding(tmp_path, capsys):
    call = [part.replace("8x8", "2x2") for part in CALL]  # 3x3 windows over 2x2 pixels
    assert run([*call, "conv2", "--out", str(tmp_path / "out")]) == 2
    assert (
        "every window of layer conv2 touches padding; give a larger --input-size" in capsys.readouterr().err
    )


def test_values_that_do_not_fit_name_the_width_that_does(tmp_path, capsys):
    call = [*CALL, "conv2", "--fraction-bits", "8", "--out", str(tmp_path)]
    assert run([*call, "--width", "9"]) == 2
    needed = re.search(
        r"values of layer conv2 reach ([\d.]+): (\d+) bits at 8 fraction bits", capsys.readouterr().err
    )
    assert needed is not None
    assert (
        int(needed[2]) == math.floor(math.log2(float(needed[1]))) + 1 + 1 + 8
    )  # integer bits, sign, fraction
    assert run([*call, "--width", str(int(needed[2]) - 1)]) == 2
    assert run([*call, "--width", needed[2]]) == 0


GROUPED = ((4, 1, 3, 3), lambda x, w: F.conv2d(x, w, groups=4))
FLAT = ((4, 4, 3), lambda x, w: F.conv1d(x.flatten(2), w)[..., None])


@pytest.mark.parametrize(
    ("case", "reason"),
    [(GROUPED, "layer conv is a grouped convolution"), (FLAT, "neither a two-dimensional")],
)
def test_convolutions_without_a_datapath(case, reason):
    shape, convolve = case

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
            self.fc = nn.Linear(4, 2)

        def forward(self, x):
            return self.fc(convolve(torch.sign(x), torch.sign(self.weight)).mean((2, 3)))

    subject = Subject(Net(), "net", None, (InputSpec((1, 4, 6, 6)),), trained=True)
    with pytest.raises(UsageError, match=reason):
        make(subject, "conv", pe=1, simd=1)


def test_foldings_beyond_what_a_module_takes():
    with pytest.raises(UsageError, match=r"--simd 4608 .* up to 4096 products per channel"):
        path_of("reactnet_18", "layer4.3.conv1", pe=1, simd=4608)
