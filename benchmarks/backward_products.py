"""Training steps with `--precision bf16-backward` next to the steps of another checkout, on one thread.

Both checkouts run the steps of their own `train_step.py`: the plain loop, eager and compiled; ours also with products
of the backward pass in bfloat16. A process has one checkout, and steps alternate in it (plain, eager, ...); processes
alternate too (other, ours, other, ours). Medians of CPU seconds, user and system, which a busy machine moves little.

    git worktree add ../baseline 3e284d1
    python benchmarks/backward_products.py ../baseline [--models reactnet_18] [--modes plain eager compiled]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parents[1]
TURNS = 2
WANTED = {"reactnet_18": 1.35}  # of the eager step
ONE = """
import json, statistics, sys, time
from pathlib import Path
import torch
import abcost
from train_step import CLASSES, MODES, networks, our_step, plain_step

model, checkout, modes, batch, repeats = *sys.argv[1:3], sys.argv[3].split(","), *map(int, sys.argv[4:])
assert Path(abcost.__file__).is_relative_to(checkout), abcost.__file__
torch.set_num_threads(1)
steps = {
    mode: plain_step(networks(model, 2)[0]) if mode == "plain" else our_step(networks(model, 2)[1], **MODES[mode])
    for mode in modes
}
torch.manual_seed(0)
images, labels = torch.randn(batch, 3, 32, 32), torch.randint(0, CLASSES, (batch,))
losses = {mode: step(images, labels) for mode, step in steps.items()}
for step in steps.values():
    step(images, labels)
seconds = {mode: [] for mode in steps}
for _ in range(repeats):
    for mode, step in steps.items():
        begun = time.process_time()
        step(images, labels)
        seconds[mode].append(time.process_time() - begun)
found = {mode: {"seconds": statistics.median(seconds[mode]), "loss": losses[mode]} for mode in steps}
print(json.dumps(found))
"""


def measure(
    checkout: Path, model: str, modes: list[str], batch: int, repeats: int
) -> dict[str, dict[str, float]]:
    """CPU seconds of a step and the first loss, by mode. Raises CalledProcessError if a step fails."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{checkout}{os.pathsep}{checkout / 'benchmarks'}",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", ONE, model, str(checkout), ",".join(modes), str(batch), str(repeats)],
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print CPU seconds of both checkouts, and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("other", type=Path, help="another checkout, for its package abcost and its steps")
    parser.add_argument("--models", nargs="+", default=list(WANTED))
    parser.add_argument(
        "--modes", nargs="+", choices=("plain", "eager", "compiled"), default=["plain", "eager", "compiled"]
    )
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    print(f"{platform.machine()}, torch {torch.__version__}, Python {platform.python_version()}, one thread")
    for model in arguments.models:
        found: dict[str, list[dict[str, dict[str, float]]]] = {"other": [], "here": []}
        for _ in range(TURNS):
            for side, checkout, more in (
                ("other", arguments.other.resolve(), []),
                ("here", HERE, ["bf16-backward"]),
            ):
                modes = [*arguments.modes, *more]
                found[side].append(measure(checkout, model, modes, arguments.batch, arguments.repeats))
                told = ", ".join(f"{mode} {of['seconds']:.3f} s" for mode, of in found[side][-1].items())
                print(f"{model}, {side}: {told}", flush=True)
        seconds = {
            side: {mode: statistics.fmean(turn[mode]["seconds"] for turn in turns) for mode in turns[0]}
            for side, turns in found.items()
        }
        for mode in arguments.modes[1:]:
            ratios = [seconds[side][arguments.modes[0]] / seconds[side][mode] for side in ("other", "here")]
            print(f"{model}: {mode} over {arguments.modes[0]} {ratios[0]:.3f} there, {ratios[1]:.3f} here")
        last = found["here"][-1]
        if "eager" in last:
            ratio = seconds["other"]["eager"] / seconds["here"]["bf16-backward"]
            wanted = f", wanted {WANTED[model]}" if model in WANTED else ""
            same = "the same" if last["eager"]["loss"] == last["bf16-backward"]["loss"] else "another"
            print(
                f"{model}: bf16-backward {ratio:.3f} times the other's eager step{wanted}; {same} first loss as eager"
            )


if __name__ == "__main__":
    main()
