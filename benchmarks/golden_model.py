"""The golden model in C next to the fixed-point interpreter of another checkout: A B A B, CPU time of an image.

git worktree add ../baseline 3e284d1
python benchmarks/golden_model.py ../baseline

ReActNet-18 on mnist5k, base width 16, blocks 2,2,2, parameters as if trained. Tracing and compiling are not timed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
NETWORK = """
import resource, sys, tempfile, time
from pathlib import Path
import torch
from abcost.data import load
try:
    from abcost.models.randomise import randomise_parameters
except ModuleNotFoundError:  # the other checkout's name
    from abcost.models.stir import stir as randomise_parameters
from abcost.models.subject import Request, resolve

torch.set_num_threads(1)
data = load("mnist5k")
subject = resolve(Request("reactnet_18", preset="mnist5k", base_width=16, blocks=(2, 2, 2)))
randomise_parameters(subject.model)
number = int(sys.argv[1])
images = next(data.test.batches(torch.arange(number), number, epoch=0, augment=False))[0]
"""
INTERPRETER = (
    NETWORK
    + """
from abcost.core.interpret import FixedPoint
from abcost.rewrite import RewriteOptions
from abcost.train.lowered import Lowered

lowered = Lowered(subject, RewriteOptions(fraction_bits=8), FixedPoint(8, width=18))
lowered(images)
begun = time.process_time()
lowered(images)
print((time.process_time() - begun) / number)
"""
)
GOLDEN = (
    NETWORK
    + """
from abcost.circuit.golden import FILE, compile_golden, make_golden, run_golden
from abcost.circuit.make import CircuitForm, Written

golden = make_golden(subject, images[:64], CircuitForm(18), Written())
with tempfile.TemporaryDirectory() as folder:
    file, program = Path(folder) / FILE, Path(folder) / "model"
    file.write_text(golden.text)
    compile_golden(file, program)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run_golden(golden, program, images)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
print((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / number)
"""
)
IMAGES = {"interpreter": 200, "golden model": 1000}


def seconds(root: Path, program: str, images: int) -> float:
    """CPU seconds of an image."""
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program, str(images)],
        cwd=root, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(done.stdout)


def main() -> None:
    """Print both times and their ratio, round by round."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("baseline", type=Path, help="root of the other checkout")
    parser.add_argument("--rounds", type=int, default=2, help="of A B")
    options = parser.parse_args()
    for _ in range(options.rounds):
        slow = seconds(options.baseline.resolve(), INTERPRETER, IMAGES["interpreter"])
        fast = seconds(HERE, GOLDEN, IMAGES["golden model"])
        print(
            f"interpreter {slow * 1e3:.3f} ms an image, golden model {fast * 1e3:.4f} ms: {slow / fast:.1f} times"
        )


if __name__ == "__main__":
    main()
