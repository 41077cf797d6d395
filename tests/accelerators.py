"""What the tests of accelerators share: a table of simple laws, small networks, and devices of any size."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.devices import FAMILIES, Device
from abcost.accelerator.hardware import LUTS_PER_DSP
from abcost.accelerator.memory import LUTS_PER_BLOCK
from abcost.accelerator.solve import AcceleratorGoal, organise
from abcost.core.edit import Edit
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode
from abcost.cost.table import CostTable
from strategies import const, conv_attrs

LAWS = {
    "multiply": ("1", "0", "1"),
    "multiply_lut": ("width * width", "0", "0"),
    "add": ("width", "0", "0"),
    "compare": ("width", "0", "0"),
    "mux": ("width", "0", "0"),
    "shift_select": ("width * choices", "0", "0"),
    "prelu": ("width", "0", "1"),
    "qprelu": ("width * choices + span", "0", "0"),
    "xnor_popcount": ("2 * bits", "0", "0"),
    "masked_popcount": ("3 * bits", "0", "0"),
    "plain_popcount": ("bits", "0", "0"),
    "signed_sum": ("width * bits", "0", "0"),
    "accumulate": ("width", "width", "0"),
    "register": ("0", "width", "0"),
    "counter": ("width", "width", "0"),
    "rom": ("width", "0", "0"),
}
"""Unit -> LUTs, flip-flops, DSPs."""
WIDTH = 16
NUMBER = NumberFormat(WIDTH, 8)
RANGES = {"width": 64, "bits": 2048, "choices": 64, "span": 64}


def table_text(without):
    def valid(laws):
        names = [name for name in RANGES if any(name in law for law in laws)]
        return "".join(f"valid_{name} = [1, {RANGES[name]}]\n" for name in names)

    entries = "".join(
        f'[[entry]]\nop = "{op}"\nluts = "{laws[0]}"\nffs = "{laws[1]}"\ndsps = "{laws[2]}"\n'
        f'source = "hand"\nmethod = "derived"\nconfidence = "derived"\nnote = "hand"\n{valid(laws)}\n'
        for op, laws in LAWS.items()
        if op not in without
    )
    head = 'schema = 1\ntarget = "simple"\ntitle = "Simple laws"\nnode = "none"\ntechnology = "fpga"\n'
    return (
        f'{head}default_width = 16\n\n{entries}[source.hand]\ntitle = "laws of this test"\nwhere = "here"\n'
    )


@cache
def table(without=()):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "simple.toml"
        path.write_text(table_text(without))
        return CostTable.load(path)


def device(
    luts=10**6, ffs=10**7, dsps=10**4, blocks=10**4, uram=0, family="7-series", bandwidth=None, **more
):
    """A part of any size; without a bandwidth it has no memory outside."""
    part = Device("mine", "", FAMILIES[family], luts, ffs, dsps, blocks, uram, "test", "derived", "")
    return replace(part, bandwidth_gb_s=bandwidth, memory_source="test", memory_confidence="derived", **more)


def binary(*shape):
    signs = torch.arange(torch.Size(shape).numel()).reshape(shape) * 7 % 3 % 2 * 2 - 1
    return Constant(signs.to(torch.int8), binary=True)


def _real(*shape):
    return torch.linspace(-1, 1, torch.Size(shape).numel()).reshape(shape)


class Net:
    """A graph in the making; every method adds a node and returns its name."""

    def __init__(self, *shape):
        self.edit = Edit()
        self.edit.add(OpNode("x", OpKind.INPUT, shape))
        self.shapes = {"x": shape}

    def add(self, name, kind, shape, sources, attrs=None, **consts):
        self.shapes[name] = shape
        return self.edit.add(
            OpNode(name, kind, shape, layer=name, attrs=attrs or {}, consts=consts), list(sources)
        )

    def like(self, name, kind, source, attrs=None, **consts):
        return self.add(name, kind, self.shapes[source], [source], attrs, **consts)

    def sign(self, name, source):
        return self.like(name, OpKind.SIGN, source, {"at_zero": 1})

    def conv(self, name, source, channels, kernel=3, *, binary_weight=True, padding=None, groups=1):
        n, c, h, w = self.shapes[source]
        padding = kernel // 2 if padding is None else padding
        shape = (channels, c // groups, kernel, kernel)
        weight = binary(*shape) if binary_weight else const(_real(*shape))
        out = (n, channels, h + 2 * padding - kernel + 1, w + 2 * padding - kernel + 1)
        attrs = conv_attrs(weight.values, out, padding=padding, groups=groups)
        return self.add(name, OpKind.CONV, out, [source], attrs, weight=weight)

    def linear(self, name, source, channels):
        n, taps = self.shapes[source]
        attrs = {"taps": taps, "macs": n * taps * channels}
        return self.add(
            name, OpKind.LINEAR, (n, channels), [source], attrs, weight=const(_real(channels, taps))
        )

    def shift_prelu(self, name, source, exponents):
        channels = self.shapes[source][1]
        values = [exponents[i % len(exponents)] for i in range(channels)]
        exponent = const(torch.tensor(values).reshape(1, channels, 1, 1))
        return self.like(name, OpKind.SHIFT_PRELU, source, exponent=exponent)

    def done(self):
        last = next(reversed(self.shapes))
        self.edit.add(OpNode("out", OpKind.OUTPUT, self.shapes[last]), [last])
        return self.edit.freeze()


@cache
def residual(channels=8, size=8, batch=1):
    """Stem, then x + binary convolution of sign(x), then another binary convolution."""
    net = Net(batch, 3, size, size)
    net.conv("stem", "x", channels, binary_weight=False)
    net.sign("sign", "stem")
    net.conv("conv", "sign", channels)
    net.add("add", OpKind.ADD, net.shapes["conv"], ["conv", "stem"])
    net.sign("sign2", "add")
    net.conv("last", "sign2", channels, 1)
    return net.done()


def accelerator(graph, *, without=(), width=16, **goal):
    return organise(graph, table(without), width=width, fraction_bits=12, goal=AcceleratorGoal(**goal))


def layers(found):
    return {layer.name: layer for layer in found.layers}


def worth(found):
    """In LUTs: what foldings are chosen by."""
    used = found.resources
    return used["luts"] + LUTS_PER_DSP * used["dsps"] + LUTS_PER_BLOCK * used["blocks"]
