"""What a network of the zoo promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from abcost.errors import UsageError, one_line
from abcost.models.factory import build
from abcost.models.presets import preset as find_preset
from abcost.models.properties import STEPS, VARIANTS
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
    variants: those to try; another that the model does not have is a UsageError, and `abcost models` leaves it out.
    """
    described = (MODELS.get(name).__doc__ or "").partition("\n")[0].strip()
    hold(
        bool(described),
        f"model {name}: the first line of its factory's docstring is what abcost models shows",
    )
    for variant in VARIANTS:
        asked = {"preset": preset, "variant": variant, "base_width": base_width,
                 "blocks": None if blocks is None else tuple(blocks)}  # fmt: skip
        if variant in variants:
            _check_variant(name, target, asked)
        else:
            _check_refused(name, variant, find_preset(preset).stem)


def _check_variant(name: str, target: str, asked: dict[str, Any]) -> None:
    """Both steps of one variant."""
    chosen = find_preset(asked["preset"])
    recipe = {**{key: value for key, value in asked.items() if key != "preset"}, "stem": chosen.stem}
    what = f"model {name}, {asked['variant']}"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        images = torch.rand(IMAGES, *chosen.input_shape[1:]) * 2 - 1
        steps = {step: build(name, step=step, num_classes=CLASSES, **recipe) for step in STEPS}
    shapes = [{key: value.shape for key, value in net.state_dict().items()} for net in steps.values()]
    hold(
        shapes[0] == shapes[1],
        f"{what}: tensors of step 1 and step 2 differ in name or shape, so that step 2 cannot start from step 1",
    )
    for step, network in steps.items():
        _check_network(f"{what}, step {step}", network, images)
        report = analyze(name, target, verify=True, step=step, **asked)
        hold(report.verified, f"{what}, step {step}: an exact stage is not; abcost verify says where")


def _check_refused(name: str, variant: str, stem: str) -> None:
    """A variant that is not tried: it may be there, but nothing else than a UsageError may come of it."""
    try:
        with torch.device("meta"):
            build(name, variant=variant, stem=stem)
    except UsageError:
        pass
    except Exception as error:
        raise AssertionError(
            f"model {name}: {variant} raises {type(error).__name__}: {one_line(error)}; a variant that a model "
            "does not have is a UsageError that says so"
        ) from error


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
