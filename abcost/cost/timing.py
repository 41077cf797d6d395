"""Delays of units: the `[timing]` part of a cost table, and what it answers.

    [timing]
    part = "LFE5U-85F-6CABGA756"      what was placed and routed
    source = "route"
    note = "…"

    [[timing.delay]]                  one law of one unit under one mapping
    op = "add"
    mapping = "area"                  area | delay: what the LUTs were mapped for
    ns = "…"                          a law over the unit's sizes (formula or points), as in an [[entry]]
    low = "…"                         laws of the least and the most that was seen (seeds, sizes)
    high = "…"
    valid_width = [4, 32]
    confidence = "measured"

A delay is 1 / Fmax of register -> unit -> register in ns, routing included: clock to output, logic, wires and
setup. An engine with a register behind every unit runs at 1 / (the largest delay among its units). Where a
unit holds its own registers, it is the slowest path through any of them.

No delay of a larger unit is below that of a smaller one, so a size below the measured range takes the
delay of the least size as an upper end; beyond the largest there is no answer.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from abcost.core.unit_size import SIZES
from abcost.cost import document as doc
from abcost.cost.entry import CONFIDENCES, units
from abcost.cost.formula import Formula
from abcost.cost.law import Points, Range, read_law, sample
from abcost.errors import CostError

if TYPE_CHECKING:
    from abcost.cost.organisation import Unit

MAPPINGS: tuple[str, ...] = ("area", "delay")
"""What the LUTs of a fabric can be mapped for."""

_HEAD = ("part", "source", "note", "delay")
_VALID = tuple(f"valid_{name}" for name in SIZES)
_KEYS = ("op", "mapping", "ns", "low", "high", *_VALID, "confidence", "note")
_SIZE = operator.attrgetter(*SIZES)


@dataclass(frozen=True, slots=True)
class Delay:
    """Register to register through one unit, in ns; low <= value <= high: the least and most that was seen.

    beyond: the unit is smaller than any that was measured; value and high are those of the least, low is that
    of a register with nothing behind it, or 0 where the table has none.
    """

    value: float
    low: float
    high: float
    confidence: str = "measured"
    note: str = ""
    beyond: bool = False

    @property
    def fmax_mhz(self) -> float:
        """Clock that this unit alone allows, in MHz."""
        return 1000 / self.value

    def to_dict(self) -> dict[str, Any]:
        """Plain values, in ns."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "fmax_mhz": self.fmax_mhz,
            "confidence": self.confidence,
            "note": self.note,
            "beyond": self.beyond,
        }


