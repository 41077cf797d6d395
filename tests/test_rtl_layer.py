"""Engines as Verilog: in a simulator, with stalls, against the interpreter; and every wrong bit of them is seen."""

from __future__ import annotations

import json
import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, assume, given, settings
from torch import nn

from abcost.accelerator.design.dot import Leaf
from abcost.accelerator.folding import Folding
from abcost.core.inputs import InputSpec
from abcost.core.kinds import OpKind
from abcost.emit.bench import stream_bench
from abcost.emit.make import make, prepare
from abcost.emit.project import identifier, written
from abcost.emit.rows import rows_of
from abcost.errors import UsageError
from abcost.models.subject import Subject
from abcost.rtl.simulate import simulate
from engine_graphs import Made, engine_cases, pooled
from layers import design_of, network, passes, project_of
from simulators import need_simulator
from test_synthesis import need_yosys

LAYERS = [
    # 576 taps, 10 exponents, ROMs of 64 words; 64 channels of a kernel position come together
    ("reactnet_18", "layer1.0.conv1", {"pe": 4, "simd": 64}),
    ("reactnet_a", "feature.1.binary_pw_down1", {"pe": 2, "simd": 8}),  # 1 x 1, without padding
    ("own", "conv1", {"pe": 2, "simd": 9}),  # the stem: real products
    ("own", "conv2", {"pe": 2, "simd": 24}),
    ("own", "conv2", {"pe": 1, "simd": 1}),
    ("own", "conv2", {"pe": 8, "simd": 72}),  # constant weights, a lane each
    ("own", "conv2", {"pe": 4, "simd": 72}),  # two words, of channels
    ("own", "conv2", {"pe": 8, "simd": 36}),  # two words, of taps, with masks
    ("reactnet_a", "feature.1.binary_pw_down1", {"pe": 16, "simd": 32}),  # two words, without padding
    ("own", "fc", {"pe": 5, "simd": 8}),  # a bias, one window
    ("detach", "block.conv", {"pe": 3, "simd": 9}),  # windows two pixels apart
    ("where", "linear", {"pe": 5, "simd": 32}),  # the dot product alone
]


@pytest.mark.parametrize(("name", "layer", "folding"), LAYERS)
def test_the_engine_computes_what_the_interpreter_does(name, layer, folding, tmp_path):
    project = project_of(network(name), layer, windows=2, **folding)
    outcome = simulate(project.bench, tmp_path, tool=need_simulator())
    assert outcome.passed, outcome.log
    design = project.design
    engine, lanes = design.engine, design.lanes
    if any(work.node.kind is OpKind.SUM_POOL for work in engine.chain):
        pixels = 1  # of a pool over the whole map
    else:
        pixels = min(2, engine.positions) * len(design.chain.results)
    assert f"PASS {pixels * engine.channels // lanes} values" in outcome.log


# Kinds that the models above do not have


def binary_engine(size, *, taken=4, channels=6, kernel=3, padding=1, seed=0, columns=None):
    made = Made(seed, (1, 2, size, size if columns is None else columns))
    made.stem(taken)
    made.sign()
    made.conv(channels, kernel, binary=True, padding=padding)
    return made


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize(("taken", "pe", "simd"), [(4, 2, 12), (16, 3, 16), (3, 6, 27)])
def test_maps_on_which_every_window_touches_padding(size, taken, pe, simd, tmp_path):
    """12 taps over three kernel positions are masked, 16 of one position are held at 0, 27 at once masked."""
    project = project_of(binary_engine(size, taken=taken).network(), "dot", pe=pe, simd=simd, windows=None)
    ops = {part.op for part in project.design.sums.parts}
    assert ("gate" in ops) == (taken == 16)
    assert ("spread" in ops) == (taken != 16)
    assert passes(project, tmp_path)


