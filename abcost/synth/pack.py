"""Packers: from what nextpnr placed to a bitstream. They come with its packages of PyPI, or are on PATH."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from abcost.errors import ToolError
from abcost.synth.parts import Part
from abcost.synth.tools import run_program, start_alone

_SAYS_VERSION = ("ecppack",)  # icepack has no such option


@dataclass(frozen=True, slots=True)
class Packer:
    """A way to start one. version: its own, "" where it does not say; suffix: of its bitstreams."""

    tool: str  # ecppack | icepack, with yowasp- in front where it comes from PyPI
    command: tuple[str, ...]
    version: str
    suffix: str

    def __str__(self) -> str:
        return f"{self.tool} {self.version}".strip()

    def pack(self, configuration: bytes) -> bytes:
        """The bitstream. Raises ToolError if the tool fails, or leaves none."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "placed").write_bytes(configuration)
            command = [*self.command, "placed", "packed"]
            if self.tool.startswith("yowasp-"):
                start_alone(self.tool, command, folder, {"YOWASP_MOUNT": "/=."})
            else:
                run_program(self.tool, command, folder)
            try:
                return (folder / "packed").read_bytes()
            except OSError:
                raise ToolError(f"{self.tool} ended without an error but left no bitstream") from None


def find_packer(part: Part) -> Packer | None:
    """The packer of a part: that of PyPI beside nextpnr, or that on PATH; None where there is none.

    Raises ToolError if it is there and does not start.
    """
    if part.packing is None:
        return None
    tool, suffix = part.packing.tool, part.packing.suffix
    package = f"yowasp_nextpnr_{part.family}"
    if importlib.util.find_spec(package) is not None:
        run = f"run_{tool}"
        start = f"import sys; from {package} import {run}; sys.exit({run}(sys.argv[1:]))"
        version = importlib.metadata.version(package.replace("_", "-"))
        return Packer(f"yowasp-{tool}", (sys.executable, "-c", start), version, suffix)
    path = shutil.which(tool)
    return None if path is None else Packer(tool, (path,), _version(tool, path), suffix)


def _version(tool: str, path: str) -> str:
    if tool not in _SAYS_VERSION:
        return ""
    match = re.search(r"Version (\S+)", run_program(tool, [path, "--version"], Path.cwd()))
    return "" if match is None else match[1]
