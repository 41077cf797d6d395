"""Devices, precision and processes: one process on the CPU by itself, all else by Lightning Fabric."""

from __future__ import annotations

import os
import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, cast

import torch

from abcost.errors import UsageError
from abcost.extras import check_installed, require
from abcost.nn.bfloat16_backward import MULTIPLIES_BFLOAT16, Bfloat16Backward
from abcost.training.alone import Alone
from abcost.training.config import Config

if TYPE_CHECKING:
    from lightning_fabric import Fabric

BF16_BACKWARD = "bf16-backward"
_OF_FABRIC = {"32": "32-true", "64": "64-true", "bf16-mixed": "bf16-mixed", BF16_BACKWARD: "32-true"}
NEEDED = ("lightning_fabric", "tensorboardX")


def check_extra() -> None:
    """Raises MissingExtra if what training needs is not installed; imports none of it."""
    for name in NEEDED:
        check_installed(name, "train", "training")


def start(config: Config) -> Fabric:
    """The runtime that `config` asks for, launched: from here on, every process runs the same code.

    Under `torchrun` the processes are those that it started, on one machine or several; otherwise `--devices N` starts
    them here. Raises UsageError if the machine has no such devices, or not what its
    precision needs.
    """
    check_extra()
    check_precision(config)
    accelerator = _accelerator(config)
    local, total = _torchrun()
    if accelerator == "cuda" and torch.cuda.device_count() < (local or config.devices):
        raise UsageError(
            f"{local or config.devices} GPUs are asked for, this machine has {torch.cuda.device_count()}"
        )
    devices = local or config.devices
    precision = _OF_FABRIC[config.precision]
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    torch.backends.cudnn.deterministic = True  # both as published
    torch.backends.cudnn.benchmark = False
    if (accelerator, devices, total, precision) == ("cpu", 1, 0, "32-true"):
        return cast("Fabric", Alone())
    require("lightning_fabric", "train", "training")
    from lightning_fabric import Fabric  # noqa: PLC0415 - takes two seconds

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice about clusters and workers
        fabric = Fabric(
            accelerator=accelerator,
            devices=devices,
            num_nodes=total // local if local else 1,
            strategy="ddp" if (total or devices) > 1 else "auto",
            precision=precision,  # type: ignore[arg-type]
        )
        fabric.launch()
    if config.threads is not None:
        torch.set_num_threads(config.threads)  # launching several processes may have changed it
    return fabric


def check_precision(config: Config) -> None:
    """Raise UsageError if this machine has not what the precision of `config` needs."""
    if config.precision != BF16_BACKWARD:
        return
    if _accelerator(config) == "cuda":
        raise UsageError(
            f"--precision {BF16_BACKWARD} is for the CPU: add --accelerator cpu, or take --precision bf16-mixed"
        )
    if not MULTIPLIES_BFLOAT16:
        raise UsageError(
            f"--precision {BF16_BACKWARD} would be slower here than 32: this processor has no products of bfloat16 "
            "(neither avx512_bf16 nor amx_bf16); take --precision 32"
        )


def gradient_precision(config: Config) -> AbstractContextManager[object]:
    """What the forward pass of a training step runs in, for its gradients to be computed as `config` says."""
    return Bfloat16Backward() if config.precision == BF16_BACKWARD else nullcontext()


def _accelerator(config: Config) -> str:
    if config.accelerator != "auto":
        return config.accelerator
    return "cuda" if torch.cuda.is_available() else "cpu"


def _torchrun() -> tuple[int, int]:
    """Processes on this machine and on all, as torchrun says; 0 and 0 without it."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 0
    return int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
