"""A constant matrix as adders that outputs share, found by the solver of da4ml.

da4ml (LGPLv3, an extra of the installation) looks for sub-expressions that occur most often in the signed digits of a
matrix: Sun et al., "da4ml: Distributed Arithmetic for Real-time Neural Networks on FPGAs", ACM TRETS 2025,
doi:10.1145/3777387. What it answers is redrawn as an `AdderGraph` and held against the matrix, factor by factor.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abcost.core.adders.drawer import Drawer, Term
from abcost.core.adders.graph import AdderGraph, check_matrix
from abcost.errors import GraphError
from abcost.extras import check_installed, require

MOST_DIGITS = 60_000
"""Signed digits of one matrix; more take minutes."""
MOST_BITS = 24
"""Of one constant: the solver holds them in single precision."""

_EXTRA = ("da4ml", "adders", "--constant-multiply graph")
_SEARCHED = 250_000  # inputs x digits up to which all depths of its first stage are tried: seconds
_AT_ONCE = 2_000_000  # inputs x digits up to which a matrix is one problem: some ten seconds
_INPUT, _ADD, _SUBTRACT = -1, 0, 1  # its operations, of which linear graphs have no others


def check_solver() -> None:
    """Raises MissingExtra where the solver is not installed."""
    check_installed(*_EXTRA)


def digits_in(matrix: NDArray[np.int64]) -> int:
    """Nonzero canonical signed digits of all numbers: popcount(n XOR 3n) each (Reitwiesner 1960)."""
    n = np.abs(matrix)
    return int(np.bitwise_count(n ^ (3 * n)).sum())


def shared(matrix: NDArray[np.int64], fraction_bits: int = 0) -> AdderGraph:
    """The graph of a matrix (outputs, inputs) of whole numbers; fraction_bits: as `AdderGraph` has it.

    A matrix that would take the solver minutes is halved by its inputs, and the halves are added. Raises GraphError for
    more than `MOST_DIGITS` signed digits, or numbers of more than `MOST_BITS` bits; MissingExtra without the solver.
    """
    return _shared(matrix.shape, np.ascontiguousarray(matrix).tobytes(), fraction_bits)


def refusal(matrix: NDArray[np.int64]) -> str:
    """Why a matrix is not taken; empty where it is."""
    widest = int(np.abs(matrix).max(initial=0)).bit_length()
    if widest > MOST_BITS:
        return f"a constant takes {widest} bits, more than the {MOST_BITS} that the solver holds exactly"
    digits = digits_in(matrix)
    return (
        f"{digits:,} signed digits are more than the {MOST_DIGITS:,} that are solved"
        if digits > MOST_DIGITS
        else ""
    )


@lru_cache(maxsize=64)
def _shared(shape: tuple[int, int], numbers: bytes, fraction_bits: int) -> AdderGraph:
    matrix = np.frombuffer(numbers, dtype=np.int64).reshape(shape)
    reason = refusal(matrix)
    if reason:
        raise GraphError(f"no adder graph: {reason}")
    drawer = Drawer(shape[1])
    solve = require("da4ml.cmvm", *_EXTRA[1:]).solve
    totals = _sums(drawer, solve, matrix, [Term(number) for number in range(shape[1])])
    return check_matrix(drawer.graph(totals, fraction_bits), matrix)


def _sums(drawer: Drawer, solve: Any, matrix: NDArray[np.int64], x: list[Term]) -> list[Term | None]:
    """The outputs, drawn; x: what the columns of the matrix multiply."""
    work = len(x) * digits_in(matrix)
    if work > _AT_ONCE and len(x) > 1:
        half = len(x) // 2
        parts = [
            _sums(drawer, solve, matrix[:, :half], x[:half]),
            _sums(drawer, solve, matrix[:, half:], x[half:]),
        ]
        return [
            drawer.total(term for term in terms if term is not None) for terms in zip(*parts, strict=True)
        ]
    if not matrix.any():
        return [None] * len(matrix)
    every = {"decompose_dc": -2, "search_all_decompose_dc": True}
    options = every if work <= _SEARCHED else {"decompose_dc": -1, "search_all_decompose_dc": False}
    found: list[Term | None] = list(x)
    for stage in solve(np.ascontiguousarray(matrix.T, dtype=np.float32), **options).solutions:
        found = _drawn(drawer, stage, found)
    return found


def _drawn(drawer: Drawer, stage: Any, x: list[Term | None]) -> list[Term | None]:
    """One of the solver's stages, each of which reads the outputs of the one before."""
    values: list[Term | None] = []
    for op in stage.ops:
        if op.opcode == _INPUT:
            term = x[op.id0]
            values.append(None if term is None else term.times(stage.inp_shifts[op.id0]))
        elif op.opcode in (_ADD, _SUBTRACT):
            right = values[op.id1]
            moved = None if right is None else right.times(op.data, negative=op.opcode == _SUBTRACT)
            values.append(drawer.total(term for term in (values[op.id0], moved) if term is not None))
        else:
            raise GraphError(f"the solver of adder graphs used an operation that is no sum: {op.opcode}")
    outputs: list[Term | None] = []
    for place, shift, negative in zip(stage.out_idxs, stage.out_shifts, stage.out_negs, strict=True):
        term = None if place < 0 else values[place]
        outputs.append(None if term is None else term.times(shift, negative=negative))
    return outputs
