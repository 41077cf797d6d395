"""Prints the description of a block as a Verilog module.

Every net is one vector, lane by lane; parts in several lanes stand in a loop. Bits of vectors are taken by constant
part selects; a bit of an expression is named first, for Verilog-2005 selects from names only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from abcost.accelerator.design.dot import Sum
from abcost.accelerator.design.engine import Block, EngineDesign
from abcost.accelerator.design.net import Net, Operand, Part, Slice, net_of
from abcost.emit.wiring import WRITTEN, extended
from abcost.rtl.placed import placed
from abcost.rtl.unit import Port, Unit, Values, build

_POPCOUNTS = frozenset({"plain_popcount", "xnor_popcount"})


def many_multipliers(parts: Sequence[Part]) -> bool:
    """Whether several multipliers are among these parts.

    Yosys 0.70 takes registers that several iCE40 multipliers share into the block of one of them, and the others lose
    it: their results are 0. What it cannot see into stays right.
    """
    return sum(part.lanes for part in parts if part.op == "multiply") > 1


def span(bits: int) -> str:
    """The range of a vector; "" for one bit."""
    return f"[{bits - 1}:0] " if bits > 1 else ""


class Printer:
    """Collects the lines of a module, and the units that it instantiates."""

    def __init__(
        self, words: Sequence[int] = (), file: str = "", place: str = "block", *, closed: bool = False
    ) -> None:
        """words: of the weights, PE * SIMD of them each; file: from which their memory is initialised; place: its.

        closed: synthesis takes no register into a multiplier's block; see `many_multipliers`.
        """
        self.words, self.file, self.place, self.closed = tuple(words), file, place, closed
        self.lines: list[str] = []
        self.units: dict[str, Unit] = {}
        self._remark = ""
        self._instances = 0

    def part(self, part: Part) -> None:
        """Print one part."""
        if part.remark and part.remark != self._remark:
            self.lines.append(f"    // {' '.join(part.remark.split())}")
            self._remark = part.remark
        match part.op:
            case "register":
                self._register(part)
            case "constant":
                self._constant(part)
            case "weights":
                bits = part.output.bits
                self.lines.append(f"    wire {span(bits)}{part.output.name} = {bits}'h{self.words[0]:x};")
            case "rom":
                self._roms(part)
            case "memory":
                unit = build(
                    "memory", bits=part.output.bits, words=self.words, file=self.file, place=self.place
                )
                self._declare(part)
                self._instance(unit, [f".address({_whole(part.inputs[0][1])})", f".data({part.output.name})"])
            case op if op in WRITTEN:
                self._wiring(part)
            case _:
                self._unit(part)

    def _register(self, part: Part) -> None:
        d, q = net_of(part.inputs[0][1]), part.output
        self.lines += [
            f"    reg {span(q.bits)}{q.name};",
            f"    always @(posedge clk) {q.name} <= {d.name};",
        ]

    def _constant(self, part: Part) -> None:
        assert part.contents is not None  # noqa: S101 - what makes constants gives their contents
        net = part.output
        mask, digits = (1 << net.width) - 1, (net.width + 3) // 4
        words = [f"{net.width}'h{words[0] & mask:0{digits}x}" for words in part.contents()]
        text = words[0] if len(words) == 1 else "{" + ", ".join(reversed(words)) + "}"
        self.lines.append(f"    wire {span(net.bits)}{net.name} = {text};")

    def _roms(self, part: Part) -> None:
        """One module per lane, in as few bits as all words of its parameter need."""
        assert part.contents is not None  # noqa: S101 - a ROM has contents
        contents, net = part.contents(), part.output
        bits = min(net.width, max(_bits_of(words) for words in contents))
        self._declare(part)
        data = Net("", bits, signed=True)
        for lane, words in enumerate(contents):
            unit = build("rom", width=bits, contents=tuple(words))
            name = f"{net.name}_lane{lane}"
            self.lines.append(f"    wire {span(bits)}{name};")
            self._instance(unit, [f".address({_whole(part.inputs[0][1])})", f".data({name})"])
            place = net.name + (
                "" if net.lanes == 1 else f"[{(lane + 1) * net.width - 1}:{lane * net.width}]"
            )
            self.lines.append(f"    assign {place} = {extended(name, data, net.width)};")

    def _wiring(self, part: Part) -> None:
        """One assignment per lane. Where bits are taken of a slice, it gets a name of its own."""
        out = part.output
        self._declare(part)
        for lane in range(part.lanes):
            operands = {}
            for port, operand in part.inputs:
                net = net_of(operand)
                text = _select(operand, lane)
                if "[" in text:
                    name = f"{out.name}_{port}{lane}"
                    elements = operand.number if isinstance(operand, Slice) else net.elements
                    self.lines.append(f"    wire {span(net.width * elements)}{name} = {text};")
                    text = name
                operands[port] = text, net
            expression = WRITTEN[part.op](operands, part.parameters, out)
            wide = out.width * out.elements
            place = out.name if part.lanes == 1 else f"{out.name}[{(lane + 1) * wide - 1}:{lane * wide}]"
            if wide == 1 and part.lanes > 1:
                place = f"{out.name}[{lane}]"
            self.lines.append(f"    assign {place} = {expression};")

    def _unit(self, part: Part) -> None:
        if part.op == "xnor_popcount" and len(self.words) in (1, 2) and self._known(part):
            self._known_popcounts(part)
            return
        unit = build(part.op, **part.parameters)
        if part.op in _POPCOUNTS and not _of_constants(part):
            unit = replace(placed(unit), keep=True)
        else:
            unit = replace(unit, keep=self._apart(part))
        self._declare(part)
        inputs = {port.name for port in unit.inputs}
        if part.lanes == 1:
            wires = [f".{port}({_select(x, 0)})" for port, x in part.inputs if port in inputs]
            self._instance(unit, [*wires, *(f".{port}({net.name})" for port, net in part.outputs)])
            return
        wires = [f".{port}({_select(x, 'i')})" for port, x in part.inputs if port in inputs]
        wires += [f".{port}({_select(net, 'i')})" for port, net in part.outputs]
        self._instance(unit, wires, lanes=part.lanes)

    def _known(self, part: Part) -> bool:
        """Whether the weights of a popcount are constants, or of two words and not alike."""
        weights = net_of(dict(part.inputs)["w"])
        if weights.lanes != part.lanes:  # bit planes read the same weights
            return False
        if len(self.words) == 1:
            return weights.constant and not part.parameters["masked"]
        return self.words[0] != self.words[1]

    def _known_popcounts(self, part: Part) -> None:
        """All lanes in one unit, which their weights are part of: synthesis shares what lanes have in common.

        Of two words, a bit that differs says which of them was read; other bits of the memory are not needed.
        """
        inputs = dict(part.inputs)
        bits, weights = part.parameters["bits"], net_of(inputs["w"])
        start = inputs["w"].start if isinstance(inputs["w"], Slice) else 0
        lanes = [
            [word >> lane * weights.elements + start & (1 << bits) - 1 for word in self.words]
            for lane in range(part.lanes)
        ]
        wires = [f".{port}({_select(inputs[port], 0)})" for port in ("a", "m") if port in inputs]
        if len(self.words) == 1:
            unit = build("constant_popcount", bits=bits, words=tuple(word for (word,) in lanes))
        else:
            low, high = self.words
            rising, differs = high & ~low, low ^ high
            place = "" if weights.bits == 1 else f"[{(rising or differs).bit_length() - 1}]"
            wires.append(f".s({'' if rising else '~'}{weights.name}{place})")
            unit = build(
                "two_word_popcount", bits=bits, words=tuple((low, high) for low, high in lanes),
                masked=part.parameters["masked"],
            )  # fmt: skip
        self._declare(part)
        self._instance(replace(placed(unit), keep=True), [*wires, f".p({part.output.name})"])

    def _apart(self, part: Part) -> bool:
        """Whether synthesis keeps a unit for itself, so that it takes what its table measured, and no more.

        Not a register held at 0, whose inverter others share, nor a popcount with a mask of constant weights.
        """
        return self.closed if part.op == "multiply" else part.op not in ("gate", *_POPCOUNTS)

    def _declare(self, part: Part) -> None:
        for _, net in part.outputs:
            self.lines.append(f"    wire {span(net.bits)}{net.name};")

    def _instance(self, unit: Unit, wires: Sequence[str], lanes: int = 1) -> None:
        self.units.setdefault(unit.name, unit)
        self._instances += 1
        name = f"u{self._instances}_{unit.name.split('_')[0]}"
        text = f"{unit.name} {name} ({', '.join([*(['.clk(clk)'] if unit.clocked else []), *wires])});"
        if lanes == 1:
            self.lines.append(f"    {text}")
            return
        self.lines += [
            f"    for (i = 0; i < {lanes}; i = i + 1) begin : {name}_lanes",
            f"        {text}",
            "    end",
        ]


def _of_constants(part: Part) -> bool:
    return any(net_of(operand).constant for _, operand in part.inputs)


def _whole(operand: Operand) -> str:
    return net_of(operand).name


def _select(operand: Operand, lane: int | str) -> str:
    """The bits of one lane of an operand, the lane being a number or the variable of a loop."""
    net = net_of(operand)
    start, number = (operand.start, operand.number) if isinstance(operand, Slice) else (0, net.elements)
    bits = number * net.width
    if bits == net.bits:
        return net.name
    each = net.elements * net.width
    first = start * net.width
    if net.lanes == 1 or isinstance(lane, int):
        low = first + (0 if net.lanes == 1 else int(lane) * each)
        return f"{net.name}[{low}]" if bits == 1 else f"{net.name}[{low + bits - 1}:{low}]"
    place = f"{lane} * {each}" + (f" + {first}" if first else "")
    return f"{net.name}[{place}]" if bits == 1 else f"{net.name}[{place} +: {bits}]"


def _bits_of(values: Sequence[int]) -> int:
    """Bits of a two's complement that holds all of them."""
    return max((-v - 1 if v < 0 else v).bit_length() for v in values) + 1


