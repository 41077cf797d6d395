"""`abcost targets scale`: a new table from an old one, at another node and voltage."""

from __future__ import annotations

from typing import Annotated

import typer

from abcost.cli.options import Output
from abcost.cli.output import note, write
from abcost.cli.places import check_places


def scale(
    target: Annotated[str, typer.Argument(help="Bundled ASIC target, or the path of your own .toml file.")],
    node: Annotated[
        int, typer.Option(help="Node to scale to, in nm: 130, 90, 65, 45, 32, 20, 16, 14, 10 or 7.")
    ],
    voltage: Annotated[float, typer.Option(help="Supply voltage to scale to.")],
    from_node: Annotated[int | None, typer.Option(help="Node of the table, where it states none.")] = None,
    from_voltage: Annotated[
        float | None, typer.Option(help="Voltage of the table, where it states none.")
    ] = None,
    output: Output = None,
) -> None:
    """Scale an ASIC table to another node and voltage (Stillmaker & Baas 2017); SRAM by its own factor or not."""
    from abcost.cost.scaled import scale as scale_table
    from abcost.cost.scaling import Corner

    check_places({"--output": output}, [target])
    scaled = scale_table(target, Corner(node, voltage), from_node=from_node, from_voltage=from_voltage)
    write(scaled.text, output)
    for line in scaled.notes:
        note(f"note: {line}")
