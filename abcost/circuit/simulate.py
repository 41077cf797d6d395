"""Whole images through the Verilog of a network, logits compared to the bit with the reference interpreter.

The simulator is compiled once and kept with a hash of its sources; answers are kept in runs of some images with a hash
of all that decides them, so that an interrupted simulation goes on where it was.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from abcost.accelerator.design.network import NetworkDesign
from abcost.circuit.bench import CAPACITY, CLOCK_CPP, CLOCK_VERILOG, TRACE, bench_verilog, images_hex
from abcost.core.integer import wrap
from abcost.core.interpret import FixedPoint, execute
from abcost.emit.project import identifier
from abcost.emit.top import Top
from abcost.errors import ToolError
from abcost.models.subject import Subject
from abcost.rewrite import RewriteOptions
from abcost.training.lowered import Lowered

TIMEOUT = 3600
"""Seconds of one run of a simulator, or of its compiler."""
_TRACE_DEPTH = "2"  # the bench, and the top in it: Verilator takes no depth from $dumpvars


@dataclass(frozen=True, slots=True)
class Simulated:
    """What came out. logits: (images, classes) whole numbers; cycles: in which the last logit of each image came.

    first_beats: in which its first beat was taken. equal: images whose logits are as expected.
    difference: where the first value that differs stands, for people; "" where none does.
    """

    tool: str
    stalls: bool
    logits: Tensor
    cycles: tuple[tuple[int, ...], ...]
    first_beats: tuple[tuple[int, ...], ...]
    equal: int
    difference: str

    @property
    def images(self) -> int:
        """How many were simulated."""
        return len(self.logits)

    @property
    def interval(self) -> float | None:
        """Mean cycles from image to image, without stalls; None for single images."""
        gaps = [b - a for run in self.cycles for a, b in pairwise(run)]
        return sum(gaps) / len(gaps) if gaps and not self.stalls else None

    @property
    def latency(self) -> int | None:
        """Cycles from the first beat of the first image to its last logit; None with stalls."""
        return None if self.stalls else self.cycles[0][0] - self.first_beats[0][0]


def find_simulator(wanted: str | None = None) -> str:
    """Verilator, or Icarus Verilog where that alone is. Raises ToolError if there is neither, or not the wanted one."""
    for name, needs in (("verilator", ("verilator", "c++")), ("iverilog", ("iverilog", "vvp"))):
        if wanted in (None, name) and all(shutil.which(tool) for tool in needs):
            return name
    raise ToolError(
        "no Verilog simulator on PATH; install Verilator and a C++ compiler (packages verilator, g++), or Icarus "
        "Verilog (package iverilog)"
    )


def expected_logits(subject: Subject, rewriting: RewriteOptions, width: int, images: Tensor) -> Tensor:
    """(N, classes) whole numbers, as `evaluate --as fixed-point --width` computes them."""
    lowered = Lowered(subject, rewriting, FixedPoint(rewriting.fraction_bits, width=width))
    parts = [lowered(images[start : start + CAPACITY]) for start in range(0, len(images), CAPACITY)]
    return (torch.cat(parts) * 2.0**rewriting.fraction_bits).to(torch.int64)


@dataclass(frozen=True, slots=True)
class Ends:
    """What both ends of the circuit do. stalls: they wait at random; pause: up to so many cycles after an image."""

    stalls: bool = False
    pause: int = 1


def largest(logits: Tensor) -> Tensor:
    """(N, 1): the number of the largest of (N, classes) whole numbers, of equal ones the first."""
    return (logits == logits.max(dim=1, keepdim=True).values).to(torch.int64).argmax(dim=1, keepdim=True)


def simulate_images(
    folder: Path,
    net: NetworkDesign,
    top: Top,
    images: Tensor,
    expected: Tensor,
    *,
    ends: Ends = Ends(),
    tool: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Simulated:
    """Images (N, C, H, W) through the files in `folder`, as they are there; expected: (N, answers) whole numbers.

    progress: is told how many are done. Raises ToolError if a simulator is missing, fails, or the circuit stops
    answering.
    """
    name = find_simulator(tool)
    sources = read_files(folder)
    _check_lengths(sources, top)
    bench = _Compiled(folder / "simulation", name, sources, bench_verilog(net, top))
    logits, cycles, firsts = [], [], []
    for start in range(0, len(images), CAPACITY):
        part = images[start : start + CAPACITY]
        log = bench.run(images_hex(net, top, part), len(part), ends, seed=start + 1)
        run = _parse(log, top, len(part))
        logits.append(run.logits)
        cycles.append(run.last)
        firsts.append(run.first)
        progress(min(len(images), start + CAPACITY), len(images))
    found = torch.cat(logits)
    right = (found == expected).all(dim=1)
    difference = ""
    if not bool(right.all()):
        wrong = int(torch.nonzero(~right)[0])
        difference = _explain(
            bench.watching(bench_verilog(net, top, watched(net))), net, top, images[wrong : wrong + 1], wrong
        )
        difference = difference or _logit_text(found, expected, wrong)
    return Simulated(name, ends.stalls, found, tuple(cycles), tuple(firsts), int(right.sum()), difference)


def trace_image(
    folder: Path, net: NetworkDesign, top: Top, image: Tensor, *, tool: str | None = None
) -> Path:
    """`trace.vcd` of one image (1, C, H, W) without stalls, also of a circuit that gives no answer: see `TRACE`.

    It is simulated anew each time. Raises ToolError if a simulator is missing or fails.
    """
    bench = _Compiled(
        folder / "simulation",
        find_simulator(tool),
        read_files(folder),
        bench_verilog(net, top, traced=True),
        traced=True,
    )
    bench.start(images_hex(net, top, image), _options(1, Ends(), 1))
    try:
        return (bench.folder / TRACE).replace(folder / TRACE)
    except OSError as error:
        raise ToolError(f"the simulator left no trace: {error.strerror}") from None


def _logit_text(found: Tensor, expected: Tensor, image: int) -> str:
    at = int(torch.nonzero(found[image] != expected[image])[0])
    return f"image {image}: value {at} is {int(found[image, at])}, expected {int(expected[image, at])}"


def read_files(folder: Path) -> dict[str, str]:
    """Verilog and memory files of a built network by name. Raises ToolError for one that cannot be read."""
    try:
        paths = [folder / "top.v", *sorted((folder / "rtl").iterdir())]
        return {path.name: path.read_text() for path in paths if path.suffix in (".v", ".hex")}
    except OSError as error:
        raise ToolError(f"{error.filename}: {error.strerror}") from None


def _check_lengths(sources: Mapping[str, str], top: Top) -> None:
    """Raises ToolError for a memory file with other words than its memory: to a simulator, missing ones are 0."""
    for name, text in top.files.items():
        found, needed = len(sources.get(name, "").split()), len(text.split())
        if found != needed:
            raise ToolError(f"{name} has {found} words, its memory {needed}: build again into another folder")


@dataclass(frozen=True, slots=True)
class _Run:
    logits: Tensor
    first: tuple[int, ...]
    last: tuple[int, ...]


def _parse(log: str, top: Top, count: int) -> _Run:
    lines = [line.split() for line in log.splitlines()]
    ends = [line for line in lines if line and line[0] in ("DONE", "STUCK", "MISALIGNED")]
    if not ends or ends[0][0] != "DONE":
        said = " ".join(ends[0]) if ends else "nothing"
        raise ToolError(f"the circuit gave no answer to every image: the simulation ended with {said}")
    beats = [line for line in lines if line and line[0] == "L"]
    each = top.answers // top.given
    values = [unpacked(int(line[2], 16), top.given, top.output_slot, top.answer_bits) for line in beats]
    last = tuple(int(line[1]) for line in beats[each - 1 :: each])
    first = tuple(int(line[2]) for line in lines if line and line[0] == "I")
    return _Run(torch.tensor(values).reshape(count, -1), first, last)


def unpacked(word: int, elements: int, slot: int, width: int) -> list[int]:
    """Elements of a word in two's complement, `slot` bits apart."""
    found = [(word >> (i * slot)) & ((1 << width) - 1) for i in range(elements)]
    return [v - (1 << width) if width > 1 and v >> (width - 1) else v for v in found]


