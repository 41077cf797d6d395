"""What published binary accelerators say of the energy of a binary operation, next to our tables.

    fJ per operation = 1000 * pJ of an XNOR-popcount of n bits / (2 n)

An operation is half a multiply-accumulate, as in TOPS: a binary product of n bits is n XNORs and n additions. Ours are
cells of the popcount alone; what print states has memories, control and a clock tree in it, and often less voltage. So
figures stand side by side and no ratio is made of them. A table is scaled to a node and voltage of print only by the
factors of `abcost targets scale`, and only where these reach.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from abcost.cost import TARGETS, CostTable, cost_models_dir
from abcost.cost.scaling import Corner, logic_factor
from abcost.errors import CostError, UsageError

BITS = 256
"""Of the popcount that is priced; one of 64 or 1,024 differs by some percent."""
UNIT = "xnor_popcount"


@dataclass(frozen=True, slots=True)
class PublishedAccelerator:
    """A row of print. node_nm, voltage_v: None where its source does not say."""

    name: str
    fj_per_op: float
    derivation: str
    node_nm: int | None
    voltage_v: float | None
    includes: str
    stage: str
    source: str
    confidence: str


@dataclass(frozen=True, slots=True)
class Operation:
    """Energy of a binary operation by one of our tables, in fJ, with its bounds.

    factor: what it was multiplied with to be at `node`, after Stillmaker & Baas 2017; None for a table as it is.
    """

    target: str
    node: str
    low: float
    value: float
    high: float
    confidence: str
    factor: float | None = None


def accelerators() -> tuple[PublishedAccelerator, ...]:
    """The rows of cost_models/published/bnn_accelerators.csv."""
    path = cost_models_dir() / "published" / "bnn_accelerators.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(
            PublishedAccelerator(
                row["name"], float(row["fj_per_op"]), row["derivation"],
                int(row["node_nm"]) if row["node_nm"] else None,
                float(row["voltage_v"]) if row["voltage_v"] else None,
                row["includes"], row["stage"], row["source"], row["confidence"],
            )
            for row in csv.DictReader(file)
        )  # fmt: skip


def operations(printed: Sequence[PublishedAccelerator]) -> tuple[Operation, ...]:
    """Binary operations of every bundled cell table with an energy for them, as it is and at the corners of print."""
    found = []
    for name in TARGETS.names():
        table = CostTable.load(name)
        own = _operation(table)
        if own is None:
            continue
        found.append(own)
        source = corner(table.node)
        for to in _corners(printed):
            try:
                factor = None if source in (None, to) else logic_factor(source, to).energy
            except UsageError:  # a node or a voltage that the factors do not reach
                factor = None
            if factor is not None:
                scaled = (own.low * factor, own.value * factor, own.high * factor)
                found.append(Operation(name, str(to), *scaled, "derived", factor))
    return tuple(found)


def corner(node: str) -> Corner | None:
    """The node and the voltage in a table's description of them; None where it lacks one.

    >>> corner("130 nm, SkyWater sky130_fd_sc_hd, typical, 25 C, 1.8 V")
    Corner(nm=130, volt=1.8)
    """
    nm, volt = re.search(r"\b(\d{1,4}) nm\b", node), re.search(r"\b(\d+(?:\.\d+)?) V\b", node)
    return None if nm is None or volt is None else Corner(int(nm[1]), float(volt[1]))


def _corners(printed: Sequence[PublishedAccelerator]) -> list[Corner]:
    return [
        Corner(a.node_nm, a.voltage_v) for a in printed if a.node_nm is not None and a.voltage_v is not None
    ]


def _operation(table: CostTable) -> Operation | None:
    if table.technology != "asic":
        return None
    try:
        detail = table.price(UNIT, width=table.default_width, bits=BITS).details.get("energy_pj")
    except CostError:  # beyond its laws
        return None
    if detail is None:
        return None
    low, high = (detail.value if end is None else end for end in (detail.low, detail.high))
    of_op = 1000 / (2 * BITS)
    return Operation(
        table.target, table.node, low * of_op, detail.value * of_op, high * of_op, detail.confidence
    )
