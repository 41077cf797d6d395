"""What differs between two sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from abcost.comparing.saved import ComparedSide, Quantities


@dataclass(frozen=True, slots=True)
class Delta:
    """One quantity on both sides; None where it is unknown, or where a side does not have it."""

    before: float | None
    after: float | None

    @property
    def absolute(self) -> float | None:
        """The change, after - before; None where either is unknown."""
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def relative(self) -> float | None:
        """(after - before) / before; None where either is unknown, or from 0 to something else.

        >>> Delta(200, 210).relative, Delta(0, 0).relative, Delta(0, 3).relative, Delta(None, 3).relative
        (0.05, 0.0, None, None)
        """
        if self.absolute is None or self.before is None:
            return None
        if self.absolute == 0:
            return 0.0
        return None if self.before == 0 else self.absolute / self.before

    @property
    def changed(self) -> bool:
        """Whether the sides differ, also in what is known."""
        return self.before != self.after

    @property
    def known(self) -> bool:
        """Whether either side is known."""
        return self.before is not None or self.after is not None


SCHEMA = 1  # of JSON

_LANES = frozenset(f"{group}.{name}" for group in ("cost", "cost_known") for name in ("luts", "ffs", "dsps"))
"""Totals of units with one lane per node."""


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """Stages that both sides have, layers of the last stage, and settings; only_before, only_after: layers."""

    before: ComparedSide
    after: ComparedSide
    stages: Mapping[str, Mapping[str, Delta]]
    layers: Mapping[str, Mapping[str, Delta]]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    settings: Mapping[str, tuple[str | None, str | None]]  # those that differ

    def __repr__(self) -> str:
        changed = sum(delta.changed for delta in self.last.values())
        return (
            f"<Comparison of {self.before.name[:60]} with {self.after.name[:60]}: {changed} totals changed>"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; unknown is None."""
        return {
            "schema": SCHEMA,
            "before": self.before.name,
            "after": self.after.name,
            "settings": {name: {"before": b, "after": a} for name, (b, a) in self.settings.items()},
            "stages": {name: _plain(of) for name, of in self.stages.items()},
            "layers": {name: _plain(of) for name, of in self.layers.items()},
            "only_before": list(self.only_before),
            "only_after": list(self.only_after),
        }

    @property
    def stage(self) -> str:
        """The last stage, of which the layers are."""
        return list(self.after.stages)[-1]

    @property
    def last(self) -> Mapping[str, Delta]:
        """Totals of the last stage."""
        return deltas(self.before.last, self.after.last)

    @property
    def shown(self) -> Mapping[str, Delta]:
        """`last` for people: of accelerators first, and without the units of one lane per node, which they replace."""
        last = self.last
        if not self._accelerators:
            return last
        kept = [name for name in last if name not in _LANES]
        return {
            name: last[name] for name in sorted(kept, key=lambda name: not name.startswith("organisation."))
        }

    @property
    def _accelerators(self) -> bool:
        """Whether both sides are accelerators."""
        return all("organisation.fps" in side.last for side in (self.before, self.after))

    @property
    def changes(self) -> list[tuple[str, str, Delta]]:
        """(layer, quantity, delta) of all that changed, the largest first, what one side does not know last.

        Of accelerators without the units of one lane per node.
        """
        left_out = _LANES if self._accelerators else frozenset()
        found = [
            (layer, name, delta)
            for layer, of in self.layers.items()
            for name, delta in of.items()
            if delta.changed and name not in left_out
        ]
        return sorted(found, key=lambda row: _rank(row[2]))


def compare(before: ComparedSide, after: ComparedSide) -> Comparison:
    """Everything that differs; layers are matched by name."""
    settings = {
        key: (before.settings.get(key), after.settings.get(key))
        for key in dict.fromkeys([*before.settings, *after.settings])
        if before.settings.get(key) != after.settings.get(key)
    }
    return Comparison(
        before,
        after,
        {name: deltas(of, after.stages[name]) for name, of in before.stages.items() if name in after.stages},
        {name: deltas(of, after.layers[name]) for name, of in before.layers.items() if name in after.layers},
        tuple(name for name in before.layers if name not in after.layers),
        tuple(name for name in after.layers if name not in before.layers),
        settings,
    )


def _plain(of: Mapping[str, Delta]) -> dict[str, dict[str, float | None]]:
    return {
        name: {"before": d.before, "after": d.after, "change": d.absolute, "relative": d.relative}
        for name, d in of.items()
    }


def _rank(delta: Delta) -> tuple[int, float]:
    """Appeared or gone, then by relative change, then unknown."""
    if delta.absolute is None:
        return (2, 0.0)
    return (0, -abs(delta.absolute)) if delta.relative is None else (1, -abs(delta.relative))


def deltas(before: Quantities, after: Quantities) -> dict[str, Delta]:
    """Changes of all quantities of either side. What one counted and did not find is 0 there: `macs.4x4`."""
    names = dict.fromkeys([*before, *after])
    return {name: Delta(_value(before, name), _value(after, name)) for name in names}


def _value(of: Quantities, name: str) -> float | None:
    group, _, _ = name.rpartition(".")
    return 0.0 if name not in of and f"{group}.all" in of else of.get(name)
