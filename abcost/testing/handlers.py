"""What the handler of an operator promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from abcost.core.graph import OpGraph
from abcost.core.inputs import InputSpec
from abcost.core.interpret import FixedPoint, Floating, execute
from abcost.core.lockstep import distance
from abcost.core.serialize import graph_from_json, graph_to_json
from abcost.errors import GraphError
from abcost.pipeline import stages_in_double, verify_subject
from abcost.rewrite import RewriteOptions
from abcost.testing.contract import hold, on_grid, specs_of, subject_of
from abcost.trace.double import float64_only
from abcost.trace.registry import find_handler
from abcost.verifying import double_copy


def check_handler(
    operator: str,
    module: nn.Module,
    *shapes: Sequence[int] | InputSpec,
    fraction_bits: int = 12,
    steps: int = 4,
) -> None:
    """Raises AssertionError unless what the handler records is what the operator computes.

    - `module` calls the operator, and a handler of it is registered.
    - The graph, executed, equals the module in float64 (to rounding, 1e-9 of the largest value), on noise and on zeros;
      a call that is kept as it is needs its `replay` for that.
    - In fixed point, on inputs that it holds exactly, the graph is within `steps` of 2**-fraction_bits of the module.
    - All stages of the graph are exact where they say so, as in `abcost verify`.
    - A value that is met is one that the graph says the node can have: what is counted and priced rests on that.
    - The graph written to JSON and read again computes the same.

    operator: as `abcost.trace.handler` takes it, "mylib::cube" or "cumsum.default".
    module: calls it on inputs of these shapes; parameters that are multiples of 2**-fraction_bits keep fixed point
    near.
    """
    what = f"handler of {operator}"
    hold(find_handler(operator, operator.partition(".")[0]) is not None, f"{what}: none is registered")
    specs = specs_of(shapes)
    inputs = on_grid(specs, fraction_bits)
    wanted = _run(what, operator, module, inputs)
    options = RewriteOptions(fraction_bits=fraction_bits)
    _check_stages(what, module, specs, options)
    graph = stages_in_double(subject_of(module, specs), options).stages[0].graph
    fixed = _outputs(graph, inputs, FixedPoint(fraction_bits))
    error, most = distance(wanted.double(), fixed[0]), steps * 2.0**-fraction_bits
    hold(
        error <= most,
        f"{what}: in fixed point with {fraction_bits} fraction bits off by {error:.3g}, more than {steps} steps "
        f"({most:.3g})",
    )
    _check_values(what, graph, inputs)
    _check_file(what, graph, inputs, fraction_bits)


def _run(what: str, operator: str, module: nn.Module, inputs: list[torch.Tensor]) -> torch.Tensor:
    """What the module returns in float64. Raises AssertionError if it does not call the operator."""
    model, called = double_copy(module), _Called()
    with torch.no_grad(), float64_only(), called:
        result = model(*[x.clone() for x in inputs])
    hold(
        bool({operator, operator.partition(".")[0]} & called.names),
        f"{what}: {type(module).__name__} does not call it, but {', '.join(sorted(called.overloads)) or 'nothing'}",
    )
    if not isinstance(result, torch.Tensor):
        name, given = type(module).__name__, type(result).__name__
        raise AssertionError(f"{what}: {name} gives a {given}, not one tensor")  # noqa: TRY004 - as all of them
    return result


def _check_stages(
    what: str, module: nn.Module, specs: tuple[InputSpec, ...], options: RewriteOptions
) -> None:
    try:
        verification = verify_subject(subject_of(module, specs), options)
    except GraphError as error:  # there is no replay, or it fails
        raise AssertionError(f"{what}: {error}") from error
    for c in verification.comparisons:
        hold(
            c.holds,
            f"{what}: {c.after} differs from {c.before} by {c.error:.3g} at {c.where} ({c.arithmetic}, {c.inputs})",
        )


def _check_file(what: str, graph: OpGraph, inputs: list[torch.Tensor], fraction_bits: int) -> None:
    again = graph_from_json(graph_to_json(graph))
    for arithmetic in (Floating(), FixedPoint(fraction_bits)):
        same = zip(_outputs(graph, inputs, arithmetic), _outputs(again, inputs, arithmetic), strict=True)
        kept = all(torch.equal(a, b) for a, b in same)
        hold(kept, f"{what}: the graph from its JSON file computes otherwise")


class _Called(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the operators that are called, with and without their overloads."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.overloads: set[str] = set()

    @property
    def names(self) -> set[str]:
        """Both forms of every name."""
        return self.overloads | {name.partition(".")[0] for name in self.overloads}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Note it, and call it."""
        name = str(func.__name__)
        self.overloads.add(name if func.namespace == "aten" else f"{func.namespace}::{name}")
        return func(*args, **(kwargs or {}))


def _outputs(
    graph: OpGraph, inputs: list[torch.Tensor], arithmetic: Floating | FixedPoint
) -> list[torch.Tensor]:
    return list(execute(graph, inputs, arithmetic).values())


def _check_values(what: str, graph: OpGraph, inputs: list[torch.Tensor]) -> None:
    seen = execute(graph, inputs, Floating(hardware_sign=True), keep=lambda _node: True)
    for node in graph:
        hold(
            graph.values(node).contains(seen[node.name].double()),
            f"{what}: {node} has a value that its kind and attributes say it cannot have",
        )
