"""What is swept: networks, and the targets, accelerators and widths that each of them is priced with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from abcost.accelerator.solve import AcceleratorGoal
from abcost.cost.table import CostTable
from abcost.models.subject import Subject
from abcost.rewrite import RewriteOptions


@dataclass(frozen=True, slots=True)
class SweptNetwork:
    """One model: as the user named it, what it is, and how it is lowered."""

    name: str
    subject: Subject
    rewriting: RewriteOptions


@dataclass(frozen=True, slots=True)
class Combination:
    """All of a row but its network.

    width: bits of the residual path.  goal: the accelerator; None prices one lane per node.
    folding: the file that gives its folding; None where that is looked for.
    """

    table: CostTable
    width: int
    goal: AcceleratorGoal | None = None
    folding: Path | None = None
