"""Adaptive gradient clipping, against its definition unit by unit."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from abcost.training.agc import clip_


def parameter(value, grad):
    p = nn.Parameter(torch.as_tensor(value, dtype=torch.float64))
    p.grad = None if grad is None else torch.as_tensor(grad, dtype=torch.float64)
    return p


def clipped_by_hand(unit, grad, factor):
    """Plain Python on lists of numbers."""
    limit = factor * max(math.sqrt(sum(w * w for w in unit)), 1e-3)
    length = math.sqrt(sum(g * g for g in grad))
    return [g * limit / max(length, 1e-6) for g in grad] if length > limit else grad


def units(tensor):
    """A tensor of one dimension is one unit, others have one per slice of the first."""
    return [tensor.tolist()] if tensor.dim() == 1 else [part.flatten().tolist() for part in tensor]


@pytest.mark.parametrize("factor", [0.001, 0.02, 1e-5])
def test_every_unit_is_clipped_as_defined(factor):
    torch.manual_seed(0)
    shapes = [(4, 3, 3, 3), (7,), (4, 1, 1, 1), (1, 5, 1, 1), (2, 6)]
    parameters = []
    for shape in shapes:
        p = parameter(torch.randn(shape), torch.randn(shape))
        # lengths around the limit: some units are clipped, some are not
        p.grad *= factor * 10 ** torch.linspace(-1, 1, shape[0]).view(-1, *[1] * (len(shape) - 1))
        parameters.append(p)
    parameters.append(parameter(torch.zeros(3, 2), 1e-8 * torch.tensor([[1.0, 2], [30, 40], [5000, 6000]])))
    before = [(units(p.detach()), units(p.grad)) for p in parameters]
    clip_(parameters, factor)
    changed = 0
    for p, (values, grads) in zip(parameters, before, strict=True):
        for unit, grad, found in zip(values, grads, units(p.grad), strict=True):
            expected = clipped_by_hand(unit, grad, factor)
            assert found == pytest.approx(expected, rel=1e-14, abs=0)
            changed += expected != grad
    assert 0 < changed < sum(len(values) for values, _ in before)


def test_a_one_dimensional_parameter_is_one_unit():
    p = parameter([3.0, 4.0], [0.0, 10.0])
    clip_([p], 0.1)
    assert p.grad.tolist() == pytest.approx([0, 0.5])  # |p| = 5


def test_a_shift_of_four_dimensions_is_one_unit_and_a_gain_has_one_per_channel():
    shift = parameter(torch.tensor([3.0, 4.0]).view(1, 2, 1, 1), torch.tensor([0.0, 10.0]).view(1, 2, 1, 1))
    gain = parameter(torch.tensor([3.0, 4.0]).view(2, 1, 1, 1), torch.tensor([0.1, 10.0]).view(2, 1, 1, 1))
    clip_([shift, gain], 0.1)
    assert shift.grad.flatten().tolist() == pytest.approx([0, 0.5])  # |(3, 4)| = 5
    assert gain.grad.flatten().tolist() == pytest.approx([0.1, 0.4])  # limits 0.3 and 0.4


def test_zero_parameters_and_zero_gradients():
    moving, resting = parameter([0.0, 0.0], [3.0, 4.0]), parameter([0.0, 0.0], [0.0, 0.0])
    clip_([moving, resting], 0.02)
    # the norm of zeros counts as 1e-3: limit 2e-5, and the gradient has length 5
    assert moving.grad.tolist() == pytest.approx([3 * 2e-5 / 5, 4 * 2e-5 / 5])
    assert resting.grad.tolist() == [0, 0]


def test_parameters_without_gradient_are_passed_over():
    frozen = parameter([1.0], None)
    clip_([frozen], 0.01)
    clip_([], 0.01)
    assert frozen.grad is None


def test_values_stay_and_gradients_are_changed_in_place():
    p = parameter([1.0, 2.0], [5.0, 5.0])
    grad = p.grad
    clip_((q for q in [p]), 0.01)
    assert p.grad is grad
    assert p.tolist() == [1, 2]


def test_channels_last_weights_are_clipped_alike():
    torch.manual_seed(1)
    value, grad = torch.randn(4, 3, 3, 3), torch.randn(4, 3, 3, 3)
    flat = parameter(value, grad.clone())
    last = parameter(value, grad.clone())
    last.data = last.data.to(memory_format=torch.channels_last)
    last.grad = last.grad.to(memory_format=torch.channels_last)
    clip_([flat], 0.02)
    clip_([last], 0.02)
    torch.testing.assert_close(last.grad, flat.grad, rtol=1e-14, atol=0)
