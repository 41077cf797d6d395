"""From an ONNX file to a program and the inputs it is fed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from abcost.core.inputs import InputSpec
from abcost.errors import ModelError, UsageError
from abcost.extras import require
from abcost.onnx.file import read_proto, versions
from abcost.onnx.program import OnnxProgram, Step, ordered
from abcost.onnx.registry import find_operator, operators, registered_name
from abcost.onnx.symptoms import symptoms
from abcost.onnx.types import FLOAT, INT64, LIMITS, NAMES, UNKNOWN, result_types

_LONGEST_NAME = 100  # of an operator, in a message
_DTYPES = {
    2: torch.uint8,
    3: torch.int8,
    5: torch.int16,
    9: torch.bool,
    1: torch.float32,
    10: torch.float32,  # float16 and bfloat16 are read as single precision
    16: torch.float32,
    11: torch.float64,
    6: torch.int32,
    7: torch.int64,
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """A program, what it is fed, and what looks wrong with it."""

    program: OnnxProgram
    inputs: tuple[InputSpec, ...]
    warnings: tuple[str, ...]


def load_onnx(path: Path, sizes: Sequence[InputSpec] = ()) -> Loaded:
    """Read an ONNX or QONNX file; `sizes` fill in the dimensions that the file leaves open.

    Raises MissingExtra without the package onnx, ModelError for a file that is damaged or asks for something that
    abcost cannot execute, UsageError where sizes are missing or contradict the file.
    """
    proto = read_proto(path)
    graph = proto.graph
    initial = {tensor.name for tensor in graph.initializer}
    fed = [value for value in graph.input if value.name not in initial]
    if not graph.output:
        raise ModelError(f"{path}: the graph has no output")
    inputs = _inputs(path, fed, sizes)
    dtype = torch.float64 if any(spec.dtype == torch.float64 for spec in inputs) else torch.float32
    constants = {tensor.name: _tensor(path, tensor, dtype) for tensor in graph.initializer}
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    types.update((value.name, value.type.tensor_type.elem_type) for value in fed)
    opsets = versions(proto)
    steps = []
    taken: set[str] = set()
    unknown: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
            constants[node.output[0]] = _constant(path, node, dtype)
            types[node.output[0]] = _constant_type(node)
            continue
        step = _step(path, node, opsets, taken, dtype, types)
        if step is None:
            operator = " ".join(f"{node.domain}.{node.op_type}".lstrip(".").split())
            unknown.setdefault(operator[:_LONGEST_NAME], node.name or node.output[0])
        else:
            steps.append(step)
    if unknown:
        first = next(iter(unknown))
        raise ModelError(
            f"{path}: abcost does not know the ONNX operator {first} (node {unknown[first]!r})"
            + (f", nor {', '.join(list(unknown)[1:9])}" if len(unknown) > 1 else "")
            + f"; {len(operators.names())} are known: export without it, or load the model from torch, "
            "where operators of your own can be declared (docs/howto/own-operator.md)"
        )
    names, outputs = [value.name for value in fed], [value.name for value in graph.output]
    kept = ordered(steps, names, outputs)
    read = {name for step in kept for name in step.inputs} | set(outputs)
    program = OnnxProgram(
        names, outputs, {name: tensor for name, tensor in constants.items() if name in read}, kept, dtype
    )
    return Loaded(program, inputs, symptoms(program))


def _inputs(path: Path, fed: Sequence[Any], sizes: Sequence[InputSpec]) -> tuple[InputSpec, ...]:
    """Shape and type of each input of the graph."""
    if not fed:
        raise ModelError(f"{path}: the graph has no input")
    if sizes and len(sizes) != len(fed):
        raise UsageError(
            f"{path} has {len(fed)} inputs ({', '.join(v.name for v in fed)}); give --input-size for each, or for none"
        )
    return tuple(_input(path, value, sizes[i] if sizes else None) for i, value in enumerate(fed))


def _input(path: Path, value: Any, asked: InputSpec | None) -> InputSpec:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or kind.elem_type not in _DTYPES:
        raise ModelError(
            f"{path}: input {value.name!r} is none of {', '.join(NAMES[code] for code in sorted(_DTYPES))}"
        )
    dims = [d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in kind.shape.dim]
    said = "x".join(map(str, dims))
    if asked is None:
        if not kind.HasField("shape") or not dims or any(isinstance(d, str) for d in dims):
            raise UsageError(
                f"{path} leaves sizes of input {value.name!r} open ({said or 'all'}); give --input-size"
            )
        return InputSpec(tuple(d for d in dims if isinstance(d, int)), _DTYPES[kind.elem_type])
    fits = len(asked.shape) == len(dims) and all(
        isinstance(d, str) or d == size for d, size in zip(dims, asked.shape, strict=True)
    )
    if kind.HasField("shape") and not fits:
        raise UsageError(f"{path} takes {said} as input {value.name!r}, not --input-size {asked.text}")
    return InputSpec(asked.shape, _DTYPES[kind.elem_type])


def _step(
    path: Path,
    node: Any,
    opsets: dict[str, int],
    taken: set[str],
    dtype: torch.dtype,
    types: dict[str, int],
) -> Step | None:
    """The node as a step, None if nobody knows its operator. A name used twice gets the first output's behind it.

    types: of the values so far; those of the results are added.
    """
    handler = find_operator(node.domain, node.op_type)
    if handler is None:
        return None
    outputs = tuple(node.output)
    name = node.name or next((o for o in outputs if o), node.op_type)
    if name in taken:
        name = f"{name}:{outputs[0]}"
    taken.add(name)
    attributes = {a.name: _attribute(path, name, a, dtype) for a in node.attribute}
    version = opsets.get("" if node.domain == "ai.onnx" else node.domain, 1)
    read = tuple(types.get(value, UNKNOWN) for value in node.input)
    operator = registered_name(node.domain, node.op_type)
    types.update(zip(outputs, result_types(operator, read, attributes, len(outputs)), strict=True))
    return Step(name, node.op_type, version, handler, tuple(node.input), outputs, attributes, read)


def _attribute(path: Path, node: str, attribute: Any, dtype: torch.dtype) -> Any:
    """A plain value: number, text, list of numbers, or a tensor."""
    kind = attribute.type
    if kind == attribute.TENSOR:
        return _tensor(path, attribute.t, dtype)
    readers: dict[int, Callable[[], Any]] = {
        attribute.FLOAT: lambda: attribute.f,
        attribute.INT: lambda: attribute.i,
        attribute.STRING: lambda: attribute.s.decode("utf-8", "replace"),
        attribute.FLOATS: lambda: list(attribute.floats),
        attribute.INTS: lambda: list(attribute.ints),
        attribute.STRINGS: lambda: [text.decode("utf-8", "replace") for text in attribute.strings],
    }
    if kind not in readers:
        raise ModelError(
            f"{path}: attribute {attribute.name!r} of {node!r} holds a graph or a sequence, not supported"
        )
    return readers[kind]()


def _constant(path: Path, node: Any, dtype: torch.dtype) -> torch.Tensor:
    """The value of a Constant node."""
    if len(node.attribute) != 1 or len(node.output) != 1:
        raise ModelError(f"{path}: Constant node {node.name!r} has not exactly one value")
    attribute = node.attribute[0]
    value = _attribute(path, node.name or node.output[0], attribute, dtype)
    if isinstance(value, torch.Tensor):
        return value
    if attribute.name not in _PLAIN:
        raise ModelError(f"{path}: constant {node.output[0]!r} is no tensor of numbers ({attribute.name})")
    return torch.tensor(value, dtype=dtype if "float" in attribute.name else torch.int64)


_PLAIN = {"value_float": FLOAT, "value_floats": FLOAT, "value_int": INT64, "value_ints": INT64}


def _constant_type(node: Any) -> int:
    attribute = node.attribute[0]
    return int(attribute.t.data_type) if attribute.HasField("t") else _PLAIN.get(attribute.name, UNKNOWN)


def _tensor(path: Path, tensor: Any, dtype: torch.dtype) -> torch.Tensor:
    """Floats of any width as `dtype`, whole numbers of any width (4 bits, too) as int64, flags as bool."""
    helper = require("onnx.numpy_helper", "onnx", f"reading {path}")
    try:
        values = np.asarray(helper.to_array(tensor))
        if values.dtype == np.bool_:
            return torch.tensor(values)
        if tensor.data_type in LIMITS or values.dtype.kind in "iu":
            return torch.from_numpy(values.astype(np.int64))
        return torch.from_numpy(values.astype(np.float64 if dtype == torch.float64 else np.float32))
    except Exception as error:  # data of another size than its shape; text; a type that numpy does not know
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{path}: tensor {tensor.name!r} cannot be read: {reason}") from error
