"""Damage to valid documents: bytes, text, JSON values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

_NOISE = st.one_of(
    st.binary(max_size=6), st.sampled_from([b"\x00", b"\xff\xff\xff\xff\x7f", b"\xed\xa0\x80", b"\n"])
)
_TEXT_NOISE = st.one_of(
    st.text(max_size=4),
    st.sampled_from(
        ["[", "]", "{", "}", "=", ",", ":", '"', "'''", "#", "\n", "inf", "nan", "-1", "1e999", "0x7f", "true", "null",
         "99999999999999999999", "0.1", "\u0000", "é", "_", "[[", "1_000", "2026-01-01", '"\\ud800"', "[" * 2000]
    ),
)  # fmt: skip
_EDITS = st.tuples(
    st.sampled_from(["insert", "overwrite", "delete", "repeat", "cut"]),
    st.integers(0, 1 << 30),
    st.integers(1, 24),
)


def damaged(document: bytes) -> st.SearchStrategy[bytes]:
    """The document after one to four edits at random places."""
    return st.lists(st.tuples(_EDITS, _NOISE), min_size=1, max_size=4).map(lambda e: _edited(document, e))


def damaged_text(document: str) -> st.SearchStrategy[str]:
    """The same for a text, with words that matter to formats."""
    return st.lists(st.tuples(_EDITS, _TEXT_NOISE), min_size=1, max_size=4).map(
        lambda e: _edited(document, e)
    )


def _edited(document: Any, edits: list[Any]) -> Any:
    for (kind, place, length), noise in edits:
        at = place % (len(document) + 1)
        head, tail = document[:at], document[at:]
        match kind:
            case "insert":
                document = head + noise + tail
            case "overwrite":
                document = head + noise + tail[len(noise) :]
            case "delete":
                document = head + tail[length:]
            case "repeat":
                document = head + tail[:length] * 3 + tail
            case _:
                document = head if len(head) > len(document) // 2 else document
    return document


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=6),
    st.sampled_from([10**400, -1, "1"]),
)
VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def changed(document: Any) -> st.SearchStrategy[Any]:
    """A JSON value with one to three of its parts replaced, removed or doubled."""
    change = st.tuples(st.integers(0, 1 << 30), st.sampled_from(["replace", "remove", "double"]), VALUES)
    return st.lists(change, min_size=1, max_size=3).map(lambda changes: _changed(document, changes))


def _changed(document: Any, changes: list[Any]) -> Any:
    document = json.loads(json.dumps(document))
    for place, kind, value in changes:
        parts = list(_parts(document))
        if not parts:
            return value
        holder, key = parts[place % len(parts)]
        if kind == "remove":
            del holder[key]
        elif kind == "double" and isinstance(holder, list):
            holder.insert(key, holder[key])
        else:
            holder[key] = value
    return document


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key) of a JSON value."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in list(entries):
        yield value, key
        yield from _parts(inner)
