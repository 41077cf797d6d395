"""The top level of a network as Verilog: windows, engines, FIFOs, and AXI4-Stream at both ends.

    s_axis --> window of the first engine --> engine --> ... --> FIFO --> m_axis

Modules and nets are named after the layers. An engine goes on only while whoever reads its results has room, so that
nothing is lost however the ends stall.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from abcost.accelerator.design.buffers import WINDOW_STAGES, Buffer
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.design.network import Edge, Map, NetworkDesign, Stage
from abcost.accelerator.engine_memory import stored_word
from abcost.core.kinds import DotArithmetic
from abcost.emit.fifo import fifo_unit
from abcost.emit.project import identifier
from abcost.emit.rows import packed
from abcost.emit.verilog import engine_unit, span
from abcost.emit.window import Shape, window_unit
from abcost.errors import UsageError
from abcost.rtl.unit import Port, Unit, Values, flag


@dataclass(frozen=True, slots=True)
class Top:
    """The text of the top module, the modules that it instantiates (each with those it needs), and memory files.

    input_slot, output_slot: bits that an element takes in tdata; taken, given: elements of one beat. answers: elements
    that an image is answered with, of `answer_bits` bits: its logits, or the number of the largest.
    """

    name: str
    text: str
    modules: Mapping[str, Unit]
    files: Mapping[str, str]
    input_slot: int
    output_slot: int
    taken: int
    given: int
    answers: int
    answer_bits: int

    @property
    def verilog(self) -> dict[str, str]:
        """Module -> its text, of all that the top needs, each once."""
        found: dict[str, str] = {}
        for unit in self.modules.values():
            _collect(unit, found)
        return found


def _collect(unit: Unit, found: dict[str, str]) -> None:
    for needed in unit.needs:
        _collect(needed, found)
    found.setdefault(unit.name, unit.verilog)


def slot(bits: int) -> int:
    """Bits of an element in a stream: whole bytes."""
    return -(-bits // 8) * 8


def top_of(
    net: NetworkDesign,
    buffers: Mapping[Edge, Buffer],
    places: Mapping[str, str],
    *,
    header: str,
    name: str = "top",
    argmax: bool = False,
    gates: bool = False,
) -> Top:
    """The top module. places: of weights, by stage name, block, lutram or rom. argmax: the largest logit's number.

    gates: for standard cells.

    Raises UsageError for equal names, or logits that come several at once where their largest is asked for.
    """
    out = buffers[net.logits]
    if argmax and out.read != 1:
        raise UsageError(
            f"the last layer gives {out.read} logits at a time: --argmax takes one; give it a PE of 1"
        )
    if argmax:
        number = NumberFormat((net.logits.map.elements - 1).bit_length() + 1, 0)
        out = replace(out, edge=replace(net.logits, number=number, map=Map(1, 1, 1)))
    writer = _Writer(net, buffers, places, out, gates=gates)
    body = "\n".join(f"    {line}" if line else "" for line in writer.lines())
    first, last = buffers[net.readers(None)[0]], out
    taken, given = slot(first.edge.bits), slot(last.edge.bits)
    ports = [
        "input aclk", "input aresetn", f"input [{taken * first.arriving - 1}:0] s_axis_tdata", "input s_axis_tvalid",
        "output s_axis_tready", "input s_axis_tlast", f"output [{given * last.read - 1}:0] m_axis_tdata",
        "output m_axis_tvalid", "input m_axis_tready", "output m_axis_tlast", "output reg misaligned",
    ]  # fmt: skip
    text = (
        f"{header}module {name} (\n"
        + ",\n".join(f"    {port}" for port in ports)
        + f"\n);\n{body}\nendmodule\n"
    )
    files: dict[str, str] = {}
    for unit in writer.modules.values():
        files |= unit.all_files
    return Top(
        name, text, writer.modules, files, taken, given, first.arriving, last.read, last.edge.map.elements,
        last.edge.bits,
    )  # fmt: skip


class _Writer:
    def __init__(
        self,
        net: NetworkDesign,
        buffers: Mapping[Edge, Buffer],
        places: Mapping[str, str],
        out: Buffer,
        *,
        gates: bool,
    ) -> None:
        """out: the FIFO at the end."""
        self.net, self.buffers, self.places, self.out, self.gates = net, buffers, places, out, gates
        self.modules: dict[str, Unit] = {}
        self.names = [identifier(stage.name) for stage in net.stages]
        twice = {name for name in self.names if self.names.count(name) > 1}
        if twice:
            raise UsageError(
                f"two layers would be written as module {min(twice)}: give them names of their own"
            )

    def lines(self) -> Iterator[str]:
        yield from self._input()
        for number, stage in enumerate(self.net.stages):
            yield ""
            yield from self._stage(number, stage)
        yield ""
        yield from self._output()

    def _add(self, unit: Unit) -> None:
        if unit.name in self.modules:
            raise UsageError(f"two modules would be named {unit.name}: give layers other names")
        self.modules[unit.name] = replace(unit, keep=True)  # figures per engine, after synthesis too

    def _data(self, edge: Edge) -> tuple[str, str]:
        """Nets of the data and of the flag that it is there, at the end of the producer."""
        if edge.producer is None:
            return "image", "image_valid"
        name = self.names[edge.producer]
        return f"{name}_y{edge.port}", f"{name}_y{edge.port}_valid"

    def _room(self, edge: Edge) -> str:
        if edge.consumer is None:
            return "logits_room"
        name = self.names[edge.consumer]
        return f"{name}_window_room" if edge.side is None else f"{name}_x{edge.side}_room"

    def _input(self) -> Iterator[str]:
        net = self.net
        readers = net.readers(None)
        first = self.buffers[readers[0]]
        bits, size = first.edge.bits, slot(first.edge.bits)
        beats = net.image.elements // first.arriving
        count = max(1, (beats - 1).bit_length())
        yield "wire clk = aclk;"
        yield "// room: a buffer takes what is on its way to it"
        for edge in net.edges:
            yield f"wire {self._room(edge)};"
        yield from self._reset()
        yield ""
        yield f"// The image: {net.image.rows} x {net.image.columns} pixels, row by row, {net.image.channels} channels,"
        yield (
            f"// {first.arriving} of them in a beat, each {bits} bits in two's complement in {size} bits of tdata, "
            "the first one lowest."
        )
        yield f"wire [{first.arriving * bits - 1}:0] image;"
        for i in range(first.arriving):
            yield (
                f"assign image[{(i + 1) * bits - 1}:{i * bits}] = s_axis_tdata[{i * size + bits - 1}:{i * size}];"
            )
        yield f"assign s_axis_tready = {' & '.join(self._room(edge) for edge in readers)};"
        yield "wire image_valid = s_axis_tvalid & s_axis_tready;"
        yield "// misaligned: tlast once did not come with the last beat of an image"
        yield f"reg [{count - 1}:0] beat;"
        yield f"wire last_beat = beat == {count}'d{beats - 1};"
        yield "always @(posedge clk)"
        yield "    if (reset) begin beat <= 0; misaligned <= 0; end"
        yield "    else if (image_valid) begin"
        yield f"        beat <= last_beat ? {count}'d0 : beat + {count}'d1;"
        yield "        if (s_axis_tlast != last_beat) misaligned <= 1;"
        yield "    end"

    def _reset(self) -> Iterator[str]:
        """Held until flags on their way through the longest engine are gone: its registers have no reset."""
        longest = max(stage.design.stages + stage.design.folding.pe for stage in self.net.stages)
        bits = (WINDOW_STAGES + longest + 8).bit_length()
        yield f"// reset stays for {1 << bits} cycles after aresetn: as long as a value may be on its way"
        yield f"reg [{bits}:0] since;"
        yield "reg reset;"
        yield "always @(posedge clk) begin"
        yield f"    if (~aresetn) since <= 0; else if (~since[{bits}]) since <= since + {bits + 1}'d1;"
        yield f"    reset <= ~since[{bits}];"
        yield "end"

    def _stage(self, number: int, stage: Stage) -> Iterator[str]:
        name = self.names[number]
        engine = self._engine(name, stage)
        inside = any(port.name == "inside" for port in engine.inputs)
        shape = Shape(
            stage.window, self.buffers[stage.source], stage.passes, stage.folds, inside=inside,
            zeros=stage.window.padded and stage.design.engine.arithmetic is not DotArithmetic.XNOR,
        )  # fmt: skip
        window = window_unit(f"{name}_window", shape)
        self._add(window)
        folding = stage.design.folding
        rows, columns = stage.window.positions
        yield (
            f"// {' '.join(stage.name.split())}: {rows} x {columns} positions, {stage.design.engine.channels} channels "
            f"of {stage.design.engine.taps} taps; PE {folding.pe}, SIMD {folding.simd}, {stage.cycles} cycles an image"
        )
        for port in (*window.outputs, *engine.outputs):
            if port.name != "room":
                yield f"wire {span(port.bits)}{name}_{port.name};"
        for side in stage.sides:
            bits = side.bits * stage.design.lanes
            yield f"wire {span(bits)}{name}_x{side.side};"
            yield f"wire {name}_x{side.side}_enough;"
        rooms = [
            self._room(edge) for port in range(len(stage.results)) for edge in self.net.readers(number, port)
        ]
        starts = [f"{name}_x{side.side}_enough" for side in stage.sides]
        data, there = self._data(stage.source)
        ends = {"push": there, "push_data": data, "room": f"{name}_window_room",
                "may_start": " & ".join(starts) or "1'b1",
                "may": " & ".join(dict.fromkeys(rooms)) or "1'b1"}  # fmt: skip
        yield _instance(
            window,
            "",
            {p.name: ends.get(p.name, f"{name}_{p.name}") for p in (*window.inputs, *window.outputs)},
        )
        for side in stage.sides:
            yield from self._side(name, stage, side)
        wires = {p.name: f"{name}_{p.name}" for p in (*engine.inputs, *engine.outputs)}
        yield _instance(engine, "_engine", wires)

    def _side(self, name: str, stage: Stage, side: Edge) -> Iterator[str]:
        own = f"{name}_x{side.side}"
        unit = fifo_unit(f"{own}_fifo", self.buffers[side], pe=stage.design.folding.pe)
        self._add(unit)
        data, there = self._data(side)
        ends = {"push": there, "push_data": data, "room": self._room(side), "data": own, "enough": f"{own}_enough",
                "take": f"{own}_take", "starts": f"{name}_starts"}  # fmt: skip
        yield f"// residual operand: {' '.join(side.node.split())}"
        yield _instance(unit, "", ends)

    def _engine(self, name: str, stage: Stage) -> Unit:
        design = stage.design
        word = stored_word(design.engine, design.number)
        words = stage.words
        place = self.places.get(stage.name, "block")
        unit = engine_unit(name, design, packed(words, word), f"{name}_weights.hex", place, gates=self.gates)
        self._add(unit)
        return unit

    def _output(self) -> Iterator[str]:
        net, buffer = self.net, self.out
        edge = buffer.edge
        unit = fifo_unit("logits_fifo", buffer, pe=None)
        self._add(unit)
        size, bits = slot(edge.bits), edge.bits
        beats = edge.map.elements // buffer.read
        data, there = self._data(net.logits)
        if edge is not net.logits:
            yield "// Of the logits the number of the largest, of equal ones the first."
            largest = argmax_unit("logits_argmax", net.number.width, net.logits.map.elements)
            self._add(largest)
            yield f"wire {span(bits)}largest;"
            yield "wire largest_valid;"
            yield _instance(
                largest, "", {"x": data, "valid": there, "y": "largest", "y_valid": "largest_valid"}
            )
            data, there = "largest", "largest_valid"
        else:
            yield (
                f"// Logits: {edge.map.elements} of them, {buffer.read} in a beat, {bits} bits with "
                f"{net.number.fraction_bits} behind the point, in {size} bits of tdata with copies of the sign."
            )
        yield f"wire [{buffer.read * bits - 1}:0] logits;"
        yield "wire take_logits = m_axis_tvalid & m_axis_tready;"
        yield _instance(
            unit, "",
            {"push": there, "push_data": data, "room": "logits_room", "data": "logits", "there": "m_axis_tvalid",
             "take": "take_logits"},
        )  # fmt: skip
        for i in range(buffer.read):
            value = f"logits[{(i + 1) * bits - 1}:{i * bits}]"
            extended = (
                value if size == bits else f"{{{{{size - bits}{{logits[{(i + 1) * bits - 1}]}}}}, {value}}}"
            )
            yield f"assign m_axis_tdata[{(i + 1) * size - 1}:{i * size}] = {extended};"
        if beats == 1:
            yield "assign m_axis_tlast = 1'b1;"
            return
        count = (beats - 1).bit_length()
        yield f"reg [{count - 1}:0] logit;"
        yield f"assign m_axis_tlast = logit == {count}'d{beats - 1};"
        yield "always @(posedge clk) if (reset) logit <= 0;"
        yield f"    else if (take_logits) logit <= m_axis_tlast ? {count}'d0 : logit + {count}'d1;"


def argmax_unit(name: str, width: int, values: int) -> Unit:
    """Values come one by one, so many of them; with the last one the number of the largest."""
    bits = (values - 1).bit_length()
    body = [
        f"reg signed [{width - 1}:0] best;",
        f"reg [{bits - 1}:0] number, at, found;",
        "reg there;",
        f"wire last = number == {bits}'d{values - 1};",
        f"wire larger = (number == {bits}'d0) | (x > best);",
        "assign y = {1'b0, found};",
        "assign y_valid = there;",
        "always @(posedge clk) begin",
        "    there <= valid & last & ~reset;",
        f"    if (reset) number <= 0; else if (valid) number <= last ? {bits}'d0 : number + {bits}'d1;",
        "    if (valid & larger) begin best <= x; at <= number; end",
        "    found <= larger ? number : at;",
        "end",
    ]
    return Unit(
        name=name, inputs=(flag("reset"), Port("x", width), flag("valid")),
        outputs=(Port("y", bits + 1, signed=False), flag("y_valid")), body="\n".join(f"    {line}" for line in body),
        model=_no_model, clocked=True,
    )  # fmt: skip


def _no_model(_values: Values) -> dict[str, Tensor]:
    raise NotImplementedError("the largest logit is found by who compares it")


def _instance(unit: Unit, suffix: str, wires: Mapping[str, str]) -> str:
    ports = [port.name for port in (*unit.inputs, *unit.outputs)]
    text = ", ".join(f".{port}({'reset' if port == 'reset' else wires[port]})" for port in ports)
    return f"{unit.name} {unit.name}_i{suffix} (.clk(clk), {text});"