def _options(count: int, ends: Ends, seed: int) -> list[str]:
    return [f"+images={count}", f"+stalls={int(ends.stalls)}", f"+pause={ends.pause}", f"+seed={seed}"]


class _Compiled:
    """A simulator of these sources in a folder of its own, compiled when it is first asked."""

    def __init__(
        self, folder: Path, tool: str, sources: Mapping[str, str], bench: str, *, traced: bool = False
    ) -> None:
        texts = [tool, _version(tool), bench, CLOCK_CPP, CLOCK_VERILOG]
        texts += [text for pair in sorted(sources.items()) for text in pair]
        self.key = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
        self.folder = folder / self.key
        self.tool, self.sources, self.bench, self.traced = tool, sources, bench, traced

    def watching(self, bench: str) -> _Compiled:
        """The same sources in another bench."""
        return _Compiled(self.folder.parent, self.tool, self.sources, bench)

    def run(self, images: str, count: int, ends: Ends, *, seed: int) -> str:
        """What the bench printed; kept."""
        options = _options(count, ends, seed)
        answer = self.folder / (
            hashlib.sha256("\0".join([images, *options]).encode()).hexdigest()[:16] + ".txt"
        )
        if answer.exists():
            return answer.read_text()
        log = self.start(images, options)
        _replace(answer, log)
        return log

    def start(self, images: str, options: Sequence[str]) -> str:
        """The same, whatever is kept."""
        self._compile()
        (self.folder / "images.hex").write_text(images)
        command = ["./sim"] if self.tool == "verilator" else ["vvp", "-n", "sim"]
        return _call([*command, *options], self.folder)

    def _compile(self) -> None:
        if (self.folder / "sim").exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        files = {**self.sources, "bench.v": self.bench, "clock.cpp": CLOCK_CPP, "clock.v": CLOCK_VERILOG}
        for name, text in files.items():
            (self.folder / name).write_text(text)
        verilog = sorted(name for name in files if name.endswith(".v") and name != "clock.v")
        if self.tool == "verilator":
            flags = ["--cc", "--exe", "--build", "-O3", "--no-timing", "--language", "1364-2005", "-Wno-fatal",
                     "-Wno-WIDTH", "-Wno-TIMESCALEMOD", "--top-module", "bench",
                     "--Mdir", "made", "-o", "../sim_made"]  # fmt: skip
            flags += ["--trace", "--trace-depth", _TRACE_DEPTH] if self.traced else []
            _call(["verilator", *flags, *verilog, "clock.cpp"], self.folder)
        else:
            _call(["iverilog", "-g2005", "-o", "sim_made", "-s", "clock", *verilog, "clock.v"], self.folder)
        (self.folder / "sim_made").replace(self.folder / "sim")


