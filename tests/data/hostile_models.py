"""Models and data whose code raises what ordinary code does not."""

import torch
from torch import nn


class Silent(Exception):
    """Its text cannot be had."""

    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class Outside(BaseException):
    """No Exception, as in some libraries for concurrency."""


class _Raising(nn.Module):
    error = Exception

    def forward(self, x):
        raise self.error(Silent())


class SilentForward(_Raising):
    error = Silent


class Generator(_Raising):
    error = GeneratorExit


class OutsideForward(_Raising):
    error = Outside


class Exiting(_Raising):
    error = SystemExit


def silent():
    raise Silent


def generator():
    raise GeneratorExit


def outside():
    raise Outside("far out")


class _NoArray:
    def __array__(self, *_args, **_kwargs):
        raise Silent


def no_images():
    return _NoArray(), torch.zeros(4)
