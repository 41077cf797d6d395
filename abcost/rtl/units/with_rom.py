"""Adder and comparison whose second operand is a per-channel parameter: small ROMs disappear in their LUTs."""

from __future__ import annotations

from abcost.rtl.unit import Port, Unit, templates
from abcost.rtl.units.add import add
from abcost.rtl.units.compare import compare
from abcost.rtl.units.rom import rom


def _with_rom(inner: Unit, first: str, second: str, contents: tuple[int, ...], width: int) -> Unit:
    words = rom(width=width, contents=contents)
    (address,), (result,) = words.inputs, inner.outputs
    return Unit(
        name=f"{inner.name}_{words.name}",
        inputs=(Port("x", width), address),
        outputs=(result,),
        body=(
            f"    wire signed [{width - 1}:0] word;\n"
            f"    {words.name} words (.address(address), .data(word));\n"
            f"    {inner.name} operation (.{first}(x), .{second}(word), .{result.name}({result.name}));"
        ),
        model=lambda v: inner.model({first: v["x"], second: words.model(v)["data"]}),
        needs=(words, inner),
    )


@templates.add("add_rom")
def add_rom(*, width: int, contents: tuple[int, ...]) -> Unit:
    """s = x + contents[address] in width bits (wraps)."""
    return _with_rom(add(width=width), "a", "b", contents, width)


@templates.add("compare_rom")
def compare_rom(*, width: int, contents: tuple[int, ...]) -> Unit:
    """y = x >= contents[address], signed."""
    return _with_rom(compare(width=width), "a", "b", contents, width)
