"""A whole network on standard cells: windows, FIFOs, engines and both ends mapped as one block, and simulated."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from abcost.accelerator.hardware import hardware_of
from abcost.accelerator.result import Accelerator
from abcost.accelerator.silicon.energy import with_power
from abcost.accelerator.silicon.silicon import Silicon
from abcost.accelerator.solve import AcceleratorGoal
from abcost.circuit.bench import images_hex
from abcost.circuit.estimate import built, ends
from abcost.circuit.make import Circuit, CircuitForm, make_circuit
from abcost.circuit.simulate import expected_logits
from abcost.core.inputs import InputSpec
from abcost.cost.table import CostTable
from abcost.models.factory import build
from abcost.models.randomise import randomise_parameters
from abcost.models.subject import Subject
from abcost.synth.flows import Flow
from abcost.synth.netlist import netlist_of
from abcost.synth.runner import Job, Synthesizer
from abcost.synth.standard_cells import StandardCells
from mapped_report import Row
from mapped_stream import LANES, Bits, network_energy

WIDTH, CLOCK_MHZ, FPS = 16, 100.0, 100_000.0
"""As many frames as make an inference short enough to be simulated."""
IMAGES = 8
SHAPE = (3, 8, 8)


def circuit_of(target: str) -> tuple[Circuit, CostTable, torch.Tensor]:
    """ReActNet-18 for digits, base width 8, blocks 1,1, stirred; its table, without macros; and images."""
    torch.manual_seed(0)
    model = build("reactnet_18", stem="cifar", num_classes=10, base_width=8, blocks=(1, 1))
    randomise_parameters(model.eval())
    subject = Subject(model, "reactnet_18 digits", None, (InputSpec((1, *SHAPE)),), trained=False)
    images = torch.randn((IMAGES, *SHAPE), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    table = CostTable.load(target)
    silicon = hardware_of(table, None, CLOCK_MHZ)
    assert isinstance(silicon, Silicon)
    silicon.macros = None  # which are read from their Liberty file, not mapped
    goal = AcceleratorGoal(fps=FPS, clock_mhz=CLOCK_MHZ)
    return make_circuit(subject, images, goal, table, CircuitForm(WIDTH)), table, images


def spent(circuit: Circuit, table: CostTable) -> Accelerator:
    """The organisation with its energy, its windows and FIFOs as they are written."""
    number, net, plan = circuit.number, circuit.net, circuit.schedule
    *layers, last = built(net, plan, circuit.accelerator)
    units, memories = ends(net, plan)
    last = replace(last, between=(*last.between, *units), memories=(*last.memories, *memories))
    return with_power(
        circuit.graph,
        table,
        replace(circuit.accelerator, layers=(*layers, last)),
        width=number.width,
        fraction_bits=number.fraction_bits,
    )


def measure_network(target: str, cells: StandardCells, synthesizer: Synthesizer, apart: Flow) -> Row:
    """Map and simulate it. Across units it is not mapped: every word of a memory would be a run of ABC."""
    circuit, table, images = circuit_of(target)
    top, accelerator = circuit.top, spent(circuit, table)
    source = "\n".join([*top.verilog.values(), top.text])
    answer = synthesizer.run(Job("network", top.name, source, apart, keep_netlist=True))
    assert answer.netlist is not None
    ports = answer.netlist["modules"][top.name]["ports"]
    ports["clk"] = ports.pop("aclk")
    netlist = netlist_of(answer.netlist, top.name, cells.library)
    beats, answers = _streams(circuit, images)
    energy, clock = network_energy(netlist, cells.library, beats, answers, accelerator.interval, 3)
    assert accelerator.energy is not None
    assert accelerator.power is not None
    leakage = accelerator.power.leakage.value
    nano = 1e3
    areas = [layer[name] for layer in circuit.estimate.values() for name in ("logic_um2", "memory_um2")]
    estimate = sum(area for area in areas if area is not None)
    assert None not in areas
    return Row(
        target=target, set="network", block="network", what="ReActNet-18 for digits, base width 8, blocks 1,1",
        cycles=accelerator.interval, estimate_um2=round(estimate, 1),
        mapped_um2=round(answer.resources["area_um2"], 1), flat_um2=0.0,
        flip_flops=answer.cells[cells.flip_flop], estimate_nj=round((accelerator.energy.value - leakage) * nano, 4),
        estimate_low_nj=round((accelerator.energy.low - leakage) * nano, 4),
        estimate_high_nj=round((accelerator.energy.high - leakage) * nano, 4),
        mapped_nj=round(energy.value / 1e3, 4), mapped_low_nj=round(energy.low / 1e3, 4),
        mapped_high_nj=round(energy.high / 1e3, 4), clock_nj=round(clock / 1e3, 4),
        tool=str(synthesizer.yosys), library=cells.provenance, date=time.strftime("%Y-%m-%d"),
    )  # fmt: skip


def _streams(circuit: Circuit, images: torch.Tensor) -> tuple[list[Bits], list[Bits]]:
    """Beats of tdata in and out of an image in each sequence, (bits, sequences)."""
    top, chosen = circuit.top, [i % IMAGES for i in range(LANES)]
    beats = circuit.net.image.elements // top.taken
    words = [int(line, 16) for line in images_hex(circuit.net, top, images).split()[: beats * IMAGES]]
    into = [
        _bits([words[i * beats + beat] for i in chosen], top.input_slot * top.taken) for beat in range(beats)
    ]
    logits = expected_logits(circuit.subject, circuit.rewriting, WIDTH, images).tolist()
    mask, given = (1 << top.output_slot) - 1, top.given
    out = []
    for start in range(0, top.answers, given):
        packed = [
            sum((v & mask) << (j * top.output_slot) for j, v in enumerate(logits[i][start : start + given]))
            for i in chosen
        ]
        out.append(_bits(packed, top.output_slot * given))
    return into, out


def _bits(words: list[int], bits: int) -> Bits:
    return np.array([[bool(word >> place & 1) for word in words] for place in range(bits)])
