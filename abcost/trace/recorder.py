"""One capture in progress: the draft graph, where in the model we are, and how values are carried."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from abcost.core.edit import Edit
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode
from abcost.trace.provenance import Provenance

_NOT_THE_USER = tuple(
    f"{Path(file).parent}{os.sep}" for file in (torch.__file__, __file__)
)  # torchvision is no part of torch
_CAPTURE = str(Path(__file__).with_name("capture.py"))  # the file that calls the model


class Recorder:
    """One capture in progress."""

    def __init__(self, *, real_values: bool) -> None:
        self.edit = Edit()
        self.real_values = real_values
        self.layers: list[str] = [""]  # stack of module paths
        self.operators: tuple[
            str, ...
        ] = ()  # of an exported program, while it runs: name of its present node's target
        self.provenance: Provenance | None = None  # where constants come from, while the model runs
        self.source: str | None = None  # set by captures that know the source line themselves

    def here(self) -> str:
        """Source line of the user's statement that is running: "folder/file.py:line"."""
        if self.source is not None:
            return self.source
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            name = frame.f_code.co_filename
            if name == _CAPTURE:  # out of the model: torch's own modules called it, as in nn.Sequential
                return ""
            if not name.startswith(_NOT_THE_USER):
                return f"{'/'.join(Path(name).parts[-2:])}:{frame.f_lineno}"
            frame = frame.f_back
        return ""

    def calls(self, function: str) -> bool:
        """Whether a function of torch of this name is running, which calls the operator that is being recorded."""
        if function in self.operators:
            return True
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename != _CAPTURE:
            if frame.f_code.co_name == function and frame.f_code.co_filename.startswith(_NOT_THE_USER):
                return True
            frame = frame.f_back
        return False

    def place(self) -> str:
        """Module path and source line, for messages."""
        layer = self.layers[-1] or "the model itself"
        return f"{layer} ({self.here() or 'source unknown'})"

    @contextmanager
    def inside(self, layer: str) -> Iterator[None]:
        """Name the module that performs the operations of the block."""
        self.layers.append(layer)
        try:
            yield
        finally:
            self.layers.pop()

    def emit(
        self,
        kind: OpKind,
        shape: tuple[int, ...],
        inputs: list[str],
        *,
        attrs: dict[str, Any] | None = None,
        consts: dict[str, Constant] | None = None,
    ) -> str:
        """Append a node at the present place; returns its name, "layer/kind" made unique."""
        layer = self.layers[-1]
        name = self.edit.unique(f"{layer}/{kind.value}" if layer else kind.value)
        node = OpNode(name, kind, shape, layer, self.here(), attrs or {}, consts or {})
        return self.edit.add(node, inputs)
