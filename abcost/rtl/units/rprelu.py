"""RPReLU: a bias before and a bias behind the PReLU, with a real slope or a power of two."""

from __future__ import annotations

from abcost.core.integer import wrap
from abcost.rtl.exponent_sets import delays_selecting, selecting
from abcost.rtl.unit import Port, Unit, template
from abcost.rtl.units.prelu import prelu
from abcost.rtl.units.qprelu import qprelu


def _biased(name: str, width: int, inner: Unit) -> Unit:
    """z = inner(x + bias_in) + bias_out, in width bits."""
    others = [port for port in inner.inputs if port.name != "x"]
    wires = "".join(f", .{port.name}({port.name})" for port in others)
    return Unit(
        name=name,
        inputs=(Port("x", width), Port("bias_in", width), Port("bias_out", width), *others),
        outputs=(Port("z", width),),
        body=(
            f"    wire signed [{width - 1}:0] moved = x + bias_in;\n"
            f"    wire signed [{width - 1}:0] bent;\n"
            f"    {inner.name} bend (.x(moved){wires}, .y(bent));\n"
            "    assign z = bent + bias_out;"
        ),
        model=lambda v: {
            "z": wrap(inner.model({**v, "x": wrap(v["x"] + v["bias_in"], width)})["y"] + v["bias_out"], width)
        },
        needs=(inner,),
    )


@template(
    "qprelu_add",
    "qprelu with an adder behind it, combinational",
    sweep=selecting(identity=True),
    delays=delays_selecting(identity=True),
)
def qprelu_add(*, width: int, exponents: tuple[int, ...]) -> Unit:
    """z = PReLU(x) + bias_out with a slope that is a power of two out of a set: selects fit into the adder's LUTs."""
    inner = qprelu(width=width, exponents=exponents)
    wires = "".join(f", .{port.name}({port.name})" for port in inner.inputs[1:])
    return Unit(
        name=f"{inner.name}_add",
        inputs=(Port("x", width), Port("bias_out", width), *inner.inputs[1:]),
        outputs=(Port("z", width),),
        body=(
            f"    wire signed [{width - 1}:0] bent;\n"
            f"    {inner.name} bend (.x(x){wires}, .y(bent));\n"
            "    assign z = bent + bias_out;"
        ),
        model=lambda v: {"z": wrap(inner.model(v)["y"] + v["bias_out"], width)},
        needs=(inner,),
    )


@template("rprelu", "prelu of width bits with an adder before and behind it")
def rprelu(*, width: int, fraction_bits: int) -> Unit:
    """z = PReLU(x + bias_in) + bias_out with a slope of `fraction_bits` fraction bits."""
    return _biased(
        f"r{prelu(width=width, fraction_bits=fraction_bits).name}",
        width,
        prelu(width=width, fraction_bits=fraction_bits),
    )


@template("qrprelu", "qprelu with an adder before and behind it")
def qrprelu(*, width: int, exponents: tuple[int, ...]) -> Unit:
    """z = PReLU(x + bias_in) + bias_out with a slope that is a power of two out of a set."""
    inner = qprelu(width=width, exponents=exponents)
    return _biased(f"r{inner.name}", width, inner)
