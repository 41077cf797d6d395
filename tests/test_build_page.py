"""The page of a circuit: every engine and buffer that build.json has, and nothing from elsewhere."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from abcost.circuit.diagram import block_diagram
from abcost.circuit.page import page

LAYERS = ("conv1", "block.one + two", "fc <b>")


def buffer(producer, consumer, *, residual=False, **more):
    sizes = {"depth": 8, "bits": 4, "filled": 5, "margin": 2}
    return {"tensor": "t", "producer": producer, "consumer": consumer, "residual": residual, **sizes, **more}


def report():
    """Three engines in a row, a shortcut past the second one."""
    layers = [{"name": name, "pe": 1, "simd": 2, "cycles": 50 * (i + 1)} for i, name in enumerate(LAYERS)]
    amounts = {"luts": 100.0, "ffs": 50.0, "dsps": 1.0, "blocks": None}
    return {
        "model": "net", "device": "part", "clock_mhz": 50.0, "width_bits": 12, "fraction_bits": 6,
        "command": "abcost build",
        "layers": layers,
        "buffers": [
            buffer(None, LAYERS[0]), buffer(LAYERS[0], LAYERS[1]),
            buffer(LAYERS[0], LAYERS[2], residual=True, depth=77),
            buffer(LAYERS[1], LAYERS[2]), buffer(LAYERS[2], None),
        ],
        "estimate": {
            "cycles_per_image": 150, "latency_cycles": 300, "fps": 333_333.3, "fmax_mhz": {"value": 60.0},
            **amounts, "layers": [{"name": name, **amounts} for name in LAYERS],
        },
    }  # fmt: skip


def texts(svg):
    root = ET.fromstring(svg)  # noqa: S314 - our own picture
    return ["".join(node.itertext()) for node in root.iter() if node.tag.endswith("}text")]


def test_the_diagram_has_every_engine_and_buffer():
    shown = texts(block_diagram(report()))
    for name in LAYERS:
        assert name in shown
    assert "PE 1, SIMD 2: 150 cycles, 100% of the interval" in shown
    assert "PE 1, SIMD 2: 50 cycles, 33% of the interval" in shown
    assert shown.count("8 x 4 bits") == 4
    assert shown.count("77 x 4 bits, residual") == 1


def test_buffers_past_engines_do_not_run_over_each_other():
    """Two shortcuts that overlap stand side by side; one that begins where another ends takes its track."""
    net = report()
    a, b, c = LAYERS
    net["buffers"] = [
        buffer(a, b, residual=True), buffer(a, c, residual=True), buffer(b, c, residual=True), buffer(c, None)
    ]  # fmt: skip
    sides = re.findall(r" H(\d+) V", block_diagram(net))
    assert len(sides) == 3
    assert sides[0] == sides[2] != sides[1]


def test_the_page_opens_offline_and_escapes_names():
    text = page(report())
    assert "fc &lt;b&gt;" in text
    assert "fc <b>" not in text
    assert re.findall(r'(?:src|href)="(?!#)', text) == []
    assert "Critical path" not in text


def test_the_critical_path_adds_up():
    found = report()
    steps = [
        {"kind": "clk-to-q", "delay_ns": 0.5, "cell": "a", "net": ""},
        {"kind": "routing", "delay_ns": 1.25, "cell": "b", "net": "n"},
    ]
    found["route"] = {
        "part": "p", "tools": ["yosys", "nextpnr"], "seed": 1, "luts": 110.0, "ffs": 50.0, "dsps": 1.0, "blocks": 0.0,
        "fmax_mhz": 571.4, "critical_path": steps,
    }  # fmt: skip
    text = page(found)
    assert "Critical path" in text
    assert ">1.75<" in text  # 0.5 + 1.25
    assert "-9.1%" in text  # 100 LUTs estimated, 110 found


def test_what_was_not_run_is_a_dash():
    """Result and error of cycles, latency, four resources and the clock; four results of three engines.

    Blocks have no estimate, of the whole and of three engines.
    """
    assert page(report()).count('<td class="number">-</td>') == 2 * 7 + 4 * 3 + 1 + 3
