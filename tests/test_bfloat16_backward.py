"""Gradients from products in bfloat16: forward to the bit as in float32, gradients as exact as eight bits are."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from abcost.cli import run as cli
from abcost.errors import UsageError
from abcost.models import build
from abcost.models.checkpoint import read_checkpoint
from abcost.nn.bfloat16_backward import FEWEST_CHANNELS, MULTIPLIES_BFLOAT16, Bfloat16Backward
from abcost.nn.integer_conv import MULTIPLIES_BYTES, convolve_signs
from abcost.nn.small_maps import convolve_taps
from abcost.training import run, runtime
from abcost.training.config import Config
from abcost.training.context import RunContext
from abcost.training.runtime import start
from abcost.training.side_by_side import Run, train_side_by_side
from training import Losses, noise

ROUNDING = 2**-8  # of a number to 8 significant bits, relative to it, at most
IN_BFLOAT16 = (
    "this processor has no products of bfloat16: torch rounds partial sums of its convolutions there"
)
needs_bytes = pytest.mark.skipif(not MULTIPLIES_BYTES, reason="this processor or torch multiplies no bytes")


@pytest.fixture(autouse=True)
def everywhere(monkeypatch):
    """What is computed is tested on every processor; refusals are tested below."""
    monkeypatch.setattr(runtime, "MULTIPLIES_BFLOAT16", True)


def rounded(tensor):
    """To bfloat16, in float64."""
    return tensor.detach().bfloat16().double()


def conv(function, **geometry):
    return lambda x, w, *bias: function(x, w, *bias, **geometry)


def taps(x, w):
    """What `convolve_taps` computes, by torch."""
    return convolve_taps(x, w, 2) if x.dtype == torch.float32 else F.conv2d(x, w, stride=2, padding=1)


def integers(x, w):
    return convolve_signs(x, w, 2) if x.dtype == torch.float32 else F.conv2d(x, w, stride=2, padding=1)


# what is called, the shapes of its operands, and into how many rounded parts a gradient is summed
CALLS = {
    "conv1d": (conv(torch.conv1d, padding=1), [(4, 16, 9), (8, 16, 3), (8,)], 1),
    "conv2d": (conv(torch.conv2d, stride=(2, 1), padding=1), [(4, 16, 6, 6), (8, 16, 3, 3), (8,)], 1),
    "conv2d, without bias": (conv(torch.conv2d, padding=(1,)), [(4, 16, 6, 6), (8, 16, 3, 3)], 1),
    "conv2d, groups": (conv(torch.conv2d, groups=2, dilation=2), [(4, 32, 6, 6), (8, 16, 3, 3), (8,)], 1),
    "conv3d": (conv(torch.conv3d), [(2, 16, 4, 4, 4), (8, 16, 2, 2, 2), (8,)], 1),
    "by name": (lambda x, w: torch.conv2d(input=x, weight=w, stride=2), [(4, 16, 6, 6), (8, 16, 3, 3)], 1),
    "linear": (F.linear, [(5, 16), (3, 16), (3,)], 1),
    "linear, without bias": (F.linear, [(2, 5, 16), (3, 16)], 1),
    "bmm": (torch.bmm, [(3, 4, 16), (3, 16, 5)], 1),
    "taps": (taps, [(4, 16, 6, 6), (8, 16, 3, 3)], 9),
    "signs": (integers, [(4, 16, 6, 6), (8, 16, 3, 3)], 1),
}


@pytest.mark.parametrize("name", CALLS)
def test_gradients_are_those_of_rounded_operands(name):
    """In float64 by autograd, whose result is rounded once; a small map's as often as it has taps."""
    if name == "signs" and not MULTIPLIES_BYTES:
        pytest.skip("this processor or torch multiplies no bytes")
    if (name.startswith("conv") or name == "by name") and not MULTIPLIES_BFLOAT16:
        pytest.skip(IN_BFLOAT16)
    function, shapes, parts = CALLS[name]
    torch.manual_seed(0)
    operands = [torch.randn(shape) for shape in shapes]
    if name == "signs":
        operands = [operands[0].sign(), 0.3 * operands[1].sign()]
    operands = [tensor.requires_grad_() for tensor in operands]
    plain = function(*operands)
    with Bfloat16Backward():
        found = function(*operands)
    assert torch.equal(found, plain)
    upstream = torch.randn(found.shape)
    gradients = torch.autograd.grad(found, operands, upstream)
    exact = [rounded(tensor).requires_grad_() for tensor in operands]
    wanted = torch.autograd.grad(function(*exact), exact[:2], rounded(upstream))
    unrounded = torch.autograd.grad(plain, operands, upstream)
    for gradient, expected, single in zip(gradients[:2], wanted, unrounded, strict=False):
        assert gradient.dtype == torch.float32
        # float32 sums some hundred products, each of about the size of the result
        allowed = ROUNDING * (expected.abs() if parts == 1 else parts * expected.abs().max()) + 1e-4
        assert ((gradient.double() - expected).abs() <= allowed).all()
        assert not torch.equal(gradient, single)
    for gradient, single in zip(gradients[2:], unrounded[2:], strict=True):  # of the bias
        torch.testing.assert_close(gradient, single, rtol=1e-5, atol=1e-5)


