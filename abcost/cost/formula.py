"""Formulas of cost tables: arithmetic over a few named integers, read by `ast`, never by `eval`.

Allowed: numbers, the sizes of a unit, + - * / // **, unary minus, parentheses, and
ceil(x), floor(x), log2(x), min(x, y, …), max(x, y, …). Everything is computed in floating point, so no
formula can build a huge integer; length and number of terms are bounded, so none can run long.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from abcost.core.unit_size import SIZES
from abcost.errors import CostError

MAX_LENGTH = 960  # characters; of the bundled ones, the longest has some 620
MAX_TERMS = 500  # nodes of the syntax tree; keeps the recursion below shallow

_Value = Callable[[Mapping[str, int]], float]
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}


def _ceil(x: float) -> float:
    return float(math.ceil(round(x, 9)))  # 1.1 * 10 is 11.000000000000002 and must stay 11


def _floor(x: float) -> float:
    return float(math.floor(round(x, 9)))


_FUNCTIONS: dict[str, tuple[Callable[..., float], int, int]] = {  # name -> function, least, most arguments
    "ceil": (_ceil, 1, 1),
    "floor": (_floor, 1, 1),
    "log2": (math.log2, 1, 1),
    "min": (min, 2, 8),
    "max": (max, 2, 8),
}
_ALLOWED = (ast.Constant, ast.Name, ast.BinOp, ast.UnaryOp, ast.Call, ast.Load, ast.USub, *_OPERATORS)
_HELP = f"use numbers, {', '.join(SIZES)}, + - * / // **, {', '.join(_FUNCTIONS)}"


def shown(value: object) -> str:
    """`value` as it stands in an error message: one line, cut to 60 characters."""
    text = ascii(value) if not isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


@dataclass(frozen=True, slots=True)
class Formula:
    """A checked formula; `parse` makes it, `at` computes it.

    >>> Formula.parse("width * ceil(exponents / 3)").at({"width": 16, "exponents": 4})
    32.0
    """

    text: str
    variables: frozenset[str]
    _value: _Value = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Formula:
        """Read a formula. Raises CostError with the reason if it holds anything that is not allowed."""
        if len(text) > MAX_LENGTH:
            raise CostError(f"formula of {len(text)} characters is too long; at most {MAX_LENGTH}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # "1if x" only warns; here it is no formula
                tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError, Warning):
            raise CostError(
                f"{shown(text)} is not a formula; write for example '1.17 * bits + 44.1'"
            ) from None
        nodes = list(ast.walk(tree))
        if len(nodes) > MAX_TERMS:
            raise CostError(f"formula {shown(text)} is too long; at most {MAX_TERMS} terms")
        for node in nodes:
            _check(node)
        names = {node.id for node in nodes if isinstance(node, ast.Name)} - set(_FUNCTIONS)
        return cls(" ".join(text.split()), frozenset(names), _compiled(tree))

    def __reduce__(self) -> tuple[Callable[[str], Formula], tuple[str]]:
        return Formula.parse, (self.text,)  # tables travel to other processes; what was compiled cannot

    def at(self, values: Mapping[str, int]) -> float:
        """The value for these variables. Raises CostError where it is no real, finite number."""
        try:
            result = self._value(values)
        except (ArithmeticError, ValueError, TypeError):  # TypeError: a complex power inside a comparison
            result = math.nan
        if not (isinstance(result, float) and math.isfinite(result)):
            at = ", ".join(f"{name} = {values[name]}" for name in sorted(self.variables))
            raise CostError(f"formula {shown(self.text)} has no finite value at {at or 'all'}")
        return result


def _check(node: ast.AST) -> None:
    """Raise CostError unless `node` is one of the few allowed kinds."""
    match node:
        case ast.Constant(value=value) if type(value) not in (int, float):
            raise CostError(f"{shown(value)} does not belong in a formula; {_HELP}")
        case ast.Name(id=name) if name not in SIZES and name not in _FUNCTIONS:
            raise CostError(f"unknown variable {shown(name)} in a formula; {_HELP}")
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            _, least, most = _FUNCTIONS[name]
            if not least <= len(arguments) <= most:
                raise CostError(f"{name} takes {least} to {most} arguments, got {len(arguments)}")
        case ast.Call():
            raise CostError(f"{shown(ast.unparse(node.func))} is no function of a formula; {_HELP}")
        case _ if not isinstance(node, _ALLOWED):
            raise CostError(f"{type(node).__name__} is not allowed in a formula; {_HELP}")


def _compiled(node: ast.AST) -> _Value:
    """What computes `node`: a table is checked on a hundred thousand sizes when it is loaded."""
    match node:
        case ast.Constant(value=int() | float() as value):
            number = float(value)
            return lambda _: number
        case ast.Name(id=name) if name in SIZES:
            return lambda values: float(values[name])
        case ast.BinOp(left=left, op=op, right=right):
            first, second, apply = _compiled(left), _compiled(right), _OPERATORS[type(op)]
            return lambda values: apply(first(values), second(values))
        case ast.UnaryOp(operand=operand):
            inner = _compiled(operand)
            return lambda values: -inner(values)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            function, parts = _FUNCTIONS[name][0], [_compiled(argument) for argument in arguments]
            return lambda values: function(*[part(values) for part in parts])
    raise CostError(f"{ast.unparse(node)} is not a value in a formula; {_HELP}")  # a bare function name
