"""Memories: where `depth` words of `width` bits go, and what they take.

A ROM of LUTs takes what the family's LUTs hold and what selects among them, a RAM of LUTs as many as the family's
units of so many words and bits; a block memory the least over the block's shapes (w, d) of
ceil(width / w) * ceil(depth / d) blocks, or ceil(width * ceil(depth / d) / w) where the family's synthesis puts what is
behind each other side by side; external memory nothing on chip: every read is traffic.

LUT RAM is counted with one port: a delay line, such as a line buffer, reads a word in the cycle that replaces it.
An SPRAM has one port and no such cycle: words are held in pairs, so that reading takes every other cycle and leaves
the rest for writing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from abcost.accelerator.devices import FAMILIES, SPRAM, URAM, Device, Family

PLACES = ("lutram", "block", "uram", "spram", "external")
LUTS_PER_BLOCK = 190
"""What a block is worth in LUTs (the ratio of an xc7z020), whatever the device: choices stay comparable."""

_MOST_SHARING = 16
"""Words of which any two bits are alike but by chance."""


@dataclass(frozen=True, slots=True)
class Memory:
    """A memory of one engine. role: weights, parameters, operand, line buffer, residual FIFO, or activations.

    reads, writes: words read and written per inference; place: one of PLACES, on silicon one of
    `abcost.accelerator.silicon.memories`. rests: it is read in every other cycle at most.
    registered: what is read stands in a register before it is used; a block has that register in it.
    behind: units of its width between what is read and what is written in the same cycle.
    """

    role: str
    width: int
    depth: int
    reads: int
    place: str = "block"
    rests: bool = False
    registered: bool = False
    behind: tuple[str, ...] = ()
    writes: int = 0

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
    def moved_bits(self) -> int:
        """Bits read and written per inference."""
        return self.width * (self.reads + self.writes)

    @property
    def traffic_bits(self) -> int:
        """Bits that come from outside per inference."""
        return self.read_bits if self.place == "external" else 0

    def luts(self, family: Family) -> int:
        """LUTs if it is made of them; where they cannot be written, of a constant alone."""
        ram = family.ram
        if self.constant or ram is None:
            return family.rom_luts(self.columns, self.depth)
        banks = -(-self.depth // ram.words)
        return banks * -(-self.width // ram.bits) * ram.luts + (banks - 1) * self.width * ram.selects

    @property
    def columns(self) -> int:
        """Bits of a word that are neither constant nor equal to another: all but of few words.

        Of `depth` random words, expected: (2**depth - 2) * (1 - (1 - 2**-depth)**width).
        """
        if not self.constant or not 1 < self.depth <= _MOST_SHARING:
            return self.width
        kinds: int = 2**self.depth
        return max(1, round((kinds - 2) * (1 - (1 - 1 / kinds) ** self.width)))

    @property
    def ffs(self) -> int:
        """Flip-flops of the register behind what is read, where no block has it.

        Equal columns share it, and of weights the register behind it too, with which the engine is priced in full.
        """
        if not self.registered or self.place != "lutram":
            return 0
        return self.width - 2 * (self.width - self.columns)

    def blocks(self, family: Family) -> int:
        """Blocks of the best shape."""
        return self._best(family)[0]

    def deep(self, family: Family) -> int:
        """Blocks behind each other that hold one bit's words, where there are as few blocks as can be."""
        return self._best(family)[1]

    def _best(self, family: Family) -> tuple[int, int]:
        shapes = [(w, -(-self.depth // d)) for w, d in family.shapes]
        if family.beside:
            return min((-(-self.width * rows // w), rows) for w, rows in shapes)
        return min((-(-self.width // w) * rows, rows) for w, rows in shapes)

    @property
    def urams(self) -> int:
        """URAMs if it is made of them."""
        return -(-self.width // URAM[0]) * -(-self.depth // URAM[1])

    def select_luts(self, family: Family) -> int:
        """LUTs that select among its rows of blocks."""
        rows = -(-self.deep(family) // family.row)
        return 0 if rows == 1 else self.width * max(1, round((rows - 1) * family.selects))

    @property
    def sprams(self) -> int:
        """SPRAMs if it is made of them."""
        width, depth = (self.width, self.depth) if self.rests else (2 * self.width, -(-self.depth // 2))
        return -(-width // SPRAM[0]) * -(-depth // SPRAM[1])

    def preferred(self, family: Family) -> Memory:
        """The memory placed in LUTs or in blocks, whichever is worth less."""
        return replace(self, place="lutram" if self._better_in_luts(family) else "block")

    def worth(self, family: Family) -> int:
        """LUTs that it is worth where it is preferred."""
        if self._better_in_luts(family):
            return self.luts(family)
        return LUTS_PER_BLOCK * self.blocks(family)

    def _better_in_luts(self, family: Family) -> bool:
        can = self.constant or family.ram is not None
        return can and self.luts(family) <= LUTS_PER_BLOCK * self.blocks(family)


def family_of(found: Device | None) -> Family:
    """The device's family; without a device 7-series."""
    return FAMILIES["7-series"] if found is None else found.family
