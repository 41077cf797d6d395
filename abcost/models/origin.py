"""What a checkpoint says about the network that it holds, so that nobody has to say it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from abcost.errors import AbcostError, CheckpointError, UsageError
from abcost.models.network import PROPERTIES, NetworkSpec, held


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedAs(NetworkSpec):
    """How the network was built when it was trained; None, or "" for its name, where the checkpoint does not say."""

    model: str = field(default="", kw_only=False)
    input_shape: tuple[int, ...] | None = None  # (3, H, W)


def origin_of(content: object, shown: str) -> TrainedAs:
    """What `content`, read from the checkpoint `shown`, says; nothing unless `abcost train` wrote it (schema 1).

    Raises CheckpointError for values that no abcost of this schema writes.
    """
    if not isinstance(content, Mapping) or "schema" not in content:
        return TrainedAs()
    config = content.get("config")
    if config is not None and not isinstance(config, Mapping):
        raise _strange("config", config, shown)
    said = {**(config or {}), **{name: content.get(name) for name in ("model", "variant", "step")}}
    found = {}
    for name, known in PROPERTIES.items():
        found[name] = held(name, said.get(name))
        try:
            if found[name] is not None:
                known.check(name, found[name])
        except AbcostError as error:
            raise _strange(name, said[name], shown) from error
    model, shape = said["model"], said.get("input_shape")
    if model is not None and not isinstance(model, str):
        raise _strange("model", model, shown)
    if shape is not None and not _is_shape(shape):
        raise _strange("input_shape", shape, shown)
    try:
        return TrainedAs(model or "", input_shape=None if shape is None else tuple(shape), **found)
    except UsageError as error:  # each is right, together they are not
        raise _strange("config", config, shown) from error


def _is_shape(value: object) -> bool:
    return (
        isinstance(value, list | tuple) and len(value) == 3 and all(type(n) is int and n >= 1 for n in value)
    )


def _strange(name: str, value: object, shown: str) -> CheckpointError:
    brief = " ".join(repr(value).split())[:80]
    return CheckpointError(
        f"checkpoint {shown} says that its {name} is {brief}, which abcost does not know; "
        "it is damaged, or of a newer abcost"
    )
