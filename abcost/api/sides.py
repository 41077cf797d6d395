"""Sides of a comparison, as text: a saved report, or a model with options of its own behind commas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abcost.api.arguments import accelerator, default_target, rewriting
from abcost.errors import UsageError
from abcost.models.network import PROPERTIES, holds_weights, parsed
from abcost.registry import unknown_name

if TYPE_CHECKING:
    from abcost.comparing.saved import ComparedSide

_SAVED = (".json", ".csv")  # endings of reports
_PATHS = ("checkpoint", "slopes", "folding")
_WHOLE = ("width", "fraction_bits")
_REAL = ("fps",)
_TEXTS = (
    "target", "input_size", "device", "clock_mhz", "organisation", "weights", "weight_scale", "constant_multiply",
)  # fmt: skip


def check_common(sides: Sequence[str], common: Mapping[str, Any]) -> None:
    """Raise UsageError for an option of all models that no model takes: saved reports have their own values."""
    models = [text for text in sides if not text.split(",")[0].endswith(_SAVED)]
    for name in common:
        if not models:
            raise UsageError(
                f"--{name.replace('_', '-')} does nothing to saved reports: leave it out, or analyze again with it"
            )
        own = [own_options(text.split(",")[0], text.split(",")[1:]) for text in models]
        if all(name in values or _has_no(name, text) for text, values in zip(models, own, strict=True)):
            raise UsageError(
                f"--{name.replace('_', '-')} does nothing: every model has its own {name}; leave one of them out"
            )


def _has_no(option: str, text: str) -> bool:
    """Whether it cannot be said of a model: a file that holds a network says its input size itself."""
    return option == "preset" and holds_weights(text.split(",", maxsplit=1)[0])


def side(text: str, common: Mapping[str, Any]) -> ComparedSide:
    """A saved report, or an analysis made now."""
    from abcost.comparing.saved import read_report, side_of
    from abcost.comparing.saved_csv import side_of_csv

    name, *given = text.split(",")
    if name.endswith(_SAVED):
        own = own_options(name, given)
        if set(own) - {"target"}:
            raise UsageError(f"{text!r}: a saved report takes no options but target, where it has several")
        if name.endswith(".csv"):
            return side_of_csv(Path(name), text, own.get("target"))
        return side_of(read_report(Path(name), own.get("target")), text)
    fitting = {option: value for option, value in common.items() if not _has_no(option, name)}
    return side_of(_analysed(name, {**fitting, **own_options(name, given)}), text)


def own_options(name: str, given: Sequence[str]) -> dict[str, Any]:
    """Options behind the name of a model, such as width=12, in words and numbers. Raises UsageError or UnknownName."""
    found: dict[str, Any] = {}
    for part in _joined(given):
        key, equals, value = part.partition("=")
        key = key.strip().replace("-", "_")
        known = (*_PATHS, *_WHOLE, *_REAL, *_TEXTS, *PROPERTIES)
        if not equals or not value:
            raise UsageError(f"{name}: {part!r} is not of the form option=value, such as width=12")
        if key not in known:
            raise unknown_name(f"option of {name!r}", key, known)
        if key in found:
            raise UsageError(f"{name}: {key} is given twice")
        if key in PROPERTIES:
            found[key] = _property(name, key, value)
            continue
        try:
            found[key] = int(value) if key in _WHOLE else float(value) if key in _REAL else value
        except ValueError:
            raise UsageError(f"{name}: {key}={value} is not a number") from None
    return found


def _property(name: str, key: str, value: str) -> str | int | tuple[int, ...]:
    try:
        return parsed(key, value.replace("x", ",") if PROPERTIES[key].kind is tuple else value)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None


def _joined(given: Sequence[str]) -> list[str]:
    """Commas inside blocks=2,2,2 do not part options."""
    several = tuple(f"{name}=" for name, known in PROPERTIES.items() if known.kind is tuple)
    found: list[str] = []
    for part in given:
        if found and found[-1].startswith(several) and part.strip().isdecimal():
            found[-1] += f",{part}"
        else:
            found.append(part)
    return found


def _analysed(name: str, asked: dict[str, Any]) -> dict[str, Any]:
    from abcost.core.inputs import InputSpec
    from abcost.cost import CostTable
    from abcost.cost.organisation import Lanes
    from abcost.models.subject import Request, resolve
    from abcost.pipeline import analyze_subject

    device, fps = asked.get("device"), asked.get("fps")
    table = CostTable.load(asked.get("target") or default_target(device))
    folding = asked.get("folding")
    goal = accelerator(
        device, fps, asked.get("clock_mhz"), asked.get("organisation"), asked.get("weights"),
        None if folding is None else Path(folding),
    )  # fmt: skip
    slopes = asked.get("slopes")
    lowering = rewriting(
        asked.get("weight_scale", "exact"), asked.get("constant_multiply", "keep"), asked.get("fraction_bits", 12),
        None if slopes is None else Path(slopes), name, leave_out_softmax=bool(asked.get("leave_out_softmax")),
    )  # fmt: skip
    request = Request(
        name,
        inputs=(InputSpec.parse(asked["input_size"]),) if "input_size" in asked else (),
        checkpoint=Path(asked["checkpoint"]) if "checkpoint" in asked else None,
        **{key: asked[key] for key in PROPERTIES if key in asked},
    )
    (report,) = analyze_subject(
        resolve(request), [table], width=asked.get("width"), organisation=Lanes(), rewriting=lowering,
        accelerator=goal,
    )  # fmt: skip
    return report.to_dict()
