"""Parameters that several nodes use, and are stored once: tied weights, and cells of a recurrent network.

Two constants are one in memory if they come from the same parameters of the model (`Constant.shared`) and hold the same
values in the same form, whatever their shape. So sign(w) that is computed twice is stored once, two layers that happen
to begin with equal weights are stored twice, and so are w and a part of it, or w and its transpose.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from weakref import WeakKeyDictionary

import torch

from abcost.core.graph import OpGraph
from abcost.core.node import Constant

_Elsewhere = Mapping[str, Mapping[str, str]]
_KNOWN: WeakKeyDictionary[OpGraph, _Elsewhere] = WeakKeyDictionary()


def stored_elsewhere(graph: OpGraph) -> _Elsewhere:
    """Node -> role of a constant -> the earlier node that stores it; nodes without such are left out."""
    known = _KNOWN.get(graph)
    if known is None:
        known = _KNOWN[graph] = _find(graph)
    return known


def _find(graph: OpGraph) -> _Elsewhere:
    uses: dict[tuple[str, int, bool], list[tuple[str, str, Constant]]] = {}
    for node in graph:
        for role, constant in node.consts.items():
            if constant.shared is not None and constant.count > 1:
                form = (constant.shared, constant.count, constant.binary)
                uses.setdefault(form, []).append((node.name, role, constant))
    found: dict[str, dict[str, str]] = {}
    for group in uses.values():
        if len(group) == 1:
            continue  # nothing to compare: values are only read where parameters have several uses
        owners: dict[bytes, str] = {}
        for name, role, constant in group:
            owner = owners.setdefault(_digest(role, constant), name)
            if owner != name:
                found.setdefault(name, {})[role] = owner
    return found


def _digest(role: str, constant: Constant) -> bytes:
    """Digest of the values and their form; exponents are stored in bits of their own."""
    found = hashlib.sha256(b"exponent" if role == "exponent" else b"value")
    for tensor in (constant.values, constant.scale, constant.fixed):
        if tensor is not None:
            found.update(str(tensor.dtype).encode())
            found.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.digest()