def test_thresholds_of_positive_negative_and_zero_gain(tmp_path):
    made = binary_engine(3)
    made.node(
        OpKind.THRESHOLD, attrs={"at_zero": 1}, level=made.per_channel([0.0, 2.0, 0.0, -4.0, 2.0, 100.0]),
        gain=made.per_channel([1.0, -1.0, 0.0, -0.5, 0.3, -1.0]),
    )  # fmt: skip
    net = made.network()
    signs = net.values["threshold"]
    for channel in (0, 1, 3, 4):  # both values occur
        assert signs[0, channel].unique().numel() == 2
    assert bool((signs[0, [2, 5]] == 1).all())
    assert passes(project_of(net, "dot", pe=2, simd=12, windows=None), tmp_path)


@pytest.mark.parametrize("kind", [OpKind.SUM_POOL, OpKind.MAX_POOL])
@pytest.mark.parametrize(
    ("kernel", "channels"), [((2, 2), 6), ((1, 3), 6), (None, 6), ((2, 3), 1), (None, 1), ((4, 1), 1)]
)
def test_pools(kind, kernel, channels, tmp_path):
    """Over 4 x 6 pixels; one channel group needs its running result a cycle after it was made."""
    made = binary_engine(4, columns=6, channels=channels)
    made.node(OpKind.SCALE, factor=made.per_channel([0.3 - 0.2 * i for i in range(channels)]))
    pooled(made, kind, kernel)
    made.node(OpKind.ADD_CONST, value=made.per_channel([0.5 * i for i in range(channels)]))
    assert passes(project_of(made.network(), "dot", pe=1, simd=36, windows=None), tmp_path)


def test_clamp_and_negation(tmp_path):
    made = binary_engine(3)
    made.node(OpKind.NEGATE)
    made.node(OpKind.CLAMP, attrs={"min": 0.0, "max": 3.0})
    net = made.network()
    assert set(net.values["clamp"].unique().tolist()) >= {0.0, 2.0, 3.0}
    assert passes(project_of(net, "dot", pe=3, simd=9, windows=None), tmp_path)


@pytest.mark.parametrize(("pe", "simd"), [(1, 4), (3, 12), (6, 36)])
def test_sums_with_signs_of_real_values(pe, simd, tmp_path):
    """Binary weights, real activations, 0 outside the image; a bias."""
    made = Made(3, (1, 2, 3, 3))
    made.stem(4)
    made.conv(6, 3, binary=True, padding=1, bias=True)
    assert passes(
        project_of(made.network(), "dot", pe=pe, simd=simd, leaf=Leaf(inputs=3), windows=None), tmp_path
    )


def test_a_residual_operand_of_whole_numbers(tmp_path):
    """The dot product of one engine is added to that of the next: it is handed on in fixed point."""
    made = binary_engine(3, taken=4, channels=4)
    made.node(OpKind.SIGN, attrs={"at_zero": 1})
    weight = made.signs(4, 4, 1, 1)
    attrs = {**made.edit.draft("dot").attrs, "padding": [0, 0], "taps": 4, "macs": 4 * 4 * 9}
    made.node(OpKind.CONV, "second", attrs, weight=weight)
    made.node(OpKind.ADD, sources=["second", "dot"])
    net = made.network()
    for layer in ("dot", "second"):
        assert passes(project_of(net, layer, pe=2, simd=4, windows=None), tmp_path / layer)


@given(engine_cases())
@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_any_engine_in_a_simulator(tmp_path_factory, case):
    """Some hundreds were simulated when it was written; whole numbers are checked in test_engine_design.py."""
    net, pe, simd, leaf = case
    assume(not design_of(net, "dot", pe=pe, simd=simd, leaf=leaf).unwritten)
    project = project_of(net, "dot", pe=pe, simd=simd, leaf=leaf, windows=None)
    assert passes(project, tmp_path_factory.mktemp("engine"))


def test_results_do_not_depend_on_stalls(tmp_path):
    """The same engine with a step in every cycle, and with gaps at random."""
    net = network("own")
    design = design_of(net, "conv2", pe=4, simd=24)
    rows = rows_of(net.graph, net.values, design, windows=None)
    for stalls in (False, True):
        bench = stream_bench(written(design), design, rows, stalls=stalls)
        assert simulate(bench, tmp_path / str(stalls), tool=need_simulator()).passed


