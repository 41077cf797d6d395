"""Energy per inference of published FPGA networks beside abcost's estimate -> reports/energy.csv, reports/energy.md.

    python benchmarks/energy.py            analyse and write both (two minutes)
    python benchmarks/energy.py --render   write the text anew from the table

A published power is of a chip or of a board: static power, processor, memory and regulators are in it, which no
estimate has. Power / frames per second is therefore an upper bound of what an estimate should be, and no more.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from torch import nn

import finn_networks
from abcost.accelerator.devices import device
from abcost.accelerator.solve import AcceleratorGoal
from abcost.pipeline import analyze

ROOT = Path(__file__).resolve().parents[1]
CSV, TEXT = ROOT / "reports" / "energy.csv", ROOT / "reports" / "energy.md"
TARGET = "fpga-lut6"


@dataclass(frozen=True)
class Published:
    """What print says of one design. watts: of the chip and of the whole board, None where not stated."""

    network: str
    build: Callable[[], nn.Module]
    image: tuple[int, ...]
    where: str
    part: str
    clock_mhz: float
    fps: float
    chip_watts: float | None
    board_watts: float | None
    confidence: str
    source: str


FINN = "Umuroglu et al., FINN, FPGA 2017, arXiv:1612.07119"
PUBLISHED = (
    Published("SFC-max", finn_networks.sfc, (1, 1, 28, 28), "ZC706", "xc7z045", 200, 12_361_000, 7.3, 21.2,
              "partly", f"{FINN}: the abstract has 12.3 M frames/s and below 25 W of the system; watts from memory"),
    Published("LFC-max", finn_networks.lfc, (1, 1, 28, 28), "ZC706", "xc7z045", 200, 1_561_000, 8.8, 22.6,
              "from memory", f"{FINN}, table of prototypes, from memory"),
    Published("CNV-max", finn_networks.cnv, (1, 3, 32, 32), "ZC706", "xc7z045", 200, 21_906, 3.6, 11.7,
              "partly", f"{FINN}: the abstract has 21,906 frames/s; watts from memory"),
    Published("MLP-4", finn_networks.lfc, (1, 1, 28, 28), "Ultra96, 16 nm", "", 300, 5110e9 / 6e6, None, 11.8,
              "partly", "Blott et al., FINN-R, arXiv:1809.04570, as quoted in Xilinx/BNN-PYNQ issue 133: 5,110 GOp/s "
              "at 6 MOp a frame; frames per second ours"),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """Microjoule per inference: published of chip and board, estimated of operations and of an accelerator."""

    network: str
    where: str
    fps: float
    products: int
    chip_uj: float | None
    board_uj: float | None
    operations_uj: float
    operations_low_uj: float
    operations_high_uj: float
    accelerator_fps: float | None
    accelerator_uj: float | None
    accelerator_low_uj: float | None
    accelerator_high_uj: float | None
    confidence: str
    source: str


def row(published: Published) -> Row:
    """The estimate of one published design on `TARGET`, organised for its frame rate where its part is 7-series."""
    goal = None
    if published.part:
        goal = AcceleratorGoal(device(published.part), published.fps, published.clock_mhz)
    report = analyze(
        published.build(), target=TARGET, input_shape=published.image, accelerator=goal
    ).to_dict()
    last = report["stages"][-1]
    value, low, high = (
        (last[side]["energy_pj"] - (last[side]["memory_energy_pj"] or 0)) / 1e6
        for side in ("cost", "cost_low", "cost_high")
    )
    made = last.get("organisation") or {}
    spent = made.get("energy_uj") or {}
    return Row(
        published.network,
        published.where,
        published.fps,
        report["macs"]["total"],
        _each(published.chip_watts, published.fps),
        _each(published.board_watts, published.fps),
        value,
        low,
        high,
        made.get("fps"),
        spent.get("value"),
        spent.get("low"),
        spent.get("high"),
        published.confidence,
        published.source,
    )


def _each(watts: float | None, fps: float) -> float | None:
    return None if watts is None else watts / fps * 1e6


def table_csv(rows: Sequence[Row]) -> str:
    """The rows; numbers in four digits."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    for each in rows:
        values = asdict(each).values()
        writer.writerow(["" if v is None else f"{v:.4g}" if isinstance(v, float) else v for v in values])
    return out.getvalue()


def read(text: str) -> list[dict[str, str]]:
    """The rows of the table as texts."""
    return list(csv.DictReader(io.StringIO(text)))


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """The report, from the table alone."""
    lines = [
        "# Energy of published FPGA networks",
        "",
        "Microjoule per inference. Published: power divided by frames per second, of the chip and of the whole "
        "board, static power, processor and regulators included. Estimated on `fpga-lut6`: dynamic energy alone, as "
        "value (low to high); of the operations of the network, memory aside, and of the smallest accelerator that "
        "reaches the published frame rate on the same part.",
        "",
        "| network | on | frames/s | chip | board | operations | accelerator | figures |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        fps = f"{float(r['fps']):,.0f}"
        operations = _range(r, "operations")
        accelerator = _range(r, "accelerator") if r["accelerator_uj"] else "-"
        cells = (
            r["network"],
            r["where"],
            fps,
            _number(r["chip_uj"]),
            _number(r["board_uj"]),
            operations,
            accelerator,
        )
        lines.append(f"| {' | '.join(cells)} | {r['confidence']} |")
    lines += ["", "Sources:", ""]
    lines += [f"- {r['network']}: {r['source']}." for r in rows]
    return "\n".join(lines) + "\n"


def _range(r: dict[str, str], what: str) -> str:
    return f"{_number(r[f'{what}_uj'])} ({_number(r[f'{what}_low_uj'])} to {_number(r[f'{what}_high_uj'])})"


def _number(text: str) -> str:
    return f"{float(text):.3g}" if text else "-"


def main() -> None:
    """Analyse, or only write the text."""
    if "--render" not in sys.argv:
        rows = []
        for published in PUBLISHED:
            print(f"analysing {published.network}", file=sys.stderr)
            rows.append(row(published))
        CSV.write_text(table_csv(rows), encoding="utf-8")
    TEXT.write_text(markdown(read(CSV.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
