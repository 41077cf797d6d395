"""Calls for people: wrong names and values of arguments are AbcostErrors that say what would be right."""

from __future__ import annotations

import functools
import inspect
import numbers
import re
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from abcost.errors import AbcostError, UsageError
from abcost.registry import unknown_name

P = ParamSpec("P")
T = TypeVar("T")

_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "True or False", type(None): "None"}
_OPTIONS = {
    "as": "form",
    "input-size": "input_shape",
    "model-arg": "model_args",
}  # called otherwise in Python


class _Unsaid:
    """Stands in a signature for the default of an option, which its documentation says."""

    def __repr__(self) -> str:
        return "…"


def call(function: Callable[P, T]) -> Callable[P, T]:
    """The function as a call of the package: arguments are checked, `**options` are named in its signature.

    Raises UnknownName for an argument that it does not have, with the nearest; UsageError for one that is missing or
    of another type; and what it raises itself, with options called as arguments (`--fraction-bits`: fraction_bits).
    """
    signature = _expanded(function)
    hints = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    kinds = {parameter.kind: name for name, parameter in signature.parameters.items()}
    rest = kinds.get(inspect.Parameter.VAR_POSITIONAL)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        for name in kwargs:
            if name not in hints:
                raise unknown_name(f"argument of abcost.{function.__name__}", name, hints)
        try:
            bound = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise UsageError(f"abcost.{function.__name__}: {error}") from None
        for name, value in bound.items():
            for one in value if name == rest else [value]:
                _check(function.__name__, name, one, hints[name])
        try:
            return function(*args, **kwargs)
        except AbcostError as error:
            error.args = (_in_python(str(error), hints),)
            raise

    vars(checked)["__signature__"] = signature
    return checked


def _expanded(function: Callable[..., Any]) -> inspect.Signature:
    """The signature with a parameter for each key of `**options: Unpack[…]`."""
    signature, hints = inspect.signature(function), get_type_hints(function)
    parameters = []
    for name, parameter in signature.parameters.items():
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            parameters.append(parameter.replace(annotation=hints[name]))
            continue
        (keys,) = get_args(hints[name])
        parameters += [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=_Unsaid(), annotation=hint)
            for key, hint in get_type_hints(keys).items()
        ]
    return signature.replace(parameters=parameters, return_annotation=hints.get("return"))


def _check(function: str, name: str, value: object, hint: Any) -> None:
    if _allows(hint, value):
        return
    choices = [choice for part in _parts(hint) if get_origin(part) is Literal for choice in get_args(part)]
    if choices and isinstance(value, str):
        raise unknown_name(f"{name} of abcost.{function}", value, choices)
    raise UsageError(f"abcost.{function}: {name} must be {_said(hint)}, got {_short(value)}")


def _parts(hint: Any) -> tuple[Any, ...]:
    """Types of a union; of any other hint the hint alone."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _allows(hint: Any, value: object) -> bool:
    origin, args = get_origin(hint), get_args(hint)
    if len(_parts(hint)) > 1:
        return any(_allows(part, value) for part in args)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in args)
    if origin is Sequence:
        return _each_allows(args[0], value)
    number = {int: numbers.Integral, float: numbers.Real}.get(hint)
    if number is not None:
        return isinstance(value, number) and not isinstance(value, bool)
    return hint is Any or isinstance(value, origin or hint)


def _each_allows(hint: Any, value: object) -> bool:
    """Whether it is a list of what the hint allows; text is no list."""
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and all(_allows(hint, one) for one in value)
    )


def _said(hint: Any) -> str:
    origin, args = get_origin(hint), get_args(hint)
    if len(_parts(hint)) > 1:
        return " or ".join(dict.fromkeys(map(_said, args)))
    if origin is Literal:
        return " or ".join(map(repr, args))
    if origin is Sequence:
        return f"a list, each {_said(args[0])}"
    if origin is Mapping:
        return "a dict"
    return _WORDS.get(hint, f"a {getattr(hint, '__name__', hint)}")


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"a {type(value).__name__}"


def _in_python(text: str, names: Mapping[str, Any]) -> str:
    """An error of the command line, with its options called as the arguments are."""

    def named(match: re.Match[str]) -> str:
        name = _OPTIONS.get(match[1], match[1].replace("-", "_"))
        return name if name in names else match[0]

    return re.sub(r"(?<!\S)--([a-z][a-z-]*)", named, text)
