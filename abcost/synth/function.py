"""Boolean functions as Liberty writes them, evaluated on words that hold 64 independent bits each.

    expression:  or of ands of xors;   or: + |   and: * & or nothing between   xor: ^   not: ! before, ' behind

Names are pins or the state of a flip-flop. `(!((A B)+C))` is not ((A and B) or C).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from abcost.errors import ToolError

Words = NDArray[np.uint64]
"""Bits of one or many nets, 64 per word; the shape is the caller's."""

_Evaluate = Callable[[Mapping[str, Words]], Words]

_TOKEN = re.compile(r"\s*([A-Za-z_][\w\[\].]*|[01]|[()!'^&*|+])")
_DEEPEST = 60  # nested brackets; real cells have a handful
_ONES = np.uint64(2**64 - 1)


@dataclass(frozen=True, slots=True)
class Function:
    """A parsed expression: its text, the names it reads in order of first use, and its value."""

    text: str
    names: tuple[str, ...]
    evaluate: _Evaluate

    @classmethod
    def parse(cls, text: str) -> Function:
        """Raises ToolError for what is no expression."""
        reader = _Reader(text)
        evaluate = reader.any_of(0)
        if reader.rest:
            raise reader.error(f"unexpected {reader.rest[0]!r}")
        return cls(text, tuple(dict.fromkeys(reader.names)), evaluate)

    def at(self, values: Mapping[str, Words]) -> Words:
        """The function of these values; all have one shape."""
        return self.evaluate(values)


class _Reader:
    """Recursive descent: one method per level of precedence."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: list[str] = []
        self.rest: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise self.error(f"unexpected {text[at:].strip()[:1]!r}")
            self.rest.append(found[1])
            at = found.end()

    def error(self, reason: str) -> ToolError:
        return ToolError(f"function {self.text[:60]!r} cannot be read: {reason}")

    def any_of(self, depth: int) -> _Evaluate:
        terms = [self.all_of(depth)]
        while self.rest and self.rest[0] in "+|":
            self.rest.pop(0)
            terms.append(self.all_of(depth))
        return _joined(np.bitwise_or, terms)

    def all_of(self, depth: int) -> _Evaluate:
        terms = [self.odd_of(depth)]
        while self.rest and self.rest[0] not in "+|)":
            if self.rest[0] in "&*":
                self.rest.pop(0)
            terms.append(self.odd_of(depth))
        return _joined(np.bitwise_and, terms)

    def odd_of(self, depth: int) -> _Evaluate:
        terms = [self.atom(depth)]
        while self.rest and self.rest[0] == "^":
            self.rest.pop(0)
            terms.append(self.atom(depth))
        return _joined(np.bitwise_xor, terms)

    def atom(self, depth: int) -> _Evaluate:
        if not self.rest:
            raise self.error("it ends too early")
        if depth > _DEEPEST:
            raise self.error(f"more than {_DEEPEST} levels")
        word = self.rest.pop(0)
        if word == "!":
            value = _not(self.atom(depth + 1))
        elif word == "(":
            value = self.any_of(depth + 1)
            if not self.rest or self.rest.pop(0) != ")":
                raise self.error("a bracket is not closed")
        elif word in "01":
            value = _constant(word)
        elif word[0].isalpha() or word[0] == "_":
            self.names.append(word)
            value = _named(word)
        else:
            raise self.error(f"unexpected {word!r}")
        while self.rest and self.rest[0] == "'":
            self.rest.pop(0)
            value = _not(value)
        return value


def _constant(digit: str) -> _Evaluate:
    value = np.array(_ONES if digit == "1" else 0, dtype=np.uint64)  # takes the shape of what it meets
    return lambda _values: value


def _named(name: str) -> _Evaluate:
    return lambda values: values[name]


def _not(inner: _Evaluate) -> _Evaluate:
    return lambda values: np.bitwise_xor(inner(values), _ONES)


def _joined(operator: np.ufunc, terms: list[_Evaluate]) -> _Evaluate:
    if len(terms) == 1:
        return terms[0]
    first, *others = terms

    def evaluate(values: Mapping[str, Words]) -> Words:
        result = first(values)
        for term in others:
            result = operator(result, term(values))
        return result

    return evaluate
