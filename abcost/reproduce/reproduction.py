"""The recipe: every table of the paper with ours, as plain frozen data."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from abcost.core.primitives import Origin
from abcost.reproduce.accelerators import BITS, Operation, PublishedAccelerator, accelerators, operations
from abcost.reproduce.blocks import CLOCK_MHZ, FPS, NETWORK, SiliconBlock, blocks
from abcost.reproduce.distribution import Share, distribution
from abcost.reproduce.multiplications import ROWS, Multiplications, multiplications
from abcost.reproduce.parameters import Parameters, parameters
from abcost.reproduce.printed import Verdict
from abcost.reproduce.units import FIELDS, MEASURED, TARGET, PublishedUnit, Saving, one_layer, units
from abcost.rtl.readings import WIDTH


@dataclass(frozen=True, slots=True)
class Reproduction:
    """All tables."""

    multiplications: tuple[Multiplications, ...]
    distribution: tuple[Share, ...]
    units: tuple[PublishedUnit, ...]
    one_layer: tuple[Saving, ...]
    parameters: tuple[Parameters, ...]
    accelerators: tuple[PublishedAccelerator, ...]
    operations: tuple[Operation, ...]
    blocks: tuple[SiliconBlock, ...]

    def failures(self) -> list[str]:
        """The rows whose published figure does not come out, one line each."""
        lines = [
            (
                f"multiplications of {r.paper.network}: published {r.paper.published}, ours {r.formula}",
                r.verdict,
            )
            for r in self.multiplications
        ]
        lines += [
            (
                f"share of {s.origin.value} in {s.network}: published {s.published} ({s.published_share} %), "
                f"ours {s.count:,} ({s.share} %)",
                s.verdict,
            )
            for s in self.distribution
        ]
        lines += [
            (
                f"unit {u.name}: published {u.published}, table {u.table}, "
                f"measured (LUT, DSP) {', '.join(str((s.luts, s.dsps)) for s in u.meant)}",
                u.verdict,
            )
            for u in self.units
        ]
        lines += [
            (
                f"one layer, {s.resource}: published {s.published}, ours {(s.before, s.after, s.saved)}",
                s.verdict,
            )
            for s in self.one_layer
        ]
        lines += [
            (f"parameters of {p.network}, {p.preset}: published {p.published}, ours {p.ours:,}", p.verdict)
            for p in self.parameters
        ]
        return [line for line, verdict in lines if verdict is Verdict.DIFFERS]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, schema 1."""
        return {
            "schema": 1,
            "reproduced": not self.failures(),
            "multiplications": [_multiplications(row) for row in self.multiplications],
            "distribution": [_share(share) for share in self.distribution],
            "units": {
                "target": TARGET,
                "width_bits": WIDTH,
                "basis": "cited; readings are measured by synthesis",
                "measured_target": MEASURED,
                "rows": [_unit(unit) for unit in self.units],
                "one_layer": [_saving(saving) for saving in self.one_layer],
            },
            "parameters": [_parameters(row) for row in self.parameters],
            "binary_operations": {
                "unit": "fJ per operation, half a binary multiply-accumulate",
                "popcount_bits": BITS,
                "published": [asdict(row) for row in self.accelerators],
                "tables": [asdict(row) for row in self.operations],
            },
            "silicon": {
                "network": f"{NETWORK.model}, {NETWORK.preset}, untrained",
                "wanted_fps": FPS,
                "clock_mhz": CLOCK_MHZ,
                "blocks": [asdict(row) for row in self.blocks],
            },
        }


def reproduce(progress: Callable[[str], None] = lambda _text: None) -> Reproduction:
    """Compute all tables; `progress` is told before each network is traced."""
    counted = []
    for row in ROWS:
        progress(f"tracing {row.network}")
        counted.append(multiplications(row))
    priced = units()
    printed = accelerators()
    progress(f"sizing {NETWORK.model} as a block of silicon")
    return Reproduction(
        tuple(counted),
        distribution(counted),
        priced,
        one_layer(priced),
        parameters(),
        printed,
        operations(printed),
        blocks(),
    )


def render_json(reproduction: Reproduction) -> str:
    """`to_dict` as text."""
    return json.dumps(reproduction.to_dict(), indent=2, allow_nan=False) + "\n"


def _multiplications(row: Multiplications) -> dict[str, Any]:
    paper = row.paper
    return {
        "network": paper.network,
        "model": paper.model,
        "variant": paper.variant,
        "published": paper.published,
        "published_convention": row.counted,
        "own_convention": row.by_convention,
        "verdict": row.verdict.value,
        "formula": row.formula,
        "convention": paper.convention,
        "note": paper.note,
        "stage": row.stage,
        "strict": sum(row.strict.values()),
        "multiplications": _by_origin(row.strict),
        "own_multiplications": _by_origin(row.own),
    }


def _by_origin(counts: dict[Origin, int]) -> dict[str, int]:
    return {origin.value: count for origin, count in counts.items()}


def _share(share: Share) -> dict[str, Any]:
    return {
        "network": share.network,
        "origin": share.origin.value,
        "published": share.published,
        "published_percent": share.published_share,
        "own_convention": share.count,
        "own_percent": share.share,
        "remainder_percent": share.remainder,
        "strict": share.strict,
        "strict_percent": share.strict_share,
        "percent_of_all": share.share_of_all,
        "verdict": share.verdict.value,
    }


def _unit(unit: PublishedUnit) -> dict[str, Any]:
    return {
        "name": unit.name,
        "unit": unit.unit,
        "published": dict(zip(FIELDS, unit.published, strict=True)),
        "table": dict(zip(FIELDS, unit.table, strict=True)),
        "measured": [
            {
                "reading": s.reading.text,
                "module": s.reading.unit.name,
                "fitted_parameters": s.reading.fitted,
                "luts": s.luts,
                "dsps": s.dsps,
                "meant": s.reading.meant,
                "fits": unit.fits(s),
            }
            for s in unit.readings
        ],
        "verdict": unit.verdict.value,
    }


def _saving(saving: Saving) -> dict[str, Any]:
    before, after, saved = saving.published
    return {
        "resource": saving.resource,
        "published": {"before": before, "after": after, "saved_percent": saved},
        "table": {"before": saving.before, "after": saving.after, "saved_percent": saving.saved},
        "verdict": saving.verdict.value,
    }


def _parameters(row: Parameters) -> dict[str, Any]:
    return {
        "network": row.network,
        "model": row.model,
        "preset": row.preset,
        "published": row.published,
        "ours": row.ours,
        "verdict": row.verdict.value,
    }
