"""Rules of shapes (abcost/trace/shapes.py) against what torch's own meta kernels say of the same arguments."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from abcost.trace.shapes import RULES, broadcast, results_of

SIZES = st.integers(1, 5)
SHAPES = st.lists(SIZES, min_size=0, max_size=5).map(tuple)
TYPES = st.sampled_from(
    [torch.float32, torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.bool]
)
NUMBERS = st.sampled_from([0, 1, 2, -1, 0.5, 2.0, True])
UNARY = sorted(
    name
    for name, rule in RULES.items()
    if rule is RULES["relu.default"] and not name.startswith(("clamp", "pow", "softplus"))
)
BINARY = ["add.Tensor", "sub.Tensor", "mul.Tensor", "div.Tensor", "maximum.default", "minimum.default"]
RELATIONS = [f"{name}.Tensor" for name in ("gt", "ge", "lt", "le", "eq", "ne")]


@st.composite
def tensors(draw: st.DrawFn, shape: tuple[int, ...] | None = None) -> torch.Tensor:
    """On the meta device: row by row, with axes in another order, with steps, or repeated."""
    shape = draw(SHAPES) if shape is None else shape
    dtype = draw(TYPES)
    layout = draw(
        st.sampled_from(["rows", "rows", "rows", "permuted", "stepped", "expanded", "channels_last"])
    )
    if layout == "permuted":
        order = draw(st.permutations(range(len(shape))))
        places = [order.index(axis) for axis in range(len(shape))]
        return torch.empty([shape[axis] for axis in order], dtype=dtype, device="meta").permute(places)
    if layout == "stepped" and shape:
        return torch.empty((*shape[:-1], shape[-1] * 2), dtype=dtype, device="meta")[..., ::2]
    if layout == "expanded" and shape:
        axis = draw(st.integers(0, len(shape) - 1))
        one = [1 if a == axis else size for a, size in enumerate(shape)]
        return torch.empty(one, dtype=dtype, device="meta").expand(shape)
    if layout == "channels_last" and len(shape) in (4, 5):
        pixelwise = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
        return torch.empty(shape, dtype=dtype, device="meta", memory_format=pixelwise)
    return torch.empty(shape, dtype=dtype, device="meta")


def parts_of(shape: tuple[int, ...]) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes that are repeated to `shape`, and some that may not fit."""
    return st.one_of(
        st.just(shape),
        st.integers(0, len(shape)).map(lambda n: shape[n:]),
        st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)).map(
            lambda kept: tuple(size if keep else 1 for size, keep in zip(shape, kept, strict=True))
        ),
        SHAPES,
    )


def check(name: str, *args: object) -> bool:
    """The rule says what torch does, or says that torch is to be asked; whether it said something."""
    ours = results_of(name, args, {})
    if ours is None:
        return False
    packet, overload = name.split(".")
    theirs = getattr(getattr(torch.ops.aten, packet), overload)(
        *args
    )  # raises where the arguments do not fit
    assert isinstance(ours, torch.Tensor) == isinstance(theirs, torch.Tensor), name
    pairs = [(ours, theirs)] if isinstance(ours, torch.Tensor) else [*zip(ours, theirs, strict=True)]
    for mine, its in pairs:
        assert (mine.shape, mine.dtype) == (its.shape, its.dtype), (name, args)
        longer = [
            axis for axis, size in enumerate(its.shape) if size > 1
        ]  # a step along one element is never made
        assert [mine.stride(a) for a in longer] == [its.stride(a) for a in longer], (name, args)
    return True


@pytest.mark.parametrize("name", UNARY)
@given(x=tensors())
@settings(max_examples=20)
def test_functions_of_one_tensor(name: str, x: torch.Tensor) -> None:
    check(name, x)


@given(x=tensors(), low=NUMBERS, high=NUMBERS)
def test_clamps_and_powers(x: torch.Tensor, low: float, high: float) -> None:
    check("clamp.default", x, low, high)
    check("clamp.default", x, None, high)
    check("clamp_min.default", x, low)
    check("clamp_max.default", x, high)
    check("hardtanh.default", x, -1.0, 1.0)
    check("leaky_relu.default", x, 0.1)
    check("pow.Tensor_Scalar", x, low)
    check("softplus.default", x, 1.0, 20.0)


