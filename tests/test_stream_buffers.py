"""Windows and FIFOs that an accelerator is priced with, next to those of the circuit that is built of it.

The circuit's depths are from a schedule of every step; the accelerator's are from a formula.
"""

import pytest
import torch

from abcost.accelerator.devices import device
from abcost.accelerator.memory import LUTS_PER_BLOCK
from abcost.accelerator.solve import AcceleratorGoal
from abcost.circuit.estimate import total_of
from abcost.circuit.make import CircuitForm, make_circuit
from abcost.models.subject import resolve
from network_designs import REQUESTS

CASES = [
    ("residual", 2_000.0), ("own", 20_000.0), ("birealnet_18", 2_000.0), ("reactnet_18", 20_000.0),
    ("reactnet_a", 2_000.0), ("reactnet_a", 20_000.0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "fps"), CASES)
def test_an_accelerator_takes_what_its_circuit_takes(name, fps):
    """Memories that are worth as much in LUTs as in a block may be in either, so both are counted as LUTs."""
    subject = resolve(REQUESTS[name])
    images = torch.randn((2, *subject.inputs[0].shape[1:]), generator=torch.Generator().manual_seed(2))
    goal = AcceleratorGoal(device("lfe5u-85f"), fps, 50.0, weights="on-chip")
    circuit = make_circuit(subject, images, goal, "fpga-ecp5", CircuitForm(18, 8))
    built, priced = total_of(circuit.estimate.values()), circuit.accelerator.resources
    built_luts, priced_luts = (found["luts"] + LUTS_PER_BLOCK * found["blocks"] for found in (built, priced))
    assert priced_luts == pytest.approx(built_luts, rel=0.05)
    assert priced["ffs"] == pytest.approx(built["ffs"], rel=0.02)
    assert priced["dsps"] == built["dsps"]
    assert any(layer.between for layer in circuit.accelerator.layers)
