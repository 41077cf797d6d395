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
from abcost.searching.lab import Design, Judged, Lab, Training, retraining
from abcost.searching.pricing import quantities
from abcost.searching.problem import Problem, network_graph

FREE, REAL = "quantized RPReLU", "real PReLU"
FIXED = MappingProxyType({"fixed 2^-3": -3, "fixed 2^-7": -7})
BASELINES = (*FIXED, FREE, REAL)
"""Of the paper's slope ablation: every slope fixed, learned as a power of two (any), learned as a real number."""


def baselines_of(model: str) -> tuple[str, ...]:
    """Of a network of the user's own, those that it can be without being built otherwise."""
    return BASELINES if of_zoo(model) else (*FIXED, FREE)


def design_of_baseline(name: str, problem: Problem) -> Design:
    """Without retraining, a baseline is the start with these slopes."""
    return Design(dict.fromkeys(_layers(problem), ExponentSet([FIXED[name]])) if name in FIXED else None)


def baseline(name: str, seed: int, problem: Problem, lab: Lab, place: str) -> Training:
    """The training of a baseline, kept in `place`."""
    design = design_of_baseline(name, problem)
    config = retraining(problem, design, epochs=problem.settings.epochs[-1], seed=seed)
    if name != REAL:
        return Training(config, place)
    config = replace(config, variant="bn-free")
    return Training(config, place, lab.converted(config, _with_real_slopes))


def cost_of(name: str, reached: Judged, problem: Problem) -> dict[str, float | None]:
    """Quantities of a baseline, with its trained weights; of free slopes, the exponents that training ended with."""
    config = problem.config
    if name == REAL and problem.settings.epochs:
        config = replace(config, variant="bn-free")
    slopes = dict.fromkeys(_layers(problem), ExponentSet([FIXED[name]])) if name in FIXED else None
    graph = network_graph(config, problem.data, problem.rewriting(slopes=slopes), reached.checkpoint)
    if name == REAL:
        graph = _with_real_prelus(graph, read_checkpoint(reached.checkpoint).tensors)
    return quantities(graph, problem.hardware)


def _layers(problem: Problem) -> list[str]:
    return [layer for layers in problem.space.groups.values() for layer in layers]


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
