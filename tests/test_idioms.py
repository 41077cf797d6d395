"""Ways in which people write networks of few bits: the same arithmetic gives the same counts, however it is written.

Unless said otherwise x is 1x8x8x8 and the convolution 8 -> 8 channels, 3x3, padding 1:

    64 positions * 8 channels = 512 outputs of K = 72 products: 36,864 multiply-accumulates.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from abcost.core.log import Phase
from abcost.core.primitives import OpClass
from abcost.pipeline import analyze
from strategies import Module

N, MACS, WIDTH = 512, 36864, 16
SHAPE = (1, 8, 8, 8)


def weights(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


W = weights(8, 8, 3, 3)
SIGNS = W.sign()
TERNARY = (W > 0.5).float() - (W < -0.5).float()
SHIFTS = torch.arange(W.numel()).reshape(W.shape) % 5
PER_CHANNEL = torch.linspace(0.3, 1.7, 8)


def conv(x, w=SIGNS, **options):
    return F.conv2d(x, w, padding=1, **options)


def norm(seed=0, channels=8):
    generator = torch.Generator().manual_seed(seed)
    found = nn.BatchNorm2d(channels)
    found.running_mean.normal_(0, 5, generator=generator)
    found.running_var.uniform_(20, 60, generator=generator)
    found.weight.data.normal_(0, 1, generator=generator)  # of either sign
    found.bias.data.normal_(0, 1, generator=generator)
    return found.eval()


class SignFunction(torch.autograd.Function):
    @staticmethod
    def forward(_context, x):
        return x.sign()

    @staticmethod
    def backward(_context, gradient):
        return gradient


def in_place(x):
    y = torch.zeros_like(x)
    y[x >= 0] = 1
    y[x < 0] = -1
    return y


def larger_neighbour(x):
    return torch.maximum(x[..., :8], x[..., 1:9])


def straight_through(x):
    surrogate = x.clamp(-1, 1)
    return surrogate + (x.sign() - surrogate).detach()


@dataclass(frozen=True)
class Idiom:
    """bits: activations x weights -> MACs. multiplications: at add_and_bit; None: not asked. most: of a class there."""

    function: object
    bits: dict
    multiplications: int | None = 0
    most: dict | None = None
    shape: tuple = SHAPE
    members: dict | None = None


ONE = {"1x1": MACS}
IDIOMS = {
    # signs
    "hardtanh in front of a sign": Idiom(lambda m, x: conv(F.hardtanh(x).sign()), ONE, most={"compare": N}),
    "ReLU6 moved to both sides": Idiom(lambda m, x: conv((F.relu6(x + 3) - 3).sign()), ONE),
    "autograd function": Idiom(lambda m, x: conv(SignFunction.apply(x)), ONE, most={"compare": N, "add": N}),
    "straight-through with detach": Idiom(lambda m, x: conv(straight_through(x)), ONE),
    "index assignment, both sides": Idiom(lambda m, x: conv(in_place(x)), ONE),
    "sign plus a little, signed": Idiom(lambda m, x: conv((x.sign() + 1e-6).sign()), ONE),
    "x / |x| by comparisons": Idiom(lambda m, x: conv((x >= 0).float() - (x < 0).float()), ONE),
    "a level per channel": Idiom(
        lambda m, x: conv((x > PER_CHANNEL.reshape(1, 8, 1, 1)).float() * 2 - 1), ONE, most={"compare": N}
    ),
    "times one, twice": Idiom(lambda m, x: conv(x.sign() * 1 / 1), ONE),
    # two other values
    "a flag": Idiom(lambda m, x: conv((x > 0).float()), ONE, most={"add": N}),
    "the sign of a rectified value": Idiom(lambda m, x: conv(torch.relu(x).sign()), ONE),
    "no flag": Idiom(lambda m, x: conv(1 - (x > 0).float()), ONE),
    "logical": Idiom(lambda m, x: conv(torch.logical_and(x > -1, x < 1).float()), ONE),
    "the sum of two flags, their OR": Idiom(lambda m, x: conv(((x > 1) + (x < -1)).float()), ONE),
    "scaled sign, real weights": Idiom(
        lambda m, x: conv(0.7 * x.sign(), W), {"1x16": MACS}, most={"add": MACS}
    ),  # 0.7 goes into the weights
    "scaled sign through a view and a max pool": Idiom(
        lambda m, x: conv(F.max_pool2d((0.7 * x.sign()).flatten(1).view(SHAPE), 3, 1, 1)), ONE, N
    ),
    "a scale per image": Idiom(lambda m, x: conv(x.sign() * x.abs().amax((1, 2, 3), keepdim=True)), ONE, N),
    "a scale per image in front of a max pool": Idiom(
        lambda m, x: conv(F.max_pool2d(x.sign() * x.abs().amax((1, 2, 3), keepdim=True), 3, 1, 1)), ONE, N
    ),
    "a scale per image of either sign in front of a max pool": Idiom(
        lambda m, x: conv(F.max_pool2d(x.sign() * x.mean((1, 2, 3), keepdim=True), 3, 1, 1)), ONE, N
    ),
    # weights
    "weights 0 or 1": Idiom(lambda m, x: conv(x.sign(), (W > 0).float()), ONE, most={"add": N}),
    "weights 0 or s": Idiom(lambda m, x: conv(x.sign(), 0.3 * (W > 0).float()), ONE, N),
    "weights p or q": Idiom(lambda m, x: conv(x.sign(), torch.where(W > 0, 0.9, -0.2)), ONE, 2 * N),
    # 512 by (q - p) / 2 and 512 by (p + q) / 2, the sum of the window (64 of them) shared by all channels
    "weights p or q, real activations": Idiom(
        lambda m, x: conv(x, torch.where(W > 0, 0.9, -0.2)), {"16x1": MACS}, 2 * N, {"add": MACS + 64 * 71 + N}
    ),
    "ternary weights and a flag": Idiom(lambda m, x: conv((x > 0).float(), TERNARY), {"1x2": MACS}),
    "ternary on both sides": Idiom(
        lambda m, x: conv(torch.round(x.clamp(-1, 1)), TERNARY), {"2x2": MACS}, most={"add": 4 * N}
    ),
    "two bases": Idiom(
        lambda m, x: conv(x.sign(), 0.6 * SIGNS + 0.17 * weights(8, 8, 3, 3, seed=1).sign()), {"1x2": MACS}, 2 * N
    ),
    "powers of two times a scale": Idiom(
        lambda m, x: conv(x, 1.3 * SIGNS * 2.0**-SHIFTS), {"16x16": MACS}, N, {"add": MACS}
    ),
    "2-bit weights from -2 to 1, powers of two all of them": Idiom(
        lambda m, x: conv(x.sign(), (W * 1.5).round().clamp(-2, 1) * 0.3), {"1x2": MACS}, N, {"add": 2 * N}
    ),
    "2 bits on both sides": Idiom(
        lambda m, x: conv(torch.round(x.clamp(0, 3)), (W * 1.5).round().clamp(-2, 1) * 0.3),
        {"2x2": MACS}, N, {"add": 4 * N},
    ),
    "powers of two under 3-bit activations": Idiom(
        lambda m, x: conv(torch.round(x.clamp(0, 7)), (W * 1.5).round().clamp(-2, 1) * 0.3), {"3x16": MACS}, N
    ),
    "4-bit weights": Idiom(lambda m, x: conv(x, (W * 3).round().clamp(-8, 7) * 0.11), {"16x4": MACS}, MACS + N),
    # activations of few bits
    "2-bit activations": Idiom(
        lambda m, x: conv(torch.round(x.clamp(0, 1) * 3) / 3), {"2x1": MACS}, N, {"compare": 3 * N, "add": 2 * N}
    ),
    "4-bit activations": Idiom(lambda m, x: conv(torch.round(x * 4).clamp(-8, 7) / 4), {"4x1": MACS}),
    "8-bit activations": Idiom(lambda m, x: conv(torch.round(x * 64).clamp(-128, 127) / 64), {"8x1": MACS}),
    "8 bits on both sides": Idiom(
        lambda m, x: conv(torch.round(x * 64).clamp(-128, 127) / 64, (W * 40).round().clamp(-127, 127) / 64),
        {"8x8": MACS}, MACS,
    ),
    # other products
    "depthwise, a scale per channel": Idiom(
        lambda m, x: F.conv2d(PER_CHANNEL.reshape(1, 8, 1, 1) * x.sign(), SIGNS[:, :1], padding=1, groups=8),
        {"1x1": MACS // 8}, N,
    ),
    "linear on tokens, a scale per token": Idiom(
        lambda m, x: F.linear(x.sign() * x.abs().amax(2, keepdim=True), SIGNS[..., 0, 0]),
        {"1x1": 5 * 8 * 8}, 5 * 8, shape=(1, 5, 8),
    ),
    "scores of binary queries and keys": Idiom(
        lambda m, x: x.sign() @ (x + 0.1).sign().transpose(1, 2), {"1x1": 5 * 5 * 8}, shape=(1, 5, 8)
    ),
    "two signs side by side": Idiom(
        lambda m, x: conv(torch.cat([x.sign(), (x - 1).sign()], 1), torch.cat([SIGNS, SIGNS.flip(0)], 1)),
        {"1x1": 2 * MACS},
    ),
    "shuffled channels": Idiom(lambda m, x: conv(F.channel_shuffle(x.sign(), 2)), ONE),
    "transposed convolution": Idiom(
        lambda m, x: F.conv_transpose2d(x.sign(), SIGNS, padding=1), {"1x1": 8 * 64 * 8 * 9}
    ),
    "one dimension": Idiom(
        lambda m, x: F.conv1d(x.sign(), SIGNS[..., 0], padding=1), {"1x1": 8 * 8 * 8 * 3}, shape=(1, 8, 8)
    ),
    "a second batch norm in front of the sign": Idiom(
        lambda m, x: conv(m.b(m.a(conv(x.sign()))).sign()), {"1x1": 2 * MACS}, most={"compare": 2 * N},
        members={"a": norm(0), "b": norm(1)},
    ),
    "batch norm, PReLU, sign": Idiom(
        lambda m, x: conv(m.p(m.a(conv(x.sign()))).sign()), {"1x1": 2 * MACS},
        most={"compare": 2 * N}, members={"a": norm(2), "p": nn.PReLU(8)},
    ),
    "batch norm and a 2-bit quantiser": Idiom(
        lambda m, x: conv(torch.round(m.a(conv(x.sign())).clamp(0, 3))), {"1x1": MACS, "2x1": MACS},
        most={"compare": N + 3 * N}, members={"a": norm(3)},
    ),
    "batch norm in front of the first sign": Idiom(
        lambda m, x: conv(m.a(x).sign()), ONE, most={"compare": N}, members={"a": norm(4)}
    ),
}  # fmt: skip

TRAPS = {
    "a scale per input channel": Idiom(
        lambda m, x: conv(PER_CHANNEL.reshape(1, 8, 1, 1) * x.sign()), {"16x1": MACS}, N
    ),
    "a scale per position": Idiom(
        lambda m, x: conv(x.sign() * x.abs().mean(1, keepdim=True)), {"16x1": MACS}, None
    ),
    "a sum of two signs": Idiom(lambda m, x: conv(x.sign() + (x - 1).sign()), {"2x1": MACS}),
    "a sum of two signs of different scales": Idiom(  # -2, -1, 1 and 2 times 0.2
        lambda m, x: conv(0.3 * x.sign() + 0.1 * (x - 1).sign()), {"3x1": MACS}, None
    ),
    "padding by another value": Idiom(
        lambda m, x: F.conv2d(F.pad(x.sign(), (1, 1, 1, 1), value=0.5), SIGNS), {"3x1": MACS}  # -2, 1 and 2 halves
    ),
    "a grid under zero padding": Idiom(  # 1, 2, 3, 4 and at the border 0: five values
        lambda m, x: F.conv2d(F.pad(torch.round(x).clamp(1, 4), (1, 1, 1, 1)), SIGNS), {"3x1": MACS}
    ),
    "zeros of a border under a max pool": Idiom(  # where all signs beside them are -1, and nowhere else
        lambda m, x: F.conv2d(F.max_pool2d(F.pad(x.sign(), (2, 2, 2, 2)), 3, 1), SIGNS), {"2x1": MACS}
    ),
    "the larger of two signs, one of them shifted": Idiom(
        lambda m, x: conv(larger_neighbour(F.pad(x.sign(), (2, 0)))), {"2x1": MACS}
    ),
    "a sign and a real number, chosen": Idiom(
        lambda m, x: conv(torch.where(x > 3, x, x.sign())), {"16x1": MACS}
    ),
    "signs of half the channels": Idiom(
        lambda m, x: conv(torch.cat([x[:, :4].sign(), x[:, 4:]], 1)), {"16x1": MACS}
    ),
    "weights of one odd value": Idiom(
        lambda m, x: conv(x.sign(), torch.where(W.flatten()[5] == W, 0.7071, SIGNS)), {"1x16": MACS}
    ),
    "an average of signs with zeros at the border": Idiom(  # sums of nine: -9 … 9, in steps of 1 for the zeros: 5 bits
        lambda m, x: conv(F.avg_pool2d(x.sign(), 3, 1, 1)), {"5x1": MACS}, None
    ),
}  # fmt: skip


def test_there_are_as_many_again():
    assert len(IDIOMS) >= 29


@pytest.mark.parametrize("name", [*IDIOMS, *TRAPS])
def test_counts_of_an_idiom(name):
    idiom = (IDIOMS | TRAPS)[name]
    torch.manual_seed(0)
    model = Module(idiom.function, **(idiom.members or {}))
    report = analyze(model, "fpga-lut6", input_shape=idiom.shape, width=WIDTH, verify=True)
    first, last = report.stages[0].tally, report.stages[-1].tally
    assert dict(first.macs.by_bits) == idiom.bits
    assert first.macs.total == report.fvcore_macs
    if idiom.multiplications is not None:
        assert last.by_class()[OpClass.MULTIPLY] == idiom.multiplications
    for op_class, most in (idiom.most or {}).items():
        assert last.by_class()[OpClass(op_class)] <= most
    assert report.verified  # every rule that fired is exact, to the bit
    lowering = [e for e in report.stages[-1].log if e.fired and e.phase is Phase.LOWER]
    assert all(entry.exact for entry in lowering)


@pytest.mark.parametrize("kind", ["4-bit", "binary behind a straight-through estimator"])
def test_weights_stored_in_single_precision_are_read_through_their_noise(kind):
    # verify runs in float64: the difference to the model is what the stored weights are off, and is said so
    latent = weights(8, 8, 3, 3, seed=3)
    stored = (W * 3).round().clamp(-7, 7) * 0.11 if kind == "4-bit" else 0.3 * SIGNS - latent + latent
    model = Module(lambda m, x: conv(x.sign(), m.weight), weight=nn.Parameter(stored))
    report = analyze(model, "fpga-lut6", input_shape=SHAPE, width=WIDTH, verify=True)
    assert dict(report.stages[0].tally.macs.by_bits) == {"1x4" if kind == "4-bit" else "1x1": MACS}
    assert report.verified
    (entry,) = [e for e in report.stages[0].log if e.fired and e.rule in ("weight-levels", "binary-weight")]
    assert entry.exact
    assert 0 < entry.error < 1e-6
