"""The tables as text cells, which every renderer for people reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from abcost.core.primitives import PUBLISHED_ORIGINS, Origin
from abcost.reproduce.accelerators import BITS, Operation, PublishedAccelerator
from abcost.reproduce.blocks import CLOCK_MHZ, FPS, NETWORK, SiliconBlock
from abcost.reproduce.distribution import PUBLISHED, Share
from abcost.reproduce.multiplications import Multiplications
from abcost.reproduce.parameters import Parameters
from abcost.reproduce.printed import Verdict
from abcost.reproduce.reproduction import Reproduction
from abcost.reproduce.units import MEASURED, TARGET, PublishedUnit, Saving
from abcost.rtl.readings import WIDTH

_HEADS = {
    Origin.ACTIVATION_SCALE: "beta",
    Origin.RESIDUAL_SCALE: "alpha",
    Origin.RPRELU: "RPReLU",
    Origin.AVG_POOL: "pooling",
    Origin.BATCH_NORM: "batch norm",
    Origin.SHORTCUT: "shortcut",
    Origin.WEIGHT_SCALE: "gain*s",
    Origin.STEM: "stem",
    Origin.CLASSIFIER: "classifier",
    Origin.GLOBAL_POOL: "global pool",
    Origin.QUANTISER: "quantiser",
    Origin.ATTENTION: "attention",
    Origin.ACTIVATION_FUNCTION: "functions",
    Origin.SQUEEZE_EXCITE: "squeeze-excite",
    Origin.OTHER: "other",
}
_OF_OTHER_NETWORKS = frozenset(
    {Origin.QUANTISER, Origin.ATTENTION, Origin.ACTIVATION_FUNCTION, Origin.SQUEEZE_EXCITE}
)
"""Columns that are left out while they are 0: the networks of the paper have no such multiplications."""
_RESOURCES = {"luts": "LUT", "slices": "slice", "dsps": "DSP"}


@dataclass(frozen=True, slots=True)
class PrintedGrid:
    """One table: the first `text_columns` columns are text, the others numbers; notes stand below."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1
    notes: tuple[str, ...] = ()


def grids(reproduction: Reproduction) -> list[PrintedGrid]:
    """All tables in the order they are printed."""
    rows = reproduction.multiplications
    return [
        _counts(rows),
        _counted(rows),
        _left_out(rows),
        *(_distribution(network, reproduction.distribution) for network in PUBLISHED),
        _units(reproduction.units),
        _readings(reproduction.units),
        _one_layer(reproduction.one_layer),
        _parameters(reproduction.parameters),
        _accelerators(reproduction.accelerators),
        _operations(reproduction.operations),
        _blocks(reproduction.blocks),
    ]


def _counts(rows: Sequence[Multiplications]) -> PrintedGrid:
    notes = [
        "project: beta, alpha, RPReLU, windowed pooling, batch norm and real shortcut convolutions of the strict "
        "trace. row: the same after the row's own corrections, which are counted in our trace too. Baselines are "
        "counted as traced, A&B networks when lowered (stage add_and_bit).",
    ]
    notes += [
        f"{row.paper.network}: {row.paper.convention}: {row.formula}; {row.paper.note}."
        for row in rows
        if row.paper.convention
    ]
    return PrintedGrid(
        "Multiplications, ImageNet 224x224",
        ("network", "variant", "verdict", "published", "project", "row"),
        tuple(
            (
                row.paper.network,
                row.paper.variant,
                row.verdict.value,
                row.paper.published,
                f"{row.counted:,}",
                f"{row.by_convention:,}",
            )
            for row in rows
        ),
        text_columns=3,
        notes=tuple(notes),
    )


