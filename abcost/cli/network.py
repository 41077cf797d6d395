"""Options that say which network: one for each property of `NetworkSpec`, made from what it says of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abcost.cli import options
from abcost.models.network import PROPERTIES, parsed

if TYPE_CHECKING:
    from abcost.models.subject import Request


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says of a network: properties that were given, what it is fed, what it holds."""

    properties: Mapping[str, Any] = field(default_factory=dict)
    input_size: tuple[str, ...] = ()
    checkpoint: Path | None = None
    model_arg: tuple[str, ...] = ()

    def arguments(self) -> dict[str, Any]:
        """Arguments of the user's own factory."""
        from abcost.models.subject import parse_arguments

        return parse_arguments(self.model_arg)

    def request(self, model: str, checkpoint: Path | None = None) -> Request:
        """What the user asked to analyse; `checkpoint` where the command has an option of its own for it."""
        from abcost.core.inputs import InputSpec
        from abcost.models.subject import Request

        return Request(
            model,
            inputs=tuple(InputSpec.parse(text) for text in self.input_size),
            checkpoint=checkpoint or self.checkpoint,
            arguments=self.arguments(),
            **self.properties,
        )


NOTHING = Asked()
"""Stands in a signature where `takes_network` puts the options."""

_OTHERS: Mapping[str, Any] = {
    "input_size": options.InputSize,
    "checkpoint": options.Checkpoint,
    "model_arg": options.ModelArg,
}


def takes_network(
    names: Iterable[str] = tuple(PROPERTIES),
    others: Iterable[str] = tuple(_OTHERS),
    about: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command whose parameter `network` stands for an option per property in `names`, and for those in `others`.

    about: help of options that mean something else in this command.
    """
    said = about or {}
    annotations = {name: _option(name, said.get(name)) for name in names}
    annotations |= {name: _OTHERS[name] for name in others}

    def with_options(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        parameters = []
        for parameter in signature.parameters.values():
            kind = parameter.kind
            parameters += (
                [inspect.Parameter(n, kind, default=None, annotation=a) for n, a in annotations.items()]
                if parameter.name == "network"
                else [parameter]
            )

        @functools.wraps(command)
        def filled(**values: Any) -> None:
            own = {name: values.pop(name) for name in annotations}
            command(**values, network=_asked(own))

        vars(filled)["__signature__"] = signature.replace(parameters=parameters)
        return filled

    return with_options


def _option(name: str, about: str | None) -> Any:
    """The option of a property, as Typer takes it."""
    known = PROPERTIES[name]
    kind: Any = int | None if known.kind is int else str | None
    return Annotated[kind, typer.Option(f"--{name.replace('_', '-')}", help=about or known.about)]


def _asked(values: Mapping[str, Any]) -> Asked:
    """Raises UsageError for text that is not of the form of its property."""
    given = {name: value for name, value in values.items() if value is not None}
    properties = {
        name: parsed(name, value) if isinstance(value, str) else value
        for name, value in given.items()
        if name in PROPERTIES
    }
    others = {name: value for name, value in given.items() if name in _OTHERS}
    others |= {name: tuple(value) for name, value in others.items() if isinstance(value, list)}
    return Asked(properties, **others)
