"""Matrix products with a constant on either side, of two activations, and what torch turns into them."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from abcost.core.binary import split
from abcost.core.inputs import InputSpec
from abcost.core.kinds import OpKind
from abcost.crosscheck import analysis_macs, formula_macs
from abcost.pipeline import analyze
from operators import counts, graph_equal_to, kinds, macs
from strategies import Module


def parameter(*shape, seed=9):
    generator = torch.Generator().manual_seed(seed)
    return nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))


# name: function, input shapes, parameters, kinds of the dots, multiply-accumulates by hand
FORMS = {
    "einsum, weight right": (
        lambda m, x: torch.einsum("bchw,oc->bohw", x, m.w), [(2, 3, 4, 5)], {"w": parameter(6, 3)},
        ["linear"], 2 * 4 * 5 * 6 * 3,
    ),
    "einsum, weight left": (
        lambda m, x: torch.einsum("oc,bchw->bohw", m.w, x), [(2, 3, 4, 5)], {"w": parameter(6, 3)},
        ["linear"], 2 * 4 * 5 * 6 * 3,
    ),
    "einsum of three": (
        lambda m, x: torch.einsum("bi,ji,kj->bk", x, m.w, m.v), [(2, 3)], {"w": parameter(5, 3), "v": parameter(4, 5)},
        ["linear", "linear"], 2 * (5 * 3 + 4 * 5),
    ),
    "einsum, weights on both sides": (
        lambda m, x: torch.einsum("ij,bjk,kl->bil", m.w, x, m.v), [(2, 3, 4)],
        {"w": parameter(5, 3), "v": parameter(4, 6)}, ["linear", "linear"], 2 * 5 * 4 * 3 + 2 * 5 * 6 * 4,
    ),
    "einsum per head": (  # every head has a matrix of its own: a grouped convolution of kernel 1
        lambda m, x: torch.einsum("bthd,hde->bthe", x, m.w), [(2, 3, 4, 5)], {"w": parameter(4, 5, 6)},
        ["conv"], 2 * 3 * 4 * 5 * 6,
    ),
    "einsum per head, weight left": (
        lambda m, x: torch.einsum("hde,bthd->bhte", m.w, x), [(2, 3, 4, 5)], {"w": parameter(4, 5, 6)},
        ["conv"], 2 * 3 * 4 * 5 * 6,
    ),
    "einsum of activations": (
        lambda m, x, y: torch.einsum("bqd,bkd->bqk", x, y), [(2, 3, 5), (2, 4, 5)], {}, ["matmul"], 2 * 3 * 4 * 5,
    ),
    "einsum, weight between activations": (
        lambda m, x, y: torch.einsum("bi,oij,bj->bo", x, m.w, y), [(2, 3), (2, 4)], {"w": parameter(5, 3, 4)},
        ["linear", "matmul"], 2 * 5 * 4 * 3 + 2 * 5 * 4,
    ),
    "matrix times vector": (lambda m, x: m.w @ x[0], [(1, 3)], {"w": parameter(4, 3)}, ["linear"], 12),
    "activations times vector": (lambda m, x: x @ m.w, [(5, 3)], {"w": parameter(3)}, ["linear"], 15),
    "mv of activations": (lambda m, x, y: x @ y[0], [(5, 3), (1, 3)], {}, ["matmul"], 15),
    "dot with a constant": (lambda m, x: x[0] @ m.w, [(1, 7)], {"w": parameter(7)}, ["linear"], 7),
    "dot with a constant, left": (lambda m, x: torch.dot(m.w, x[0]), [(1, 7)], {"w": parameter(7)}, ["linear"], 7),
    "dot of activations": (lambda m, x, y: torch.dot(x[0], y[0]), [(1, 7), (1, 7)], {}, ["matmul"], 7),
    "constant left": (lambda m, x: m.w @ x, [(2, 3, 5)], {"w": parameter(4, 3)}, ["linear"], 2 * 4 * 3 * 5),
    "constant left of a matrix": (lambda m, x: m.w @ x, [(3, 5)], {"w": parameter(4, 3)}, ["linear"], 4 * 3 * 5),
    "batch of equal constants": (
        lambda m, x: x @ m.w.expand(4, 5, 6), [(4, 3, 5)], {"w": parameter(5, 6)}, ["linear"], 4 * 3 * 5 * 6,
    ),
    "batch of constants": (lambda m, x: x @ m.w, [(4, 3, 5)], {"w": parameter(4, 5, 6)}, ["conv"], 4 * 3 * 5 * 6),
    "batch of constants, left": (lambda m, x: m.w @ x, [(4, 5, 3)], {"w": parameter(4, 6, 5)}, ["conv"], 4 * 3 * 5 * 6),
    "Bilinear": (
        lambda m, x, y: m.b(x, y), [(2, 3), (2, 4)], {"b": nn.Bilinear(3, 4, 5)},
        ["linear", "matmul"], 2 * 5 * 4 * 3 + 2 * 5 * 4,
    ),
    "Bilinear, one constant": (
        lambda m, x: m.b(m.w, x), [(2, 4)], {"b": nn.Bilinear(3, 4, 5), "w": parameter(2, 3)},
        ["linear", "conv"], 2 * 5 * 3 * 4 + 2 * 5 * 3,
    ),
    "addmm with beta and alpha": (
        lambda m, x: torch.addmm(m.b, x, m.w, beta=0.5, alpha=2), [(2, 3)], {"w": parameter(3, 4), "b": parameter(4)},
        ["linear"], 2 * 3 * 4,
    ),
    "addmm, constant left": (
        lambda m, x: torch.addmm(m.b, m.w, x), [(3, 4)], {"w": parameter(5, 3), "b": parameter(5, 4)},
        ["linear"], 5 * 3 * 4,
    ),
    "addmm of activations": (lambda m, x, y: torch.addmm(y, x, y), [(3, 3), (3, 3)], {}, ["matmul"], 27),
    "baddbmm": (
        lambda m, x, y: torch.baddbmm(m.b, x, y, beta=0.5, alpha=0.25), [(2, 3, 4), (2, 4, 5)], {"b": parameter(3, 5)},
        ["matmul"], 2 * 3 * 4 * 5,
    ),
    "baddbmm without its sum": (
        lambda m, x, y: torch.baddbmm(x, x, y, beta=0), [(2, 3, 3), (2, 3, 3)], {}, ["matmul"], 2 * 27,
    ),
    "addmv": (
        lambda m, x: torch.addmv(x[0, :4], m.w, x[0], alpha=3), [(1, 5)], {"w": parameter(4, 5)}, ["linear"], 20,
    ),
    "addr": (lambda m, x: torch.addr(m.w, x[0], m.v), [(1, 3)], {"w": parameter(3, 4), "v": parameter(4)}, [], 0),
    "tensordot": (
        lambda m, x: torch.tensordot(x, m.w, 2), [(2, 3, 4)], {"w": parameter(3, 4, 5)}, ["linear"], 2 * 12 * 5,
    ),
    "permuted tokens": (
        lambda m, x: m.fc(x.flatten(2).permute(0, 2, 1)), [(2, 3, 4, 4)],
        {"fc": nn.Linear(3, 5, bias=False).requires_grad_(False)}, ["linear"], 2 * 16 * 3 * 5,
    ),
    "permuted tokens with bias": (
        lambda m, x: m.fc(x.flatten(2).permute(0, 2, 1)), [(2, 3, 4, 4)],
        {"fc": nn.Linear(3, 5).requires_grad_(False)}, ["linear"], 2 * 16 * 3 * 5,
    ),
    "weight by columns of unfold": (
        lambda m, x: m.w @ F.unfold(x, 3, padding=1), [(2, 3, 4, 4)], {"w": parameter(5, 27)},
        ["linear"], 2 * 16 * 27 * 5,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FORMS))
def test_products_against_torch_and_by_hand(name):
    function, shapes, members, dots, by_hand = FORMS[name]
    graph = graph_equal_to(function, *shapes, **members)
    assert [kind for kind in kinds(graph) if kind in ("linear", "matmul", "conv")] == dots
    assert macs(graph) == by_hand
    assert formula_macs(graph) == by_hand


UNCOUNTED = {  # fvcore has no formula, or one for another order of an einsum
    "einsum of three", "einsum, weight between activations", "einsum, weights on both sides",
    "Bilinear", "Bilinear, one constant", "baddbmm", "baddbmm without its sum", "addmv", "tensordot",
    "dot with a constant, left", "dot of activations",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FORMS))
def test_fvcore_agrees_where_it_can_count(name):
    function, shapes, members, _, by_hand = FORMS[name]
    model = Module(function, **members).double()
    counted = analysis_macs(model, tuple(InputSpec(shape, torch.float64) for shape in shapes))
    assert counted == (None if name in UNCOUNTED else by_hand)


def test_only_what_is_written_is_added():
    graph = graph_equal_to(
        *FORMS["addmm with beta and alpha"][:1], (2, 3), **FORMS["addmm with beta and alpha"][2]
    )
    assert kinds(graph) == ["linear", "scale", "add_const"]  # 0.5 * b is a constant
    assert counts(graph) == {"multiply": 8, "add": 8}
    plain = graph_equal_to(lambda m, x: torch.addmm(m.b, x, m.w), (2, 3), w=parameter(3, 4), b=parameter(4))
    assert kinds(plain) == ["linear"]


SIGNS = {
    "einsum, weight left": lambda m, x: torch.einsum("oc,bchw->bohw", m.w.sign(), x.sign()),
    "per output scale": lambda m, x: torch.einsum("bchw,oc->bohw", x.sign(), m.w.sign() * m.s),
    "constant left": lambda m, x: m.w.sign() @ x.sign().flatten(2),
    "constant left, scaled": lambda m, x: (m.s * m.w.sign()) @ x.sign().flatten(2),
}


@pytest.mark.parametrize("name", sorted(SIGNS))
def test_binary_weights_are_seen_on_either_side(name):
    model = Module(SIGNS[name], w=parameter(8, 6).float(), s=nn.Parameter(torch.rand(8, 1) + 0.5))
    report = analyze(model, input_shape=(1, 6, 4, 4))
    found = report.to_dict()["macs"]
    assert (found["binary_binary"], found["real_real"], found["binary_real"]) == (8 * 6 * 16, 0, 0)


def test_every_head_keeps_its_binary_weights():
    function, shapes, _, _, by_hand = FORMS["einsum per head"]
    graph = graph_equal_to(
        lambda m, x: function(m, x.sign()), *shapes, w=nn.Parameter(parameter(4, 5, 6).sign() * 0.3)
    )
    (conv,) = graph.of_kind(OpKind.CONV)
    assert split(conv.consts["weight"].real(), 0).lossless
    assert (conv.attrs["groups"], conv.attrs["taps"], conv.attrs["macs"]) == (4, 5, by_hand)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_einsum_of_random_axes(data):
    """Two operands of random axes, one of them constant: the graph equals torch, MACs are the product of all sizes."""
    sizes = {"a": 2, "b": 3, "c": 4, "d": 2, "e": 5}
    left = "".join(data.draw(st.lists(st.sampled_from("abcde"), unique=True, min_size=1, max_size=4)))
    right = "".join(data.draw(st.lists(st.sampled_from("abcde"), unique=True, min_size=1, max_size=3)))
    kept = data.draw(st.permutations(sorted(set(left + right))))
    out = "".join(kept[: data.draw(st.integers(0, len(kept)))])
    weight = parameter(*(sizes[axis] for axis in right))
    if data.draw(st.booleans()):
        graph = graph_equal_to(
            lambda m, x: torch.einsum(f"{left},{right}->{out}", x, m.w),
            tuple(sizes[a] for a in left),
            w=weight,
        )
    else:
        graph = graph_equal_to(
            lambda m, x: torch.einsum(f"{right},{left}->{out}", m.w, x),
            tuple(sizes[a] for a in left),
            w=weight,
        )
    summed = [axis for axis in set(left) & set(right) if axis not in out]
    if not summed:
        assert macs(graph) == 0
        return
    alone = [axis for axis in set(left) ^ set(right) if axis not in out]  # summed before the product
    used = [axis for axis in set(left + right) if axis not in alone]
    assert macs(graph) == torch.Size([sizes[axis] for axis in used]).numel()