UNTOUCHED = {
    "float64": lambda: (torch.conv2d, torch.randn(2, 8, 4, 4).double(), torch.randn(8, 8, 3, 3).double()),
    "few channels": lambda: (
        torch.conv2d, torch.randn(2, FEWEST_CHANNELS - 1, 4, 4), torch.randn(8, FEWEST_CHANNELS - 1, 3, 3)
    ),
    "depthwise": lambda: (
        lambda x, w: torch.conv2d(x, w, groups=16), torch.randn(2, 16, 4, 4), torch.randn(16, 1, 3, 3)
    ),
    "one image": lambda: (torch.conv2d, torch.randn(8, 4, 4), torch.randn(8, 8, 3, 3)),
    "padding by a word": lambda: (
        lambda x, w: torch.conv2d(x, w, padding="same"), torch.randn(2, 8, 4, 4), torch.randn(8, 8, 3, 3)
    ),
    "a product of matrices": lambda: (torch.matmul, torch.randn(4, 8), torch.randn(8, 8)),
}  # fmt: skip


@pytest.mark.parametrize("name", UNTOUCHED)
def test_what_stays_as_it_is(name):
    torch.manual_seed(1)
    function, *operands = UNTOUCHED[name]()
    operands = [tensor.requires_grad_() for tensor in operands]
    gradients = []
    for mode in (torch.no_grad, Bfloat16Backward):
        with mode(), torch.enable_grad():
            output = function(*operands)
        gradients.append(torch.autograd.grad(output.square().sum(), operands))
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_only_what_is_wanted_is_computed():
    """No gradient of images, and none of frozen weights."""
    x, weight = torch.randn(2, 8, 4, 4), torch.randn(8, 8, 3, 3)
    for operand in (x, weight):
        operand.requires_grad_()
        with Bfloat16Backward():
            torch.conv2d(x, weight).sum().backward()
        assert operand.grad is not None
        operand.requires_grad_(False)
    assert torch.conv2d(x, weight).grad_fn is None
    with Bfloat16Backward():
        assert torch.conv2d(x, weight).grad_fn is None


# whole networks


def loss_and_gradients(network, images, labels):
    logits = network(images.contiguous(memory_format=torch.channels_last))
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    gradients = [p.grad for p in network.parameters()]
    network.zero_grad()
    return logits.detach(), loss.detach(), gradients


