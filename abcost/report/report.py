"""What an analysis found: plain frozen data that every renderer reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abcost.accelerator.result import Accelerator
from abcost.accelerator.unrolled import Unrolled
from abcost.classify.tally import Tally, sum_by_class
from abcost.core.cost import Cost
from abcost.core.log import LogEntry
from abcost.core.primitives import OpClass
from abcost.core.unit_size import SIZES
from abcost.cost.adders import SharedAdders
from abcost.cost.bound import Bound
from abcost.cost.organisation import Unit
from abcost.cost.price import PricedNode, known_total, total, unit_cost
from abcost.cost.provenance import Used
from abcost.cost.table import CostTable
from abcost.report.conventions import CONVENTIONS
from abcost.report.format import FORMATS, View
from abcost.report.slopes import slopes_dict
from abcost.version import __version__

if TYPE_CHECKING:
    import pandas as pd


_SHORT = 40  # characters of a name in a line of code


@dataclass(frozen=True, slots=True, repr=False)
class Stage:
    """One stage of the network on one target.

    exact: its rewrites change no value in fixed-point execution. max_abs_error: largest difference of an
    output from the stage before on the verification inputs, None if nothing was executed.
    """

    name: str
    tally: Tally
    nodes: tuple[PricedNode, ...]
    exact: bool
    log: tuple[LogEntry, ...]
    max_abs_error: float | None = None
    organisation: Accelerator | None = None  # of a whole accelerator, where one was asked for
    unpriced: Mapping[str, Mapping[str, int]] = field(
        default_factory=dict
    )  # as `abcost.cost.price.unpriced` has it
    adders: tuple[SharedAdders, ...] = ()  # dot products that are graphs of adders
    unrolled: tuple[Unrolled, ...] = ()  # binary layers that are built whole, where graphs were asked for

    def __repr__(self) -> str:
        return f"<Stage {self.name}: {self.tally.by_class()[OpClass.MULTIPLY]:,} multiplications>"

    @property
    def slowest(self) -> tuple[str, int]:
        """The layer whose lanes take longest, and their cycles for one inference; ("", 0) for a network of wires."""
        if not self.nodes:
            return "", 0
        node = max(self.nodes, key=lambda node: node.cycles)
        return node.node.layer, node.cycles

    @property
    def cost(self) -> Cost:
        """Energy of one inference, and resources of all units."""
        return self.cost_at("value")

    @property
    def cost_known(self) -> Cost:
        """The cost, and where that is unknown the sum of what has a price; None only where nothing has one."""
        known = known_total(node.known for node in self.nodes).to_dict()
        whole = {name: value for name, value in self.cost.to_dict().items() if value is not None}
        return Cost(**{**known, **whole})

    @property
    def known_memory_energy_pj(self) -> float | None:
        """The part of it that is memory traffic."""
        known = [x for node in self.nodes if (x := node.known_memory_energy_pj) is not None]
        return sum(known) if known else None

    @property
    def unpriced_units(self) -> dict[str, int]:
        """What a price lacks -> how many: operations without an energy; of the rest, units without a resource."""
        found: dict[str, int] = {}
        for names in self.unpriced.values():  # energy is the first
            for name, count in names.items():
                found.setdefault(name, count)
        return dict(sorted(found.items()))

    def cost_at(self, side: Bound) -> Cost:
        """The cost by the figures' values, or by the least or most that their sources say."""
        return total(node.reading(side).cost for node in self.nodes)

    @property
    def operation_energy_pj(self) -> float | None:
        """The part of the energy that is operations, None where one of them has no figure."""
        energy, memory = self.cost.energy_pj, self.memory_energy_pj
        return None if energy is None else energy - (memory or 0.0)

    @property
    def memory_energy_pj(self) -> float | None:
        """The part of the energy that is memory traffic, None without a memory table."""
        return self.memory_energy_at("value")

    def memory_energy_at(self, side: Bound) -> float | None:
        """Energy of memory traffic by one reading of the figures, None without a memory table."""
        parts = [node.reading(side).memory_energy_pj for node in self.nodes]
        return None if any(part is None for part in parts) else sum(part or 0.0 for part in parts)

    @property
    def weight_bits(self) -> int:
        """Bits of stored parameters."""
        return sum(node.traffic.weight_bits for node in self.nodes)


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """One network on one target, stage by stage: what `abcost.analyze` returns.

    summary, to_html, to_csv, to_frame and to_dict are the forms of it; `stages` holds what they are made of. Energy is
    in picojoule (pJ) of one inference, area in square micrometres (um2), clocks in MHz, latency in milliseconds;
    LUTs, flip-flops, DSPs and cycles are counts. None, NaN or an empty field is unknown, never 0.
    """

    model: str
    variant: str | None
    input_shapes: tuple[tuple[int, ...], ...]
    parameters: int
    table: CostTable
    width: int  # bits of the residual path
    settings: dict[str, Any]  # what else was asked for: lanes, simd, weight_scale, …
    capture: str  # "shapes" | "values"
    stages: tuple[Stage, ...]
    fvcore_macs: int
    fvcore_ran: bool  # fvcore ran the model itself, rather than lent its formulas to the traced shapes
    warnings: tuple[str, ...] = ()
    unpriced: tuple[str, ...] = ()  # operations and units that the table has no figure for
    figures: tuple[Used, ...] = ()  # figures of the table that the costs rest on
    verified: bool = True  # False: executed, and an exact rewrite was not exact
    reduced: tuple[str, ...] = ()  # settings by which it is another network than the published one

    def at_clock(self, mhz: float | None) -> Report:
        """The same with a clock of its lanes, if there is one, from which the energy of leakage follows."""
        return self if mhz is None else replace(self, settings={**self.settings, "clock_mhz": mhz})

    def __repr__(self) -> str:
        """One line, below 200 characters."""
        first, last = (
            stage.tally.by_class()[OpClass.MULTIPLY] for stage in (self.stages[0], self.stages[-1])
        )
        return (
            f"<Report {_cut(self.model)} on {_cut(self.table.target)}: multiplications {first:,} -> {last:,}, "
            f"{len(self.warnings)} warnings; .summary()>"
        )

    def _repr_html_(self) -> str:
        """The verdict as a small table, for notebooks."""
        from abcost.report.verdict import facts  # noqa: PLC0415 - reads reports

        rows = "".join(
            f'<tr><th style="text-align:left">{escape(label)}</th>'
            f'<td style="text-align:left">{escape(text)}</td></tr>'
            for label, text in facts([self])
        )
        return f"<table>{rows}</table>"

    def summary(self) -> str:
        """The verdict: at most 12 lines of at most 80 columns, the same as the first screen of `abcost analyze`.

        MACs by bits (activation x weight), multiplications before and after, energy of one inference with its
        interval, area or share of the device, frames per second and whether the clock is met, what is unknown, and
        warnings.
        """
        from abcost.report.verdict import verdict_text  # noqa: PLC0415 - reads reports

        return verdict_text([self])

    def to_frame(self) -> pd.DataFrame:
        """One row per stage, node and counted operation.

        Columns: stage, layer, block, node, kind, class, origin (of multiplications), width_bits, count (operations of
        one inference), energy_pj (of the operations, without memory traffic), luts, ffs, dsps (counts), area_um2; NaN
        where the target has no figure. Resources stand in the row of the operation whose unit takes them.
        """
        from abcost.report.frame import frame  # noqa: PLC0415 - reads reports

        return frame(self)

    def to_csv(self) -> str:
        """One row per layer, stage and kind of operation, header first; columns and units as `to_frame` has them.

        A row of kind `memory` per stage has the energy of memory traffic, so that the rows of a stage sum to its total.
        """
        return FORMATS.get("csv")([self], View())

    def to_html(self) -> str:
        """A page of its own that opens offline: charts, sortable tables, every layer, sources of all figures.

        Raises MissingExtra without the extra `html`.
        """
        return FORMATS.get("html")([self], View())

    def save(
        self, path: str | Path, *, chart: str | None = None, size: tuple[float, float] | None = None
    ) -> None:
        """Write it into a file, whole or not at all; the suffix says as what.

        .json, .csv, .html, .md; .tex, tables for a paper; .txt, what the command shows; .svg, .png, .pdf: the charts of
        the page, below each other.  chart: the one whose name begins so, such as "multiplications", "energy", "luts",
        "cycles" or "slope".  size: width and height in inches, for print.

        Raises UsageError for another suffix, UnknownName for another chart, OutputError, MissingExtra.
        """
        from abcost.report.files import save  # noqa: PLC0415 - reads reports

        save([self], Path(path), chart, size)

    @property
    def lacking(self) -> list[str]:
        """What has no figure and how many, at the last stage that has it: "rom energy (125)"."""
        names = {"energy_pj": "energy"}
        found: dict[str, int] = {}
        for stage in self.stages:
            for of, units in stage.unpriced.items():
                found |= {f"{unit} {names.get(of, of)}": count for unit, count in units.items()}
        return [f"{name} ({found[name]:,})" for name in self.unpriced if name in found]

    def to_dict(self) -> dict[str, Any]:
        """The JSON report, schema 1: keys may be added, none is renamed; unknown is None."""
        return {
            "schema": 1,
            "abcost": __version__,
            "model": self.model,
            "variant": self.variant,
            "input_shape": list(self.input_shapes[0]),
            "input_shapes": [list(shape) for shape in self.input_shapes],
            "parameters": self.parameters,
            "target": self.table.target,
            "table": {"title": self.table.title, "node": self.table.node, "digest": self.table.digest},
            "width_bits": self.width,
            "settings": self.settings,
            "capture": self.capture,
            "stages": [_stage(self, stage) for stage in self.stages],
            "layers": [row for stage in self.stages for row in _layers(stage)],
            "published_convention": {stage.name: stage.tally.published() for stage in self.stages},
            "macs": _macs(self),
            "slope_exponents": slopes_dict(self.stages[-1].nodes),
            "rewrites": [_entry(stage, index) for stage in self.stages for index in range(len(stage.log))],
            "conventions": list(CONVENTIONS),
            "unpriced": list(self.unpriced),
            "figures": [{**asdict(used), "sources": list(used.sources)} for used in self.figures],
            "warnings": list(self.warnings),
        }


