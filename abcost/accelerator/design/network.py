"""The engines of a whole network and the tensors between them, described once.

    images --window--> stage 0 --edge--> window--> stage 1 ... --edge--> logits
                          '------ edge, a residual operand ------^

A stage is an engine with the window that its dot product reads. An edge is one tensor on its way from one stage to one
other; a tensor with several readers is several edges. Values come pixel by pixel, row by row, channels inside. All
values of the residual path have the one number format of the network; signs are bits (1 is +1, 0 is -1).

What cannot be written is refused with its layer: `describe_network` raises UsageError before anything is made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from abcost.accelerator.design.designer import Designer
from abcost.accelerator.design.dot import Leaf
from abcost.accelerator.design.engine import EngineDesign, image_of, steps_of
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.design.weights import weight_rows, weight_words
from abcost.accelerator.engine import Engine
from abcost.accelerator.folding import Folding
from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.errors import UsageError

CAT = "cat.default"
_SAME_ORDER = frozenset({
    "view.default", "_unsafe_view.default", "reshape.default", "flatten.using_ints", "squeeze.dim", "squeeze.dims",
    "unsqueeze.default", "alias.default", "clone.default", "detach.default", "contiguous.default",
})  # fmt: skip
"""Operators that leave elements in their order and change the shape at most."""


@dataclass(frozen=True, slots=True)
class Map:
    """Rows, columns and channels of a tensor of one image; a vector has one pixel."""

    rows: int
    columns: int
    channels: int

    @property
    def pixels(self) -> int:
        """Rows times columns."""
        return self.rows * self.columns

    @property
    def elements(self) -> int:
        """Number of elements of the whole tensor."""
        return self.pixels * self.channels


@dataclass(frozen=True, slots=True)
class Edge:
    """A tensor on its way to one reader.

    node: that makes it. number: its format; None for bits. producer: number of the stage whose result `y{port}` it is;
    None for the image. consumer: number of the stage that reads it, None for the logits. side: as its residual operand
    `x{side}`; None: in the window of its dot product. passes: times that each pixel of a residual operand is
    read, for as many channels each time.
    """

    node: str
    map: Map
    number: NumberFormat | None
    producer: int | None
    port: int
    consumer: int | None
    side: int | None
    passes: int = 1

    @property
    def residual(self) -> bool:
        """Whether it goes past the dot product of its reader."""
        return self.side is not None

    @property
    def bits(self) -> int:
        """Bits of one element."""
        return 1 if self.number is None else self.number.width


@dataclass(frozen=True, slots=True)
class StageWindow:
    """The pixels that a dot product reads at each of its positions, (rows, columns) each.

    source: the map that it moves over, from -padding on; a linear layer reads its whole map at one position.
    """

    source: Map
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    positions: tuple[int, int]

    @property
    def padded(self) -> bool:
        """Whether it reaches beyond the map."""
        return any(self.padding)


@dataclass(frozen=True, slots=True)
class Stage:
    """An engine in the network. sides: one for each residual operand, in order; results: nodes of `y0`, `y1`, ..."""

    design: EngineDesign
    window: StageWindow
    source: Edge
    sides: tuple[Edge, ...]
    results: tuple[str, ...]

    @property
    def name(self) -> str:
        """Layer of the dot product."""
        return self.design.engine.name

    @property
    def cycles(self) -> int:
        """Clock cycles of one image: positions * folds * passes * steps of a pass."""
        folding = self.design.folding
        return self.design.engine.cycles(folding.pe, folding.simd)

    @property
    def folds(self) -> int:
        """Groups of PE channels of one position."""
        return self.design.engine.channels // self.design.folding.pe

    @property
    def passes(self) -> int:
        """Times that a window is read for the dot products of one group: once for each signed digit of a weight."""
        return self.design.engine.digits

    @property
    def steps(self) -> int:
        """Clock cycles of the dot products of one group."""
        return steps_of(self.design.engine, self.design.folding)

    @property
    def weights(self) -> Tensor:
        """(channels, K) whole numbers, in the order of the window: kernel row, column, input channel; signs 0 and 1."""
        return weight_rows(self.design, self._pixels)

    @property
    def words(self) -> Tensor:
        """(folds * steps, PE * SIMD) whole numbers, a word of weights for each clock cycle."""
        return weight_words(self.design, self._pixels)

    @property
    def _pixels(self) -> int | None:
        return self.window.source.pixels if self.design.engine.dot.kind is OpKind.LINEAR else None


@dataclass(frozen=True, slots=True)
class NetworkDesign:
    """Stages in order and every edge. image: the network's input; logits: edge to the output.

    order: of the logits' nodes nothing is moved, they come channel by channel.
    """

    graph: OpGraph
    number: NumberFormat
    stages: tuple[Stage, ...]
    edges: tuple[Edge, ...]
    image: Map
    logits: Edge

    def readers(self, producer: int | None, port: int = 0) -> tuple[Edge, ...]:
        """The edges of one result, or of the image."""
        return tuple(edge for edge in self.edges if (edge.producer, edge.port) == (producer, port))


def describe_network(
    graph: OpGraph,
    engines: Sequence[Engine],
    foldings: Sequence[Folding],
    number: NumberFormat,
    leaf: Leaf | None = None,
) -> NetworkDesign:
    """The network of all engines at these foldings. Raises UsageError for what cannot be written, with its layer."""
    image = _only(graph.of_kind(OpKind.INPUT), "input")
    if image.shape[0] != 1:
        raise UsageError(
            f"the network takes {image.shape[0]} images at once; a circuit takes one after another"
        )
    designer = Designer(graph, number, leaf)
    designs = [designer.design(engine, folding) for engine, folding in zip(engines, foldings, strict=True)]
    for design in designs:
        if design.unwritten:
            raise UsageError(f"layer {design.engine.name} has no Verilog: {'; '.join(design.unwritten)}")
    walk = _Walk(graph, number, image, designs)
    stages = tuple(walk.stage(i) for i in range(len(designs)))
    output = _only(graph.of_kind(OpKind.OUTPUT), "output")
    logits = walk.edge(_only(graph.sources(output), "result"), None, None, "the output")
    edges = (*(edge for stage in stages for edge in (stage.source, *stage.sides)), logits)
    return NetworkDesign(graph, number, stages, edges, map_of(image), logits)


def map_of(node: OpNode) -> Map:
    """The map of a node of one image: (1, C, H, W), (1, C) or (1, C, L)."""
    shape = node.shape
    if len(shape) == 4:
        return Map(shape[2], shape[3], shape[1])
    if len(shape) == 3:
        return Map(1, shape[2], shape[1])
    return Map(1, 1, shape[-1])


def window_at(graph: OpGraph, engine: Engine) -> StageWindow:
    """The window of a dot product. Raises UsageError for one that has no Verilog, with its layer."""
    dot, before = engine.dot, graph.sources(engine.dot)[0]
    made = map_of(_origin(graph, before, f"layer {engine.name}"))
    if dot.kind is not OpKind.CONV:
        if made.elements != engine.taps:
            raise UsageError(
                f"layer {engine.name} reads {engine.taps} of {made.elements} values of {before.name} at a time: "
                "that has no Verilog"
            )
        whole = (made.rows, made.columns)
        return StageWindow(made, whole, whole, (0, 0), (1, 1), (1, 1))
    if map_of(before) != made:
        raise UsageError(f"layer {engine.name} reads {before.name} in another shape: that has no Verilog")
    a = dot.attrs
    rows, columns = image_of(dot)
    kernel, stride, padding, dilation = (
        (int(v[0]), int(v[1]))
        for v in (dot.consts["weight"].values.shape[2:], a["stride"], a["padding"], a["dilation"])
    )
    return StageWindow(made, kernel, stride, padding, dilation, (rows, columns))


def _origin(graph: OpGraph, node: OpNode, where: str) -> OpNode:
    """What makes the values of a node: before what only changes a shape."""
    while node.kind is OpKind.WIRING:
        aten = str(node.attrs.get("aten"))
        if aten not in _SAME_ORDER or node.consts or len(graph.sources(node)) != 1:
            raise UsageError(
                f"{where} reads {node.name}, whose values are moved by {aten}: that has no Verilog"
            )
        node = graph.sources(node)[0]
    return node


@dataclass(slots=True)
class _Walk:
    graph: OpGraph
    number: NumberFormat
    image: OpNode
    designs: Sequence[EngineDesign]

    def stage(self, number: int) -> Stage:
        """The stage of an engine, with its edges."""
        design = self.designs[number]
        engine = design.engine
        source = self.edge(self.graph.sources(engine.dot)[0], number, None, f"layer {engine.name}")
        window = window_at(self.graph, engine)
        if engine.in_adders and engine.dot.kind is OpKind.LINEAR and window.source.pixels > 1:
            raise UsageError(
                f"layer {engine.name} reads a map of {window.source.pixels} pixels, and its graph of adders is wired "
                "for channels: give --constant-multiply csd"
            )
        results = tuple(result.node.name for result in design.chain.results)
        sides = tuple(self._side(side.node, number, i, engine) for i, side in enumerate(design.chain.sides))
        for edge, side in zip(sides, design.chain.sides, strict=True):
            self._check_side(edge, side.node, engine)
            if edge.passes > 1 and edge.map.channels % design.folding.pe:
                raise UsageError(
                    f"layer {engine.name} reads {edge.node} {edge.passes} times: its PE {design.folding.pe} has to "
                    f"divide {edge.map.channels} channels; give a --folding"
                )
        return Stage(design, window, source, sides, results)

    def _side(self, node: OpNode, consumer: int, side: int, engine: Engine) -> Edge:
        """Edge of a residual operand, which may be one tensor several times, side by side."""
        sources = self.graph.sources(node)
        passes = len(sources) if is_repeated(self.graph, node) else 1
        found = self.edge(sources[0] if passes > 1 else node, consumer, side, f"layer {engine.name}")
        return replace(found, passes=passes)

    def edge(self, node: OpNode, consumer: int | None, side: int | None, where: str) -> Edge:
        """Edge to `consumer` from the node that makes the values, looking through what only changes a shape."""
        origin = _origin(self.graph, node, where)
        number = self.number if self.graph.precision(origin).width(2) > 1 else None
        if origin is self.image:
            return Edge(origin.name, map_of(origin), number, None, 0, consumer, side)
        for i, design in enumerate(self.designs):
            for port, result in enumerate(design.chain.results):
                if result.node is origin:
                    return Edge(origin.name, map_of(origin), number, i, port, consumer, side)
        raise UsageError(f"{where} reads {origin.name} ({origin.kind.value}), which no engine makes")

    def _check_side(self, edge: Edge, node: OpNode, engine: Engine) -> None:
        """Raise UsageError unless a residual operand comes pixel by pixel, like its reader's dot products."""
        given = replace(edge.map, channels=edge.map.channels * edge.passes)
        if map_of(node) != given and edge.map.pixels != 1:
            raise UsageError(f"layer {engine.name} adds {edge.node} in another shape: that has no Verilog")
        if given.elements != engine.positions * engine.channels:
            raise UsageError(f"layer {engine.name} adds {edge.node} behind a pool: that has no Verilog")


def joins_channels(node: OpNode) -> bool:
    """Whether a node puts tensors side by side, channel by channel."""
    return node.kind is OpKind.WIRING and node.attrs.get("aten") == CAT and node.attrs["args"][1] == 1


def is_repeated(graph: OpGraph, node: OpNode) -> bool:
    """Whether a node is one tensor several times, side by side in its channels."""
    return joins_channels(node) and len({source.name for source in graph.sources(node)}) == 1


def _only(nodes: Sequence[OpNode], what: str) -> OpNode:
    if len(nodes) != 1:
        raise UsageError(f"the network has {len(nodes)} {what}s; a circuit is made of networks with one")
    return nodes[0]
