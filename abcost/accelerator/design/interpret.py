"""Runs a description on whole numbers: the integer models of its parts, in order.

A net's values are rows, one per clock cycle in which it has one, without the cycles in between and without ages: a
register changes nothing. Rows become fewer at `select` and more where sums are shifted out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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

    inputs: `a` (steps, SIMD), `inside` (steps, groups of taps) where windows reach into padding, a row for every clock
    cycle, so that a window comes once in every fold; and the residual operands `x0`, … (rows, lanes) in the order in
    which they are taken. weights: (words, PE * SIMD).
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


@dataclass(frozen=True, slots=True)
class _Engine:
    """What parts read besides their nets. held: values for which one count of taps stands."""

    weights: Tensor
    held: int


_Known = Mapping[str, Tensor]
_Run = Callable[[Part, _Known, _Engine], Sequence[Tensor]]


def _run(
    block: Block, inputs: Mapping[str, Tensor], design: EngineDesign, weights: Tensor
) -> dict[str, Tensor]:
    """Values of all nets by name: (rows, elements of all lanes)."""
    engine = _Engine(weights, design.folding.pe // design.lanes)
    known = {name: values.reshape(len(values), -1).to(torch.int64) for name, values in inputs.items()}
    for part in block.parts:
        run_part = _PARTS.get(part.op, _wiring if part.op in WIRING else _unit)
        for (_, net), values in zip(part.outputs, run_part(part, known, engine), strict=True):
            known[net.name] = values
    return known


def _fit(values: Tensor, net: Net) -> Tensor:
    """Values wrapped to the bits of a net, signed or unsigned as the net is."""
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


def _input(part: Part, known: _Known, port: str) -> Tensor:
    """The rows at a port."""
    return _net(dict(part.inputs)[port], known)


def _wiring(part: Part, known: _Known, _engine: _Engine) -> Sequence[Tensor]:
    ports = {name: _lanes(operand, part.lanes, known) for name, operand in part.inputs}
    made = WIRING[part.op](ports, part.parameters)
    return [_fit(made.reshape(len(made), -1), part.output)]


def _unit(part: Part, known: _Known, _engine: _Engine) -> Sequence[Tensor]:
    """A unit without state: its model on the rows of all lanes at once."""
    unit = build(part.op, **part.parameters)
    found = {name: _lanes(operand, part.lanes, known) for name, operand in part.inputs}
    rows = max(len(values) for values in found.values())
    ports = {
        name: values.expand(rows, -1, -1).reshape(rows * part.lanes, -1) for name, values in found.items()
    }
    single = {port.name for port in unit.inputs if port.count == 1}
    ready = {name: v.squeeze(1) if name in single else v for name, v in ports.items()}
    return [_fit(unit.model(ready)[part.outputs[0][0]].reshape(rows, -1), part.output)]


def _contents(part: Part) -> Tensor:
    """(lanes, words)."""
    assert part.contents is not None  # noqa: S101 - ROMs and constants have contents
    return torch.tensor(part.contents(), dtype=torch.int64)


def _rom(part: Part, known: _Known, _engine: _Engine) -> Sequence[Tensor]:
    return [_contents(part).t()[_input(part, known, "address").flatten()]]


def _select(part: Part, known: _Known, _engine: _Engine) -> Sequence[Tensor]:
    x, when = _input(part, known, "x"), _input(part, known, "when")
    return [x.expand(len(when), -1)[when.flatten() == 1]]


def _counter(part: Part, known: _Known, _engine: _Engine) -> Sequence[Tensor]:
    """The count before the edge, and whether it starts again."""
    enable = _input(part, known, "enable")
    modulus = part.parameters["modulus"]
    count = (torch.cumsum(enable, 0) - enable) % modulus
    return [count, enable * (count == modulus - 1)]


def _accumulate(part: Part, known: _Known, _engine: _Engine) -> Sequence[Tensor]:
    """Sums from the last first step on."""
    x, first = _input(part, known, "x"), _input(part, known, "first").flatten()
    running = torch.cumsum(x, 0)
    starts = torch.cummax(torch.arange(len(first)) * first, 0).values
    total = running - (running - x)[starts]
    return [_fit(total, part.output)]


def _pool(part: Part, known: _Known, _engine: _Engine) -> Sequence[Tensor]:
    unit = build(part.op, **part.parameters)
    ports = {name: _net(operand, known) for name, operand in part.inputs}
    rows = len(ports["x"])
    flags = {n: v.expand(rows, -1)[:, 0] for n, v in ports.items() if n != "x"}
    lanes = [unit.model({"x": ports["x"][:, lane], **flags})["y"] for lane in range(part.lanes)]
    return [torch.stack(lanes, 1)]


_PARTS: dict[str, _Run] = {
    "register": lambda part, known, _: [_input(part, known, "d")],
    "constant": lambda part, _known, _: [_contents(part)[:, 0].unsqueeze(0)],
    "weights": lambda _part, _known, engine: [engine.weights[:1]],
    "memory": lambda part, known, engine: [engine.weights[_input(part, known, "address").flatten()]],
    "rom": _rom,
    "select": _select,
    "counter": _counter,
    "burst": lambda part, known, _: [
        _input(part, known, "start").repeat_interleave(part.parameters["length"], 0)
    ],
    "hold": lambda part, known, engine: [_input(part, known, "d").repeat_interleave(engine.held, 0)],
    "shift_out": lambda part, known, _: [_input(part, known, "x").reshape(-1, part.parameters["outputs"])],
    "accumulate": _accumulate,
    "pool": _pool,
}
"""Parts with a state, with stored numbers, or that change the number of rows; all others are units or wiring."""
