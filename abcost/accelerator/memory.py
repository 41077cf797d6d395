"""Memories: where `depth` words of `width` bits go, and what they take.

LUT RAM or ROM takes ceil(depth / words per LUT) * width LUTs, a block memory the least over the block's shapes
(w, d) of ceil(width / w) * ceil(depth / d) blocks, external memory nothing on chip: every read is traffic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from abcost.accelerator.devices import FAMILIES, URAM, Device, Family

PLACES = ("lutram", "block", "uram", "external")
LUTS_PER_BLOCK = 190
"""What a block is worth in LUTs (the ratio of an xc7z020), whatever the device: choices stay comparable."""


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory of one engine. role: weights, parameters, operand, line buffer, residual FIFO, or activations.

    reads: words read per inference; place: one of PLACES.
    """

    role: str
    width: int
    depth: int
    reads: int
    place: str = "block"

    @property
    def bits(self) -> int:
        """Bits held."""
        return self.width * self.depth

    @property
    def constant(self) -> bool:
        """Whether it is never written: LUTs can hold it even where they are no RAM."""
        return self.role in ("weights", "parameters")

    @property
    def read_bits(self) -> int:
        """Bits read per inference."""
        return self.width * self.reads

    @property
    def traffic_bits(self) -> int:
        """Bits that come from outside per inference."""
        return self.read_bits if self.place == "external" else 0

    def luts(self, family: Family) -> int:
        """LUTs if it is made of them."""
        return -(-self.depth // family.lutram_depth) * self.width

    def blocks(self, shapes: Sequence[tuple[int, int]]) -> int:
        """Blocks of the best shape."""
        return min(-(-self.width // w) * -(-self.depth // d) for w, d in shapes)

    def preferred(self, family: Family) -> Memory:
        """In LUTs or in blocks, whichever is worth less."""
        small = self.luts(family) <= LUTS_PER_BLOCK * self.blocks(family.shapes)
        can = self.constant or family.lutram
        return replace(self, place="lutram" if small and can else "block")


def family_of(found: Device | None) -> Family:
    """The device's family; without a device 7-series."""
    return FAMILIES["7-series"] if found is None else found.family


def place(memories: Sequence[Memory], found: Device | None, luts: float = 0.0) -> list[Memory]:
    """Every memory where it is worth least; on a device, moved where it fits beside `luts` of logic.

    If LUTs run out, memories leave them for blocks, those first that free most LUTs per block. If blocks run
    out, weights leave them: see `_within_blocks`. What fits a device fits every larger one of its family; where
    blocks cannot suffice, LUTs at least are spared.
    """
    family = family_of(found)
    placed = [m.preferred(family) for m in memories]
    if found is None:
        return placed
    moved = list(placed)
    left = luts + sum(m.luts(family) for m in placed if m.place == "lutram") - found.luts
    for i in _leaving(placed, family):
        if left <= 0:
            break
        left -= placed[i].luts(family)
        moved[i] = replace(placed[i], place="block")
    kept = _within_blocks(placed, found)
    if left <= 0:
        moved = _within_blocks(moved, found)
        if _blocks(moved, family) <= found.blocks or _blocks(kept, family) > found.blocks:
            return moved
    return kept


def room_for_logic(memories: Sequence[Memory], found: Device) -> list[int]:
    """How many LUTs of logic fit beside the memories while none, one, two, … of them leave the LUTs, rising.

    Between two of these numbers `place` answers the same.
    """
    family = found.family
    placed = [m.preferred(family) for m in memories]
    room = [found.luts - sum(m.luts(family) for m in placed if m.place == "lutram")]
    for i in _leaving(placed, family):
        room.append(room[-1] + placed[i].luts(family))
    return room


def _leaving(placed: Sequence[Memory], family: Family) -> list[int]:
    """Which memories leave the LUTs first: those that free most LUTs per block."""
    in_luts = [i for i, m in enumerate(placed) if m.place == "lutram"]
    return sorted(in_luts, key=lambda i: -placed[i].luts(family) / placed[i].blocks(family.shapes))


def _within_blocks(placed: Sequence[Memory], found: Device) -> list[Memory]:
    """Weights leave the blocks, those first with the least traffic per freed block, until the rest fits.

    Of these, those with most traffic go to URAM; then what fits again into free blocks comes back. Other
    memories are written during an inference and stay.
    """
    shapes = found.family.shapes
    result = list(placed)
    free, uram = found.blocks - _blocks(placed, found.family), found.uram
    weights = [i for i, m in enumerate(placed) if m.role == "weights" and m.place == "block"]
    out = []
    for i in sorted(weights, key=lambda i: placed[i].read_bits / placed[i].blocks(shapes)):
        if free >= 0:
            break
        free += placed[i].blocks(shapes)
        out.append(i)
    for i in sorted(out, key=lambda i: -placed[i].read_bits / placed[i].blocks(URAM)):
        fits = placed[i].blocks(URAM) <= uram
        uram -= placed[i].blocks(URAM) if fits else 0
        result[i] = replace(placed[i], place="uram" if fits else "external")
    for i in sorted(out, key=lambda i: -placed[i].read_bits / placed[i].blocks(shapes)):
        if result[i].place == "external" and placed[i].blocks(shapes) <= free:
            free -= placed[i].blocks(shapes)
            result[i] = placed[i]
    return result


def _blocks(placed: Sequence[Memory], family: Family) -> int:
    return sum(m.blocks(family.shapes) for m in placed if m.place == "block")
