"""Printed accuracies: which are shown, and which of two belongs to what."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from abcost.models import build
from abcost.models.accuracies import published
from abcost.models.subject import Request, resolve
from abcost.training.assessment import EvaluationForm, assess
from training import noise


def test_published_accuracies_stand_next_to_the_result():
    data = replace(noise(0, side=32, classes=10), name="cifar10")
    subject = resolve(Request("reactnet_18", preset="cifar10"))
    shown = [
        (figure.percent, figure.row, figure.slopes)
        for figure in assess(subject, data, EvaluationForm()).published
    ]
    assert shown == [
        (91.94, "A&B", "quantized RPReLU"), (92.30, "A&B", "fixed 2^-3"), (92.07, "A&B", "fixed 2^-7"),
    ]  # fmt: skip
    reduced = resolve(Request("reactnet_18", preset="cifar10", base_width=4, blocks=(1,)))
    assert assess(reduced, data, EvaluationForm()).published == ()
    small = resolve(Request("reactnet_18", preset="cifar10", base_width=4, blocks=(1,), alpha_exponent=-3))
    assert (small.network.step, small.network.alpha_exponent) == (2, -3)


@pytest.mark.parametrize(
    ("arguments", "options", "percents"),
    [
        (("reactnet_a", "ab", "cifar10"), {}, [89.44]),
        (("reactnet_34", "ab", "imagenet"), {}, [65.19]),
        (("birealnet_18", "ab", "imagenet"), {}, [60.38]),
        (("bnn_18", "bn", "imagenet"), {}, [42.2]),
        (("reactnet_a", "bn-free", "cifar100"), {}, [55.00]),
        (("xnornet_18", "bn", "cifar100"), {}, [65.35]),
        (("reactnet_18", "ab", "imagenet"), {"step": 1}, [65.40, 65.00, 64.66]),
        (("reactnet_18", "ab", "cifar100"), {"alpha_exponent": -3}, [68.35]),
        (("reactnet_a", "ab", "imagenet"), {"step": 1}, []),  # not printed
        (("reactnet_a", "ab", "imagenet"), {"alpha_exponent": -3}, []),
        (("reactnet_34", "ab", "cifar10"), {}, []),
        (("reactnet_18", "ab", "digits"), {}, []),
        (("my/net.py:make", "ab", "cifar10"), {}, []),
    ],
)
def test_published_accuracies(arguments, options, percents):
    assert [figure.percent for figure in published(*arguments, **options)] == percents


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        (("xnornet_18", "ab", "cifar10"), [("A&B", 89.94), ("BN-free", 79.67)]),
        (("xnornet_18", "ab", "cifar100"), [("A&B", 64.51), ("BN-free", 53.76)]),
        (("xnornet_18", "bn-free", "cifar10"), [("BN-free", 79.67), ("A&B", 89.94)]),
        (("birealnet_18", "ab", "cifar10"), [("A&B", 90.09), ("BN-free", 79.59)]),
        (("birealnet_18", "bn-free", "cifar100"), [("BN-free", 54.34), ("A&B", 65.52)]),
        (("birealnet_18", "bn-free", "imagenet"), [("A&B", 60.38)]),
        (("birealnet_18", "bn", "cifar10"), [("BN", 89.12)]),
        (
            ("reactnet_a", "bn-free", "cifar10"),
            [("BN-free", 83.91)],
        ),  # two networks: real slopes, powers of two
        (("reactnet_a", "ab", "cifar10"), [("A&B", 89.44)]),
    ],
)
def test_two_accuracies_of_one_network_are_told_apart(arguments, rows):
    assert [(figure.row, figure.percent) for figure in published(*arguments)] == rows


@pytest.mark.parametrize("name", ["xnornet_18", "birealnet_18", "birealnet_34"])
def test_without_slopes_in_the_blocks_both_variants_are_one_network(name):
    torch.manual_seed(0)
    one, other = (
        build(name, variant=v, base_width=4, blocks=(1, 1), num_classes=3) for v in ("ab", "bn-free")
    )
    other.load_state_dict(one.state_dict())
    image = torch.randn(2, 3, 64, 64)
    assert torch.equal(one.eval()(image), other.eval()(image))