@dataclass(frozen=True, slots=True)
class DelayLaw:
    """One law of one unit under one mapping, with its range."""

    op: str
    mapping: str
    value: Formula | Points
    low: Formula | Points
    high: Formula | Points
    valid: Mapping[str, Range]
    confidence: str
    note: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values; laws as text, ranges as [low, high]."""
        return {
            "unit": self.op,
            "mapping": self.mapping,
            "ns": self.value.text,
            "low": self.low.text,
            "high": self.high.text,
            "valid": {name: [valid.low, valid.high] for name, valid in self.valid.items()},
            "confidence": self.confidence,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Timing:
    """The delays of one table; `read_timing` makes it, `delay` and `largest` ask it. Answers are kept."""

    part: str
    source: str  # name of the `Source`
    note: str
    laws: Mapping[tuple[str, str], tuple[DelayLaw, ...]]  # (unit, mapping) -> laws with separate ranges
    _kept: dict[tuple[object, ...], Delay | None] = field(default_factory=dict, repr=False, compare=False)

    def delay(self, unit: Unit, mapping: str) -> Delay | None:
        """Register to register through `unit`; None where the table has no law of it under this mapping.

        Raises CostError for a size beyond the measured range, or one that a law needs and the unit does not
        give.
        """
        key = (mapping, unit.op, *_SIZE(unit))
        try:
            return self._kept[key]
        except KeyError:
            found = self._kept[key] = self.at(unit.op, mapping, unit.size)
            return found

    def at(self, op: str, mapping: str, size: Mapping[str, int]) -> Delay | None:
        """The same for a unit given by its name and its sizes; answers are not kept."""
        laws = self.laws.get((op, mapping))
        if laws is None:
            return None
        needed = sorted(set().union(*(law.valid for law in laws)) - set(size))
        if needed:
            raise CostError(
                f"{self.part}: the delay of {op} depends on {needed[0]} ({SIZES[needed[0]].help})"
            )
        for law in laws:
            if all(size[name] in valid for name, valid in law.valid.items()):
                value, low, high = (side.at(size) for side in (law.value, law.low, law.high))
                return Delay(value, low, high, law.confidence, law.note)
        return self._below(op, mapping, laws, size)

    def _below(self, op: str, mapping: str, laws: tuple[DelayLaw, ...], size: Mapping[str, int]) -> Delay:
        """The delay at the least measured size that is no smaller. Raises CostError where there is none."""
        for law in laws:
            if all(size[name] <= valid.high for name, valid in law.valid.items()):
                at = {name: max(size[name], valid.low) for name, valid in law.valid.items()}
                bare = None if op == "register" else self.laws.get(("register", mapping))
                least = 0.0 if bare is None else bare[0].low.at({n: r.low for n, r in bare[0].valid.items()})
                value, high = law.value.at(at), law.high.at(at)
                return Delay(value, min(least, value), high, "derived", law.note, beyond=True)
        ranges = "; or ".join(", ".join(f"{n} {r}" for n, r in law.valid.items()) for law in laws)
        asked = ", ".join(
            f"{name} {size[name]}" for name in sorted(set().union(*(law.valid for law in laws)))
        )
        raise CostError(
            f"{self.part}: the delay of {op} was not measured at {asked} (measured: {ranges}); cut the unit"
        )

    def largest(
        self, op: str, over: str, mapping: str, within_ns: float, *, side: str = "value", **size: int
    ) -> int | None:
        """The largest size in `over` whose delay is at most `within_ns`; None if not even the least one is.

        side: value, low or high of the delay; size: the unit's other sizes. With over="bits" of xnor_popcount
        it is the widest leaf of a popcount, of signed_sum the most inputs of a leaf. Raises CostError where
        the table has no law.
        """
        laws = self.laws.get((op, mapping))
        if laws is None:
            raise CostError(f"{self.part}: no delay of {op} mapped for {mapping} is known")
        ranges = [law.valid[over] for law in laws if over in law.valid]
        if not ranges:
            raise CostError(f"{self.part}: the delay of {op} does not depend on {over}")
        least, most = min(r.low for r in ranges), max(r.high for r in ranges)

        def fits(candidate: int) -> bool:
            found = self.at(op, mapping, {**size, over: candidate})
            return found is not None and getattr(found, side) <= within_ns

        if not fits(least):
            return None
        while least < most:  # fits(least) holds, and nothing above most was measured
            middle = (least + most + 1) // 2
            least, most = (middle, most) if fits(middle) else (least, middle - 1)
        return least

    def to_dict(self) -> dict[str, Any]:
        """Plain values: part, note, every law."""
        return {
            "part": self.part,
            "source": self.source,
            "note": self.note,
            "delays": [law.to_dict() for laws in self.laws.values() for law in laws],
        }


def read_timing(table: Mapping[str, Any], *, sampled: bool = True) -> Timing | None:
    """The `[timing]` part of a table, or None if it has none. Raises CostError.

    sampled: try every law over its range, for one that leaves its bounds or falls with size.
    """
    timing = doc.section(table, "timing")
    if not timing:
        return None
    with doc.located("timing"):
        doc.check_keys(timing, _HEAD)
        laws: dict[tuple[str, str], tuple[DelayLaw, ...]] = {}
        for number, entry in enumerate(doc.tables(timing, "delay"), start=1):
            with doc.located(f"delay {number}"):
                law = _law(entry)
                if sampled:
                    _check_values(law)
                others = laws.get((law.op, law.mapping), ())
                _check_separate(law, others)
                laws[law.op, law.mapping] = (*others, law)
        if not laws:
            raise CostError("no [[timing.delay]] gives a law; leave the part out")
        return Timing(
            doc.text(timing, "part"), doc.text(timing, "source"), doc.text(timing, "note", default=""), laws
        )


def _law(entry: Mapping[str, Any]) -> DelayLaw:
    doc.check_keys(entry, _KEYS)
    op = doc.choice(entry, "op", units())
    laws = []
    for key in ("ns", "low", "high"):
        if key not in entry:
            raise CostError(f"{op}: {key} is missing; a delay has ns, low and high")
        with doc.located(f"{op} {key}"):
            laws.append(read_law(entry[key]))
    valid = {n: Range.read(entry[f"valid_{n}"], n) for n in SIZES if f"valid_{n}" in entry}
    for law in laws:
        if isinstance(law, Points):
            asked = valid.setdefault(law.over, law.range)
            if asked.low not in law.range or asked.high not in law.range:
                raise CostError(
                    f"{op}: valid_{law.over} {asked} goes beyond the points {law.range}; narrow it"
                )
        for name in sorted(law.variables - set(valid)):
            raise CostError(
                f"{op}: the law depends on {name}; say where it holds: valid_{name} = [low, high]"
            )
    return DelayLaw(
        op=op,
        mapping=doc.choice(entry, "mapping", MAPPINGS),
        value=laws[0],
        low=laws[1],
        high=laws[2],
        valid=valid,
        confidence=doc.choice(entry, "confidence", CONFIDENCES),
        note=doc.text(entry, "note", default=""),
    )


def _check_values(law: DelayLaw) -> None:
    """Raise CostError unless 0 < low <= value <= high on a sample, and no larger size is faster."""
    before: dict[tuple[int, ...], float] = {}
    for size in sample(law.valid):
        low, value, high = (side.at(size) for side in (law.low, law.value, law.high))
        told = ", ".join(f"{name} = {at}" for name, at in size.items()) or "all sizes"
        if not 0 < low <= value * (1 + 1e-9) or value > high * (1 + 1e-9):
            raise CostError(
                f"{law.op}: needs 0 < low <= ns <= high, got {low:g}, {value:g}, {high:g} at {told}"
            )
        before[tuple(size.values())] = value
    for variable in range(len(law.valid)):
        rows = sorted(
            before.items(), key=lambda item: (*item[0][:variable], *item[0][variable + 1 :], item[0])
        )
        for (smaller, fast), (larger, slow) in itertools.pairwise(rows):
            same = all(a == b for i, (a, b) in enumerate(zip(smaller, larger, strict=True)) if i != variable)
            if same and slow < fast * (1 - 1e-9):
                raise CostError(
                    f"{law.op}: the delay falls from {fast:g} to {slow:g} ns as {list(law.valid)[variable]} grows"
                )


def _check_separate(law: DelayLaw, others: tuple[DelayLaw, ...]) -> None:
    for other in others:
        both = set(law.valid) & set(other.valid)
        if all(law.valid[name].overlaps(other.valid[name]) for name in both):
            raise CostError(
                f"the delay of {law.op} mapped for {law.mapping} is given twice; separate the ranges"
            )
