"""`abcost build`: a whole network as a circuit, simulated on images and routed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abcost.api.arguments import check_number_format
from abcost.cli import options
from abcost.cli.given import given, refuse
from abcost.cli.network import NOTHING, Asked, takes_network
from abcost.cli.output import note, quiet
from abcost.cli.places import named_folder
from abcost.cli.waiting import Waiting
from abcost.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from abcost.circuit.make import Circuit, CircuitForm, Written
    from abcost.circuit.route import Placed, Routing
    from abcost.circuit.simulate import Simulated
    from abcost.data import DataSet
    from abcost.models.subject import Subject
    from abcost.synth.pack import Packer

_PAUSES = 2
"""Frame intervals for which an end of the simulated circuit stands still at most, between images."""
_ANY_PINS = "chosen by nextpnr: for a look, not for a board"

_OF_CIRCUITS = (
    "device", "fps", "clock_mhz", "folding", "target", "route", "mapping", "seed", "pins", "argmax", "trace",
)  # fmt: skip


@takes_network()
def build(
    context: typer.Context,
    model: options.Model,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "--output",
            "-o",
            parser=named_folder,
            metavar="PATH",
            help="Folder to write; made if it is not there.",
        ),
    ],
    device: Annotated[str | None, typer.Option(help="The part, such as lfe5u-85f.")] = None,
    output_format: Annotated[
        str, typer.Option("--format", help="verilog, or c: a golden model, one C99 file, for no part.")
    ] = "verilog",
    data: Annotated[
        str | None,
        typer.Option(help="digits, mnist5k, cifar10, …: images for the number format and for --simulate."),
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Images per second that it must reach.")] = None,
    clock_mhz: Annotated[str, typer.Option(help="Its clock, or max: the highest that is met.")] = "100",
    folding: Annotated[
        Path | None, typer.Option(help="PE and SIMD of its layers: a file of ours, or one of FINN.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", "-t", help="Table that sizes it. Default: that of --device.")
    ] = None,
    simulate: Annotated[
        int | None,
        typer.Option(min=1, help="Stream so many test images through the Verilog, with and without stalls."),
    ] = None,
    trace: Annotated[
        bool,
        typer.Option("--trace", help="With --simulate: trace.vcd of the first image, every net of top.v."),
    ] = False,
    route: Annotated[bool, typer.Option("--route", help="Synthesize, place and route it.")] = False,
    mapping: Annotated[str, typer.Option(help="LUTs mapped for the least area or delay.")] = "area",
    seed: Annotated[int, typer.Option(help="Of place and route.")] = 1,
    pins: Annotated[
        Path | None,
        typer.Option(help="Pins of the ports for --route: .lpf (ECP5) or .pcf (iCE40). Default: any."),
    ] = None,
    width: Annotated[int, typer.Option(help="Bits of a value.")] = 16,
    fraction_bits: Annotated[
        int | None,
        typer.Option(
            help="Bits behind the point; default: the most that leave room for the values of samples."
        ),
    ] = None,
    argmax: Annotated[
        bool, typer.Option("--argmax", help="Give out the class alone, not the logits.")
    ] = False,
    weight_scale: options.WeightScale = "exact",
    constant_multiply: options.ConstantMultiply = "keep",
    data_root: Annotated[Path | None, typer.Option(help="Folder that holds the data.")] = None,
    network: Asked = NOTHING,
) -> None:
    """Write a network as one circuit with AXI4-Stream ends, or in C; simulate it, to the bit; place and route it."""
    check_number_format(width, fraction_bits)
    from abcost.api.build import samples_of, subject_and_data, test_images
    from abcost.circuit.make import CircuitForm, Written, make_circuit
    from abcost.circuit.project import check_folder, write_report
    from abcost.circuit.simulate import find_simulator
    from abcost.synth.parts import check_mapping

    check_folder(out)
    check_mapping(mapping)
    _check_language(output_format, device, given(context))
    rewriting = options.rewriting(weight_scale, constant_multiply, fraction_bits or 12)
    asked = network.request(model)
    form, written = (
        CircuitForm(width, fraction_bits, rewriting),
        Written(_command(sys.argv[1:]), network.checkpoint),
    )
    if device is None:
        with quiet():
            subject, loaded = subject_and_data(asked, data, data_root)
        _golden(subject, loaded, form, written, out, simulate)
        return
    clock = clock_mhz if "clock_mhz" in given(context) else None
    goal = options.accelerator(device, fps, clock, None, "on-chip", folding)
    chosen = None if goal is None else goal.device
    if goal is None or chosen is None:
        raise AssertionError("a device was given")
    routing = _routing(chosen.part, mapping, seed, pins) if route else None
    if routing is None:
        refuse(given(context), ("pins",), "without --route")
    if simulate is None:
        refuse(given(context), ("trace",), "without --simulate")
    else:
        find_simulator()
    with quiet(), Waiting(f"making a circuit of {model}"):
        subject, loaded = subject_and_data(asked, data, data_root)
        images, labels = test_images(subject, loaded, simulate)
        circuit = make_circuit(
            subject, samples_of(subject, loaded), goal, target or options.default_target(device),
            form, argmax=argmax, written=written,
        )  # fmt: skip
    _write(circuit, out)
    report = {**_facts(circuit, network.checkpoint), "command": written.command}
    write_report(report, out)
    results: list[Simulated] = []
    if simulate is not None:
        results = _simulate(circuit, out, images, trace=trace)
        report["simulation"] = _simulation(results, labels, _trained(subject, images, labels))
        write_report(report, out)
    if routing is not None:
        note(f"synthesis, place and route on {routing.part}: some minutes")
        report |= _route(circuit, out, routing)
        write_report(report, out)
    note(_text(report))
    if any(result.equal != result.images for result in results):
        raise typer.Exit(1)


def _write(circuit: Circuit, out: Path) -> None:
    from abcost.circuit.project import scripts, write_circuit

    number = write_circuit(circuit, out)
    made = ["rtl/ with a module a file", *scripts(circuit)]
    note(f"wrote {number} files to {out}: top.v, {', '.join(made)}")
    if not circuit.subject.trained:
        note("note: weights are untrained (no --checkpoint)")


def _check_language(language: str, device: str | None, there: frozenset[str]) -> None:
    if options.choice("--format", language, ("verilog", "c")) == "c":
        refuse(there, _OF_CIRCUITS, "with --format c")
    elif device is None:
        raise UsageError("a circuit is written for a part: add --device, such as lfe5u-85f; or --format c")


def _golden(
    subject: Subject,
    data: DataSet | None,
    form: CircuitForm,
    written: Written,
    out: Path,
    simulate: int | None,
) -> None:
    """Write the golden model; run it on images, if that is asked for. Exit 1 if one differs from the interpreter."""
    from abcost.api.build import samples_of, test_images
    from abcost.circuit.golden import golden_logits, make_golden, write_golden
    from abcost.circuit.simulate import expected_logits

    with quiet():
        golden = make_golden(subject, samples_of(subject, data), form, written)
    place = write_golden(golden, out)
    number = golden.number
    note(f"wrote {place}: values of {number.width} bits, {number.fraction_bits} behind the point")
    if not subject.trained:
        note("note: weights are untrained (no --checkpoint)")
    if simulate is None:
        return
    images, labels = test_images(subject, data, simulate)
    with quiet():
        expected = expected_logits(subject, golden.rewriting, number.width, images)
    found = golden_logits(golden, images)
    equal = int((found == expected).all(dim=1).sum())
    right = (
        ""
        if labels is None
        else _accuracy(_share(found.argmax(dim=1), labels), _trained(subject, images, labels))
    )
    note(f"ran it: {equal} of {len(images)} images equal to the bit{right}")
    if equal != len(images):
        raise typer.Exit(1)


def _command(arguments: Sequence[str]) -> str:
    """The command that writes the same circuit: without what is done with it afterwards."""
    kept, skip = [], False
    for argument in arguments:
        if skip or argument in ("--route", "--trace"):
            skip = False
            continue
        if argument.split("=")[0] in (
            "--out",
            "--output",
            "-o",
            "--simulate",
            "--mapping",
            "--seed",
            "--pins",
        ):
            skip = "=" not in argument
            continue
        kept.append(argument)
    return f"abcost {shlex.join(kept)}"


def _simulate(circuit: Circuit, out: Path, images: Tensor, *, trace: bool) -> list[Simulated]:
    """Simulate without stalls and with them. trace: written first, as a circuit that stops answering needs it most."""
    from abcost.circuit.simulate import Ends, expected_logits, largest, simulate_images, trace_image

    if trace:
        file = trace_image(out, circuit.net, circuit.top, images[:1])
        note(f"wrote {file}: every net of top.v during the first image")
    expected = expected_logits(circuit.subject, circuit.rewriting, circuit.number.width, images)
    if circuit.top.answers != expected.shape[1]:
        expected = largest(expected)
    found = []
    for ends in (Ends(), Ends(stalls=True, pause=_PAUSES * circuit.schedule.interval)):
        how = "with random stalls" if ends.stalls else "without stalls"

        def told(done: int, whole: int, how: str = how) -> None:
            note(f"simulated {done} of {whole} images {how}")

        result = simulate_images(out, circuit.net, circuit.top, images, expected, ends=ends, progress=told)
        if result.difference:
            note(f"different {how}: {result.difference}")
        found.append(result)
    return found


def _facts(circuit: Circuit, checkpoint: Path | None) -> dict[str, Any]:
    """What is known before anything is run."""
    from abcost.circuit.estimate import total_of
    from abcost.circuit.make import hash_of
    from abcost.circuit.project import scripts

    organised, plan = circuit.accelerator, circuit.schedule
    return {
        "schema": 1,
        "model": circuit.subject.name,
        "checkpoint_sha256": None if checkpoint is None else hash_of(checkpoint),
        "device": None if organised.device is None else organised.device.part,
        "clock_mhz": organised.clock_mhz,
        "width_bits": circuit.number.width,
        "fraction_bits": circuit.number.fraction_bits,
        "verilog_sha256": circuit.digest,
        "scripts": list(scripts(circuit)),
        "layers": [
            {"name": stage.name, "pe": stage.design.folding.pe, "simd": stage.design.folding.simd,
             "cycles": stage.cycles}
            for stage in circuit.net.stages
        ],
        "buffers": [
            {"tensor": edge.node, "producer": _layer(circuit, edge.producer),
             "consumer": _layer(circuit, edge.consumer), "residual": edge.residual, "depth": buffer.depth,
             "bits": buffer.word_bits, "filled": plan.filled[edge], "margin": buffer.margin}
            for edge, buffer in plan.buffers.items()
        ],
        "estimate": {
            "cycles_per_image": plan.interval,
            "latency_cycles": plan.latency,
            "fps": organised.clock_mhz * 1e6 / plan.interval,
            **total_of(circuit.estimate.values()),
            "fmax_mhz": None if organised.fmax is None else organised.fmax.to_dict(),
            "clock_met": organised.clock_met,
            "layers": [{"name": name, **amounts} for name, amounts in circuit.estimate.items()],
        },
    }  # fmt: skip


def _layer(circuit: Circuit, number: int | None) -> str | None:
    return None if number is None else circuit.net.stages[number].name


def _simulation(results: Iterable[Simulated], labels: Tensor | None, trained: float | None) -> dict[str, Any]:
    from abcost.circuit.simulate import largest

    plain, stalled = results
    classes = plain.logits if plain.logits.shape[1] == 1 else largest(plain.logits)
    return {
        "tool": plain.tool,
        "images": plain.images,
        "equal": plain.equal,
        "cycles_per_image": plain.interval,
        "latency_cycles": plain.latency,
        "stalls": {"images": stalled.images, "equal": stalled.equal},
        "top1": None if labels is None else _share(classes.flatten(), labels),
        "top1_trained": trained,
        "difference": plain.difference or stalled.difference or None,
    }


def _trained(subject: Subject, images: Tensor, labels: Tensor | None) -> float | None:
    """The share of these images that the network itself has right: what rounding costs is the difference."""
    import torch

    if labels is None:
        return None
    with torch.no_grad():
        parts = torch.split(images, 1 if subject.one_batch else len(images))
        return _share(torch.cat([subject.model.eval()(part).argmax(dim=1) for part in parts]), labels)


def _share(classes: Tensor, labels: Tensor) -> float:
    return float((classes == labels).double().mean())


def _accuracy(found: float, trained: float | None) -> str:
    return f", top-1 {found:.2%}" + ("" if trained is None else f" ({trained:.2%} as trained)")


def _routing(device: str, mapping: str, seed: int, pins: Path | None) -> Routing:
    """What is asked of place and route. Raises UsageError."""
    from abcost.circuit.route import Routing, part_of, read_pins

    asked = Routing(part_of(device), mapping, seed)
    return asked if pins is None else replace(asked, pins=read_pins(pins, asked.part), pins_file=pins.name)


def _route(circuit: Circuit, out: Path, asked: Routing) -> dict[str, Any]:
    """Sections of build.json: what each layer takes, what was placed, and the bitstream, which is written too."""
    from abcost.circuit.route import RESOURCES, route_circuit
    from abcost.synth.pack import find_packer
    from abcost.synth.parts import PARTS

    packer = find_packer(PARTS[asked.part])
    clock = circuit.accelerator.clock_mhz
    placed = route_circuit(circuit, out, asked, clock_mhz=clock, configured=packer is not None)
    total = {name: getattr(placed.routed, name) for name in RESOURCES}
    layers = [{"name": name, **counts} for name, counts in placed.layers.items()]
    return {
        "synthesis": {**total, "layers": layers},
        "route": placed.to_dict(),
        "bitstream": None if packer is None else _bitstream(placed, packer, asked, out),
    }


def _bitstream(placed: Placed, packer: Packer, asked: Routing, out: Path) -> dict[str, str]:
    from abcost.circuit.project import write_bitstream

    if placed.configuration is None:
        raise AssertionError("a packer was there, so the configuration was asked for")
    file = write_bitstream(packer.pack(placed.configuration), out, packer.suffix)
    pins = f"as {asked.pins_file} says" if asked.pins else _ANY_PINS
    return {"file": file, "tool": str(packer), "pins": pins}


def _text(report: Mapping[str, Any]) -> str:
    """A few lines for people: estimate beside result."""
    estimate = report["estimate"]
    lines = [
        f"{report['model']} on {report['device']}: {estimate['cycles_per_image']:,} cycles an image, "
        f"{estimate['fps']:,.1f} images/s at {report['clock_mhz']:g} MHz, latency {estimate['latency_cycles']:,} "
        f"cycles; values of {report['width_bits']} bits, {report['fraction_bits']} behind the point"
    ]
    fmax = estimate["fmax_mhz"] or {}
    if fmax.get("unknown"):
        lines.append(f"whether the clock is met is unknown: {fmax['unknown']}")
    found = report.get("simulation")
    if found:
        measured = (
            "one image"
            if found["cycles_per_image"] is None
            else f"{found['cycles_per_image']:,.6g} cycles an image"
        )
        accuracy = "" if found["top1"] is None else _accuracy(found["top1"], found["top1_trained"])
        lines.append(
            f"simulated ({found['tool']}): {found['equal']} of {found['images']} images equal to the bit, "
            f"{found['stalls']['equal']} of {found['stalls']['images']} with stalls; {measured}, latency "
            f"{found['latency_cycles']:,}{accuracy}"
        )
    routed = report.get("route")
    if routed:
        reached = "no clock" if routed["fmax_mhz"] is None else f"{routed['fmax_mhz']:.1f} MHz"
        lines.append(
            f"routed on {routed['part']}: {routed['luts']:,.0f} LUTs, {routed['ffs']:,.0f} flip-flops, "
            f"{routed['dsps']:,.0f} DSPs, {routed['blocks']:,.0f} blocks, {reached}"
        )
        packed = report["bitstream"]
        lines.append(
            "no bitstream: ecppack or icepack is not there (pip install 'abcost[route]')"
            if packed is None
            else f"bitstream {packed['file']} ({packed['tool']}); pins {packed['pins']}"
        )
    return "\n".join(lines)
