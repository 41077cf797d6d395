"""A constant matrix in canonical signed digits: one shifted term per digit, a tree of adders per output.

    y[o] = sum over inputs i and digits d of matrix[o, i] of +-(x[i] << place of d)

Nothing is shared between outputs: what sharing saves is counted against this.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from abcost.core.adders.drawer import Drawer, Term
from abcost.core.adders.graph import AdderGraph
from abcost.core.adders.signed_digits import signed_digits


def unshared(matrix: NDArray[np.int64], fraction_bits: int = 0) -> AdderGraph:
    """The graph of a matrix (outputs, inputs) of whole numbers; fraction_bits: as `AdderGraph` has it."""
    drawer = Drawer(matrix.shape[1])
    totals = [
        drawer.total(
            Term(number, place, sign < 0)
            for number, constant in enumerate(row)
            for place, sign in signed_digits(constant)
        )
        for row in matrix.tolist()
    ]
    return drawer.graph(totals, fraction_bits)
