"""Whole layers: the estimate from a cost table against synthesis of the layer, and FINN's formula beside it.

Each datapath is one folded layer as `abcost rtl` writes it: PE lanes of XNOR-popcount, accumulator, 2p - K, weight
scale, shift, residual add, biases, quantized PReLU and threshold, with trained-like slope exponents out of a set.
It is synthesized twice for a 7-series device: whole, and with the popcounts as inputs, which leaves the
post-processing chain.

    estimate   sum over the units of the datapath of what the table fpga-lut6 says for one
    FINN       300 + 1.1 * (products + adder tree + accumulators + thresholds) of the matrix-vector unit, and one
               channel-wise operation per parameter (Xilinx/finn@39f0c9a fpgadataflow/hls: matrixvectoractivation,
               channelwise_op, addstreams = 0)
    error      |estimate - synthesis| / synthesis

    python benchmarks/datapaths.py [cache folder]
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from abcost.accelerator.engine import engines
from abcost.accelerator.folding import Folding
from abcost.accelerator.result import Prices
from abcost.core.graph import OpGraph
from abcost.core.inputs import InputSpec
from abcost.core.kinds import OpKind
from abcost.cost import CostTable
from abcost.emit.layer import Datapath, Style, datapath, find_engine
from abcost.models.recipe import Recipe
from abcost.models.stir import stir
from abcost.models.zoo.reactnet import ReActBlock
from abcost.nn import QuantizedPReLU
from abcost.pipeline import stage_graphs
from abcost.rewrite import RewriteOptions
from abcost.synth.flows import flow
from abcost.synth.runner import Answer, Job, Synthesizer, default_cache
from abcost.synth.tools import find_yosys

FRACTION_BITS = 8
TARGET = "fpga-lut6"


@dataclass(frozen=True, slots=True)
class Case:
    """One datapath: 9 * channels taps, folded to PE x SIMD, at a width, with a set of slope exponents.

    Channels as the networks of the zoo have them.
    """

    channels: int
    pe: int
    simd: int
    width: int = 16
    exponents: tuple[int, ...] = (-3,)
    rom: bool = True
    pipelined: bool = False

    def __str__(self) -> str:
        kind = ("ROM" if self.rom else "inputs") + (", pipelined" if self.pipelined else "")
        return f"N={9 * self.channels} PE={self.pe} SIMD={self.simd} {self.width} b |E|={len(self.exponents)} {kind}"


WIDE = tuple(range(-7, 1))
CASES = (
    Case(256, 1, 36),
    Case(256, 2, 144),
    Case(256, 4, 72, exponents=(-3, -1, 0)),
    Case(32, 2, 48, width=12, exponents=(-2, 0)),
    Case(32, 1, 144, width=24, exponents=(-5, -3, 1)),
    Case(32, 2, 36, rom=False),
    Case(256, 4, 144, exponents=WIDE, pipelined=True),
    Case(32, 1, 72, pipelined=True),
    Case(32, 2, 96, exponents=(-1, 0)),
    Case(32, 2, 288, exponents=(-4, -2, 0, 1)),
    Case(32, 4, 32, width=12),
    Case(32, 1, 288, width=20, exponents=WIDE),
    Case(32, 4, 72, exponents=(-3, 0), rom=False),
    Case(32, 2, 144, rom=False, pipelined=True),
    Case(32, 8, 36, exponents=(-6, -2)),
    Case(64, 1, 64),
    Case(64, 1, 576, exponents=(-3, -2, -1, 0)),
    Case(64, 2, 192, width=18, exponents=(-7, 2)),
    Case(64, 4, 96, exponents=WIDE, rom=False),
    Case(64, 2, 288, width=12, exponents=(-3, -1), pipelined=True),
    Case(64, 2, 576, width=24, rom=False, pipelined=True),
    Case(64, 8, 64, exponents=(-2, -1)),
    Case(64, 1, 144, width=14, exponents=(-9, -5, -3, -1, 0, 2), pipelined=True),
    Case(128, 1, 384, exponents=(-1,)),
    Case(128, 2, 128, exponents=(-4, -3, -2, -1, 0), pipelined=True),
    Case(128, 4, 96, width=18, exponents=(-3, 1), rom=False),
    Case(128, 1, 1152, width=20, exponents=(-3, 0), pipelined=True),
    Case(128, 2, 64, width=24, exponents=(-8, -4, -1), rom=False, pipelined=True),
    Case(64, 2, 96, exponents=(-4, -1)),
    Case(128, 2, 192, width=14, exponents=(-6, -2, 0), pipelined=True),
    Case(32, 4, 96, width=20, rom=False, exponents=(-3, -2)),
    Case(128, 2, 64, width=12, exponents=(-2,), pipelined=True),
    Case(128, 4, 48, exponents=(-5, -4, -3, -1)),
    Case(64, 4, 144, width=18, exponents=(-1, 1), pipelined=True),
    Case(256, 1, 256, width=20, exponents=(-7, -3)),
    Case(64, 1, 32, width=22, exponents=tuple(range(-6, 0)), rom=False, pipelined=True),
)


UNSEEN = (
    Case(256, 2, 96, width=18, exponents=(-5, -2)),
    Case(128, 4, 144, exponents=(-3, -2, -1, 0), pipelined=True),
    Case(64, 8, 36, width=14, exponents=(-4, -1, 0)),
    Case(32, 1, 48, width=20, exponents=(-6, -5, -3, 1)),
    Case(256, 4, 64, width=24, exponents=(-7, -4, -2, -1, 0), pipelined=True),
    Case(64, 2, 144, width=12, exponents=(-3,), rom=False),
    Case(128, 1, 288, width=22, exponents=(-8, -1), pipelined=True),
    Case(512, 2, 128, exponents=(-4, -3, -2)),
)
"""Written down before any was synthesized; nothing was changed for them. The structure of ROMs and of the selects of a
power-of-two PReLU, and which units are measured together, were found on CASES.
"""


class Blocks(nn.Module):
    """Two blocks of ReActNet; the sign of the second is the threshold of the first."""

    def __init__(self, channels: int, exponents: Sequence[int]) -> None:
        super().__init__()
        recipe = Recipe(stem="cifar", num_classes=10)
        self.block1, self.block2 = (ReActBlock(recipe, channels, channels, 1, 0.7) for _ in range(2))
        stir(self)
        picks = torch.randint(len(exponents), (channels,), generator=torch.Generator().manual_seed(0))
        chosen = torch.tensor(exponents, dtype=torch.float32)[picks]
        with torch.no_grad():
            for prelu in self.modules():
                if isinstance(prelu, QuantizedPReLU):
                    prelu.L_alpha.copy_(chosen.reshape(prelu.L_alpha.shape))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        found: Tensor = self.block2(self.block1(x))
        return found


@dataclass(frozen=True, slots=True)
class Row:
    """LUTs of one datapath."""

    case: Case
    whole: float
    estimated: float
    chain: float
    chain_estimated: float
    finn: float
    ffs: float
    ffs_estimated: float

    @property
    def errors(self) -> tuple[float, float, float]:
        """Of the whole, of the chain, and of FINN's formula for the whole."""
        return (
            abs(self.estimated / self.whole - 1),
            abs(self.chain_estimated / self.chain - 1),
            abs(self.finn / self.whole - 1),
        )


