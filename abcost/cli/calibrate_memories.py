"""`abcost calibrate sram-…`: memory macros from their Liberty files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from abcost.cli.output import note, view, write
from abcost.cli.places import check_places
from abcost.errors import UsageError


def calibrate_memories(name: str, liberty: Sequence[Path], output: Path | None) -> None:
    """Read the macros of some files, fit laws, and write both. Raises UsageError, ToolError, OutputError."""
    from abcost.calibrate.memories import MEMORIES, head_line, laws, measure, text
    from abcost.cost import sram
    from abcost.report.drawing import draw, grid

    memory = MEMORIES[name]
    if not liberty:
        raise UsageError(
            f"{name} needs the macros: --liberty FILE once for each of {memory.files} "
            "(docs/howto/own-target.md says where they are)"
        )
    place = output or sram.folder() / f"{name}.toml"
    check_places({"--output": place}, list(liberty))
    found = measure(liberty)
    if place.exists() and not place.read_bytes().startswith(head_line(memory).encode()):
        raise UsageError(
            f"{place} is not what abcost calibrate {name} has written, and would be lost: name another --output, "
            "or remove it"
        )
    fitted = laws([macro for macro, _ in found])
    if fitted:
        title = "Laws over words and bits, next to macros held out"
        table = grid(title, "figure", "law", "mean", "worst", text_columns=2)
        for figure, law in fitted.items():
            table.add_row(figure, law.formula, f"{law.mean:.1%}", f"{law.worst:.1%}")
        write(draw(table, view("block", None)), None)
    for macro, file in found:
        for doubt in macro.doubts:
            note(f"{file.name}: {macro.name}: left unknown: {doubt}")
    written, beyond = text(memory, found)
    for figure, law in beyond.items():
        note(f"no law of {figure}: it misses macros held out by {law.mean:.1%} on average")
    write(written, place)
    note(f"wrote {place}: {len(found)} macros")
