"""What an analysis does without: modules that are not loaded, weights that are not kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from abcost.api.analyze import analyze
from abcost.core import binary, levels
from abcost.cost import CostTable
from abcost.cost.organisation import Lanes
from abcost.data.sets import digits
from abcost.errors import ModelError
from abcost.models import factory
from abcost.models.registry import MODELS
from abcost.models.subject import Request, resolve
from abcost.nn.bfloat16_backward import MULTIPLIES_BFLOAT16
from abcost.nn.conv import WeightedConv2d
from abcost.nn.late import is_late, taken, values_of
from abcost.pipeline import analyze_subject
from abcost.rewrite import RewriteOptions
from abcost.trace import trace
from abcost.training.adam import Adam
from abcost.training.tally import wilson

HEAVY = (
    "torch._dynamo", "torch.distributed.tensor", "sympy", "networkx", "pandas", "scipy", "matplotlib",
    "lightning_fabric", "sklearn", "optuna", "fvcore",
)  # fmt: skip
COMMAND = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps([m for m in sys.argv.pop().split() if m in sys.modules]), file=sys.stderr))
from abcost.cli import run
run(sys.argv[1:-1])
"""


def loaded_by(*arguments: str) -> list[str]:
    """Which of the heavy modules a command has loaded when it ends, in a process of its own."""
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", COMMAND, *arguments, " ".join(HEAVY)],
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[str] = json.loads(done.stderr.splitlines()[-1])
    return found


@pytest.mark.parametrize("form", ["rich", "json"])
def test_an_analysis_of_a_network_of_the_zoo_loads_no_compiler(form: str) -> None:
    assert (
        loaded_by("analyze", "reactnet_18", "--preset", "cifar10", "-t", "fpga-lut6", "--format", form) == []
    )


def test_an_execution_in_double_loads_no_compiler() -> None:
    """Nor do evaluations in fixed point, exports, circuits and searches: all capture the model in float64."""
    assert (
        loaded_by("verify", "reactnet_18", "--preset", "digits", "--base-width", "4", "--blocks", "1,1") == []
    )


def test_what_needs_a_heavy_module_loads_it() -> None:
    """Else the test above would not see one."""
    assert loaded_by(
        "analyze", "reactnet_18", "--preset", "cifar10", "-t", "fpga-lut6", "--format", "csv"
    ) == ["pandas"]


def late(model: str, variant: str = "ab") -> tuple[torch.nn.Module, torch.nn.Module]:
    """One network twice: without weights, and with them."""
    request = Request(model, variant=variant, preset="cifar10")
    return resolve(request, late=True).model, resolve(request).model


@pytest.mark.parametrize("variant", ["ab", "bn"])
@pytest.mark.parametrize("name", MODELS.names())
def test_weights_drawn_late_are_the_same(name: str, variant: str) -> None:
    without, with_weights = late(name, variant)
    convolutions = 0
    for path, module in without.named_modules():
        if isinstance(module, WeightedConv2d):
            convolutions += 1
            assert module.weight.is_meta
            assert is_late(module)
            with values_of(module) as drawn:
                assert torch.equal(drawn, with_weights.get_submodule(path).weight)
                assert drawn is module.weight
            assert module.weight.is_meta
    assert convolutions > 10
    others = dict(with_weights.named_parameters())
    for path, parameter in without.named_parameters():
        assert parameter.shape == others[path].shape
        assert parameter.is_meta or torch.equal(parameter, others[path])
    assert [*dict(without.named_parameters())] == [*others]


@pytest.mark.parametrize("name", ["reactnet_a", "xnornet_18"])
def test_reports_do_not_depend_on_when_weights_are_drawn(name: str) -> None:
    request, table = Request(name, preset="cifar10"), CostTable.load("fpga-lut6")
    texts = []
    for when in (True, False):
        (report,) = analyze_subject(
            resolve(request, late=when), [table], width=None, organisation=Lanes(), rewriting=RewriteOptions()
        )
        texts.append(json.dumps(report.to_dict()))
    assert texts[0] == texts[1]


def test_constants_of_late_weights_know_their_parameter() -> None:
    request = Request("reactnet_18", preset="cifar10")
    names = []
    for when in (True, False):
        subject = resolve(request, late=when)
        graph = trace(subject.model, subject.inputs).graph
        names.append([constant.shared for node in graph for constant in node.consts.values()])
    assert names[0] == names[1]
    assert "layer1.0.conv1.gain, layer1.0.conv1.weight" in names[0]


def test_a_late_weight_is_read_once() -> None:
    """The reader may write into it: a second reading would see what it left there."""
    model, _ = late("reactnet_18")
    conv = next(module for module in model.modules() if isinstance(module, WeightedConv2d) and module.binary)
    with values_of(conv):
        weight, owned = taken(conv)
        assert owned
        assert not weight.is_meta
        with pytest.raises(RuntimeError, match="read once"):
            taken(conv)


def test_a_weight_that_is_kept_is_nobody_elses() -> None:
    _, model = late("reactnet_18")
    conv = next(module for module in model.modules() if isinstance(module, WeightedConv2d))
    before = conv.weight.detach().clone()
    assert taken(conv) == (conv.weight, False)
    conv.eval()
    with torch.no_grad():
        conv.effective_weight()
    assert torch.equal(conv.weight, before)


def test_parameters_on_the_meta_device_are_still_refused() -> None:
    with pytest.raises(ModelError, match="on the meta device"):
        analyze(torch.nn.Conv2d(3, 4, 1, device="meta"), input_shape=(1, 3, 4, 4))


