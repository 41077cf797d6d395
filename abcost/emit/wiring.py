"""Wiring in Verilog: every bit is named, so that no rule of signs or widths of expressions matters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from abcost.accelerator.design.net import Net

Operands = Mapping[str, tuple[str, Net]]
"""Port -> the expression of one lane, and its net."""


def extended(text: str, net: Net, width: int) -> str:
    """The expression of one element with copies of its sign, or zeros, in front; or its low bits."""
    if width == net.width:
        return text
    if width < net.width:
        return low_bits(text, net, 0, width)
    more = width - net.width
    return (
        f"{{{{{more}{{{bit(text, net, net.width - 1)}}}}}, {text}}}"
        if net.signed
        else f"{{{more}'d0, {text}}}"
    )


def bit(text: str, net: Net, number: int) -> str:
    """One bit of the expression of an element."""
    return text if net.width == 1 else f"{text}[{number}]"


def low_bits(text: str, net: Net, start: int, width: int) -> str:
    """Bits start … start + width - 1, those above the element being copies of its sign."""
    have = net.width - start
    if have <= 0:
        return f"{{{width}{{{bit(text, net, net.width - 1)}}}}}"
    whole = text if start == 0 and width >= net.width else f"{text}[{start + min(have, width) - 1}:{start}]"
    if net.width == 1:
        whole = text
    if width <= have:
        return whole
    return f"{{{{{width - have}{{{bit(text, net, net.width - 1)}}}}}, {whole}}}"


def _cut(o: Operands, p: Mapping[str, Any], out: Net) -> str:
    text, net = o["x"]
    return low_bits(text, net, p["places"], out.width)


def _align(o: Operands, p: Mapping[str, Any], out: Net) -> str:
    text, net = o["x"]
    if not p["places"]:
        return extended(text, net, out.width)
    return f"{{{extended(text, net, out.width - p['places'])}, {p['places']}'d0}}"


def _twice(o: Operands, _p: Mapping[str, Any], out: Net) -> str:
    text, net = o["x"]
    return f"{{{extended(text, net, out.width - 1)}, 1'b0}}"


def _equals(o: Operands, p: Mapping[str, Any], _out: Net) -> str:
    text, net = o["x"]
    return f"{text} == {net.width}'d{p['value']}"


def _spread(o: Operands, p: Mapping[str, Any], _out: Net) -> str:
    text, net = o["x"]
    bits = [text if net.elements == 1 else f"{text}[{i}]" for i in range(net.elements)]
    return "{" + ", ".join(f"{{{p['times']}{{{one}}}}}" for one in reversed(bits)) + "}"


WRITTEN: dict[str, Callable[[Operands, Mapping[str, Any], Net], str]] = {
    "extend": lambda o, _p, out: extended(*o["x"], out.width),
    "select": lambda o, _p, _out: o["x"][0],
    "align": _align,
    "cut": _cut,
    "twice": _twice,
    "not_negative": lambda o, _p, _out: f"~{bit(*o['x'], o['x'][1].width - 1)}",
    "is_zero": lambda o, _p, _out: f"{o['x'][0]} == {o['x'][1].width}'d0",
    "not_zero": lambda o, _p, _out: f"{o['x'][0]} != {o['x'][1].width}'d0",
    "equals": _equals,
    "both": lambda o, _p, _out: f"{o['x'][0]} & {o['y'][0]}",
    "differ": lambda o, _p, _out: f"{o['x'][0]} ^ {o['y'][0]}",
    "join": lambda o, _p, _out: f"{{{o['y'][0]}, {o['x'][0]}}}",
    "plus_minus": lambda o, _p, _out: f"{{~{o['x'][0]}, 1'b1}}",
    "gather": lambda o, _p, _out: "{" + ", ".join(text for text, _ in reversed(list(o.values()))) + "}",
    "spread": _spread,
    "tile": lambda o, p, _out: f"{{{p['times']}{{{o['x'][0]}}}}}",
}
"""How the wiring of `abcost.accelerator.design.wiring` is written, one lane at a time."""
