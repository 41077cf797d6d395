"""Networks of engines for tests: of the zoo on images of 8 x 8, parameters as if trained, and a user's own one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from abcost.accelerator.design.net import NumberFormat
from abcost.accelerator.design.network import NetworkDesign, describe_network
from abcost.accelerator.engine import engines
from abcost.accelerator.folding import Folding, divisors
from abcost.circuit.joined import join_branches
from abcost.core.adders.of_node import ATTRIBUTE
from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.inputs import InputSpec
from abcost.core.interpret import FixedPoint, execute
from abcost.core.kinds import DOTS
from abcost.models.randomise import randomise_parameters
from abcost.models.subject import Request, resolve
from abcost.pipeline import double_stages
from abcost.rewrite import RewriteOptions

USERS = Path(__file__).parent / "user_models"
SMALL = {"preset": "digits", "base_width": 8, "blocks": (1, 1)}
REQUESTS = {
    "reactnet_18": Request("reactnet_18", **SMALL),
    "birealnet_18": Request("birealnet_18", **SMALL),
    "xnornet_18": Request("xnornet_18", **SMALL),
    "bnn_18": Request("bnn_18", **SMALL),
    "reactnet_18, no multiplier": Request("reactnet_18", **SMALL),
    "reactnet_18, adders": Request("reactnet_18", **SMALL),
    "reactnet_a": Request(
        "reactnet_a", inputs=(InputSpec((1, 3, 32, 32)),), base_width=4, blocks=(1, 1, 1), num_classes=10
    ),
    "own": Request(f"{USERS}/bnn_function.py:factory", inputs=(InputSpec((1, 3, 8, 4)),)),
    "residual": Request(f"{USERS}/bnn_residual.py:factory", inputs=(InputSpec((1, 2, 7, 6)),)),
}
NO_MULTIPLIER = RewriteOptions(weight_scale="po2", constant_multiply="csd")
ADDERS = RewriteOptions(weight_scale="po2", constant_multiply="graph")
OPTIONS = {"reactnet_18, no multiplier": NO_MULTIPLIER, "reactnet_18, adders": ADDERS}


@dataclass(frozen=True)
class Case:
    """A network, its description, and images."""

    graph: OpGraph
    net: NetworkDesign
    images: torch.Tensor

    def expected(self):
        """Node -> (images, ...) as the reference interpreter computes them, one image at a time."""
        number = self.net.number
        runs = [
            execute(self.graph, [image[None]], FixedPoint(number.fraction_bits, width=number.width),
                    keep=lambda _node: True)
            for image in self.images
        ]  # fmt: skip
        return {name: torch.cat([run[name] for run in runs]) for name in runs[0]}


@cache
def lowered(name, fraction_bits):
    """The graph after all rewrites, as `evaluate --as fixed-point` takes it."""
    subject = resolve(REQUESTS[name])
    if name not in ("own", "residual"):
        randomise_parameters(subject.model)
    options = OPTIONS.get(name, RewriteOptions())
    rewritten = double_stages(subject, replace(options, fraction_bits=fraction_bits))[1].stages[-1].graph
    return join_branches(rewritten)


def case(name, *, width=20, fraction_bits=9, images=2, folding=None, in_adders=False):
    """A network at small foldings: `folding` gives one per engine, by default up to two channels and a window's row."""
    graph = lowered(name, fraction_bits)
    if in_adders:
        edit = Edit(graph)
        for node in graph.of_kind(*DOTS):
            edit.replace(node, attrs={**node.attrs, ATTRIBUTE: True})
        graph = edit.freeze()
    found = engines(graph, width)
    chosen = [(folding or _small)(engine) for engine in found]
    net = describe_network(graph, found, chosen, NumberFormat(width, fraction_bits))
    shape = (images, *REQUESTS[name].inputs[0].shape[1:]) if REQUESTS[name].inputs else (images, 3, 8, 8)
    generator = torch.Generator().manual_seed(1)
    return Case(graph, net, torch.randn(shape, generator=generator, dtype=torch.float64))


def _small(engine):
    if engine.in_adders:
        return Folding(engine.channels, engine.taps)
    return Folding(2 if engine.channels % 2 == 0 else 1, max(d for d in divisors(engine.taps) if d <= 24))
