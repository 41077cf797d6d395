"""A network of engines as one C99 file: a golden model, to the bit what the circuit and the interpreter compute.

Printed from the description that the Verilog is printed from (`abcost.accelerator.design.network`): a function per
engine, a loop over its positions, a line per node of its chain. Signs are bits of 64-bit words; a binary dot product is
an XOR and a popcount, a sum with signs an addition; values are whole multiples of 2**-F in registers of the network's
width. A multiplication stands where the network has one: behind `times`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from textwrap import wrap as wrapped

import torch

from abcost.accelerator.design.constants import flips, levels, on_grid, weight_fraction
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.design.network import Map, NetworkDesign, Stage, is_repeated, map_of
from abcost.accelerator.design.pool import POOLS, kernel_of
from abcost.core.adders.signed_digits import signed_digits
from abcost.core.graph import OpGraph
from abcost.core.kinds import DotArithmetic, OpKind
from abcost.core.node import OpNode
from abcost.core.precision import Encoding
from abcost.errors import UsageError

MOST_BITS = 31
"""Of a value: a sum of two fits the 32 bits of a C integer."""
_COLUMNS = 110


def golden_model(net: NetworkDesign, header: Sequence[str] = ()) -> str:
    """The text of the file. `header`: lines for its first comment. Raises UsageError for what has no C, by its layer.

    It defines `void network(const int32_t *image, int32_t *logits)`: pixels row by row, channels inside, in multiples
    of 2**-F; with NETWORK_MAIN defined also a program that reads images from its input and writes logits, 32 bits each.
    """
    if net.number.width > MOST_BITS:
        raise UsageError(f"--width {net.number.width}: a golden model in C takes at most {MOST_BITS} bits")
    printer = _Network(net)
    parts = [_head(net, header), *(printer.stage(stage) for stage in net.stages), printer.end()]
    return "\n".join(parts)


def _head(net: NetworkDesign, header: Sequence[str]) -> str:
    number = net.number
    lines = [
        *header,
        f"Values: {number.width} bits in two's complement, {number.fraction_bits} behind the point.",
        "Signs: 1 is +1, 0 is -1.",
        f"Image: {net.image.rows} rows of {net.image.columns} pixels of {net.image.channels} channels; "
        f"{net.logits.map.elements} logits.",
        "cc -std=c99 -O3 -march=native -DNETWORK_MAIN model.c",
    ]
    half = 1 << (number.width - 1)
    comment = "".join(f"   {line}".rstrip() + "\n" for line in lines)
    return f"""/*{comment[2:].rstrip()}
*/
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define IMAGE {net.image.elements}
#define LOGITS {net.logits.map.elements}

/* What fits the register: the low {number.width} bits. */
static inline int32_t fit(int32_t x)
{{
    return (int32_t)(((uint32_t)x + {half}u) & {2 * half - 1}u) - {half};
}}

static inline int32_t fit64(int64_t x)
{{
    return fit((int32_t)(uint32_t)((uint64_t)x & 0xffffffffu));
}}

/* x * 2**-n, towards minus infinity. */
static inline int32_t down(int32_t x, int n)
{{
#if (-1 >> 1) == -1
    return x >> n;
#else
    return x < 0 ? ~(~x >> n) : x >> n;
#endif
}}

static inline int64_t down64(int64_t x, int n)
{{
#if (-1 >> 1) == -1
    return x >> n;
#else
    return x < 0 ? ~(~x >> n) : x >> n;
#endif
}}

static inline int32_t up(int32_t x, int n)
{{
    return (int32_t)((uint32_t)x << n);
}}

/* The only multiplications of values. */
static inline int64_t times(int32_t x, int32_t c)
{{
    return (int64_t)x * c;
}}

/* x times a signed digit d: 2**(d - 1) for d > 0, -2**(-d - 1) for d < 0, or 0. */
static inline int64_t digit(int32_t x, int d)
{{
    const int64_t m = -(int64_t)(d < 0);
    if (d == 0) return 0;
    return ((int64_t)((uint64_t)(int64_t)x << ((d < 0 ? -d : d) - 1)) ^ m) - m;
}}

