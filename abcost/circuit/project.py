"""The folder of a circuit: top.v, rtl/ with a module a file and the contents of memories, and what was found out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from abcost.accelerator.parts import fpga_of
from abcost.circuit.make import Circuit
from abcost.circuit.page import page
from abcost.circuit.scripts import scripts_of
from abcost.errors import OutputError, UsageError
from abcost.rtl.unit import Unit

REPORT, PAGE = "build.json", "build.html"


def files_of(circuit: Circuit) -> dict[str, str]:
    """Path in the folder -> content. A memory file is as long as its memory: what is missing would be zeros."""
    top = circuit.top
    modules = {f"rtl/{name}.v": text for name, text in top.verilog.items()}
    contents = {f"rtl/{name}": text for name, text in top.files.items()}
    return {"top.v": top.text, **modules, **contents, **scripts(circuit)}


def scripts(circuit: Circuit) -> dict[str, str]:
    """Name -> text of the scripts for tools of its device."""
    top, accelerator = circuit.top, circuit.accelerator
    verilog = ["top.v", *sorted(f"rtl/{name}.v" for name in top.verilog)]
    return scripts_of(
        fpga_of(accelerator.device),
        verilog,
        sorted(f"rtl/{name}" for name in top.files),
        accelerator.clock_mhz,
    )


def check_folder(out: Path) -> None:
    """Refuse a place that is no folder before the slow work. Raises OutputError."""
    try:
        if out.exists() and not out.is_dir():
            raise OutputError(f"--out {out} is not a folder")
    except (OSError, ValueError) as error:  # a name too long; a NUL in it
        raise OutputError(f"--out {out}: {getattr(error, 'strerror', None) or error}") from error


def write_circuit(circuit: Circuit, out: Path) -> int:
    """Write what is not there yet; the number of files. Raises OutputError, and UsageError for files that differ.

    The same command writes the same files, so that it goes on where it was killed.
    """
    files = files_of(circuit)
    for name, text in files.items():
        file = out / name
        if file.exists() and (not file.is_file() or file.read_bytes() != text.encode()):
            raise UsageError(
                f"--out {out} holds another {name} than this command writes: name another folder, or remove it"
            )
    try:
        (out / "rtl").mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            _write(out / name, text.encode())
    except OSError as error:
        raise OutputError(f"cannot write {error.filename}: {error.strerror}") from error
    return len(files)


def write_report(content: Mapping[str, Any], out: Path) -> None:
    """build.json and build.html, each whole or not at all. Raises OutputError."""
    try:
        _write(out / REPORT, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())
        _write(out / PAGE, page(content).encode())
    except OSError as error:
        raise OutputError(f"cannot write {error.filename}: {error.strerror}") from error


def write_bitstream(content: bytes, out: Path, suffix: str) -> str:
    """top.bit or top.bin, whole or not at all, over one of another seed; its name. Raises OutputError."""
    try:
        _write(out / f"top{suffix}", content)
    except OSError as error:
        raise OutputError(f"cannot write {error.filename}: {error.strerror}") from error
    return f"top{suffix}"


def _write(file: Path, content: bytes) -> None:
    if file.exists() and file.read_bytes() == content:
        return
    half = file.with_name(file.name + ".half")
    half.write_bytes(content)
    half.replace(file)


def modules_by_stage(circuit: Circuit) -> dict[str, list[Unit]]:
    """Layer -> its modules at the top: window, FIFOs of residual operands, engine; "logits" -> the last FIFO."""
    from abcost.emit.project import identifier  # noqa: PLC0415

    found: dict[str, list[Unit]] = {}
    for stage in circuit.net.stages:
        own = identifier(stage.name)
        names = [f"{own}_window", *(f"{own}_x{side.side}_fifo" for side in stage.sides), own]
        found[stage.name] = [circuit.top.modules[name] for name in names]
    return {**found, "logits": [circuit.top.modules["logits_fifo"]]}
