"""Capturing a model: run it once on recording tensors.

Primary capture: activations carry shapes only (meta tensors), parameters are real, so that everything that
depends on parameters alone is evaluated and can be read by value. If the model asks for the value of an
activation (data-dependent control flow, an operator without a meta kernel) the capture is repeated with
real activations drawn from a seeded normal distribution, and the report says so. `.pt2` and ONNX files are run node
by node, because a program has no modules to watch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from abcost.core.graph import OpGraph
from abcost.core.inputs import InputSpec, example_inputs, of_models_type
from abcost.core.kinds import OpKind
from abcost.errors import AbcostError, DataDependent, ModelError, TraceError, one_line
from abcost.nn.late import is_late, values_of
from abcost.onnx.program import OnnxProgram, Step
from abcost.trace.provenance import Provenance
from abcost.trace.recorder import Recorder
from abcost.trace.recurrent import OPERATORS, traced_state, with_state
from abcost.trace.tracer import Tracer, node_of


@dataclass(frozen=True, slots=True)
class Traced:
    """A captured graph, and how it was captured."""

    graph: OpGraph
    capture: str  # "shapes" | "values": what activations carried
    warnings: tuple[str, ...] = ()


def trace(model: nn.Module, inputs: tuple[InputSpec, ...]) -> Traced:
    """Capture one forward pass of `model`, in eval mode, whatever mode it is in (it is put back).

    Raises TraceError (with module path and source line) for what cannot be represented, ModelError if the
    model itself fails or keeps parameters without values. An input of type float32 takes the type of the model's
    parameters.
    """
    _need_values(model)
    inputs = of_models_type(inputs, model)
    generator = torch.get_rng_state()
    try:
        graph, capture, warnings = _capture(model, inputs, real_values=False), "shapes", []
    except DataDependent as reason:
        graph, capture = _capture(model, inputs, real_values=True), "values"
        warnings = [
            f"captured with real activations, because {reason}; the graph holds for inputs that take the same path"
        ]
    if not torch.equal(generator, torch.get_rng_state()):
        warnings.append(
            "the model draws random numbers (or seeds their generator) in forward; "
            "the graph holds those of one run as constants"
        )
    return Traced(graph, capture, tuple(warnings))


def _need_values(model: nn.Module) -> None:
    late = {id(module.weight) for module in model.modules() if is_late(module)}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if tensor.is_meta and id(tensor) not in late:
            raise ModelError(
                f"parameter {name!r} is on the meta device and has no values, which abcost reads; "
                "build the model on the CPU (or call model.to_empty and load a checkpoint)"
            )


def _capture(model: nn.Module, inputs: tuple[InputSpec, ...], *, real_values: bool) -> OpGraph:
    recorder = Recorder(real_values=real_values)
    values = (
        example_inputs(inputs)
        if real_values
        else [torch.empty(s.shape, dtype=s.dtype, device="meta") for s in inputs]
    )
    recorder.source = ""  # an input stands nowhere in the model's code
    tracers = [
        Tracer(
            value,
            recorder.emit(
                OpKind.INPUT, spec.shape, [], attrs={"dtype": str(spec.dtype).removeprefix("torch.")}
            ),
            recorder,
        )
        for value, spec in zip(values, inputs, strict=True)
    ]
    recorder.source = None
    run = _runner(model, recorder)
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(_eval_mode(model))
        stack.enter_context(_mha_slow_path())
        stack.enter_context(_recurrent_slow_path(model))
        stack.enter_context(torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH))
        stack.enter_context(_watch_modules(model, recorder))
        recorder.provenance = stack.enter_context(Provenance(model, Tracer))
        try:
            result = run(*tracers)
        except AbcostError:
            raise
        except (Exception, GeneratorExit) as error:
            raise ModelError(
                f"the model fails on an input of shape {' and '.join(s.text for s in inputs)}: "
                f"{type(error).__name__}: {one_line(error)}"
            ) from error
    _record_outputs(result, recorder)
    return recorder.edit.freeze()


def _record_outputs(result: Any, recorder: Recorder) -> None:
    leaves = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
    activations = [
        (number, leaf)
        for number, leaf in enumerate(leaves)
        if isinstance(leaf, Tracer) and leaf.const is None
    ]
    if not activations:
        raise TraceError("the model's output does not depend on its input (no traced tensor was returned)")
    recorder.source = ""
    for number, tracer in activations:  # a returned parameter is no output of the graph, but has its number
        recorder.emit(OpKind.OUTPUT, tuple(tracer.shape), [node_of(tracer)], attrs={"leaf": number})


class _eval_mode:  # noqa: N801 - reads as a function where it is used
    """Eval mode for the block; every module's own mode is put back afterwards."""

    def __init__(self, model: nn.Module) -> None:
        self._modes = [(module, module.training) for module in model.modules()]

    def __enter__(self) -> None:
        for module, _ in self._modes:
            module.training = False

    def __exit__(self, *_: object) -> None:
        for module, mode in self._modes:
            module.training = mode


