"""The comment at the head of an emitted layer: what it is, and what its ports mean."""

from __future__ import annotations

from collections.abc import Iterator

from abcost.core.node import OpNode
from abcost.emit.layer import Datapath
from abcost.rtl.unit import Port, Unit


def about(path: Datapath, layer: Unit, model: str) -> str:
    """Verilog comment lines."""
    lines = [
        *_what(path, model),
        "",
        f"Ports of module {layer.name}, whose source is last:",
        *_ports(path, layer),
    ]
    return "".join(f"// {line}".rstrip() + "\n" for line in lines) + "\n"


def _what(path: Datapath, model: str) -> Iterator[str]:
    engine, folding, style = path.engine, path.folding, path.style
    folds, steps = engine.channels // folding.pe, engine.taps // folding.simd
    yield _one_line(f"Layer {engine.name} of {model}: {engine.channels} channels, {engine.taps} taps each.")
    yield (
        f"PE {folding.pe}, SIMD {folding.simd}: a window takes {folds} folds x {steps} steps = {folds * steps} cycles; "
        f"channel = fold * {folding.pe} + lane."
    )
    yield f"Values: {style.width} bits, signed, {style.fraction_bits} behind the point. Signs: 1 is +1, 0 is -1."
    edges = "1 rising edge" if path.age == 1 else f"{path.age} rising edges"
    when = f"{edges} of clk after" if path.age else "in the cycle of"
    yield f"Results come {when} the last step of a fold. No reset is needed."


def _ports(path: Datapath, layer: Unit) -> Iterator[str]:
    meaning = {
        "a": f"activation signs, taps step * {path.folding.simd} + i, in the order input channel, row, column",
        "address": f"of the weights: fold * {path.engine.taps // path.folding.simd} + step",
        "first": "1 in the first step of a fold",
        "fold": f"which channels, for their parameters; {_ahead(path)}",
        **{
            port: f"{_name(node)}, the same in every step of a fold" for port, node in path.scope.side.items()
        },
        **{port: f"result: {_name(node)}" for port, node in path.scope.results.items()},
    }
    if layer.clocked:
        yield "  clk     1          every register takes its rising edge"
    for port in (*layer.inputs, *layer.outputs):
        yield f"  {port.name:<8}{_size(port):<11}{meaning[port.name]}"


def _ahead(path: Datapath) -> str:
    if path.age:
        return "one cycle ahead of the other inputs"
    return "results belong to it after the next rising edge, with the other inputs still there"


def _size(port: Port) -> str:
    return f"{port.count} x {port.width}" if port.count > 1 else f"{port.width}"


def _name(node: OpNode) -> str:
    return _one_line(node.name)


def _one_line(text: str) -> str:
    return " ".join(text.split())
