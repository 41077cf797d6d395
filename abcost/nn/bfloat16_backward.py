"""Gradients from products in bfloat16, behind a forward pass that stays as it is.

Most of a training step are the two products behind every convolution: of the gradient with the weight, and of the
gradient with the input. Processors with products of bfloat16 take half the time for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import BackwardCFunction, FunctionCtx
from torch.overrides import TorchFunctionMode

FEWEST_CHANNELS = 8  # that a kernel reads; with fewer, conversions cost what products save

# whether the processor has them; torch computes them on others too, but slower than in single precision
MULTIPLIES_BFLOAT16 = any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))

Gradients = tuple[Tensor | None, ...]
"""Of x, the weight and, where there is one, the bias; None where nobody wants it."""
Call = Callable[..., Any]


class Bfloat16Backward(TorchFunctionMode):
    """While it is entered, gradients behind convolutions and linear layers are made of bfloat16 operands.

        y = f(x, w)                            as without, to the bit
        dx = r(f_x(r(g), r(w)))
        dw = r(f_w(r(g), r(x)))

    g: the gradient of y;  r: rounding to bfloat16, 8 significant bits, in which signs are exact.  torch sums the
    products in single precision; dx and dw are float32 again. Of small maps, which are convolved tap by tap, what
    every tap adds to dx is rounded. Biases keep their gradient, and what is not float32 on a CPU keeps all.

    It changes calls of torch.conv1d, conv2d, conv3d and bmm, of nn.functional.linear, and the fast forms of
    `WeightedConv2d`; the backward pass may run after it is left. Convolutions whose kernels read fewer than
    `FEWEST_CHANNELS` channels (of pictures, or depthwise ones) stay as they are.

    >>> w = torch.nn.Parameter(torch.tensor([[1.0]]))
    >>> with Bfloat16Backward():
    ...     y = torch.nn.functional.linear(torch.tensor([[1.001]]), w)
    >>> y.backward()
    >>> y.item() == torch.tensor(1.001).item(), w.grad.item()
    (True, 1.0)
    """

    def __enter__(self) -> Self:
        """Make gradients of bfloat16 operands from here on."""
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __torch_function__(
        self,
        func: Call,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """The call, with another derivative if it is one of those."""
        call = _CALLS.get(func) if torch.is_grad_enabled() else None
        found = None if call is None else call(*args, **(kwargs or {}))
        if found is None:
            return func(*args, **(kwargs or {}))
        gradients, operands = found
        return _Rounded.apply(func, gradients, *operands)  # type: ignore[no-untyped-call]


class _Rounded(torch.autograd.Function):
    """func(x, weight, *rest), whose gradients are gradients(grad, r(x), r(weight), wanted, *rest)."""

    @staticmethod
    def forward(ctx: FunctionCtx, func: Call, gradients: Call, x: Tensor, weight: Tensor, *rest: Any) -> Any:
        ctx.save_for_backward(x.bfloat16(), weight.bfloat16())
        ctx.gradients, ctx.rest = gradients, [None if isinstance(r, Tensor) else r for r in rest]  # type: ignore[attr-defined]
        return func(x, weight, *rest)

    @staticmethod
    def backward(ctx: BackwardCFunction, grad: Tensor) -> Gradients:
        saved: tuple[Tensor, ...] = ctx.saved_tensors
        x, weight = saved
        wanted = ctx.needs_input_grad[2:]
        found: Gradients = ctx.gradients(grad, x, weight, wanted, *ctx.rest)  # type: ignore[attr-defined]
        single = [None if of is None else of.float() for of in found]
        return (None, None, *single, *[None] * (len(wanted) - len(single)))


Found = tuple[Call, tuple[Any, ...]] | None
"""How gradients are computed, and the arguments of the call in order; None leaves the call as it is."""


def _rounds(x: Tensor, weight: Tensor) -> bool:
    """Whether somebody wants gradients of what is single precision on the CPU, and is multiplied so."""
    if not (x.requires_grad or weight.requires_grad):
        return False
    single = x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return single and x.device.type == "cpu"


def _convolution(
    input: Tensor,  # noqa: A002 - as torch calls it
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | str = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Found:
    one_image = input.dim() < weight.dim()
    if (
        one_image
        or isinstance(padding, str)
        or weight.shape[1] < FEWEST_CHANNELS
        or not _rounds(input, weight)
    ):
        return None
    axes = weight.dim() - 2
    geometry = [[of] * axes if isinstance(of, int) else list(of) for of in (stride, padding, dilation)]
    return _of_convolution, (input, weight, bias, *geometry, groups)


def _of_convolution(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    wanted: Sequence[bool],
    _bias: None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Gradients:
    x_grad, weight_grad, _ = torch.ops.aten.convolution_backward(
        grad.bfloat16(), x, weight, None, stride, padding, dilation, False, [0] * len(stride), groups,
        [wanted[0], wanted[1], False],
    )  # fmt: skip
    return x_grad, weight_grad, grad.sum((0, *range(2, grad.dim()))) if wanted[2] else None


def _half_padded(x: Tensor, weight: Tensor, stride: int) -> Found:
    return (_of_half_padded, (x, weight, stride)) if _rounds(x, weight) else None


def _of_half_padded(
    grad: Tensor, x: Tensor, weight: Tensor, wanted: Sequence[bool], stride: int
) -> Gradients:
    padding, wanted = weight.shape[2] // 2, [*wanted[:2], False]
    return _of_convolution(grad, x, weight, wanted, None, [stride] * 2, [padding] * 2, [1, 1], 1)[:2]


def _taps(x: Tensor, weight: Tensor, stride: int) -> Found:
    return (_of_taps, (x, weight, stride)) if _rounds(x, weight) else None


def _of_taps(grad: Tensor, x: Tensor, weight: Tensor, _wanted: Sequence[bool], stride: int) -> Gradients:
    x_grad, weight_grad = torch.ops.abcost.convolve_taps_gradients(grad.bfloat16(), x, weight, stride)
    return x_grad, weight_grad


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Found:  # noqa: A002 - as torch calls it
    return (_of_linear, (input, weight, bias)) if weight.dim() == 2 and _rounds(input, weight) else None


def _of_linear(grad: Tensor, x: Tensor, weight: Tensor, wanted: Sequence[bool], _bias: None) -> Gradients:
    rounded, rows = grad.bfloat16(), grad.flatten(0, -2)  # (..., out), (N, out)
    return (
        rounded @ weight if wanted[0] else None,
        rounded.reshape(rows.shape).t() @ x.reshape(-1, x.shape[-1]) if wanted[1] else None,
        rows.sum(0) if wanted[2] else None,
    )


def _batched(input: Tensor, mat2: Tensor, **others: Any) -> Found:  # noqa: A002 - as torch calls it
    return None if others or not _rounds(input, mat2) else (_of_batched, (input, mat2))


def _of_batched(grad: Tensor, x: Tensor, weight: Tensor, wanted: Sequence[bool]) -> Gradients:
    rounded = grad.bfloat16()
    return (
        torch.bmm(rounded, weight.mT) if wanted[0] else None,
        torch.bmm(x.mT, rounded) if wanted[1] else None,
    )


_CALLS: Mapping[
    Call, Callable[..., Found]
] = {  # no MappingProxyType: torch.compile looks things up in a dict only
    torch.conv1d: _convolution,
    torch.conv2d: _convolution,
    torch.conv3d: _convolution,
    torch.ops.abcost.convolve_signs: _half_padded,
    torch.ops.abcost.convolve_taps: _taps,
    F.linear: _linear,
    torch.bmm: _batched,
}
