"""The layers of A&B BNN and of the baselines it is compared with; one idea per file."""

from __future__ import annotations

from abcost.nn.activation import BinaryActivation
from abcost.nn.bias import LearnableBias
from abcost.nn.binary import BinaryConv2d, FixedScaleConv2d, MeanScaledConv2d, SignConv2d, binarize
from abcost.nn.concatenate import concatenate
from abcost.nn.conv import WeightedConv2d, scaled_convolution
from abcost.nn.mask import Mask
from abcost.nn.prelu import QuantizedPReLU, round_through
from abcost.nn.rprelu import rprelu
from abcost.nn.scale import Scale
from abcost.nn.shifted_sign import shifted_sign
from abcost.nn.sign import ApproxSign, sign_through
from abcost.nn.standardized import StandardizedConv2d, standardize

__all__ = [
    "ApproxSign",
    "BinaryActivation",
    "BinaryConv2d",
    "FixedScaleConv2d",
    "LearnableBias",
    "Mask",
    "MeanScaledConv2d",
    "QuantizedPReLU",
    "Scale",
    "SignConv2d",
    "StandardizedConv2d",
    "WeightedConv2d",
    "binarize",
    "concatenate",
    "round_through",
    "rprelu",
    "scaled_convolution",
    "shifted_sign",
    "sign_through",
    "standardize",
]