# Mutations. `own` with every window and slopes of at least 1/4: two counts of the dot product (0.1 or so), or one bit
# of a parameter above the third, move some result by several steps of 2**-8. The global mean of 64 pixels hides
# single steps, so conv2 is taken from a network in which the PReLU is the result.


class Residual(nn.Module):
    """prelu(scale * conv(sign x) + x) for `own`'s kind of layer, whose every pixel is a result."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.weight = nn.Parameter(torch.randn(8, 8, 3, 3, generator=generator))
        self.norm = nn.BatchNorm2d(8)
        self.act = nn.PReLU(8)
        self.last = nn.Conv2d(8, 2, 1)
        with torch.no_grad():
            self.stem.weight.copy_(torch.randn(8, 3, 3, 3, generator=generator) / 5)
            self.act.weight.copy_(torch.tensor([0.5, 0.25, 2.0, 0.25, 1.0, 0.5, 2.0, 0.25]))
            self.norm.weight.copy_(1 + 0.1 * torch.randn(8, generator=generator))
            self.norm.bias.copy_(0.3 * torch.randn(8, generator=generator))

    def forward(self, x):
        x = self.stem(x)
        scale = self.weight.abs().mean((1, 2, 3), keepdim=True) / 8
        y = F.conv2d(torch.where(x >= 0, 1.0, -1.0), scale * torch.sign(self.weight), padding=1)
        return self.last(self.act(self.norm(y) + x))


@pytest.fixture(scope="module")
def whole():
    """Its second engine: 8 channels of 72 taps in 2 lanes of 24 taps, all 36 windows."""
    torch.manual_seed(0)
    subject = Subject(Residual().eval(), "residual", None, (InputSpec((1, 3, 6, 6)),), trained=True)
    net = prepare(subject, width=16, fraction_bits=8)
    return make(net, net.engines[1], Folding(2, 24), windows=None)


WRONG = {
    "an XNOR": (r"~\(a\[5\] \^ w\[5\]\)", "(a[5] ^ w[5])"),
    "a mask": (r" & m\[0\]", ""),
    "accumulator starts": (r"\(first \?", "(!first ?"),
    "2p": (r", 1'b0\};", ", 1'b1};"),
    "2p - K": (r"= a - b;", "= a + b;"),
    "arithmetic shift": (r">>> 1", ">> 1"),
    "shift distance": (r">>> 2", ">>> 1"),
    "sign of the PReLU": (r"x\[15\]", "!x[15]"),
    "product bits": (r"= product\[23:8\]|= (\w+)\[23:8\];", r"= product_2[22:7];"),
    "sum": (r"= a \+ b;", "= a | b;"),
    "weight address": (r"read <= words\[address\]", "read <= words[address ^ 1]"),
    "a turn": (r"held <= load \? x", "held <= !load ? x"),
    "steps": (r"count == 2'd2", "count == 2'd1"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_bit_of_the_engine_is_caught(what, whole, tmp_path):
    source = f"{whole.top}.v"
    wrong, times = re.subn(*WRONG[what], whole.files[source], count=1)
    assert times == 1, f"the mutation does not apply any more:\n{whole.files[source]}"
    assert not passes(whole, tmp_path, **{source: wrong})


def test_the_engine_of_the_mutations_is_right(whole, tmp_path):
    assert passes(whole, tmp_path)


def registers(text):
    """Pipeline registers of the chain by what they hold, and those of flags, residual operands and values."""
    return re.findall(r"    always @\(posedge clk\) (\w+) <= (\w+);\n", text)


def test_every_dropped_register_is_caught(whole, tmp_path):
    """A register that is a wire brings what it holds a cycle early; a stall or another channel is then in its place."""
    source = f"{whole.top}.v"
    text = whole.files[source]
    found = registers(text)
    assert len(found) > 30
    kept = []
    for late, early in found[::3]:
        # a wire in place of the register
        wrong = re.sub(rf"    reg ((?:\[\d+:0\] )?){late};\n    always @\(posedge clk\) {late} <= {early};",
                       rf"    wire \g<1>{late} = {early};", text, count=1)  # fmt: skip
        assert wrong != text
        if passes(whole, tmp_path / late, **{source: wrong}):
            kept.append(late)
    assert kept == []


def test_every_stored_parameter_matters(whole, tmp_path):
    """Bit 3 of the first word of each ROM, codes aside: more than the smallest slope, 1/4, can hide."""
    source = f"{whole.top}.v"
    verilog = whole.files[source]
    words = list(re.finditer(r"'d0: bank0 <= \d+'h([0-9a-f]{2,});", verilog))
    assert len(words) == 3  # scale of the weights, gain and bias of the batch norm
    for number, word in enumerate(words):
        flipped = f"{int(word[1], 16) ^ 8:0{len(word[1])}x}"
        wrong = verilog[: word.start(1)] + flipped + verilog[word.end(1) :]
        assert not passes(whole, tmp_path / str(number), **{source: wrong})


@pytest.mark.parametrize("row", [0, 5, 11])
@pytest.mark.parametrize("bit", [0, 47])
def test_a_wrong_weight_bit_is_caught(row, bit, whole, tmp_path):
    file = f"{whole.top}_weights.hex"
    words = whole.files[file].split()
    assert len(words) == 8 // 2 * 72 // 24  # folds * steps
    words[row] = f"{int(words[row], 16) ^ 1 << bit:012x}"
    assert not passes(whole, tmp_path, **{file: "\n".join(words) + "\n"})


@pytest.mark.parametrize(("right", "wrong"), [("y = a >= b", "y = a < b"), ("assign y1 = ", "assign y1 = ~")])
def test_a_wrong_sign_is_caught(right, wrong, tmp_path):
    """The thresholds of ReActNet-18; the second mutation inverts the whole results."""
    project = project_of(network("reactnet_18"), "layer1.0.conv1", pe=4, simd=192, windows=1)
    source = f"{project.top}.v"
    changed = project.files[source].replace(right, wrong, 1)
    assert changed != project.files[source]
    assert not passes(project, tmp_path, **{source: changed})


# Edges of number formats


class Odd(nn.Module):
    """A dot product that is not scaled, small biases, and signs of 0 that are -1."""

    def __init__(self, bend, below):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.bend, self.below = bend, below
        self.stem = nn.Parameter(torch.tensor([0.75]).reshape(1, 1, 1, 1))
        self.weight = nn.Parameter(torch.tensor([*[1.0] * 8, -1.0]).reshape(3, 3).expand(6, 1, 3, 3).clone())
        self.last = nn.Parameter(torch.randn(6, 6, 1, 1, generator=generator))
        self.bias = nn.Parameter(torch.tensor([2.0**-20, -(2.0**-20), 0.3, -1.0, 1.0, 0.0]).reshape(6, 1, 1))
        self.fc = nn.Linear(6, 3)

    def sign(self, x):
        return torch.where(x > 0, 1.0, -1.0)

    def forward(self, x):
        y = F.conv2d(self.sign(F.conv2d(x, self.stem) - self.below), torch.sign(self.weight))
        y = torch.where(y >= 0, y, self.bend * y) + self.bias
        return self.fc((F.conv2d(self.sign(y), torch.sign(self.last)) + y).mean((2, 3)))


def odd(*, bend, below, width=16, fraction_bits=None):
    subject = Subject(Odd(bend, below), "odd", None, (InputSpec((1, 1, 9, 9)),), trained=True)
    net = prepare(subject, width=width, fraction_bits=fraction_bits, layer="conv_2")
    return net, make(net, net.engines[0], Folding(3, 3), windows=49)


def test_powers_of_two_below_the_grid_act_as_the_interpreter_has_them(tmp_path):
    """A bias of -2**-20 moves a value one step down, and x > 0 is not x >= 0 (odd dot products: 1 - 1 = 0)."""
    _, project = odd(bend=0.25, below=0.0, fraction_bits=6)
    assert passes(project, tmp_path / "right")
    assert len(project.design.chain.results) == 2  # the sum and its sign
    source = f"{project.top}.v"
    ones = re.search(r"constant = \{(16'h0001(, )?)+\};|constant = 16'h0001;", project.files[source])
    assert ones is not None
    wrong = project.files[source].replace(ones[0], ones[0].replace("0001", "0000"))
    assert not passes(project, tmp_path / "wrong", **{source: wrong})


def test_the_format_has_room_for_a_dot_product_that_is_not_scaled(tmp_path):
    """All inputs are -1, so all dot products 1 - 8 = -7, then -0.0547: three bits, the sign, 8 behind the point."""
    net, project = odd(bend=2.0**-7, below=10.0, width=12)
    assert net.number.fraction_bits == 8
    assert passes(project, tmp_path)


# What has no Verilog

GROUPED = ((4, 1, 3, 3), lambda x, w: F.conv2d(x, w, groups=4))
FLAT = ((4, 4, 3), lambda x, w: F.conv1d(x.flatten(2), w)[..., None])


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (GROUPED, "layer conv_2 has no Verilog: it is a grouped convolution"),
        (FLAT, "neither a two-dimensional"),
    ],
)
def test_convolutions_without_verilog(case, reason):
    shape, convolve = case

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            generator = torch.Generator().manual_seed(0)
            self.stem = nn.Parameter(torch.randn(4, 4, 1, 1, generator=generator))
            self.weight = nn.Parameter(torch.randn(shape, generator=generator))
            self.fc = nn.Linear(4, 2)

        def forward(self, x):
            x = torch.sign(F.conv2d(x, self.stem))
            return self.fc(convolve(x, torch.sign(self.weight)).mean((2, 3)))

    subject = Subject(Net(), "net", None, (InputSpec((1, 4, 6, 6)),), trained=True)
    net = prepare(subject, width=16, fraction_bits=None)
    with pytest.raises(UsageError, match=reason):
        make(net, net.engines[1], Folding(1, 1))


def test_foldings_beyond_what_a_module_takes():
    with pytest.raises(UsageError, match=r"--simd 4608 .* up to 4096 products per channel"):
        project_of(network("reactnet_18"), "layer4.3.conv1", pe=1, simd=4608)


def test_an_unknown_layer_lists_some_of_many():
    """The stem, four stages of four blocks with one binary convolution each, 3 shortcuts, the classifier."""
    with pytest.raises(
        UsageError, match=r"no layer 'layer9' with a dot product; there are conv1, .*, and \d+ more$"
    ):
        design_of(network("reactnet_18"), "layer9", pe=1, simd=1)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("layer1.0.conv1", "layer1_0_conv1"),
        ("1.conv", "layer_1_conv"),
        ("output", "layer_output"),
        ("b/c", "b_c"),
    ],
)
def test_names_of_modules(name, wanted):
    """No digit in front, and no word of the language."""
    assert identifier(name) == wanted


def test_synthesis_keeps_every_multiplier(tmp_path):
    """Two lanes of nine products on iCE40, whose synthesis would take registers that they share into one of them."""
    net = network("own")
    design = design_of(net, "conv1", pe=2, simd=9)
    unit = written(design, "lutram")
    (tmp_path / "unit.v").write_text(unit.source)
    for name, text in unit.all_files.items():
        (tmp_path / name).write_text(text)
    multipliers = sum(part.lanes for part in all_parts(design) if part.op == "multiply")
    assert multipliers >= 2 * 9
    mapping = f"synth_ice40 -dsp -top {unit.name} -run begin:map_ffs"
    script = f"read_verilog unit.v; {mapping}; tee -q -o stat.json stat -json"
    need_yosys().run(script, tmp_path)
    found = json.loads((tmp_path / "stat.json").read_text())
    assert found["design"]["num_cells_by_type"]["SB_MAC16"] == multipliers


def all_parts(design):
    """Of its three blocks."""
    return [*design.sums.parts, *design.turn.parts, *design.chain.parts]
