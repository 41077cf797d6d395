"""Verification by execution: every stage runs next to the one before.

Fixed point (hardware's arithmetic) must agree to the bit at every node the two stages share, wherever all
rewrites between them are exact. Floating point must agree to rounding, unless constants were changed. The
traced graph itself runs next to the torch model. Inputs: normal noise, all zeros, an image that is nonzero
at its border only, and a probe that puts every binarisation exactly on its threshold and one step around it.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from abcost.core.graph import OpGraph
from abcost.core.inputs import InputSpec, example_inputs
from abcost.core.interpret import Arithmetic, Execution, FixedPoint, Floating, execute
from abcost.core.kinds import OpKind
from abcost.core.lockstep import Differences, differences, distance
from abcost.core.log import LogEntry
from abcost.core.node import OpNode
from abcost.core.values import Values
from abcost.errors import ModelError, one_line
from abcost.trace.double import float64_only

_FLOAT_TOLERANCE = 1e-9
"""Largest relative difference that counts as rounding in float64 (2**-53 each, over some thousand operations)."""

_BEYOND = 2.0**16
"""Levels of this magnitude are no thresholds of a value that fixed point holds with bits to spare."""

ROUNDING = ", rounding"
"""Behind the name of a stage: its lossy first part, executed apart so that the exact rest is held to exactness."""


@dataclass(frozen=True, slots=True)
class Stepped:
    """A stage to verify: its graph, whether it promises exactness, and the rewrites that changed constants."""

    name: str
    graph: OpGraph
    exact: bool = True
    changes: tuple[LogEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two stages (or the model and its trace) on one set of inputs in one arithmetic.

    error: largest |difference| over all compared values; output_error: over the outputs; where: the node of
    the largest, and its layer. promised: whether the two had to agree.
    """

    before: str
    after: str
    arithmetic: str
    inputs: str
    error: float
    output_error: float
    where: str
    compared: int
    promised: bool

    tolerance: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether what was promised is so."""
        return not self.promised or self.error <= self.tolerance


@dataclass(frozen=True, slots=True, repr=False)
class Verification:
    """All comparisons, and what the hardware's sign convention does to this network; what `abcost.verify` returns.

    Errors and values are in the units of the network's outputs and tensors.
    """

    comparisons: tuple[Comparison, ...]
    changes: tuple[LogEntry, ...]  # rewrites that rounded constants, with the largest error each
    zero_signs: int  # signs of exactly 0 met on the normal inputs, of ...
    signs: int  # ... so many
    sign_convention_error: float  # largest output difference between sign(0) = 0 and sign(0) = +1
    widest_value: float  # largest magnitude in fixed-point execution
    fraction_bits: int  # of that

    def __repr__(self) -> str:
        answer = "all exact rewrites are exact" if self.holds else "an exact rewrite was NOT exact"
        return f"<Verification: {answer}, {len(self.comparisons)} comparisons of stages; .summary()>"

    def summary(self) -> str:
        """How much was compared, how wide values are, what signs of 0 do, and the answer: a few lines."""
        compared = sum(c.compared for c in self.comparisons)
        widest = max(1, int(self.widest_value)).bit_length() + 1 + self.fraction_bits
        return (
            f"{compared:,} values compared. Fixed point: {self.fraction_bits} fraction bits; the widest value is "
            f"{self.widest_value:.4g} and needs {widest} bits in all.\n"
            f"Signs of exactly 0 on the normal inputs: {self.zero_signs:,} of {self.signs:,}; taking them as +1, "
            f"as hardware does, moves the outputs by at most {self.sign_convention_error:.3g}.\n"
            + ("All exact rewrites are exact." if self.holds else "An exact rewrite was NOT exact.")
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, as `abcost verify --format json` writes it beside schema and model."""
        return {
            "holds": self.holds,
            "comparisons": [{**asdict(c), "holds": c.holds} for c in self.comparisons],
            "rounded_constants": [
                {"rule": e.rule, "layer": e.layer, "error": e.error, "error_unit": e.error_unit}
                for e in self.changes
            ],
            "sign_convention": {
                "zeros": self.zero_signs,
                "signs": self.signs,
                "max_abs_error": self.sign_convention_error,
            },
            "widest_value": self.widest_value,
        }

    @property
    def holds(self) -> bool:
        """Whether every exact rewrite was exact."""
        return all(comparison.holds for comparison in self.comparisons)

    def error_of(self, stage: str) -> float | None:
        """Largest output difference of a stage from the one before, over all inputs; None if not compared."""
        errors = [
            c.output_error
            for c in self.comparisons
            if c.after.removesuffix(ROUNDING) == stage and c.arithmetic in ("fixed point", "float64")
        ]
        return max(errors, default=None)


