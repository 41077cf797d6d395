"""Grouped convolution of maps of a kernel's reach, next to torch's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from abcost.nn.tiny_maps import convolve_dense, is_dense

SHAPES = {
    "2x2": (3, 4, 5, 7, (2, 2), 3),
    "one row": (3, 4, 5, 7, (1, 2), 3),
    "one pixel": (2, 3, 4, 4, (1, 1), 3),
    "kernel of 5 on 3x3": (2, 3, 2, 3, (3, 3), 5),
    "kernel of 5 on 2x3": (1, 3, 2, 3, (2, 3), 5),
}


def _tensors(groups, n, inputs, outputs, size, kernel):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        drawn = torch.randn(*shape, generator=generator, dtype=torch.float64)
        return drawn.contiguous(memory_format=torch.channels_last)

    x, weight = draw(n, groups * inputs, *size), draw(groups * outputs, inputs, kernel, kernel)
    return x.requires_grad_(), weight.requires_grad_(), draw(n, groups * outputs, *size)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_convolution_and_so_are_its_gradients(shape):
    x, weight, grad = _tensors(*SHAPES[shape])
    groups, kernel = SHAPES[shape][0], SHAPES[shape][-1]
    assert is_dense(x, weight, 1)
    expected = F.conv2d(x, weight, None, 1, kernel // 2, groups=groups)
    found = convolve_dense(x, weight, groups)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(
        torch.autograd.grad(found, (x, weight), grad),
        torch.autograd.grad(expected, (x, weight), grad),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_only_what_is_wanted_has_a_gradient():
    x, weight, grad = _tensors(*SHAPES["2x2"])
    (alone,) = torch.autograd.grad(convolve_dense(x.detach(), weight, 3), weight, grad)
    (both, _) = torch.autograd.grad(convolve_dense(x, weight, 3), (weight, x), grad)
    assert torch.equal(alone, both)
    (alone,) = torch.autograd.grad(convolve_dense(x, weight.detach(), 3), x, grad)
    (_, both) = torch.autograd.grad(convolve_dense(x, weight, 3), (weight, x), grad)
    assert torch.equal(alone, both)


def test_maps_beyond_the_reach_of_the_kernel_are_others_work():
    weight = torch.zeros(4, 4, 3, 3)
    assert not is_dense(torch.zeros(1, 4, 3, 2), weight, 1)  # no output sees both ends of three rows
    assert not is_dense(torch.zeros(1, 4, 2, 2), weight, 2)
    assert not is_dense(torch.zeros(1, 4, 1, 1), torch.zeros(4, 4, 1, 1), 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_group_has_the_same_bits_whatever_stands_beside_it(dtype):
    x, weight, grad = (t.detach().to(dtype) for t in _tensors(6, 9, 8, 8, (2, 2), 3))

    def both(first, last):
        part = x[:, first * 8 : last * 8].clone().requires_grad_()
        kernels = weight[first * 8 : last * 8].clone().requires_grad_()
        result = convolve_dense(part, kernels, last - first)
        gradients = torch.autograd.grad(result, (part, kernels), grad[:, first * 8 : last * 8])
        return result, *gradients

    alike, among = both(2, 4), both(0, 6)
    assert torch.equal(alike[0], among[0][:, 16:32])
    assert torch.equal(alike[1], among[1][:, 16:32])
    assert torch.equal(alike[2], among[2][16:32])
