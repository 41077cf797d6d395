"""The comment at the head of an engine: what it is, and what its ports mean."""

from __future__ import annotations

from collections.abc import Iterator

from abcost.accelerator.design.dot import segment
from abcost.accelerator.design.engine import EngineDesign, steps_of
from abcost.core.node import OpNode
from abcost.rtl.unit import Port, Unit


def about(design: EngineDesign, unit: Unit, model: str) -> str:
    """Verilog comment lines."""
    lines = [
        *_what(design, model),
        "",
        f"Ports of module {unit.name}, whose source is last:",
        *_ports(design, unit),
    ]
    return "".join(f"// {line}".rstrip() + "\n" for line in lines) + "\n"


def _what(design: EngineDesign, model: str) -> Iterator[str]:
    engine, folding, number = design.engine, design.folding, design.number
    folds, steps = -(-engine.channels // folding.pe), steps_of(engine, folding)
    yield _one_line(f"Layer {engine.name} of {model}: {engine.channels} channels, {engine.taps} taps each.")
    yield (
        f"PE {folding.pe}, SIMD {folding.simd}: a window takes {folds} folds x {steps} steps = {folds * steps} "
        f"cycles. Post-processing takes {design.lanes} channels at a time, in rising order."
    )
    yield (
        f"Values: {number.width} bits, signed, {number.fraction_bits} behind the point. Signs: 1 is +1, 0 is -1."
    )
    yield f"The last result comes {design.stages} rising edges of clk or more after the last step of a window."


def _ports(design: EngineDesign, unit: Unit) -> Iterator[str]:
    meaning = {
        "reset": "counters to 0, at a rising edge; hold it for one",
        "valid": "a step of a window is at the inputs; they may wait at any time",
        "a": "inputs of the window: taps step * SIMD + i in the order kernel row, column, input channel",
        "inside": (
            f"which of them are in the image, {segment(design.engine, design.folding.simd)} together; others count 0"
        ),
        "w": "weights, lane by lane",
    }
    for side in design.chain.sides:
        name = side.net.name
        meaning[name] = f"{_name(side.node)}: the next channels, there whenever {name}_take is 1"
        meaning[f"{name}_take"] = f"{name} is read in this cycle"
    for i, result in enumerate(design.chain.results):
        meaning[f"y{i}"] = f"result: {_name(result.node)}"
        meaning[f"y{i}_valid"] = f"y{i} holds the next channels in this cycle"
    yield "  clk         1          every register takes its rising edge"
    for port in (*unit.inputs, *unit.outputs):
        yield f"  {port.name:<12}{_size(port):<11}{meaning[port.name]}"


def _size(port: Port) -> str:
    return f"{port.count} x {port.width}" if port.count > 1 else f"{port.width}"


def _name(node: OpNode) -> str:
    return _one_line(node.name)


def _one_line(text: str) -> str:
    return " ".join(text.split())
