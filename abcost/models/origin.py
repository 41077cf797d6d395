"""What a checkpoint says about the network that it holds, so that nobody has to say it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from abcost.errors import CheckpointError
from abcost.models.presets import PRESETS
from abcost.models.recipe import STEPS, VARIANTS


@dataclass(frozen=True, slots=True)
class Origin:
    """How the network was built when it was trained; None where the checkpoint does not say."""

    model: str | None = None
    variant: str | None = None
    step: int | None = None
    preset: str | None = None
    num_classes: int | None = None
    base_width: int | None = None
    blocks: tuple[int, ...] | None = None
    alpha_exponent: int | None = None
    input_shape: tuple[int, ...] | None = None  # (3, H, W)


def origin_of(content: object, shown: str) -> Origin:
    """What `content`, read from the checkpoint `shown`, says; nothing unless `abcost train` wrote it (schema 1).

    Raises CheckpointError for values that no abcost of this schema writes.
    """
    if not isinstance(content, Mapping) or "schema" not in content:
        return Origin()
    config = content.get("config")
    if config is not None and not isinstance(config, Mapping):
        raise _strange("config", config, shown)
    said = {**(config or {}), **{name: content.get(name) for name in ("model", "variant", "step")}}
    for name, known in _KNOWN.items():
        value = said.get(name)
        if value is not None and not known(value):
            raise _strange(name, value, shown)
    said = {name: said.get(name) for name in _KNOWN}
    for name in ("blocks", "input_shape"):
        said[name] = said[name] and tuple(said[name])
    return Origin(**said)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 1


def _are_counts(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(map(_is_count, value))


_KNOWN: Mapping[str, Callable[[object], bool]] = {
    "model": _is_text,
    "variant": lambda value: value in VARIANTS,
    "step": lambda value: type(value) is int and value in STEPS,
    "preset": lambda value: _is_text(value) and value in PRESETS,
    "num_classes": _is_count,
    "base_width": _is_count,
    "blocks": _are_counts,
    "alpha_exponent": lambda value: type(value) is int,
    "input_shape": lambda value: _are_counts(value) and isinstance(value, list | tuple) and len(value) == 3,
}


def _strange(name: str, value: object, shown: str) -> CheckpointError:
    brief = " ".join(repr(value).split())[:80]
    return CheckpointError(
        f"checkpoint {shown} says that its {name} is {brief}, which abcost does not know; "
        "it is damaged, or of a newer abcost"
    )
