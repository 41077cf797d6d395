"""A million inputs for everything that abcost reads from strangers; none may end in a traceback.

Each input is read by the parser as the command would read it. It is accepted, or refused by an AbcostError of one line;
anything else stops the run with the smallest input that Hypothesis finds. The record is reports/fuzzing.md.

    python benchmarks/fuzz.py                   # all: an hour or two on one core; goes on where it was interrupted
    python benchmarks/fuzz.py table --inputs 1000
"""

from __future__ import annotations

import argparse
import csv
import platform
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import hypothesis
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings

from abcost import __version__
from abcost.errors import AbcostError
from fuzzing import documents, onnx_files, texts, weights
from fuzzing.target import Target

REPORT = Path(__file__).parents[1] / "reports" / "fuzzing.md"
CHUNK = 5_000  # inputs of one run of Hypothesis, which remembers all that it tried


def targets() -> dict[str, Target]:
    """All parsers, by name."""
    rooms = (texts, documents, weights, onnx_files)
    return {target.name: target for room in rooms for target in room.targets()}


def outcome(target: Target, given_input: Any) -> str:
    """What the parser makes of it: "accepted" or "refused". Raises what it raises that is no error of abcost's own."""
    try:
        target.read(given_input)
    except AbcostError as error:
        text = str(error)
        assert text.strip(), "an error without a message"
        assert "\n" not in text, f"an error of several lines: {text!r}"
        return "refused"
    return "accepted"


def fuzz(target: Target, inputs: int, first_seed: int = 0) -> Counter[str]:
    """How many of so many inputs were accepted and refused."""
    found: Counter[str] = Counter()
    for chunk in range(0, inputs, CHUNK):
        count = min(CHUNK, inputs - chunk)

        @seed(first_seed + chunk)
        @settings(
            max_examples=count,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(target.strategy)
        def run(given_input: Any) -> None:
            found[outcome(target, given_input)] += 1

        run()
    return found


def main() -> None:
    """Run what is asked for; write the record when all ran."""
    parser = argparse.ArgumentParser(description="Inputs for every parser.")
    parser.add_argument("names", nargs="*", help="of targets; default: all, with a record")
    parser.add_argument("--inputs", type=int, help="for each, instead of its own number")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    known = targets()
    kept = REPORT.with_suffix(".csv")
    rows = [] if asked.names else _kept(kept)
    for name in asked.names or known:
        target = known[name]
        if any(row["target"] == name for row in rows):
            continue
        began = time.monotonic()
        found = fuzz(target, asked.inputs or target.inputs)
        row = {
            "target": name, "inputs": str(sum(found.values())), "accepted": str(found["accepted"]),
            "refused": str(found["refused"]), "seconds": f"{time.monotonic() - began:.0f}",
        }  # fmt: skip
        print(", ".join(f"{key} {value}" for key, value in row.items()), file=sys.stderr, flush=True)
        rows.append(row)
        if not asked.names and asked.inputs is None:
            with kept.open("w", newline="") as file:
                writer = csv.DictWriter(file, row)
                writer.writeheader()
                writer.writerows(rows)
            REPORT.write_text(_text(rows))


def _kept(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _text(rows: list[dict[str, str]]) -> str:
    total = sum(int(row["inputs"]) for row in rows)
    lines = [
        "# Fuzzing record",
        "",
        f"Written by `make fuzz` (`benchmarks/fuzz.py`): {total:,} inputs, none of which ended in anything but",
        f"acceptance or an error of one line. abcost {__version__}, Python {platform.python_version()}, torch",
        f"{torch.__version__}, Hypothesis {hypothesis.__version__}; one process. Inputs are valid documents with",
        "random damage, well-formed documents with odd values, and noise; what is accepted is also used: tables price",
        "their units, models are traced.",
        "",
        "| parser | reads | inputs | accepted | refused | time |",
        "|---|---|---|---|---|---|",
    ]
    known = targets()
    for row in rows:
        what = known[row["target"]].what
        counts = " | ".join(f"{int(row[key]):,}" for key in ("inputs", "accepted", "refused"))
        lines.append(f"| {row['target']} | {what} | {counts} | {row['seconds']} s |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
