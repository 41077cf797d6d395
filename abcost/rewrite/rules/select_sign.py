"""where(x >= 0, 1, -1) or where(x < 0, -1, 1) -> sign(x), and 2 * (x >= 0) - 1 -> sign(x)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import Constant, OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, only_user, rules

_RISING = {"ge": 1, "gt": -1}  # relation -> value of the sign at equality, where the flag stands for +1 …
_FALLING = {"lt": 1, "le": -1}  # … and where it stands for -1

_RELATIONS: Mapping[tuple[float | None, float | None], Mapping[str, int]] = {
    (1.0, -1.0): _RISING,
    (-1.0, 1.0): _FALLING,
}


def _scalar(constant: Constant | None) -> float | None:
    return float(constant.values) if constant is not None and constant.count == 1 else None


def _flag_as_sign(graph: OpGraph, flag: OpNode, relations: Mapping[str, int]) -> dict[str, Any] | None:
    """How a comparison of x with a constant t becomes a sign (t = 0) or a threshold; None if it is neither."""
    level = flag.const("level")
    if flag.kind is not OpKind.COMPARE or level is None or flag.attrs["relation"] not in relations:
        return None
    if graph.sources(flag)[0].shape != flag.shape:  # the level expands x, which a sign cannot
        return None
    zero = not bool(level.values.any())
    return {
        "x": graph.inputs(flag.name),
        "at_zero": relations[flag.attrs["relation"]],
        "kind": OpKind.SIGN if zero else OpKind.THRESHOLD,
        "consts": {} if zero else {"level": level},
    }


class SelectSign:
    """where(x >= t, +1, -1), where(x < t, -1, +1)  ->  sign(x - t), sign(0) = +1; with > or <=, sign(0) = -1."""

    phase = Phase.RECOGNISE
    kinds = frozenset({OpKind.SELECT})

    def check(self, graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """Both branches constant +-1, the condition a comparison with a constant."""
        branches = (_scalar(node.const("self")), _scalar(node.const("other")))
        relations = _RELATIONS.get(branches, {})
        if len(graph.inputs(node.name)) != 1:
            return None
        (flag,) = graph.sources(node)
        data = _flag_as_sign(graph, flag, relations)
        return Match((node, flag), "a select between +1 and -1 is a sign", data=data) if data else None

    def apply(self, edit: Edit, _graph: OpGraph, node: OpNode, match: Match) -> None:
        """The comparison dies if nobody else reads it."""
        data = match.data
        edit.replace(
            node, data["x"], kind=data["kind"], attrs={"at_zero": data["at_zero"]}, consts=data["consts"]
        )


class AffineSign:
    """(x >= t) * 2 - 1  ->  sign(x - t) with sign(0) = +1."""

    phase = Phase.RECOGNISE
    kinds = frozenset({OpKind.ADD_CONST})

    def check(self, graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """The flag's scale must have no other reader."""
        (scale,) = graph.sources(node)
        if _scalar(node.consts["value"]) != -1.0 or _scalar(scale.const("factor")) != 2.0:
            return None
        (flag,) = graph.sources(scale)
        data = _flag_as_sign(graph, flag, _RISING)
        if data is None or only_user(graph, scale) is None:
            return None
        return Match((node, scale, flag), "2 * (x >= t) - 1 is a sign", data=data)

    apply = SelectSign.apply


class SignOfSign:
    """sign(sign(x) + c)  ->  sign(x), sign(0) = 0 becoming +1, for 0 < c < 1 (an idiom that avoids the 0)."""

    phase = Phase.RECOGNISE
    kinds = frozenset({OpKind.SIGN})

    def check(self, graph: OpGraph, node: OpNode, _options: RewriteOptions) -> Match | Declined | None:
        """C is one number strictly between 0 and 1."""
        (offset,) = graph.sources(node)
        if offset.kind is not OpKind.ADD_CONST:
            return None
        (inner,) = graph.sources(offset)
        value = _scalar(offset.consts["value"])
        if inner.kind is not OpKind.SIGN or value is None or not 0.0 < value < 1.0:
            return None
        at_zero = inner.attrs["at_zero"] or 1
        data: dict[str, Any] = {
            "x": graph.inputs(inner.name),
            "at_zero": at_zero,
            "kind": OpKind.SIGN,
            "consts": {},
        }
        return Match((node, offset, inner), "sign(sign(x) + c) is sign(x) with sign(0) = +1", data=data)

    apply = SelectSign.apply


rules.add("select-sign")(SelectSign())
rules.add("affine-sign")(AffineSign())
rules.add("sign-of-sign")(SignOfSign())
