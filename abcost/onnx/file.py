"""Reading an ONNX file, which is data from a stranger: sizes, form and operator sets are checked before it is used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from abcost.core.reading import read_bytes
from abcost.errors import ModelError, one_line
from abcost.extras import require
from abcost.onnx.external import load_external
from abcost.onnx.registry import DOMAINS

LARGEST_FILE = 2**31 - 1  # bytes: protobuf's own limit, for a file and for a model with its external data
FIRST_OPSET = 9  # the oldest that QONNX files are found in


def read_proto(path: Path) -> Any:
    """The checked ModelProto, with external data in place and local functions inlined.

    Raises MissingExtra without the package onnx, ModelError for whatever is wrong with the file.
    """
    data = _bytes(path)  # a missing file comes before a missing package
    onnx = require("onnx", "onnx", f"reading {path}")
    try:
        proto = onnx.ModelProto.FromString(data)
    except Exception as error:  # protobuf's own
        raise ModelError(f"{path} is no ONNX model: {one_line(error)}") from error
    if not proto.HasField("graph"):
        raise ModelError(f"{path} is no ONNX model: it has no graph")
    if any(isinstance(name, bytes) for name in _names(proto)):  # what protobuf gives for text that is none
        raise ModelError(f"{path} is no ONNX model: it holds a name that is not UTF-8")
    _complete_imports(proto)
    load_external(tensors(proto), path, LARGEST_FILE - len(data))
    try:
        onnx.checker.check_model(proto)
        if proto.functions:
            require("onnx.inliner", "onnx", f"reading {path}")
            proto = onnx.inliner.inline_local_functions(proto)
    except Exception as error:  # the checker's, or protobuf's for what it cannot write
        raise ModelError(f"{path} does not pass onnx's checker: {one_line(error)}") from error
    _check_opset(path, proto, onnx.defs.onnx_opset_version())
    if proto.graph.sparse_initializer:
        raise ModelError(f"{path} holds sparse initializers, which are not supported; export dense ones")
    return proto


def _complete_imports(proto: Any) -> None:
    """Import the domains that are used and known, but that the file forgets to import, as many QONNX files do."""
    imported = versions(proto)
    used = {node.domain for node in proto.graph.node}
    for domain in sorted((used & DOMAINS) - {"", "ai.onnx", *imported}):
        proto.opset_import.add(domain=domain, version=1)


def versions(proto: Any) -> dict[str, int]:
    """Operator set of each domain; the standard one is ""."""
    return {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in proto.opset_import}


def tensors(proto: Any) -> Iterator[Any]:
    """Every tensor of the model that may hold data: initializers and attributes, in functions too."""
    yield from proto.graph.initializer
    nodes = [*proto.graph.node, *(node for function in proto.functions for node in function.node)]
    while nodes:
        for attribute in nodes.pop().attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from graph.initializer
                nodes.extend(graph.node)


def _names(proto: Any) -> Iterator[Any]:
    """All text that is read later on."""
    for tensor in tensors(proto):
        yield tensor.name
        for entry in tensor.external_data:
            yield from (entry.key, entry.value)
    for value in [*proto.graph.input, *proto.graph.output]:
        yield value.name
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
    for node in [*proto.graph.node, *(node for function in proto.functions for node in function.node)]:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    yield from (entry.domain for entry in proto.opset_import)


def _bytes(path: Path) -> bytes:
    try:
        there = path.exists()
    except (OSError, ValueError) as error:  # a name too long; a NUL in it
        raise ModelError(f"cannot read {path}: {one_line(error)}") from error
    if not there:
        raise ModelError(f"no ONNX file {path}")
    return read_bytes(path, str(path), ModelError, most=LARGEST_FILE)


def _check_opset(path: Path, proto: Any, newest: int) -> None:
    version = versions(proto).get("")
    if version is not None and version > newest:
        raise ModelError(f"{path} uses opset {version}; the installed onnx knows up to {newest}: update it")
    if version is not None and version < FIRST_OPSET:
        raise ModelError(
            f"{path} uses opset {version}; {FIRST_OPSET} and later are supported: "
            "export it anew, or convert it with onnx.version_converter"
        )
