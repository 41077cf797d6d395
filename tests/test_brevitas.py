"""Brevitas' TFC and CNV, as modules and as the QONNX that Brevitas exports: one network, one answer.

Layers as published (Umuroglu et al., FINN, arXiv:1612.07119; Brevitas' bnn_pynq): TFC is 784-64-64-64-10; CNV has six
3x3 convolutions without padding, of 64, 64, 128, 128, 256 and 256 channels on 32x32 pixels, 2x2 pools behind the second
and the fourth, and 256-512-512-10 behind them.
"""

from __future__ import annotations

import functools
import importlib
import logging
import warnings

import pytest
import torch

from abcost.pipeline import analyze

TFC = 784 * 64 + 64 * 64 + 64 * 64 + 64 * 10
CNV_FIRST = 3 * 64 * 9 * 30**2
CNV_REST = (
    64 * 64 * 9 * 28**2 + 64 * 128 * 9 * 12**2 + 128 * 128 * 9 * 10**2 + 128 * 256 * 9 * 3**2 + 256 * 256 * 9 * 1**2
    + 256 * 512 + 512 * 512 + 512 * 10
)  # fmt: skip
assert (TFC, CNV_REST) == (59_008, 57_906_176)
MACS = {  # activation bits x weight bits; CNV takes 8-bit pixels, TFC quantises them like its activations
    "TFC_1W1A": {"1x1": TFC},
    "TFC_1W2A": {"2x1": TFC},
    "TFC_2W2A": {"2x2": TFC},
    "CNV_1W1A": {"8x1": CNV_FIRST, "1x1": CNV_REST},
    "CNV_1W2A": {"8x1": CNV_FIRST, "2x1": CNV_REST},
    "CNV_2W2A": {"8x2": CNV_FIRST, "2x2": CNV_REST},
}


def built(name):
    """One of Brevitas' examples, which is imported here: it loads torch's compiler, and few test processes need it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from brevitas_examples.bnn_pynq.models import model_with_cfg

        model, _ = model_with_cfg(name, pretrained=False)
    return model.eval()


@functools.cache
def network(name):
    """Untrained, always the same; and its input's shape."""
    torch.manual_seed(0)
    return built(name), (1, 1, 28, 28) if name.startswith("TFC") else (1, 3, 32, 32)


@functools.cache
def as_module(name):
    model, shape = network(name)
    return analyze(model, input_shape=shape).to_dict()


def exported(exporter, name, file, *, dynamo):
    """A file by one of Brevitas' exporters; torch's has two engines."""
    torch.manual_seed(0)
    model = built(name)  # exporting leaves traces in the module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        export = getattr(importlib.import_module("brevitas.export"), exporter)
        logging.disable(logging.WARNING)
        try:
            export(model, args=torch.rand(network(name)[1]), export_path=str(file), dynamo=dynamo)
        finally:
            logging.disable(logging.NOTSET)
    return str(file)


@pytest.mark.parametrize("name", MACS)
def test_modules_have_the_published_products(name):
    assert as_module(name)["macs"]["by_bits"] == MACS[name]


@pytest.mark.parametrize(
    ("name", "dynamo"), [*((n, True) for n in MACS if n.startswith("TFC")), *((n, False) for n in MACS)]
)
def test_qonnx_exports_count_as_their_modules(tmp_path, name, dynamo):
    """Products by bits; and, when all is lowered, every operation: comparisons, additions, shifts."""
    file = exported("export_qonnx", name, tmp_path / f"{name}.onnx", dynamo=dynamo)
    report, module = analyze(file).to_dict(), as_module(name)
    assert report["macs"]["by_bits"] == module["macs"]["by_bits"]
    assert report["stages"][-1]["ops"] == module["stages"][-1]["ops"]


@pytest.mark.parametrize("dynamo", [False, True])
def test_qcdq_exports_count_as_their_modules(tmp_path, dynamo):
    """QuantizeLinear, Clip, DequantizeLinear: how Brevitas writes few bits in the standard's 8. One bit it refuses."""
    file = exported("export_onnx_qcdq", "TFC_2W2A", tmp_path / "qcdq.onnx", dynamo=dynamo)
    report, module = analyze(file).to_dict(), as_module("TFC_2W2A")
    assert report["macs"]["by_bits"] == module["macs"]["by_bits"]
    assert report["stages"][-1]["ops"] == module["stages"][-1]["ops"]


@pytest.mark.parametrize("name", ["TFC_1W1A", "TFC_2W2A"])
def test_exports_compute_what_their_modules_compute(tmp_path, name):
    """The same class for 64 random images, and the same numbers up to rounding."""
    from abcost.onnx.load import load_onnx

    model, shape = network(name)
    file = exported("export_qonnx", name, tmp_path / "net.onnx", dynamo=False)
    images = torch.rand((16, *shape[1:]), generator=torch.Generator().manual_seed(1))
    program = load_onnx(tmp_path / "net.onnx").program
    found = torch.cat([program(image[None]) for image in images])
    torch.testing.assert_close(found, model(images), rtol=1e-4, atol=1e-4)
    assert file
