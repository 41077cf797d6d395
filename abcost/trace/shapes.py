"""Shapes of results, by rules of our own, of the operators that networks are mostly made of.

torch knows every shape too, and is asked wherever there is no rule or a rule is not sure. Its own way through Python
loads a compiler and a package of symbolic algebra (a second, 80 MB), and takes a hundred times as long per operator.

A rule gets the arguments of the ATen call, with activations as meta tensors, and says shape and type of every result,
each laid out row by row. It says None where torch is to be asked: tensors laid out otherwise, whole numbers, sizes that
do not fit (torch has the error). Tests hold each rule to what torch says of random arguments.
"""
# ruff: noqa: FBT001, FBT002, ARG001, PLR0913, PLR0917 - the parameters of a rule are those of torch's operator

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

Shape = tuple[int, ...]
Form = tuple[Shape, torch.dtype]  # of a result that is laid out row by row
Forms = (
    Form | tuple[Form, ...] | torch.Tensor | None
)  # of all results, or the result; None: torch is to be asked
Rule = Callable[..., Forms]

RULES: dict[str, Rule] = {}
"""Operator with its overload -> rule."""


def results_of(operator: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """The results on the meta device, as the operator returns them; None where torch is to be asked.

    args, kwargs: of the ATen call `operator` ("add.Tensor"), without Tracers.
    """
    rule = RULES.get(operator)
    forms = None if rule is None or kwargs else rule(*args)
    if forms is None or isinstance(forms, torch.Tensor):
        return forms
    if isinstance(forms[1], torch.dtype):
        return torch.empty(forms[0], dtype=forms[1], device="meta")
    return tuple(torch.empty(shape, dtype=dtype, device="meta") for shape, dtype in forms)


def broadcast(*shapes: Sequence[int]) -> Shape:
    """The shape of an elementwise result of operands of these shapes. Raises ValueError if they do not fit together.

    >>> broadcast((4, 1, 3), (5, 1))
    (4, 5, 3)
    """
    result = [1] * max(len(shape) for shape in shapes)
    for shape in shapes:
        for axis, size in enumerate(shape, len(result) - len(shape)):
            if size != 1 and size != result[axis]:
                if result[axis] != 1:
                    raise ValueError(
                        f"shapes {' and '.join(map(str, map(tuple, shapes)))} do not fit together"
                    )
                result[axis] = size
    return tuple(result)


def _rule(*operators: str) -> Callable[[Rule], Rule]:
    def keep(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(operators, rule))
        return rule

    return keep


def _plain(*tensors: torch.Tensor | None) -> bool:
    """Whether all of them are real numbers, laid out row by row."""
    return all(x is None or (x.is_floating_point() and x.is_contiguous()) for x in tensors)


@_rule(
    "abs.default", "ceil.default", "clamp.default", "clamp_max.default", "clamp_min.default", "elu.default",
    "erf.default", "exp.default", "floor.default", "gelu.default", "hardsigmoid.default", "hardswish.default",
    "hardtanh.default", "leaky_relu.default", "log.default", "mish.default", "neg.default", "pow.Tensor_Scalar",
    "reciprocal.default", "relu.default", "round.default", "rsqrt.default", "sigmoid.default", "sign.default",
    "silu.default", "softplus.default", "sqrt.default", "tanh.default", "trunc.default",
)  # fmt: skip
def _unary(x: torch.Tensor, *numbers: float | None) -> Forms:
    return _like(x) if all(number is None or isinstance(number, int | float) for number in numbers) else None


def _like(x: torch.Tensor) -> Forms:
    """A result laid out as x is; None if x has gaps, or reads an element twice."""
    if not x.is_floating_point():
        return None
    if x.is_contiguous():
        return tuple(x.shape), x.dtype
    step = 1
    for stride, size in sorted(zip(x.stride(), x.shape, strict=True)):
        if size != 1 and stride != step:
            return None
        step *= size
    return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device="meta")


@_rule("add.Tensor", "sub.Tensor", "mul.Tensor", "div.Tensor", "maximum.default", "minimum.default")
def _binary(a: torch.Tensor, b: torch.Tensor | float) -> Forms:
    shape = _elementwise(a, b)
    return None if shape is None else (shape, torch.result_type(a, b))