@pytest.mark.parametrize("ways", ["as usual", "integers", "taps"])
@pytest.mark.parametrize("variant", ["ab", "bn"])
@pytest.mark.parametrize("name", ["reactnet_18", "reactnet_a", "birealnet_18", "xnornet_18", "bnn_18"])
@pytest.mark.parametrize("step", [1, 2])
def test_forward_is_that_of_single_precision_to_the_bit(name, variant, step, ways, monkeypatch):
    """Logits, loss and running statistics, in whichever way convolutions are computed; gradients are near."""
    if ways == "integers" and not MULTIPLIES_BYTES:
        pytest.skip("this processor or torch multiplies no bytes")
    if ways != "as usual":
        monkeypatch.setattr("abcost.nn.conv.convolves_taps_faster", lambda *_: ways == "taps")
        monkeypatch.setattr("abcost.nn.conv.convolves_signs_faster", lambda *_: ways == "integers")
    torch.manual_seed(2)
    networks = [
        build(name, variant=variant, step=step, stem="cifar", num_classes=10, base_width=8, blocks=(1, 1))
        for _ in range(2)
    ]
    with torch.no_grad():
        for parameter in networks[0].parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    networks[1].load_state_dict(networks[0].state_dict())
    images, labels = torch.randn(16, 3, 16, 16), torch.randint(10, (16,))
    logits, loss, gradients = loss_and_gradients(networks[0], images, labels)
    with Bfloat16Backward():
        found_logits, found_loss, found_gradients = loss_and_gradients(networks[1], images, labels)
    assert torch.equal(found_logits, logits)
    assert torch.equal(found_loss, loss)
    buffers = dict(networks[1].named_buffers())
    assert (variant == "bn") == bool(buffers)
    assert all(torch.equal(buffers[key], buffer) for key, buffer in networks[0].named_buffers())
    pairs = list(zip(found_gradients, gradients, strict=True))
    assert not all(torch.equal(one, other) for one, other in pairs)
    # every layer on the way adds roundings of up to 2^-8, of no common sign
    together = [torch.cat([gradient.flatten() for gradient in of]) for of in zip(*pairs, strict=True)]
    assert (together[0] - together[1]).norm() < 4 * ROUNDING * together[1].norm()


# trainings

CONFIG = Config(
    model="reactnet_18", step=2, base_width=8, blocks=(1, 1), epochs=2, batch_size=16, lr=1e-2, clip=0.02, threads=1,
    accelerator="cpu", precision="bf16-backward",
)  # fmt: skip
OWN = f"{Path(__file__).parent}/own_network.py:two_steps"
TIMES = {"seconds", "images_per_second"}


def trained(config, folder, monkeypatch, **more):
    monkeypatch.setattr(run, "load", lambda *_, **__: noise(64, classes=10))
    listener = Losses()
    run.train([config], folder, listener=listener, **more)
    return listener.losses


def log(folder):
    with (folder / "log.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    "changed",
    [
        {"variant": "bn"},
        {"step": 1, "weight_decay": 1e-3},
        {"distillation": 0.5, "teacher": "teacher/best.pt"},
        {"model": OWN, "model_args": {"width": 16}, "variant": None, "base_width": None, "blocks": None},
    ],
)
def test_a_step_of_training_has_the_loss_of_single_precision(changed, tmp_path, monkeypatch):
    """To the bit, and the running statistics that it leaves; what it trains is near."""
    monkeypatch.chdir(tmp_path)
    if "teacher" in changed:
        trained(replace(CONFIG, epochs=1, precision="32"), tmp_path / "teacher", monkeypatch)
    config = replace(CONFIG, epochs=1, **changed)
    single = trained(replace(config, precision="32"), tmp_path / "single", monkeypatch)
    found = trained(config, tmp_path / "found", monkeypatch)
    assert found[0] == single[0]
    assert found[1:] != single[1:]
    # then a sign near 0 falls otherwise: over 8 seeds single losses were up to 0.6 % apart, thrice that is allowed
    assert found == pytest.approx(single, rel=0.02)
    states = [read_checkpoint(tmp_path / name / "last.pt").tensors for name in ("single", "found")]
    assert {tensor.dtype for tensor in states[1].values()} == {t.dtype for t in states[0].values()}
    one_batch = replace(config, batch_size=64)  # an epoch of one step
    for name, precision in (("single", "32"), ("found", "bf16-backward")):
        trained(replace(one_batch, precision=precision), tmp_path / f"{name} step", monkeypatch)
    states = [read_checkpoint(tmp_path / f"{name} step" / "last.pt").tensors for name in ("single", "found")]
    running = [name for name in states[0] if "running_" in name]
    assert bool(running) == (config.variant == "bn")
    assert all(torch.equal(states[0][name], states[1][name]) for name in running)


