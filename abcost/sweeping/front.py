"""Which rows of a sweep no other beats, by two quantities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from abcost.registry import unknown_name
from abcost.sweeping.row import ACCELERATOR, SweepRow


@dataclass(frozen=True, slots=True)
class FrontQuantity:
    """A column that designs are judged by.

    title: of an axis, with the unit; unit: what a number of it is of; more: whether more of it is better.
    """

    name: str
    title: str
    unit: str
    more: bool = False

    def of(self, row: SweepRow) -> float | None:
        """Its value in a row, None where it is unknown."""
        value: float | None = getattr(row, self.name)
        return value

    @property
    def axis(self) -> str:
        """The title of an axis, and which way is better: of two networks at one price the larger."""
        why = (
            "more: a larger network"
            if self.name == "macs"
            else f"{'more' if self.more else 'less'} is better"
        )
        return f"{self.title} ({why})"


QUANTITIES = {
    found.name: found
    for found in (
        FrontQuantity("fps", "frames/s", "frames/s", more=True),
        FrontQuantity("latency_ms", "latency, ms", "ms"),
        FrontQuantity("cycles", "cycles per inference", "cycles"),
        FrontQuantity("energy_uj", "energy per inference, uJ", "uJ"),
        FrontQuantity("luts", "LUTs", "LUTs"),
        FrontQuantity("ffs", "flip-flops", "flip-flops"),
        FrontQuantity("dsps", "DSPs", "DSPs"),
        FrontQuantity("blocks", "memory blocks", "memory blocks"),
        FrontQuantity("area_um2", "area, um2", "um2"),
        FrontQuantity("device_share", "share of the device, of its scarcest resource", "of the device"),
        FrontQuantity("weight_kib", "stored parameters, KiB", "KiB"),
        FrontQuantity("multiplications", "multiplications per inference", "multiplications"),
        FrontQuantity("macs", "multiply-accumulates per inference", "MACs", more=True),
    )
}
"""What an axis can be."""
_OF_A_FABRIC = frozenset(("luts", "ffs", "dsps", "blocks"))


def quantity(name: str) -> FrontQuantity:
    """Raises UnknownName with the nearest."""
    if name not in QUANTITIES:
        raise unknown_name("axis of a sweep", name, QUANTITIES)
    return QUANTITIES[name]


def usual_axes(rows: Sequence[SweepRow]) -> tuple[FrontQuantity, FrontQuantity]:
    """What an architect asks first: how much logic a rate takes; of networks alone, what their size costs.

    Accelerators: LUTs, of silicon area, against frames per second. Else energy, or where no row knows it LUTs or area,
    against MACs.
    """
    if any(row.resources_of == ACCELERATOR for row in rows):
        area = all(row.luts is None for row in rows) and any(row.area_um2 is not None for row in rows)
        return QUANTITIES["fps"], QUANTITIES["area_um2" if area else "luts"]
    for name in ("energy_uj", "luts", "area_um2"):
        if any(QUANTITIES[name].of(row) is not None for row in rows):
            return QUANTITIES["macs"], QUANTITIES[name]
    return QUANTITIES["macs"], QUANTITIES["multiplications"]


def shared(axes: tuple[FrontQuantity, FrontQuantity]) -> tuple[str, ...]:
    """What rows must share so that one can be judged by the other: "model", "target", both or nothing.

    Which of two networks is more accurate is not known here, so each is judged by itself, but where the size of the
    network is an axis. LUTs, flip-flops, DSPs and blocks of two targets are not alike.
    """
    names = {axis.name for axis in axes}
    return (*(() if "macs" in names else ("model",)), *(("target",) if names & _OF_A_FABRIC else ()))


def group_of(row: SweepRow, axes: tuple[FrontQuantity, FrontQuantity]) -> tuple[str, ...]:
    """What it shares with the rows that it is judged by."""
    return tuple(str(getattr(row, name)) for name in shared(axes))


def front(rows: Sequence[SweepRow], axes: tuple[FrontQuantity, FrontQuantity]) -> tuple[SweepRow, ...]:
    """Rows that stand and that no other such row of their group is at least as good as in both axes, better in one.

    Rows that do not know one of the two have no place. In order of x, the best last.
    """
    placed = [
        (row, point, group_of(row, axes))
        for row in rows
        if row.stands and (point := _point(row, axes)) is not None
    ]
    found = [
        (point, row)
        for row, point, group in placed
        if not any(_covers(p, point) and p != point for _, p, g in placed if g == group)
    ]
    return tuple(row for _, row in sorted(found, key=lambda pair: pair[0]))


def _point(row: SweepRow, axes: tuple[FrontQuantity, FrontQuantity]) -> tuple[float, float] | None:
    """Both values, turned so that more is better."""
    values = [(one.of(row), one.more) for one in axes]
    turned = [None if value is None else float(value if more else -value) for value, more in values]
    x, y = turned
    return None if x is None or y is None else (x, y)


def _covers(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] >= other[0] and one[1] >= other[1]