def block_of(layer: str) -> str:
    """The block a module path belongs to: the path up to its first number.

    >>> block_of("layer1.0.conv1"), block_of("feature.1"), block_of("fc"), block_of("")
    ('layer1.0', 'feature.1', 'fc', '')
    """
    parts = layer.split(".")
    for position, part in enumerate(parts):
        if part.isdigit():
            return ".".join(parts[: position + 1])
    return parts[0]


def _cut(name: str) -> str:
    """A path or name of any length, by its end."""
    return name if len(name) <= _SHORT else f"…{name[1 - _SHORT :]}"


def _macs(report: Report) -> dict[str, Any]:
    macs = report.stages[0].tally.macs
    return {
        "total": macs.total,
        "binary_binary": macs.xnor,
        "binary_real": macs.signed_add,
        "real_real": macs.real,
        "by_bits": dict(macs.by_bits),
        "fvcore": report.fvcore_macs,
        "fvcore_ran": report.fvcore_ran,
    }


def _stage(report: Report, stage: Stage) -> dict[str, Any]:
    return {
        "name": stage.name,
        "ops": {op_class.value: count for op_class, count in stage.tally.by_class().items()},
        "multiplications": {origin.value: count for origin, count in stage.tally.by_origin().items()},
        "cost": _cost(stage, "value"),
        "cost_known": _in_order(stage.cost_known, stage.weight_bits, stage.known_memory_energy_pj),
        "unpriced": stage.unpriced_units,
        "unpriced_by_field": {name: dict(of) for name, of in stage.unpriced.items()},
        "cost_low": _cost(stage, "low"),
        "cost_high": _cost(stage, "high"),
        **({"leakage": _leakage(report, stage)} if report.table.technology == "asic" else {}),
        "lanes": {"cycles": stage.slowest[1], "slowest": stage.slowest[0] or None},
        "units": _units(report, stage),
        "adder_graphs": [shared.to_dict() for shared in stage.adders],
        "unrolled_binary": [layer.to_dict() for layer in stage.unrolled],
        "organisation": None if stage.organisation is None else stage.organisation.to_dict(),
        "exact": stage.exact,
        "max_abs_error": stage.max_abs_error,
    }


