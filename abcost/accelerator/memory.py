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
"""Without a device: what a block is worth in LUTs (the ratio of an xc7z020)."""


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory of one engine. role: weights, line buffer, residual FIFO, or activations.

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
    def traffic_bits(self) -> int:
        """Bits that come from outside per inference."""
        return self.width * self.reads if self.place == "external" else 0

    def luts(self, family: Family) -> int:
        """LUTs if it is made of them."""
        return -(-self.depth // family.lutram_depth) * self.width

    def blocks(self, shapes: Sequence[tuple[int, int]]) -> int:
        """Blocks of the best shape."""
        return min(-(-self.width // w) * -(-self.depth // d) for w, d in shapes)


def family_of(found: Device | None) -> Family:
    """The device's family; without a device 7-series."""
    return FAMILIES["7-series"] if found is None else found.family


def place(memories: Sequence[Memory], found: Device | None) -> list[Memory]:
    """Every memory in LUTs or blocks, whichever is scarcer spared; weights that exceed the blocks move out.

    First to URAM where the device has it, then to external memory, those first that free most blocks per bit
    of traffic. Other memories cannot leave the chip.
    """
    family = family_of(found)
    rate = found.luts / max(1, found.blocks) if found else LUTS_PER_BLOCK
    placed = [
        replace(m, place="lutram" if m.luts(family) <= rate * m.blocks(family.shapes) else "block")
        for m in memories
    ]
    if found is None:
        return placed
    used = sum(m.blocks(family.shapes) for m in placed if m.place == "block")
    uram = found.uram
    movable = sorted(
        (i for i, m in enumerate(placed) if m.role == "weights" and m.place == "block"),
        key=lambda i: placed[i].width * placed[i].reads / placed[i].blocks(family.shapes),
    )
    for i in movable:
        if used <= found.blocks:
            break
        used -= placed[i].blocks(family.shapes)
        ultra = placed[i].blocks(URAM)
        if ultra <= uram:
            uram -= ultra
            placed[i] = replace(placed[i], place="uram")
        else:
            placed[i] = replace(placed[i], place="external")
    return placed