@given(data=st.data())
@settings(max_examples=150)
def test_functions_of_two_tensors(data: st.DataObject) -> None:
    a = data.draw(tensors())
    b = data.draw(tensors(shape=data.draw(parts_of(tuple(a.shape)))))
    pair = data.draw(st.permutations([a, b]))
    for name in (*BINARY, *RELATIONS):
        check(name, *pair)
    check("where.self", torch.empty(pair[0].shape, dtype=torch.bool, device="meta"), *pair)
    check(
        "where.self",
        *data.draw(st.permutations([*pair, torch.empty(a.shape, dtype=torch.bool, device="meta")])),
    )
    if a.dim() > 1 and a.is_floating_point():
        weight = torch.empty(
            [a.shape[1] if axis == 1 else 1 for axis in range(a.dim())], dtype=a.dtype, device="meta"
        )
        check("_prelu_kernel.default", a, weight)


@given(x=tensors(), number=NUMBERS)
def test_a_tensor_and_a_number(x: torch.Tensor, number: float) -> None:
    for name in (
        "add.Scalar",
        "sub.Scalar",
        "mul.Scalar",
        "div.Scalar",
        "rsub.Scalar",
        "gt.Scalar",
        "le.Scalar",
        "eq.Scalar",
    ):
        check(name, x, number)
    for name in ("add.Tensor", "mul.Tensor", "div.Tensor"):
        check(name, x, number)


@given(data=st.data())
@settings(max_examples=150)
def test_convolutions(data: st.DataObject) -> None:
    axes = data.draw(st.integers(1, 3))
    groups, ins, outs = (data.draw(st.integers(1, 3)) for _ in range(3))
    few = lambda low, high: data.draw(st.lists(st.integers(low, high), min_size=axes, max_size=axes))  # noqa: E731
    x = data.draw(tensors(shape=(data.draw(SIZES), groups * ins, *few(1, 7))))
    weight = data.draw(tensors(shape=(groups * outs, ins, *few(1, 3))))
    bias = data.draw(st.sampled_from([None, torch.empty(groups * outs, device="meta")]))
    stride, dilation = few(1, 3), few(1, 2)
    padding = few(0, 2)
    check("convolution.default", x, weight, bias, stride, padding, dilation, False, [0] * axes, groups)
    check("convolution.default", x, weight, bias, stride[:1], padding[:1], dilation[:1], False, [0], groups)


@given(data=st.data())
@settings(max_examples=150)
def test_pools(data: st.DataObject) -> None:
    two = lambda low, high: data.draw(st.lists(st.integers(low, high), min_size=1, max_size=2))  # noqa: E731
    x = data.draw(
        tensors(
            shape=(
                *data.draw(st.lists(SIZES, min_size=1, max_size=2)),
                *(data.draw(st.integers(1, 9)) for _ in "hw"),
            )
        )
    )
    kernel, stride, padding = two(1, 4), data.draw(st.sampled_from([[], [1], [2], [3, 2]])), two(0, 1)
    flag = data.draw(st.booleans())
    check("avg_pool2d.default", x, kernel, stride, padding, flag, data.draw(st.booleans()))
    check("max_pool2d_with_indices.default", x, kernel, stride, padding, two(1, 2), flag)
    check("max_pool2d_with_indices.default", x, kernel, stride, padding)


@given(data=st.data())
@settings(max_examples=150)
def test_products(data: st.DataObject) -> None:
    b, m, k, n = (data.draw(SIZES) for _ in range(4))
    left, right = data.draw(tensors(shape=(m, k))), data.draw(tensors(shape=(k, n)))
    bias = data.draw(tensors(shape=data.draw(parts_of((m, n)))))
    check("mm.default", left, right)
    if left.dtype is right.dtype:
        check("addmm.default", bias, left, right)
    check("bmm.default", data.draw(tensors(shape=(b, m, k))), data.draw(tensors(shape=(b, k, n))))


