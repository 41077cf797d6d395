"""The recording tensor: shapes (or real values) go in, op-graph nodes come out.

A `Tracer` stands for an activation. Operations on parameters alone never see one, so torch runs them for
real and their results are constants; an operation with at least one Tracer lands in `__torch_dispatch__`,
is handed to its handler, and yields new Tracers. In-place operations rebind the Tracer they write to.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Self

import torch
import torch._dynamo  # torch imports these two at the first dispatch; better here than inside the first analysis
import torch.distributed.tensor
from torch.utils._pytree import tree_map

from abcost.core.edit import Edit
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode
from abcost.errors import DataDependent, TraceError
from abcost.trace.provenance import Provenance
from abcost.trace.registry import find_handler

_NOT_THE_USER = tuple(
    f"{Path(file).parent}{os.sep}" for file in (torch.__file__, __file__)
)  # torchvision is no part of torch
_CAPTURE = str(Path(__file__).with_name("capture.py"))  # the file that calls the model
_READS_VALUES = frozenset(
    {
        "_local_scalar_dense",
        "nonzero",
        "masked_select",
        "is_nonzero",
        "_unique2",
        "equal",
        "unique_dim",
        "unique_consecutive",
    }
)


class Recorder:
    """One capture in progress: the draft graph, where in the model we are, and how values are carried."""

    def __init__(self, *, real_values: bool) -> None:
        self.edit = Edit()
        self.real_values = real_values
        self.layers: list[str] = [""]  # stack of module paths
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


class Tracer(torch.Tensor):
    """An activation while it is recorded. `carried` has the shape (meta) or the values (CPU)."""

    carried: torch.Tensor
    node: str | None
    recorder: Recorder
    stale: str | None
    family: weakref.WeakSet[Tracer]

    def __new__(cls, inner: torch.Tensor, node: str | None, recorder: Recorder) -> Self:  # noqa: D102
        # the wrapper says "cpu" whatever carries the values, so that model code sees an ordinary tensor
        self: Self = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), dtype=inner.dtype, device=torch.device("cpu")
        )
        self.carried, self.node, self.recorder, self.stale = inner, node, recorder, None
        self.family = weakref.WeakSet([self])
        return self

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @property
    def data(self) -> torch.Tensor:
        """The value without its gradient, as torch has it."""
        return self.detach()

    @data.setter
    def data(self, value: torch.Tensor) -> None:
        """`x.data = f(x.data)` is an in-place write; torch would swap the storage behind the recorder's back."""
        if not isinstance(value, Tracer) or value.shape != self.shape:
            raise TraceError(
                f".data of an activation is set to a constant or another shape in {self.recorder.place()}"
            )
        _rebind(self, value.carried, node_of(value))

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Tracer({tuple(self.shape)}, {self.node!r})"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _record(func, args, kwargs or {})


class Call:
    """One ATen call as a handler sees it: arguments by schema name, shapes of the results, and `emit`."""

    def __init__(
        self,
        name: str,
        arguments: dict[str, Any],
        shapes: list[tuple[int, ...]],
        recorder: Recorder,
        dtype: torch.dtype,
    ) -> None:
        self.name = name  # "convolution.default"
        self.arguments = arguments
        self.shapes = shapes
        self.recorder = recorder
        self.dtype = dtype  # of the first result

    def __getitem__(self, argument: str) -> Any:
        """The argument: a Tracer, a constant tensor, or a plain value."""
        return self.arguments[argument]

    def input(self, argument: str) -> str:
        """Name of the node that makes this argument. Raises TraceError for a constant."""
        value = self.arguments[argument]
        if not isinstance(value, Tracer):
            raise TraceError(
                f"aten.{self.name} with a constant {argument!r} has no handler, in {self.recorder.place()}"
            )
        return node_of(value)

    def constant(self, argument: str) -> torch.Tensor | None:
        """The argument as a constant tensor, None if absent. Raises TraceError for an activation."""
        value = self.arguments[argument]
        if isinstance(value, Tracer):
            raise TraceError(
                f"aten.{self.name} computes its {argument!r} from the input; only constant ones are supported, "
                f"in {self.recorder.place()}"
            )
        return None if value is None else torch.as_tensor(value)

    def emit(
        self,
        kind: OpKind,
        inputs: list[str],
        *,
        attrs: dict[str, Any] | None = None,
        consts: dict[str, Constant] | None = None,
        shape: tuple[int, ...] | None = None,
    ) -> str:
        """Append a node (of the call's first result shape unless told otherwise); returns its name."""
        consts = {role: self._from_parameters(constant) for role, constant in (consts or {}).items()}
        return self.recorder.emit(
            kind, shape if shape is not None else self.shapes[0], inputs, attrs=attrs, consts=consts
        )

    def _from_parameters(self, constant: Constant) -> Constant:
        """The constant with the names of the parameters that it comes from.

        It is one of the call's constants or a view of one, or was computed from it by the handler: then it is that of
        as many elements, or any.
        """
        provenance = self.recorder.provenance
        if provenance is None or constant.shared is not None:
            return constant
        given = [value for value in self.arguments.values() if isinstance(value, torch.Tensor)]
        given = [value for value in given if not isinstance(value, Tracer)]
        alike = [value for value in given if value.numel() == constant.count]
        origins = provenance.of([constant.values]) or provenance.of(alike) or provenance.of(given)
        return replace(constant, shared=", ".join(sorted(origins))) if origins else constant

    def refuse(self, why: str) -> TraceError:
        """The error for a form of the operator that is not supported, with the place."""
        return TraceError(f"aten.{self.name}: {why}, in {self.recorder.place()}")


