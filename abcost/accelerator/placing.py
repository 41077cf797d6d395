"""Where the memories of a design go on a device: in LUTs, blocks, URAM, SPRAM, or outside.

Every memory is first where it is worth least. Then, as far as the device is short of something:

    LUTs that can be written   memories leave them for blocks
    LUTs                       memories leave them for blocks
    blocks                     what is written goes to SPRAM; weights go to URAM, then outside, or, where they must
                               stay on the chip, into LUTs

Always those go first that free most of what is short for what they take of the other. What fits a device fits every
larger one of its family.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from abcost.accelerator.devices import Device, Family
from abcost.accelerator.memory import Memory, family_of

Weights = Literal["on-chip", "external"]
"""Where weights are: on the chip, whatever it takes, or all outside. If neither is asked for, those that the blocks do
not hold are outside."""
WEIGHTS: tuple[Weights, ...] = ("on-chip", "external")


def place(
    memories: Sequence[Memory], found: Device | None, luts: float = 0.0, weights: Weights | None = None
) -> list[Memory]:
    """Every memory where it is worth least; on a device, moved where it fits beside `luts` of logic."""
    return Places(memories, found, weights).beside(luts)


class Places:
    """The places of one design's memories, for any number of LUTs that its logic takes.

    weights: None on a device without a memory outside means on the chip.
    """

    def __init__(self, memories: Sequence[Memory], found: Device | None, weights: Weights | None) -> None:
        family = family_of(found)
        placed = [m.preferred(family) for m in memories]
        if weights == "external":
            placed = [replace(m, place="external") if m.role == "weights" else m for m in placed]
        self._found = found
        self._first = placed if found is None else _within_lutram(placed, found)
        if found is None:
            return
        self._on_chip = weights == "on-chip" or (weights is None and found.bandwidth_gb_s is None)
        self._order = _leaving(self._first, family)
        in_blocks = _blocks(self._leave(len(self._order)), family)
        self._spills = self._on_chip and in_blocks > found.blocks
        self._candidates: dict[int, list[Memory]] = {}
        self._rooms = self._all_rooms(found)

    @property
    def rooms(self) -> list[int]:
        """LUTs of logic, rising: between two of these numbers `beside` answers the same. Empty without a device."""
        return [] if self._found is None else sorted(set(self._rooms))

    def beside(self, luts: float) -> list[Memory]:
        """The memories beside so many LUTs of logic: the first way that fits.

        Where none fits, LUTs are spared if blocks cannot suffice anyway, and no weights are in LUTs for want of
        blocks.
        """
        found = self._found
        if found is None:
            return self._first
        spared: list[Memory] | None = None
        for number, room in enumerate(self._rooms):
            if luts > room:
                continue
            candidate = self._candidate(number, found)
            if _blocks(candidate, found.family) <= found.blocks:
                return candidate
            spared = candidate if spared is None else spared
            if not self._spills:
                break  # the next ways take more blocks
        if self._spills:
            return _within_blocks(self._first, found, on_chip=True, spill=False)
        first = self._candidate(0, found)
        return first if spared is None or _blocks(first, found.family) <= found.blocks else spared

    def _all_rooms(self, found: Device) -> list[int]:
        """LUTs left for logic while none, one, two, … memories have left the LUTs."""
        ways = range(len(self._order) + 1)
        if self._spills:
            return [found.usable_luts - _luts(self._candidate(n, found), found.family) for n in ways]
        rooms = [found.usable_luts - _luts(self._first, found.family)]
        for i in self._order:
            rooms.append(rooms[-1] + self._first[i].luts(found.family))
        return rooms

    def _candidate(self, number: int, found: Device) -> list[Memory]:
        """The way in which so many memories have left the LUTs."""
        known = self._candidates.get(number)
        if known is None:
            known = _within_blocks(self._leave(number), found, on_chip=self._on_chip, spill=self._spills)
            self._candidates[number] = known
        return known

    def _leave(self, number: int) -> list[Memory]:
        moved = list(self._first)
        for i in self._order[:number]:
            moved[i] = replace(moved[i], place="block")
        return moved


def _within_lutram(placed: Sequence[Memory], found: Device) -> list[Memory]:
    """Memories that are written leave the LUTs until those that remain have enough that can be written."""
    moved = list(placed)
    if found.lutram is None:
        return moved
    family = found.family
    over = sum(m.luts(family) for m in placed if m.place == "lutram" and not m.constant) - found.lutram
    for i in _leaving(placed, family):
        if over <= 0:
            break
        if not placed[i].constant:
            over -= placed[i].luts(family)
            moved[i] = replace(placed[i], place="block")
    return moved


def _leaving(placed: Sequence[Memory], family: Family) -> list[int]:
    """Which memories leave the LUTs first: those that free most LUTs per block."""
    in_luts = [i for i, m in enumerate(placed) if m.place == "lutram"]
    return sorted(in_luts, key=lambda i: -placed[i].luts(family) / placed[i].blocks(family))


def _within_blocks(placed: Sequence[Memory], found: Device, *, on_chip: bool, spill: bool) -> list[Memory]:
    """Memories leave the blocks until the rest fits; what has left in vain and fits again comes back.

    on_chip: weights do not go outside; spill: constants may go to LUTs instead.
    """
    family = found.family
    result = list(placed)
    free = _into_spram(result, found)
    if free >= 0:
        return result
    leaving = [
        i
        for i, m in enumerate(result)
        if m.place == "block" and (m.constant if on_chip and spill else m.role == "weights")
    ]
    outside = "external" if not on_chip else "lutram" if spill else "block"

    def loss(i: int) -> float:
        """What is lost per block: traffic, or LUTs."""
        taken = placed[i].luts(family) if on_chip else placed[i].read_bits
        return taken / placed[i].blocks(family)

    out = []
    for i in sorted(leaving, key=loss):
        if free >= 0:
            break
        free += placed[i].blocks(family)
        out.append(i)
    uram = found.uram
    for i in sorted(out, key=lambda i: -placed[i].read_bits / placed[i].urams):
        fits = placed[i].urams <= uram
        uram -= placed[i].urams if fits else 0
        result[i] = replace(placed[i], place="uram" if fits else outside)
    for i in sorted(out, key=lambda i: -loss(i)):
        if result[i].place == outside and placed[i].blocks(family) <= free:
            free -= placed[i].blocks(family)
            result[i] = replace(placed[i], place="block")
    return result


def _into_spram(result: list[Memory], found: Device) -> int:
    """Move what is written to SPRAM while blocks are short; the blocks that are free then, negative if too few."""
    family = found.family
    free, left = found.blocks - _blocks(result, family), found.spram
    written = [i for i, m in enumerate(result) if m.place == "block" and not m.constant]
    for i in sorted(written, key=lambda i: -result[i].blocks(family) / result[i].sprams):
        if free < 0 and result[i].sprams <= left:
            left -= result[i].sprams
            free += result[i].blocks(family)
            result[i] = replace(result[i], place="spram")
    return free


def _blocks(placed: Sequence[Memory], family: Family) -> int:
    return sum(m.blocks(family) for m in placed if m.place == "block")


def _luts(placed: Sequence[Memory], family: Family) -> int:
    return sum(m.luts(family) for m in placed if m.place == "lutram")
