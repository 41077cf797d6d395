"""Compiled kernels give the bits that torch gives; without a compiler nothing changes but the time."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import abcost.core.kernels as kernels_module
from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.interpret import FixedPoint, Floating, execute
from abcost.core.kernels import SWITCH, describe, kernels
from abcost.core.kinds import OpKind
from abcost.core.lockstep import differences
from abcost.core.node import Constant, OpNode
from abcost.core.packed import pack, pack_weight
from abcost.doctor import examine
from abcost.errors import GraphError
from abcost.models.subject import Request, resolve
from abcost.rewrite import RewriteOptions
from abcost.training.lowered import Lowered

compiled = pytest.mark.skipif(kernels() is None, reason="no C compiler on this machine")
MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def without_kernels(graph, inputs, arithmetic, **options):
    """The values that torch computes, node by node."""
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = "off"
    try:
        return execute(graph, inputs, arithmetic, **options)
    finally:
        del os.environ[SWITCH]
        if before is not None:
            os.environ[SWITCH] = before


def equal_with_and_without(graph, inputs, arithmetic):
    """Both ways: the same values of every node, and the same in what the arithmetic met."""
    one, other = arithmetic, replace(arithmetic)
    by_kernels = execute(graph, inputs, one, keep=lambda _node: True)
    by_torch = without_kernels(graph, inputs, other, keep=lambda _node: True)
    assert by_kernels.keys() == by_torch.keys()
    for name, value in by_torch.items():
        assert torch.equal(by_kernels[name], value), name
    assert one == other
    assert torch.equal(
        execute(graph, inputs, replace(arithmetic))["out"], by_torch["out"]
    )  # chains as long as can be
    return by_kernels


def signs_of(*shape, generator):
    return torch.where(torch.rand(shape, generator=generator) < 0.5, -1.0, 1.0).double()


def conv_graph(x_shape, weight, bias=None, *, scale=None, **geometry):
    """input -> sign -> convolution -> output; weight: int8 of +-1, or real numbers."""
    edit = Edit()
    a = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1, **geometry}
    a |= {"transposed": False, "output_padding": [0, 0], "taps": weight[0].numel()}
    size = [
        (x_shape[2 + i] + 2 * a["padding"][i] - a["dilation"][i] * (weight.shape[2 + i] - 1) - 1)
        // a["stride"][i]
        + 1
        for i in (0, 1)
    ]
    consts = {"weight": Constant(weight, binary=weight.dtype == torch.int8, scale=scale)}
    if bias is not None:
        consts["bias"] = Constant(bias)
    x = edit.add(OpNode("x", OpKind.INPUT, x_shape))
    sign = edit.add(OpNode("sign", OpKind.SIGN, x_shape, attrs={"at_zero": 0}), [x])
    shape = (x_shape[0], weight.shape[0], *size)
    conv = edit.add(OpNode("conv", OpKind.CONV, shape, attrs=a, consts=consts), [sign])
    edit.add(OpNode("out", OpKind.OUTPUT, shape, attrs={"leaf": 0}), [conv])
    return edit.freeze()


@st.composite
def binary_convolutions(draw):
    """A convolution of signs with weights of +-1, or of +-s per channel, and its input."""
    groups = draw(st.sampled_from([1, 1, 1, 2, 4]))
    inner, share = draw(st.integers(1, 70)), draw(st.integers(1, 40))
    inner = inner // 8 * 8 + 8 if groups > 1 and draw(st.booleans()) else inner
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    size = tuple(d * (k - 1) + draw(st.integers(1, 6)) for d, k in zip(dilation, kernel, strict=True))
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    weight = signs_of(share * groups, inner, *kernel, generator=generator).to(torch.int8)
    x = torch.randn(draw(st.integers(1, 3)), inner * groups, *size, generator=generator)
    options = {"stride": list(stride), "padding": list(padding), "dilation": list(dilation), "groups": groups}
    if draw(st.booleans()):
        options["scale"] = torch.rand(share * groups, 1, 1, 1, generator=generator).double() + 0.01
        weight = Constant(weight, scale=options.pop("scale")).real()
    bias = torch.randn(share * groups, generator=generator).double() if draw(st.booleans()) else None
    return conv_graph(tuple(x.shape), weight, bias, **options), x


@compiled
@MANY
@given(binary_convolutions())
def test_packed_convolutions_are_torchs(case):
    graph, x = case
    equal_with_and_without(graph, [x], FixedPoint(12))


@compiled
def test_a_packed_convolution_counted_by_hand():
    # 3 taps in a row, weights + - +, signs + + - +, padded by one: windows (0 + +), (+ + -), (+ - +), (- + 0)
    x = torch.tensor([1.0, 2.0, -3.0, 4.0]).reshape(1, 1, 1, 4)
    graph = conv_graph(
        (1, 1, 1, 4), torch.tensor([1, -1, 1], dtype=torch.int8).reshape(1, 1, 1, 3), padding=[0, 1]
    )
    # products: (0 -1 +1), (1 -1 -1), (1 +1 +1), (-1 -1 +0)
    assert execute(graph, [x], FixedPoint(4))["out"].flatten().tolist() == [0, -1, 3, -2]


@compiled
@MANY
@given(st.integers(1, 40), st.integers(1, 3), st.integers(0, 2**31))
def test_only_signs_are_packed(channels, images, seed):
    x = signs_of(images, channels, 2, 3, generator=torch.Generator().manual_seed(seed))
    library = kernels()
    packed = pack(x, library)
    assert packed is not None
    assert torch.equal(packed.plain(library), x)
    for other in (0.0, 2.0, -0.5):
        x[-1, -1, -1, -1] = other
        assert pack(x, library) is None


def test_weights_that_are_not_packed():
    fixed = FixedPoint(8)
    ones = torch.ones(2, 3, 1, 1)
    assert pack_weight(Constant(ones), 1, fixed) is not None
    assert (
        pack_weight(Constant(ones * torch.tensor([1.0, 0.5, 1.0]).reshape(1, 3, 1, 1)), 1, fixed) is None
    )  # two sizes
    assert pack_weight(Constant(torch.zeros(2, 3, 1, 1)), 1, fixed) is None
    assert pack_weight(Constant(ones[:, :, 0]), 1, fixed) is None  # one dimension
    assert pack_weight(Constant(torch.ones(2, 9, 1, 1)), 2, fixed) is None  # groups that share a byte
    zero = Constant(torch.tensor([[0, 1]], dtype=torch.int8), binary=True)
    assert pack_weight(zero, 1, fixed) is not None  # hardware has +1 there
    assert pack_weight(zero, 1, Floating()) is None


@compiled
def test_a_sign_of_zero_goes_the_old_way_in_floating_point():
    weight = torch.tensor([1, -1], dtype=torch.int8).reshape(1, 2, 1, 1)
    graph = conv_graph((1, 2, 1, 1), weight)
    x = torch.tensor([0.0, 5.0]).reshape(1, 2, 1, 1)
    assert execute(graph, [x], Floating())["out"].item() == -1  # 0 * 1 + 1 * -1
    assert execute(graph, [x], Floating(hardware_sign=True))["out"].item() == 0


CONSTANTS = {
    OpKind.ADD_CONST: "value", OpKind.SCALE: "factor", OpKind.SHIFT: "exponent", OpKind.PRELU: "slope",
    OpKind.SHIFT_PRELU: "exponent", OpKind.THRESHOLD: "level",
}  # fmt: skip
BARE = (OpKind.NEGATE, OpKind.CLAMP, OpKind.SIGN)
PAIRS = (OpKind.ADD, OpKind.SUBTRACT, OpKind.MULTIPLY, OpKind.EXTREMUM)


@st.composite
def chains(draw):
    """A few elementwise nodes behind one input, any of which may read any earlier one."""
    rank = draw(st.sampled_from([2, 4]))
    channels = draw(st.integers(1, 70))
    shape = (
        draw(st.integers(1, 3)),
        channels,
        *([draw(st.integers(1, 5)), draw(st.integers(1, 5))] * (rank // 4)),
    )
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    edit = Edit()
    names = [edit.add(OpNode("x", OpKind.INPUT, shape))]
    for number in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from([*CONSTANTS, *BARE, *PAIRS]))
        reads = [draw(st.sampled_from(names))]
        attrs, consts = {}, {}
        if kind in CONSTANTS:
            along = (1, channels, 1, 1)[:rank] if draw(st.booleans()) else ()
            values = torch.randn(along, generator=generator).double() * draw(
                st.sampled_from([0.01, 1.0, 5.0])
            )
            if "exponent" in CONSTANTS[kind]:
                values = torch.randint(-15, 3, along, generator=generator, dtype=torch.int32)
            consts[CONSTANTS[kind]] = Constant(values)
            if kind is OpKind.THRESHOLD and draw(st.booleans()):
                consts["gain"] = Constant(signs_of(*along, generator=generator))
        if kind in (OpKind.SIGN, OpKind.THRESHOLD):
            attrs = {"at_zero": draw(st.sampled_from([-1, 0, 1]))}
            if draw(st.booleans()):
                attrs |= {"low": -0.7, "high": 0.3}
        if kind is OpKind.CLAMP:
            attrs = {
                "min": draw(st.sampled_from([None, 0.0, -1.3])),
                "max": draw(st.sampled_from([None, 1.0, 2.7])),
            }
        if kind in PAIRS:
            reads.append(draw(st.sampled_from(names)))
            attrs |= {"which": draw(st.sampled_from(["max", "min"]))} if kind is OpKind.EXTREMUM else {}
        names.append(edit.add(OpNode(f"n{number}", kind, shape, attrs=attrs, consts=consts), reads))
    edit.add(OpNode("out", OpKind.OUTPUT, shape, attrs={"leaf": 0}), [names[-1]])
    return edit.freeze(), torch.randn(shape, generator=generator) * 3


@compiled
@MANY
@given(chains(), st.sampled_from([None, 10, 16]), st.sampled_from([3, 8, 12]))
def test_chains_are_torchs_node_by_node(case, width, fraction_bits):
    graph, x = case
    arithmetic = FixedPoint(fraction_bits, width=width)
    refused = refusal(lambda: without_kernels(graph, [x], replace(arithmetic)))
    assert refusal(lambda: execute(graph, [x], replace(arithmetic), keep=lambda _node: True)) == refused
    if refused is None:  # products of products can leave what float64 holds exactly
        equal_with_and_without(graph, [x], arithmetic)


def refusal(run):
    """What GraphError says, None if there is none."""
    try:
        run()
    except GraphError as error:
        return str(error)
    return None


@pytest.fixture(scope="module")
def digits() -> tuple[OpGraph, torch.Tensor]:
    """The rewritten network on 8x8 digits, of random weights, and images."""
    torch.manual_seed(1)
    subject = resolve(Request("reactnet_18", preset="digits", base_width=8, blocks=(2, 1, 1)))
    return Lowered(subject, RewriteOptions(), FixedPoint(12)).graph(5), torch.randn(5, 3, 8, 8)


@compiled
@pytest.mark.parametrize("width", [None, 14])
def test_a_whole_network(digits, width):
    graph, images = digits
    arithmetic = FixedPoint(12, width=width)
    by_kernels = execute(graph, [images], arithmetic, keep=lambda _node: True)
    other = FixedPoint(12, width=width)
    by_torch = without_kernels(graph, [images], other, keep=lambda _node: True)
    assert all(torch.equal(by_kernels[name], value) for name, value in by_torch.items())
    assert arithmetic == other
    assert (width is None) == (arithmetic.overflows == 0)


@compiled
def test_threads_change_nothing(digits, monkeypatch):
    graph, images = digits
    alone = execute(graph, [images], FixedPoint(12))
    monkeypatch.setattr("abcost.core.packed._WORTH_THREADS", 1)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        together = execute(graph, [images], FixedPoint(12))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(alone["output"], together["output"])


def test_what_two_graphs_share_is_executed_once(digits):
    graph, images = digits
    (pair,) = differences([graph, graph], [images], FixedPoint(12))
    assert set(pair.errors.values()) == {0.0}
    assert list(pair.errors) == [node.name for node in graph if node.kind is not OpKind.INPUT]
    assert pair.elements == sum(node.elements for node in graph if node.kind is not OpKind.INPUT)


def test_a_changed_constant_is_seen_from_there_on(digits):
    graph, images = digits
    edit = Edit(graph)
    victim = next(node for node in graph if node.kind is OpKind.ADD_CONST)
    moved = replace(victim.consts["value"], values=victim.consts["value"].values + 1)
    edit.replace(victim, consts={"value": moved})
    (pair,) = differences([graph, edit.freeze()], [images], FixedPoint(12))
    place = list(pair.errors).index(victim.name)
    assert set(list(pair.errors.values())[:place]) == {0.0}
    assert pair.errors[victim.name] == 1.0


def test_without_a_compiler(monkeypatch):
    monkeypatch.setattr(kernels_module, "_compiler", lambda: None)
    kernels_module._load.cache_clear()
    try:
        assert kernels() is None
        assert describe().about.startswith("no C compiler")
    finally:
        monkeypatch.undo()
        kernels_module._load.cache_clear()


def test_a_compiler_that_fails(monkeypatch, tmp_path):
    broken = tmp_path / "cc"
    broken.write_text(
        "#!/bin/sh\ncase $1 in --version) echo cc 1.0;; *) echo 'no flag -O3' >&2; exit 1;; esac\n"
    )
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kernels_module._load.cache_clear()
    try:
        assert kernels() is None
        assert "no flag -O3" in describe().about
        assert not list((tmp_path / "abcost" / "kernels").iterdir())  # nothing by half is left
    finally:
        monkeypatch.undo()
        kernels_module._load.cache_clear()


@compiled
def test_it_is_compiled_once_and_kept(tmp_path):
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    program = "from abcost.core.kernels import describe; print(describe().about)"
    said = [
        subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    (kept,) = (tmp_path / "abcost" / "kernels").iterdir()
    assert said[0] == said[1]
    assert str(kept) in said[0]


def test_the_doctor_says_which_kernels_are_in_use(monkeypatch):
    monkeypatch.setenv(SWITCH, "off")
    (found,) = [finding for finding in examine() if finding.name == "kernels"]
    assert (found.state, SWITCH in found.detail) == ("absent", True)
