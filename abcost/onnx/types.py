"""Types of elements: what every value of a graph holds, as the file says and as operators make it.

abcost computes with one floating type, int64 and bool; what the file's type decides beyond that is where whole numbers
saturate or wrap. Codes are those of ONNX's TensorProto.DataType.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

FLOAT, BOOL, INT32, INT64 = 1, 9, 6, 7
UNKNOWN = 0
LIMITS: Mapping[int, tuple[int, int]] = {
    2: (0, 2**8 - 1),
    3: (-(2**7), 2**7 - 1),
    4: (0, 2**16 - 1),
    5: (-(2**15), 2**15 - 1),
    6: (-(2**31), 2**31 - 1),
    7: (-(2**63), 2**63 - 1),
    12: (0, 2**32 - 1),
    21: (0, 15),
    22: (-8, 7),
    25: (0, 3),
    26: (-2, 1),
}
"""Least and largest whole number of a type; uint64 (13) does not fit the int64 that abcost computes with."""
NAMES = {
    1: "float", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "double", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
    17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4",
    23: "float4e2m1", 24: "float8e8m0", 25: "uint2", 26: "int2",
}  # fmt: skip

_Types = tuple[int, ...]
_Rule = Callable[[_Types, Mapping[str, Any]], _Types]


def _at(position: int, otherwise: int = UNKNOWN) -> _Rule:
    """The type of an input."""
    return lambda types, _: (types[position] if position < len(types) and types[position] else otherwise,)


def _always(*types: int) -> _Rule:
    return lambda _types, _attributes: types


def _quantised(types: _Types, attributes: Mapping[str, Any]) -> _Types:
    """Type that QuantizeLinear makes: the zero point's, or what `output_dtype` says, or uint8."""
    zero = types[2] if len(types) > 2 else UNKNOWN
    return (zero or int(attributes.get("output_dtype", 0)) or 2,)


_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "And", "Or", "Xor", "Not"),
                    _always(BOOL)),
    **dict.fromkeys(("Shape", "Size"), _always(INT64)),
    **dict.fromkeys(("ConvInteger", "MatMulInteger"), _always(INT32)),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "ms.QLinearAdd", "ms.QLinearMul"), _at(7, 2)),
    **dict.fromkeys(("ms.QLinearAveragePool", "ms.QLinearGlobalAveragePool", "ms.QLinearLeakyRelu",
                     "ms.QLinearSigmoid", "ms.QLinearSoftmax", "ms.QLinearReduceMean"), _at(4, 2)),
    **dict.fromkeys(("ms.DynamicQuantizeMatMul", "ms.MatMulIntegerToFloat"), _always(FLOAT)),
    "DynamicQuantizeLinear": _always(2, FLOAT, 2),
    "QuantizeLinear": _quantised,
    "ms.QuantizeLinear": _quantised,
    "DequantizeLinear": _at(1, FLOAT),
    "ms.DequantizeLinear": _at(1, FLOAT),
    "ms.QGemm": lambda types, _: (types[8] if len(types) > 8 and types[8] else FLOAT,),
    "ms.QLinearConcat": _at(1, 2),
    "ms.QLinearWhere": _at(9, 2),
    "Where": _at(1),
    "CastLike": _at(1),
    "Cast": lambda _, attributes: (int(attributes.get("to", UNKNOWN)),),
    "ConstantOfShape": lambda _, attributes: (FLOAT if "value" not in attributes else UNKNOWN,),
    "Dropout": lambda types, _: (types[0] if types else UNKNOWN, BOOL),
}  # fmt: skip
"""Operator -> types of its results from those of its inputs; elsewhere all have the type of the first input."""


def result_types(operator: str, inputs: Iterable[int], attributes: Mapping[str, Any], count: int) -> _Types:
    """Types of `count` results of an operator, named as in the registry; UNKNOWN where nothing is known."""
    types = tuple(inputs)
    rule = _RULES.get(operator)
    first = types[0] if types else UNKNOWN
    found = (first,) * count if rule is None else rule(types, attributes)
    return (*found, *[UNKNOWN] * (count - len(found)))[:count]
