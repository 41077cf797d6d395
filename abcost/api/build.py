"""`abcost.build`, and the images that a circuit is made for and tested with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Unpack

import torch
from torch import Tensor

from abcost.api.arguments import accelerator, check_number_format, default_target, rewriting
from abcost.api.checked import call
from abcost.api.options import NetworkOptions, named_request
from abcost.circuit.make import Circuit, CircuitForm, Written, make_circuit
from abcost.circuit.project import check_folder, write_circuit
from abcost.circuit.route import Placed, Routing, part_of, route_circuit
from abcost.circuit.simulate import Ends, Simulated, expected_logits, find_simulator, largest, simulate_images
from abcost.data import DataSet, load
from abcost.errors import UsageError
from abcost.models.subject import Request, Subject, resolve
from abcost.training.assessment import trained_network

_SAMPLES = 256
"""Images by which the number format is chosen, of the training split."""


@dataclass(frozen=True, slots=True, repr=False)
class Built:
    """What `abcost.build` returns: a circuit in a folder, as top.v and rtl/.

    simulated: what came out of it without stalls at its ends, None if it was not simulated.  routed: LUTs, flip-flops,
    DSPs, blocks and the highest clock (MHz) after place and route, None if that was not asked for.
    """

    folder: Path
    circuit: Circuit
    simulated: Simulated | None = None
    routed: Placed | None = None

    def __repr__(self) -> str:
        found = self.simulated
        equal = "" if found is None else f", {found.equal} of {found.images} images equal to the bit"
        routed = "" if self.routed is None else f", {self.routed.routed.luts:,.0f} LUTs routed"
        return (
            f"<Built {self.circuit.subject.name[-40:]}: {self.cycles_per_image:,} cycles an image, "
            f"{self.fps:,.1f} images/s at {self.circuit.accelerator.clock_mhz:g} MHz{equal}{routed}>"
        )

    @property
    def cycles_per_image(self) -> int:
        """Cycles of the clock from image to image."""
        return self.circuit.schedule.interval

    @property
    def fps(self) -> float:
        """Images per second at the clock that was asked for."""
        return self.circuit.accelerator.clock_mhz * 1e6 / self.cycles_per_image

    @property
    def holds(self) -> bool:
        """Whether no image that was simulated differs from the interpreter."""
        return self.simulated is None or self.simulated.equal == self.simulated.images


@call
def build(
    model: str,
    out: str | Path,
    device: str,
    *,
    data: str | None = None,
    data_root: str | Path | None = None,
    fps: float | None = None,
    clock_mhz: float | Literal["max"] | None = None,
    folding: str | Path | None = None,
    target: str | None = None,
    simulate: int | None = None,
    route: bool = False,
    width: int = 16,
    fraction_bits: int | None = None,
    argmax: bool = False,
    weight_scale: Literal["exact", "po2"] = "exact",
    constant_multiply: Literal["keep", "csd", "graph"] = "keep",
    **network: Unpack[NetworkOptions],
) -> Built:
    """Write a network as one circuit in Verilog, as `abcost build` does; simulate it to the bit, and route it.

    out: folder to write.  device: the part, such as "lfe5u-85f".  data, data_root: images for the number format and the
    simulation, as `abcost.train` takes them.  fps: images per second to reach.  clock_mhz: MHz (100), or "max".
    folding: file with PE and SIMD.  target: table that sizes it; default: that of the device.
    simulate: so many test images.  route: synthesize, place and route (minutes).  width: bits of a value.
    fraction_bits: those behind the point; default: the most that leave room.  argmax: the class alone comes out.
    weight_scale, constant_multiply: see `LoweringOptions`.  network: see `NetworkOptions`.

    The command also writes build.json and build.html, and simulates stalls at both ends. Raises AbcostError.
    """
    check_number_format(width, fraction_bits)
    folder = Path(out)
    check_folder(folder)
    goal = accelerator(device, fps, clock_mhz, None, "on-chip", None if folding is None else Path(folding))
    part = part_of(device) if route else None
    if simulate is not None:
        find_simulator()
    if goal is None:
        raise AssertionError("a device was given")
    subject, loaded = subject_and_data(
        named_request(model, network), data, None if data_root is None else Path(data_root)
    )
    form = CircuitForm(width, fraction_bits, rewriting(weight_scale, constant_multiply, fraction_bits or 12))
    checkpoint = network.get("checkpoint")
    circuit = make_circuit(
        subject, samples_of(subject, loaded), goal, target or default_target(device), form, argmax=argmax,
        written=Written(checkpoint=None if checkpoint is None else Path(checkpoint)),
    )  # fmt: skip
    write_circuit(circuit, folder)
    simulated = (
        None if simulate is None else _simulated(circuit, folder, test_images(subject, loaded, simulate)[0])
    )
    placed = None
    if part is not None:
        placed = route_circuit(circuit, folder, Routing(part), clock_mhz=circuit.accelerator.clock_mhz)
    return Built(folder, circuit, simulated, placed)


def _simulated(circuit: Circuit, folder: Path, images: Tensor) -> Simulated:
    expected = expected_logits(circuit.subject, circuit.rewriting, circuit.number.width, images)
    if circuit.top.answers != expected.shape[1]:
        expected = largest(expected)
    return simulate_images(folder, circuit.net, circuit.top, images, expected, ends=Ends())


def subject_and_data(asked: Request, data: str | None, root: Path | None) -> tuple[Subject, DataSet | None]:
    """The model, in the shape of the data where there is some."""
    if data is None:
        return resolve(asked), None
    loaded = load(data, root)
    if asked.checkpoint is not None:
        return trained_network(asked, loaded), loaded
    if asked.preset is None and not asked.inputs and ":" not in asked.model:
        asked = replace(asked, preset=loaded.preset, num_classes=asked.num_classes or len(loaded.classes))
    subject = resolve(asked)
    if tuple(subject.inputs[0].shape[1:]) != tuple(loaded.input_shape):
        raise UsageError(
            f"the network takes images of {list(subject.inputs[0].shape[1:])}, --data {data} has "
            f"{list(loaded.input_shape)}: give --preset or --input-size"
        )
    return subject, loaded


def test_images(subject: Subject, data: DataSet | None, wanted: int | None) -> tuple[Tensor, Tensor | None]:
    """Test images, evenly spread, and their labels; random ones without data. Raises UsageError for too many."""
    number = wanted or 1
    if data is None:
        shape = subject.inputs[0].shape[1:]
        return torch.randn((number, *shape), generator=torch.Generator().manual_seed(0)), None
    if number > len(data.test):
        raise UsageError(f"--simulate {number}: --data {data.name} has {len(data.test)} test images")
    order = torch.arange(number) * len(data.test) // number
    return next(data.test.batches(order, number, epoch=0, augment=False))


def samples_of(subject: Subject, data: DataSet | None) -> Tensor:
    """Images by which the number format is chosen."""
    if data is None:
        return torch.randn((16, *subject.inputs[0].shape[1:]), generator=torch.Generator().manual_seed(1))
    number = min(_SAMPLES, len(data.train))
    order = torch.arange(number) * len(data.train) // number
    return next(data.train.batches(order, number, epoch=0, augment=False))[0]
