"""The recording tensor: shapes (or real values) go in, op-graph nodes come out.

A `Tracer` stands for an activation. Operations on parameters alone never see one, so torch runs them for
real and their results are constants; an operation with at least one Tracer lands in `__torch_dispatch__`,
is handed to its handler, and yields new Tracers. In-place operations rebind the Tracer they write to.
A Tracer may also stand for a constant that borrowed its shape from an activation (`ones_like(x)`): it stays a
constant until an activation is written into it (`y[x < 0] = -1`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Self

import torch
from torch.utils._mode_utils import no_dispatch
from torch.utils._pytree import tree_map

from abcost.core.kinds import OpKind
from abcost.core.node import Constant
from abcost.errors import DataDependent, TraceError
from abcost.trace import shapes
from abcost.trace.recorder import Recorder
from abcost.trace.registry import find_handler

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


class Tracer(torch.Tensor):
    """An activation while it is recorded. `carried` has the shape (meta) or the values (CPU)."""

    carried: torch.Tensor
    node: str | None
    const: torch.Tensor | None  # the values, of a constant
    recorder: Recorder
    stale: str | None
    family: weakref.WeakSet[Tracer]

    def __new__(cls, inner: torch.Tensor, node: str | None, recorder: Recorder) -> Self:  # noqa: D102
        # the wrapper says "cpu" whatever carries the values, so that model code sees an ordinary tensor
        self: Self = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), dtype=inner.dtype, device=torch.device("cpu")
        )
        self.carried, self.node, self.recorder, self.stale = inner, node, recorder, None
        self.const = None
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
        if not isinstance(value, Tracer) or value.const is not None or value.shape != self.shape:
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

    @property
    def shown(self) -> str:
        """The operator as messages name it: "aten.convolution.default", "mylib::cube.default"."""
        return self.name if "::" in self.name else f"aten.{self.name}"

    def __getitem__(self, argument: str) -> Any:
        """The argument: a Tracer, a constant tensor, or a plain value."""
        return self.arguments[argument]

    def input(self, argument: str) -> str:
        """Name of the node that makes this argument. Raises TraceError for a constant."""
        value = self.arguments[argument]
        if not isinstance(value, Tracer):
            raise TraceError(
                f"{self.shown} with a constant {argument!r} has no handler, in {self.recorder.place()}"
            )
        return node_of(value)

    def constant(self, argument: str) -> torch.Tensor | None:
        """The argument as a constant tensor, None if absent. Raises TraceError for an activation."""
        value = self.arguments[argument]
        if isinstance(value, Tracer):
            raise TraceError(
                f"{self.shown} computes its {argument!r} from the input; only constant ones are supported, "
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
        if self.recorder.provenance is not None:
            consts = self.recorder.provenance.mark(consts or {}, self.arguments.values())
        return self.recorder.emit(
            kind, shape if shape is not None else self.shapes[0], inputs, attrs=attrs, consts=consts
        )

    def keep(self, kind: OpKind, **attrs: Any) -> str:
        """Append a node that keeps this call, which the interpreter replays; returns its name.

        attrs: of the node, beside `aten` (name) and `args` (see `abcost.core.replay`).
        """
        inputs: list[str] = []
        consts: dict[str, Constant] = {}

        def kept(value: Any) -> Any:
            if isinstance(value, Tracer):
                inputs.append(node_of(value))
                return {"in": len(inputs) - 1}
            if isinstance(value, torch.Tensor):
                role = f"c{len(consts)}"
                consts[role] = Constant(value.detach())
                return {"const": role}
            if isinstance(value, list | tuple):
                return [kept(part) for part in value]
            if isinstance(value, torch.dtype | torch.device | torch.memory_format | torch.layout):
                return None
            return value

        args = [kept(value) for value in self.arguments.values()]
        return self.emit(kind, inputs, attrs={"aten": self.name, "args": args, **attrs}, consts=consts)

    def refuse(self, why: str) -> TraceError:
        """The error for a form of the operator that is not supported, with the place."""
        return TraceError(f"{self.shown}: {why}, in {self.recorder.place()}")


def node_of(tracer: Tracer) -> str:
    """The node behind a Tracer. Raises TraceError if it has none or was overwritten through an alias."""
    if tracer.stale is not None:
        raise TraceError(tracer.stale)
    if tracer.node is None:
        raise TraceError(f"a result without a node (an index output?) is used in {tracer.recorder.place()}")
    return tracer.node


def _record(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    recorder, constants = _recorder_of(args, kwargs)
    written = args[0] if args else None
    if constants == "all":
        return _on_constants(func, args, kwargs, recorder)
    if constants == "some":
        args, kwargs = tree_map(_values_of_constant, args), tree_map(_values_of_constant, kwargs)
    name = f"{func.__name__}"
    packet = name.split(".", maxsplit=1)[0]
    if packet in _READS_VALUES and not recorder.real_values:
        raise DataDependent(f"{packet} reads the value of an activation in {recorder.place()}")

    mutable = func._schema.is_mutable
    target = _functional(func, recorder) if mutable else func
    result = _run(target, args, kwargs, recorder)
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
    outs = list(result) if isinstance(result, list | tuple) else [result]
    nodes = _handled(target, args, kwargs, outs, recorder)
    if isinstance(nodes, torch.Tensor):  # a constant that only borrows its shape from an activation
        return _rebind(written, outs[0], None, nodes) if mutable else constant_tracer(nodes, recorder)
    names: list[str | None] = [*nodes] if isinstance(nodes, list) else [nodes]
    names += [None] * (len(outs) - len(names))
    if mutable:
        if torch.Tag.inplace_view in func.tags:  # the outer tensor's own sizes change, too
            with no_dispatch():
                func(written, *args[1:], **kwargs)
        return _rebind(written, outs[0], names[0])
    wrapped = [Tracer(out, node, recorder) for out, node in zip(outs, names, strict=True)]
    _join_families(func, written, wrapped)
    return type(result)(wrapped) if isinstance(result, list | tuple) else wrapped[0]


def _run(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], recorder: Recorder) -> Any:
    """What the operator makes of what the Tracers carry.

    Raises DataDependent where there is no telling without values.
    """
    if not recorder.real_values and target.namespace == "aten":
        found = shapes.results_of(target.__name__, _mapped(_carried, args), kwargs)
        if found is not None:
            return found
    device = "cpu" if recorder.real_values else "meta"
    to_inner = lambda x: _inner(x, device)  # noqa: E731
    inner_kwargs = _mapped(to_inner, kwargs)
    if "device" in inner_kwargs:
        inner_kwargs["device"] = device
    try:
        return target(*_mapped(to_inner, args), **inner_kwargs)
    except NotImplementedError as error:
        raise DataDependent(f"{target.__name__} cannot run on shapes alone, in {recorder.place()}") from error


def _handled(
    target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outs: list[torch.Tensor], recorder: Recorder
) -> Any:
    """What the operator's handler says: the node of the result, one per result, or a constant."""
    namespace, name = target.namespace, str(target.__name__)
    full = name if namespace == "aten" else f"{namespace}::{name}"
    handler = find_handler(full, full.split(".")[0])
    if handler is None:
        raise TraceError(
            f"no handler for {full if '::' in full else f'aten.{name}'} in {recorder.place()}; replace the operation "
            f"in the model, or say in the model's file what it is: abcost.trace.handler({full!r}, kind=…), "
            'see the page "An operator of your own" of the documentation'
        )
    shapes = [tuple(o.shape) for o in outs]
    return handler(Call(full, _bind(target, args, kwargs), shapes, recorder, outs[0].dtype))


