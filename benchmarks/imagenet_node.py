"""What one core does with images of ImageNet's shape: figures for plans of training and searching on many nodes.

reading:  JPEG files of 500x375 pixels to augmented tensors of 224x224, as a loader process of `abcost train` does.
training: a step of a network (step 2, 1,000 classes) with ResNet-34 as its teacher, as published: forward, the
          teacher's forward, backward, clipping, Adam; float32, or with backward products in bfloat16.
judging:  forward alone, as on a validation split.
memory:   of a training process, per image of its batch: what a larger batch takes beyond a smaller one, by the peak
          resident set; and without images.

One thread, CPU time. Pictures are crops of the two photographs that ship with scikit-learn; weights are random, for no
figure depends on them.

    python benchmarks/imagenet_node.py [--models reactnet_18 reactnet_a] [--report reports/imagenet_node.md]

Needs torchvision: `make imagenet-node`.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision.models import resnet34

from abcost.data import load
from abcost.models import build
from abcost.nn.bfloat16_backward import Bfloat16Backward
from abcost.training.agc import clip_
from abcost.training.losses import mixed_loss

PICTURES, SIZE, QUALITY = 96, (500, 375), 92
SMALL, LARGE = 8, 32  # batches
CLIP, RATE = 0.02, 1e-3  # of the published recipe for ImageNet


def pictures(folder: Path) -> float:
    """JPEG files in two classes, train/ and val/; mean size in bytes."""
    shown = [Image.fromarray(photo) for photo in load_sample_images().images]
    sizes = []
    for number in range(PICTURES):
        photo = shown[number % len(shown)]
        left, top = number % (photo.width - SIZE[0]), number % (photo.height - SIZE[1])
        for part in ("train", "val"):
            place = folder / part / f"class{number % 2}"
            place.mkdir(parents=True, exist_ok=True)
            file = place / f"{number}.jpg"
            photo.crop((left, top, left + SIZE[0], top + SIZE[1])).save(file, quality=QUALITY)
        sizes.append(file.stat().st_size)
    return statistics.fmean(sizes)


def reading() -> dict[str, float]:
    """Images per CPU second, and bytes of a file."""
    with tempfile.TemporaryDirectory() as name:
        size = pictures(Path(name))
        split = load(name, workers=0).train
        order = torch.arange(len(split))
        for _ in split.batches(order, SMALL, epoch=0, augment=True):  # what is loaded when it is first needed
            pass
        began = time.process_time()
        for _ in split.batches(order, SMALL, epoch=1, augment=True):
            pass
        return {"images_per_s": len(split) / (time.process_time() - began), "bytes": size}


def step(model: str, *, backward: bool) -> Callable[[int], None]:
    """One of training, with so many images."""
    network = build(model, step=2, stem="imagenet", num_classes=1000)
    teacher = resnet34(weights=None).eval().requires_grad_(False)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE, fused=True)
    clipped = [p for name, p in network.named_parameters() if not name.startswith("fc.")]

    def one(images: int) -> None:
        batch = torch.randn(images, 3, 224, 224).contiguous(memory_format=torch.channels_last)
        labels = torch.zeros(images, dtype=torch.int64)
        with Bfloat16Backward() if backward else nullcontext():
            logits = network(batch)
        with torch.no_grad():
            taught = teacher(batch)
        loss = mixed_loss(logits, labels, taught, 1.0)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        clip_(clipped, CLIP)
        optimizer.step()

    return one


def training(model: str, *, backward: bool) -> dict[str, float]:
    """Images per CPU second, bytes per image, bytes without images, parameters."""
    torch.set_num_threads(1)
    one = step(model, backward=backward)
    one(SMALL)
    small = _peak()
    seconds = [_timed(lambda: one(SMALL)) for _ in range(3)]
    one(LARGE)
    each = (_peak() - small) / (LARGE - SMALL)
    parameters = sum(
        float(p.numel()) for p in build(model, step=2, stem="imagenet", num_classes=1000).parameters()
    )
    return {
        "images_per_s": SMALL / statistics.median(seconds), "bytes_per_image": each,
        "bytes_alone": small - SMALL * each, "parameters": parameters,
    }  # fmt: skip


def judging(model: str) -> dict[str, float]:
    """Images per CPU second."""
    torch.set_num_threads(1)
    network = build(model, step=2, stem="imagenet", num_classes=1000).eval()
    batch = torch.randn(SMALL, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        network(batch)
        return {"images_per_s": SMALL / statistics.median([_timed(lambda: network(batch)) for _ in range(3)])}


def _timed(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _peak() -> float:
    """Bytes of this process at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def rendered(found: dict[str, dict[str, float]], models: list[str], machine: str) -> str:
    """The report."""
    text = (__doc__ or "").partition("    python benchmarks")[0].partition("\n\n")[2].strip()
    lines = [
        "# One core and ImageNet",
        "",
        f"Written by `make imagenet-node`; {machine}",
        "",
        "```",
        text,
        "```",
        "",
        f"- reading: **{found['reading']['images_per_s']:.0f} images/s** per core, of files of "
        f"{found['reading']['bytes'] / 1e3:.0f} kB on average",
        "",
        "| network | training, images/s | with `--precision bf16-backward` | judging, images/s | memory per image, MB "
        "| without images, MB | gradients of a step, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for model in models:
        plain, fast, judged = (found[f"{model} {name}"] for name in ("plain", "backward", "judging"))
        lines.append(
            f"| {model} | {plain['images_per_s']:.2f} | {fast['images_per_s']:.2f} | {judged['images_per_s']:.2f} | "
            f"{plain['bytes_per_image'] / 1e6:.0f} | {plain['bytes_alone'] / 1e6:.0f} | "
            f"{4 * plain['parameters'] / 1e6:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the report, and write it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", default=["reactnet_18", "reactnet_a"])
    parser.add_argument("--report", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {"reading": reading()}
    alone = multiprocessing.get_context("spawn")  # a peak of memory is that of one process
    for model in arguments.models:
        for name, work, options in (
            ("plain", training, {"backward": False}),
            ("backward", training, {"backward": True}),
            ("judging", judging, {}),
        ):
            with alone.Pool(1) as pool:
                found[f"{model} {name}"] = pool.apply(work, (model,), options)
            print(json.dumps({f"{model} {name}": found[f"{model} {name}"]}), flush=True)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "torchvision"))
    machine = f"{_processor()}, one thread; {versions}; {time.strftime('%Y-%m-%d')}."
    text = rendered(found, arguments.models, machine)
    print(text)
    if arguments.report:
        arguments.report.write_text(text, encoding="utf-8")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(": ")[1]
    return "unknown processor"


if __name__ == "__main__":
    main()
