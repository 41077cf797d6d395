"""The JSON report, schema 1."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from abcost import __version__
from abcost.classify.tally import sum_by_class
from abcost.cost.price import PricedNode, total, unit_cost
from abcost.report.conventions import CONVENTIONS
from abcost.report.format import FORMATS, View
from abcost.report.report import Report, Stage, block_of


@FORMATS.add("json")
def render(reports: Sequence[Report], _view: View) -> str:
    """One object; with several targets {"schema", "reports": [one object per target]}."""
    data = [report_to_dict(report) for report in reports]
    whole = data[0] if len(data) == 1 else {"schema": 1, "reports": data}
    return json.dumps(whole, indent=2, allow_nan=False) + "\n"


def report_to_dict(report: Report) -> dict[str, Any]:
    """Plain values; an unknown cost is None."""
    return {
        "schema": 1,
        "abcost": __version__,
        "model": report.model,
        "variant": report.variant,
        "input_shape": list(report.input_shapes[0]),
        "input_shapes": [list(shape) for shape in report.input_shapes],
        "parameters": report.parameters,
        "target": report.table.target,
        "table": {"title": report.table.title, "node": report.table.node, "digest": report.table.digest},
        "width_bits": report.width,
        "settings": report.settings,
        "capture": report.capture,
        "stages": [_stage(report, stage) for stage in report.stages],
        "layers": [row for stage in report.stages for row in _layers(stage)],
        "published_convention": {stage.name: stage.tally.published() for stage in report.stages},
        "macs": _macs(report),
        "rewrites": [_entry(stage, index) for stage in report.stages for index in range(len(stage.log))],
        "conventions": list(CONVENTIONS),
        "unpriced": list(report.unpriced),
        "warnings": list(report.warnings),
    }


def _macs(report: Report) -> dict[str, int]:
    macs = report.stages[0].tally.macs
    return {
        "total": macs.total,
        "binary_binary": macs.xnor,
        "binary_real": macs.signed_add,
        "real_real": macs.real,
        "fvcore": report.fvcore_macs,
    }


def _stage(report: Report, stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name,
        "ops": {op_class.value: count for op_class, count in stage.tally.by_class().items()},
        "multiplications": {origin.value: count for origin, count in stage.tally.by_origin().items()},
        "cost": {
            **stage.cost.to_dict(),
            "weight_bits": stage.weight_bits,
            "memory_energy_pj": stage.memory_energy_pj,
        },
        "units": _units(report, stage),
        "exact": stage.exact,
        "max_abs_error": stage.max_abs_error,
    }


def _units(report: Report, stage: Stage) -> list[dict[str, Any]]:
    found: dict[tuple[Any, ...], int] = {}
    kinds = {}
    for node in stage.nodes:
        for unit in node.units:
            key = (unit.op, unit.width, unit.bits, unit.exponents)
            found[key] = found.get(key, 0) + unit.count
            kinds[key] = unit
    rows = []
    for key in sorted(found, key=str):
        cost = unit_cost(kinds[key], report.table).to_dict()
        cost.pop("energy_pj")  # energy is counted per operation, not per unit
        size = {"unit": key[0], "width": key[1], "bits": key[2], "exponents": key[3]}
        rows.append({**size, "count": found[key], "cost_each": cost})
    return rows


def _layers(stage: Stage) -> list[dict[str, Any]]:
    layers: dict[str, list[PricedNode]] = {}
    for node in stage.nodes:
        layers.setdefault(node.node.layer, []).append(node)
    return [
        {
            "name": name,
            "block": block_of(name),
            "stage": stage.name,
            "ops": {
                c.value: n for c, n in sum_by_class(p.count for node in nodes for p in node.counts).items()
            },
            "cost": {
                **total(node.cost for node in nodes).to_dict(),
                "weight_bits": sum(node.traffic.weight_bits for node in nodes),
            },
        }
        for name, nodes in layers.items()
    ]


def _entry(stage: Stage, index: int) -> dict[str, Any]:
    entry = stage.log[index]
    return {
        "stage": stage.name,
        "rule": entry.rule,
        "node": entry.node,
        "layer": entry.layer,
        "fired": entry.fired,
        "detail": entry.detail,
        "exact": entry.exact,
        "error": entry.error,
        "error_unit": entry.error_unit or None,
    }
