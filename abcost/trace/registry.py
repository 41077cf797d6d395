"""Which handler knows which operator, of torch or of the user's.

A handler in a user's own file or in a plug-in registers like those of abcost, and says what runs its operator in
verification:

    handler("mylib::cube", kind=OpKind.FUNCTION, replay=torch.ops.mylib.cube.default)

    @handler("mylib::scaled_sign")
    def scaled_sign(call):
        signs = call.emit(OpKind.SIGN, [call.input("x")], attrs={"at_zero": 0})
        return call.emit(OpKind.SCALE, [signs], consts={"factor": constant(call["scale"])})
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from abcost.core.kinds import OpKind
from abcost.core.replay import register_replay
from abcost.errors import DuplicateName, TraceError
from abcost.plugins import is_own
from abcost.registry import Registry, caller

Handler = Callable[[Any], Any]
handlers: Registry[Handler] = Registry("ATen handler", "abcost.trace.handlers", "abcost.handlers")
_RECORDED = (OpKind.FUNCTION, OpKind.WIRING, OpKind.LOOKUP)


def handler(
    *operators: str, kind: OpKind | None = None, replay: Callable[..., Any] | None = None
) -> Callable[[Handler], Handler]:
    """Decorator: this function records these operators; with `kind` there is nothing to decorate.

    operators: "add.Tensor", "clone" for every overload; "mylib::cube" for one that is not of torch itself.
    kind: record the call as it is, as a function (FUNCTION), as a move of elements (WIRING) or as a row of a constant
    table (LOOKUP); only then may the call be a bare statement.
    replay: what runs such a recorded call again, with tensors in float64, so that `abcost verify` and `evaluate` can.
    Without it, and for names that abcost does not know, the graph can be counted but not executed.

    Raises DuplicateName for a name that abcost or another plug-in handles, TraceError for another kind.
    """
    owner = caller()

    def keep(function: Handler) -> Handler:
        for operator in operators:
            if not is_own(owner):
                _check_overloads(operator)
            handlers.add(operator, owner)(function)
        return function

    if replay is not None:
        for operator in operators:
            register_replay(operator, replay)
    if kind is not None:
        keep(_recording(kind, operators))
    return keep


def _check_overloads(operator: str) -> None:
    """Raises DuplicateName for one overload of an operator that abcost handles whatever its overload."""
    packet = operator.partition(".")[0]
    if packet != operator and handlers.find(packet) is not None and is_own(handlers.owner(packet)):
        raise DuplicateName(
            f"handler({operator!r}): abcost itself handles {packet}, every overload; leave it out"
        )


def _recording(kind: OpKind, operators: tuple[str, ...]) -> Handler:
    if kind not in _RECORDED:
        known = ", ".join(f"OpKind.{k.name}" for k in _RECORDED)
        raise TraceError(
            f"handler({', '.join(map(repr, operators))}): a call is kept as {known}; for another kind decorate a "
            "function that emits its nodes"
        )

    def record(call: Any) -> Any:
        return call.keep(kind)

    return record


def find_handler(overload: str, packet: str) -> Handler | None:
    """The handler of this overload, or of the operator whatever its overload, or None."""
    return handlers.find(overload) or handlers.find(packet)
