"""Training speed next to a plain loop in the same run: images per second, and ratios.

The plain loop is written from the papers (`plain_networks.py`): eager, torch's Adam and one clipping call per
parameter. Ours runs the zoo's network as `abcost train` does: eager, compiled, compiled with bfloat16 autocast, and
eager with products of the backward pass in bfloat16. All hold the same weights and see the same images of CIFAR's
shape; before timing, logits and gradients are compared in float64. Steps alternate (plain, ours, plain, ...), so that a
busy machine slows all alike; medians are compared, of elapsed time and of CPU time. On a busy machine take
`--threads 1` and read the ratio of CPU time.

    python benchmarks/train_step.py [--models reactnet_18] [--step 2] [--modes eager compiled bf16 bf16-backward]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from abcost.models import build
from abcost.nn.bfloat16_backward import Bfloat16Backward
from abcost.training.agc import clip_
from plain_networks import NETWORKS, clip

CLASSES = 10
CLIP = 0.001  # the published factor for CIFAR
Step = Callable[[Tensor, Tensor], float]
"""One optimiser step on images and labels; returns the loss."""


def networks(model: str, step: int) -> tuple[nn.Module, nn.Module]:
    """The plain network and ours, with the same random weights; binary ones as spread as after some training."""
    torch.manual_seed(0)
    plain = NETWORKS[model](CLASSES, binary=step == 2)
    ours = build(model, step=step, stem="cifar", num_classes=CLASSES)
    with torch.no_grad():
        for parameter in plain.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    ours.load_state_dict(plain.state_dict())
    return plain, ours


def clipped_parameters(network: nn.Module) -> list[nn.Parameter]:
    """All but the classifier's."""
    return [p for name, p in network.named_parameters() if not name.startswith("fc.")]


def plain_step(network: nn.Module) -> Step:
    """The published loop."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    clipped = clipped_parameters(network)

    def step(images: Tensor, labels: Tensor) -> float:
        optimizer.zero_grad()
        loss = functional.cross_entropy(network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        clip(clipped, CLIP)
        optimizer.step()
        return loss.item()

    return step


def our_step(network: nn.Module, *, compiled: bool, bf16: bool, backward: bool = False) -> Step:
    """The loop of `abcost train`."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    clipped = clipped_parameters(network)
    forward: Callable[[Tensor], Tensor] = torch.compile(network, fullgraph=True) if compiled else network

    def step(images: Tensor, labels: Tensor) -> float:
        optimizer.zero_grad()
        products = Bfloat16Backward() if backward else nullcontext()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16), products:
            logits = forward(images.contiguous(memory_format=torch.channels_last))
        loss = functional.cross_entropy(logits.float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_(clipped, CLIP)
        optimizer.step()
        return loss.item()

    return step


MODES = {
    "eager": {"compiled": False, "bf16": False},
    "compiled": {"compiled": True, "bf16": False},
    "bf16": {"compiled": True, "bf16": True},
    "bf16-backward": {"compiled": False, "bf16": False, "backward": True},
}
TARGETS = {  # ratios over plain that a quiet machine of two cores should reach
    "reactnet_18": {"eager": 1.3, "compiled": 1.55, "bf16": 2.4, "bf16-backward": 1.75},
    "reactnet_a": {"eager": 1.7, "compiled": 2.1, "bf16": 3.2},
}


def difference(model: str, step: int) -> tuple[float, float]:
    """Largest relative difference of logits and of gradients in float64, relative to the largest of each tensor."""
    plain, ours = (network.double() for network in networks(model, step))
    images, labels = torch.randn(4, 3, 32, 32, dtype=torch.float64), torch.arange(4)
    logits = [network(images) for network in (plain, ours)]
    for out in logits:
        functional.cross_entropy(out, labels).backward()  # type: ignore[no-untyped-call]
    gradients = dict(ours.named_parameters())
    return _relative(*logits), max(
        _relative(p.grad, gradients[name].grad) for name, p in plain.named_parameters()
    )


def _relative(expected: Tensor | None, found: Tensor | None) -> float:
    assert expected is not None
    assert found is not None
    return ((expected - found).abs().max() / expected.abs().max()).item()


def compare(model: str, arguments: argparse.Namespace) -> None:
    """Print one model's table."""
    logits, gradients = difference(model, arguments.step)
    print(
        f"{model}, step {arguments.step}: float64 logits differ by {logits:.1e}, gradients by {gradients:.1e}"
    )
    steps = {"plain": plain_step(networks(model, arguments.step)[0])}
    for mode in arguments.modes:
        steps[mode] = our_step(networks(model, arguments.step)[1], **MODES[mode])
    images = torch.randn(arguments.batch, 3, 32, 32)
    labels = torch.randint(0, CLASSES, (arguments.batch,))
    first: dict[str, float] = {}
    losses: dict[str, float] = {}
    for name, step in steps.items():
        start = time.perf_counter()
        losses[name] = step(images, labels)
        first[name] = time.perf_counter() - start
        step(images, labels)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    cpu: dict[str, list[float]] = {name: [] for name in steps}  # of all threads
    for _ in range(arguments.repeats):
        for name, step in steps.items():
            start, worked = time.perf_counter(), time.process_time()
            step(images, labels)
            seconds[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - worked)
    plain = statistics.median(seconds["plain"])
    titles = f"{'over plain':>10} {'target':>7} {'CPU time':>9} {'first loss':>12}"
    print(f"{'':10} {'first step':>12} {'images/s':>10} {titles}")
    for name, found in seconds.items():
        median = statistics.median(found)
        speed, ratio = arguments.batch / median, plain / median
        target = TARGETS[model].get(name, 1.0)
        work = statistics.median(cpu["plain"]) / statistics.median(cpu[name])
        ratios = f"{ratio:9.2f}x {target:6.2f}x {work:8.2f}x"
        print(f"{name:10} {first[name]:10.1f} s {speed:10.1f} {ratios} {losses[name]:12.6f}", flush=True)


def main() -> None:
    """Print a table per model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--step", type=int, choices=(1, 2), default=2)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"CIFAR shapes, batch {arguments.batch}, {arguments.threads} threads, torch {torch.__version__}")
    for model in arguments.models:
        compare(model, arguments)


if __name__ == "__main__":
    main()
