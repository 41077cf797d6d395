"""Writes reports/build.md: networks built by `abcost build`, simulated, placed and routed, estimate beside result.

    benchmarks/build_report.py            trains what is not there, builds, and writes the page (an hour or two)
    benchmarks/build_report.py --render   writes the page from the build.json files that are there

Folders are kept in build/ (see --work): the same command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from abcost.circuit.report import markdown

ROOT = Path(__file__).parents[1]
ABCOST = [sys.executable, "-c", "import sys; from abcost.cli import main; sys.exit(main())"]


@dataclass(frozen=True)
class Case:
    """A network and a part. network: options of both commands; build: of the second; run: folder of the training."""

    title: str
    folder: str
    run: str
    network: tuple[str, ...]
    build: tuple[str, ...]


CASES = (
    Case(
        "ReActNet-18 on digits, base width 16, blocks 2,2,2, on LFE5U-85F", "digits", "digits-run",
        ("--base-width", "16", "--blocks", "2,2,2"),
        ("--device", "lfe5u-85f", "--fps", "1000", "--clock-mhz", "80", "--width", "12"),
    ),
    Case(
        "The same without multipliers: po2 scales, real weights in signed digits", "digits-csd", "digits-run",
        ("--base-width", "16", "--blocks", "2,2,2"),
        ("--device", "lfe5u-85f", "--fps", "1000", "--clock-mhz", "80", "--width", "12",
         "--weight-scale", "po2", "--constant-multiply", "csd"),
    ),
    Case(
        "ReActNet-18 on digits, base width 16, blocks 1,1, on iCE40 UP5K", "digits-small", "digits-small-run",
        ("--base-width", "16", "--blocks", "1,1"),
        ("--device", "ice40up5k", "--fps", "100", "--clock-mhz", "12", "--width", "12", "--argmax"),
    ),
)  # fmt: skip
SIMULATED = "359"  # all test images of digits


def commands(case: Case, work: Path) -> tuple[list[str], list[str]]:
    """Training and building."""
    run, out = work / case.run, work / case.folder
    train = ["train", "reactnet_18", "--data", "digits", *case.network, "--step", "both", "--seed", "0"]
    build = [
        "build",
        "reactnet_18",
        "--checkpoint",
        str(run / "best.pt"),
        "--data",
        "digits",
        *case.network,
        *case.build,
    ]
    return (
        [*train, "--run-dir", str(run)],
        [*build, "--out", str(out), "--simulate", SIMULATED, "--route"],
    )


def pending(case: Case, work: Path) -> list[list[str]]:
    """What is left to do: a finished training is not begun again, one that was interrupted goes on."""
    train, build = commands(case, work)
    run = work / case.run
    if (run / "metrics.json").exists():
        return [build]
    return [[*train, "--resume"] if (run / "last.pt").exists() else train, build]


def page(work: Path) -> str:
    """The report of what is there."""
    parts = [
        "# Circuits: estimate beside simulation and routing\n",
        "Written by `make build-report`. LUTs of ECP5 are LUT4: two for a carry cell, six for a 16 x 4 LUT RAM;",
        "of iCE40 SB_LUT4. Layers are counted after synthesis, with windows and FIFOs in front of them; routing",
        "changes no count.\n",
    ]
    for case in CASES:
        file = work / case.folder / "build.json"
        if file.exists():
            _, build = commands(case, Path("build"))
            report = json.loads(file.read_text())
            parts += [f"## {case.title}\n", f"`abcost {' '.join(build)}`\n", markdown(report)]
    return "\n".join(parts)


def main() -> int:
    """Status of the last command that failed, or 0."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=ROOT / "build")
    parser.add_argument("--render", action="store_true")
    given = parser.parse_args()
    for case in () if given.render else CASES:
        for command in pending(case, given.work):
            print("abcost", *command, file=sys.stderr)
            status = subprocess.run([*ABCOST, *command], check=False).returncode  # noqa: S603 - our own command
            if status:
                return status
    (ROOT / "reports" / "build.md").write_text(page(given.work))
    return 0


if __name__ == "__main__":
    sys.exit(main())
