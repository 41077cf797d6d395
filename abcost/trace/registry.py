"""Which handler knows which operator, of torch or of the user's.

A handler in a user's own file registers like those of abcost, and says what runs its operator in verification:

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
from abcost.errors import TraceError
from abcost.registry import Registry

Handler = Callable[[Any], Any]
_PACKAGE = "abcost.trace.handlers"
handlers: Registry[Handler] = Registry("ATen handler", _PACKAGE)
_of_users: dict[str, Handler] = {}
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

    Raises TraceError for a name that abcost handles itself, and for another kind.
    """

    def keep(function: Handler) -> Handler:
        builtin = function.__module__.startswith(_PACKAGE)
        for operator in operators:
            if builtin:
                handlers.add(operator)(function)
                continue
            if handlers.find(operator) is not None:
                raise TraceError(
                    f"handler({operator!r}): abcost has a handler of that name; name an overload without one"
                )
            _of_users[operator] = function  # of the same file loaded again, too
        return function

    if replay is not None:
        for operator in operators:
            register_replay(operator, replay)
    if kind is not None:
        keep(_recording(kind, operators))
    return keep


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
    found = handlers.find(overload) or handlers.find(packet)
    return found or _of_users.get(overload) or _of_users.get(packet)
