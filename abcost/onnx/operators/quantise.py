"""QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear; onnxruntime has the first two in its own domain, too."""

from __future__ import annotations

import torch

from abcost.onnx.op import Op
from abcost.onnx.quantisation import is_number, real, spread, whole
from abcost.onnx.registry import operator
from abcost.onnx.types import LIMITS, NAMES


@operator("QuantizeLinear", "ms.QuantizeLinear")
def quantize_linear(op: Op) -> torch.Tensor:
    """saturate(round(x / scale) + zero point). Inputs: x, scale, zero point.

    scale: one number, one for each index of `axis`, or one for each block of `block_size` along it.
    """
    axis, block = int(op.attr("axis", 1)), int(op.attr("block_size", 0))
    kind = int(op.attr("output_dtype", 0)) or op.type(2) or 2
    if kind not in LIMITS:
        raise op.refuse(f"quantising to {NAMES.get(kind, kind)} is not supported")
    x = op[0].to(op.dtype)
    divided = x if is_number(op, 1, 1) else x / spread(op, op[1], x, axis, block)
    return whole(op, divided, 2, LIMITS[kind], axis=axis, block=block)


@operator("DequantizeLinear", "ms.DequantizeLinear")
def dequantize_linear(op: Op) -> torch.Tensor:
    """(x - zero point) * scale. Inputs: x, scale, zero point."""
    kind = op.type(0)
    if kind and kind not in LIMITS:
        raise op.refuse(f"values of type {NAMES.get(kind, kind)} are not supported")
    return real(op, 0, axis=int(op.attr("axis", 1)), block=int(op.attr("block_size", 0)))


@operator("DynamicQuantizeLinear")
def dynamic_quantize_linear(op: Op) -> list[torch.Tensor]:
    """X in uint8, with a scale and zero point of its own: scale = (max - min) / 255, both with 0 among the values.

    Source: the ONNX operator's specification; a scale of 1 where all is 0 is onnxruntime's.
    """
    x = op[0].to(op.dtype)
    most, least = torch.clamp(x.amax(), min=0.0), torch.clamp(x.amin(), max=0.0)
    scale = (most - least) / 255
    scale = torch.where(scale == 0, torch.ones((), dtype=op.dtype), scale)
    zero = torch.clamp(torch.round(-least / scale), 0, 255)
    y = torch.clamp(torch.round(x / scale) + zero, 0, 255)
    return [y.to(torch.int64), scale, zero.to(torch.int64)]
