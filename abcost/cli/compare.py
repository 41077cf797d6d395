"""`abcost compare`: what changes between models, checkpoints, targets, widths, or saved reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abcost.cli import options
from abcost.cli.output import note, quiet, view, write, write_bytes
from abcost.cli.places import check_places
from abcost.errors import UsageError
from abcost.registry import unknown_name

if TYPE_CHECKING:
    from abcost.comparing.saved import Side

_SAVED = (".json", ".csv")  # endings of reports
_PATHS = ("checkpoint", "slopes")
_WHOLE = ("width", "step", "num_classes", "base_width", "fraction_bits")
_REAL = ("fps", "clock_mhz")
_TEXTS = (
    "target", "variant", "preset", "blocks", "input_size", "device", "weight_scale", "constant_multiply",
)  # fmt: skip


def compare(
    sides: Annotated[
        list[str],
        typer.Argument(
            help="Two or more: a saved report (.json or .csv; of several targets r.json,target=asic-45nm), or a model "
            "as for analyze, with options of its own behind commas: reactnet_18,checkpoint=best.pt,slopes=s.json,"
            "target=fpga-ice40,width=12. Each is compared with the first."
        ),
    ],
    target: Annotated[
        str | None, typer.Option("--target", "-t", help="Of all models that do not say it.")
    ] = None,
    preset: options.PresetOrOwn = None,
    width: Annotated[int | None, typer.Option(help="Bits of the residual path, of all models.")] = None,
    device: Annotated[str | None, typer.Option(help="Part, of all models.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second, of all models.")] = None,
    leave_out_softmax: options.LeaveOutSoftmax = False,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit with 1 if it holds in the last stage: 'luts>+5%', 'energy_pj>+0.1' (change), "
            "'multiplications>0' (value). Repeat for more; what is unknown fails."
        ),
    ] = None,
    output_format: Annotated[str, typer.Option("--format", help="rich, csv, json or html.")] = "rich",
    output: options.Output = None,
    plot: options.Plot = None,
) -> None:
    """Totals, layers and settings that differ; unknown stays unknown."""
    from abcost.html.still import check_suffix

    check_places({"--output": output, "--plot": plot}, _files_of(sides, target, device))
    form = None if plot is None else check_suffix(plot)
    from abcost.comparing.condition import parse_condition
    from abcost.comparing.delta import compare as compared
    from abcost.comparing.format import COMPARISON_FORMATS

    render = COMPARISON_FORMATS.get(output_format)
    conditions = [parse_condition(text) for text in fail_if or ()]
    if len(sides) < 2:
        raise UsageError("compare needs two or more reports or models")
    asked = {
        "target": target, "preset": preset, "width": width, "device": device, "fps": fps,
        "leave_out_softmax": leave_out_softmax or None,
    }  # fmt: skip
    common = {name: value for name, value in asked.items() if value is not None}
    _check_common(sides, common)
    with quiet():
        first, *others = [_side(text, common) for text in sides]
    found = [compared(first, other) for other in others]
    broken = [
        f"{c.after.name}: {text}"
        for c in found
        for condition in conditions
        if (text := condition.broken(c.last))
    ]
    write(render(found, view("block", output)), output)
    if plot is not None and form is not None:
        from abcost.comparing.html import changes
        from abcost.html.still import still

        drawn = [chart for i, c in enumerate(found) for chart in changes(i, c.stage, c.last)]
        if not drawn:
            note(f"nothing to draw: no total changes; {plot} is not written")
        else:
            write_bytes(still(drawn, f"against {first.name}", form), plot)
    for text in broken:
        note(f"no: {text}")
    if broken:
        raise typer.Exit(1)


def _files_of(sides: Sequence[str], *named: str | None) -> list[str | None]:
    """What the command reads: reports, models, checkpoints, slopes, tables and devices."""
    return [
        *named,
        *(part.rpartition("=")[2] if i else part for text in sides for i, part in enumerate(text.split(","))),
    ]


def _check_common(sides: Sequence[str], common: Mapping[str, Any]) -> None:
    """Raise UsageError for an option of all models that no model takes: saved reports have their own values."""
    models = [text for text in sides if not text.split(",")[0].endswith(_SAVED)]
    for name in common:
        if not models:
            raise UsageError(
                f"--{name.replace('_', '-')} does nothing to saved reports: leave it out, or analyze again with it"
            )
        own = [_own(text.split(",")[0], text.split(",")[1:]) for text in models]
        if all(name in values or _has_no(name, text) for text, values in zip(models, own, strict=True)):
            raise UsageError(
                f"--{name.replace('_', '-')} does nothing: every model has its own {name}; leave one of them out"
            )


def _has_no(option: str, text: str) -> bool:
    """Whether it cannot be said of a model: a file that holds a network says its input size itself."""
    from abcost.models.subject import holds_weights

    return option == "preset" and holds_weights(text.split(",", maxsplit=1)[0])


def _side(text: str, common: Mapping[str, Any]) -> Side:
    """A saved report, or an analysis made now."""
    from abcost.comparing.saved import read_report, side_of
    from abcost.comparing.saved_csv import side_of_csv

    name, *given = text.split(",")
    if name.endswith(_SAVED):
        own = _own(name, given)
        if set(own) - {"target"}:
            raise UsageError(f"{text!r}: a saved report takes no options but target, where it has several")
        if name.endswith(".csv"):
            return side_of_csv(Path(name), text, own.get("target"))
        return side_of(read_report(Path(name), own.get("target")), text)
    fitting = {option: value for option, value in common.items() if not _has_no(option, name)}
    return side_of(_analysed(name, {**fitting, **_own(name, given)}), text)


def _own(name: str, given: Sequence[str]) -> dict[str, Any]:
    """Options behind the name. Raises UsageError or UnknownName."""
    found: dict[str, Any] = {}
    for part in given:
        key, equals, value = part.partition("=")
        key = key.strip().replace("-", "_")
        known = (*_PATHS, *_WHOLE, *_REAL, *_TEXTS)
        if not equals or not value:
            raise UsageError(f"{name}: {part!r} is not of the form option=value, such as width=12")
        if key not in known:
            raise unknown_name(f"option of {name!r}", key, known)
        if key in found:
            raise UsageError(f"{name}: {key} is given twice")
        try:
            found[key] = int(value) if key in _WHOLE else float(value) if key in _REAL else value
        except ValueError:
            raise UsageError(f"{name}: {key}={value} is not a number") from None
    return found


def _analysed(name: str, asked: dict[str, Any]) -> dict[str, Any]:
    from abcost.cost import CostTable
    from abcost.cost.organisation import Lanes
    from abcost.models.subject import resolve
    from abcost.pipeline import analyze_subject

    device, fps = asked.get("device"), asked.get("fps")
    table = CostTable.load(asked.get("target") or options.default_target(device))
    wishes = options.accelerator(device, fps, asked.get("clock_mhz"), None)
    slopes = asked.get("slopes")
    rewriting = options.rewriting(
        asked.get("weight_scale", "exact"), asked.get("constant_multiply", "keep"), asked.get("fraction_bits", 12),
        None if slopes is None else Path(slopes), name, leave_out_softmax=bool(asked.get("leave_out_softmax")),
    )  # fmt: skip
    blocks = asked.get("blocks")
    request = options.request(
        name, variant=asked.get("variant"), step=asked.get("step"), preset=asked.get("preset"),
        input_size=[asked["input_size"]] if "input_size" in asked else None, num_classes=asked.get("num_classes"),
        base_width=asked.get("base_width"), blocks=None if blocks is None else blocks.replace("x", ","),
        checkpoint=Path(asked["checkpoint"]) if "checkpoint" in asked else None, model_arg=None,
    )  # fmt: skip
    (report,) = analyze_subject(
        resolve(request), [table], width=asked.get("width"), organisation=Lanes(), rewriting=rewriting,
        accelerator=wishes,
    )  # fmt: skip
    return report.to_dict()
