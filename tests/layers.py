"""Engines whose Verilog is tested: of models after all rewrites, and of graphs made by hand, each made once."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from abcost.accelerator.design import interpret
from abcost.accelerator.design.designer import Designer
from abcost.accelerator.design.engine import steps_of
from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.design.weights import weight_words
from abcost.accelerator.engine import engines
from abcost.accelerator.folding import Folding
from abcost.core.inputs import InputSpec, example_inputs
from abcost.emit.make import Network, find_engine, make
from abcost.emit.rows import interpret as values_of
from abcost.emit.rows import rows_of
from abcost.models.subject import Request, resolve
from abcost.pipeline import double_stages
from abcost.rewrite import RewriteOptions
from abcost.rtl.simulate import simulate
from simulators import need_simulator

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

    Slopes, biases and gains are as if trained: abcost/models/randomise.py for the zoo (2**-7 … 2**2), here for `own`.
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


def network_of(graph, inputs, *, width=16, fraction_bits=8, name="net"):
    """A graph and every value of it in fixed point, in registers as wide as needed."""
    values = values_of(graph, inputs, fraction_bits)
    return Network(name, graph, tuple(engines(graph, width)), NumberFormat(width, fraction_bits), values)


@cache
def network(name, width=16, fraction_bits=8):
    """A model of REQUESTS, as its engines are written from it."""
    _, inputs, graph = prepared(name)
    return network_of(graph, inputs, width=width, fraction_bits=fraction_bits, name=name)


def design_of(net, layer, *, pe, simd, leaf=None):
    """The description of one engine."""
    engine = find_engine(net.engines, layer)
    return Designer(net.graph, net.number, leaf).design(engine, Folding(pe, simd or engine.taps))


def project_of(net, layer, *, pe, simd, leaf=None, windows=4):
    """One engine as Verilog, with its test bench."""
    engine = find_engine(net.engines, layer)
    return make(net, engine, Folding(pe, simd or engine.taps), leaf=leaf, windows=windows)


def agrees(net, design, *, windows=None):
    """The whole-number models of the parts of a description, against the reference interpreter."""
    rows = rows_of(net.graph, net.values, design, windows=windows)
    found = interpret.run(design, {**by_cycle(design, rows.inputs), **rows.sides}, weight_words(design))
    assert found.keys() == rows.expected.keys()
    assert all(len(values) for values in rows.expected.values())
    return all(torch.equal(found[port], rows.expected[port]) for port in found)


def by_cycle(design, inputs):
    """Steps are read once in every fold of a position."""
    steps = steps_of(design.engine, design.folding)
    folds = design.engine.channels // design.folding.pe

    def repeated(rows):
        return (
            rows.reshape(-1, 1, steps, rows.shape[-1]).expand(-1, folds, -1, -1).reshape(-1, rows.shape[-1])
        )

    return {port: repeated(rows) for port, rows in inputs.items()}


def passes(project, folder, **changed):
    """Whether the test bench passes in a simulator, with these files changed."""
    assert project.bench.files.keys() >= changed.keys()
    files = {**project.bench.files, **changed}
    return simulate(replace(project.bench, files=files), folder, tool=need_simulator()).passed