def node_of(tracer: Tracer) -> str:
    """The node behind a Tracer. Raises TraceError if it has none or was overwritten through an alias."""
    if tracer.stale is not None:
        raise TraceError(tracer.stale)
    if tracer.node is None:
        raise TraceError(f"a result without a node (an index output?) is used in {tracer.recorder.place()}")
    return tracer.node


def _record(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    recorder = _recorder_of(args, kwargs)
    name = f"{func.__name__}"
    packet = name.split(".", maxsplit=1)[0]
    if packet in _READS_VALUES and not recorder.real_values:
        raise DataDependent(f"{packet} reads the value of an activation in {recorder.place()}")

    inner_device = "cpu" if recorder.real_values else "meta"
    to_inner = lambda x: _inner(x, inner_device)  # noqa: E731
    mutable = func._schema.is_mutable
    target = _functional(func, recorder) if mutable else func
    inner_kwargs = tree_map(to_inner, kwargs)
    if "device" in inner_kwargs:
        inner_kwargs["device"] = inner_device
    try:
        result = target(*tree_map(to_inner, args), **inner_kwargs)
    except NotImplementedError as error:
        raise DataDependent(f"{name} cannot run on shapes alone, in {recorder.place()}") from error

    if not any(
        isinstance(part, torch.Tensor) for part in (result if isinstance(result, list | tuple) else [result])
    ):
        return result
    if _views_an_index(func, args):
        wrapped = [
            Tracer(part, None, recorder)
            for part in (result if isinstance(result, list | tuple) else [result])
        ]
        return type(result)(wrapped) if isinstance(result, list | tuple) else wrapped[0]
    handler = find_handler(str(target.__name__), str(target.__name__).split(".")[0])
    if handler is None:
        raise TraceError(
            f"no handler for aten.{target.__name__} in {recorder.place()}; "
            "add one in abcost/trace/handlers/, or replace the operation in the model"
        )
    outs = list(result) if isinstance(result, list | tuple) else [result]
    shapes = [tuple(o.shape) for o in outs]
    call = Call(str(target.__name__), _bind(target, args, kwargs), shapes, recorder, outs[0].dtype)
    nodes = handler(call)
    if isinstance(nodes, torch.Tensor):  # a constant that only borrows its shape from an activation
        return nodes
    names: list[str | None] = [*nodes] if isinstance(nodes, list) else [nodes]
    names += [None] * (len(outs) - len(names))
    if mutable:
        return _rebind(args[0], outs[0], names[0])
    wrapped = [Tracer(out, node, recorder) for out, node in zip(outs, names, strict=True)]
    _join_families(func, args, wrapped)
    return type(result)(wrapped) if isinstance(result, list | tuple) else wrapped[0]


def _views_an_index(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether a result without a node (the indices of a max pool) is only reshaped; nobody may read it after all."""
    views = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
    return bool(views and args and isinstance(args[0], Tracer) and args[0].node is None)


def _recorder_of(args: Any, kwargs: Any) -> Recorder:
    found: list[Recorder] = []
    tree_map(lambda x: found.append(x.recorder) if isinstance(x, Tracer) else None, (args, kwargs))
    if any(recorder is not found[0] for recorder in found):
        raise TraceError(
            "the model keeps an activation of an earlier call; clear its caches before the analysis"
        )
    return found[0]


def _inner(value: Any, device: str) -> Any:
    if isinstance(value, Tracer):
        node_of(value) if value.stale else None
        return value.carried
    return value.to(device) if isinstance(value, torch.Tensor) else value


def _functional(func: Any, recorder: Recorder) -> Any:
    packet, overload = func.__name__.split(".")
    twin = getattr(getattr(torch.ops.aten, packet.rstrip("_"), None), overload, None)
    if not packet.endswith("_") or twin is None:
        raise TraceError(
            f"aten.{func.__name__} writes into its arguments in {recorder.place()}; use its functional form"
        )
    return twin


def _bind(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    bound: dict[str, Any] = {}
    for position, argument in enumerate(func._schema.arguments):
        if position < len(args):
            bound[argument.name] = args[position]
        else:
            bound[argument.name] = kwargs.get(argument.name, argument.default_value)
    return bound


def _rebind(written: Any, inner: torch.Tensor, node: str | None) -> Any:
    if not isinstance(written, Tracer):
        raise TraceError(
            "the model writes an activation into a constant tensor; build the result with torch.cat or torch.where"
        )
    place = written.recorder.place()
    for alias in list(written.family):
        if alias is not written:
            alias.stale = (
                f"a tensor is read after another view of it was written in place in {place}; avoid that"
            )
    written.carried, written.node = inner, node
    return written


def _join_families(func: Any, args: tuple[Any, ...], results: list[Tracer]) -> None:
    if any(r.alias_info is not None for r in func._schema.returns) and args and isinstance(args[0], Tracer):
        for result in results:
            args[0].family.add(result)
            result.family = args[0].family


Handler = Callable[[Call], "str | list[str | None] | torch.Tensor"]
