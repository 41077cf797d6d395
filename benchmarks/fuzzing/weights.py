"""Checkpoints and exported programs."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import torch
from hypothesis import strategies as st

from abcost.models.checkpoint import read_checkpoint, restore
from abcost.models.subject import Request, resolve
from abcost.trace import trace
from fuzzing.damage import VALUES, damaged
from fuzzing.network import SHAPE, Net, network
from fuzzing.target import Target, written


def _saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@cache
def _checkpoint() -> bytes:
    return _saved(_content())


def _content() -> dict[str, Any]:
    return {"schema": 1, "model": "mine", "variant": "ab", "step": 2, "state_dict": network().state_dict(),
            "config": {"blocks": [1, 1], "base_width": 4, "input_shape": [3, 8, 8]}}  # fmt: skip


def _restored(data: bytes) -> None:
    checkpoint = read_checkpoint(written(data, "checkpoint.pt"))
    restore(Net(), checkpoint)


_TENSORS = st.one_of(
    st.lists(st.integers(0, 3), max_size=4).map(torch.zeros),
    st.sampled_from([torch.float64, torch.int64, torch.bool, torch.complex64, torch.bfloat16]).map(
        lambda kind: torch.ones(4, dtype=kind)
    ),
    st.sampled_from([float("nan"), float("inf")]).map(lambda value: torch.full((4,), value)),
    st.just(torch.zeros(4).to_sparse()),
    VALUES,
)


def _odd_checkpoint(change: tuple[str, str, Any]) -> bytes:
    """A checkpoint with one value exchanged, in the head or among the tensors."""
    where, key, value = change
    content = _content()
    place: dict[Any, Any] = {
        "head": content,
        "config": content["config"],
        "tensors": dict(content["state_dict"]),
    }[where]
    place[key] = value
    if where == "tensors":
        content["state_dict"] = place
    return _saved(content)


_KEYS = st.sampled_from(
    ["schema", "model", "variant", "step", "state_dict", "config", "blocks", "base_width", "input_shape", "preset",
     "alpha_exponent", "stem.weight", "stem.bias", "act.weight", "module.act.weight", "x", ""]
)  # fmt: skip
_ODD = st.tuples(st.sampled_from(["head", "config", "tensors"]), _KEYS, _TENSORS).map(_odd_checkpoint)


@cache
def _program() -> bytes:
    file = io.BytesIO()
    torch.export.save(torch.export.export(network(), (torch.zeros(SHAPE),)), file)
    return file.getvalue()


def _resolved(data: bytes) -> object:
    subject = resolve(Request(str(written(data, "program.pt2"))))
    return trace(subject.model, subject.inputs)


def targets() -> list[Target]:
    """Checkpoints with damaged bytes and with odd values, programs with damaged bytes."""
    return [
        Target("checkpoint bytes", "--checkpoint FILE", damaged(_checkpoint()), _restored, 20_000),
        Target("checkpoint values", "--checkpoint FILE, well-formed", _ODD, _restored, 20_000),
        Target("program bytes", "FILE.pt2", st.deferred(lambda: damaged(_program())), _resolved, 2_000),
    ]
