"""Time and memory of an analysis next to those of another checkout, side by side: A B A B, CPU seconds on one thread.

git worktree add ../baseline 3e284d1
python benchmarks/against_baseline.py ../baseline
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
MODELS = ("reactnet_a", "chain of 1,000 convolutions")
ONE = """
import json, resource, sys, time
import torch
from torch import nn
torch.set_num_threads(1)
from abcost import analyze

class Chain(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(1000))
        self.activation = nn.ReLU()

    def forward(self, x):
        for layer in self.layers:
            x = self.activation(layer(x))
        return x

torch.manual_seed(0)
model, shape = ("reactnet_a", (1, 3, 224, 224)) if sys.argv[1] == "reactnet_a" else (Chain(), (1, 4, 8, 8))
best = float("inf")
for _ in range(3):
    begun = time.process_time()
    analyze(model, "fpga-lut6", input_shape=shape)
    best = min(best, time.process_time() - begun)
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": best, "mb": memory}))
"""


def measure(root: Path, model: str) -> dict[str, float]:
    """CPU seconds of the fastest of three analyses, and the largest memory of the process in MB."""
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", ONE, model],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print both sides and their ratio for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("baseline", type=Path, help="root of the other checkout")
    parser.add_argument("--rounds", type=int, default=2, help="of A B")
    options = parser.parse_args()
    for model in MODELS:
        sums: dict[str, dict[str, float]] = {"baseline": {}, "here": {}}
        for _ in range(options.rounds):
            for side, root in (("baseline", options.baseline.resolve()), ("here", HERE)):
                for name, value in measure(root, model).items():
                    sums[side][name] = sums[side].get(name, 0.0) + value / options.rounds
        for name, unit in (("seconds", "s"), ("mb", "MB")):
            before, after = sums["baseline"][name], sums["here"][name]
            print(f"{model}: {name} {before:.2f} -> {after:.2f} {unit}, {after / before:.2f} times")


if __name__ == "__main__":
    main()
