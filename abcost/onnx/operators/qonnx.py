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
    """Whole numbers without their last (bits in - bits out) bits. Inputs: x, scale, zero, bits in, bits out."""
    if len(op.inputs) > 5 or op.version > 1:
        raise op.refuse("only version 1 (five inputs) is supported")
    y = torch.round(_shifted(op, _divided(op, op[0], 1), 2))
    y = _rounding(op, "FLOOR")(y * 2.0 ** (_bits(op, 4) - _bits(op, 3)))
    return _scaled(op, _shifted(op, y, 2, -1), 1)


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