class Stopping(Losses):
    """Asks to stop in the second epoch."""

    def stop(self):
        return len(self.losses) >= 6  # an epoch is 64/16 batches


def test_stopped_and_gone_on_with_to_the_bit(tmp_path, monkeypatch):
    whole = trained(CONFIG, tmp_path / "whole", monkeypatch)
    first, second = Stopping(), Losses()
    with pytest.raises(KeyboardInterrupt):
        run.train([CONFIG], tmp_path / "stopped", listener=first, stop=first.stop)
    run.train([CONFIG], tmp_path / "stopped", resume=True, listener=second)
    assert (len(first.losses), len(whole)) == (6, 8)
    assert first.losses + second.losses == whole
    assert log(tmp_path / "stopped") == log(tmp_path / "whole")
    states = [read_checkpoint(tmp_path / name / "last.pt").tensors for name in ("whole", "stopped")]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())
    assert (
        json.loads((tmp_path / "whole" / "config.json").read_text())["steps"][0]["precision"]
        == "bf16-backward"
    )
    with pytest.raises(UsageError, match="was started with precision bf16-backward, not 32"):
        run.train([replace(CONFIG, precision="32")], tmp_path / "stopped", resume=True)


# side by side


@pytest.mark.skipif(not MULTIPLIES_BFLOAT16, reason=IN_BFLOAT16)
def test_side_by_side_a_layer_has_the_gradients_that_it_has_alone():
    """Groups of a convolution and products of a batch, as far as another order of sums and one rounding go."""
    torch.manual_seed(3)
    x, weight = torch.randn(4, 24, 6, 6, requires_grad=True), torch.randn(48, 8, 3, 3, requires_grad=True)
    rows, matrices = torch.randn(3, 5, 16, requires_grad=True), torch.randn(3, 16, 4, requires_grad=True)
    with Bfloat16Backward():
        images = x.contiguous(memory_format=torch.channels_last)
        together = torch.conv2d(images, weight, padding=1, groups=3), torch.bmm(rows, matrices)
        alone = (
            torch.cat([torch.conv2d(i, w, padding=1) for i, w in zip(x.split(8, 1), weight.split(16), strict=True)], 1),
            torch.stack([F.linear(r, m.t()) for r, m in zip(rows, matrices, strict=True)]),
        )  # fmt: skip
    for one, other, leaves in zip(together, alone, ((x, weight), (rows, matrices)), strict=True):
        upstream = torch.randn(one.shape)
        for found, expected in zip(
            torch.autograd.grad(one, leaves, upstream),
            torch.autograd.grad(other, leaves, upstream),
            strict=True,
        ):
            torch.testing.assert_close(found, expected, rtol=2 * ROUNDING, atol=1e-4)