@_rule("add.Scalar", "sub.Scalar", "mul.Scalar", "div.Scalar", "rsub.Scalar")
def _scalar(a: torch.Tensor, b: float) -> Forms:
    return _like(a) if isinstance(b, int | float) else None


@_rule(
    *(
        f"{relation}.{form}"
        for relation in ("gt", "ge", "lt", "le", "eq", "ne")
        for form in ("Tensor", "Scalar")
    )
)
def _comparison(a: torch.Tensor, b: torch.Tensor | float) -> Forms:
    shape = _elementwise(a, b)
    return None if shape is None else (shape, torch.bool)


def _elementwise(a: torch.Tensor | float, b: torch.Tensor | float) -> Shape | None:
    """The common shape; None unless it is that of an operand, from which torch takes the order of the axes."""
    tensors = [x for x in (a, b) if isinstance(x, torch.Tensor)]
    if not _plain(*tensors):
        return None
    largest = max(tensors, key=lambda x: (x.dim(), x.numel()))
    shape = tuple(largest.shape)
    for x in tensors:
        if x.dim() and not _fits(x.shape, shape):
            return None
    return shape


def _fits(part: Sequence[int], whole: Shape) -> bool:
    """Whether a tensor of the shape `part` is repeated to the shape `whole`."""
    behind = whole[len(whole) - len(part) :]
    return all(size in (1, other) for size, other in zip(part, behind, strict=True))


@_rule("where.self")
def _where(condition: torch.Tensor, yes: torch.Tensor, no: torch.Tensor) -> Forms:
    shape = _elementwise(yes, no)
    fits = (
        shape is not None
        and condition.dtype is torch.bool
        and condition.is_contiguous()
        and condition.dim() <= len(shape)
        and _fits(condition.shape, shape)
    )
    return (shape, torch.result_type(yes, no)) if shape is not None and fits else None


@_rule("_prelu_kernel.default")
def _prelu(x: torch.Tensor, weight: torch.Tensor) -> Forms:
    whole = tuple(x.shape)
    fits = _plain(x, weight) and weight.dim() <= x.dim() and _fits(weight.shape, whole)
    return (whole, x.dtype) if fits and weight.dtype is x.dtype else None