def _counted(rows: Sequence[Multiplications]) -> PrintedGrid:
    """The origins that the paper counts; their sum is the column `project` above."""
    return PrintedGrid(
        "Strict trace: what the paper counts",
        ("network", *(_HEADS[origin] for origin in PUBLISHED_ORIGINS)),
        tuple(
            (row.paper.network, *(f"{row.strict[origin]:,}" for origin in PUBLISHED_ORIGINS)) for row in rows
        ),
        notes=("beta at block inputs; shortcut: real convolutions on shortcuts.",),
    )


def _left_out(rows: Sequence[Multiplications]) -> PrintedGrid:
    origins = [
        origin
        for origin in _HEADS
        if origin not in PUBLISHED_ORIGINS
        and (origin not in _OF_OTHER_NETWORKS or any(row.strict[origin] for row in rows))
    ]
    return PrintedGrid(
        "Strict trace: what the paper leaves out",
        ("network", *(_HEADS[origin] for origin in origins), "all"),
        tuple(
            (
                row.paper.network,
                *(f"{row.strict[origin]:,}" for origin in origins),
                f"{sum(row.strict.values()):,}",
            )
            for row in rows
        ),
        notes=(
            "gain*s: per-channel scale of binary weights. all: every multiplication of one inference, those of the "
            "table above too. A&B networks keep these: 0 is what is left of the origins that the paper counts.",
        ),
    )


def _distribution(network: str, shares: Sequence[Share]) -> PrintedGrid:
    chosen = [share for share in shares if share.network == network]
    notes = [
        "row: the row's own convention above. strict: our trace, % of these four. % of all: with stem, "
        "classifier, weight scale and global pool."
    ]
    notes += [
        f"{_HEADS[share.origin]}: {share.share} % by itself; the published {share.published_share} % is what "
        "the other rounded shares leave of 100 %."
        for share in chosen
        if share.verdict is Verdict.CONVENTION
    ]
    return PrintedGrid(
        f"Multiplications by origin, {network}",
        ("origin", "verdict", "published", "%", "row", "%", "strict", "%", "% of all"),
        tuple(
            (
                _HEADS[share.origin],
                share.verdict.value,
                share.published,
                share.published_share,
                f"{share.count:,}",
                share.share,
                f"{share.strict:,}",
                share.strict_share,
                share.share_of_all,
            )
            for share in chosen
        ),
        text_columns=2,
        notes=tuple(notes),
    )


def _units(units: Sequence[PublishedUnit]) -> PrintedGrid:
    return PrintedGrid(
        f"FPGA units, {WIDTH} bits",
        ("unit", "verdict", "LUT published", "measured", "DSP published", "measured", "slice published"),
        tuple(
            (
                unit.name,
                unit.verdict.value,
                f"{unit.published[0]}",
                _spread([s.luts for s in unit.meant]),
                f"{unit.published[2]}",
                _spread([s.dsps for s in unit.meant]),
                f"{unit.published[1]}",
            )
            for unit in units
        ),
        text_columns=2,
        notes=(
            f"Measured by synthesis, target {MEASURED}, under the readings that the next table takes for meant; "
            f"slices need a placement. Target {TARGET} holds the published figures and nothing else.",
        ),
    )


def _spread(values: Sequence[int]) -> str:
    return f"{min(values)}" if min(values) == max(values) else f"{min(values)}-{max(values)}"


def _readings(units: Sequence[PublishedUnit]) -> PrintedGrid:
    return PrintedGrid(
        "What the published units can be",
        ("unit", "read as", "taken for meant", "LUT", "DSP", "fitted parameters"),
        tuple(
            (
                unit.name,
                s.reading.text,
                "yes" if s.reading.meant else "no",
                f"{s.luts}",
                f"{s.dsps}",
                f"{s.reading.fitted}",
            )
            for unit in units
            for s in unit.readings
        ),
        text_columns=3,
        notes=(
            "The paper gives no Verilog. Each reading was synthesized; fitted parameters are numbers that were "
            "chosen so that the published figure comes out. A fixed exponent takes 31 LUTs to the right (the sign "
            "bit needs none) and 32 to the left.",
        ),
    )


