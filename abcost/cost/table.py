"""Cost tables: what one unit costs on a target, each number with its source.

    table = CostTable.load("asic-45nm")
    table.price("multiply", width=32).cost.energy_pj        # 3.1
    table.price("multiply", width=32).details["energy_pj"]  # value, bounds, source, method, confidence

A table answers inside the valid range of its laws and refuses outside; it never guesses.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abcost.core.cost import FIELDS, Cost
from abcost.core.exponents import BY_INDEX
from abcost.core.primitives import Primitive
from abcost.core.unit_size import SIZES
from abcost.cost import document as doc
from abcost.cost import reader
from abcost.cost.bundled import cost_models_dir
from abcost.cost.entry import PRICED, Clock, Detail, Figure, MemoryLevels, Source, UnitPrice, units, weakest
from abcost.cost.figures import read_figures
from abcost.cost.law import Points
from abcost.cost.targets import TARGETS
from abcost.cost.timing import MAPPINGS, Delay, Timing, read_timing
from abcost.errors import CostError, UnknownName
from abcost.registry import unknown_name

if TYPE_CHECKING:
    from abcost.cost.organisation import Unit

_PRIMITIVES = frozenset(primitive.value for primitive in Primitive)

_Key = tuple[str | int | None, ...]  # unit, and its size in the order of SIZES


@dataclass(frozen=True, slots=True)
class CostTable:
    """The prices of one target, as read from one TOML file; `load` makes it, `price` asks it."""

    target: str
    title: str
    technology: str  # "asic" | "fpga"
    node: str
    default_width: int  # bits; used where the user names no width
    note: str
    digest: str  # of the file's bytes: the version of the table
    figures: Mapping[tuple[str, str], tuple[Figure, ...]]  # (unit, field) -> figures with separate ranges
    sources: Mapping[str, Source]
    memory: MemoryLevels | None  # None: the target has no table for memory energy
    clock: Clock | None  # None: no figure of a register that is clocked and does not turn
    mapping: str = "area"  # what the LUTs of the table are mapped for, one of MAPPINGS
    timing: Timing | None = None  # None: no delay of the target's units is known
    # remembered: what `abcost.cost.price` made of prices; networks ask the same few over and over
    _prices: dict[_Key, UnitPrice] = field(default_factory=dict, repr=False, compare=False)
    remembered: dict[tuple[object, ...], Any] = field(default_factory=dict, repr=False, compare=False)
    _narrowest: dict[tuple[str, int | None], dict[str, int]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def load(cls, name_or_path: str | Path, *, sampled: bool | None = None) -> CostTable:
        """A bundled table or a plug-in's by name, or the user's own by the path of its .toml file.

        sampled: try every law over its range, which takes half a second for a measured table; by default of all but
        bundled tables, whose laws the tests try.

        Raises UnknownName for a name that is no target, CostError for a file that cannot be read or
        breaks the schema: one line with the file, the entry, the key and what to do.
        """
        path = locate(name_or_path)
        table, digest = doc.read_document(path)
        with doc.located(str(path)):
            reader.check_head(table)
            sources = reader.read_sources(table)
            memory = reader.read_memory(table)
            clock = reader.read_clock(table)
            if sampled is None:
                sampled = path.parent != cost_models_dir()
            figures = read_figures(table, sampled=sampled)
            timing = read_timing(table, sampled=sampled)
            reader.check_citations(figures, memory, timing, sources, clock)
            by_field: dict[tuple[str, str], tuple[Figure, ...]] = {}
            for figure in _in_report_order(figures):
                key = (figure.op, figure.field)
                by_field[key] = (*by_field.get(key, ()), figure)
            return cls(
                target=doc.text(table, "target"),
                title=doc.text(table, "title"),
                technology=doc.choice(table, "technology", reader.TECHNOLOGIES),
                node=doc.text(table, "node"),
                default_width=doc.integer(table, "default_width", default=reader.DEFAULT_WIDTH),
                note=doc.text(table, "note", default=""),
                digest=digest,
                figures=by_field,
                sources=sources,
                memory=memory,
                clock=clock,
                mapping=doc.choice(table, "mapping", MAPPINGS) if "mapping" in table else "area",
                timing=timing,
            )

    def units(self) -> list[str]:
        """Units that the table prices, in the order of `units`."""
        return [op for op in units() if self.has(op)]

    def has(self, op: str) -> bool:
        """Whether the table prices any field of the unit."""
        return any((op, name) in self.figures for name in PRICED)

    @property
    def leaks(self) -> bool:
        """Whether the table has the leakage of any unit."""
        return any(name == "leakage_nw" for _, name in self.figures)

    def narrowest(self, op: str, width: int | None = None) -> Mapping[str, int]:
        """The smallest size at which every field of the unit has a figure: variable -> value, kept.

        width: look only at laws that hold at this width. A smaller operation can be bounded by the price at
        this size. Empty where no size matters.
        """
        known = self._narrowest.get((op, width))
        if known is None:
            known = self._narrowest[op, width] = self._smallest(op, width)
        return known

    def price(self, op: str, *, width: int, **sizes: int | None) -> UnitPrice:
        """Cost of one unit of this size, in SIZES. A field without a figure is None; answers are kept.

        width: operand bits; bits: word length of `xnor_popcount`; exponents: how many distinct slope
        exponents a unit selects from; choices: the same with the exponent 0 of the positive branch (if None,
        `exponents` + 1, as for sets without 0); span: largest minus least of the choices (if None, as if they
        were consecutive); left: the largest exponent (0 if None or below); factored, inner: see SIZES;
        fraction_bits: bits after the point; depth: words of a ROM.
        A size that no law of the unit depends on changes nothing.

        Raises CostError for a size outside the valid range of a law, or not given where a law needs it;
        UnknownName for a unit that is neither registered nor a counted primitive.
        """
        size = {"width": width, **sizes}
        if size.keys() - SIZES.keys():
            raise TypeError(f"price() takes {', '.join(SIZES)}; got {', '.join(size)}")
        key = (op, *(size.get(name) for name in SIZES))
        known = self._prices.get(key)
        if known is None:
            if op not in units() and op not in _PRIMITIVES:
                raise unknown_name("unit", op, units())
            checked = _checked(_completed(size))
            details = {name: self._detail(op, name, checked) for name in PRICED if (op, name) in self.figures}
            with doc.located(
                f"{self.target}: {op}"
            ):  # a law that is negative between the sizes tried at load
                cost = Cost(**{name: details[name].value if name in details else None for name in FIELDS})
            known = self._prices[key] = UnitPrice(op, cost, details)
        return known

    def delay(self, unit: Unit, mapping: str | None = None) -> Delay | None:
        """Register -> unit -> register in ns, routing included; None where nothing is known. Answers are kept.

        mapping: what the LUTs are mapped for, if not what the table says. Raises CostError for a size beyond the
        measured range, or one that a law needs and the unit does not give.
        """
        return None if self.timing is None else self.timing.delay(unit, mapping or self.mapping)

    def to_dict(self) -> dict[str, Any]:
        """The whole table as plain values: head, figures with their laws and ranges, memory, timing, sources."""
        return {
            "schema": 1,
            "target": self.target,
            "title": self.title,
            "technology": self.technology,
            "node": self.node,
            "default_width": self.default_width,
            "note": self.note,
            "digest": self.digest,
            "figures": [figure.to_dict() for figures in self.figures.values() for figure in figures],
            "memory": None if self.memory is None else self.memory.to_dict(),
            "clock": None if self.clock is None else asdict(self.clock),
            "mapping": self.mapping,
            "timing": None if self.timing is None else self.timing.to_dict(),
            "sources": {
                name: {"title": s.title, "where": s.where, "note": s.note} for name, s in self.sources.items()
            },
        }

    def _smallest(self, op: str, width: int | None) -> dict[str, int]:
        """Variable -> the smallest start of a valid range among the figures of one field; over the fields the largest.

        A variable that some figure of the field does not depend on is left out.
        """
        smallest: dict[str, int] = {}
        for name in PRICED:
            starts: dict[str, list[int]] = {}
            figures = 0
            for figure in self.figures.get((op, name), ()):
                if width is not None and "width" in figure.valid and width not in figure.valid["width"]:
                    continue
                figures += 1
                start = {variable: valid.low for variable, valid in figure.valid.items()}
                for part in figure.parts:
                    start = _larger(start, self.narrowest(part, width))
                for variable, low in start.items():
                    starts.setdefault(variable, []).append(low)
            every = {variable: min(lows) for variable, lows in starts.items() if len(lows) == figures}
            smallest = _larger(smallest, every)
        return smallest

    def _detail(self, op: str, name: str, size: Mapping[str, int]) -> Detail:
        figure = self._figure(op, name, size)
        with doc.located(f"{self.target}: {op} {name}"):
            value = figure.law.at(size)
        if figure.parts:
            return self._composed(figure, value, size)
        low, high = (None if law is None else law.at(size) for law in (figure.low, figure.high))
        between = isinstance(figure.law, Points) and not figure.law.is_published(size)
        return Detail(
            value=value,
            low=low,
            high=high,
            sources=tuple(self.sources[name] for name in figure.sources),
            method="interpolated" if between else figure.method,
            confidence=weakest([figure.confidence, "derived"]) if between else figure.confidence,
            note=figure.note,
        )

    def _composed(self, figure: Figure, times: float, size: Mapping[str, int]) -> Detail:
        """The sum of the parts; a sum is bounded only where every part is."""
        with doc.located(f"{figure.op} is made of {', '.join(figure.parts)}"):
            parts = [self._detail(part, figure.field, size) for part in figure.parts]
        lows = [part.low for part in parts if part.low is not None]
        highs = [part.high for part in parts if part.high is not None]
        return Detail(
            value=times * sum(part.value for part in parts),
            low=times * sum(lows) if len(lows) == len(parts) else None,
            high=times * sum(highs) if len(highs) == len(parts) else None,
            sources=tuple(dict.fromkeys(source for part in parts for source in part.sources)),
            method="derived",
            confidence=weakest(["derived", *(part.confidence for part in parts)]),
            note=figure.note,
        )

    def _figure(self, op: str, name: str, size: Mapping[str, int]) -> Figure:
        """The one figure that holds at this size, for ranges are separate. Raises CostError if none does."""
        figures = self.figures[op, name]
        for variable in sorted(set().union(*(figure.needs() for figure in figures)) - set(size)):
            raise CostError(
                f"{self.target}: {op} {name} depends on {variable} ({SIZES[variable].help}); "
                f"give it, for example {SIZES[variable].option}"
            )
        for figure in figures:
            if all(size[variable] in valid for variable, valid in figure.valid.items()):
                return figure
        asked = sorted({variable for figure in figures for variable in figure.valid})
        ranges = "; or ".join(
            ", ".join(f"{variable} {valid}" for variable, valid in figure.valid.items()) for figure in figures
        )
        raise CostError(
            f"{self.target}: {op} {name} has no figure at "
            f"{', '.join(f'{variable} {size[variable]}' for variable in asked)} (valid: {ranges}); "
            "stay inside, or price on a target or a table of your own that reaches there"
        )


def _larger(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    return {
        variable: max(a.get(variable, 0), b.get(variable, 0)) for variable in SIZES if variable in {*a, *b}
    }


def _in_report_order(figures: Iterable[Figure]) -> list[Figure]:
    rank = {op: place for place, op in enumerate(units())}
    return sorted(figures, key=lambda f: (rank[f.op], PRICED.index(f.field), f.entry))


def locate(name_or_path: str | Path) -> Path:
    """Path of a target's table or of the user's file; a text with a folder or `.toml` in it is a path."""
    if isinstance(name_or_path, Path) or name_or_path.endswith(".toml") or "/" in name_or_path:
        return Path(name_or_path)
    try:
        return TARGETS.get(name_or_path)
    except UnknownName as error:
        raise UnknownName(f"{error}, or give the path of your own .toml file") from None


def _completed(size: Mapping[str, int | None]) -> dict[str, int | None]:
    """Sizes of a set of exponents of which only the number is given: they are consecutive, and none is above 0."""
    found = dict(size)
    if found.get("choices") is None:
        if found.get("exponents") is None:
            return found
        found["choices"] = (found["exponents"] or 0) + 1
    choices = found["choices"] or 0
    found["span"] = choices - 1 if found.get("span") is None else found["span"]
    found["left"] = found.get("left") or 0
    coded = found["exponents"] if found.get("exponents") == choices - 1 == 4 else choices
    if found.get("factored") is None:  # four in a row are
        found["factored"] = int(coded == 4 and found["span"] == choices - 1)
    if found.get("inner") is None:  # of a row 0, -1, -2, -3: 1 + 2
        found["inner"] = sum(range(1, min(choices, BY_INDEX) - 1))
    return found


def _checked(size: Mapping[str, int | None]) -> dict[str, int]:
    """The sizes that are given, as integers. Raises CostError."""
    given = {}
    for name, value in size.items():
        if value is None:
            continue
        try:
            given[name] = operator.index(value)
        except TypeError:
            raise CostError(f"{name} must be an integer, got {value!r}") from None
        if given[name] < SIZES[name].least:
            raise CostError(f"{name} must be positive, got {value}")
    return given
