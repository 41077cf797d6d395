"""Input vectors for simulation and for switching energy: random rows, and every port at its edges."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from abcost.rtl.unit import Port, Unit

MOST_EDGES = 256  # rows of edge combinations


def random_rows(unit: Unit, rows: int, *, seed: int = 0) -> dict[str, Tensor]:
    """Independent uniform bits at every input. Deterministic in `seed`."""
    generator = torch.Generator().manual_seed(seed)
    return {
        port.name: _values(port, torch.rand(rows, port.count, port.width, generator=generator) < 0.5)
        for port in unit.inputs
    }


def edge_rows(unit: Unit) -> dict[str, Tensor]:
    """Combinations of the edges of all inputs: least, greatest, -1, 0, 1 (arrays: all elements alike)."""
    edges = [_edges(port) for port in unit.inputs]
    rows = list(itertools.islice(itertools.product(*edges), MOST_EDGES))
    return {
        port.name: _spread(port, torch.tensor([row[i] for row in rows], dtype=torch.int64))
        for i, port in enumerate(unit.inputs)
    }


def rows_of(unit: Unit, rows: int, *, seed: int = 0) -> dict[str, Tensor]:
    """Edge rows, then random ones, as the unit is used."""
    edges, others = edge_rows(unit), random_rows(unit, rows, seed=seed)
    found = {name: torch.cat([edges[name], others[name]]) for name in edges}
    return found if unit.protocol is None else unit.protocol(found)


def _edges(port: Port) -> list[int]:
    low, high = (
        (-(1 << (port.width - 1)), (1 << (port.width - 1)) - 1) if port.signed else (0, (1 << port.width) - 1)
    )
    return sorted(edge for edge in {low, low + 1, -1, 0, 1, high - 1, high} if low <= edge <= high)


def _spread(port: Port, values: Tensor) -> Tensor:
    return values if port.count == 1 else values[:, None].expand(-1, port.count).contiguous()


def _values(port: Port, bits: Tensor) -> Tensor:
    """(rows, count, width) bits, lowest first -> (rows,) or (rows, count) integers."""
    weights = torch.tensor([1 << i for i in range(port.width - 1)] + [0], dtype=torch.int64)
    top = 1 << (port.width - 1)
    values = (bits.to(torch.int64) * weights).sum(-1)
    values += bits[..., -1].to(torch.int64) * (-top if port.signed else top)
    return values.squeeze(1) if port.count == 1 else values
