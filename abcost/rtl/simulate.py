"""Runs a test bench in an open Verilog simulator: Icarus Verilog or Verilator, whichever is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from abcost.errors import ToolError
from abcost.rtl.testbench import Bench

TIMEOUT = 600  # seconds for one simulation, compilation included


@dataclass(frozen=True, slots=True)
class SimulationOutcome:
    """What the test bench printed. `passed` only if it printed PASS and nothing else went wrong."""

    passed: bool
    log: str


def simulator() -> str:
    """Name of the simulator on PATH, Icarus first. Raises ToolError if there is none."""
    for name in _RUN:
        if shutil.which(name):
            return name
    raise ToolError(
        "no Verilog simulator on PATH; install Icarus Verilog (package iverilog) or Verilator (package verilator)"
    )


def simulate(bench: Bench, folder: Path, *, tool: str | None = None) -> SimulationOutcome:
    """Write the test bench into `folder`, compile and run it there.

    Raises ToolError if no simulator is there, it does not compile, crashes, or prints no verdict.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in bench.files.items():
        (folder / name).write_text(text)
    log = _RUN[tool or simulator()](bench, folder)
    verdict = re.search(r"^(PASS|FAIL) ", log, re.MULTILINE)
    if verdict is None:
        raise ToolError(f"the simulation of {bench.top} printed no verdict: {_last(log)}")
    return SimulationOutcome(verdict[1] == "PASS", log)


def _icarus(bench: Bench, folder: Path) -> str:
    sources = sorted(name for name in bench.files if name.endswith(".v"))
    _run(["iverilog", "-g2005", "-o", "sim.vvp", "-s", bench.top, *sources], folder)
    return _run(["vvp", "-n", "sim.vvp"], folder)


def _verilator(bench: Bench, folder: Path) -> str:
    sources = sorted(name for name in bench.files if name.endswith(".v"))
    flags = ["--binary", "-Wno-fatal", "--Mdir", "verilated", "--top-module", bench.top, "-o", "sim"]
    _run(["verilator", *flags, *sources], folder)
    return _run([str(folder.resolve() / "verilated" / "sim")], folder)


_RUN: dict[str, Callable[[Bench, Path], str]] = {"iverilog": _icarus, "verilator": _verilator}


def _run(command: list[str], folder: Path) -> str:
    """Standard output of a command. Raises ToolError with what it said if it fails or hangs."""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program on files that we wrote
            command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise ToolError(f"{command[0]} ran longer than {TIMEOUT} s in {folder}") from None
    if done.returncode:
        raise ToolError(
            f"{command[0]} failed with status {done.returncode}: {_last(done.stderr or done.stdout)}"
        )
    return done.stdout


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no output"