@given(data=st.data())
@settings(max_examples=150)
def test_reductions_norms_and_joins(data: st.DataObject) -> None:
    x = data.draw(tensors(shape=data.draw(SHAPES.filter(bool))))
    axes = data.draw(st.lists(st.integers(-x.dim(), x.dim() - 1), min_size=0, max_size=3))
    axis, keep = data.draw(st.integers(-x.dim(), x.dim() - 1)), data.draw(st.booleans())
    if len({a % x.dim() for a in axes}) == len(axes):
        check("sum.dim_IntList", x, axes, keep)
        check("mean.dim", x, axes, keep)
    check("_softmax.default", x, axis, False)
    check("_log_softmax.default", x, axis, False)
    check("_safe_softmax.default", x, axis)
    last = tuple(x.shape[data.draw(st.integers(0, x.dim() - 1)) :])
    parts = [
        data.draw(st.sampled_from([None, torch.empty(last, dtype=x.dtype, device="meta")])) for _ in "wb"
    ]
    check("native_layer_norm.default", x, list(last), *parts, 1e-5)
    others = [data.draw(tensors(shape=tuple(x.shape))) for _ in range(data.draw(st.integers(0, 2)))]
    check("cat.default", [x, *others], axis)


def test_the_usual_forms_are_answered() -> None:
    """A rule that always asked torch would pass all that stands above."""
    x, w = torch.empty(2, 8, 9, 9, device="meta"), torch.empty(4, 8, 3, 3, device="meta")
    channel, matrix = torch.empty(8, 1, 1, device="meta"), torch.empty(9, 9, device="meta")
    for name in UNARY:
        assert check(name, x), name
        assert check(name, x.transpose(1, 2)), name
    for name in (*BINARY, *RELATIONS):
        assert check(name, x, channel), name
        assert check(name, channel, x), name
    assert check("where.self", torch.empty(x.shape, dtype=torch.bool, device="meta"), x, channel)
    assert check("_prelu_kernel.default", x, channel)
    assert check("convolution.default", x, w, None, [2, 2], [1, 1], [1, 1], False, [0, 0], 1)
    assert check("avg_pool2d.default", x, [2, 2], [2, 2])
    assert check("max_pool2d_with_indices.default", x, [3, 3], [2, 2], [1, 1])
    assert check("mm.default", matrix, matrix.t())
    assert check("addmm.default", matrix[0], matrix, matrix.t())
    assert check("bmm.default", x[0], x[0].transpose(1, 2))
    assert check("mean.dim", x, [2, 3], True)
    assert check("sum.dim_IntList", x, [-1, -2])
    assert check("_softmax.default", x, -1, False)
    assert check("native_layer_norm.default", x, [9], matrix[0], matrix[0], 1e-5)
    assert check("cat.default", [x, x], 1)


def test_where_torch_chooses_the_order_of_axes_it_is_asked() -> None:
    """One channel or one pixel is row by row and pixel by pixel at once."""
    for shape in ((1, 1, 1, 2), (2, 1, 3, 3), (2, 3, 1, 1), (1, 1, 2, 2, 2)):
        assert not check("cat.default", [torch.empty(shape, device="meta")] * 2, 1)
    assert not check("max_pool2d_with_indices.default", torch.empty(2, 1, 4, 4, device="meta"), [2, 2])


def test_sizes_that_do_not_fit_are_left_to_torch() -> None:
    x, w = torch.empty(2, 8, 9, 9, device="meta"), torch.empty(4, 7, 3, 3, device="meta")
    assert (
        results_of("convolution.default", (x, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1), {}) is None
    )
    assert results_of("add.Tensor", (x, torch.empty(5, device="meta")), {}) is None
    assert results_of("mm.default", (x[0, 0], w[0, 0]), {}) is None
    assert results_of("cat.default", ([x, w], 1), {}) is None
    assert results_of("mean.dim", (x, [7]), {}) is None


@given(st.lists(SHAPES, min_size=1, max_size=3))
def test_broadcast(shapes: list[tuple[int, ...]]) -> None:
    try:
        theirs = tuple(torch.broadcast_shapes(*shapes))  # type: ignore[no-untyped-call]
    except RuntimeError:
        with pytest.raises(ValueError, match="do not fit together"):
            broadcast(*shapes)
        return
    assert broadcast(*shapes) == theirs