def paths(case: Case) -> tuple[Datapath, Datapath]:
    """The whole datapath of the first block, and the one that takes popcounts as inputs."""
    torch.manual_seed(0)
    model = Blocks(case.channels, case.exponents).eval()
    inputs = (InputSpec((1, case.channels, 4, 4)),)
    graph: OpGraph = stage_graphs(model, inputs, RewriteOptions()).stages[-1].graph
    engine = find_engine(engines(graph, case.width), "block1.conv1")
    folding = Folding(case.pe, case.simd)

    def build(*, popcount: bool) -> Datapath:
        style = Style(case.width, FRACTION_BITS, case.pipelined, case.rom, popcount)
        return datapath(graph, engine, folding, style)

    return build(popcount=True), build(popcount=False)


def estimate(path: Datapath, prices: Prices) -> dict[str, float]:
    """LUTs, flip-flops and DSPs of all its units."""
    found = prices.total(path.priced)
    return {name: value for name, value in found.items() if value is not None}


def finn(path: Datapath) -> float:
    """LUTs by FINN's formula, binary weights and activations (W = A = 1), parameters in LUT RAM if they are in ROMs."""
    pe, simd, engine = path.folding.pe, path.folding.simd, path.engine
    alpha = math.log2(engine.taps) + 1  # log2(MW) + W + A - 1, unsigned
    accumulator = math.ceil(alpha + math.log2(1 + 2**-alpha) + 1)
    words = math.ceil(engine.channels / pe / 64) if path.style.rom else 0
    products = pe * simd * (2 * math.ceil(2 / 6) - 1) * 2
    tree = pe * 2 * (2 * simd - 1)
    chain = [work.node for work in engine.chain]
    thresholds = pe * accumulator * (1 + words) * any(n.kind is OpKind.THRESHOLD for n in chain)
    per_channel = sum(n.kind is not OpKind.THRESHOLD and bool(n.consts) for n in chain)
    channelwise = per_channel * path.style.width * pe * (1 + words)
    return 300 + 1.1 * (products + tree + pe * accumulator + thresholds) + channelwise


