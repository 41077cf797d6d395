"""Files that say which slope exponents a layer may take; `abcost search` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from abcost.core.exponents import LEAST, MOST, ExponentSet
from abcost.core.reading import read_json
from abcost.errors import UsageError

SCHEMA = 1
MOST_BYTES = 10_000_000  # of a file; that of ReActNet-A has some thousand


def read_slope_sets(path: Path, model: str) -> dict[str, ExponentSet]:
    """Layer -> rising exponents, from `{"schema": 1, "model": NAME, "layers": {"layer1.0.prelu": [-3, 0]}}`.

    Raises UsageError if the file is missing, is not of that form, or is for another network than `model`.
    """
    content = read_json(path, f"--slopes {path}", UsageError, most=MOST_BYTES)
    layers = content.get("layers") if isinstance(content, dict) else None
    if not isinstance(layers, dict):
        raise UsageError(
            f'--slopes {path} is not of the form {{"schema": 1, "model": …, "layers": {{…: [-3, 0]}}}}'
        )
    if content.get("schema") != SCHEMA:
        raise UsageError(
            f"--slopes {path} has schema {content.get('schema')!r}, this abcost reads schema {SCHEMA}"
        )
    if content.get("model") != model:
        raise UsageError(f"--slopes {path} is for {content.get('model')!r}, not for {model!r}")
    return {layer: _exponents(path, layer, values) for layer, values in layers.items()}


def _exponents(path: Path, layer: str, values: Any) -> ExponentSet:
    if not isinstance(values, list) or not values:
        raise UsageError(f"--slopes {path}: {layer!r} needs a list of one or more exponents, got {values!r}")
    for value in values:
        if type(value) is not int or not LEAST <= value <= MOST:
            raise UsageError(
                f"--slopes {path}: {layer!r}: {value!r} is not a whole number between {LEAST} and {MOST}"
            )
    if len(set(values)) != len(values):
        raise UsageError(f"--slopes {path}: {layer!r} names an exponent twice: {values}")
    return ExponentSet(values)
