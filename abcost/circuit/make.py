"""From a model to its circuit: trace and rewrite, choose the number format and the foldings, describe, print."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from abcost.accelerator.clock import leaf_for, timed_for
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.design.network import NetworkDesign, describe_network
from abcost.accelerator.design.schedule import Schedule, schedule
from abcost.accelerator.engine import engines
from abcost.accelerator.folding import Folding
from abcost.accelerator.memory import family_of
from abcost.accelerator.parts import fpga_of
from abcost.accelerator.result import Accelerator
from abcost.accelerator.solve import AcceleratorGoal, organise
from abcost.accelerator.unrolled import organise_unrolled
from abcost.circuit.estimate import estimate
from abcost.circuit.joined import join_branches
from abcost.core.graph import OpGraph
from abcost.core.inputs import InputSpec
from abcost.cost import CostTable
from abcost.emit.fits import bits_for, largest_of
from abcost.emit.rows import interpret
from abcost.emit.top import Top, top_of
from abcost.errors import UsageError
from abcost.models.subject import Subject
from abcost.pipeline import double_stages
from abcost.rewrite import RewriteOptions
from abcost.rtl.units.memory import STYLES

_MOST_FRACTION_BITS = 12


@dataclass(frozen=True, slots=True)
class CircuitForm:
    """Bits of a value, those behind the point (None: the most at which all samples fit), and how it is lowered."""

    width: int
    fraction_bits: int | None = None
    rewriting: RewriteOptions = field(default_factory=RewriteOptions)


@dataclass(frozen=True, slots=True)
class Written:
    """What the header of the top says of where it comes from. checkpoint: of the weights; None: they are untrained."""

    command: str = ""
    checkpoint: Path | None = None


@dataclass(frozen=True, slots=True)
class Circuit:
    """A network written as a circuit. rewriting, number: in which the interpreter gives the same values to the bit."""

    subject: Subject
    rewriting: RewriteOptions
    graph: OpGraph
    number: NumberFormat
    net: NetworkDesign
    schedule: Schedule
    accelerator: Accelerator
    top: Top
    estimate: Mapping[str, Mapping[str, float | None]]  # layer -> resources, as the cost table says

    @property
    def digest(self) -> str:
        """SHA-256 of all Verilog and memory contents, in hexadecimal."""
        parts = [self.top.text, *self.top.verilog.values(), *self.top.files.values()]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def make_circuit(
    subject: Subject,
    samples: Tensor,
    goal: AcceleratorGoal,
    target: str | CostTable,
    form: CircuitForm,
    *,
    argmax: bool = False,
    written: Written = Written(),
) -> Circuit:
    """The circuit of a network. samples: images (N, C, H, W) whose values have to fit the number format.

    argmax: the number of the largest logit comes out. Raises UsageError for what has no circuit, naming the layer.
    """
    width = form.width
    rewriting, graph = in_format(subject, samples, form)
    number = NumberFormat(width, rewriting.fraction_bits)
    table = target if isinstance(target, CostTable) else CostTable.load(target)
    goal, fraction_bits = replace(goal, streamed=True), number.fraction_bits
    if rewriting.constant_multiply == "graph":
        graph, accelerator, _ = organise_unrolled(
            graph, table, width=width, fraction_bits=fraction_bits, goal=goal
        )
    else:
        accelerator = organise(graph, table, width=width, fraction_bits=fraction_bits, goal=goal)
    if accelerator.refusal:
        raise UsageError(f"there is no such circuit: {accelerator.refusal}")
    outside = [layer.name for layer in accelerator.layers if layer.weights in ("external", "uram", "spram")]
    if outside:
        raise UsageError(
            f"weights of {', '.join(outside)} are not in memory that Verilog can initialise: take a larger --device, "
            "or a smaller network"
        )
    foldings = [Folding(layer.pe, layer.simd) for layer in accelerator.layers]
    leaf = leaf_for(timed_for(table, goal.device), accelerator.clock_mhz, width)
    net = describe_network(graph, engines(graph, width), foldings, number, leaf)
    plan = schedule(net, family_of(fpga_of(goal.device)))
    places = {
        stage.name: layer.weights
        for stage, layer in zip(net.stages, accelerator.layers, strict=True)
        if layer.weights in STYLES
    }
    header = _header(subject, net, plan, accelerator, written)
    gates = table.technology == "asic"
    top = top_of(net, plan.buffers, places, header=header, argmax=argmax, gates=gates)
    layers = estimate(net, plan, accelerator, table)
    return Circuit(subject, rewriting, graph, number, net, plan, accelerator, top, layers)


def in_format(subject: Subject, samples: Tensor, form: CircuitForm) -> tuple[RewriteOptions, OpGraph]:
    """The rewriting whose fraction bits leave room for all values, and the graph of one image after it."""
    width, fraction_bits = form.width, form.fraction_bits
    bits = min(_MOST_FRACTION_BITS, width - 2) if fraction_bits is None else fraction_bits
    while True:
        if bits < 1:
            raise UsageError(f"values of the network do not fit --width {width}: give a larger one")
        chosen = replace(form.rewriting, fraction_bits=bits)
        largest, layer = _largest(subject, chosen, samples, width)
        room = width - bits_for(largest, 0)
        if bits <= room:
            return chosen, lowered_graph(subject, chosen)
        if fraction_bits is not None:
            raise UsageError(
                f"values of layer {layer} reach {largest:.4g}: {width - room + bits} bits at {bits} fraction bits; "
                f"give --width {width - room + bits} or a smaller --fraction-bits"
            )
        bits = min(bits - 1, room)


def lowered_graph(subject: Subject, rewriting: RewriteOptions, images: int = 1) -> OpGraph:
    """The last stage for so many images at once (views in a graph name how many), branches of one input joined."""
    (spec,) = subject.inputs
    batched = replace(subject, inputs=(InputSpec((images, *spec.shape[1:]), spec.dtype),))
    return join_branches(double_stages(batched, rewriting)[1].stages[-1].graph)


def _largest(subject: Subject, rewriting: RewriteOptions, samples: Tensor, width: int) -> tuple[float, str]:
    """The largest magnitude that an engine holds, and its layer."""
    together = 1 if subject.one_batch else len(samples)
    graph = lowered_graph(subject, rewriting, together)
    found = []
    for images in torch.split(samples, together):
        values = interpret(graph, [images], rewriting.fraction_bits)
        found += [(largest_of(graph, values, engine), engine.name) for engine in engines(graph, width)]
    return max(found)


def hash_of(file: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _header(
    subject: Subject,
    net: NetworkDesign,
    plan: Schedule,
    accelerator: Accelerator,
    written: Written,
) -> str:
    weights = "untrained weights"
    if written.checkpoint is not None:
        weights = f"checkpoint {hash_of(written.checkpoint)[:16]} (SHA-256)"
    lines = [
        f"{subject.name}, {weights}.",
        f"Values: {net.number.width} bits, {net.number.fraction_bits} behind the point; weights' signs: 1 is +1.",
        f"An image takes {plan.interval} cycles, {accelerator.clock_mhz * 1e6 / plan.interval:.5g} images/s at "
        f"{accelerator.clock_mhz:g} MHz; a single one {plan.latency} cycles from its first beat to its last logit.",
        *(f"  {stage.name}: PE {stage.design.folding.pe}, SIMD {stage.design.folding.simd}, {stage.cycles} cycles"
          for stage in net.stages),
        *([f"Written by: {written.command}"] if written.command else []),
    ]  # fmt: skip
    return "".join(f"// {' '.join(line.split()) if not line.startswith('  ') else line}\n" for line in lines)