def job(case: Case, path: Datapath, part: str) -> Job:
    """Its synthesis."""
    return Job(f"{case} {part}", path.unit.name, path.unit.source, flow("xc7"))


def measure(synthesizer: Synthesizer, prices: Prices) -> list[Row]:
    """Synthesize all datapaths, in parallel, from the cache where it has them."""
    built = [(case, *paths(case)) for case in (*CASES, *UNSEEN)]
    jobs = [
        job(c, path, part) for c, *both in built for path, part in zip(both, ("whole", "chain"), strict=True)
    ]
    answers = synthesizer.run_all(jobs, done=lambda j: print(f"  {j.name}", file=sys.stderr, flush=True))

    def row(case: Case, whole: Datapath, chain: Datapath) -> Row:
        made, said = [], []
        for path in (whole, chain):
            answer = answers[synthesizer.key(job(case, path, ""))]
            assert isinstance(answer, Answer), answer.reason
            made.append(answer.resources)
            said.append(estimate(path, prices))
        return Row(
            case,
            whole=made[0]["luts"],
            estimated=said[0]["luts"],
            chain=made[1]["luts"],
            chain_estimated=said[1]["luts"],
            finn=finn(whole),
            ffs=made[0]["ffs"],
            ffs_estimated=said[0]["ffs"],
        )

    return [row(*one) for one in built]


def summarize(group: str, rows: Sequence[Row]) -> None:
    """Mean and worst errors of some rows, and the ratio to FINN's."""
    errors = list(zip(*(row.errors for row in rows), strict=True))
    means = [sum(column) / len(column) for column in errors]
    for name, column, mean in zip(
        ("whole layer", "chain without popcount", "FINN, whole layer"), errors, means, strict=True
    ):
        print(f"{group}, {len(rows)} layers, {name}: mean error {mean:.1%}, worst {max(column):.1%}")
    print(f"{group}: FINN's formula is {means[2] / means[0]:.1f} times further off")


def main() -> None:
    """Print the table, mean and worst errors, and the ratio to FINN's."""
    synthesizer = Synthesizer(find_yosys(), Path(sys.argv[1]) if len(sys.argv) > 1 else default_cache())
    rows = measure(synthesizer, Prices(CostTable.load(TARGET)))
    grid = Table(title=f"LUTs of {len(rows)} folded layers, {synthesizer.yosys}, target {TARGET}")
    for name in ("datapath", "synthesis", "estimate", "error", "chain", "estimate", "error", "FINN", "error"):
        grid.add_column(name, justify="left" if name == "datapath" else "right")
    for row in rows:
        whole, chain, theirs = (f"{error:.1%}" for error in row.errors)
        figures = (
            f"{row.whole:.0f}",
            f"{row.estimated:.0f}",
            whole,
            f"{row.chain:.0f}",
            f"{row.chain_estimated:.0f}",
        )
        grid.add_row(str(row.case), *figures, chain, f"{row.finn:.0f}", theirs)
    Console(width=150).print(grid)
    for group, cases in (("tuned on", CASES), ("unseen", UNSEEN)):
        summarize(group, [row for row in rows if row.case in cases])
    registered = [row for row in rows if row.case.pipelined]
    wrong = [abs(row.ffs_estimated / row.ffs - 1) for row in registered]
    print(f"flip-flops of pipelined layers: mean error {sum(wrong) / len(wrong):.1%}, worst {max(wrong):.1%}")


if __name__ == "__main__":
    main()
