"""What a search is compared with: the same network with slopes that nobody searched, trained alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor

from abcost.core.edit import Edit
from abcost.core.exponents import ExponentSet
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.node import Constant
from abcost.models.checkpoint import read_checkpoint
from abcost.models.network import of_zoo
from abcost.searching.evaluator import Design, Evaluation, Evaluator, Retraining, retraining
from abcost.searching.pricing import quantities
from abcost.searching.problem import Problem, network_graph
from abcost.searching.space import Candidate

FREE, REAL = "quantized RPReLU", "real PReLU"
FIXED = MappingProxyType({"fixed 2^-3": -3, "fixed 2^-7": -7})
BASELINES = (*FIXED, FREE, REAL)
"""Of the paper's slope ablation: every slope fixed, learned as a power of two (any), learned as a real number."""


def baselines_of(model: str, *, bit_true: bool = False) -> tuple[str, ...]:
    """Baselines of a network; of the user's own only those that need no other building of it.

    Where designs are judged bit by bit there is no real PReLU: rewriting turns its slopes into shifts.
    """
    return BASELINES if of_zoo(model) and not bit_true else (*FIXED, FREE)


def design_of_baseline(name: str, problem: Problem, like: Candidate) -> Design:
    """Design of a baseline: without retraining it is the start with these slopes.

    Its size, registers, device and frame rate are those of `like`; its weight scales are not rounded.
    """
    slopes = dict.fromkeys(_layers(problem, like), ExponentSet([FIXED[name]])) if name in FIXED else None
    return Design(slopes, None, "none", like.size, like.width, like.fraction, like.device, like.fps)


def baseline(
    name: str, seed: int, problem: Problem, evaluator: Evaluator, place: str, like: Candidate
) -> Retraining:
    """The training of a baseline, kept in `place`."""
    design = design_of_baseline(name, problem, like)
    config = retraining(problem, design, epochs=problem.settings.epochs[-1], seed=seed)
    if name != REAL:
        return Retraining(config, place, design.size, forms=(design.form,))
    config = replace(config, variant="bn-free")
    start = evaluator.converted(config, design.size, _with_real_slopes)
    return Retraining(config, place, design.size, start, (design.form,))


def cost_of(
    name: str, reached: Evaluation, problem: Problem, like: Candidate | None = None
) -> dict[str, float | None]:
    """Quantities of a baseline, with its trained weights; of free slopes, the exponents that training ended with.

    like: what it is beside its slopes; default: as the settings say.
    """
    like = like or Candidate(())
    config = problem.sized(like.size)
    if name == REAL and problem.settings.epochs:
        config = replace(config, variant="bn-free")
    slopes = dict.fromkeys(_layers(problem, like), ExponentSet([FIXED[name]])) if name in FIXED else None
    rewriting = problem.rewriting(slopes=slopes, fraction=like.fraction)
    graph = network_graph(config, problem.data, rewriting, reached.checkpoint)
    if name == REAL:
        graph = _with_real_prelus(graph, read_checkpoint(reached.checkpoint).tensors)
    return quantities(graph, problem.hardware_for(like.width, like.fraction, like.device, like.fps))


def _layers(problem: Problem, like: Candidate) -> list[str]:
    return [layer for layers in problem.space.present(like.size).values() for layer in layers]


def _with_real_slopes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of a network with power-of-two slopes, as one with real slopes holds it."""
    return {
        (name.replace(".L_alpha", ".weight") if name.endswith(".L_alpha") else name): (
            torch.exp2(tensor.round()) if name.endswith(".L_alpha") else tensor
        )
        for name, tensor in tensors.items()
    }


def _with_real_prelus(graph: OpGraph, tensors: Mapping[str, Tensor]) -> OpGraph:
    """The same network where every PReLU multiplies by its slope: the trained one, or, untrained, the power of two."""
    edit = Edit(graph)
    for node in graph.of_kind(OpKind.SHIFT_PRELU):
        exponent = node.consts["exponent"].real()
        trained = tensors.get(f"{node.layer}.weight")
        slope = torch.exp2(exponent) if trained is None else trained.double().reshape(exponent.shape)
        edit.replace(node, kind=OpKind.PRELU, consts={"slope": Constant(slope)})
    return edit.freeze()
