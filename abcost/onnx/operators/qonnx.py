"""Quantisers of QONNX: what Brevitas exports.

Source: Pappalardo et al., QONNX: Representing Arbitrary-Precision Quantized Neural Networks, arXiv:2206.07527.
Weights are constants, so their quantiser is computed by torch and binary weights are recognised by value.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from abcost.onnx.op import Op
from abcost.onnx.registry import operator

_ROUNDING: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "ROUND": torch.round,  # half to even
    "HALF_EVEN": torch.round,
    "CEIL": torch.ceil,
    "FLOOR": torch.floor,
    "UP": lambda x: torch.sign(x) * torch.ceil(torch.abs(x)),
    "DOWN": torch.trunc,
    "HALF_UP": lambda x: torch.sign(x) * torch.floor(torch.abs(x) + 0.5),
    "HALF_DOWN": lambda x: torch.sign(x) * torch.ceil(torch.abs(x) - 0.5),
}
MOST_BITS = 64
_INPUTS_OF_TRUNC_2 = 6


@operator("qonnx.BipolarQuant")
def bipolar_quant(op: Op) -> torch.Tensor:
    """Scale where x >= 0, -scale elsewhere. A scale of 1 is no multiplication."""
    return _scaled(op, _bipolar(op[0], op.dtype), 1)


@operator("qonnx.Quant", "qonnx.IntQuant")
def quant(op: Op) -> torch.Tensor:
    """(round(clamp(x / scale + zero, least, most)) - zero) * scale. Inputs: x, scale, zero, bits.

    One signed bit is the bipolar quantiser, as the reference has it. A scale of 1 and a zero
    point of 0 are no operations.
    """
    bits = _bits(op, 3)
    signed, narrow = bool(op.attr("signed", 1)), bool(op.attr("narrow", 0))
    y = _shifted(op, _divided(op, op[0], 1), 2)
    if bits == 1 and signed:
        y = _bipolar(y, op.dtype)
    else:
        y = _rounding(op, "ROUND")(torch.clamp(y, *_limits(bits, signed=signed, narrow=narrow)))
    return _scaled(op, _shifted(op, y, 2, -1), 1)


@operator("qonnx.Trunc")
def trunc(op: Op) -> torch.Tensor:
    """Whole numbers without their last bits; the number of inputs says which version it is.

    Version 1, (bits in - bits out) bits less. Inputs: x, scale, zero, bits in, bits out:
        (f(round(x / scale + zero) / 2^(bits in - bits out)) - zero) * scale
    Version 2, log2(scale out / scale) bits less. Inputs: x, scale, zero, bits in, scale out, bits out.
    With d = scale out / scale:
        (f(clamp(round(x / scale + zero) / d, limits of bits out)) - zero / d) * scale out
    """
    y = torch.round(_shifted(op, _divided(op, op[0], 1), 2))
    if len(op.inputs) < _INPUTS_OF_TRUNC_2:
        y = _rounding(op, "FLOOR")(y * 2.0 ** (_bits(op, 4) - _bits(op, 3)))
        return _scaled(op, _shifted(op, y, 2, -1), 1)
    divisor = torch.exp2(torch.round(torch.log2(op[4] / op[1])))
    signed, narrow = bool(op.attr("signed", 1)), bool(op.attr("narrow", 0))
    y = torch.clamp(y / divisor, *_limits(_bits(op, 5), signed=signed, narrow=narrow))
    y = _rounding(op, "FLOOR")(y)
    return _scaled(op, y if _is(op, 2, 0.0) else y - op[2] / divisor, 4)


@operator("qonnx.MultiThreshold")
def multi_threshold(op: Op) -> torch.Tensor:
    """out_scale * (number of thresholds that x reaches) + out_bias. Inputs: x, thresholds (channels or 1, steps).

    The channels are the axis that `data_layout` calls C; without it the last of three axes, else the second.
    """
    x, levels = op[0], op[1]
    if op.live[1] or levels.dim() != 2:
        raise op.refuse("thresholds have to be constants for (channels, steps)")
    axis = _channel_axis(op, x.dim())
    if levels.shape[0] not in (1, x.shape[axis]):
        raise op.refuse(f"thresholds of {levels.shape[0]} channels for {x.shape[axis]}")
    shape = [1] * x.dim()
    shape[axis] = levels.shape[0]
    levels = levels.reshape(*shape, levels.shape[1]).to(op.dtype)
    scale, bias = float(op.attr("out_scale", 1.0)), float(op.attr("out_bias", 0.0))
    if levels.shape[-1] == 0:
        return torch.full(x.shape, bias, dtype=op.dtype)
    if levels.shape[-1] == 1:
        y = (x >= levels.squeeze(-1)).to(op.dtype)
    else:
        y = (x.unsqueeze(-1) >= levels).to(op.dtype).sum(-1)
    y = y if scale == 1.0 else y * scale
    return y if bias == 0.0 else y + bias


def _channel_axis(op: Op, rank: int) -> int:
    layout = str(op.attr("data_layout", "")) or {3: "NWC"}.get(rank, "NC")
    axis = layout.index("C") if "C" in layout else 1
    if axis >= rank:
        raise op.refuse(f"data_layout {layout!r} does not fit {rank} axes")
    return axis


@operator("qonnx.FloatQuant")
def float_quant(op: Op) -> torch.Tensor:
    """Small floating-point numbers: constants are computed, activations refused.

    Inputs: x, scale, exponent bits, mantissa bits, exponent bias, largest value. With v = x / scale and f rounding,
    e = max(floor(log2|v|), 1 - bias) and a step of 2^(e - mantissa bits): clamp(f(v / step) * step) * scale.
    """
    if op.live[0]:
        raise op.refuse(
            "activations in small floating-point formats have no integer hardware; quantise them by IntQuant"
        )
    exponents, mantissa, bias, largest = (op.number(position) for position in (2, 3, 4, 5))
    if exponents is None or mantissa is None or bias is None:
        raise op.refuse("exponent bits, mantissa bits and exponent bias are needed")
    v = (op[0] / op[1]).to(torch.float64)
    least = 1.0 - bias
    e = torch.clamp(torch.floor(torch.log2(v.abs().clamp(min=2.0**-1074))), min=least)
    step = torch.exp2(e - mantissa)
    top = 2.0 ** (2.0**exponents - 1 - bias) * (2 - 2.0**-mantissa)
    top = top if largest is None else min(top, largest)
    y = _rounding(op, "ROUND")(v / step) * step
    if not op.attr("saturation", 1) and bool((y.abs() > top).any()):
        raise op.refuse("values beyond the largest become infinite or no number (saturation 0)")
    y = torch.clamp(y, -top, top)
    return (y * op[1]).to(op.dtype)


def _bipolar(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    one = torch.ones((), dtype=dtype)
    return torch.where(x >= 0, one, -one)


def _is(op: Op, position: int, value: float) -> bool:
    """Whether an input is this constant everywhere."""
    return op.constant(position) and bool((op[position] == value).all())


def _scaled(op: Op, x: torch.Tensor, position: int) -> torch.Tensor:
    return x if _is(op, position, 1.0) else x * op[position]


def _divided(op: Op, x: torch.Tensor, position: int) -> torch.Tensor:
    return x if _is(op, position, 1.0) else x / op[position]


def _shifted(op: Op, x: torch.Tensor, position: int, sign: int = 1) -> torch.Tensor:
    return x if _is(op, position, 0.0) else x + sign * op[position]


def _bits(op: Op, position: int) -> int:
    bits = op.number(position)
    if bits is None or not bits.is_integer() or not 1 <= bits <= MOST_BITS:
        raise op.refuse(f"a width of {bits} bits is not a whole number between 1 and {MOST_BITS}")
    return int(bits)


def _limits(bits: int, *, signed: bool, narrow: bool) -> tuple[float, float]:
    """Least and most of `bits` bits; narrow leaves one out, so that a signed range is symmetric."""
    if signed:
        return float(-(2 ** (bits - 1)) + narrow), float(2 ** (bits - 1) - 1)
    return 0.0, float(2**bits - 1 - narrow)


def _rounding(op: Op, default: str) -> Callable[[torch.Tensor], torch.Tensor]:
    mode = str(op.attr("rounding_mode", default)).upper()
    if mode not in _ROUNDING:
        raise op.refuse(f"rounding_mode {mode!r} is not one of {', '.join(sorted(_ROUNDING))}")
    return _ROUNDING[mode]
