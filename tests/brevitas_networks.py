"""A small residual network of Brevitas, exported as QONNX."""

from __future__ import annotations

import logging
import warnings

import torch
from torch import nn


def exported_residual(file):
    """Real stem of 8-bit weights -> sign, binary convolution, batch norm, + stem -> sign, binary classifier."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import brevitas.nn as quantized
        from brevitas.export import export_qonnx
        from brevitas.quant import (
            Int8WeightPerTensorFixedPoint,
            SignedBinaryActPerTensorConst,
            SignedBinaryWeightPerTensorConst,
        )

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                binary = {"bias": False, "weight_quant": SignedBinaryWeightPerTensorConst}
                self.stem = quantized.QuantConv2d(
                    1, 4, 3, padding=1, bias=False, weight_quant=Int8WeightPerTensorFixedPoint
                )
                self.sign1 = quantized.QuantIdentity(act_quant=SignedBinaryActPerTensorConst)
                self.conv = quantized.QuantConv2d(4, 4, 3, padding=1, **binary)
                self.norm = nn.BatchNorm2d(4)
                self.sign2 = quantized.QuantIdentity(act_quant=SignedBinaryActPerTensorConst)
                self.fc = quantized.QuantLinear(4 * 16, 5, **binary)
                self.last = nn.BatchNorm1d(5)

            def forward(self, x):
                x = self.stem(x)
                y = self.norm(self.conv(self.sign1(x))) + x
                return self.last(self.fc(self.sign2(y).flatten(1)))

        torch.manual_seed(0)
        net = Net()
        with torch.no_grad():
            for norm in (net.norm, net.last):
                norm.running_mean.normal_(std=2.0)
                norm.running_var.uniform_(4.0, 60.0)
                norm.weight.normal_()
        logging.disable(logging.WARNING)
        try:
            export_qonnx(net.eval(), args=torch.rand(1, 1, 4, 4), export_path=str(file), dynamo=False)
        finally:
            logging.disable(logging.NOTSET)
    return file