def constant_tracer(values: torch.Tensor, recorder: Recorder) -> Tracer:
    """A Tracer that stands for a constant, until an activation is written into it."""
    carried = values if recorder.real_values else torch.empty_like(values, device="meta")
    tracer = Tracer(carried, None, recorder)
    tracer.const = values
    return tracer


def _values_of_constant(value: Any) -> Any:
    return value.const if isinstance(value, Tracer) and value.const is not None else value


def _on_constants(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], recorder: Recorder) -> Any:
    """An operation on nothing but constants is run; its result is a constant.

    Raises TraceError for random numbers in the shape of an activation (dropout that is always on).
    """
    if torch.Tag.nondeterministic_seeded in func.tags:
        raise TraceError(
            f"aten.{func.__name__}: random numbers at inference have no fixed graph; leave them to training "
            f"(self.training), in {recorder.place()}"
        )
    result = func(*tree_map(_values_of_constant, args), **tree_map(_values_of_constant, kwargs))
    if func._schema.is_mutable:
        return args[0]
    wrap = lambda x: constant_tracer(x, recorder) if isinstance(x, torch.Tensor) else x  # noqa: E731
    wrapped = tree_map(wrap, result)
    results = list(wrapped) if isinstance(wrapped, list | tuple) else [wrapped]
    _join_families(func, args[0] if args else None, [x for x in results if isinstance(x, Tracer)])
    return wrapped


