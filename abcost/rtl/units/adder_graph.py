"""A constant matrix times a vector as one module: a graph of adders without registers."""

from __future__ import annotations

import hashlib

from abcost.core.adders.graph import ZERO, AdderGraph
from abcost.core.adders.run import run
from abcost.core.adders.widths import signed_range, value_bits
from abcost.core.lazy import torch
from abcost.errors import UsageError
from abcost.rtl.unit import Port, Unit, Values, template


@template("adder_graph", "a constant matrix times a vector, by adders that outputs share")
def adder_graph(*, graph: AdderGraph, width: int) -> Unit:
    """y = matrix of the graph * x, every output as wide as the widest; of width 1 an input is 0 or 1, else signed."""
    if not 1 <= width <= 32 or not graph.outputs:
        raise UsageError(f"an adder graph takes inputs of 1 to 32 bits and has outputs, got {width}")
    low, high = (0, 1) if width == 1 else signed_range(width)
    bits = value_bits(graph, low, high)
    found = [bits[o.value] + o.shift for o in graph.outputs if o.value != ZERO]
    out = max(2, *found, 2)
    alone = width * graph.inputs == 1  # a port without bits to select from
    lines = [_input(i, width, "x" if alone else f"x[{i * width} +: {width}]") for i in range(graph.inputs)]
    for number, add in enumerate(graph.adds, graph.inputs):
        left = "" if add.left == ZERO else f"{_shifted(add.left, add.left_shift)} "
        sign = "-" if add.subtract else ("+" if left else "")
        lines.append(
            f"    wire signed [{max(2, bits[number]) - 1}:0] v{number} = "
            f"{left}{sign} {_shifted(add.right, add.right_shift)};"
        )
    for number, output in enumerate(graph.outputs):
        value = f"{out}'sd0" if output.value == ZERO else _shifted(output.value, output.shift)
        lines.append(f"    wire signed [{out - 1}:0] y{number} = {value};")
    names = ", ".join(f"y{number}" for number in reversed(range(len(graph.outputs))))
    digest = hashlib.sha256(repr(graph).encode()).hexdigest()[:12]

    def model(v: Values) -> dict[str, torch.Tensor]:
        x = v["x"].reshape(-1, graph.inputs)
        y = run(graph, (x & 1 if width == 1 else x).t().contiguous()).t()
        return {"y": y if len(graph.outputs) > 1 else y.squeeze(1)}

    return Unit(
        name=f"adder_graph_w{width}_{digest}",
        inputs=(Port("x", width, graph.inputs, signed=width > 1),),
        outputs=(Port("y", out, len(graph.outputs)),),
        body="\n".join([*lines, f"    assign y = {{{names}}};"]),
        model=model,
    )


def _input(number: int, width: int, bits: str) -> str:
    """An input as a signed number."""
    if width == 1:
        return f"    wire signed [1:0] v{number} = {{1'b0, {bits}}};"
    return f"    wire signed [{width - 1}:0] v{number} = {bits};"


def _shifted(value: int, by: int) -> str:
    if by == 0:
        return f"v{value}"
    return f"(v{value} <<< {by})" if by > 0 else f"(v{value} >>> {-by})"
