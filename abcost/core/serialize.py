"""The op graph as JSON and back. A graph file is data: nothing in it is executed or looked up by name freely."""

from __future__ import annotations

import base64
import binascii
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
    for d in (torch.float32, torch.float64, torch.int32, torch.int64, torch.int8, torch.bool)
}


def graph_to_json(graph: OpGraph, *, constants: bool = True) -> str:
    """One JSON object; without `constants` their values are left out and the graph cannot be executed."""
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
    return json.dumps({"schema": SCHEMA, "nodes": nodes}, indent=1) + "\n"


def graph_from_json(text: str) -> OpGraph:
    """The graph of `graph_to_json`. Raises GraphError, one line, for anything else."""
    try:
        data = _of_our_schema(json.loads(text))
        nodes = [_node_from_dict(item) for item in data["nodes"]]
        inputs = {str(item["name"]): [str(name) for name in item["inputs"]] for item in data["nodes"]}
        return OpGraph(nodes, inputs)
    except GraphError:
        raise
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        binascii.Error,
        zlib.error,
    ) as error:
        raise GraphError(f"not a graph file: {type(error).__name__}: {error}") from error


def _of_our_schema(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise GraphError(f"not a graph file of schema {SCHEMA}")
    return data


def _constant_to_dict(constant: Constant, *, values: bool) -> dict[str, Any]:
    tensor = constant.values
    head = {
        "shape": list(tensor.shape),
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "binary": constant.binary,
    }
    if not values:
        return head
    array = tensor.contiguous().numpy()
    packed = constant.binary and not bool((array == 0).any())
    raw = np.packbits(array > 0).tobytes() if packed else array.tobytes()
    return {**head, "packed": packed, "data": base64.b64encode(zlib.compress(raw, 1)).decode("ascii")}


def _node_from_dict(item: Mapping[str, Any]) -> OpNode:
    shape = tuple(int(size) for size in item["shape"])
    consts = {str(role): _constant_from_dict(value) for role, value in item["consts"].items()}
    return OpNode(
        str(item["name"]),
        OpKind(item["kind"]),
        shape,
        str(item["layer"]),
        str(item["source"]),
        dict(item["attrs"]),
        consts,
    )


def _constant_from_dict(item: Mapping[str, Any]) -> Constant:
    if "data" not in item:
        raise GraphError("the graph was saved without its constants; save it again with --constants")
    shape = [int(size) for size in item["shape"]]
    dtype = _DTYPES[item["dtype"]]
    count = prod(shape)
    size = (count + 7) // 8 if item["packed"] else count * dtype.itemsize
    if min(shape, default=1) < 0 or size > LARGEST_CONSTANT:
        raise GraphError(f"a constant of shape {shape} is not between 0 and {LARGEST_CONSTANT} bytes")
    unpack = zlib.decompressobj()
    raw = unpack.decompress(base64.b64decode(item["data"], validate=True), size + 1)
    if len(raw) != size:
        raise GraphError(
            f"a constant of shape {shape} needs {size} bytes, the file has {'more' if len(raw) > size else len(raw)}"
        )
    if item["packed"]:
        bits = np.unpackbits(np.frombuffer(raw, np.uint8), count=count)
        array = (2 * bits.astype(np.int8) - 1).reshape(shape)
        return Constant(torch.from_numpy(array), binary=True)
    values = torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.empty(0, dtype=dtype)
    return Constant(values.reshape(shape), binary=bool(item["binary"]))
