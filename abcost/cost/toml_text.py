"""Plain values as TOML: what a cost table holds, written so that `tomllib` reads it back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def key(name: str) -> str:
    """A key, in quotes where TOML asks for them."""
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def value(item: object) -> str:
    """A text, number, list or (inline) table. Raises TypeError for anything else: a bug of the caller.

    >>> value({"points": [[8, 0.2]], "over": "width"})
    '{ points = [[8, 0.2]], over = "width" }'
    """
    match item:
        case str():
            return json.dumps(" ".join(item.split()), ensure_ascii=False)  # JSON's escapes are TOML's
        case bool():
            return str(item).lower()
        case int() | float():
            return repr(item)
        case list() | tuple():
            return f"[{', '.join(map(value, item))}]"
        case Mapping():
            return f"{{ {', '.join(f'{key(name)} = {value(inner)}' for name, inner in item.items())} }}"
    raise TypeError(f"no TOML for {type(item).__name__}")


def section(head: str, items: Mapping[str, object]) -> str:
    """`[head]` or `[[head]]` and its keys, one per line."""
    return "\n".join([head, *(f"{key(name)} = {value(item)}" for name, item in items.items())]) + "\n"
