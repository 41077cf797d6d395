"""How each tool is called, and how its answer is read: one function per tool, used by `peers.py`.

A function gets a model with its input shape (or a QONNX file of it) and returns an `Answer`; nothing is printed.
Imports stay inside, because import time is part of what is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Held:
    """A model as the tools take it."""

    model: nn.Module
    shape: tuple[int, ...]
    file: Path | None = None  # the same network as QONNX


@dataclass(frozen=True)
class Answer:
    """What a tool says. total: its own figure, in `unit`; macs: the same as multiply-accumulates, if it is one."""

    total: float
    unit: str
    macs: float
    parameters: int | None
    split: dict[str, float] = field(default_factory=dict)  # by type of operand or of operation


def abcost(held: Held) -> Answer:
    """All operations of the traced network, by class."""
    from abcost.core.inputs import InputSpec
    from abcost.cost import CostTable
    from abcost.cost.organisation import Lanes
    from abcost.models.subject import Subject
    from abcost.pipeline import analyze_subject
    from abcost.rewrite import RewriteOptions

    subject = Subject(held.model, "peer", None, (InputSpec(held.shape),), trained=True)
    return _ours(subject, CostTable.load("fpga-lut6"), Lanes(), RewriteOptions(), analyze_subject)


def abcost_qonnx(held: Held) -> Answer:
    """The same, from the QONNX file."""
    from abcost.cost import CostTable
    from abcost.cost.organisation import Lanes
    from abcost.models.subject import Request, resolve
    from abcost.pipeline import analyze_subject
    from abcost.rewrite import RewriteOptions

    subject = resolve(Request(str(held.file)))
    return _ours(subject, CostTable.load("fpga-lut6"), Lanes(), RewriteOptions(), analyze_subject)


def _ours(subject: Any, table: Any, lanes: Any, rewriting: Any, analyze: Callable[..., Any]) -> Answer:
    (report,) = analyze(subject, [table], width=None, organisation=lanes, rewriting=rewriting)
    counted = report.stages[0].tally
    classes = {kind.value: count for kind, count in counted.by_class().items()}
    macs = {
        "1 x 1 bit": counted.macs.xnor,
        "1 bit x real": counted.macs.signed_add,
        "real": counted.macs.real,
    }
    split = {f"MACs {name}": count for name, count in macs.items()}
    return Answer(sum(classes.values()), "operations", counted.macs.total, report.parameters, split | classes)


def fvcore(held: Held) -> Answer:
    """FlopCountAnalysis: one multiply-accumulate is one flop."""
    from fvcore.nn import FlopCountAnalysis, parameter_count

    analysis = FlopCountAnalysis(held.model, torch.zeros(held.shape))
    analysis.unsupported_ops_warnings(enabled=False).uncalled_modules_warnings(enabled=False)
    counts = {name: float(count) for name, count in analysis.by_operator().items()}
    return Answer(
        analysis.total(), "flops (1 per MAC)", analysis.total(), parameter_count(held.model)[""], counts
    )


def torchinfo(held: Held) -> Answer:
    """Mult-adds of modules."""
    import torchinfo as tool

    found = tool.summary(held.model, input_data=torch.zeros(held.shape), verbose=0, device="cpu")
    return Answer(found.total_mult_adds, "mult-adds", found.total_mult_adds, found.total_params)


def ptflops(held: Held) -> Answer:
    """MACs, by its default backend."""
    from ptflops import get_model_complexity_info

    macs, parameters = get_model_complexity_info(
        held.model, tuple(held.shape[1:]), as_strings=False, print_per_layer_stat=False, verbose=False
    )
    return Answer(macs, "MACs", macs, parameters)


def ptflops_aten(held: Held) -> Answer:
    """MACs, by its other backend."""
    from ptflops import get_model_complexity_info

    macs, parameters = get_model_complexity_info(
        held.model,
        tuple(held.shape[1:]),
        as_strings=False,
        print_per_layer_stat=False,
        verbose=False,
        backend="aten",
    )
    return Answer(macs, "MACs", macs, parameters)


def calflops(held: Held) -> Answer:
    """FLOPs, and MACs of its own."""
    from calflops import calculate_flops

    flops, macs, parameters = calculate_flops(
        held.model, args=[torch.zeros(held.shape)], print_results=False, output_as_string=False
    )
    return Answer(flops, "FLOPs (2 per MAC)", macs, parameters)


def flop_counter(held: Held) -> Answer:
    """Torch's own mode: two flops per multiply-accumulate."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as mode, torch.no_grad():
        held.model(torch.zeros(held.shape))
    total = mode.get_total_flops()
    split = {str(name): float(count) for name, count in mode.get_flop_counts().get("Global", {}).items()}
    return Answer(total, "FLOPs (2 per MAC)", total / 2, None, split)


def qonnx(held: Held) -> Answer:
    """Inference cost of a QONNX file: MACs by the types of both operands."""
    from qonnx.util.inference_cost import inference_cost

    cost = inference_cost(str(held.file), discount_sparsity=False)["total_cost"]
    split = {name: count for name, count in cost.items() if name.startswith("op_mac_")}
    return Answer(cost["total_macs"], "MACs", cost["total_macs"], int(cost["total_mem_w_elems"]), split)


TOOLS: dict[str, tuple[Callable[[Held], Answer], str, str]] = {
    "abcost": (abcost, "abcost", "torch"),
    "abcost, QONNX": (abcost_qonnx, "abcost", "file"),
    "fvcore": (fvcore, "fvcore", "torch"),
    "torchinfo": (torchinfo, "torchinfo", "torch"),
    "ptflops, pytorch": (ptflops, "ptflops", "torch"),
    "ptflops, aten": (ptflops_aten, "ptflops", "torch"),
    "calflops": (calflops, "calflops", "torch"),
    "FlopCounterMode": (flop_counter, "torch", "torch"),
    "qonnx": (qonnx, "qonnx", "file"),
}
"""Name -> function, package (for its version), and what it reads."""
