"""Runs a description on whole numbers: the integer models of its parts, in order.

A net's values are rows, one per clock cycle in which it has one, without the cycles in between and without ages: a
register changes nothing. Rows become fewer at `select` and more where sums are shifted out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from abcost.accelerator.design.dot import Sum
from abcost.accelerator.design.engine import Block, EngineDesign
from abcost.accelerator.design.net import Net, Operand, Part, Slice, net_of
from abcost.accelerator.design.wiring import WIRING
from abcost.core.integer import wrap
from abcost.rtl.unit import build


def run(design: EngineDesign, inputs: Mapping[str, Tensor], weights: Tensor) -> dict[str, Tensor]:
    """The results of an engine by port: (rows, lanes) whole numbers.

    inputs: `a` (rows, SIMD), `inside` (rows, groups of taps) where windows reach into padding, and the residual
    operands `x0`, … (rows, lanes) in the order in which they are taken. weights: (words, PE * SIMD).
    """
    sums = _run(design.sums, {**inputs, "valid": torch.ones(len(inputs["a"]), 1)}, design, weights)
    ready = {
        turned.name: sums[own.name]
        for own, turned in zip(_nets(design.sums.sums), _nets(design.turn.sums), strict=True)
    }
    turn = _run(design.turn, ready, design, weights)
    value = turn[design.turn.value.name]
    chain = _run(design.chain, {**inputs, "dot": value, "coming": torch.ones(len(value), 1)}, design, weights)
    return {f"y{i}": chain[result.net.name] for i, result in enumerate(design.chain.results)}


def _nets(sums: Sum) -> list[Net]:
    return [sums.value, sums.valid, *([] if sums.taps is None else [sums.taps[0]])]


def _run(
    block: Block, inputs: Mapping[str, Tensor], design: EngineDesign, weights: Tensor
) -> dict[str, Tensor]:
    """Values of all nets by name: (rows, elements of all lanes)."""
    known = {name: values.reshape(len(values), -1).to(torch.int64) for name, values in inputs.items()}
    for part in block.parts:
        found = _part(part, known, design, weights)
        for (_, net), values in zip(part.outputs, found, strict=True):
            known[net.name] = values
    return known


def _part(part: Part, known: Mapping[str, Tensor], design: EngineDesign, weights: Tensor) -> Sequence[Tensor]:
    match part.op:
        case "register":
            return [_net(part.inputs[0][1], known)]
        case "constant":
            assert part.contents is not None  # noqa: S101 - what makes constants gives their contents
            return [torch.tensor([[words[0] for words in part.contents()]], dtype=torch.int64)]
        case "weights":
            return [weights[:1]]
        case "memory":
            return [weights[_net(part.inputs[0][1], known).flatten()]]
        case "rom":
            return [_rom(part, known)]
        case "select":
            x, when = (_net(operand, known) for _, operand in part.inputs)
            return [x.expand(len(when), -1)[when.flatten() == 1]]
        case "counter":
            return _counter(part, known)
        case "burst":
            start = _net(dict(part.inputs)["start"], known)
            return [start.repeat_interleave(part.parameters["length"], 0)]
        case "hold":
            times = design.folding.pe // design.lanes
            return [_net(dict(part.inputs)["d"], known).repeat_interleave(times, 0)]
        case "shift_out":
            x = _net(dict(part.inputs)["x"], known)
            return [x.reshape(-1, part.parameters["outputs"])]
        case "accumulate":
            return [_accumulate(part, known)]
        case "pool":
            return [_pool(part, known)]
        case op if op in WIRING:
            ports = {name: _lanes(operand, part.lanes, known) for name, operand in part.inputs}
            made = WIRING[op](ports, part.parameters)
            return [_fit(made.reshape(len(made), -1), part.output)]
        case _:
            return [_unit(part, known)]


def _fit(values: Tensor, net: Net) -> Tensor:
    """As the bits of a net say it."""
    return wrap(values, net.width) if net.signed else values & ((1 << net.width) - 1)


def _net(operand: Operand, known: Mapping[str, Tensor]) -> Tensor:
    return known[net_of(operand).name]


def _lanes(operand: Operand, lanes: int, known: Mapping[str, Tensor]) -> Tensor:
    """(rows, lanes, elements) of an operand; a single lane is that of all."""
    net = net_of(operand)
    values = known[net.name].reshape(-1, net.lanes, net.elements)
    if isinstance(operand, Slice):
        values = values[:, :, operand.start : operand.start + operand.number]
    return values.expand(-1, lanes, -1)


def _unit(part: Part, known: Mapping[str, Tensor]) -> Tensor:
    """A unit without state: its model on the rows of all lanes at once."""
    unit = build(part.op, **part.parameters)
    found = {name: _lanes(operand, part.lanes, known) for name, operand in part.inputs}
    rows = max(len(values) for values in found.values())
    ports = {
        name: values.expand(rows, -1, -1).reshape(rows * part.lanes, -1) for name, values in found.items()
    }
    single = {port.name for port in unit.inputs if port.count == 1}
    ready = {name: v.squeeze(1) if name in single else v for name, v in ports.items()}
    return _fit(unit.model(ready)[part.outputs[0][0]].reshape(rows, -1), part.output)


def _rom(part: Part, known: Mapping[str, Tensor]) -> Tensor:
    assert part.contents is not None  # noqa: S101 - a ROM has contents
    table = torch.tensor(part.contents(), dtype=torch.int64).t()
    return table[_net(part.inputs[0][1], known).flatten()]


def _counter(part: Part, known: Mapping[str, Tensor]) -> Sequence[Tensor]:
    """The count before the edge, and whether it starts again."""
    enable = _net(dict(part.inputs)["enable"], known)
    modulus = part.parameters["modulus"]
    count = (torch.cumsum(enable, 0) - enable) % modulus
    return [count, enable * (count == modulus - 1)]


def _accumulate(part: Part, known: Mapping[str, Tensor]) -> Tensor:
    """Sums from the last first step on."""
    ports = dict(part.inputs)
    x, first = _net(ports["x"], known), _net(ports["first"], known).flatten()
    running = torch.cumsum(x, 0)
    starts = torch.cummax(torch.arange(len(first)) * first, 0).values
    total = running - (running - x)[starts]
    if part.parameters["signed"]:
        return wrap(total, part.parameters["width"])
    return total % (1 << part.parameters["width"])


def _pool(part: Part, known: Mapping[str, Tensor]) -> Tensor:
    unit = build(part.op, **part.parameters)
    ports = {name: _net(operand, known) for name, operand in part.inputs}
    rows = len(ports["x"])
    flags: dict[str, Any] = {n: v.expand(rows, -1)[:, 0] for n, v in ports.items() if n != "x"}
    lanes = [unit.model({"x": ports["x"][:, lane], **flags})["y"] for lane in range(part.lanes)]
    return torch.stack(lanes, 1)
