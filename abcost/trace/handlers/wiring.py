"""Operators that move elements, and operators that do nothing at inference."""

from __future__ import annotations

import torch

from abcost.core.kinds import OpKind
from abcost.core.replay import WIRING
from abcost.trace.handlers.functions import recorded
from abcost.trace.registry import handler
from abcost.trace.tracer import Call

_MANY = {
    "split.Tensor",
    "split_with_sizes.default",
    "unbind.int",
    "unsafe_split.Tensor",
    "unsafe_split_with_sizes.default",
}


@handler(*sorted(WIRING - _MANY))
def moved(call: Call) -> str:
    """The same elements, elsewhere."""
    return recorded(call, OpKind.WIRING)


@handler(*sorted(_MANY))
def split(call: Call) -> list[str | None]:
    """One node per piece."""
    pieces: list[str | None] = []
    shapes = call.shapes
    for item, shape in enumerate(shapes):
        call.shapes = [shape]
        pieces.append(recorded(call, OpKind.WIRING, item=item))
    call.shapes = shapes
    return pieces


@handler("clone", "detach", "alias", "lift_fresh", "lift_fresh_copy", "contiguous", "dropout", "copy_alias")
def unchanged(call: Call) -> str:
    """The same value."""
    return call.input("self")


@handler("copy.default")
def copied(call: Call) -> str:
    """self.copy_(src): the value of src in the shape of self."""
    return call.emit(
        OpKind.WIRING,
        [call.input("src")],
        attrs={"aten": "expand.default", "args": [{"in": 0}, list(call.shapes[0])]},
    )


@handler("zeros_like", "new_zeros")
def zeros(call: Call) -> torch.Tensor:
    """A constant that only borrows its shape."""
    return torch.zeros(call.shapes[0], dtype=call.dtype)


@handler("ones_like", "new_ones")
def ones(call: Call) -> torch.Tensor:
    """A constant that only borrows its shape."""
    return torch.ones(call.shapes[0], dtype=call.dtype)


@handler("full_like", "new_full")
def full(call: Call) -> torch.Tensor:
    """A constant that only borrows its shape."""
    return torch.full(call.shapes[0], call["fill_value"], dtype=call.dtype)


@handler("empty_like", "new_empty")
def empty(call: Call) -> torch.Tensor:
    """Memory that the model fills itself; what it forgets to fill is 0 here."""
    return torch.zeros(call.shapes[0], dtype=call.dtype)


@handler("fill.Scalar", "zero.default")
def filled(call: Call) -> torch.Tensor:
    """Every element set to one number: a constant from here on."""
    return torch.full(call.shapes[0], call.arguments.get("value", 0), dtype=call.dtype)


@handler(
    "bernoulli", "native_dropout", "rand_like", "randn_like", "randint_like", "normal_functional", "multinomial",
    "rrelu_with_noise", "uniform", "exponential",
)  # fmt: skip
def random(call: Call) -> str:
    """Nothing that has a fixed graph."""
    raise call.refuse(
        "random numbers at inference have no fixed graph; leave them to training (self.training)"
    )