def _one_layer(savings: Sequence[Saving]) -> PrintedGrid:
    return PrintedGrid(
        "One convolution layer without pooling",
        ("resource", "verdict", "published", "before", "after", "saved, %"),
        tuple(
            (
                _RESOURCES[saving.resource],
                saving.verdict.value,
                "{} -> {} (-{} %)".format(*saving.published),
                f"{saving.before:g}",
                f"{saving.after:g}",
                saving.saved,
            )
            for saving in savings
        ),
        text_columns=3,
        notes=(
            "alpha multiplier + beta multiplier + PReLU -> alpha shift + quantized PReLU, added up from the table "
            "above. Cited, not measured.",
        ),
    )


def _parameters(rows: Sequence[Parameters]) -> PrintedGrid:
    return PrintedGrid(
        "Trainable parameters",
        ("network", "preset", "verdict", "published", "ours"),
        tuple((row.network, row.preset, row.verdict.value, row.published, f"{row.ours:,}") for row in rows),
        text_columns=3,
    )


def _accelerators(rows: Sequence[PublishedAccelerator]) -> PrintedGrid:
    return PrintedGrid(
        "Binary accelerators in print",
        ("accelerator", "includes", "stage", "node, nm", "V", "fJ per operation"),
        tuple(
            (
                row.name,
                row.includes,
                row.stage,
                "not said" if row.node_nm is None else str(row.node_nm),
                "not said" if row.voltage_v is None else f"{row.voltage_v:g}",
                f"{row.fj_per_op:g}",
            )
            for row in rows
        ),
        text_columns=3,
        notes=(
            "An operation is half a binary multiply-accumulate.",
            *(f"{row.name}: {row.derivation}; {row.source} ({row.confidence})." for row in rows),
        ),
    )


def _operations(rows: Sequence[Operation]) -> PrintedGrid:
    return PrintedGrid(
        f"The same by our tables: cells of an XNOR-popcount of {BITS} bits alone",
        ("table", "node", "confidence", "low", "fJ per operation", "high"),
        tuple(
            (row.target, row.node, row.confidence, f"{row.low:.3g}", f"{row.value:.3g}", f"{row.high:.3g}")
            for row in rows
        ),
        text_columns=3,
        notes=(
            "No memory, control, registers or clock tree, which print has; so no ratio is made. Rows at a node of "
            "print are scaled by the factors of `abcost targets scale` (Stillmaker & Baas 2017), which reach no 22 or "
            "28 nm and not every voltage.",
        ),
    )


def _blocks(rows: Sequence[SiliconBlock]) -> PrintedGrid:
    def text(value: float | None) -> str:
        return "unknown" if value is None else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"

    return PrintedGrid(
        f"{NETWORK.model}, {NETWORK.preset}, as a block of silicon: {FPS:,.0f} frames/s at {CLOCK_MHZ:g} MHz",
        (
            "table",
            "stage",
            "mm2",
            "Fmax, MHz",
            "frames/s",
            "uJ/frame",
            "low to high",
            "mW",
            "leakage, mW",
            "TOPS/W",
        ),
        tuple(
            (
                row.target,
                row.stage,
                *map(text, (row.area_mm2, row.fmax_mhz, row.fps, row.energy_uj)),
                "unknown" if row.low_uj is None else f"{text(row.low_uj)} to {text(row.high_uj)}",
                *map(text, (row.total_mw, row.leakage_mw, row.tops_per_w)),
            )
            for row in rows
        ),
        text_columns=2,
        notes=(
            "An engine for each layer; weights in ROMs of gates, what is written in register files and, where the "
            "process has them, SRAM macros. Cells fill half of the area beside macros. TOPS/W: two operations for each "
            "multiply-accumulate, energy with leakage. Before placement: no wires, clock tree or pads. Untrained: "
            "slopes are wiring here and multiplexers in a trained network.",
        ),
    )
