"""A golden model of a network in C, in the number format that its circuit would have, checked on images."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.design.network import NetworkDesign, describe_network
from abcost.accelerator.design.network_interpret import quantised
from abcost.accelerator.engine import engines
from abcost.accelerator.folding import Folding
from abcost.circuit.make import CircuitForm, Written, hash_of, in_format
from abcost.emit.c import golden_model
from abcost.errors import OutputError, ToolError, UsageError
from abcost.models.subject import Subject
from abcost.rewrite import RewriteOptions
from abcost.version import __version__

FILE = "model.c"
COMPILERS = ("cc", "gcc", "clang")
_TIMEOUT = 600  # seconds of a compilation


@dataclass(frozen=True, slots=True)
class Golden:
    """The text of a model, and in which format and after which rewrites the interpreter gives the same bits."""

    text: str
    net: NetworkDesign
    rewriting: RewriteOptions

    @property
    def number(self) -> NumberFormat:
        """Number format of every value."""
        return self.net.number


def make_golden(subject: Subject, samples: Tensor, form: CircuitForm, written: Written) -> Golden:
    """The model of a network. samples: images whose values have to fit the number format.

    Foldings change no value, so each engine is described with one. Raises UsageError for what has no C, by its layer.
    """
    rewriting, graph = in_format(subject, samples, form)
    number = NumberFormat(form.width, rewriting.fraction_bits)
    found = engines(graph, form.width)
    net = describe_network(graph, found, [Folding(1, engine.taps) for engine in found], number)
    weights = (
        "untrained weights" if written.checkpoint is None else f"checkpoint {hash_of(written.checkpoint)}"
    )
    header = [f"{subject.name}, {weights}; written by abcost {__version__}", *filter(None, [written.command])]
    return Golden(golden_model(net, [line.replace("*/", "* /") for line in header]), net, rewriting)


def write_golden(golden: Golden, out: Path) -> Path:
    """Write the model into a folder; its path. Raises OutputError, and UsageError for a file that differs."""
    place = out / FILE
    try:
        if place.exists() and (not place.is_file() or place.read_text() != golden.text):
            raise UsageError(
                f"--out {out} holds another {FILE} than this command writes: name another folder, or remove it"
            )
        out.mkdir(parents=True, exist_ok=True)
        place.write_text(golden.text)
    except OSError as error:
        raise OutputError(f"cannot write {error.filename}: {error.strerror}") from error
    return place


def compile_golden(model: Path, program: Path) -> None:
    """Make a program that reads images and writes logits. Raises ToolError without a C compiler, or if it complains."""
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        raise ToolError("a golden model is compiled by cc, gcc or clang, and none is on PATH: install one")
    flags = ["-std=c99", "-O3", "-march=native", "-Wall", "-Wextra", "-pedantic", "-Werror", "-DNETWORK_MAIN"]
    done = subprocess.run(  # noqa: S603 - a compiler found on PATH, on what we wrote
        [compiler, *flags, str(model), "-o", str(program)],
        capture_output=True, text=True, errors="replace", timeout=_TIMEOUT, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ToolError(f"{compiler} refuses {model}: {done.stderr.strip().partition(chr(10))[0]}")


def run_golden(golden: Golden, program: Path, images: Tensor) -> Tensor:
    """(N, classes) whole numbers that the program gives for images (N, C, H, W). Raises ToolError if it fails."""
    fed = quantised(golden.net, images).to(torch.int32).contiguous().numpy().tobytes()
    done = subprocess.run([str(program)], input=fed, capture_output=True, check=False)  # noqa: S603 - ours
    whole = len(images) * golden.net.logits.map.elements
    if done.returncode or len(done.stdout) != 4 * whole:
        raise ToolError(
            f"{program} ended with status {done.returncode} after {len(done.stdout) // 4} of {whole} logits"
        )
    return (
        torch.frombuffer(bytearray(done.stdout), dtype=torch.int32).reshape(len(images), -1).to(torch.int64)
    )


def golden_logits(golden: Golden, images: Tensor) -> Tensor:
    """What the model gives for images, compiled in a folder that is removed again. Raises ToolError as its parts."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / FILE).write_text(golden.text)
        compile_golden(place / FILE, place / "model")
        return run_golden(golden, place / "model", images)
