"""The same command in two processes, as torchrun starts them."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from abcost.cli import run
from abcost.errors import UsageError
from abcost.training.order import epoch_order, share_of_batches
from searching import WAIT_S

COMMAND = [
    "train", "reactnet_18", "--data", "digits", "--base-width", "4", "--blocks", "1,1", "--epochs", "2", "--step", "1",
    "--batch-size", "64", "--seed", "1", "--accelerator", "cpu",
    "--precision", "64",  # in float32 another order of summation moves values across the threshold of a sign
]  # fmt: skip


def rows(folder):
    with (folder / "log.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_two_processes_train_what_one_does(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    abcost = Path(sys.executable).parent / "abcost"
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(abcost),
    ]
    done = subprocess.run(  # noqa: S603 - our own command
        [*launch, *COMMAND, "--run-dir", str(two)],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("epoch   2/2") == 1  # the first process tells, the second is silent
    assert done.stderr.count("test top-1") == 1
    assert run([*COMMAND, "--run-dir", str(one)]) == 0
    names = [f"{split}_{what}" for split in ("train", "validation") for what in ("loss", "top1", "top5")]
    for alone, together in zip(rows(one), rows(two), strict=True):
        for name in names:
            assert together[name] == pytest.approx(alone[name], rel=0, abs=1e-6), name
    states = [torch.load(folder / "last.pt", weights_only=True)["state_dict"] for folder in (one, two)]
    for name, tensor in states[0].items():
        torch.testing.assert_close(states[1][name], tensor, rtol=0, atol=1e-6, msg=name)
    assert (one / "confusion.csv").read_text() == (two / "confusion.csv").read_text()


def test_processes_share_every_batch():
    order = epoch_order(50, seed=0, step=1, epoch=3)
    shares = [share_of_batches(order, 12, rank=rank, processes=3) for rank in range(3)]
    assert [len(share) for share in shares] == [16] * 3  # 4 whole batches of 12, a third of each
    for number in range(4):
        batch = torch.cat([share[4 * number : 4 * number + 4] for share in shares])
        assert batch.tolist() == order[12 * number : 12 * number + 12].tolist()


def test_order_depends_on_seed_step_and_epoch():
    orders = [
        tuple(epoch_order(50, seed=seed, step=step, epoch=epoch).tolist())
        for seed in (0, 1) for step in (1, 2) for epoch in (0, 1)
    ]  # fmt: skip
    assert len(set(orders)) == 8
    assert {tuple(sorted(order)) for order in orders} == {tuple(range(50))}
    assert orders[0] == tuple(epoch_order(50, seed=0, step=1, epoch=0).tolist())


def test_batches_that_cannot_be_shared():
    with pytest.raises(UsageError, match="--batch-size 64 is over all processes and cannot be shared by 3"):
        share_of_batches(torch.arange(100), 64, rank=0, processes=3)
    with pytest.raises(UsageError, match="--batch-size 64 is larger than the training set of 63 images"):
        share_of_batches(torch.arange(63), 64, rank=0, processes=1)
