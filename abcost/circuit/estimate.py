"""What a circuit takes by the cost table, layer by layer: engines, windows, FIFOs, memories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from abcost.accelerator.design.buffer_units import fifo_units, window_units
from abcost.accelerator.design.buffers import Buffer, memory_of
from abcost.accelerator.design.network import NetworkDesign
from abcost.accelerator.design.schedule import Schedule
from abcost.accelerator.hardware import hardware_of
from abcost.accelerator.memory import Memory, family_of
from abcost.accelerator.parts import fpga_of
from abcost.accelerator.result import Accelerator, Layer, resources_of
from abcost.accelerator.silicon.silicon import Silicon
from abcost.accelerator.unit_costs import UnitCosts
from abcost.core.kinds import DotArithmetic
from abcost.cost.organisation import Unit
from abcost.cost.table import CostTable

RESOURCES = ("luts", "ffs", "dsps", "blocks")


def estimate(
    net: NetworkDesign, plan: Schedule, accelerator: Accelerator, table: CostTable
) -> dict[str, dict[str, float | None]]:
    """Layer -> LUTs, flip-flops, DSPs and blocks; "logits" -> what is behind the last one and at both ends.

    On silicon areas, see `abcost.accelerator.silicon.memories.resources`.
    """
    prices, hardware = UnitCosts(table), hardware_of(table, accelerator.device, accelerator.clock_mhz)
    device = None if isinstance(hardware, Silicon) else fpga_of(accelerator.device)
    found = {}

    def amount(units: list[Unit], memories: list[Memory]) -> dict[str, float | None]:
        if isinstance(hardware, Silicon):
            return hardware.resources(prices.total(units), memories)
        every = resources_of(prices.total(units), memories, device)
        blocks = sum(m.blocks(family_of(device)) for m in memories if m.place == "block")
        return {**{name: every[name] for name in RESOURCES}, "blocks": blocks}

    for layer in built(net, plan, accelerator):
        found[layer.name] = amount([*layer.units, *layer.between], list(layer.memories))
    units, memories = ends(net, plan)
    found["logits"] = amount(units, memories)
    return found


def built(net: NetworkDesign, plan: Schedule, accelerator: Accelerator) -> Iterator[Layer]:
    """The layers with what is written between them: windows and FIFOs as deep as the schedule has them."""
    for stage, layer in zip(net.stages, accelerator.layers, strict=True):
        buffer = plan.buffers[stage.source]
        zeros = stage.window.padded and stage.design.engine.arithmetic is not DotArithmetic.XNOR
        between = window_units(buffer, stage.window, stage.passes, stage.folds, zeros=zeros)
        memories = [m for m in layer.memories if m.role == "weights" or _of_a_pool(m)]
        memories += _memories(buffer, stage.cycles)
        for side in stage.sides:
            between += fifo_units(plan.buffers[side], stage.design.folding.pe)
            memories += _memories(plan.buffers[side])
        yield replace(layer, between=tuple(between), memories=tuple(memories))


def ends(net: NetworkDesign, plan: Schedule) -> tuple[list[Unit], list[Memory]]:
    """What is behind the last layer and at both ends."""
    last = plan.buffers[net.logits]
    beats = net.image.elements // plan.buffers[net.readers(None)[0]].arriving
    counters = [
        Unit("counter", 1, max(2, (n - 1).bit_length())) for n in (beats, net.logits.map.elements) if n > 1
    ]
    return [*fifo_units(last, None), *counters, Unit("counter", 1, 6)], _memories(last)


def total_of(parts: Iterable[Mapping[str, float | None]]) -> dict[str, float | None]:
    """The sum; None for a resource of which a part is unknown."""
    found: dict[str, float | None] = dict.fromkeys(RESOURCES, 0.0)
    for part in parts:
        for name in RESOURCES:
            so_far, more = found[name], part[name]
            found[name] = None if so_far is None or more is None else so_far + more
    return found


def _of_a_pool(memory: Memory) -> bool:
    """Running results of a pool in the chain; what an engine is priced with for its window is the buffer here."""
    return memory.role == "line buffer" and memory.registered


def _memories(buffer: Buffer, reads: int | None = None) -> list[Memory]:
    """Its memories; the registers behind them are among the units. reads: None: every word once for each pass."""
    words = -(-buffer.edge.map.elements // buffer.word)
    reads = words * buffer.edge.passes if reads is None else reads
    return [replace(memory_of(buffer), registered=False, reads=reads, writes=words)] * buffer.copies
