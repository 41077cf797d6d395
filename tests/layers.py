"""Layers whose Verilog is tested: graphs after all rewrites, made once."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch

from abcost.accelerator.engine import engines
from abcost.accelerator.folding import Folding
from abcost.core.inputs import InputSpec, example_inputs
from abcost.emit.layer import Style, datapath, find_engine
from abcost.emit.project import project
from abcost.emit.vectors import interpret, vectors
from abcost.models.subject import Request, resolve
from abcost.pipeline import double_stages
from abcost.rewrite import RewriteOptions

USERS = Path(__file__).parent / "user_models"
OWN_SLOPES = (0.5, 0.25, 2.0, 0.25, 1.0, 0.5, 2.0, 0.25)
"""Exponents -2, -1, 0 and 1."""

REQUESTS = {
    "reactnet_18": Request("reactnet_18", preset="cifar10"),
    "reactnet_a": Request("reactnet_a", inputs=(InputSpec((1, 3, 64, 64)),)),
    "own": Request(f"{USERS}/bnn_function.py:factory", inputs=(InputSpec((1, 3, 8, 8)),)),
    "detach": Request(f"{USERS}/bnn_detach.py:factory", inputs=(InputSpec((1, 3, 10, 10)),)),
    "where": Request(f"{USERS}/bnn_where.py:factory", inputs=(InputSpec((1, 1, 8, 8)),)),
}


@cache
def prepared(name):
    """The model in float64, its inputs, and its graph after all rewrites.

    Slopes, biases and gains are as if trained: abcost/models/stir.py for the zoo (2**-7 … 2**2), here for `own`.
    """
    subject = resolve(REQUESTS[name])
    if name == "own":
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            subject.model.act.weight.copy_(torch.tensor(OWN_SLOPES))
            for norm in (subject.model.bn1, subject.model.bn2):
                norm.weight.copy_(1 + 0.1 * torch.randn(8, generator=generator))
                norm.bias.copy_(0.3 * torch.randn(8, generator=generator))
                norm.running_mean.copy_(0.3 * torch.randn(8, generator=generator))
                norm.running_var.copy_(0.5 + torch.rand(8, generator=generator))
    model, staged = double_stages(subject, RewriteOptions())
    return model.eval(), example_inputs(subject.inputs), staged.stages[-1].graph


@cache
def values_of(name, fraction_bits):
    _, inputs, graph = prepared(name)
    return interpret(graph, inputs, fraction_bits)


def path_of(name, layer, *, pe, simd, pipelined=True, width=16, fraction_bits=8):
    graph = prepared(name)[2]
    engine = find_engine(engines(graph, width), layer)
    style = Style(width, fraction_bits, pipelined)
    return datapath(graph, engine, Folding(pe, simd or engine.taps), style)


def vectors_of(name, path, windows):
    values = values_of(name, path.style.fraction_bits)
    return vectors(prepared(name)[2], values, path, windows=windows)


def project_of(name, layer, *, windows=4, **style):
    path = path_of(name, layer, **style)
    return project(path, vectors_of(name, path, windows), model=name)
