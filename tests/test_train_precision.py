"""Mixed precision and compilation against plain float arithmetic, within tolerances that are stated here."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from abcost.training import run
from abcost.training.config import Config
from training import Losses, noise

CONFIG = Config(
    model="reactnet_18", step=2, base_width=8, blocks=(2, 2), epochs=1, batch_size=8, lr=1e-3, clip=0.02, threads=1,
    accelerator="cpu",
)  # fmt: skip
WIDER = replace(CONFIG, base_width=32, batch_size=64)


def losses(config, folder, monkeypatch):
    monkeypatch.setattr(run, "load", lambda *_, **__: noise(5 * config.batch_size))
    listener = Losses()
    run.train([config], folder, listener=listener)
    return listener.losses


def test_mixed_precision_trains_alike(tmp_path, monkeypatch):
    plain = losses(WIDER, tmp_path / "plain", monkeypatch)
    mixed = losses(replace(WIDER, precision="bf16-mixed"), tmp_path / "mixed", monkeypatch)
    assert mixed != plain
    # bfloat16 has 8 bits of mantissa: a rounding moves a number by 2**-9 of it at most, and the mean over many
    # images and channels by no more
    assert mixed[0] == pytest.approx(plain[0], rel=2**-8)
    # then the two part: a sign near 0 falls otherwise, and Adam's first steps are as large as the learning rate
    # however small the gradient. Over 8 seeds single losses were up to a tenth apart, twice that is allowed;
    # without training they would end more than half too high
    assert mixed == pytest.approx(plain, rel=0.2)
    assert sum(mixed) == pytest.approx(sum(plain), rel=0.05)
    assert mixed[-1] < 0.8 * mixed[0]
    state = torch.load(tmp_path / "mixed" / "last.pt", weights_only=True)["state_dict"]
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised inside torch while it compiles
def test_a_compiled_network_computes_the_same(tmp_path, monkeypatch):
    plain = losses(replace(CONFIG, precision="64"), tmp_path / "plain", monkeypatch)
    compiled = losses(replace(CONFIG, precision="64", compile=True), tmp_path / "compiled", monkeypatch)
    assert compiled == pytest.approx(plain, rel=0, abs=1e-9)
    states = [
        torch.load(tmp_path / name / "last.pt", weights_only=True)["state_dict"]
        for name in ("plain", "compiled")
    ]
    assert states[0].keys() == states[1].keys()  # saved under the same names
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, rtol=0, atol=1e-9, msg=name)