def double_copy(model: nn.Module, *, owned: bool = False) -> nn.Module:
    """A float64 copy, so that rounding cannot flip a sign between the model and its graph.

    owned: nobody else needs the model, which is changed itself. Raises ModelError if that fails.
    """
    try:
        return (model if owned else copy.deepcopy(model)).double().eval()
    except (Exception, GeneratorExit) as error:
        raise ModelError(
            f"verification needs a float64 copy of the model, which failed: {one_line(error)}"
        ) from error


def verify_stages(
    model: nn.Module, stages: Sequence[Stepped], inputs: tuple[InputSpec, ...], fraction_bits: int
) -> Verification:
    """Run everything next to its predecessor. `model` is the float64 model that `stages[0]` was traced from."""
    normal, zeros = example_inputs(inputs), [torch.zeros(s.shape, dtype=s.dtype) for s in inputs]
    probes = {"normal": normal, "zeros": zeros, "border": [_border(x) for x in normal]}
    traced = stages[0].graph
    written, zero_signs, signs = _as_written(traced, normal)
    comparisons = [
        _against_model(model, stages[0], "normal", normal, written),
        _against_model(model, stages[0], "zeros", zeros, None),
    ]
    fixed = FixedPoint(fraction_bits)
    for name, values in probes.items():
        comparisons += _steps(stages, values, name, fixed)[0]
    floating, hardware = _steps(stages, normal, "normal", Floating(hardware_sign=True))
    comparisons += floating
    for before, after in itertools.pairwise(stages):
        overrides = threshold_probe(before.graph, after.graph, fixed)
        if overrides:
            comparisons += _steps((before, after), normal, "thresholds", fixed, overrides)[0]
    if hardware is None:  # there is one stage only
        hardware = execute(traced, normal, Floating(hardware_sign=True))
    convention = max(distance(written[name], value) for name, value in hardware.items())
    changes = tuple(entry for stage in stages for entry in stage.changes)
    return Verification(
        tuple(comparisons), changes, zero_signs, signs, convention, fixed.largest, fraction_bits
    )


def _border(image: torch.Tensor) -> torch.Tensor:
    """Keep the outermost frame of the last two axes."""
    if image.dim() < 4 or not image.is_floating_point():
        return image
    inner = torch.zeros_like(image)
    inner[..., 1:-1, 1:-1] = image[..., 1:-1, 1:-1]
    return image - inner


def _against_model(
    model: nn.Module,
    traced: Stepped,
    inputs_name: str,
    values: Sequence[torch.Tensor],
    got: Mapping[str, torch.Tensor] | None,
) -> Comparison:
    """The trace next to the model; weights that were read through single-precision noise promise no more than that.

    got: the outputs of the trace, if they are known.
    """
    graph = traced.graph
    feed = [v.double() if v.is_floating_point() else v for v in values]
    leaves = _run_model(model, feed)
    got = execute(graph, feed, Floating()) if got is None else got
    wanted = [leaves[int(graph.node(name).attrs["leaf"])] for name in got]
    errors = [distance(w.double(), g) for w, g in zip(wanted, got.values(), strict=True)]
    size = max(_largest(w) for w in wanted)
    error, tolerance = max(errors), _FLOAT_TOLERANCE * max(1.0, size)
    if error > tolerance:
        _same_again(model, feed, leaves)
    return Comparison(
        "model",
        "traced",
        "float64",
        inputs_name,
        error,
        error,
        next(iter(got)),
        sum(w.numel() for w in wanted),
        promised=not traced.changes,
        tolerance=tolerance,
    )


