"""Small graphs: one at a time for hand examples, at random for properties."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import nn

from abcost.core.edit import Edit
from abcost.core.inputs import InputSpec
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode
from abcost.trace import trace

FRACTION_BITS = 12
STEP = 2.0**-FRACTION_BITS


class Module(nn.Module):
    """A module whose forward is the function given: forward(module, *inputs)."""

    def __init__(self, function, **members):
        super().__init__()
        self.function = function
        for name, member in members.items():
            setattr(self, name, member)

    def forward(self, *inputs):
        return self.function(self, *inputs)


def traced(function, *shapes, **members):
    """The graph of a function, as traced, before any rule."""
    return trace(Module(function, **members), tuple(InputSpec(shape) for shape in shapes)).graph


def const(values, *, dtype=torch.float64, binary=False):
    return Constant(torch.as_tensor(values, dtype=torch.int8 if binary else dtype), binary=binary)


def graph_of(*steps, inputs=((1, 4),)):
    """Steps are (name, kind, shape, sources, attrs, consts); inputs are called x0, x1, …; the last is the output."""
    edit = Edit()
    for number, shape in enumerate(inputs):
        edit.add(OpNode(f"x{number}", OpKind.INPUT, shape))
    for name, kind, shape, sources, attrs, consts in steps:
        edit.add(OpNode(name, kind, shape, attrs=attrs, consts=consts), sources)
    last = steps[-1]
    edit.add(OpNode("out", OpKind.OUTPUT, last[2]), [last[0]])
    return edit.freeze()


def single(kind, x_shape, out_shape, attrs=None, more_shapes=(), **consts):
    """One node `y` between inputs and output."""
    shapes = (x_shape, *more_shapes)
    names = [f"x{number}" for number in range(len(shapes))]
    return graph_of(("y", kind, out_shape, names, attrs or {}, consts), inputs=shapes)


def conv_attrs(weight, out_shape, *, stride=1, padding=0, groups=1):
    taps = weight[0].numel()
    macs = torch.Size(out_shape).numel() * taps
    spatial = weight.dim() - 2
    return {
        "stride": [stride] * spatial, "padding": [padding] * spatial, "dilation": [1] * spatial,
        "transposed": False, "output_padding": [0] * spatial, "groups": groups, "taps": taps, "macs": macs,
    }  # fmt: skip


# random graphs: a row of steps on values of shape (1, C, S, S)

_FACTORS = st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0, 0.3, 1.7, 1e-5, -0.5, -1.3])
_BIASES = st.sampled_from([0.0, 0.25, -0.5, 0.3, -1.7, STEP, -STEP])
_SLOPES = st.sampled_from([0.25, 0.5, 2.0, 0.0078125, 0.3, 0.9, 0.0, -0.25])
_STEPS = (
    "scale", "bias", "sign", "masked_sign", "where_sign", "affine_sign", "prelu", "where_prelu", "binary_conv",
    "real_conv", "add", "ste", "ste_minus", "relu", "global_pool", "window", "max_pool", "binary_conv_with_bias",
)  # fmt: skip


def _per_channel(draw, values, channels):
    count = draw(st.sampled_from([1, channels]))
    return torch.tensor([draw(values) for _ in range(count)], dtype=torch.float64).reshape(1, count, 1, 1)


class _Draft:
    """A graph in the making; every value is (1, C, S, S)."""

    def __init__(self, draw):
        self.draw = draw
        self.channels = draw(st.integers(1, 3))
        self.size = draw(st.sampled_from([3, 4, 7]))
        self.shape = (1, self.channels, self.size, self.size)
        self.edit = Edit()
        self.values = [self.edit.add(OpNode("x", OpKind.INPUT, self.shape))]
        self.convs = 0

    def emit(self, kind, sources, attrs=None, /, **consts):
        name = self.edit.unique(kind.value)
        node = OpNode(
            name, kind, self.shape, attrs=attrs or {}, consts={k: const(v) for k, v in consts.items()}
        )
        return self.edit.add(node, sources)

    def channel_values(self, values):
        return _per_channel(self.draw, values, self.channels)

    def scale(self, x):
        return self.emit(OpKind.SCALE, [x], factor=self.channel_values(_FACTORS))

    def bias(self, x):
        return self.emit(OpKind.ADD_CONST, [x], value=self.channel_values(_BIASES))

    def sign(self, x):
        if self.draw(st.booleans()):
            x = self.bias(x)
        if self.draw(st.booleans()):
            x = self.scale(x)
        return self.emit(OpKind.SIGN, [x], {"at_zero": self.draw(st.sampled_from([0, 1, -1]))})

    def masked_sign(self, x):
        c = self.emit(OpKind.SCALE, [x], factor=torch.tensor(self.draw(st.sampled_from([1.5, 3.0, 0.5]))))
        if self.draw(st.booleans()):
            m = self.emit(OpKind.FUNCTION, [c], {"aten": "tanh.default", "args": [{"in": 0}]})
        else:
            s = self.emit(OpKind.FUNCTION, [c], {"aten": "sigmoid.default", "args": [{"in": 0}]})
            m = self.emit(
                OpKind.ADD_CONST,
                [self.emit(OpKind.SCALE, [s], factor=torch.tensor(2.0))],
                value=torch.tensor(-1.0),
            )
        return self.emit(OpKind.SIGN, [m], {"at_zero": 0})

    def _flag(self, x, relations, level):
        return self.emit(
            OpKind.COMPARE, [x], {"relation": self.draw(st.sampled_from(relations))}, level=level
        )

    def where_sign(self, x):
        rising = self.draw(st.booleans())
        level = torch.tensor(self.draw(_BIASES))
        flag = self._flag(x, ["ge", "gt"] if rising else ["lt", "le"], level)
        yes, no = (1.0, -1.0) if rising else (-1.0, 1.0)
        return self.emit(OpKind.SELECT, [flag], self=torch.tensor(yes), other=torch.tensor(no))

    def affine_sign(self, x):
        flag = self._flag(x, ["ge", "gt"], torch.tensor(0.0))
        return self.emit(
            OpKind.ADD_CONST,
            [self.emit(OpKind.SCALE, [flag], factor=torch.tensor(2.0))],
            value=torch.tensor(-1.0),
        )

    def prelu(self, x):
        return self.emit(OpKind.PRELU, [x], slope=self.channel_values(_SLOPES))

    def where_prelu(self, x):
        scaled = self.emit(OpKind.SCALE, [x], factor=self.channel_values(_SLOPES))
        if self.draw(st.booleans()):
            return self.emit(OpKind.SELECT, [self._flag(x, ["ge", "gt"], torch.tensor(0.0)), x, scaled])
        return self.emit(OpKind.SELECT, [self._flag(x, ["lt", "le"], torch.tensor(0.0)), scaled, x])

    def _conv(self, x, weight, bias=None):
        self.convs += 1
        attrs = conv_attrs(weight, self.shape, padding=1)
        consts = {"weight": weight} if bias is None else {"weight": weight, "bias": bias}
        return self.emit(OpKind.CONV, [x], attrs, **consts)

    def binary_conv(self, x, bias=None):
        generator = torch.Generator().manual_seed(self.draw(st.integers(0, 99)))
        signs = torch.randint(0, 2, (self.channels, self.channels, 3, 3), generator=generator) * 2 - 1
        scale = torch.tensor(
            [self.draw(st.sampled_from([1.0, 0.5, 0.37, 0.11])) for _ in range(self.channels)]
        )
        return self._conv(x, signs * scale.reshape(-1, 1, 1, 1).double(), bias)

    def binary_conv_with_bias(self, x):
        return self.binary_conv(x, torch.tensor([self.draw(_BIASES) for _ in range(self.channels)]))

    def real_conv(self, x):
        generator = torch.Generator().manual_seed(self.draw(st.integers(0, 99)))
        return self._conv(
            x, torch.randn(self.channels, self.channels, 3, 3, generator=generator).double() / 9
        )

    def add(self, x):
        return self.emit(OpKind.ADD, [x, self.draw(st.sampled_from(self.values))])

    def ste(self, x):
        signed, b = self.sign(x), self.draw(st.sampled_from(self.values))
        difference = self.emit(OpKind.SUBTRACT, [signed, b])
        return self.emit(OpKind.ADD, self.draw(st.permutations([difference, b])))

    def ste_minus(self, x):
        return self.emit(OpKind.SUBTRACT, [x, self.emit(OpKind.SUBTRACT, [x, self.sign(x)])])

    def relu(self, x):
        return self.emit(OpKind.CLAMP, [x], {"min": 0.0, "max": None})

    def _window(self, x, kind, kernel, **more):
        attrs = {"kernel": [kernel] * 2, "stride": [1, 1], "padding": [kernel // 2] * 2, "ceil_mode": False}
        attrs |= {"taps": kernel**2, "whole": False, **more}
        return self.emit(kind, [x], attrs)

    def global_pool(self, x):
        attrs = {"axes": [2, 3], "keepdim": True, "taps": self.size**2, "whole": True}
        mean = OpNode(self.edit.unique("avg_pool"), OpKind.AVG_POOL, (1, self.channels, 1, 1), attrs=attrs)
        return self.emit(OpKind.ADD, [x, self.edit.add(mean, [x])])

    def window(self, x):
        return self._window(x, OpKind.AVG_POOL, self.draw(st.sampled_from([1, 3])))

    def max_pool(self, x):
        return self._window(x, OpKind.MAX_POOL, 3, dilation=[1, 1])

    def head(self, x):
        classes = 2
        attrs = {"axes": [2, 3], "keepdim": False, "taps": self.size**2, "whole": True}
        mean = OpNode(self.edit.unique("avg_pool"), OpKind.AVG_POOL, (1, self.channels), attrs=attrs)
        weight = torch.linspace(-1, 1, classes * self.channels).reshape(classes, self.channels) + 0.1
        linear = OpNode(
            self.edit.unique("linear"), OpKind.LINEAR, (1, classes),
            attrs={"taps": self.channels, "macs": classes * self.channels},
            consts={"weight": const(weight), "bias": const([0.25, -0.5])},
        )  # fmt: skip
        return self.edit.add(linear, [self.edit.add(mean, [x])]), (1, classes)


@st.composite
def legal_graphs(draw):
    """A graph of up to six steps, and inputs on the grid that hold zeros, both signs and single grid steps."""
    draft = _Draft(draw)
    for step in draw(st.lists(st.sampled_from(_STEPS), min_size=1, max_size=6)):
        if "conv" in step and draft.convs >= 3:  # keeps values small enough for float64 to be exact
            continue
        x = draw(st.sampled_from(draft.values[-2:]))
        draft.values.append(getattr(draft, step)(x))
    last, shape = draft.head(draft.values[-1]) if draw(st.booleans()) else (draft.values[-1], draft.shape)
    draft.edit.add(OpNode("output", OpKind.OUTPUT, shape), [last])
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))
    x = torch.round(torch.randn(draft.shape, generator=generator, dtype=torch.float64) / STEP) * STEP
    edge = torch.tensor([0.0, STEP, -STEP, 0.5, -0.25, 1.7]).double()
    edge = edge[torch.randint(0, 6, draft.shape, generator=generator)]
    x = torch.where(torch.rand(draft.shape, generator=generator) < 0.4, edge, x)
    return draft.edit.freeze(), x
