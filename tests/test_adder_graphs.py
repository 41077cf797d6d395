"""Graphs of adders: what they compute, how wide they are, that sharing changes nothing, and what it saves."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from abcost.core.adders import shared as shared_module
from abcost.core.adders.drawer import Drawer, Term
from abcost.core.adders.graph import ZERO, Add, AdderGraph, Output, check_matrix
from abcost.core.adders.of_node import constant_matrix
from abcost.core.adders.run import run
from abcost.core.adders.shared import MOST_DIGITS, digits_in, refusal, shared
from abcost.core.adders.unshared import unshared
from abcost.core.adders.widths import adder_bits, adders_by_bits, signed_range, value_bits
from abcost.core.node import Constant
from abcost.errors import GraphError, MissingExtra


@st.composite
def matrices(draw, most=2**11):
    outputs, inputs = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    numbers = st.integers(-most, most) | st.just(0) | st.sampled_from([1, -1, 64, -most])
    rows = draw(
        st.lists(st.lists(numbers, min_size=inputs, max_size=inputs), min_size=outputs, max_size=outputs)
    )
    return np.array(rows, dtype=np.int64)


def columns(inputs, bits, seed=0):
    """Random columns, and those in which every input is at an end of its range."""
    low, high = signed_range(bits)
    rng = np.random.default_rng(seed)
    ends = rng.choice([low, high], (inputs, 20))
    return torch.from_numpy(
        np.hstack([rng.integers(low, high + 1, (inputs, 20)), ends, np.full((inputs, 1), low)])
    )


@pytest.mark.parametrize("drawn", [unshared, shared])
@given(matrix=matrices())
@settings(max_examples=60)
def test_a_graph_is_the_product_with_its_matrix(drawn, matrix):
    graph = drawn(matrix)
    x = columns(matrix.shape[1], 8)
    assert torch.equal(run(graph, x), torch.from_numpy(matrix) @ x)
    assert np.array_equal(graph.matrix(), matrix)


@pytest.mark.parametrize("drawn", [unshared, shared])
@given(matrix=matrices(most=40), bits=st.integers(2, 5))
@settings(max_examples=30)
def test_values_have_the_bits_that_some_input_needs_and_no_more(drawn, matrix, bits):
    graph = drawn(matrix)
    low, high = signed_range(bits)
    for factors, needed in zip(graph.rows().tolist(), value_bits(graph, low, high), strict=True):
        # every input at the end that makes the sum greatest, or least
        most = sum(f * (high if f > 0 else low) for f in factors)
        least = sum(f * (low if f > 0 else high) for f in factors)
        fits = [b for b in range(1, 40) if -(1 << (b - 1)) <= least and most <= (1 << (b - 1)) - 1]
        assert needed == fits[0]


def test_adders_span_the_bits_that_both_operands_have():
    # of x0 and x1 in 4 bits, -8 .. 7
    graph = AdderGraph(
        2,
        (
            Add(0, 0, 1, 3),  # x0 + 8 x1, -72 .. 63: 8 bits, the lowest 3 are those of x0
            Add(0, 3, 1, 0, subtract=True),  # 8 x0 - x1, -71 .. 64: 8 bits, all of them: x1 is inverted
            Add(0, 0, 1, 3, subtract=True),  # x0 - 8 x1, -64 .. 71: 8 bits, the lowest 3 are those of x0
            Add(ZERO, 0, 0, 0, subtract=True),  # -x0, -7 .. 8: 5 bits
        ),
        (Output(2), Output(3), Output(4), Output(5)),
    )
    assert adder_bits(graph, -8, 7) == [5, 8, 5, 5]
    assert adders_by_bits(graph, -8, 7) == {5: 3, 8: 1}


def test_signed_digits_take_an_adder_fewer_than_they_are():
    # 7 = 8 - 1, 5 = 4 + 1: four digits; -8 is one digit, and an adder negates it; 0 is nothing
    graph = unshared(np.array([[7, 5], [-8, 0], [0, 0]]))
    assert [add.subtract for add in graph.adds] == [True, False, False, True]
    assert graph.outputs[2] == Output(ZERO)
    assert digits_in(np.array([[7, 5], [-8, 0], [0, 0]])) == 5


def test_what_outputs_have_in_common_is_computed_once():
    # y0 = 3 (x0 + x1), y1 = 5 (x0 + x1): the sum, and an adder for each factor; apart they take 2 * 2 - 1 = 3 each
    matrix = np.array([[3, 3], [5, 5]])
    assert (len(unshared(matrix).adds), len(shared(matrix).adds)) == (6, 3)


def test_a_large_matrix_is_halved_and_still_exact(monkeypatch):
    solver = importlib.import_module("da4ml.cmvm")
    solved = []
    monkeypatch.setattr(
        solver,
        "solve",
        lambda kernel, solve=solver.solve, **options: solved.append(kernel.shape) or solve(kernel, **options),
    )
    monkeypatch.setattr(shared_module, "_AT_ONCE", 2_000)
    matrix = np.random.default_rng(1).integers(-2047, 2048, (8, 30))
    graph = shared(matrix)
    # quarters of 7 or 8 inputs with at most 8 outputs of 4 digits, half of all places: 8 * 8 * 8 * 4 is near 2,000
    assert len(solved) >= 4
    assert (sum(inputs for inputs, _ in solved), {outputs for _, outputs in solved}) == (30, {8})
    x = columns(30, 12)
    assert torch.equal(run(graph, x), torch.from_numpy(matrix) @ x)
    assert len(graph.adds) < 0.6 * len(unshared(matrix).adds)


def test_constants_beyond_the_solver_are_refused():
    wide = np.array([[2**24 + 1]])
    assert refusal(wide) == "a constant takes 25 bits, more than the 24 that the solver holds exactly"
    with pytest.raises(GraphError, match="no adder graph: a constant takes 25 bits"):
        shared(wide)
    many = np.full((MOST_DIGITS + 1, 1), 4)
    assert refusal(many) == "60,001 signed digits are more than the 60,000 that are solved"
    largest = np.array(
        [[2**24 - 1, -(2**24) + 1]]
    )  # 2**24 - 1 and its negative: a digit above, and one below
    assert np.array_equal(shared(largest).matrix(), largest)


def test_the_solver_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "da4ml.cmvm", None)
    with pytest.raises(MissingExtra) as caught:
        shared(np.array([[1234, 567]]))
    assert str(caught.value) == (
        "--constant-multiply graph needs da4ml.cmvm, which is not installed; pip install 'abcost[adders]'"
    )


@pytest.mark.parametrize(
    ("values", "numbers", "fraction_bits"),
    [
        ([[0.75, -2.0]], [[3, -8]], 2),
        ([[3.0, 0.0]], [[3, 0]], 0),
        ([[2.0**-20, 1.0]], [[1, 2**20]], 20),  # a power of two below the grid
        ([[0.0]], [[0]], 0),
    ],
)
def test_weights_as_whole_numbers(values, numbers, fraction_bits):
    found = constant_matrix(Constant(torch.tensor(values, dtype=torch.float64)))
    assert found is not None
    assert (found[0].tolist(), found[1]) == (numbers, fraction_bits)


def test_weights_of_too_many_bits_make_no_matrix():
    assert constant_matrix(Constant(torch.tensor([[2.0**-24, 1.0]], dtype=torch.float64))) is None


def test_a_graph_of_other_constants_is_found_out():
    with pytest.raises(GraphError, match="multiplies by other constants than it should, 1 of 2"):
        check_matrix(unshared(np.array([[3, 5]])), np.array([[3, 6]]))


def test_an_adder_reads_earlier_values_only():
    with pytest.raises(GraphError, match="adder 0 of 1 reads what is not there"):
        AdderGraph(1, (Add(1, 0, 0, 0),), (Output(1),))


def test_sums_beyond_63_bits_are_refused():
    graph = AdderGraph(1, (Add(0, 45, 0, 0),), (Output(1),))  # 2**65 + 2**20: 66 bits and a sign
    with pytest.raises(GraphError, match="an adder graph needs 67 bits, more than 63"):
        run(graph, torch.tensor([[2**20, -(2**20)]]))


def test_adders_that_no_output_reads_are_left_out():
    drawer = Drawer(2)
    drawer.add(Term(0), Term(1))
    kept = drawer.add(Term(0), Term(1, 2))
    assert drawer.graph([kept], 0) == AdderGraph(2, (Add(0, 0, 1, 2),), (Output(2),))
