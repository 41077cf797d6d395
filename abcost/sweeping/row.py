"""A row of a sweep: one combination, and what came of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from abcost.accelerator.result import Accelerator
from abcost.report.report import Stage
from abcost.sweeping.plan import Combination

Answer = Literal["yes", "no", "unknown", "priced", "impossible"]
ACCELERATOR, LANES = "accelerator", "one lane per node"
_PICO_IN_MICRO = 1e6
_BITS_IN_KIB = 8 * 1024
_OPTION = re.compile(r"(?<!\S)--(?=[a-z])")  # in Python it is none


@dataclass(frozen=True, slots=True)
class SweepRow:
    """Units are in the names: bits, MHz, frames per second, ms, uJ of one inference, um2, KiB; the rest are counts.

    answer: yes, the accelerator fits, meets its clock and is fast enough; no; unknown, for the target lacks a figure;
    priced, no accelerator was asked for; impossible, there is no such design.  why: reasons of all but yes and priced.
    multiplications_traced: of the network as written; multiplications and all costs: of the last stage.
    resources_of: the accelerator, or one lane per node, whose inference takes so many cycles.
    device_share: 0 to 1, of `scarcest`, the resource of which most is taken.  unknown: what has no figure.
    None is unknown, or not of this sort of row.
    """

    model: str
    target: str
    device: str | None
    width_bits: int
    folding: str | None
    wanted_fps: float | None
    answer: Answer
    why: str = ""
    macs: int | None = None
    multiplications_traced: int | None = None
    multiplications: int | None = None
    weight_kib: float | None = None
    resources_of: str | None = None
    luts: float | None = None
    ffs: float | None = None
    dsps: float | None = None
    blocks: float | None = None
    uram: float | None = None
    area_um2: float | None = None
    device_share: float | None = None
    scarcest: str | None = None
    cycles: int | None = None
    clock_mhz: float | None = None
    clock_met: bool | None = None
    fmax_mhz: float | None = None
    fps: float | None = None
    latency_ms: float | None = None
    energy_uj: float | None = None
    energy_uj_low: float | None = None
    energy_uj_high: float | None = None
    unknown: str = ""

    @property
    def stands(self) -> bool:
        """Whether it is a design that does what was asked for, as far as is known."""
        return self.answer in ("yes", "priced")


def priced_row(model: str, asked: Combination, stage: Stage, counts: dict[str, int]) -> SweepRow:
    """What one stage costs. counts: macs, multiplications_traced and multiplications of the network."""
    accelerator = stage.organisation
    found = _lanes(stage) if accelerator is None else _accelerator(accelerator)
    found["weight_kib"] = stage.weight_bits / _BITS_IN_KIB
    return SweepRow(**_key(model, asked) | counts | found)


def impossible_row(model: str, asked: Combination, reason: str, counts: dict[str, int]) -> SweepRow:
    """What cannot be. reason: one line."""
    return SweepRow(**_key(model, asked) | counts, answer="impossible", why=_OPTION.sub("", reason))


def _key(model: str, asked: Combination) -> dict[str, Any]:
    goal = asked.goal
    device = None if goal is None else goal.device
    return {
        "model": model,
        "target": asked.table.target,
        "device": None if device is None else device.part,
        "width_bits": asked.width,
        "folding": None if asked.folding is None else str(asked.folding),
        "wanted_fps": None if goal is None else goal.fps,
    }


def _lanes(stage: Stage) -> dict[str, Any]:
    cost, low, high = (stage.cost_at(bound) for bound in ("value", "low", "high"))
    return {
        "answer": "priced",
        "resources_of": LANES,
        "luts": cost.luts,
        "ffs": cost.ffs,
        "dsps": cost.dsps,
        "area_um2": cost.area_um2,
        "cycles": stage.slowest[1],
        "energy_uj": _micro(cost.energy_pj),
        "energy_uj_low": _micro(low.energy_pj),
        "energy_uj_high": _micro(high.energy_pj),
        "unknown": ", ".join(stage.unpriced_units),
    }


def _accelerator(accelerator: Accelerator) -> dict[str, Any]:
    used, fmax, spent = accelerator.resources, accelerator.fmax, accelerator.energy
    shares = {name: share for name, share in accelerator.utilisation.items() if share is not None}
    scarcest = max(shares, key=lambda name: shares[name], default=None)
    known = spent if spent is not None and not spent.missing else None
    energies = () if spent is None else sorted(spent.missing)
    return {
        "answer": "yes" if accelerator.fits else "unknown" if accelerator.unknown else "no",
        "why": _OPTION.sub("", accelerator.refusal),
        "resources_of": ACCELERATOR,
        **{name: used.get(name) for name in ("luts", "ffs", "dsps", "blocks", "uram", "area_um2")},
        "device_share": None if scarcest is None else shares[scarcest],
        "scarcest": scarcest,
        "cycles": accelerator.interval,
        "clock_mhz": accelerator.clock_mhz,
        "clock_met": accelerator.clock_met,
        "fmax_mhz": None if fmax is None else fmax.value,
        "fps": accelerator.fps,
        "latency_ms": accelerator.latency / accelerator.clock_mhz / 1e3,
        "energy_uj": None if known is None else known.value,
        "energy_uj_low": None if known is None else known.low,
        "energy_uj_high": None if known is None else known.high,
        "unknown": ", ".join([*accelerator.missing, *(f"energy of {name}" for name in energies)]),
    }


def _micro(picojoule: float | None) -> float | None:
    return None if picojoule is None else picojoule / _PICO_IN_MICRO
