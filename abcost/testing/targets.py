"""What the cost table of a target promises."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from abcost.core.exponents import sizes_of
from abcost.cost import CostTable, UnitPrice
from abcost.errors import CostError
from abcost.pipeline import analyze
from abcost.testing.contract import hold

GROWING: Mapping[str, tuple[int, ...]] = {
    "width": tuple(range(1, 65)),
    "bits": (*range(1, 65), *range(72, 600, 24), 768, 1024, 1152, 2048),
    "depth": (*range(1, 65), 96, 128, 192, 256, 512, 1024, 4096),
}
"""Variables of laws that make a unit larger -> the sizes that are tried."""

MOST_EXPONENTS = 12
OF_EXPONENTS = {"exponents", "choices", "span", "left", "factored", "inner"}
WIDTHS = (4, 8, 16, 18, 24, 32)

PER_BIT = ("xnor", "popcount")
"""Units that are priced by the bit of a word: the word must not become cheaper."""

TOLERANCE = 1e-3  # of one law to the next range's: they are written with four digits


def check_target(name_or_path: str | Path, *, falling: Collection[str] = ()) -> None:
    """Raises AssertionError unless the table loads, says where its figures come from and never falls.

    - Every law is tried over its range; every figure cites a source, every source is cited, says what it is and where.
    - Values are not negative and lie within their bounds.
    - Nothing becomes cheaper by growing in width, bits or depth, or by one exponent more; only where DSPs rise may
      LUTs, slices and energy fall, for a multiplication has moved.
    - A network is analysed on it, and something of it has a price.

    falling: units whose laws are known to fall somewhere, as measured.
    """
    what = f"target {name_or_path}"
    table = CostTable.load(name_or_path, sampled=True)
    if isinstance(name_or_path, str) and not name_or_path.endswith(".toml"):
        hold(table.target == name_or_path, f"{what}: its table calls it {table.target!r}")
    for text, promise in ((table.title, "a title"), (table.node, "a node")):
        hold(bool(text.strip()), f"{what} has no {promise}")
    for source in table.sources.values():
        named = bool(source.title.strip() and source.where.strip())
        hold(named, f"{what}: source {source.name} needs a title and where it is to be found")
    hold(bool(table.units()), f"{what} prices no unit")
    for op in table.units():
        tried = _tried(what, table, op, may_fall=op in falling)
        hold(tried > 0, f"{what}: {op} has no figure at any of the sizes that were tried")
    report = analyze("reactnet_18", name_or_path, preset="digits", base_width=4, blocks=(1,))
    priced = [stage["cost_known"] for stage in report.to_dict()["stages"]]
    hold(
        any(value for known in priced for value in known.values()),
        f"{what}: nothing of a network has a price",
    )


def _tried(what: str, table: CostTable, op: str, *, may_fall: bool) -> int:
    """How many sizes have a figure. Raises AssertionError for what falls."""
    tried = 0
    for variable, sizes in _growths(table, op):
        found = [(size, price) for size in sizes if (price := _price(table, op, size)) is not None]
        tried += len(found)
        for _, price in found:
            _check_bounds(what, price)
        if may_fall:
            continue
        for (small, before), (large, after) in pairwise(found):
            words = (small["bits"], large["bits"]) if op in PER_BIT else (1, 1)
            for name in sorted(_fallen(before, after, words)):
                old, new = before.details[name].value, after.details[name].value
                raise AssertionError(
                    f"{what}: {name} of {op} falls from {old:g} to {new:g} "
                    f"as {variable} grows from {small[variable]} to {large[variable]}, at width {large['width']}"
                )
    return tried


def _growths(table: CostTable, op: str) -> Iterator[tuple[str, list[dict[str, int]]]]:
    """Rows of sizes in which one variable grows, and rows of sets of exponents, each the one before and one more."""
    needs = {
        name for (unit, _), found in table.figures.items() if unit == op for f in found for name in f.needs()
    }
    identity, least = op != "shift_select", table.narrowest(op)
    some = {"bits": 24, "depth": 64, "fraction_bits": 8, **sizes_of((-1, 0), identity=identity)}
    for width in WIDTHS:
        start = {name: max(size, least.get(name, 0)) for name, size in ({"width": width} | some).items()}
        for variable, sizes in GROWING.items():
            if variable in needs or variable == "width":
                yield variable, [{**start, variable: size} for size in sizes]
        if needs & (OF_EXPONENTS - {"choices"}):
            sets = [tuple(range(-count, 1)) for count in range(1, MOST_EXPONENTS)]
            yield "choices", [{**start, **sizes_of(chosen, identity=identity)} for chosen in sets]


def _price(table: CostTable, op: str, size: Mapping[str, int]) -> UnitPrice | None:
    """None outside the valid range."""
    try:
        return table.price(op, **size)
    except CostError as refusal:
        if "has no figure at" not in str(refusal):
            raise
        return None


def _check_bounds(what: str, price: UnitPrice) -> None:
    for name, detail in price.details.items():
        low = detail.value if detail.low is None else detail.low
        high = detail.value if detail.high is None else detail.high
        kept = 0 <= low <= detail.value * (1 + 1e-9) and detail.value <= high * (1 + 1e-9)
        hold(
            kept, f"{what}: {name} of {price.op} is {detail.value:g}, outside its bounds {low:g} to {high:g}"
        )


def _fallen(before: UnitPrice, after: UnitPrice, words: tuple[int, int]) -> set[str]:
    """Fields that fall and may not."""
    both = before.details.keys() & after.details.keys()
    value = {
        name: (before.details[name].value * words[0], after.details[name].value * words[1]) for name in both
    }
    fallen = {name for name, (old, new) in value.items() if new < old * (1 - TOLERANCE) - 1e-9}
    if "dsps" in both and value["dsps"][1] > value["dsps"][0]:
        fallen -= {"luts", "slices", "energy_pj"}
    return fallen
