"""Multiply-accumulates by fvcore, an independent count to hold ours against.

fvcore calls one multiply-accumulate one flop. `formula_macs` applies its formulas to the traced shapes and costs
nothing; `analysis_macs` lets fvcore trace and run the model itself.
"""

from __future__ import annotations

import copy
import importlib.util
import logging
import warnings
from functools import cache
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from abcost.core.graph import OpGraph
from abcost.core.inputs import InputSpec, example_inputs, of_models_type
from abcost.core.kinds import DOTS, OpKind

_DOT_OPERATORS = (
    "conv",
    "linear",
    "addmm",
    "matmul",
    "bmm",
    "baddbmm",
    "einsum",
)  # fvcore's names of dot products

_FUSED_DOTS = (
    "attention",
    "encoder_layer",
    "lstm",
    "gru",
    "rnn",
)  # parts of names of operators with dots inside

_WITHOUT_FORMULA = frozenset(
    f"aten::{name}"
    for name in (
        "addbmm", "addmv", "baddbmm", "bilinear", "chain_matmul", "dot", "inner", "linalg_multi_dot", "mv",
        "tensordot", "vdot", "_trilinear",
    )
)  # fmt: skip
"""Dot products that fvcore skips as if they cost nothing."""


def formula_macs(graph: OpGraph) -> int:
    """All dot products of the graph by fvcore's formula for convolutions, and products of sizes for the rest."""
    conv_flop_count = _formulas().conv_flop_count
    total = 0
    for node in graph:
        weight = node.const("weight")
        if node.kind is OpKind.CONV and weight is not None:
            x, w = list(graph.sources(node)[0].shape), list(weight.values.shape)
            total += int(conv_flop_count(x, w, list(node.shape), node.attrs["transposed"]))
        elif node.kind in DOTS:  # (…, M, K) @ (K, N): M * K * N
            total += prod(node.shape) * graph.sources(node)[0].shape[-1]
    return total


@cache
def _formulas() -> ModuleType:
    """The file of fvcore's formulas alone: its package loads all else that fvcore has, and scripts functions."""
    package = importlib.util.find_spec("fvcore")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("no module named 'fvcore', which abcost requires")
    file = Path(package.origin).with_name("nn") / "jit_handles.py"
    spec = importlib.util.spec_from_file_location("abcost._fvcore_formulas", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def analysis_macs(model: nn.Module, inputs: tuple[InputSpec, ...]) -> int | None:
    """What FlopCountAnalysis counts for dot products when it runs the model.

    None where it cannot: torch.jit.trace fails, or the model uses operators with dot products inside that fvcore has no
    formula for (attention, recurrent layers, `dot`), or an einsum of more than two operands, which fvcore counts in
    the order that NumPy would choose. Its formula for matmul leaves out a batch that only the second operand has
    (`weight @ x`); ours, products of sizes, stands in.
    """
    with warnings.catch_warnings(action="ignore"):
        from fvcore.nn import FlopCountAnalysis  # noqa: PLC0415 - slow to import

        try:
            with torch.no_grad():
                analysis = FlopCountAnalysis(
                    copy.deepcopy(model).eval(), tuple(example_inputs(of_models_type(inputs, model)))
                )
                analysis.unsupported_ops_warnings(enabled=False).uncalled_modules_warnings(enabled=False)
                analysis.set_op_handle("aten::matmul", _matmul_macs, "aten::einsum", _einsum_of_two)
                counts = analysis.by_operator()
                skipped = analysis.unsupported_ops()
        except Exception as error:  # noqa: BLE001 - torch.jit.trace fails on many models that are fine
            logging.getLogger(__name__).info("fvcore cannot analyse the model: %s", error)
            return None
    if _WITHOUT_FORMULA & set(skipped) or any(
        word in operator for operator in skipped for word in _FUSED_DOTS
    ):
        return None
    return int(sum(counts[name] for name in _DOT_OPERATORS))


def _matmul_macs(inputs: list[Any], outputs: list[Any]) -> int:
    """Elements of the result times the length of the sum."""
    from fvcore.nn.jit_handles import get_shape  # noqa: PLC0415 - slow to import

    result, left = get_shape(outputs[0]), get_shape(inputs[0])
    return prod(int(size) for size in result) * int(left[-1])


def _einsum_of_two(inputs: list[Any], outputs: list[Any]) -> Any:
    """Fvcore's formula; raises for more than two operands."""
    from fvcore.nn.jit_handles import einsum_flop_jit  # noqa: PLC0415 - slow to import

    operands = list(inputs[1].node().inputs())
    if len(operands) > 2:
        raise NotImplementedError(f"an einsum of {len(operands)} operands")
    return einsum_flop_jit(inputs, outputs)