def test_verification_has_real_weights() -> None:
    report = analyze("reactnet_18", preset="cifar10", blocks=(1, 1), base_width=8, verify=True)
    assert report.verified


KINDS = {
    "real": lambda r: r,
    "signs": lambda r: r.sign() * r[:, :1],
    "ternary": lambda r: torch.where(r.abs() < 0.5, 0.0, r.sign()) * 0.3,
    "whole": lambda r: (r * 60).round().clamp(-127, 127) * 0.01,
    "whole, a scale each": lambda r: (r * 40).round().clamp(-127, 127) * r[:, :1].abs(),
    "whole, with noise": lambda r: (r * 40).round().clamp(-127, 127) * 0.013 - 0.9 + 0.9,
    "powers of two": lambda r: r.sign() * torch.exp2((r * 2).round()),
    "two values": lambda r: torch.where(r > 0, 0.7, 0.1),
    "bases": lambda r: 0.5 * r.sign() + 0.2 * r.flip(1).sign() + 0.1 * r.roll(1, 1).sign(),
    "tiny": lambda r: r * 1e-7,
}


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10**6), out=st.integers(1, 5), taps=st.integers(4, 100), double=st.booleans())
@settings(max_examples=60)
def test_readers_of_weights_that_are_not_asked_had_nothing_to_say(
    *, kind: str, seed: int, out: int, taps: int, double: bool
) -> None:
    rows = KINDS[kind](torch.randn(out, taps, generator=torch.Generator().manual_seed(seed)))
    rows = rows.double() if double else rows
    if levels.plainly_real(rows):
        readers = (levels.two_valued, levels.powers_of_two, levels.whole_multiples, levels.sums_of_bases)
        assert [reader(rows) for reader in readers] == [None] * 4
    if binary.has_several_magnitudes(rows, 0):
        magnitude = rows.abs()
        magnitude = torch.where(magnitude == 0, magnitude.amax(dim=1, keepdim=True), magnitude)
        spread = magnitude.amax(dim=1) - magnitude.amin(dim=1)
        assert bool((spread > binary.noise(magnitude.amax(dim=1))).any())  # what `split` calls real


def test_real_weights_are_seen_at_once() -> None:
    rows = torch.randn(64, 576, generator=torch.Generator().manual_seed(0))
    assert levels.plainly_real(rows)
    assert binary.has_several_magnitudes(rows, 0)
    assert not levels.plainly_real(rows.sign())
    assert not binary.has_several_magnitudes(rows.sign(), 0)
    assert not levels.plainly_real(torch.full((2, 40), float("nan")))
    assert not binary.has_several_magnitudes(torch.full((2, 40), float("nan")), 0)


@pytest.mark.parametrize("precision", ["32", "bf16-backward"])
def test_a_training_loads_neither_compiler_nor_fabric(tmp_path: Path, precision: str) -> None:
    pytest.importorskip("sklearn")
    if precision != "32" and (torch.cuda.is_available() or not MULTIPLIES_BFLOAT16):
        pytest.skip("refused on this machine")
    folder = tmp_path / "run"
    small = ("--base-width", "8", "--blocks", "1,1", "--epochs", "1", "--step", "2", "--precision", precision)
    assert loaded_by("train", "reactnet_18", "--data", "digits", *small, "--run-dir", str(folder)) == []
    assert (folder / "metrics.json").exists()


def trained(adam: type[torch.optim.Adam]) -> tuple[list[torch.Tensor], dict[str, Any]]:
    """Three steps of an optimiser with two groups; parameters and its state."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Linear(7, 3))
    groups = [
        {"params": model[0].parameters(), "weight_decay": 0.01},
        {"params": model[1].parameters(), "lr": 0.1},
    ]
    optimizer = adam(groups, fused=True)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(4, 5)).square().sum().backward()
        optimizer.step()
    return [*model.parameters()], optimizer.state_dict()


def test_adam_is_that_of_torch_to_the_bit() -> None:
    (ours, state), (theirs, its) = trained(Adam), trained(torch.optim.Adam)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert state["param_groups"] == its["param_groups"]
    for number, values in its["state"].items():
        assert values.keys() == state["state"][number].keys()
        assert all(torch.equal(value, state["state"][number][name]) for name, value in values.items())


@pytest.mark.parametrize(("right", "images"), [(0, 9), (9, 9), (3, 10), (332, 359), (1, 100_000)])
def test_the_interval_of_an_accuracy_is_scipys(right: int, images: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    interval = stats.binomtest(right, images).proportion_ci(confidence_level=0.95, method="wilson")
    assert wilson(right, images) == (interval.low, interval.high)


def test_digits_are_those_of_scikit_learn() -> None:
    found = pytest.importorskip("sklearn.datasets").load_digits()
    rows = digits._rows()
    assert (rows[:, :-1].reshape(-1, 8, 8) == found.images).all()
    assert (rows[:, -1] == found.target).all()


def test_image_sizes_are_asked_once_per_network(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    monkeypatch.setattr(factory, "made", lambda recipe: built.append(recipe) or torch.nn.Identity())
    for _ in range(3):
        factory.check_images("reactnet_18", (1, 3, 17, 19), stem="cifar", base_width=5)
    assert len(built) == 1
    factory.check_images("reactnet_18", (1, 3, 17, 18), stem="cifar", base_width=5)
    assert len(built) == 2


def test_the_check_of_an_image_size_draws_no_numbers() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    factory.check_images("reactnet_18", (1, 3, 16, 16), stem="cifar", base_width=6)
    assert torch.equal(before, torch.get_rng_state())
