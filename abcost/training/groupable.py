"""Whether networks side by side compute what they compute alone: found by running both."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from abcost.errors import one_line
from abcost.training.grouped import Grouped, NotGroupable

TOLERANCE = 1e-9
"""What logits and gradients in float64 may differ by, relative to the largest: other orders of summation."""
_TRIED = 3  # networks
_NOISE = 0.05  # added to their weights, for those of equal networks could be mixed up without a sign


def check_groupable(model: nn.Module, images: Tensor) -> None:
    """Raise NotGroupable unless networks such as `model` give the same logits and gradients side by side as alone.

    abcost cannot know what a user's forward method does with channels, so three copies with noise on their parameters
    are run both ways, in training and in evaluation mode, on images (N, C, H, W), in float64.
    """
    generator = torch.Generator().manual_seed(0)
    members = [_noisy(model, generator) for _ in range(_TRIED)]
    pixels = images.double()
    grouped = Grouped(members, images.shape[1])
    several = torch.cat([pixels + 0.1 * k for k in range(_TRIED)], dim=1)
    random = torch.get_rng_state()
    try:
        for training in (True, False):
            grouped.train(training)
            alone = [m.train(training)(pixels + 0.1 * k) for k, m in enumerate(members)]
            together = grouped(several)
            _compare("logits", torch.stack(alone), together)
            weights = torch.randn(together.shape, generator=generator, dtype=torch.float64)
            (torch.stack(alone) * weights).sum().backward()  # type: ignore[no-untyped-call]
            (together * weights).sum().backward()
    except NotGroupable:
        raise
    except Exception as error:  # a forward method may fail in any way on more channels than it knows
        raise NotGroupable(one_line(error)) from error
    finally:
        drawn = not torch.equal(random, torch.get_rng_state())
        torch.set_rng_state(random)
    if drawn:
        raise NotGroupable("it draws random numbers")
    for names, joint in zip(
        zip(*(m.named_parameters() for m in members), strict=True), grouped.network.parameters(), strict=True
    ):
        gradients = [p.grad for _, p in names]
        if joint.grad is None or any(g is None for g in gradients):
            if joint.grad is None and all(g is None for g in gradients):
                continue
            raise NotGroupable(f"{names[0][0]} has a gradient only alone, or only side by side")
        expected = torch.stack([g for g in gradients if g is not None])
        _compare(
            f"gradients of {names[0][0]}", expected, joint.grad.reshape(-1, *expected.shape[1:])[:_TRIED]
        )


def _noisy(model: nn.Module, generator: torch.Generator) -> nn.Module:
    noisy = copy.deepcopy(model).cpu().double()
    with torch.no_grad():
        for parameter in noisy.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(noise, alpha=_NOISE)
    return noisy


def _compare(what: str, expected: Tensor, found: Tensor) -> None:
    if expected.shape != found.shape:
        raise NotGroupable(
            f"{what} have shape {list(found.shape)} side by side, {list(expected.shape)} alone"
        )
    largest = float(expected.detach().abs().max())
    difference = float((expected - found).detach().abs().max())
    if not difference <= TOLERANCE * max(largest, 1e-300):
        raise NotGroupable(
            f"{what} differ by {difference:.3g} from those alone, which are up to {largest:.3g}"
        )
