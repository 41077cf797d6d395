"""Which handler knows which ATen operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from abcost.registry import Registry

handlers: Registry[Callable[[Any], Any]] = Registry("ATen handler", "abcost.trace.handlers")


def handler(*operators: str) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Decorator: this function records these ATen operators ("add.Tensor", or "clone" for every overload)."""

    def keep(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        for operator in operators:
            handlers.add(operator)(function)
        return function

    return keep


def find_handler(overload: str, packet: str) -> Callable[[Any], Any] | None:
    """The handler of this overload, or of the operator whatever its overload, or None."""
    return handlers.find(overload) or handlers.find(packet)
