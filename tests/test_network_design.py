"""A whole network described as engines and edges: in whole numbers equal to the reference interpreter, every tensor."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from abcost.accelerator.design.network import Map
from abcost.accelerator.design.network_interpret import first_difference, logits_of, quantised, run_network
from abcost.accelerator.folding import Folding
from abcost.errors import UsageError
from network_designs import REQUESTS, case


def as_rows(net, node, values):
    """(N, pixels, channels) whole numbers of an interpreter's tensor."""
    bits = next((edge.number is None for edge in net.edges if edge.node == node), False)
    flat = values.reshape(len(values), values.shape[1], -1).transpose(1, 2)
    return (flat >= 0).to(torch.int64) if bits else (flat * 2.0**net.number.fraction_bits).to(torch.int64)


@pytest.mark.parametrize("name", REQUESTS)
def test_every_tensor_between_engines_equals_the_interpreter(name):
    made = case(name)
    found = run_network(made.net, made.images)
    expected = made.expected()
    wanted = {node: as_rows(made.net, node, expected[node]) for node in found}
    assert len(found) == 1 + sum(len(stage.results) for stage in made.net.stages)
    for node, values in found.items():
        assert values.shape == wanted[node].shape, node
        assert torch.equal(values, wanted[node]), node
    assert torch.equal(logits_of(made.net, found), expected[made.net.logits.node].flatten(1))
    assert first_difference(made.net, found, wanted)[1] == ""


def test_binary_layers_as_graphs_of_adders_equal_the_interpreter():
    """Every layer of a network unrolled whole, padded ones with signs that are 0 outside the map."""
    made = case("reactnet_18, adders", folding=lambda e: Folding(e.channels, e.taps), in_adders=True)
    binary = [stage.design for stage in made.net.stages if stage.design.engine.dot.consts["weight"].binary]
    assert [design.engine.name for design in binary] == [
        "layer1.0.conv1", "layer2.0.conv1", "layer2.0.downsample.1"
    ]  # fmt: skip
    assert all("shift_add" in {part.op for part in design.sums.parts} for design in binary)
    found, expected = run_network(made.net, made.images), made.expected()
    assert torch.equal(logits_of(made.net, found), expected[made.net.logits.node].flatten(1))


def test_edges_of_a_small_reactnet():
    """Stem 8 channels on 8 x 8, one block on 8 x 8, one on 4 x 4 with a pooled shortcut, ten classes.

    The stem is read by the window of layer1.0.conv1 as signs and by its chain as the shortcut; the pooled shortcut of
    layer2.0 goes through a 1 x 1 convolution, to whose results those of layer2.0.conv1 are added.
    """
    net = case("reactnet_18").net
    assert [stage.name for stage in net.stages] == [
        "conv1", "layer1.0.conv1", "layer2.0.conv1", "layer2.0.downsample.1", "fc"
    ]  # fmt: skip
    assert net.image == Map(8, 8, 3)
    assert net.logits.map == Map(1, 1, 10)
    shown = {
        (edge.producer, edge.consumer, edge.side, edge.bits, edge.map.rows, edge.map.channels)
        for edge in net.edges
    }
    wide = net.number.width
    assert shown == {
        (None, 0, None, wide, 8, 3), (0, 1, None, 1, 8, 8), (0, 1, 0, wide, 8, 8), (1, 2, None, 1, 8, 8),
        (1, 3, None, wide, 4, 8), (2, 3, 0, wide, 4, 16), (3, 4, None, wide, 1, 16), (4, None, None, wide, 1, 10),
    }  # fmt: skip


def test_a_linear_layer_reads_a_map_pixel_by_pixel():
    """Six channels of 5 x 5: torch's columns are channel * 25 + pixel, the circuit's are pixel * 6 + channel."""
    stage = case("residual").net.stages[-1]
    assert (stage.window.kernel, stage.window.positions) == ((5, 5), (1, 1))
    weight = stage.design.engine.dot.consts["weight"].values
    grid = stage.design.number.fraction_bits
    for pixel, channel in ((0, 1), (7, 4), (24, 5)):
        assert stage.weights[2, pixel * 6 + channel] == round(
            float(weight[2, channel * 25 + pixel]) * 2**grid
        )


def test_any_folding_gives_the_same():
    coarse = case("reactnet_18", folding=lambda e: Folding(1, 1))
    wide = case("reactnet_18", folding=lambda e: Folding(e.channels, e.taps))
    one, other = (run_network(made.net, made.images) for made in (coarse, wide))
    assert all(torch.equal(one[node], other[node]) for node in one)


def test_images_are_cut_to_the_grid():
    net = case("own", fraction_bits=2).net
    images = torch.tensor([0.3, -0.3, 1.0]).reshape(1, 3, 1, 1).expand(-1, -1, 8, 4)
    assert quantised(net, images)[0, 0].tolist() == [1, -2, 4]  # floor(1.2), floor(-1.2), 4


def test_a_wrong_weight_is_found_where_it_is():
    made = case("reactnet_18")
    right = run_network(made.net, made.images)
    stage = made.net.stages[2]
    dot = stage.design.engine.dot
    turned = dot.consts["weight"].values.clone()
    turned[3, 2, 1, 1] *= -1
    dot = replace(dot, consts={**dot.consts, "weight": replace(dot.consts["weight"], values=turned)})
    design = replace(stage.design, engine=replace(stage.design.engine, dot=dot))
    stages = tuple(replace(s, design=design) if s is stage else s for s in made.net.stages)
    wrong = run_network(replace(made.net, stages=stages), made.images)
    edge, node, place = first_difference(made.net, wrong, right)
    assert (edge.producer, edge.consumer) == (2, 3)
    assert node == stage.results[0]
    assert place[2] == 3  # of the channel whose weight was turned


def test_two_images_at_once_are_refused(monkeypatch):
    import network_designs
    from abcost.core.inputs import InputSpec
    from abcost.models.subject import Request

    network_designs.lowered.cache_clear()
    own = network_designs.REQUESTS["own"]
    monkeypatch.setitem(
        network_designs.REQUESTS, "own", Request(own.model, inputs=(InputSpec((2, 3, 8, 4)),))
    )
    with pytest.raises(UsageError, match="takes 2 images at once; a circuit takes one after another"):
        case("own")
    network_designs.lowered.cache_clear()
