"""What a network of the zoo promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from abcost.models.factory import build
from abcost.models.presets import preset as find_preset
from abcost.models.recipe import STEPS, VARIANTS
from abcost.models.registry import MODELS
from abcost.pipeline import analyze
from abcost.testing.contract import hold

CLASSES = 7  # no preset has so many: who ignores the number is found out
IMAGES = 3


def check_model(
    name: str,
    *,
    preset: str = "digits",
    base_width: int | None = 4,
    blocks: Sequence[int] | None = (1,),
    variants: Sequence[str] = VARIANTS,
    target: str = "fpga-lut6",
) -> None:
    """Raises AssertionError unless the model builds, trains, is analysed and verified.

    - The first line of its factory's docstring describes it.
    - In every variant both steps build with the classes, width and blocks asked for; they have the same tensors, so
      that step 2 can start from step 1.
    - (N, 3, H, W) -> (N, classes), finite; in eval mode the same twice, and of an image alone what it is among others.
    - Every trainable parameter gets a finite gradient.
    - `abcost analyze` counts and prices it, and all stages are executed and exact where they say so.

    preset: whose stem and image size.  base_width, blocks: of a network small enough to be verified in seconds.
    variants: those that the model has.
    """
    described = (MODELS.get(name).__doc__ or "").partition("\n")[0].strip()
    hold(
        bool(described),
        f"model {name}: the first line of its factory's docstring is what abcost models shows",
    )
    chosen = find_preset(preset)
    asked: dict[str, Any] = {"stem": chosen.stem, "base_width": base_width, "blocks": blocks}
    images = torch.rand(IMAGES, *chosen.input_shape[1:], generator=torch.Generator().manual_seed(0)) * 2 - 1
    for variant in variants:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            steps = {
                step: build(name, variant=variant, step=step, num_classes=CLASSES, **asked) for step in STEPS
            }
        shapes = [{key: value.shape for key, value in net.state_dict().items()} for net in steps.values()]
        hold(
            shapes[0] == shapes[1],
            f"model {name}, {variant}: tensors of step 1 and step 2 differ in name or shape, so that step 2 cannot "
            "start from step 1",
        )
        for step, network in steps.items():
            _check_network(f"model {name}, {variant}, step {step}", network, images)
            report = analyze(
                name, target, verify=True, preset=preset, variant=variant, step=step, base_width=base_width,
                blocks=None if blocks is None else tuple(blocks),
            )  # fmt: skip
            hold(
                report.verified,
                f"model {name}, {variant}, step {step}: an exact stage is not; abcost verify says where",
            )


def _check_network(what: str, network: nn.Module, images: torch.Tensor) -> None:
    loss = nn.functional.cross_entropy(network.train()(images), torch.arange(len(images)))
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            kept = parameter.grad is not None and bool(parameter.grad.isfinite().all())
            hold(kept, f"{what}: {name} gets no finite gradient")
    network.double().eval()
    with torch.no_grad():
        wide = images.double()
        scores, again, alone = network(wide), network(wide), network(wide[:1])
    hold(
        tuple(scores.shape) == (len(images), CLASSES),
        f"{what}: {len(images)} images and {CLASSES} classes give scores of shape {tuple(scores.shape)}",
    )
    hold(bool(scores.isfinite().all()), f"{what}: scores are not finite")
    hold(torch.equal(scores, again), f"{what}: the same images give other scores the second time")
    hold(
        torch.allclose(scores[:1], alone, rtol=1e-9, atol=1e-9),
        f"{what}: an image alone gives other scores than among others, in eval mode",
    )
