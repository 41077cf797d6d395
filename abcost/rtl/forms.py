"""Forms of laws: what a unit says of how its cost and its delay depend on its sizes.

Of costs, fitted by `abcost.calibrate.fit`:

    Terms("width", "1")                value = a * width + b, by least squares; terms with a negative factor are dropped
    Pieces("width", (Terms(…), …))     one such law per range of widths, as few ranges as keep within the tolerance
    Boxes(("width", part), boxes)      a sum over width, a part of it, and terms of each box of other sizes, with bounds
    Each("choices", form)              laws of their own for each value of one size
    Interpolated("bits")               the points, straight lines between them

Of delays, fitted by `abcost.calibrate.delay_fit`:

    Curve("width")                     the means over one size, straight lines between them
    Factors(("log2(bits)", "1"))       a weighted sum of terms that rise with the sizes, no factor below 0
    Split("width", 18, form)           one law up to 18, another from 19 on
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Terms:
    """A weighted sum of terms, each a formula over the sizes."""

    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pieces:
    """One law per range of `over`, split where a law would miss a point by more than the tolerance.

    forms: from the simplest on; a field takes the first that keeps within the tolerance.
    covering: a size between two steps counts as the larger one, which could stand in; else its range is the smaller's.
    """

    over: str
    forms: tuple[Terms, ...]
    covering: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """Sizes within which a unit has one structure, and what its cost depends on besides the width.

    least: the least of some sizes that a unit in the box can have.
    growing: sizes of which units in the boxes before have less: their laws count at their `least` here.
    """

    ranges: Mapping[str, tuple[int, int]]
    terms: tuple[str, ...]
    least: Mapping[str, int] = field(default_factory=dict)
    growing: tuple[str, ...] = ()

    def holds(self, size: Mapping[str, int]) -> bool:
        """Whether a size is inside."""
        return all(low <= size[name] <= high for name, (low, high) in self.ranges.items())


@dataclass(frozen=True, slots=True)
class Boxes:
    """a * term + b * term + … + c in each box; the spread of the points around it becomes its bounds.

    terms: of every box, before its own; the first is the size whose range all boxes share.
    boxes: in the order in which cost rises. Where a law is below that of a box before it at the same size, it takes
    that one. A box without points is left out.
    """

    terms: tuple[str, ...]
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Each:
    """Laws of their own for each value of one size; there are none between two of them."""

    over: str
    form: Form


@dataclass(frozen=True, slots=True)
class Interpolated:
    """The points over one variable, in straight lines; of several points of one size their mean."""

    over: str


Form: TypeAlias = "Terms | Pieces | Boxes | Each | Interpolated"
"""How a cost depends on the sizes."""

LINE = Terms(("width", "1"))
LINEAR = Pieces("width", (LINE, Terms(("ceil(width / 2)", "width", "1"))))  # ECP5 has two carries in one cell


@dataclass(frozen=True, slots=True)
class Curve:
    """The means over one size; the other sizes do not matter to it."""

    over: str


@dataclass(frozen=True, slots=True)
class Factors:
    """A weighted sum of terms over the sizes, by least squares of relative errors."""

    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """One law up to `last`, another beyond: where a unit takes another structure."""

    over: str
    last: int
    form: DelayForm


DelayForm: TypeAlias = "Curve | Factors | Split"
"""How a delay depends on the sizes."""