def _run_model(model: nn.Module, feed: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The tensors that the model returns. Raises ModelError if it fails."""
    try:
        with torch.no_grad(), float64_only():
            result = model(*feed)
    except Exception as failure:
        reason = " ".join(str(failure).split())[:300] or "no message"
        raise ModelError(f"verification runs the model in float64, which failed: {reason}") from failure
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]


def _same_again(model: nn.Module, feed: Sequence[torch.Tensor], first: Sequence[torch.Tensor]) -> None:
    """Raises ModelError if another run on the same input gives something else: then no graph can be the model."""
    second = _run_model(model, feed)
    differences = [distance(a.double(), b.double()) for a, b in zip(first, second, strict=False)]
    if max(differences, default=0.0) > 0:
        raise ModelError(
            f"two runs of the model on the same input differ by up to {max(differences):.3g}: it draws random numbers "
            "in forward (torch.rand, bernoulli, dropout that is always on) or keeps state between calls; a model that "
            "answers one input in two ways cannot be verified"
        )


def _steps(
    stages: Sequence[Stepped],
    values: Sequence[torch.Tensor],
    inputs_name: str,
    arithmetic: Arithmetic,
    overrides: Mapping[str, torch.Tensor] | None = None,
) -> tuple[list[Comparison], dict[str, torch.Tensor] | None]:
    """Every stage next to the one before, and the outputs of the first; None of a stage that is alone.

    Nodes keep their names for as long as they keep their values, so equal names must have equal values.
    """
    graphs = [stage.graph for stage in stages]
    pairs = differences(graphs, values, arithmetic, overrides=overrides) if len(graphs) > 1 else []
    found = [
        _comparison(before, after, pair, inputs_name, floating=isinstance(arithmetic, Floating))
        for (before, after), pair in zip(itertools.pairwise(stages), pairs, strict=True)
    ]
    return found, pairs[0].outputs if pairs else None


def _comparison(
    before: Stepped, after: Stepped, pair: Differences, inputs_name: str, *, floating: bool
) -> Comparison:
    where = max(pair.errors, key=lambda name: pair.errors[name])
    return Comparison(
        before.name,
        after.name,
        "floating point" if floating else "fixed point",
        inputs_name,
        pair.errors[where],
        max(pair.errors[name] for name in pair.outputs),
        where,
        pair.elements,
        promised=after.exact and not (floating and after.changes),
        tolerance=_FLOAT_TOLERANCE * max(1.0, pair.largest) if floating else 0.0,
    )


def _largest(values: torch.Tensor) -> float:
    """The largest magnitude; 0 of a tensor without elements."""
    return float(values.abs().max()) if values.numel() else 0.0


class _Probes(Mapping[str, torch.Tensor]):
    """Tensors by name, made when they are asked for: together they would be as large as all activations."""

    def __init__(self, made: Mapping[str, Callable[[], torch.Tensor]]) -> None:
        self._made = made

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._made[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


def threshold_probe(before: OpGraph, after: OpGraph, arithmetic: FixedPoint) -> Mapping[str, torch.Tensor]:
    """Values for what every decision of `after` reads, if `before` has it too: on each threshold, a step below, above.

    A step is one of the fixed-point grid, or 1 where only whole numbers can come.
    """
    made: dict[str, Callable[[], torch.Tensor]] = {}
    for decision in after.of_kind(OpKind.SIGN, OpKind.THRESHOLD, OpKind.QUANTISE):
        (root,) = after.sources(decision)
        if root.name not in before or root.shape != decision.shape or root.kind is OpKind.INPUT:
            continue
        made[root.name] = partial(_probe, decision, root, after.values(root), arithmetic)
    return _Probes(made)


def _probe(decision: OpNode, root: OpNode, values: Values, arithmetic: FixedPoint) -> torch.Tensor:
    whole = values.code is not None and values.code.whole
    step = 1.0 if whole else 2.0**-arithmetic.fraction_bits
    place = torch.arange(root.elements).reshape(root.shape)
    level = _levels(decision, place // 3, arithmetic)
    level = torch.where(
        level.abs() < _BEYOND, level, 0.0
    )  # a channel that is constant has its level far away
    probe = level + (place % 3 - 1).to(torch.float64) * step
    return probe.clamp(values.least, values.most) if whole else probe


def _levels(decision: OpNode, turn: torch.Tensor, arithmetic: FixedPoint) -> torch.Tensor:
    """A threshold for each element: of several each in its turn."""
    match decision.kind:
        case OpKind.SIGN:
            return torch.zeros(decision.shape, dtype=torch.float64)
        case OpKind.THRESHOLD:
            return arithmetic.constant(decision.consts["level"]).expand(decision.shape)
        case _:
            levels = arithmetic.constant(decision.consts["levels"])
            every = torch.stack([level.expand(decision.shape) for level in levels])
            return torch.gather(every, 0, (turn % len(levels))[None])[0]


def _as_written(graph: OpGraph, values: Sequence[torch.Tensor]) -> tuple[dict[str, torch.Tensor], int, int]:
    """The outputs with torch's sign(0) = 0, and how many signs were exactly 0, of how many."""
    execution = Execution(graph, values, Floating(), keep=lambda node: node.kind is OpKind.OUTPUT)
    zeros = signs = 0
    for step in execution.steps:
        execution.run(replace(step, done=()))
        for node in step.nodes:
            if node.kind in (OpKind.SIGN, OpKind.THRESHOLD):
                value = execution.opened(execution.values[node.name])
                zeros, signs = zeros + int((value == 0).sum()), signs + value.numel()
        for name in step.done:
            execution.values.pop(name, None)
    return execution.kept, zeros, signs
