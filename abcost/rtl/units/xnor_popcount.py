"""XNOR-popcount: how many of N weight bits agree with N activation bits.

Two structures. `tree`: a balanced tree of adders. `compressor`: one full adder per three XNORs (each of its two
outputs is a function of six bits: one LUT6), then columns of equal weight go through 6:3 counters (three LUT6
each) until two rows are left, which one adder joins. Compressors after BISMO's popcount unit (Umuroglu et al.).
"""

from __future__ import annotations

from collections import defaultdict

from abcost.core.integer import popcount
from abcost.core.precision import popcount_bits
from abcost.errors import UsageError
from abcost.rtl.unit import MOST_BITS, Port, Unit, templates

STRUCTURES = ("compressor", "tree")


@templates.add("xnor_popcount")
def xnor_popcount(*, bits: int, structure: str = "compressor") -> Unit:
    """p = number of i in 0 … bits - 1 with a_i = w_i, in ceil(log2(bits + 1)) bits."""
    if structure not in STRUCTURES or not 1 <= bits <= MOST_BITS:
        raise UsageError(
            f"an XNOR-popcount has 1 to {MOST_BITS} bits and a structure out of {', '.join(STRUCTURES)}, "
            f"got {bits} and {structure!r}"
        )
    body = _tree(bits) if structure == "tree" else _compressor(bits)
    return Unit(
        name=f"xnor_popcount_n{bits}" + ("_tree" if structure == "tree" else ""),
        inputs=(Port("a", 1, bits, signed=False), Port("w", 1, bits, signed=False)),
        outputs=(Port("p", popcount_bits(bits), signed=False),),
        body=body,
        model=lambda v: {"p": popcount((v["a"] == v["w"]).reshape(len(v["a"]), bits))},
    )


def _tree(bits: int) -> str:
    lines = [f"    wire [{bits - 1}:0] same = ~(a ^ w);"]
    live = [(f"same[{i}]" if bits > 1 else "same", 1) for i in range(bits)]
    level = 0
    while len(live) > 1:
        level += 1
        merged = []
        for i in range(0, len(live) - 1, 2):
            (a, most_a), (b, most_b) = live[i : i + 2]
            most = most_a + most_b
            name = f"s{level}_{i // 2}"
            lines.append(f"    wire [{popcount_bits(most) - 1}:0] {name} = {a} + {b};")
            merged.append((name, most))
        if len(live) % 2:
            merged.append(live[-1])
        live = merged
    return "\n".join([*lines, f"    assign p = {live[0][0]};"])


class _Columns:
    """Bits waiting to be added, by weight 2**column, and the Verilog that made them."""

    def __init__(self) -> None:
        self.waiting: dict[int, list[str]] = defaultdict(list)
        self.lines: list[str] = []
        self._made = 0

    def wire(self, width: int, expression: str) -> str:
        name = f"c{self._made}"
        self._made += 1
        span = f"[{width - 1}:0] " if width > 1 else ""
        self.lines.append(f"    wire {span}{name} = {expression};")
        return name

    def count(self, bits: list[str], column: int) -> None:
        """Replace up to six bits of one weight by their count."""
        width = popcount_bits(len(bits))
        name = self.wire(width, " + ".join(bits))
        for place in range(width):
            self.waiting[column + place].append(f"{name}[{place}]" if width > 1 else name)

    def reduce_once(self) -> None:
        """One layer of counters: every column of three bits or more loses two thirds to a half of them."""
        before, self.waiting = self.waiting, defaultdict(list)
        for column in sorted(before):
            bits = before[column]
            whole = len(bits) // 6 * 6
            for i in range(0, whole, 6):
                self.count(bits[i : i + 6], column)
            rest = bits[whole:]
            if len(rest) >= 3:
                self.count(rest, column)
            else:
                self.waiting[column] += rest


def _compressor(bits: int) -> str:
    columns = _Columns()
    pairs = [f"~(a[{i}] ^ w[{i}])" if bits > 1 else "~(a ^ w)" for i in range(bits)]
    for i in range(0, bits, 3):
        same = [columns.wire(1, pair) for pair in pairs[i : i + 3]]
        columns.count(same, 0)
    while max(map(len, columns.waiting.values())) > 2:
        columns.reduce_once()
    width = popcount_bits(bits)
    rows = []
    for row in range(2):
        word = [
            columns.waiting[c][row] if len(columns.waiting[c]) > row else "1'b0"
            for c in reversed(range(width))
        ]
        rows.append(f"{{{', '.join(word)}}}")
    return "\n".join([*columns.lines, f"    assign p = {rows[0]} + {rows[1]};"])
