"""Units of one bit, and netlists of standard cells as Yosys would write them."""

from __future__ import annotations

from abcost.rtl.unit import Unit, flag


def design(top, inputs, outputs, cells):
    """Yosys JSON: ports name -> bits, cells as (type, pin -> bit)."""
    ports = {n: {"direction": "input", "bits": b} for n, b in inputs.items()}
    ports |= {n: {"direction": "output", "bits": b} for n, b in outputs.items()}
    found = {
        f"c{i}": {"type": kind, "connections": {p: [b] for p, b in pins.items()}}
        for i, (kind, pins) in enumerate(cells)
    }
    return {"modules": {top: {"ports": ports, "cells": found}}}


def one_bit(name, model, *, clocked=False, inputs=("x",)):
    return Unit(name, tuple(map(flag, inputs)), (flag("y"),), "", lambda v: {"y": model(v)}, clocked)
