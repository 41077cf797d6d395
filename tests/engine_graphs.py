"""Small networks with one engine of a kind, at random: for the tests of descriptions and of Verilog."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import assume
from hypothesis import strategies as st

from abcost.accelerator.design.dot import Leaf
from abcost.accelerator.folding import divisors
from abcost.core.adders.of_node import ATTRIBUTE
from abcost.core.edit import Edit
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode
from layers import network_of
from strategies import conv_attrs

FRACTION_BITS = 6
WIDTH = 24
KINDS = ("binary", "signed sum", "real", "whole", "digits", "adders", "shared signs", "linear")


@dataclass
class Made:
    """A graph in the making whose last value is `last`, of shape `shape`."""

    seed: int
    shape: tuple[int, ...]

    def __post_init__(self):
        self.edit = Edit()
        self.generator = torch.Generator().manual_seed(self.seed)
        self.last = self.edit.add(OpNode("x", OpKind.INPUT, self.shape))
        self.input_shape = self.stem_shape = self.shape

    def stem(self, channels):
        """An engine of its own in front: what reads the network's input is not of the engine that is tested."""
        n, taken, *size = self.shape
        if size:
            weight = Constant(self.random(channels, taken, 1, 1))
            attrs, out = conv_attrs(weight.values, (n, channels, *size)), (n, channels, *size)
            kind = OpKind.CONV
        else:
            weight, out, kind = Constant(self.random(channels, taken)), (n, channels), OpKind.LINEAR
            attrs = {"taps": taken, "macs": n * taken * channels}
        weight.values.view(-1)[0] = 0.75
        self.stem_shape = out
        return self.node(kind, "stem", attrs, out, weight=weight)

    def random(self, *shape, scale=1.0):
        """Numbers on the grid of the fixed point, zeros among them."""
        found = torch.randn(shape, generator=self.generator, dtype=torch.float64) * scale
        found[torch.rand(shape, generator=self.generator) < 0.1] = 0.0
        return torch.round(found * 2**FRACTION_BITS) / 2**FRACTION_BITS

    def signs(self, *shape):
        return Constant(
            (torch.randint(0, 2, shape, generator=self.generator) * 2 - 1).to(torch.int8), binary=True
        )

    def node(self, kind, name=None, attrs=None, shape=None, sources=None, **consts):
        """Adds a node behind the last one."""
        self.shape = shape or self.shape
        name = name or self.edit.unique(kind.value)
        made = OpNode(name, kind, self.shape, layer=name, attrs=attrs or {}, consts=consts)
        self.last = self.edit.add(made, sources or [self.last])
        return self.last

    def sign(self, at_zero=1):
        return self.node(OpKind.SIGN, attrs={"at_zero": at_zero})

    def conv(
        self,
        channels,
        kernel,
        *,
        binary,
        stride=1,
        padding=0,
        bias=False,
        digits=False,
        adders=False,
        whole=False,
    ):
        """The convolution `dot`.

        digits: its weights are worked off as signed digits; adders: they are a graph; whole: they have 8 bits.
        """
        n, taken, rows, columns = self.shape
        shape = (channels, taken, kernel, kernel)
        weight = self.signs(*shape) if binary else Constant(self.random(*shape, scale=0.5))
        if not binary:  # not all of one size, which would be signs and a scale
            weight.values.view(-1)[0] = 0.75
        if whole:
            weight = Constant(torch.randint(-100, 101, shape, generator=self.generator).to(torch.int8))
        out = (n, channels, *((size + 2 * padding - kernel) // stride + 1 for size in (rows, columns)))
        attrs = conv_attrs(weight.values, out, stride=stride, padding=padding)
        if digits or (adders and not binary):
            attrs["csd_fraction_bits"] = FRACTION_BITS
        if adders:
            attrs[ATTRIBUTE] = True
        more = {"bias": Constant(self.random(channels))} if bias else {}
        return self.node(OpKind.CONV, "dot", attrs, out, weight=weight, **more)

    def linear(self, channels, *, binary, bias):
        n, taps = self.shape
        weight = self.signs(channels, taps) if binary else Constant(self.random(channels, taps, scale=0.5))
        if not binary:
            weight.values.view(-1)[0] = 0.75
        attrs = {"taps": taps, "macs": n * taps * channels}
        more = {"bias": Constant(self.random(channels))} if bias else {}
        return self.node(OpKind.LINEAR, "dot", attrs, (n, channels), weight=weight, **more)

    def per_channel(self, values):
        """One value per channel, as a constant that goes with the shape."""
        channels = self.shape[1]
        shape = (1, channels, *[1] * (len(self.shape) - 2))
        return Constant(torch.as_tensor(values, dtype=torch.float64).reshape(shape))

    def network(self, *, width=WIDTH):
        self.edit.add(OpNode("out", OpKind.OUTPUT, self.shape), [self.last])
        x = self.random(*self.input_shape)
        return network_of(self.edit.freeze(), [x], width=width, fraction_bits=FRACTION_BITS)


def pooled(made, kind, kernel):
    """A pool without overlap; kernel None: over the whole image."""
    n, channels, rows, columns = made.shape
    if kernel is None:
        attrs = {"axes": [2, 3], "keepdim": True, "taps": rows * columns, "whole": True}
        return made.node(kind, attrs=attrs, shape=(n, channels, 1, 1))
    attrs = {
        "kernel": list(kernel), "stride": list(kernel), "padding": [0, 0], "dilation": [1, 1],
        "ceil_mode": False, "taps": kernel[0] * kernel[1], "whole": False,
    }  # fmt: skip
    return made.node(kind, attrs=attrs, shape=(n, channels, rows // kernel[0], columns // kernel[1]))


# operations of a chain: each draws what it needs


def _scale(draw, made):
    values = [draw(st.sampled_from([0.25, 1.0, -0.5, 0.3, -1.3])) for _ in range(made.shape[1])]
    made.node(OpKind.SCALE, factor=made.per_channel(values))


def _bias(draw, made):
    values = [
        draw(st.sampled_from([0.0, 0.25, -1.7, 2.0**-9, -(2.0**-9), 0.3])) for _ in range(made.shape[1])
    ]
    made.node(OpKind.ADD_CONST, value=made.per_channel(values))


def _exponents(draw, made):
    allowed = draw(st.lists(st.integers(-6, 2), min_size=1, max_size=4))
    return made.per_channel([draw(st.sampled_from(allowed)) for _ in range(made.shape[1])])


def _shift(draw, made):
    made.node(OpKind.SHIFT, exponent=_exponents(draw, made))


def _shift_prelu(draw, made):
    made.node(OpKind.SHIFT_PRELU, exponent=_exponents(draw, made))


def _prelu(draw, made):
    values = [draw(st.sampled_from([0.25, 0.3, -0.25, 0.0])) for _ in range(made.shape[1])]
    made.node(OpKind.PRELU, slope=made.per_channel(values))


def _clamp(draw, made):
    low, high = draw(st.sampled_from([(0.0, None), (-1.0, 1.0), (None, 2.5), (0.0, 0.3)]))
    made.node(OpKind.CLAMP, attrs={"min": low, "max": high})


def _negate(_draw, made):
    made.node(OpKind.NEGATE)


def _residual(draw, made):
    """The stem's values added, or taken away, where there are as many."""
    if made.shape != made.stem_shape:
        return
    kind = draw(st.sampled_from([OpKind.ADD, OpKind.SUBTRACT]))
    sources = [made.last, "stem"]
    made.node(kind, sources=sources if draw(st.booleans()) else sources[::-1])


CHAIN = {
    "scale": _scale, "bias": _bias, "shift": _shift, "shift_prelu": _shift_prelu, "prelu": _prelu, "clamp": _clamp,
    "negate": _negate, "residual": _residual,
}  # fmt: skip


def _threshold(draw, made):
    channels = made.shape[1]
    level = made.per_channel(
        [draw(st.sampled_from([0.0, 0.5, -0.3, 3.0, 2.0**-9, -100.0])) for _ in range(channels)]
    )
    attrs = {"at_zero": draw(st.sampled_from([1, -1]))}
    if draw(st.booleans()):
        gain = made.per_channel([draw(st.sampled_from([1.0, -0.5, 0.0])) for _ in range(channels)])
        made.node(OpKind.THRESHOLD, attrs=attrs, level=level, gain=gain)
    else:
        made.node(OpKind.THRESHOLD, attrs=attrs, level=level)


@st.composite
def engine_cases(draw, kinds=KINDS):
    """(network, PE, SIMD, leaf) of a network whose engine `dot` is of one of these kinds."""
    kind = draw(st.sampled_from(kinds))
    taken, channels = draw(st.sampled_from([1, 2, 3, 4, 6, 12])), draw(st.sampled_from([1, 2, 4, 6, 8]))
    image = kind != "linear"
    kernel = draw(st.sampled_from([1, 2, 3])) if image else 1
    padding = draw(st.integers(0, kernel // 2))
    # maps down to 1 x 1, where every window touches padding
    sizes = st.integers(max(1, kernel - 2 * padding), 4)
    made = Made(draw(st.integers(0, 999)), (1, 2, draw(sizes), draw(sizes)) if image else (1, 2))
    made.stem(taken)
    binary_weights = kind in ("binary", "shared signs", "signed sum") or (
        kind == "linear" and draw(st.booleans())
    )
    behind_signs = kind == "binary" or (kind == "shared signs" and draw(st.booleans()))
    if behind_signs or (binary_weights and kind == "linear" and draw(st.booleans())):
        made.sign(draw(st.sampled_from([1, -1])))
    bias = draw(st.booleans())
    if image:
        made.conv(
            channels,
            kernel,
            binary=binary_weights,
            stride=draw(st.integers(1, 2)),
            padding=padding,
            bias=bias,
            digits=kind == "digits",
            adders=kind in ("adders", "shared signs"),
            whole=kind == "whole",
        )
    else:
        made.linear(channels, binary=binary_weights, bias=bias)
    for step in draw(st.lists(st.sampled_from(sorted(CHAIN)), max_size=4)):
        CHAIN[step](draw, made)
    _ending(draw, made)
    net = made.network()
    taps = taken * kernel * kernel
    assume(max(float(v.abs().max()) for v in net.values.values()) < 2.0 ** (WIDTH - 1 - FRACTION_BITS))
    leaf = Leaf(draw(st.sampled_from([4, 12, 36])), draw(st.sampled_from([2, 4])))
    pe, simd = (draw(st.sampled_from(list(divisors(n)))) for n in (channels, taps))
    return (net, channels, taps, leaf) if kind in ("adders", "shared signs") else (net, pe, simd, leaf)


def _ending(draw, made):
    """What comes last: a threshold, a sign, a pool, or nothing."""
    end = draw(st.sampled_from(["", "threshold", "sign", "pool", "pool"]))
    if end == "threshold":
        _threshold(draw, made)
    elif end == "sign":
        made.sign(draw(st.sampled_from([1, -1])))
    elif end == "pool" and len(made.shape) == 4:
        rows, columns = made.shape[2:]
        kernel = draw(st.sampled_from([None, *((r, c) for r in divisors(rows) for c in divisors(columns))]))
        pooled(made, draw(st.sampled_from([OpKind.MAX_POOL, OpKind.SUM_POOL])), kernel)