class _mha_slow_path:  # noqa: N801
    """nn.MultiheadAttention's fused inference path is one opaque operator; take the written-out one."""

    def __enter__(self) -> None:
        self._was = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)

    def __exit__(self, *_: object) -> None:
        torch.backends.mha.set_fastpath_enabled(self._was)


@contextmanager
def _recurrent_slow_path(model: nn.Module) -> Iterator[None]:
    """The CPU library's recurrent layers are one opaque operator; take the written-out ones."""
    backend, was = torch.backends.mkldnn, torch.backends.mkldnn.enabled
    if any(isinstance(module, nn.RNNBase | torch.fx.GraphModule) for module in model.modules()):
        backend.enabled = False  # type: ignore[assignment]
    try:
        yield
    finally:
        backend.enabled = was


class _watch_modules:  # noqa: N801
    """Keep the recorder's stack of module paths while modules of `model` run."""

    def __init__(self, model: nn.Module, recorder: Recorder) -> None:
        self._paths = {id(module): name for name, module in model.named_modules()}
        self._recurrent = [m for m in model.modules() if isinstance(m, nn.RNNBase | nn.RNNCellBase)]
        self._recorder = recorder
        self._layers = recorder.layers
        self._handles: list[Any] = []
        self._drawn: list[
            ExitStack
        ] = []  # weights of the modules that are running, where those are drawn late

    def __enter__(self) -> None:
        hooks = torch.nn.modules.module
        self._handles = [
            hooks.register_module_forward_pre_hook(self._enter),
            *[
                module.register_forward_pre_hook(self._give_state, with_kwargs=True)
                for module in self._recurrent
            ],
            hooks.register_module_forward_hook(self._leave, always_call=True),
        ]

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _enter(self, module: nn.Module, _args: Any) -> None:
        # a module that is not registered (a plain attribute in a list) belongs to its caller
        self._layers.append(self._paths.get(id(module), self._layers[-1]))
        if is_late(module):
            self._drawn.append(ExitStack())
            weight = self._drawn[-1].enter_context(values_of(module))
            if weight is not None and self._recorder.provenance is not None:
                self._recorder.provenance.keep(f"{self._layers[-1]}.weight", weight)

    def _give_state(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        return with_state(module, args, kwargs, self._recorder)

    def _leave(self, module: nn.Module, _args: Any, _result: Any) -> None:
        self._layers.pop()
        if is_late(module):
            self._drawn.pop().close()


def _runner(model: nn.Module, recorder: Recorder) -> Callable[..., Any]:
    """How the model is called: programs without modules run node by node."""
    if isinstance(model, OnnxProgram):
        return lambda *inputs: model.run(inputs, lambda step: _at(step, recorder))
    return _fx_runner(model, recorder) if isinstance(model, torch.fx.GraphModule) else model


@contextmanager
def _at(step: Step, recorder: Recorder) -> Iterator[None]:
    """The ONNX node stands in for module path and source line, so that every row of a report names its node."""
    recorder.source = f"ONNX {step.operator}"
    with recorder.inside(step.name):
        yield
    recorder.source = None


def _fx_runner(program: torch.fx.GraphModule, recorder: Recorder) -> Callable[..., Any]:
    """Run an exported program node by node, taking module path and source line from its metadata."""

    class Runner(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> Any:
            stack = n.meta.get("nn_module_stack") or {}
            path = next(reversed(stack.values()))[0] if stack else ""
            recorder.source = _exported_source(n.meta.get("stack_trace") or "")
            recorder.operators = tuple(str(n.target).split("."))
            with recorder.inside(path.removeprefix("L['self'].").removeprefix("L['self']")):
                return super().run_node(n)

        def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if getattr(target, "__name__", "").partition(".")[0] in OPERATORS:
                args = (args[0], traced_state(args[1], args[0], recorder), *args[2:])
            return super().call_function(target, args, kwargs)

    def run(*args: Any) -> Any:
        try:
            result = Runner(program).run(*args)
        except AbcostError as error:  # the interpreter appends the program's node and its stack
            raise type(error)(str(error).partition("\n")[0]) from error
        recorder.source, recorder.operators = None, ()
        return result

    return run


def _exported_source(stack_trace: str) -> str:
    """Last "File …, line …" of an export's stack trace as "folder/file.py:line"."""
    frames = [line.strip() for line in stack_trace.splitlines() if line.strip().startswith("File ")]
    if not frames:
        return ""
    file, line = frames[-1].split(",")[:2]
    return f"{'/'.join(Path(file.removeprefix('File ').strip(chr(34))).parts[-2:])}:{line.split()[-1]}"
