"""Names known before torch is loaded: a shell completes them, and wrong ones are answered at once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import typer

from abcost.core.zoo import more_may_be_known, zoo_names
from abcost.errors import ModelError
from abcost.registry import unknown_name

_OWN_MODEL = (
    "your own model is named as path/to/file.py:factory, package.module:factory, FILE.pt2 or FILE.onnx"
)
_FILES = {".onnx": "no ONNX file", ".pt2": "no exported program"}
_REPORTS = (".json", ".csv")  # sides of a comparison


def models(incomplete: str) -> list[str]:
    """Networks of the zoo that begin so."""
    return _beginning(incomplete, zoo_names())


def targets(incomplete: str) -> list[str]:
    """Bundled targets that begin so."""
    from abcost.cost.bundled import bundled_targets

    return _beginning(incomplete, bundled_targets())


def devices(incomplete: str) -> list[str]:
    """Parts, boards and dies that begin so."""
    from abcost.accelerator.devices import boards
    from abcost.accelerator.devices import devices as parts
    from abcost.accelerator.silicon.die import dies

    return _beginning(incomplete, [*parts(), *boards(), *dies()])


def check_model(text: str | None) -> str | None:
    """The text itself. Raises UnknownName or ModelError for what no command can load."""
    if text is None:
        return None
    where, colon, _ = text.rpartition(":")
    if colon:
        if where.endswith(".py") and not _is_file(where):
            raise ModelError(f"no model file {where}")
    elif kind := next((kind for suffix, kind in _FILES.items() if text.endswith(suffix)), ""):
        if _missing(text):
            raise ModelError(f"{kind} {text}")
    elif text not in zoo_names() and not more_may_be_known():
        raise type(error := unknown_name("model", text, zoo_names()))(f"{error}; {_OWN_MODEL}")
    return text


def check_sides(texts: list[str]) -> list[str]:
    """The texts themselves, each a model with options behind commas, or a saved report. Raises as `check_model`."""
    for text in texts:
        name = text.partition(",")[0]
        if not name.endswith(_REPORTS):
            check_model(name)
    return texts


_COMPLETED: dict[str, Callable[[str], list[str]]] = {
    "model": models, "models": models, "sides": models, "target": targets, "device": devices,
}  # fmt: skip
_CHECKED: dict[str, Callable[..., object]] = {
    "model": check_model,
    "models": check_sides,
    "sides": check_sides,
}


def know_names(app: typer.Typer) -> None:
    """Complete, in every command, parameters that are called as models, targets and devices are; check models."""
    for group in (app, *(found.typer_instance for found in app.registered_groups)):
        for command in group.registered_commands if group is not None else ():
            if command.callback is not None:
                _know(command.callback)


def _know(function: Callable[..., Any]) -> None:
    """Typer reads annotations; those of text are made anew whenever they are read, so they are kept once changed."""
    hints = get_type_hints(function, include_extras=True)
    own = vars(function).get("__signature__")  # made by `takes_network`, with options of its own
    if own is not None:
        hints |= {name: parameter.annotation for name, parameter in own.parameters.items()}
    for name, hint in hints.items():
        for info in getattr(hint, "__metadata__", ()):
            if name in _COMPLETED and isinstance(info, typer.models.ParameterInfo):
                info.autocompletion = _COMPLETED[name]
                info.callback = _CHECKED.get(name)
    function.__annotations__ = hints


def _beginning(incomplete: str, names: list[str] | tuple[str, ...]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # a name too long; a NUL in it
        return False


def _missing(text: str) -> bool:
    """Whether nothing is there; what cannot be looked at is refused by who reads it."""
    try:
        os.lstat(text)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in it
        return True
    except OSError:
        return False
    return False
