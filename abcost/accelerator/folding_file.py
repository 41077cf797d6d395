"""Foldings as files: abcost's own form, and the folding_config.json of FINN.

    {"schema": 1, "layers": {"layer1.0.conv1": {"pe": 4, "simd": 36}}}
    {"Defaults": {}, "MVAU_hls_0": {"PE": 16, "SIMD": 3, "ram_style": "auto"}, "LabelSelect_hls_0": {"PE": 1}}

Of a FINN configuration only the nodes that multiply count, in the order of the file, which is that of execution where
FINN wrote it: MVAU and VVAU (depthwise), by the names that they had in any version. Everything else that it says, of
memories, FIFOs, thresholds and windows, is passed over. `Defaults` gives an attribute to all nodes or to some sorts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from abcost.accelerator.folding import Folding
from abcost.accelerator.own_folding import Given, OwnFolding, layer_keys
from abcost.accelerator.result import Layer
from abcost.core.reading import read_json
from abcost.errors import UsageError

_MOST_BYTES = 10_000_000
_MOST = 2**31 - 1
_KEYS = ("schema", "model", "layers")
_NODE = re.compile(
    r"((MVAU|MatrixVectorActivation|StreamingFCLayer_Batch)|VVAU|VectorVectorActivation|Vector_Vector_Activate_Batch)"
    r"(_hls|_rtl)?_([0-9]{1,6})",
    re.ASCII,
)


def read_folding(path: Path) -> OwnFolding:
    """The folding in a file of either form. Raises UsageError with what is wrong where."""
    shown = f"--folding {path}"
    data = read_json(path, shown, UsageError, most=_MOST_BYTES)
    if not isinstance(data, dict):
        raise UsageError(f"{shown} is no object: {_EXPECTED}")
    if "layers" in data or "schema" in data:
        return OwnFolding(shown, tuple(_ours(data, shown)))
    nodes = {name: match for name in data if (match := _NODE.fullmatch(name))}
    if not nodes:
        raise UsageError(f'{shown} has neither "layers" nor a node such as MVAU_hls_0: {_EXPECTED}')
    _check_order(nodes, shown)
    return OwnFolding(shown, tuple(_node(data, match, shown) for match in nodes.values()), in_order=True)


_EXPECTED = '{"schema": 1, "layers": {"conv1": {"pe": 4, "simd": 36}}} or a folding_config.json of FINN'


def _ours(data: Mapping[str, Any], shown: str) -> list[Given]:
    if data.get("schema") != 1 or isinstance(data.get("schema"), bool):
        raise UsageError(f'{shown}: "schema" is {data.get("schema")!r}, this version reads 1')
    unknown = [name for name in data if name not in _KEYS]
    if unknown:
        raise UsageError(f"{shown} has a key {unknown[0]!r}; known are {', '.join(_KEYS)}")
    layers = data.get("layers")
    if not isinstance(layers, dict) or not layers:
        raise UsageError(f'{shown}: "layers" names no layer: {_EXPECTED}')
    found = []
    for name, folding in layers.items():
        if not isinstance(folding, dict) or sorted(folding) != ["pe", "simd"]:
            raise UsageError(f'{shown}: {name} must be of the form {{"pe": 4, "simd": 36}}')
        found.append(
            Given(
                name, Folding(*(_number(folding[key], f"{shown}: {name}: {key}") for key in ("pe", "simd")))
            )
        )
    return found


def _check_order(nodes: Mapping[str, re.Match[str]], shown: str) -> None:
    """The nodes of one sort are numbered in the order of the file, or the order of execution is not known."""
    last: dict[str, int] = {}
    for name, match in nodes.items():
        sort, number = name.rpartition("_")[0], int(match[4])
        if number <= last.get(sort, -1):
            raise UsageError(
                f"{shown}: {name} stands behind {sort}_{last[sort]}: nodes must stand in the order of execution"
            )
        last[sort] = number


def _node(data: Mapping[str, Any], match: re.Match[str], shown: str) -> Given:
    name = match[0]
    attributes = data[name]
    if not isinstance(attributes, dict):
        raise UsageError(f"{shown}: {name} is no object")
    given = {**_defaults(data, name.rpartition("_")[0], shown), **attributes}
    depthwise = match[2] is None
    if depthwise:
        given.setdefault("SIMD", 1)  # as FINN does
    missing = [key for key in ("PE", "SIMD") if key not in given]
    if missing:
        raise UsageError(f"{shown}: {name} has no {' and no '.join(missing)}")
    pe, simd = (_number(given[key], f"{shown}: {name}: {key}") for key in ("PE", "SIMD"))
    return Given(name, Folding(pe, simd), depthwise)


def _defaults(data: Mapping[str, Any], sort: str, shown: str) -> dict[str, Any]:
    """What `Defaults` says of PE and SIMD of nodes of this sort: attribute -> [value, ["all" or sorts]]."""
    defaults = data.get("Defaults", {})
    if not isinstance(defaults, dict):
        raise UsageError(f'{shown}: "Defaults" is no object')
    found = {}
    for key in ("PE", "SIMD"):
        if key in defaults:
            match defaults[key]:
                case [value, [*sorts]]:
                    if "all" in sorts or sort in sorts:
                        found[key] = value
                case _:
                    raise UsageError(f'{shown}: "Defaults": {key} must be of the form [4, ["all"]]')
    return found


def _number(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
        raise UsageError(f"{where} is {str(value)[:40]}, not a whole number from 1 up")
    return value


def folding_text(layers: Sequence[Layer], model: str) -> str:
    """The folding of a pipeline in abcost's own form."""
    keys = layer_keys([layer.name for layer in layers])
    folded = {key: {"pe": x.pe, "simd": x.simd} for key, x in zip(keys, layers, strict=True)}
    return json.dumps({"schema": 1, "model": model, "layers": folded}, indent=1) + "\n"


def finn_text(layers: Sequence[Layer]) -> str:
    """The same as a folding_config.json: MVAU_hls_0, MVAU_hls_1, … and VVAU_hls_0, … in the order of execution."""
    found: dict[str, dict[str, int]] = {"Defaults": {}}
    numbers = {"MVAU_hls": 0, "VVAU_hls": 0}
    for layer in layers:
        sort = "VVAU_hls" if layer.depthwise else "MVAU_hls"
        found[f"{sort}_{numbers[sort]}"] = {"PE": layer.pe, "SIMD": layer.simd}
        numbers[sort] += 1
    return json.dumps(found, indent=2) + "\n"
