"""Which handler knows which ONNX operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from abcost.registry import Registry

if TYPE_CHECKING:
    from abcost.onnx.op import Op

Result = torch.Tensor | Sequence[torch.Tensor]
Handler = Callable[["Op"], Result]

operators: Registry[Handler] = Registry("ONNX operator", "abcost.onnx.operators")

_FAMILIES: Mapping[str, str] = {
    "": "",
    "ai.onnx": "",
    "qonnx.custom_op.general": "qonnx.",
    "onnx.brevitas": "qonnx.",
    "finn.custom_op.general": "qonnx.",
    "com.microsoft": "ms.",
}
"""Domain of an operator -> what stands before its name in the registry; QONNX had other domains before."""
DOMAINS = frozenset(_FAMILIES)
"""Domains that are known."""


def operator(*names: str) -> Callable[[Handler], Handler]:
    """Decorator: this function executes these operators ("Conv", "qonnx.BipolarQuant")."""

    def keep(function: Handler) -> Handler:
        for name in names:
            operators.add(name)(function)
        return function

    return keep


def registered_name(domain: str, name: str) -> str:
    """The name of an operator in the registry ("Conv", "qonnx.Quant", "ms.QGemm"), "" for an unknown domain."""
    family = _FAMILIES.get(domain)
    return "" if family is None else family + name


def find_operator(domain: str, name: str) -> Handler | None:
    """The handler of an operator, or None."""
    return operators.find(registered_name(domain, name))