@_rule("convolution.default")
def _convolution(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Forms:
    """Out = floor((in + 2 padding - dilation (kernel - 1) - 1) / stride) + 1 along each axis."""
    axes = weight.dim() - 2
    if transposed or not _plain(x, weight, bias) or x.dim() != weight.dim() or x.numel() == 0:
        return None
    if weight.shape[1] * groups != x.shape[1] or weight.shape[0] % groups or min(stride) < 1:
        return None
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        return None
    out = _windows(x.shape[2:], weight.shape[2:], *(_per_axis(v, axes) for v in (stride, padding, dilation)))
    if out is None or x.dtype is not weight.dtype:
        return None
    return (x.shape[0], weight.shape[0], *out), x.dtype


def _per_axis(values: Sequence[int], axes: int) -> list[int]:
    return [int(v) for v in values] * (axes if len(values) == 1 else 1)


def _windows(
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Shape | None:
    """Positions of a window along each axis; None where it fits nowhere."""
    axes = zip(sizes, kernel, stride, padding, dilation, strict=True)
    found = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes)
    return found if min(found, default=1) > 0 else None


@_rule("avg_pool2d.default")
def _average_pool(
    x: torch.Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Forms:
    shape = None if ceil_mode or divisor == 0 else _pooled(x, kernel, stride, padding)
    return None if shape is None else (shape, x.dtype)


@_rule("max_pool2d_with_indices.default")
def _max_pool(
    x: torch.Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> Forms:
    """The maxima, and where they are."""
    shape = None if ceil_mode or set(dilation) != {1} else _pooled(x, kernel, stride, padding)
    return None if shape is None else ((shape, x.dtype), (shape, torch.int64))


def _pooled(
    x: torch.Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> Shape | None:
    """A batch of images of several channels and pixels."""
    if x.dim() != 4 or not _plain(x) or _pixelwise(x) or x.numel() == 0:
        return None
    window, pads = _per_axis(kernel, 2), _per_axis(padding, 2)
    steps = _per_axis(stride, 2) if stride else window
    if min(*window, *steps) < 1 or any(not 0 <= p <= k // 2 for p, k in zip(pads, window, strict=True)):
        return None
    out = _windows(x.shape[2:], window, steps, pads, [1, 1])
    return None if out is None else (x.shape[0], x.shape[1], *out)


def _pixelwise(x: torch.Tensor) -> bool:
    """Whether it is laid out pixel by pixel; of one channel or pixel that is row by row, too, and torch chooses."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return x.dim() in formats and x.is_contiguous(memory_format=formats[x.dim()])


@_rule("mm.default")
def _mm(a: torch.Tensor, b: torch.Tensor) -> Forms:
    fits = a.dim() == b.dim() == 2 and a.shape[1] == b.shape[0] and a.dtype is b.dtype
    return ((a.shape[0], b.shape[1]), a.dtype) if fits and a.is_floating_point() else None


@_rule("bmm.default")
def _bmm(a: torch.Tensor, b: torch.Tensor) -> Forms:
    fits = a.dim() == b.dim() == 3 and a.shape[0] == b.shape[0] and a.shape[2] == b.shape[1]
    return (
        ((a.shape[0], a.shape[1], b.shape[2]), a.dtype)
        if fits and a.dtype is b.dtype and a.is_floating_point()
        else None
    )


@_rule("addmm.default")
def _addmm(bias: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> Forms:
    found = _mm(a, b)
    fits = found is not None and bias.dtype is a.dtype and bias.dim() <= 2 and _fits(bias.shape, found[0])  # type: ignore[arg-type]
    return found if fits else None


@_rule("mean.dim", "sum.dim_IntList")
def _reduction(x: torch.Tensor, axes: Sequence[int] | None, keepdim: bool = False) -> Forms:
    if not _plain(x) or not axes or x.dim() == 0:
        return None
    if any(not -x.dim() <= axis < x.dim() for axis in axes):
        return None
    gone = {axis % x.dim() for axis in axes}
    if len(gone) != len(axes):
        return None
    sizes = [1 if axis in gone else size for axis, size in enumerate(x.shape) if keepdim or axis not in gone]
    return tuple(sizes), x.dtype


@_rule("_softmax.default", "_log_softmax.default")
def _softmax(x: torch.Tensor, axis: int, half_to_float: bool) -> Forms:
    return _safe_softmax(x, axis) if not half_to_float else None


@_rule("_safe_softmax.default")
def _safe_softmax(x: torch.Tensor, axis: int) -> Forms:
    return (tuple(x.shape), x.dtype) if _plain(x) and -x.dim() <= axis < x.dim() else None


@_rule("native_layer_norm.default")
def _layer_norm(
    x: torch.Tensor,
    normalised: Sequence[int],
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    eps: float,
) -> Forms:
    """The result, and mean and reciprocal deviation of each of its groups, which short types hold in longer ones."""
    if x.dtype not in (torch.float32, torch.float64):
        return None
    kept = x.dim() - len(normalised)
    fits = _plain(x, weight, bias) and tuple(x.shape[kept:]) == tuple(normalised) and x.numel() > 0
    parts = [part for part in (weight, bias) if part is not None]
    if (
        not fits
        or kept < 0
        or any(p.dtype is not x.dtype or tuple(p.shape) != tuple(normalised) for p in parts)
    ):
        return None
    groups = (*x.shape[:kept], *[1] * len(normalised))
    return (tuple(x.shape), x.dtype), (groups, x.dtype), (groups, x.dtype)


@_rule("cat.default")
def _cat(tensors: Sequence[torch.Tensor], axis: int = 0) -> Forms:
    first = tensors[0]
    if not _plain(*tensors) or not -first.dim() <= axis < first.dim():
        return None
    axis %= first.dim()
    around = [(x.dtype, x.dim(), (*x.shape[:axis], *x.shape[axis + 1 :])) for x in tensors]
    if any(part != around[0] for part in around) or any(x.numel() == 0 or _pixelwise(x) for x in tensors):
        return None
    shape = list(first.shape)
    shape[axis] = sum(x.shape[axis] for x in tensors)
    return tuple(shape), first.dtype