def module(
    name: str, block: Block, inputs: Sequence[Net], outputs: Sequence[tuple[str, Net]], printer: Printer
) -> Unit:
    """A block as a unit. outputs: by port. Its model is the description, run as a whole (`design.interpret`)."""
    for part in block.parts:
        printer.part(part)
    ends = [f"    assign {port} = {net.name};" for port, net in outputs if port != net.name]
    loop = ["    genvar i;"] if any("for (i" in line for line in printer.lines) else []
    return Unit(
        name=name,
        inputs=(Port("reset", 1, signed=False), *(_port(net.name, net) for net in inputs)),
        outputs=tuple(_port(port, net) for port, net in outputs),
        body="\n".join([*loop, *printer.lines, *ends]),
        model=_no_model,
        clocked=True,
        needs=tuple(printer.units.values()),
    )


def _port(name: str, net: Net) -> Port:
    return Port(name, net.width, net.lanes * net.elements, signed=net.signed and net.width > 1)


def _no_model(_values: Values) -> dict[str, Tensor]:
    raise NotImplementedError("a block is interpreted as a whole: abcost.accelerator.design.interpret")


def engine_unit(
    name: str,
    design: EngineDesign,
    words: Sequence[int],
    file: str,
    place: str = "block",
    *,
    gates: bool = False,
) -> Unit:
    """The engine: modules of its dot product, of the way to fewer lanes, and of its chain; wires between them.

    gates: for standard cells, where a multiplier is no block and as small as what it is between.
    """
    every = [*design.sums.parts, *design.turn.parts, *design.chain.parts]
    closed = not gates and many_multipliers(every)
    inputs = _free(design.sums)
    given, taken = _of_sums(design.sums.sums), _of_sums(design.turn.sums)
    sums = module(
        f"{name}_sums", design.sums, inputs, [(to.name, own) for own, to in zip(given, taken, strict=True)],
        Printer(words, file, place, closed=closed),
    )  # fmt: skip
    turn = module(
        f"{name}_turn", design.turn, taken, [("value", design.turn.value), ("ready", design.turn.coming)],
        Printer(),
    )  # fmt: skip
    results = [
        pair
        for i, result in enumerate(design.chain.results)
        for pair in ((f"y{i}", result.net), (f"y{i}_valid", result.valid))
    ]
    takes = [(f"{side.net.name}_take", side.take) for side in design.chain.sides]
    chain_inputs = [design.chain.value, design.chain.coming, *(side.net for side in design.chain.sides)]
    chain = module(f"{name}_chain", design.chain, chain_inputs, [*takes, *results], Printer(closed=closed))
    outer = [*inputs, *(side.net for side in design.chain.sides)]
    wires = [*((net.name, net.bits) for net in taken), ("value", design.turn.value.bits), ("ready", 1)]
    lines = [
        *(f"    wire {span(bits)}{wire};" for wire, bits in wires),
        _instance_of(sums, {}),
        _instance_of(turn, {}),
        _instance_of(chain, {design.chain.value.name: "value", design.chain.coming.name: "ready"}),
    ]
    return Unit(
        name=name,
        inputs=(Port("reset", 1, signed=False), *(_port(net.name, net) for net in outer)),
        outputs=tuple(_port(port, net) for port, net in (*takes, *results)),
        body="\n".join(lines),
        model=_no_model,
        clocked=True,
        needs=(sums, turn, chain),
    )


def _of_sums(sums: Sum) -> list[Net]:
    return [sums.value, sums.valid, *([] if sums.taps is None else [sums.taps[0]])]


def _instance_of(unit: Unit, renamed: dict[str, str]) -> str:
    ports = [port.name for port in (*unit.inputs, *unit.outputs)]
    wires = ", ".join([".clk(clk)", *(f".{port}({renamed.get(port, port)})" for port in ports)])
    return f"    {unit.name} {unit.name.rsplit('_', 1)[1]}_part ({wires});"


def _free(block: Block) -> list[Net]:
    """Nets that a block reads and does not drive: its inputs, in the order in which they are read."""
    driven = {net.name for part in block.parts for _, net in part.outputs}
    read = [net_of(x) for part in block.parts for _, x in part.inputs]
    found: dict[str, Net] = {}
    for net in read:
        if net.name not in driven and net.name != "reset":
            found.setdefault(net.name, net)
    return list(found.values())