def _version(tool: str) -> str:
    flag = "--version" if tool == "verilator" else "-V"
    return _call([tool, flag], Path.cwd()).splitlines()[0]


def _replace(file: Path, text: str) -> None:
    half = file.with_suffix(".half")
    half.write_text(text)
    half.replace(file)


def _call(command: Sequence[str], folder: Path) -> str:
    """Standard output. Raises ToolError with what it said if it fails or hangs."""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program on files that we wrote
            command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"{command[0]} ran longer than {TIMEOUT} s in {folder}") from None
    except OSError as error:
        raise ToolError(f"{command[0]}: {error.strerror}") from None
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        said = [line for line in said if "rror" in line] or said[-1:]
        raise ToolError(
            f"{command[0]} failed with status {done.returncode}: {(said or ['no output'])[0][:300]}"
        )
    return done.stdout


def watched(net: NetworkDesign) -> list[str]:
    """Nets of the results of all engines."""
    return [f"{identifier(stage.name)}_y{port}" for stage in net.stages for port in range(len(stage.results))]


def _explain(bench: _Compiled, net: NetworkDesign, top: Top, image: Tensor, number: int) -> str:
    """The first engine, and its first value, that is not what the interpreter computes; "" where all are."""
    log = bench.run(images_hex(net, top, image), 1, Ends(), seed=1)
    values = execute(
        net.graph,
        [image],
        FixedPoint(net.number.fraction_bits, width=net.number.width),
        keep=lambda _node: True,
    )
    for stage in net.stages:
        for port, node in enumerate(stage.results):
            made = f"{identifier(stage.name)}_y{port}"
            bits = next((edge.bits for edge in net.edges if edge.node == node), net.number.width)
            got = [
                value
                for line in _watched(log, made)
                for value in unpacked(int(line, 16), stage.design.lanes, bits, bits)
            ]
            wanted = as_stream(values[node], bits, net.number.fraction_bits, net.number.width)
            channels = stage.design.engine.channels
            for i, (one, other) in enumerate(zip(got, wanted, strict=False)):
                if one != other:
                    return (
                        f"image {number}: layer {stage.name} gives {one} for {node}, pixel {i // channels}, channel "
                        f"{i % channels}; expected {other}"
                    )
            if len(got) != len(wanted):
                return (
                    f"image {number}: layer {stage.name} gives {len(got)} of {len(wanted)} values of {node}"
                )
    return ""


def _watched(log: str, name: str) -> Iterator[str]:
    for line in log.splitlines():
        if line.startswith(f"T {name} "):
            yield line.rsplit(" ", 1)[1]


def as_stream(values: Tensor, bits: int, fraction_bits: int, width: int) -> list[int]:
    """A tensor (1, C, ...) of the interpreter as whole numbers in the order in which a circuit gives them."""
    flat = values.reshape(values.shape[1], -1).t().reshape(-1)
    if bits == 1:
        return [int(v) for v in (flat >= 0).tolist()]
    found: list[int] = wrap((flat * 2.0**fraction_bits).to(torch.int64), width).tolist()
    return found