def _views_an_index(func: Any, args: tuple[Any, ...]) -> bool:
    """Whether a result without a node (the indices of a max pool) is only reshaped; nobody may read it after all."""
    views = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
    return bool(views and args and isinstance(args[0], Tracer) and args[0].node is None)


def _recorder_of(args: Any, kwargs: Any) -> tuple[Recorder, str]:
    """The capture in progress; and whether "all", "some" or "none" of the Tracers stand for constants."""
    found: list[Tracer] = []
    _find_tracers(args, found)
    _find_tracers(kwargs, found)
    recorder = found[0].recorder
    constants = 0
    for tracer in found:
        if tracer.recorder is not recorder:
            raise TraceError(
                "the model keeps an activation of an earlier call; clear its caches before the analysis"
            )
        if tracer.const is not None:
            if tracer.stale is not None:
                raise TraceError(tracer.stale)
            constants += 1
    return recorder, "none" if not constants else "all" if constants == len(found) else "some"


def _find_tracers(value: Any, found: list[Tracer]) -> None:
    if isinstance(value, Tracer):
        found.append(value)
    elif isinstance(value, list | tuple):
        for part in value:
            _find_tracers(part, found)
    elif isinstance(value, dict):
        _find_tracers(list(value.values()), found)


def _mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """Arguments of an operator, which are at most lists of lists, with `function` applied to each leaf."""
    if isinstance(value, list | tuple):
        return [_mapped(function, part) for part in value]
    if isinstance(value, dict):
        return {name: _mapped(function, part) for name, part in value.items()}
    return function(value)


def _carried(value: Any) -> Any:
    """What a Tracer carries; any other argument as it is. Raises TraceError for one that is out of date."""
    if isinstance(value, Tracer):
        node_of(value) if value.stale else None
        return value.carried
    return value


def _inner(value: Any, device: str) -> Any:
    value = _carried(value)
    return value.to(device) if isinstance(value, torch.Tensor) else value


def _functional(func: Any, recorder: Recorder) -> Any:
    packet, overload = func.__name__.split(".")
    overload = "int" if packet == "transpose_" else overload  # the one pair of which the names differ
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


def _rebind(written: Any, inner: torch.Tensor, node: str | None, const: torch.Tensor | None = None) -> Any:
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
    written.carried, written.node, written.const = inner, node, const
    return written


def _join_families(func: Any, viewed: Any, results: list[Tracer]) -> None:
    if any(r.alias_info is not None for r in func._schema.returns) and isinstance(viewed, Tracer):
        for result in results:
            viewed.family.add(result)
            result.family = viewed.family