NO_LEAKAGE = "the table has no leakage of its units"
NO_TIME = "leakage is a power: times the seconds of an inference, which need a clock that is stated"


def _leakage(report: Report, stage: Stage) -> dict[str, float | str | None]:
    """Power of all units in nW; what leaks in the time of one inference, or why that is unknown."""
    energy = leaking_pj(report, stage)
    why = NO_LEAKAGE if not report.table.leaks else NO_TIME if "clock_mhz" not in report.settings else None
    return {"power_nw": stage.cost.leakage_nw, "energy_pj": energy, "why": why}


def leaking_pj(report: Report, stage: Stage) -> float | None:
    """What the units leak while the slowest lane works on one inference, at the clock that is stated; None without.

    nW * cycles / MHz = 1e-15 J
    """
    power, clock = stage.cost.leakage_nw, report.settings.get("clock_mhz")
    return None if power is None or clock is None else power * stage.slowest[1] / float(clock) / 1000


def _cost(stage: Stage, side: Bound) -> dict[str, float | None]:
    return _in_order(stage.cost_at(side), stage.weight_bits, stage.memory_energy_at(side))


def _in_order(cost: Cost, weight_bits: int, memory_energy_pj: float | None) -> dict[str, float | None]:
    """Fields that came later stand behind those that were there."""
    known = cost.to_dict()
    leakage = known.pop("leakage_nw")
    more = {"weight_bits": weight_bits, "memory_energy_pj": memory_energy_pj, "leakage_nw": leakage}
    return {**known, **more}


def _units(report: Report, stage: Stage) -> list[dict[str, Any]]:
    found: Counter[Unit] = Counter()
    for node in stage.nodes:
        for unit in node.units:
            found[replace(unit, count=1)] += unit.count
    rows = []
    for unit in sorted(found, key=lambda u: (u.op, *(str(getattr(u, size)) for size in SIZES))):
        cost = unit_cost(unit, report.table).to_dict()
        cost.pop("energy_pj")  # energy is counted per operation, not per unit
        size = {name: getattr(unit, name) for name in SIZES}
        rows.append({"unit": unit.op, **size, "count": found[unit], "cost_each": cost})
    return rows


def _layers(stage: Stage) -> list[dict[str, Any]]:
    layers: dict[str, list[PricedNode]] = {}
    for node in stage.nodes:
        layers.setdefault(node.node.layer, []).append(node)
    costs = {name: total(node.cost for node in nodes).to_dict() for name, nodes in layers.items()}
    return [
        {
            "name": name,
            "block": block_of(name),
            "stage": stage.name,
            "ops": {
                c.value: n for c, n in sum_by_class(p.count for node in nodes for p in node.counts).items()
            },
            "leakage_nw": costs[name].pop("leakage_nw"),
            "cost": {**costs[name], "weight_bits": sum(node.traffic.weight_bits for node in nodes)},
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
