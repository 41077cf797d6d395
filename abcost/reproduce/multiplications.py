"""Multiplications per network, 12 rows: published, by the project's convention, and by the row's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from abcost.core.primitives import PUBLISHED_ORIGINS, Origin
from abcost.reproduce import trace as quantity
from abcost.reproduce.printed import Verdict, millions, verdict
from abcost.reproduce.trace import Trace, trace_network


@dataclass(frozen=True, slots=True)
class Term:
    """What a row counts more (sign +1) or less (-1) than the project's published convention."""

    sign: int
    what: str
    origin: Origin
    count: Callable[[Trace], int]


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One row of the paper's table, and the convention under which its figure comes out."""

    network: str  # as printed
    model: str
    variant: str
    published: str  # as printed
    terms: tuple[Term, ...] = ()
    convention: str = ""  # the terms in words
    note: str = ""  # where the paper is not consistent, or claims more than its network gives


NO_SHORTCUT_NORM = Term(-1, "shortcut batch norm", Origin.BATCH_NORM, quantity.shortcut_batch_norm)
WEIGHT_SCALE = Term(+1, "weight scale of the blocks", Origin.WEIGHT_SCALE, quantity.block_weight_scale)
K_MAP = Term(+1, "activation scale K", Origin.ACTIVATION_SCALE, quantity.activation_scale_map)
BETA_AT_OUTPUT = Term(+1, "block outputs", Origin.ACTIVATION_SCALE, quantity.block_outputs)
NO_BETA = Term(-1, "beta at block inputs", Origin.ACTIVATION_SCALE, quantity.beta)
POOL_TAPS = Term(+1, "taps of pooled outputs", Origin.AVG_POOL, quantity.pooled_taps)
NO_POOL = Term(-1, "pooled outputs", Origin.AVG_POOL, quantity.pooled_outputs)
NO_SHORTCUT_CONV = Term(-1, "real shortcut convolutions", Origin.SHORTCUT, quantity.shortcut_convolutions)

ROWS: tuple[PaperRow, ...] = (
    PaperRow(
        "BNN-ResNet-18", "bnn_18", "bn", "1.51 M", (NO_SHORTCUT_NORM,),
        "batch norm of the shortcuts left out",
        "XNOR-ResNet-18, of the same shape, counts it",
    ),
    PaperRow(
        "XNOR-ResNet-18", "xnornet_18", "bn", "3.20 M", (WEIGHT_SCALE, K_MAP),
        "weight scale of the blocks counted, and one activation scale K per output position",
        "the only row with a weight scale; that of its shortcuts is left out and their batch norm counted, or "
        "the other way round, the same number",
    ),
    PaperRow(
        "Bi-ResNet-18", "birealnet_18", "bn", "20.86 M", (NO_SHORTCUT_NORM,),
        "batch norm of the shortcuts left out",
        "Bi-ResNet-34 counts it",
    ),
    PaperRow(
        "ReActNet-18", "reactnet_18", "bn", "22.37 M", (NO_SHORTCUT_NORM,),
        "batch norm of the shortcuts left out",
        "as Bi-ResNet-18, unlike Bi-ResNet-34",
    ),
    PaperRow(
        "ReActNet-18 (BN-free)", "reactnet_18", "bn-free", "4.60 M", (BETA_AT_OUTPUT, NO_BETA),
        "beta counted at each block's output size",
        "beta acts on the block's input; ReActNet-A (BN-free) counts it there",
    ),
    PaperRow(
        "Bi-ResNet-34", "birealnet_34", "bn", "22.20 M", (NO_POOL,),
        "pooling left out, batch norm of the shortcuts counted",
        "the reverse of Bi-ResNet-18; or two per pooled output and no shortcut batch norm, the same number",
    ),
    PaperRow(
        "ReActNet-A", "reactnet_a", "bn", "10.79 M", (POOL_TAPS, NO_POOL),
        "one multiplication for each of the four taps of a pooled output",
        "every other row counts one per pooled output, or none",
    ),
    PaperRow("ReActNet-A (BN-free)", "reactnet_a", "bn-free", "14.65 M"),
    PaperRow(
        "Bi-ResNet-18 (A&B)", "birealnet_18", "ab", "0", (NO_SHORTCUT_CONV,),
        "0 only if the real shortcut convolutions are left out",
        "Bi-ResNet-18 and -34 count them; its two PReLUs (after the stem, before the global pool) have real "
        "slopes, which the lowered network rounds to powers of two",
    ),
    PaperRow("ReActNet-18 (A&B)", "reactnet_18", "ab", "0"),
    PaperRow("ReActNet-34 (A&B)", "reactnet_34", "ab", "0"),
    PaperRow("ReActNet-A (A&B)", "reactnet_a", "ab", "0"),
)  # fmt: skip
"""Table of multiplication operations, ImageNet 224x224 (A&B BNN, CVPR 2024)."""


@dataclass(frozen=True, slots=True)
class Multiplications:
    """One row with our figures."""

    paper: PaperRow
    stage: str  # of our graph that is counted
    strict: dict[Origin, int]  # every multiplication of that stage
    own: dict[Origin, int]  # what the row's own convention counts
    formula: str  # of the row's own convention

    @property
    def counted(self) -> int:
        """Multiplications by the project's published convention."""
        return sum(self.strict[origin] for origin in PUBLISHED_ORIGINS)

    @property
    def by_convention(self) -> int:
        """Multiplications by the row's own convention."""
        return sum(self.own.values())

    @property
    def verdict(self) -> Verdict:
        """Whether the published figure comes out."""
        return verdict(self.paper.published, millions(self.counted), millions(self.by_convention))


def multiplications(row: PaperRow) -> Multiplications:
    """Trace the row's network and count."""
    trace = trace_network(row.model, row.variant)
    strict = trace.tally.by_origin()
    own = {origin: strict[origin] if origin in PUBLISHED_ORIGINS else 0 for origin in Origin}
    text = f"{sum(own.values()):,}"
    for term in row.terms:
        count = term.count(trace)
        own[term.origin] += term.sign * count
        text += f" {'+' if term.sign > 0 else '-'} {count:,} ({term.what})"
    return Multiplications(row, trace.stage, strict, own, f"{text} = {sum(own.values()):,}")
