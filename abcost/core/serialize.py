"""The op graph as JSON and back. A graph file is data: nothing in it is executed or looked up by name freely."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import torch

from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.node import Constant, OpNode
from abcost.errors import GraphError

SCHEMA = 1
LARGEST_CONSTANT = 2**31  # bytes
_DTYPES = {
    str(d).removeprefix("torch."): d
    for d in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16,
        torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
    )
}  # fmt: skip


def graph_to_json(graph: OpGraph, *, constants: bool = True) -> str:
    """One JSON object; without `constants` their values are left out and the graph cannot be executed.

    Raises GraphError for a constant that is neither real nor integer.
    """
    nodes = [
        {
            "name": node.name,
            "kind": node.kind.value,
            "shape": list(node.shape),
            "inputs": list(graph.inputs(node.name)),
            "layer": node.layer,
            "source": node.source,
            "attrs": dict(node.attrs),
            "consts": {
                role: _constant_to_dict(constant, values=constants) for role, constant in node.consts.items()
            },
        }
        for node in graph
    ]
    return json.dumps({"schema": SCHEMA, "nodes": nodes}, indent=1, allow_nan=False) + "\n"


def graph_from_json(text: str) -> OpGraph:
    """The graph of `graph_to_json`. Raises GraphError, one line, for anything else."""
    try:
        data = _of_our_schema(json.loads(text))
        nodes = [_node_from_dict(item) for item in data["nodes"]]
        inputs = {item["name"]: [_text(name) for name in _list(item["inputs"])] for item in data["nodes"]}
        return OpGraph(nodes, inputs)
    except GraphError:
        raise
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, zlib.error) as error:
        raise GraphError(f"not a graph file: {type(error).__name__}: {error}") from error


def _of_our_schema(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise GraphError(f"not a graph file of schema {SCHEMA}")
    return data


def _constant_to_dict(constant: Constant, *, values: bool) -> dict[str, Any]:
    tensor = constant.values.detach()
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in _DTYPES:
        raise GraphError(f"a constant of type {dtype} cannot be saved (known: {', '.join(_DTYPES)})")
    head = {"shape": list(tensor.shape), "dtype": dtype, "binary": constant.binary}
    if constant.scale is not None:
        head["scale"] = _constant_to_dict(Constant(constant.scale), values=values)
    if constant.shared is not None:
        head["shared"] = constant.shared
    if constant.fixed is not None:
        head["fixed"] = _constant_to_dict(Constant(constant.fixed), values=values)
    if not values:
        return head
    packed = tensor.dtype is torch.int8 and bool((tensor.abs() == 1).all())
    flat = tensor.contiguous().reshape(-1)
    raw = np.packbits((flat > 0).numpy()).tobytes() if packed else flat.view(torch.uint8).numpy().tobytes()
    return {**head, "packed": packed, "data": base64.b64encode(zlib.compress(raw, 1)).decode("ascii")}


def _node_from_dict(item: Mapping[str, Any]) -> OpNode:
    attrs, consts = item["attrs"], item["consts"]
    if not isinstance(attrs, dict) or not isinstance(consts, dict):
        raise GraphError("not a graph file: attrs and consts of a node must be objects")
    return OpNode(
        _text(item["name"]),
        OpKind(item["kind"]),
        tuple(_sizes(item["shape"])),
        _text(item["layer"]),
        _text(item["source"]),
        attrs,
        {role: _constant_from_dict(value) for role, value in consts.items()},
    )


def _constant_from_dict(item: Mapping[str, Any]) -> Constant:
    if "data" not in item:
        raise GraphError("the graph was saved without its constants; save it again with --constants")
    shape = _sizes(item["shape"])
    dtype = _DTYPES[item["dtype"]]
    scale, fixed = (
        _constant_from_dict(item[role]).values if role in item else None for role in ("scale", "fixed")
    )
    count = prod(shape)
    if count * dtype.itemsize > LARGEST_CONSTANT:
        raise GraphError(f"a constant of shape {shape} has more than {LARGEST_CONSTANT} bytes")
    packed = item["packed"] is True
    raw = _unpacked(item["data"], (count + 7) // 8 if packed else count * dtype.itemsize, shape)
    if packed:
        bits = np.unpackbits(np.frombuffer(raw, np.uint8), count=count)
        values = torch.from_numpy(2 * bits.astype(np.int8) - 1)
    else:
        values = torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.empty(0, dtype=dtype)
    shared = None if item.get("shared") is None else _text(item["shared"])
    return Constant(
        values.reshape(shape), binary=item["binary"] is True, scale=scale, fixed=fixed, shared=shared
    )


def _unpacked(data: str, size: int, shape: list[int]) -> bytes:
    """Exactly `size` bytes, never more in memory. Raises GraphError."""
    unpack = zlib.decompressobj()
    raw = unpack.decompress(base64.b64decode(data, validate=True), size + 1)
    if len(raw) != size or not unpack.eof:
        has = "more" if len(raw) > size else f"{len(raw)} or is cut off"
        raise GraphError(f"a constant of shape {shape} needs {size} bytes, the file has {has}")
    return raw


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise GraphError(f"not a graph file: wanted a list, got a {type(value).__name__}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise GraphError(f"not a graph file: wanted a text, got a {type(value).__name__}")
    return value


def _sizes(value: Any) -> list[int]:
    if not all(type(size) is int and 0 <= size < 2**63 for size in _list(value)):
        raise GraphError("not a graph file: a shape is a list of whole numbers")
    return list(value)