static inline uint64_t ones(uint64_t x)
{{
#ifdef __GNUC__
    return (uint64_t)__builtin_popcountll(x);
#else
    x -= (x >> 1) & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    x += x >> 8;
    x += x >> 16;
    x += x >> 32;
    return x & 0xff;
#endif
}}
"""


@dataclass(frozen=True, slots=True)
class _Held:
    """A tensor in memory. bits: 64-bit words of a pixel's signs, else one number per channel."""

    name: str
    map: Map
    bits: bool

    @property
    def words(self) -> int:
        """Words of a pixel of signs."""
        return -(-self.map.channels // 64)


class _Network:
    """Prints the stages of a network in order."""

    def __init__(self, net: NetworkDesign) -> None:
        self.net, self.graph, self.number = net, net.graph, net.number
        self.held: dict[str, _Held] = {}
        self._taken: set[str] = {"image", "logits", "network", "main"}
        self._calls: list[str] = []
        self._tensors: list[str] = []
        self._image = self._hold_image()

    def _hold_image(self) -> _Held:
        (node,) = self.graph.of_kind(OpKind.INPUT)
        held = self.held[node.name] = _Held("image", self.net.image, bits=False)
        return held

    def unique(self, name: str) -> str:
        """A C identifier for a layer or node."""
        base = re.sub(r"\W+", "_", name).strip("_") or "node"
        base = f"l_{base}" if base[0].isdigit() else base
        found, count = base, 1
        while found in self._taken:
            count += 1
            found = f"{base}_{count}"
        self._taken.add(found)
        return found

    def hold(self, node: OpNode) -> _Held:
        """Memory for the values of a node."""
        if node.name not in self.held:
            bits = is_bits(self.graph, node)
            self.held[node.name] = _Held(self.unique(node.name), map_of(node), bits)
        return self.held[node.name]

    def origin(self, name: str) -> OpNode:
        """The node that makes the values: before what only changes a shape."""
        node = self.graph.node(name)
        while node.kind is OpKind.WIRING:
            (node,) = set(self.graph.sources(node))
        return node

    def stage(self, stage: Stage) -> str:
        """The constants, tensors and functions of a stage."""
        before = set(self.held)
        printed = _Stage(self, stage).text()
        tensors = [held for name, held in self.held.items() if name not in before]
        self._calls += printed.calls
        lines = [f"/* Layer {stage.name} */"]
        for held in tensors:
            kind, size = ("uint64_t", held.words) if held.bits else ("int32_t", held.map.channels)
            lines.append(f"static {kind} {held.name}[{held.map.pixels * size}];")
        return "\n".join([*lines, *printed.constants, "", *printed.functions])

    def end(self) -> str:
        """The function that calls all others, and the program."""
        logits = self.held[self.origin(self.net.logits.node).name]
        calls = "\n".join(f"    {call}" for call in self._calls)
        return f"""void network(const int32_t *image, int32_t *logits);

void network(const int32_t *image, int32_t *logits)
{{
{calls}
    memcpy(logits, {logits.name}, LOGITS * sizeof *logits);
}}

#ifdef NETWORK_MAIN
int main(void)
{{
    static int32_t image[IMAGE], logits[LOGITS];
    while (fread(image, sizeof *image, IMAGE, stdin) == IMAGE) {{
        network(image, logits);
        if (fwrite(logits, sizeof *logits, LOGITS, stdout) != LOGITS) return 1;
    }}
    return 0;
}}
#endif
"""


def is_bits(graph: OpGraph, node: OpNode) -> bool:
    """Whether the node's values are one bit each."""
    return graph.precision(node).width(2) == 1


@dataclass(slots=True)
class _Printed:
    constants: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Loop:
    """Nodes of one map that are computed pixel by pixel; a pool stands alone."""

    map: Map
    nodes: list[OpNode]
    pool: bool = False


class _Stage:
    """Prints one engine: its dot product and chain in loops over pixels."""

    def __init__(self, network: _Network, stage: Stage) -> None:
        self.network, self.stage = network, stage
        self.graph, self.number = network.graph, network.number
        self.printed = _Printed()
        self.pending: list[str] = []  # lines that the operation at hand needs before its own
        self._named = 0
        self.dot = stage.design.engine.dot
        self.loops = list(self._loops())
        self.inside = {n.name: number for number, loop in enumerate(self.loops) for n in loop.nodes}

    def text(self) -> _Printed:
        """The stage, printed."""
        for number, loop in enumerate(self.loops):
            name = self.network.unique(f"run_{self.stage.name}" + (f"_{number}" if number else ""))
            body = self._pool(loop.nodes[0]) if loop.pool else self._pixels(number, loop)
            image = any("image" in re.findall(r"\w+", line) for line in body)
            parameters, argument = ("const int32_t *image", "image") if image else ("void", "")
            self.printed.functions += [f"static void {name}({parameters})", "{", *body, "}", ""]
            self.printed.calls.append(f"{name}({argument});")
        return self.printed

    def _loops(self) -> Iterator[_Loop]:
        engine = self.stage.design.engine
        loop = _Loop(map_of(engine.dot), [engine.dot])
        for work in engine.chain:
            node = work.node
            if node.kind is OpKind.WIRING:
                continue
            pool = node.kind in POOLS
            if pool or loop.pool or map_of(node) != loop.map:
                yield loop
                loop = _Loop(map_of(node), [], pool=pool)
            loop.nodes.append(node)
        yield loop

    def _needed(self, node: OpNode, number: int) -> bool:
        """Whether something outside its loop reads a node."""
        readers = list(self.graph.users(node))
        while any(reader.kind is OpKind.WIRING for reader in readers):
            readers = [
                other
                for reader in readers
                for other in (self.graph.users(reader) if reader.kind is OpKind.WIRING else [reader])
            ]
        return any(self.inside.get(reader.name) != number for reader in readers)

    def named(self, expression: str) -> str:
        """The name of a number that is computed before the line at hand."""
        self._named += 1
        self.pending.append(f"const int32_t t{self._named} = {expression};")
        return f"t{self._named}"

    def constant(self, node: OpNode, role: str, values: Sequence[int], kind: str = "int32_t") -> str:
        """How channel `c` of a constant is written: a number, or an element of a table."""
        if len(set(values)) == 1:
            return f"({values[0]})" if values[0] < 0 else str(values[0])
        return f"{self.table(node, role, values, kind)}[c]"

    def table(self, node: OpNode, role: str, values: Sequence[int], kind: str = "int32_t") -> str:
        """The name of a constant table."""
        name = self.network.unique(f"{node.name}_{role}")
        suffix = "u" if kind == "uint64_t" else ""
        listed = ", ".join(f"{v}{suffix}" for v in values)
        lines = wrapped(listed, _COLUMNS - 4)
        self.printed.constants += [
            f"static const {kind} {name}[{len(values)}] = {{",
            *(f"    {line}" for line in lines),
            "};",
        ]
        return name

    # one loop over pixels

    def _pixels(self, number: int, loop: _Loop) -> list[str]:
        channels = loop.map.channels
        body: list[str] = []
        lines: list[str] = []
        names: dict[str, str] = {}
        fractions: dict[str, int] = {}
        packed: list[tuple[str, _Held]] = []
        for node in loop.nodes:
            if node is self.dot:
                dot = _dot(self)
                body += dot.lines
                names[node.name], fractions[node.name] = dot.value, dot.fraction
                if "bias" in node.consts or self._needed(node, number):
                    value = dot.value
                    if "bias" in node.consts:
                        value, fractions[node.name] = (
                            self._bias(value, dot.fraction),
                            self.number.fraction_bits,
                        )
                    lines.append(f"const int32_t dot = {value};")
                    names[node.name] = "dot"
            else:
                operands = [self._operand(name, names, fractions) for name in self.graph.inputs(node.name)]
                made = OPERATIONS[node.kind](self, node, operands)
                lines += self.pending
                self.pending = []
                names[node.name] = f"v{len(names)}"
                fractions[node.name] = self.number.fraction_bits
                if is_bits(self.graph, node):
                    held = self.network.hold(node)
                    packed.append((f"is_{held.name}", held))
                    lines.append(f"is_{held.name}[c] = {made}; /* {node.name} */")
                    continue
                made = f"fit({made})" if self._is_real(node) else made
                lines.append(f"const int32_t {names[node.name]} = {made}; /* {node.name} */")
            if self._needed(node, number) and not is_bits(self.graph, node):
                value = self._fixed((names[node.name], fractions[node.name]))
                lines.append(f"{self.network.hold(node).name}[p * {channels} + c] = {value};")
        bits = [f"        uint8_t {name}[{channels}];" for name, _ in packed]
        return [
            f"    for (int p = 0; p < {loop.map.pixels}; p++) {{",
            *bits,
            *body,
            f"        for (int c = 0; c < {channels}; c++) {{",
            *(f"            {line}" for line in lines),
            "        }",
            *(line for name, held in packed for line in _pack(name, held)),
            "    }",
        ]

    def _is_real(self, node: OpNode) -> bool:
        return self.graph.precision(node).encoding is Encoding.REAL

    def _operand(self, name: str, names: dict[str, str], fractions: dict[str, int]) -> tuple[str, int]:
        """How a value is written, and its bits behind the point."""
        node = self.network.origin(name)
        if node.name in names:
            return names[node.name], fractions[node.name]
        held = self.network.hold(node)
        channels = held.map.channels
        channel = f"c % {channels}" if is_repeated(self.graph, self.graph.node(name)) else "c"
        if held.map.pixels == 1:
            return f"{held.name}[{channel}]", self.number.fraction_bits
        return f"{held.name}[p * {channels} + {channel}]", self.number.fraction_bits

    def _fixed(self, operand: tuple[str, int]) -> str:
        """The C expression of an operand with the network's bits behind the point."""
        value, fraction = operand
        missing = self.number.fraction_bits - fraction
        return f"up({value}, {missing})" if missing else value

    def _bias(self, value: str, fraction: int) -> str:
        cut = None if self.stage.design.engine.arithmetic is DotArithmetic.REAL else torch.floor
        bias = self.constant(self.dot, "bias", on_grid(self.dot.consts["bias"], self.number, cut))
        total = f"{self._fixed((value, fraction))} + {bias}"
        return f"fit({total})" if self._is_real(self.dot) else total

    def _pool(self, node: OpNode) -> list[str]:
        (source,) = (self.network.held[self.network.origin(n).name] for n in self.graph.inputs(node.name))
        kernel = kernel_of(node, source.map.rows, source.map.columns)
        if kernel is None or source.bits:
            raise UsageError(f"layer {self.stage.name}: {node.name} has no C")
        held, channels = self.network.hold(node), source.map.channels
        across = source.map.columns // kernel[1]
        largest = node.kind is OpKind.MAX_POOL
        step = "x > y ? x : y" if largest else "fit(y + x)"
        return [
            f"    for (int p = 0; p < {held.map.pixels}; p++) {{ /* {node.name} */",
            f"        int32_t *to = {held.name} + p * {channels};",
            f"        for (int k = 0; k < {kernel[0] * kernel[1]}; k++) {{",
            f"            const int row = p / {across} * {kernel[0]} + k / {kernel[1]};",
            f"            const int column = p % {across} * {kernel[1]} + k % {kernel[1]};",
            f"            const int32_t *from = {source.name} + (row * {source.map.columns} + column) * {channels};",
            f"            for (int c = 0; c < {channels}; c++) {{",
            "                const int32_t x = from[c], y = to[c];",
            f"                to[c] = k == 0 ? x : {step};",
            "            }",
            "        }",
            "    }",
        ]


def _pack(name: str, held: _Held) -> list[str]:
    """Bits of a pixel into words."""
    channels, whole = held.map.channels, held.map.channels // 64
    lines = []
    for words, first, bits in ((whole, 0, 64), (1, whole, channels % 64)):
        if words and bits:
            at = f"64 * ({first} + w) + c" if first else "64 * w + c"
            lines += [
                f"        for (int w = 0; w < {words}; w++) {{",
                "            uint64_t word = 0;",
                f"            for (int c = 0; c < {bits}; c++) word |= (uint64_t){name}[{at}] << c;",
                f"            {held.name}[p * {held.words} + {first} + w] = word;",
                "        }",
            ]
    return lines


# dot products


@dataclass(frozen=True, slots=True)
class _Dot:
    """Lines that compute the sums of a pixel; how channel `c` of them is written, and its bits behind the point."""

    lines: list[str]
    value: str
    fraction: int


def _dot(stage: _Stage) -> _Dot:
    engine = stage.stage.design.engine
    window, source = stage.stage.window, stage.network.held[stage.stage.source.node]
    if engine.taps != window.kernel[0] * window.kernel[1] * window.source.channels:
        raise UsageError(f"layer {stage.stage.name} reads a part of the channels: that has no C")
    if engine.arithmetic is DotArithmetic.XNOR:
        return _binary_dot(stage, source)
    binary = engine.dot.consts["weight"].binary
    real = engine.arithmetic is DotArithmetic.REAL and not source.bits
    if not real and not (engine.arithmetic is DotArithmetic.SIGNED_ADD and (binary or source.bits)):
        raise UsageError(
            f"layer {stage.stage.name}: a dot product of kind {engine.arithmetic.value} has no C"
        )
    return _real_dot(stage, source, binary=binary)


def _taps(stage: _Stage, found: Sequence[str], outside: Sequence[str]) -> list[str]:
    """A walk over the taps of position `p`: `found` for those in the map, at (y, x), `outside` for the others."""
    window = stage.stage.window
    columns, (k_rows, k_columns) = window.positions[1], window.kernel
    (down, across), (up, left), (apart_rows, apart) = window.stride, window.padding, window.dilation
    rows = f"y < 0 || y >= {window.source.rows}"
    test = f"{rows} || x < 0 || x >= {window.source.columns}" if window.padded else ""
    lines = [
        f"        const int top = p / {columns} * {down} - {up}, left = p % {columns} * {across} - {left};",
        f"        for (int r = 0, tap = 0; r < {k_rows}; r++) {{",
        f"            const int y = top + r * {apart_rows};",
        f"            for (int q = 0; q < {k_columns}; q++, tap++) {{",
        f"                const int x = left + q * {apart};",
    ]
    if test:
        lines += [f"                if ({test}) {{", *(f"                    {line}" for line in outside)]
        lines += ["                }"]
    return [*lines, *(f"                {line}" for line in found), "            }", "        }"]


def _binary_dot(stage: _Stage, source: _Held) -> _Dot:
    """K - 2 * popcount(row ^ weights); what lies outside is 0 in the row, and its weights' ones are taken off again."""
    window, node = stage.stage.window, stage.dot
    taps, channels = window.kernel[0] * window.kernel[1], window.source.channels
    weights = stage.stage.weights.reshape(-1, taps, channels)
    outputs = len(weights)
    dense = channels < 64
    row_words = -(-taps * channels // 64) if dense else taps * source.words
    table = stage.table(node, "words", _words(weights, dense=dense), "uint64_t")
    lines = [
        f"        uint64_t row[{row_words}] = {{0}}, differ[{outputs}] = {{0}};",
        f"        int32_t sum[{outputs}];",
    ]
    if dense:
        found = [
            f"const uint64_t bits = {source.name}[y * {window.source.columns} + x];",
            f"const int at = tap * {channels};",
            "row[at / 64] |= bits << (at & 63);",
        ]
        if 64 % channels:
            found.append(f"if ((at & 63) > {64 - channels}) row[at / 64 + 1] |= bits >> (64 - (at & 63));")
    else:
        found = [
            f"const uint64_t *bits = {source.name} + (y * {window.source.columns} + x) * {source.words};",
            f"for (int k = 0; k < {source.words}; k++) row[tap * {source.words} + k] = bits[k];",
        ]
    whole = str(taps * channels)
    if window.padded:
        whole = f"{channels} * ({taps} - missing)"
        lines.append(f"        int missing = 0, absent[{taps}];")
    lines += _taps(stage, found, ["absent[missing++] = tap;", "continue;"])
    lines += [
        f"        for (int k = 0; k < {row_words}; k++)",
        f"            for (int c = 0; c < {outputs}; c++) differ[c] += ones(row[k] ^ {table}[k * {outputs} + c]);",
    ]
    if window.padded:
        ones = stage.table(node, "ones", weights.sum(-1).t().flatten().tolist(), "uint64_t")
        lines += [
            "        for (int m = 0; m < missing; m++)",
            f"            for (int c = 0; c < {outputs}; c++) differ[c] -= {ones}[absent[m] * {outputs} + c];",
        ]
    lines.append(f"        for (int c = 0; c < {outputs}; c++) sum[c] = {whole} - 2 * (int32_t)differ[c];")
    return _Dot(lines, "sum[c]", 0)


def _words(weights: torch.Tensor, *, dense: bool) -> list[int]:
    """Words of the weights (channels, taps, inputs) as a row has them: word by word, channels inside."""
    padding = 0 if dense else -weights.shape[2] % 64
    flat = torch.nn.functional.pad(weights, (0, padding)).flatten(1)
    flat = torch.nn.functional.pad(flat, (0, -flat.shape[1] % 64)).reshape(len(weights), -1, 64)
    rows = [[sum(bit << i for i, bit in enumerate(word)) for word in row] for row in flat.tolist()]
    return [row[k] for k in range(flat.shape[1]) for row in rows]


def _real_dot(stage: _Stage, source: _Held, *, binary: bool) -> _Dot:
    """Products, sums of signed digits, or sums with signs: (x ^ m) - m is x for m = 0 and -x for m = -1."""
    window, node, number = stage.stage.window, stage.dot, stage.number
    engine, rows = stage.stage.design.engine, stage.stage.weights
    outputs, channels = len(rows), window.source.channels
    factors = (rows - 1) if binary else rows  # 0 and -1 for +1 and -1
    largest = int(rows.abs().sum(1).max()) if not binary else rows.shape[1]
    bound = largest if source.bits else largest << (number.width - 1)
    wide = bound >= 2**31
    kind = "int64_t" if wide else "int32_t"
    if engine.in_digits:
        table = stage.table(node, "digits", _digits(rows, engine.digits), "int8_t")
    else:
        table = stage.table(node, "signs" if binary else "weights", factors.t().flatten().tolist(),
                            "int8_t" if binary else "int32_t")  # fmt: skip
    place = f"(y * {window.source.columns} + x)"
    lines = [f"        {kind} sum[{outputs}] = {{0}};"]
    if source.bits:
        word = f"{source.name}[{place} * {source.words} + i / 64]"
        found = [
            f"for (int i = 0; i < {channels}; i++) {{",
            f"    const int32_t *w = {table} + (tap * {channels} + i) * {outputs};",
            f"    const {kind} m = (int32_t)({word} >> (i & 63) & 1) - 1;",
            f"    for (int c = 0; c < {outputs}; c++) sum[c] += (w[c] ^ m) - m;",
            "}",
        ]
        lines += _taps(stage, found, ["continue;"])
    else:
        term = "digit" if engine.in_digits else "times"
        product = f"{term}(row[k], w[c])" if wide else f"(int32_t){term}(row[k], w[c])"
        small, passes, taps = binary or engine.in_digits, engine.digits, rows.shape[1]
        lines += [
            f"        int32_t row[{taps}] = {{0}};",
            *_taps(
                stage,
                [f"memcpy(row + tap * {channels}, {source.name} + {place} * {channels}, {4 * channels});"],
                ["continue;"],
            ),
            *([f"        for (int d = 0; d < {passes}; d++)"] if passes > 1 else []),
            f"        for (int k = 0; k < {taps}; k++) {{",
            f"            const {'int8_t' if small else 'int32_t'} *w = {table} + "
            f"{f'(d * {taps} + k)' if passes > 1 else 'k'} * {outputs};",
            f"            for (int c = 0; c < {outputs}; c++) sum[c] += "
            f"{'(row[k] ^ w[c]) - w[c]' if binary else product};",
            "        }",
        ]
    fraction = 0 if source.bits else number.fraction_bits
    fraction += 0 if binary else weight_fraction(node.consts["weight"], number)
    cut = fraction - number.fraction_bits
    value = f"{'down64' if wide else 'down'}(sum[c], {cut})" if cut > 0 else "sum[c]"
    if wide:
        value = f"fit64({value})"
    elif stage._is_real(node):  # noqa: SLF001 - the other half of it
        value = f"fit({value})"
    return _Dot(lines, value, min(fraction, number.fraction_bits))


def _digits(rows: torch.Tensor, most: int) -> list[int]:
    """Signed digits of weights (channels, K), `most` each, as `digit` takes them: digit by digit, channels inside."""
    coded = [
        [sign * (place + 1) for place, sign in signed_digits(value)] for value in rows.t().flatten().tolist()
    ]
    return [digits[n] if n < len(digits) else 0 for n in range(most) for digits in coded]


# operations of the chain: one function each, as in `abcost.accelerator.design.chain`

Operand = tuple[str, int]
_Operation = Callable[[_Stage, OpNode, Sequence[Operand]], str]


def _scale(s: _Stage, node: OpNode, x: Sequence[Operand]) -> str:
    factors = on_grid(node.consts["factor"], s.number)
    factor = s.constant(node, "factor", factors)
    value, fraction = x[0]
    most = 1 << (s.number.width - 1) if fraction else s.stage.design.engine.taps
    if most * max(map(abs, factors)) < 2**31:
        product = f"(int32_t)times({value}, {factor})"
        return f"down({product}, {fraction})" if fraction else product
    product = f"times({value}, {factor})"
    return f"(int32_t)down64({product}, {fraction})" if fraction else f"fit64({product})"


def _moved(value: str, exponent: int) -> str:
    """Value * 2**exponent."""
    if exponent >= 0:
        return f"up({value}, {exponent})" if exponent else value
    return f"down({value}, {min(-exponent, 31)})"


def _by_exponents(s: _Stage, node: OpNode, value: str) -> str:
    exponents = [int(e) for e in node.consts["exponent"].real().flatten().tolist()]
    if len(set(exponents)) == 1:
        return _moved(value, exponents[0])
    places = s.constant(node, "places", [min(abs(e), 31) for e in exponents], "int8_t")
    if all(e <= 0 for e in exponents):
        return f"down({value}, {places})"
    left = s.constant(node, "left", [-int(e > 0) for e in exponents], "int8_t")
    raised, lowered = s.named(f"up({value}, {places})"), s.named(f"down({value}, {places})")
    return f"(({raised} & {left}) | ({lowered} & ~{left}))"


def _shift(s: _Stage, node: OpNode, x: Sequence[Operand]) -> str:
    return _by_exponents(s, node, s._fixed(x[0]))  # noqa: SLF001


def _shift_prelu(s: _Stage, node: OpNode, x: Sequence[Operand]) -> str:
    value = s._fixed(x[0])  # noqa: SLF001
    return _for_negatives(s, value, _by_exponents(s, node, value))


def _prelu(s: _Stage, node: OpNode, x: Sequence[Operand]) -> str:
    value = s._fixed(x[0])  # noqa: SLF001
    slope = s.constant(node, "slope", on_grid(node.consts["slope"], s.number))
    product = f"(int32_t)down64(times({value}, {slope}), {s.number.fraction_bits})"
    return _for_negatives(s, value, product)


def _for_negatives(s: _Stage, value: str, other: str) -> str:
    """The value where it is not negative; the other is computed in any case, so that compilers need no branch."""
    return f"{value} >= 0 ? {value} : {s.named(other)}"


def _add(s: _Stage, node: OpNode, x: Sequence[Operand]) -> str:
    sign = "-" if node.kind is OpKind.SUBTRACT else "+"
    return f"{s._fixed(x[0])} {sign} {s._fixed(x[1])}"  # noqa: SLF001


def _add_const(s: _Stage, node: OpNode, x: Sequence[Operand]) -> str:
    value = s.constant(node, "value", on_grid(node.consts["value"], s.number, torch.floor))
    return f"{s._fixed(x[0])} + {value}"  # noqa: SLF001


def _threshold(s: _Stage, node: OpNode, x: Sequence[Operand]) -> str:
    value, fraction = x[0]
    limit = 2**31 - 1
    found = [min(max(level, -limit), limit) for level in levels(node, s.number, fraction)]
    level = s.constant(node, "level", found)
    if "gain" not in node.consts or not any(flips(node)):
        return f"{value} >= {level}"
    return f"({value} >= {level}) ^ {s.constant(node, 'flip', flips(node), 'uint8_t')}"


def _sign(_s: _Stage, node: OpNode, x: Sequence[Operand]) -> str:
    return f"{x[0][0]} >= {1 if node.attrs['at_zero'] == -1 else 0}"


def _clamp(s: _Stage, node: OpNode, x: Sequence[Operand]) -> str:
    value, limit = s._fixed(x[0]), 1 << (s.number.width - 1)  # noqa: SLF001
    for bound, relation in ((node.attrs["min"], "<"), (node.attrs["max"], ">")):
        scaled = None if bound is None else bound * 2.0**s.number.fraction_bits
        if scaled is None or not -limit <= scaled < limit:
            continue
        whole = math.floor(scaled)
        value = f"({value} {relation} {whole} ? {whole} : {value})"
    return value


OPERATIONS: dict[OpKind, _Operation] = {
    OpKind.SCALE: _scale,
    OpKind.SHIFT: _shift,
    OpKind.SHIFT_PRELU: _shift_prelu,
    OpKind.PRELU: _prelu,
    OpKind.ADD: _add,
    OpKind.SUBTRACT: _add,
    OpKind.ADD_CONST: _add_const,
    OpKind.THRESHOLD: _threshold,
    OpKind.SIGN: _sign,
    OpKind.CLAMP: _clamp,
    OpKind.NEGATE: lambda s, _node, x: f"-{s._fixed(x[0])}",  # noqa: SLF001
}
"""As `abcost.accelerator.design.chain.OPERATIONS`."""

__all__ = ["MOST_BITS", "NumberFormat", "OpGraph", "golden_model"]
