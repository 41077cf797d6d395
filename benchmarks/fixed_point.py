"""Fixed-point execution next to that of another checkout, side by side: A B A B, CPU seconds on one thread.

git worktree add ../baseline 3e284d1
python benchmarks/fixed_point.py ../baseline

Networks have random weights and images are noise: neither changes how long an execution takes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
CASES = {
    "reactnet_18, CIFAR size, fixed point": ("execute", "cifar10", "64"),
    "digits, base width 16, blocks 2,2,2, fixed point": ("execute", "digits", "359"),
    "reactnet_18, CIFAR size, evaluate with the trained network beside": ("evaluate", "cifar10", "64"),
    "digits, evaluate with the trained network beside": ("evaluate", "digits", "359"),
    "golden model in C beside the interpreter, digits": ("c", "digits", "359"),
    "golden model in C beside the interpreter, mnist5k": ("c", "mnist5k", "256"),
    "verify reactnet_a": ("verify", "", ""),
}
WANTED = {
    "reactnet_18, CIFAR size, fixed point": {"images_per_s": 20.0},
    "digits, base width 16, blocks 2,2,2, fixed point": {"images_per_s": 5.0},
    "golden model in C beside the interpreter, mnist5k": {"images_per_s": 20.0},
    "verify reactnet_a": {"seconds": 0.4, "mb": 0.5},
}
"""Ratios that are promised: at least for images a second, at most for seconds and memory."""
ONE = """
import json, resource, sys, time
import torch
torch.set_num_threads(1)
what, preset, images = sys.argv[1:]
found = {}
if what == "verify":
    from abcost.cli import main
    sys.argv = ["abcost", "verify", "reactnet_a", "--format", "json", "--output", "/dev/null"]
    begun = time.process_time()
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
    found["seconds"] = time.process_time()
    found["mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
else:
    from abcost.core.interpret import FixedPoint
    from abcost.models.subject import Request, resolve
    from abcost.rewrite import RewriteOptions
    try:
        from abcost.training.lowered import Lowered
    except ModuleNotFoundError:  # the room had another name
        from abcost.train.lowered import Lowered
    small = {} if preset == "cifar10" else {"base_width": 16, "blocks": (2, 2, 2)}
    torch.manual_seed(0)
    subject = resolve(Request("reactnet_18", preset=preset, **small))
    count = int(images)
    pixels = torch.randn(count, *subject.inputs[0].shape[1:])
    if what == "c":
        try:
            from abcost.circuit.golden import CircuitForm, Written, compile_golden, make_golden, run_golden
        except ModuleNotFoundError:  # the other side has the interpreter alone
            what = "execute"
        else:
            import tempfile
            from pathlib import Path
            golden = make_golden(subject, pixels, CircuitForm(16), Written())
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                (place / "model.c").write_text(golden.text)
                compile_golden(place / "model.c", place / "model")
                best = float("inf")
                many = pixels.repeat(8, 1, 1, 1)
                for _ in range(3):
                    begun = resource.getrusage(resource.RUSAGE_CHILDREN)
                    run_golden(golden, place / "model", many)
                    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
                    spent = ended.ru_utime - begun.ru_utime + ended.ru_stime - begun.ru_stime
                    best = min(best, spent / len(many))
            print(json.dumps({"images_per_s": 1 / best}))
            sys.exit()
    arithmetic = FixedPoint(12)
    lowered = Lowered(subject, RewriteOptions(), arithmetic)
    model = subject.model.eval()
    batches = pixels.split(256)
    for batch in batches:
        lowered(batch)  # traced once per size of a batch
    best = float("inf")
    for _ in range(3):
        begun = time.process_time()
        for batch in batches:
            lowered(batch)
            if what == "evaluate":
                with torch.no_grad():
                    model(batch)
        best = min(best, time.process_time() - begun)
    found["images_per_s"] = count / best
print(json.dumps(found))
"""


def measure(root: Path, case: tuple[str, ...]) -> dict[str, float]:
    """What a process measures with the abcost of `root`: images/s (the fastest of three), or seconds and MB."""
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", ONE, *case],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """Print both sides and their ratio for each case; exit 1 where a promised ratio is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("baseline", type=Path, help="root of the other checkout")
    parser.add_argument("--rounds", type=int, default=2, help="of A B")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--report", type=Path, help="also write the table to this Markdown file")
    options = parser.parse_args()
    missed = False
    rows = []
    for name, case in CASES.items():
        if options.only not in name:
            continue
        sums: dict[str, dict[str, float]] = {"baseline": {}, "here": {}}
        for _ in range(options.rounds):
            for side, root in (("baseline", options.baseline.resolve()), ("here", HERE)):
                for quantity, value in measure(root, case).items():
                    sums[side][quantity] = sums[side].get(quantity, 0.0) + value / options.rounds
        for quantity, before in sums["baseline"].items():
            after = sums["here"][quantity]
            ratio = after / before
            wanted = WANTED.get(name, {}).get(quantity)
            fine = wanted is None or (ratio >= wanted if quantity == "images_per_s" else ratio <= wanted)
            missed = missed or not fine
            verdict = "" if wanted is None else f" (wanted {wanted:g}: {'holds' if fine else 'MISSED'})"
            rows.append(
                f"| {name} | {quantity} | {before:.4g} | {after:.4g} | {ratio:.2f} | {wanted or ''} |"
            )
            print(f"{name}: {quantity} {before:.4g} -> {after:.4g}, {ratio:.2f} times{verdict}", flush=True)
    if options.report is not None:
        options.report.write_text(report(rows, options.baseline.resolve(), options.rounds), encoding="utf-8")
    sys.exit(missed)


def report(rows: Sequence[str], baseline: Path, rounds: int) -> str:
    """Markdown: the table, and where it was measured."""
    git = ["git", "-C", str(baseline), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - git
    probe = "import platform, torch; print(platform.python_version(), torch.__version__)"
    versions = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    ).stdout.split()
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    processor = names[0].partition(": ")[2] if names else "unknown processor"
    return "\n".join(
        [
            "# Fixed-point execution beside an older checkout",
            "",
            f"Written by `python benchmarks/fixed_point.py ../baseline --report FILE` on {datetime.now(UTC).date()}, "
            f"baseline at commit {commit or 'unknown'}: mean of {rounds} rounds of A B, CPU seconds on one thread of a "
            f"shared machine ({processor}; Python {versions[0]}, torch {versions[1]}). Images a second: higher is "
            "better; seconds and MB of the whole process: lower is better. Random weights, noise as images.",
            "",
            "| case | quantity | baseline | here | ratio | promised |",
            "|---|---|---:|---:|---:|---:|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main()
