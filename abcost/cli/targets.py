"""`abcost targets`: which targets there are, what their tables say, and what one unit costs."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abcost.cli.given import given, refuse
from abcost.cli.output import view, write
from abcost.cli.scale import scale
from abcost.core.cost import FIELDS
from abcost.core.exponents import sizes_of
from abcost.core.unit_size import SIZES
from abcost.cost import TARGETS, CostTable, Detail
from abcost.cost.rows import law_text, table_rows
from abcost.cost.timing import MAPPINGS
from abcost.errors import CostError, UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from abcost.accelerator.devices import Device
    from abcost.cost.entry import UnitPrice
    from abcost.cost.timing import Delay, Timing

app = typer.Typer(help="Hardware targets and devices: list them, show and check cost tables, price one unit.")

app.command()(scale)

_UNIT_OF = {
    "energy_pj": "pJ",
    "luts": "LUT",
    "ffs": "FF",
    "dsps": "DSP",
    "area_um2": "um2",
    "leakage_nw": "nW",
    "slices": "slices",
}


class AnswerFormat(str, Enum):  # noqa: UP042 - Typer shows the values of a str enumeration
    """How an answer is written."""

    RICH = "rich"
    JSON = "json"


_FRACTION_BITS = 12
_OF_EXPONENTS = ("exponents", "choices", "span", "left", "factored", "inner")  # sizes that --exponents gives
_SLOPES = ("qprelu", "qprelu_add")  # units that pass their positive branch unshifted


def _size(name: str, more: str = "") -> Any:
    """The option of one size, as it is declared."""
    text = SIZES[name].help
    return typer.Option(help=f"{text[0].upper()}{text[1:]}{more}.")


_FORMAT = Annotated[AnswerFormat, typer.Option("--format", help="rich: for people; json: for programs.")]
_TARGET = Annotated[str, typer.Argument(help="Bundled target, or the path of your own .toml file.")]


@app.callback(invoke_without_command=True)
def targets(context: typer.Context) -> None:
    """Hardware targets: list them, show and check their cost tables, price one unit."""
    if context.invoked_subcommand is None:
        list_targets()


@app.command("list")
def list_targets(output_format: _FORMAT = AnswerFormat.RICH) -> None:
    """List the targets: bundled tables and those of plug-ins."""
    tables = [CostTable.load(name) for name in TARGETS.names()]
    if output_format is AnswerFormat.JSON:
        head = ("target", "title", "technology", "node", "default_width", "note", "digest")
        _write_json([{**{key: getattr(t, key) for key in head}, "units": t.units()} for t in tables])
        return
    grid = _grid("Targets", "target", "title", "width", "units")
    for table in tables:
        grid.add_row(table.target, table.title, str(table.default_width), ", ".join(table.units()))
    _print(grid)


@app.command("devices")
def list_devices(output_format: _FORMAT = AnswerFormat.RICH) -> None:
    """List the parts, boards and dies that an accelerator can be sized for: --device of abcost analyze."""
    from abcost.accelerator.devices import boards, devices
    from abcost.accelerator.silicon.die import dies

    if output_format is AnswerFormat.JSON:
        parts = [found.to_dict() for found in devices().values()]
        _write_json([*parts, *(die.to_dict() for die in dies().values())])
        return
    grid = _grid(
        "Devices", "part", "board", "target", "LUTs", "FFs", "DSPs", "memory blocks", "URAM", "outside, GB/s"
    )
    for found in devices().values():
        counts = [f"{n:,}" for n in (found.luts, found.ffs, found.dsps)]
        blocks = f"{found.blocks:,} {found.family.block}"
        target = ", ".join(found.family.targets)
        outside = "none" if found.bandwidth_gb_s is None else f"{found.bandwidth_gb_s:g}"
        grid.add_row(found.part, found.board, target, *counts, blocks, f"{found.uram:,}", outside)
    _print(grid)
    _print_text("\n".join(map(_about, devices().values())))
    known = ", ".join(f"{board} ({part})" for board, part in boards().items())
    _print_text(f"--device takes a board too: {known}; sources are in cost_models/boards.csv")
    grid = _grid("Dies", "die", "target", "mm2", "source")
    for die in dies().values():
        grid.add_row(
            die.part, ", ".join(die.targets), f"{die.area_mm2:g}", f"{die.source} ({die.confidence})"
        )
    _print(grid)
    _print_text("or any area: --area-mm2; cells fill half of it, or --utilisation")


@app.command("memories")
def list_memories(
    name: Annotated[
        str | None, typer.Argument(help="Bundled memory macros, or your own .toml file; default: all.")
    ] = None,
    *,
    words: Annotated[int | None, typer.Option(help="Of the memory that is wanted.")] = None,
    bits: Annotated[int | None, typer.Option(help="Of a word of it.")] = None,
    output_format: _FORMAT = AnswerFormat.RICH,
) -> None:
    """List memory macros with area and energy of an access; with --words and --bits, banks of them."""
    from abcost.cli.memories import banks, listed

    if (words is None) != (bits is None):
        raise UsageError("--words and --bits go together: both say what memory is wanted")
    found = listed(name) if words is None or bits is None else banks(name, words, bits)
    if output_format is AnswerFormat.JSON:
        _write_json(found.content)
        return
    for grid in found.grids:
        _print(grid)
    for note in found.notes:
        _print_text(note)


def _about(found: Device) -> str:
    """Where the figures of a part come from."""
    memory = "no memory outside"
    if found.bandwidth_gb_s is not None:
        memory = f"memory: {found.memory}; {found.memory_source} ({found.memory_confidence})"
    number = f"; {found.part_number}: {found.part_number_source}" if found.part_number else ""
    note = f"; {found.note}" if found.note else ""
    return f"{found.part}: {found.source} ({found.confidence}); {memory}{number}{note}"


@app.command()
def show(
    target: _TARGET,
    *,
    sources: Annotated[
        bool, typer.Option("--sources", help="One line per figure with its sources; the notes.")
    ] = False,
    output_format: _FORMAT = AnswerFormat.RICH,
) -> None:
    """Show one cost table: laws, valid ranges and how sure each figure is."""
    table = CostTable.load(target)
    content = table.to_dict()
    rows = table_rows(table) if sources else ()
    if output_format is AnswerFormat.JSON:
        _write_json({**content, "rows": [row.to_dict() for row in rows]} if sources else content)
        return
    grid = _grid(
        f"{table.target}: {table.title} ({table.node})", "unit", "field", "law", "valid", "confidence"
    )
    for figure in content["figures"]:
        grid.add_row(
            figure["unit"],
            figure["field"],
            law_text(figure["law"], figure["parts"]),
            ", ".join(f"{name} {low} to {high}" for name, (low, high) in figure["valid"].items()) or "always",
            figure["confidence"] if figure["source"] else "see parts",
        )
    _print(grid)
    if content["memory"]:
        _print(_memory_grid(content["memory"]))
    if table.timing is not None:
        _print(_timing_grid(table.timing))
        _print_text(table.timing.note)
    _print_text(table.note)
    if sources:
        _print_text("\nunit field = law; bounds | valid | method | confidence | sources")
        for row in rows:
            _print_text(str(row))
        _print_text("\nSources and notes")
        for name, source in table.sources.items():
            used = sorted({f["unit"] for f in content["figures"] if name in f["source"]})
            _print_text(f"[{name}] {source}{f' ({source.note})' if source.note else ''}: {', '.join(used)}")
        for line in dict.fromkeys(f"{f['unit']}: {f['note']}" for f in content["figures"] if f["note"]):
            _print_text(line)


@app.command()
def check(file: Annotated[Path, typer.Argument(help="Cost table to check, a .toml file.")]) -> None:
    """Check a cost table of your own; the first fault is an error with its place."""
    table = CostTable.load(file, sampled=True)
    units = len(table.units())
    _print_text(f"ok: {file}: target {table.target}, {units} units, {len(table.sources)} sources")


@app.command()
def cost(
    context: typer.Context,
    target: _TARGET,
    unit: Annotated[str, typer.Argument(help="multiply, add, compare, mux, shift_select, prelu, qprelu, …")],
    *,
    width: Annotated[int | None, _size("width", "; default: the table's own")] = None,
    bits: Annotated[int | None, _size("bits")] = None,
    exponents: Annotated[
        str | None,
        typer.Option(help="Slope exponents a unit selects from, such as -3,0; equal ones count once."),
    ] = None,
    fraction_bits: Annotated[int | None, _size("fraction_bits")] = None,
    depth: Annotated[int | None, _size("depth")] = None,
    output_format: _FORMAT = AnswerFormat.RICH,
) -> None:
    """Price one unit on one target, with source, confidence and bounds."""
    table = CostTable.load(target)
    width = table.default_width if width is None else width
    allowed = None if exponents is None else _exponents(exponents)
    sizes = sizes_of(allowed, identity=unit in _SLOPES) if allowed else {}
    size = {
        "bits": bits,
        **{name: sizes.get(name) for name in _OF_EXPONENTS},
        "fraction_bits": fraction_bits,
        "depth": depth,
    }
    if fraction_bits is None and any(
        "fraction_bits" in figure.valid
        for (op, _), figures in table.figures.items()
        if op == unit
        for figure in figures
    ):
        size["fraction_bits"] = min(_FRACTION_BITS, width)
        typer.echo(f"note: --fraction-bits {size['fraction_bits']}, as abcost analyze has it", err=True)
    price = table.price(unit, width=width, **size)
    if price.details:
        _check_used(table, unit, width, size, given(context))
    else:
        typer.echo(f"note: {table.target} prices no {unit}; unknown is not 0", err=True)
    size = {"width": width, **size}
    delays = _delays(table, unit, size)
    if output_format is AnswerFormat.JSON:
        _write_json(_answer(table, unit, size, price, delays))
        return
    sizes_given = ", ".join(f"{name} {value}" for name, value in size.items() if value is not None)
    grid = _grid(
        f"{unit} on {table.target} at {sizes_given}",
        "field",
        "value",
        "bounds",
        "method",
        "confidence",
        "source",
    )
    for name in dict.fromkeys((*FIELDS, *price.details)):
        detail = price.details.get(name)
        if detail is None:
            grid.add_row(name, "unknown")
            continue
        value = f"{detail.value:.6g} {_UNIT_OF[name]}"
        names = ", ".join(source.name for source in detail.sources)
        grid.add_row(name, value, _bounds(detail), detail.method, detail.confidence, names)
    for mapping, delay in delays.items():
        ends = f">= {delay.low:.4g}, <= {delay.high:.4g}"
        named = "" if table.timing is None else table.timing.source
        value = f"{delay.value:.4g} ns"
        grid.add_row(f"delay ({mapping})", value, ends, "law", delay.confidence, named)
    _print(grid)
    timed = {table.sources[table.timing.source]} if delays and table.timing is not None else set()
    for source in (*price.sources, *timed):
        _print_text(f"[{source.name}] {source}")
    for note in dict.fromkeys(detail.note for detail in price.details.values() if detail.note):
        _print_text(note)


def _delays(table: CostTable, unit: str, size: dict[str, int | None]) -> dict[str, Delay]:
    """Mapping -> delay of the unit, for those that the table knows; a note where the size is beyond them."""
    if table.timing is None:
        return {}
    given_sizes = {name: value for name, value in size.items() if value is not None}
    found = {}
    for mapping in MAPPINGS:
        try:
            delay = table.timing.at(unit, mapping, given_sizes)
        except CostError as error:
            typer.echo(f"note: no delay: {error}", err=True)
            break
        if delay is not None:
            found[mapping] = delay
    return found


def _answer(
    table: CostTable, unit: str, size: dict[str, int | None], price: UnitPrice, delays: dict[str, Delay]
) -> dict[str, Any]:
    """JSON of one unit. `delay_ns` is for the mapping of the table; `delays` has every mapping that is known."""
    answer = {"schema": 1, "target": table.target, "unit": unit, "size": size, **price.to_dict()}
    own = delays.get(table.mapping)
    answer["delay_ns"] = None if own is None else own.value
    answer["mapping"] = table.mapping
    if own is not None:
        answer["low"] = {**answer["low"], "delay_ns": own.low}
        answer["high"] = {**answer["high"], "delay_ns": own.high}
    source = None if table.timing is None else str(table.sources[table.timing.source])
    answer["delays"] = {mapping: {**delay.to_dict(), "source": source} for mapping, delay in delays.items()}
    return answer


def _check_used(
    table: CostTable, unit: str, width: int, size: dict[str, int | None], there: frozenset[str]
) -> None:
    """Raise UsageError for a size that no law of the unit depends on."""
    figures = [figure for (op, _), found in table.figures.items() if op == unit for figure in found]
    for option in ("bits", "exponents", "fraction_bits", "depth"):
        names = _OF_EXPONENTS if option == "exponents" else (option,)
        if option not in there or any(name in figure.valid for figure in figures for name in names):
            continue
        try:
            without = table.price(unit, width=width, **{**size, **dict.fromkeys(names)})
        except CostError:
            continue  # it is needed
        if without == table.price(unit, width=width, **size):
            refuse(there, [option], f"to {unit} on {table.target}, whose figures do not depend on it")


def _exponents(text: str) -> set[int]:
    """The distinct integers of `-3,0`. Raises UsageError."""
    try:
        return {int(item) for item in text.split(",")}
    except ValueError:
        raise UsageError(f"--exponents takes integers such as -3,0, got {text[:40]!r}") from None


def _bounds(detail: Detail) -> str:
    low = "" if detail.low is None else f">= {detail.low:.6g}"
    high = "" if detail.high is None else f"<= {detail.high:.6g}"
    return ", ".join(filter(None, (low, high)))


def _memory_grid(memory: dict[str, Any]) -> Table:
    grid = _grid("Memory", "level", "pJ per access", "bits", "pJ per bit", "serves", "confidence")
    for level in memory["levels"]:
        serves = ", ".join(role for role in ("weights", "activations") if memory[role] == level["name"])
        low, energy_pj, high = level["low_pj"], level["energy_pj"], level["high_pj"]
        ends = f" ({low or energy_pj:g} to {high or energy_pj:g})" if low or high else ""
        energy = f"{energy_pj:g}{ends}"
        per_bit = f"{level['energy_pj_per_bit']:.4g}"
        grid.add_row(level["name"], energy, str(level["access_bits"]), per_bit, serves, level["confidence"])
    return grid


def _timing_grid(timing: Timing) -> Table:
    grid = _grid(f"Delays on {timing.part}, in ns", "unit", "mapped for", "law", "valid", "confidence")
    for law in (law for laws in timing.laws.values() for law in laws):
        valid = ", ".join(f"{name} {ends}" for name, ends in law.valid.items())
        grid.add_row(law.op, law.mapping, law.value.text, valid or "always", law.confidence)
    return grid


def _grid(title: str, *columns: str) -> Table:
    from abcost.report.drawing import grid

    return grid(title, *columns, text_columns=len(columns))


def _print(grid: Table) -> None:
    from abcost.report.drawing import draw

    write(draw(grid, view("block", None)), None)


def _print_text(text: str) -> None:
    write(text + "\n", None)


def _write_json(value: object) -> None:
    write(json.dumps(value, indent=2) + "\n", None)
