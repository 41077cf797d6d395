"""Pools of every form, interpolation, and instance norm: equal to torch, counted by hand."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from abcost.classify import tally
from abcost.classify.counts import counts_of
from abcost.core.kinds import OpKind
from abcost.core.primitives import Origin, Primitive
from abcost.core.windows import elements_in
from abcost.errors import TraceError
from operators import counts, graph_equal_to, kinds
from strategies import traced

# name: function, input shape, kinds, primitives by hand
POOLS = {
    # 5 -> 3 positions: windows [0,2) [1,4) [3,5), 2 + 3 + 2 = 7 elements along each axis; 7 * 7 - 9 adds, 9 products
    "uneven adaptive": (
        lambda m, x: F.adaptive_avg_pool2d(x, 3), (1, 2, 5, 5), ["sum_pool", "scale"],
        {"add": 2 * (49 - 9), "multiply": 2 * 9},
    ),
    "uneven adaptive 1d": (
        lambda m, x: F.adaptive_avg_pool1d(x, 3), (1, 2, 5), ["sum_pool", "scale"], {"add": 2 * 4, "multiply": 2 * 3},
    ),
    "adaptive 1d": (lambda m, x: F.adaptive_avg_pool1d(x, 3), (1, 2, 6), ["avg_pool"], {"add": 6, "multiply": 6}),
    "uneven adaptive 3d": (
        lambda m, x: F.adaptive_avg_pool3d(x, (1, 2, 3)), (1, 2, 2, 2, 5), ["sum_pool", "scale"],
        {"add": 2 * (2 * 2 * 7 - 6), "multiply": 2 * 6},
    ),
    # 4 -> 3: [0,2) [1,3) [2,4): equal sizes, but they overlap: one divisor
    "overlapping adaptive": (
        lambda m, x: F.adaptive_avg_pool2d(x, 3), (1, 2, 4, 4), ["sum_pool", "scale"],
        {"add": 2 * (36 - 9), "multiply": 2 * 9},
    ),
    "adaptive max": (
        lambda m, x: F.adaptive_max_pool2d(x, 2), (1, 2, 4, 4), ["max_pool"], {"compare": 2 * 4 * 3, "mux": 2 * 4 * 3},
    ),
    "uneven adaptive max": (
        lambda m, x: F.adaptive_max_pool2d(x, 3), (1, 2, 5, 5), ["max_pool"], {"compare": 2 * 40, "mux": 2 * 40},
    ),
    "uneven adaptive max 1d": (
        lambda m, x: F.adaptive_max_pool1d(x, 3), (1, 2, 5), ["max_pool"], {"compare": 2 * 4, "mux": 2 * 4},
    ),
    "adaptive max 3d": (
        lambda m, x: F.adaptive_max_pool3d(x, 2), (1, 1, 4, 4, 4), ["max_pool"], {"compare": 8 * 7, "mux": 8 * 7},
    ),
    "max 1d": (lambda m, x: F.max_pool1d(x, 3, 2), (1, 2, 7), ["max_pool"], {"compare": 2 * 3 * 2, "mux": 2 * 3 * 2}),
    "mean 1d": (lambda m, x: F.avg_pool1d(x, 3, 2), (1, 2, 7), ["avg_pool"], {"add": 2 * 3 * 2, "multiply": 2 * 3}),
    "mean of whole windows, ceil": (
        lambda m, x: F.avg_pool2d(x, 2, ceil_mode=True), (1, 2, 4, 4), ["avg_pool"],
        {"add": 2 * 4 * 3, "multiply": 2 * 4},
    ),
    # 5 pixels, windows of 2: the last one overhangs and is divided by 1 along that axis; padded taps are counted
    "overhanging window": (
        lambda m, x: F.avg_pool2d(x, 2, ceil_mode=True), (1, 2, 5, 5), ["sum_pool", "scale"],
        {"add": 2 * 9 * 3, "multiply": 2 * 9},
    ),
    "overhanging padded window": (
        lambda m, x: F.avg_pool2d(x, 3, 2, padding=1, ceil_mode=True), (1, 2, 6, 6), ["sum_pool", "scale"],
        {"add": 2 * 16 * 8, "multiply": 2 * 16},
    ),
    "border without padding": (
        lambda m, x: F.avg_pool2d(x, 3, 1, padding=1, count_include_pad=False), (1, 2, 4, 4), ["sum_pool", "scale"],
        {"add": 2 * 16 * 8, "multiply": 2 * 16},
    ),
    "own divisor": (
        lambda m, x: F.avg_pool2d(x, 2, divisor_override=3), (1, 2, 4, 4), ["sum_pool", "scale"],
        {"add": 2 * 4 * 3, "multiply": 2 * 4},
    ),
    "own divisor 1": (
        lambda m, x: F.avg_pool2d(x, 2, divisor_override=1), (1, 2, 4, 4), ["sum_pool"], {"add": 2 * 4 * 3},
    ),
    "mean 3d": (
        lambda m, x: F.avg_pool3d(x, 2, count_include_pad=False), (1, 1, 4, 4, 4), ["avg_pool"],
        {"add": 8 * 7, "multiply": 8},
    ),
    "area": (
        lambda m, x: F.interpolate(x, size=2, mode="area"), (1, 2, 4, 4), ["avg_pool"], {"add": 24, "multiply": 8},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(POOLS))
def test_pools(name):
    function, shape, nodes, by_hand = POOLS[name]
    graph = graph_equal_to(function, shape)
    assert kinds(graph) == nodes
    assert counts(graph) == by_hand


def test_their_products_are_those_of_average_pools():
    graph = traced(lambda m, x: F.adaptive_avg_pool2d(x, 3), (1, 2, 5, 5))
    origins = tally(graph, 16).by_origin()
    assert origins[Origin.AVG_POOL] == 18
    assert sum(origins.values()) == 18


def test_elements_of_windows():
    assert elements_in([[[0, 2], [1, 4], [3, 5]]] * 2) == 7 * 7


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_average_pools_of_any_form(data):
    size, kernel = data.draw(st.integers(3, 9)), data.draw(st.integers(1, 4))
    kernel = min(kernel, size)
    stride, padding = data.draw(st.integers(1, 4)), data.draw(st.integers(0, kernel // 2))
    how = {
        "ceil_mode": data.draw(st.booleans()),
        "count_include_pad": data.draw(st.booleans()),
        "divisor_override": data.draw(st.sampled_from([None, 3, 5])),
    }
    graph_equal_to(lambda m, x: F.avg_pool2d(x, (kernel, 2), stride, (padding, 1), **how), (1, 2, size, 4))
    graph_equal_to(
        lambda m, x: F.max_pool2d(x, kernel, stride, padding, ceil_mode=how["ceil_mode"]), (1, 2, size, size)
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_adaptive_pools_of_any_size(height, width, rows, columns):
    mean = graph_equal_to(lambda m, x: F.adaptive_avg_pool2d(x, (rows, columns)), (1, 2, height, width))
    graph_equal_to(lambda m, x: F.adaptive_max_pool2d(x, (rows, columns)), (1, 2, height, width))
    elements = 1
    for size, out in (
        (height, rows),
        (width, columns),
    ):  # start and end of every window, as torch documents them
        elements *= sum(-(-(i + 1) * size // out) - i * size // out for i in range(out))
    assert counts(mean).get("add", 0) == 2 * (elements - rows * columns)


# interpolation: per output 2 terms along each axis of a linear one, 4 along each of a cubic one
SCALED = {
    # 4 -> 8, half-pixel centres: every output has two different neighbours but the first and the last (weight 1 on one)
    "linear": (lambda m, x: F.interpolate(x, scale_factor=2, mode="linear"), (1, 3, 4), 2, 3 * 8),
    "bilinear": (lambda m, x: F.interpolate(x, scale_factor=2, mode="bilinear"), (1, 3, 4, 4), 4, 3 * 64),
    "bilinear, corners": (
        lambda m, x: F.interpolate(x, size=(7, 6), mode="bilinear", align_corners=True), (1, 3, 4, 4), 4, 3 * 42,
    ),
    "bilinear, smaller": (lambda m, x: F.interpolate(x, size=3, mode="bilinear"), (1, 3, 7, 8), 4, 3 * 9),
    "trilinear": (lambda m, x: F.interpolate(x, scale_factor=2, mode="trilinear"), (1, 2, 3, 3, 3), 8, 2 * 216),
    "bicubic": (lambda m, x: F.interpolate(x, scale_factor=2, mode="bicubic"), (1, 3, 5, 5), 16, 3 * 100),
    "one axis only": (lambda m, x: F.interpolate(x, size=(4, 8), mode="bilinear"), (1, 3, 4, 4), 2, 3 * 32),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SCALED))
def test_interpolation(name):
    function, shape, terms, outputs = SCALED[name]
    graph = graph_equal_to(function, shape)
    assert counts(graph) == {"multiply": terms * outputs, "add": (terms - 1) * outputs}
    assert set(kinds(graph)) == {"scale", "add"}


def test_interpolation_that_needs_no_weights_is_wiring():
    """Every third pixel of 9, half-pixel centres: the middle one, with weight 1."""
    graph = graph_equal_to(lambda m, x: F.interpolate(x, size=3, mode="bilinear"), (1, 2, 9, 9))
    assert kinds(graph) == []
    assert kinds(graph_equal_to(lambda m, x: F.interpolate(x, size=4, mode="bicubic"), (1, 2, 4, 4))) == []


def test_neighbours_of_equal_weight_are_one_number():
    """Halving: the mean of 2 x 2 pixels, 4 products with 1/4, which shifts can do."""
    graph = graph_equal_to(lambda m, x: F.interpolate(x, size=2, mode="bilinear"), (1, 2, 4, 4))
    factors = [node.consts["factor"].real() for node in graph.of_kind(OpKind.SCALE)]
    assert [factor.tolist() for factor in factors] == [0.25] * 4


NEAREST = {
    "1d": (lambda m, x: F.interpolate(x, scale_factor=2), (1, 2, 3)),
    "3d": (lambda m, x: F.interpolate(x, scale_factor=2), (1, 2, 3, 2, 2)),
    "exact": (lambda m, x: F.interpolate(x, size=5, mode="nearest-exact"), (1, 2, 3, 3)),
}


@pytest.mark.parametrize("name", sorted(NEAREST))
def test_nearest_neighbours_are_wiring(name):
    assert kinds(graph_equal_to(*NEAREST[name])) == []


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 9),
    st.sampled_from(["bilinear", "bicubic"]),
    st.booleans(),
    st.booleans(),
)
def test_interpolation_of_any_size(size, out, mode, corners, by_factor):
    how = (
        {"scale_factor": out / size + 0.01, "recompute_scale_factor": False}
        if by_factor
        else {"size": (out, 3)}
    )
    graph = graph_equal_to(
        lambda m, x: F.interpolate(x, mode=mode, align_corners=corners, **how), (1, 2, size, 4)
    )
    (output,) = graph.of_kind(OpKind.OUTPUT)
    terms = 4 if mode == "bilinear" else 16
    assert counts(graph).get("multiply", 0) <= terms * output.elements


# instance norm: per channel of every image


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 4), (1, 3, 2, 2, 2)])
def test_instance_norm_by_its_own_statistics(shape, affine):
    layer = {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d, 5: nn.InstanceNorm3d}[len(shape)](3, affine=affine)
    if affine:
        nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(1))
        nn.init.normal_(layer.bias, generator=torch.Generator().manual_seed(2))
    graph = graph_equal_to(lambda m, x: m.norm(x), shape, norm=layer)
    assert kinds(graph) == ["norm"]
    (norm,) = graph.of_kind(OpKind.NORM)
    n, rows, positions = norm.elements, shape[0] * 3, torch.Size(shape[2:]).numel()
    assert (norm.attrs["group"], norm.attrs["affine"]) == (positions, affine)
    # squares and products by 1/sqrt, two means per row, and the weight
    (multiply,) = [
        c.count for c in counts_of(graph, norm, 16) if c.primitive is Primitive.MULTIPLY and c.width == 16
    ][:1]
    assert multiply == 2 * n + 2 * rows + (n if affine else 0)


def test_instance_norm_by_running_statistics_is_a_scale():
    layer = nn.InstanceNorm2d(3, affine=True, track_running_stats=True)
    layer.running_mean.copy_(torch.tensor([0.5, -1, 2]))
    layer.running_var.copy_(torch.tensor([0.25, 4, 1]))
    graph = graph_equal_to(lambda m, x: m.norm(x), (2, 3, 4, 4), norm=layer)
    assert kinds(graph) == ["scale", "add_const"]


def test_batch_statistics_are_still_refused():
    with pytest.raises(
        TraceError, match="statistics of the batch are not constants; use track_running_stats=True"
    ):
        traced(lambda m, x: m.norm(x), (1, 3, 4, 4), norm=nn.BatchNorm2d(3, track_running_stats=False))


def test_an_exported_instance_norm():
    model = nn.Sequential(nn.InstanceNorm2d(3), nn.ReLU())
    program = torch.export.export(model, (torch.randn(1, 3, 4, 4),)).module()
    graph = graph_equal_to(lambda m, x: m.net(x), (1, 3, 4, 4), net=model)
    from abcost.core.inputs import InputSpec
    from abcost.trace import trace

    assert kinds(trace(program, (InputSpec((1, 3, 4, 4)),)).graph) == kinds(graph) == ["norm", "clamp"]
