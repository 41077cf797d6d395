"""What a hardware unit promises."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from abcost.core.unit_size import SIZES
from abcost.rtl.simulate import simulate
from abcost.rtl.sweep import Sample
from abcost.rtl.testbench import bench
from abcost.rtl.unit import Port, Unit, build, templates
from abcost.rtl.vectors import rows_of
from abcost.testing.contract import hold

DSP = 18  # bits by bits that one DSP multiplies, as on most FPGAs
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def check_unit(op: str, *sizes: Mapping[str, Any], rows: int = 500) -> None:
    """Raises AssertionError unless the unit's Verilog computes what its integer model says, at all of these sizes.

    - It says what it is; units of different sizes have different names, which Verilog takes.
    - The model gives every output, as whole numbers that its port holds, the same twice.
    - The Verilog, simulated on edges and on `rows` random rows, gives the same at every row; and a wrong expectation is
      noticed, so that no output goes by unseen.
    - If it has a sweep, `abcost calibrate` can measure it, in full and quickly: all its samples build, each of another
      name, their sizes are those of a cost table, some fit the law and others test it. So have its delays.

    Needs Icarus Verilog or Verilator on PATH; raises ToolError without.
    """
    what = f"unit {op}"
    made = templates.get(op)
    hold(bool(made.about.strip()), f"{what} does not say what it is; that stands in messages and tables")
    hold(bool(sizes), f"{what}: give the sizes to try, such as {{'width': 8}}")
    units = [build(op, **size) for size in sizes]
    for unit in units:
        hold(
            IDENTIFIER.fullmatch(unit.name) is not None, f"{what}: {unit.name!r} is no identifier of Verilog"
        )
    for size, other in zip(sizes, (build(op, **size) for size in sizes), strict=True):
        hold(
            sum(u.name == other.name for u in units) == 1,
            f"{what}: {other.name} is the name of two sizes, {size}",
        )
    for unit in units:
        _check_one(f"unit {unit.name}", unit, rows)
    for quick in (False, True):
        if made.sweep is not None:
            _check_samples(f"{what}, sweep", op, made.sweep(quick=quick).samples)
        if made.delays is not None:
            _check_samples(f"{what}, delays", op, made.delays(DSP, quick=quick).samples)


def _check_samples(what: str, op: str, samples: Sequence[Sample]) -> None:
    names = [build(op, **sample.parameters).name for sample in samples]
    twice = sorted({name for name in names if names.count(name) > 1})
    hold(not twice, f"{what}: {', '.join(twice)} is sampled twice")
    for sample, name in zip(samples, names, strict=True):
        known = all(size in SIZES and value >= SIZES[size].least for size, value in sample.size.items())
        hold(known, f"{what}: sizes of {name} are {dict(sample.size)}, not of {', '.join(SIZES)}")
    held = sum(sample.held_out for sample in samples)
    hold(len(samples) - held >= 2, f"{what}: {len(samples) - held} samples are too few to fit a law")
    hold(held >= 1, f"{what}: no sample is held out to test the law")


def _check_one(what: str, unit: Unit, rows: int) -> None:
    hold(bool(unit.outputs), f"{what} has no output")
    vectors = rows_of(unit, rows)
    expected, again = unit.model(vectors), unit.model(vectors)
    count = len(next(iter(vectors.values()))) if vectors else 0
    names = [port.name for port in unit.outputs]
    hold(set(names) <= set(expected), f"{what}: its model gives {sorted(expected)}, not {names}")
    for port in unit.outputs:
        hold(
            torch.equal(expected[port.name], again[port.name]),
            f"{what}: its model gives {port.name} twice otherwise",
        )
        _check_range(what, port, expected[port.name], count)
    with tempfile.TemporaryDirectory() as folder:
        outcome = simulate(bench(unit, vectors), Path(folder) / "as_it_is")
        hold(outcome.passed, f"{what}: Verilog and model differ: {' '.join(outcome.log.split())[:300]}")
        for port in unit.outputs:
            wrong = {**expected, port.name: expected[port.name].clone()}
            wrong[port.name][-1] ^= 1
            unseen = simulate(bench(unit, vectors, wrong), Path(folder) / f"wrong_{port.name}").passed
            hold(not unseen, f"{what}: a wrong {port.name} is not noticed")


def _check_range(what: str, port: Port, values: Tensor, rows: int) -> None:
    shape = (rows,) if port.count == 1 else (rows, port.count)
    kept = values.dtype == torch.int64 and tuple(values.shape) == shape
    hold(kept, f"{what}: {port.name} is {values.dtype} of shape {tuple(values.shape)}, not int64 of {shape}")
    half = 1 << (port.width - 1)
    low, high = (-half, half - 1) if port.signed else (0, 2 * half - 1)
    inside = bool(((values >= low) & (values <= high)).all()) or port.width == 64
    hold(inside, f"{what}: {port.name} leaves {low} … {high}, which is what its port holds")