@pytest.mark.parametrize("width", [8, 16])
def test_the_bits_do_not_depend_on_what_stands_beside(width, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = replace(CONFIG, base_width=width)
    losses, states = {}, {}
    for name, seeds in {"three": (0, 1, 2), "two": (2, 0), "one": (0,)}.items():
        runs = []
        for seed in seeds:
            folder = tmp_path / f"{name}-{seed}"
            folder.mkdir()
            own = replace(config, seed=seed)
            runs.append(
                Run(own, RunContext(start(own), noise(64, seed=seed), folder, Losses(), lambda: False))
            )
        train_side_by_side(runs)
        for each in runs:
            losses[name, each.config.seed] = each.context.listener.losses
            states[name, each.config.seed] = read_checkpoint(each.context.folder / "last.pt").tensors
    for one, other in ((("three", 0), ("two", 0)), (("three", 2), ("two", 2)), (("three", 0), ("one", 0))):
        assert losses[one] == losses[other]
        assert all(torch.equal(tensor, states[other][name]) for name, tensor in states[one].items())


def test_seeds_from_a_file_of_the_recipe(tmp_path, capfd):
    """As `abcost train` is asked for it; the seeds stand side by side."""
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('precision = "bf16-backward"\nepochs = 1\nbatch_size = 256\naccelerator = "cpu"\n')
    command = [
        "train",
        "reactnet_18",
        "--data",
        "digits",
        "--base-width",
        "8",
        "--blocks",
        "1,1",
        "--step",
        "2",
    ]
    assert cli([*command, "--config", str(recipe), "--seeds", "0:2", "--run-dir", str(tmp_path / "run")]) == 0
    assert "one after the other" not in capfd.readouterr().err
    assert json.loads((tmp_path / "run" / "seeds.json").read_text())["seeds"] == [0, 1]
    held = json.loads((tmp_path / "run" / "seed-1" / "config.json").read_text())
    assert held["steps"][0]["precision"] == "bf16-backward"


# refusals

COMMAND = ["train", "reactnet_18", "--data", "digits", "--precision", "bf16-backward"]
NO_PRODUCTS = (
    "error: --precision bf16-backward would be slower here than 32: this processor has no products of bfloat16 "
    "(neither avx512_bf16 nor amx_bf16); take --precision 32\n"
)
NOT_ON_GPUS = (
    "error: --precision bf16-backward is for the CPU: add --accelerator cpu, or take --precision bf16-mixed\n"
)


@pytest.mark.parametrize("more", [[], ["--seeds", "0:2"]])
def test_another_processor_is_refused(more, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(runtime, "MULTIPLIES_BFLOAT16", False)
    assert cli([*COMMAND, *more, "--accelerator", "cpu", "--run-dir", str(tmp_path / "run")]) == 2
    assert capfd.readouterr().err.endswith(NO_PRODUCTS)
    assert not (tmp_path / "run").exists()


def test_a_gpu_is_refused(tmp_path, capfd, monkeypatch):
    """Also one that is found; what is asked for is never something else."""
    assert cli([*COMMAND, "--accelerator", "cuda", "--run-dir", str(tmp_path / "run")]) == 2
    assert capfd.readouterr().err == NOT_ON_GPUS
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert cli([*COMMAND, "--run-dir", str(tmp_path / "run")]) == 2
    assert capfd.readouterr().err == NOT_ON_GPUS
    assert not (tmp_path / "run").exists()


def test_a_search_is_refused_before_it_begins(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(runtime, "MULTIPLIES_BFLOAT16", False)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('precision = "bf16-backward"\naccelerator = "cpu"\n')
    command = ["search", "reactnet_18", "--data", "digits", "--base-width", "4", "--blocks", "1,1"]
    assert cli([*command, "--config", str(recipe), "--run-dir", str(tmp_path / "run")]) == 2
    assert capfd.readouterr().err == NO_PRODUCTS
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised inside torch while it compiles
def test_compiled_the_forward_pass_stays_too(tmp_path, monkeypatch):
    """The first loss to the bit as compiled in single precision; all near those that nobody compiled."""
    compiled = replace(CONFIG, epochs=1, compile=True)
    single = trained(replace(compiled, precision="32"), tmp_path / "single", monkeypatch)
    found = trained(compiled, tmp_path / "found", monkeypatch)
    eager = trained(replace(compiled, compile=False), tmp_path / "eager", monkeypatch)
    assert found[0] == single[0]
    assert found[1:] != single[1:]
    assert found == pytest.approx(eager, rel=0.02)
