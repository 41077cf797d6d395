"""From a model to its circuit: trace and rewrite, choose the number format and the foldings, describe, print."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from abcost.accelerator.clock import leaf_for
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.design.network import NetworkDesign, describe_network
from abcost.accelerator.design.schedule import Schedule, schedule
from abcost.accelerator.engine import Engine, engines
from abcost.accelerator.folding import Folding
from abcost.accelerator.result import Organised
from abcost.accelerator.solve import Wishes, organise
from abcost.core.graph import OpGraph
from abcost.cost import CostTable
from abcost.emit.fits import bits_for, check_fits, largest_of
from abcost.emit.rows import interpret
from abcost.emit.top import Top, top_of
from abcost.errors import UsageError
from abcost.models.subject import Subject
from abcost.pipeline import double_stages
from abcost.rewrite import RewriteOptions
from abcost.rtl.units.memory import STYLES

_MOST_FRACTION_BITS = 12


@dataclass(frozen=True, slots=True)
class Circuit:
    """A network written as a circuit. rewriting, number: in which the interpreter gives the same values to the bit."""

    subject: Subject
    rewriting: RewriteOptions
    graph: OpGraph
    number: NumberFormat
    net: NetworkDesign
    schedule: Schedule
    organised: Organised
    top: Top

    @property
    def digest(self) -> str:
        """Of all Verilog and memory contents."""
        parts = [self.top.text, *self.top.verilog.values(), *self.top.files.values()]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def make_circuit(
    subject: Subject,
    samples: Sequence[Tensor],
    wishes: Wishes,
    target: str,
    *,
    width: int,
    fraction_bits: int | None,
    rewriting: RewriteOptions,
    command: str = "",
    checkpoint: Path | None = None,
) -> Circuit:
    """The circuit of a network. samples: images (1, C, H, W) whose values have to fit the number format.

    fraction_bits: None takes the most at which they do. Raises UsageError for what has no circuit, naming the layer.
    """
    rewriting, graph = _in_format(subject, samples, width, fraction_bits, rewriting)
    number = NumberFormat(width, rewriting.fraction_bits)
    table = CostTable.load(target)
    organised = organise(
        graph, table, width=width, fraction_bits=number.fraction_bits, wishes=replace(wishes, streamed=True)
    )
    if organised.refusal:
        raise UsageError(f"there is no such circuit: {organised.refusal}")
    outside = [layer.name for layer in organised.layers if layer.weights in ("external", "uram", "spram")]
    if outside:
        raise UsageError(
            f"weights of {', '.join(outside)} are not in memory that Verilog can initialise: take a larger --device, "
            "or a smaller network"
        )
    foldings = [Folding(layer.pe, layer.simd) for layer in organised.layers]
    leaf = leaf_for(table, organised.clock_mhz, width)
    net = describe_network(graph, engines(graph, width), foldings, number, leaf)
    plan = schedule(net)
    places = {
        stage.name: layer.weights
        for stage, layer in zip(net.stages, organised.layers, strict=True)
        if layer.weights in STYLES
    }
    header = _header(subject, net, plan, organised, command, checkpoint)
    top = top_of(net, plan.buffers, places, header=header)
    return Circuit(subject, rewriting, graph, number, net, plan, organised, top)


def _in_format(
    subject: Subject, samples: Sequence[Tensor], width: int, fraction_bits: int | None, rewriting: RewriteOptions
) -> tuple[RewriteOptions, OpGraph]:
    """The rewriting whose fraction bits leave room for all values, and the graph after it."""
    bits = _MOST_FRACTION_BITS if fraction_bits is None else fraction_bits
    while True:
        bits = min(bits, width - 2) if fraction_bits is None else bits
        if bits < 1:
            raise UsageError(f"values of the network do not fit --width {width}: give a larger one")
        chosen = replace(rewriting, fraction_bits=bits)
        graph = double_stages(subject, chosen)[1].stages[-1].graph
        found = engines(graph, width)
        largest = _largest(graph, samples, found, bits)
        room = width - bits_for(largest, 0)
        if fraction_bits is not None or bits <= room:
            break
        bits = min(bits - 1, room)
    number = NumberFormat(width, bits)
    for image in samples[:1]:
        for engine in found:
            check_fits(graph, interpret(graph, [image], bits), engine, number)
    return chosen, graph


def _largest(graph: OpGraph, samples: Sequence[Tensor], found: Sequence[Engine], bits: int) -> float:
    largest = 0.0
    for image in samples:
        values = interpret(graph, [image], bits)
        largest = max(largest, *(largest_of(graph, values, engine) for engine in found))
    return largest


def _header(
    subject: Subject,
    net: NetworkDesign,
    plan: Schedule,
    organised: Organised,
    command: str,
    checkpoint: Path | None,
) -> str:
    weights = "untrained weights"
    if checkpoint is not None:
        weights = f"checkpoint {hashlib.sha256(checkpoint.read_bytes()).hexdigest()[:16]} (SHA-256)"
    lines = [
        f"{subject.name}, {weights}.",
        f"Values: {net.number.width} bits, {net.number.fraction_bits} behind the point; weights' signs: 1 is +1.",
        f"An image takes {plan.interval} cycles, {organised.clock_mhz * 1e6 / plan.interval:.5g} images/s at "
        f"{organised.clock_mhz:g} MHz; a single one {plan.latency} cycles from its first beat to its last logit.",
        *(f"  {stage.name}: PE {stage.design.folding.pe}, SIMD {stage.design.folding.simd}, {stage.cycles} cycles"
          for stage in net.stages),
        *([f"Written by: {command}"] if command else []),
    ]  # fmt: skip
    return "".join(f"// {' '.join(line.split()) if not line.startswith('  ') else line}\n" for line in lines)
