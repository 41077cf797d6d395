"""The golden model in C: the logits of the reference interpreter to the bit, compiled without a warning."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import pytest
import torch

from abcost.accelerator.design.net import NumberFormat
from abcost.circuit.golden import (
    COMPILERS,
    FILE,
    Golden,
    compile_golden,
    golden_logits,
    make_golden,
    run_golden,
    write_golden,
)
from abcost.circuit.make import CircuitForm, Written
from abcost.circuit.simulate import expected_logits
from abcost.cli import run
from abcost.data import load
from abcost.emit.c import golden_model
from abcost.errors import ToolError, UsageError
from abcost.models.randomise import randomise_parameters
from abcost.models.subject import Request, resolve
from abcost.rewrite import RewriteOptions
from network_designs import REQUESTS, case

pytestmark = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C compiler on this machine")


def golden_of(net):
    return Golden(golden_model(net), net, RewriteOptions())


@pytest.mark.parametrize("name", REQUESTS)
def test_logits_are_the_interpreters_to_the_bit(name):
    found = case(name, images=5)
    (output,) = [node.name for node in found.graph if node.kind.value == "output"]
    expected = (found.expected()[output] * 2.0**found.net.number.fraction_bits).to(torch.int64)
    assert torch.equal(golden_logits(golden_of(found.net), found.images), expected)


def test_values_that_do_not_fit_wrap_as_in_registers():
    found = case("reactnet_18", width=11, fraction_bits=7, images=5)
    found = replace(found, images=found.images * 3)  # values beyond 2**(11 - 1 - 7) = 8
    (output,) = [node.name for node in found.graph if node.kind.value == "output"]
    expected = (found.expected()[output] * 2.0**7).to(torch.int64)
    wide = case("reactnet_18", width=24, fraction_bits=7, images=5)
    wide = replace(wide, images=found.images)
    assert not torch.equal(expected, (wide.expected()[output] * 2.0**7).to(torch.int64))  # some did wrap
    assert torch.equal(golden_logits(golden_of(found.net), found.images), expected)


def lines_with_products(text):
    """Lines that multiply values: calls of `times`, which is where the model multiplies."""
    return [line for line in text.splitlines() if "times(" in line and "static inline" not in line]


def test_multiplications_are_those_of_the_report():
    # stem: real weights; a scale behind every binary layer; classifier. Power-of-two scales leave stem and classifier
    subject = resolve(REQUESTS["reactnet_18"])
    randomise_parameters(subject.model)
    images = torch.randn(4, 3, 8, 8)
    exact = make_golden(subject, images, CircuitForm(16), Written())
    rounded = make_golden(
        subject, images, CircuitForm(16, None, RewriteOptions(weight_scale="po2")), Written()
    )
    scales = [line for line in lines_with_products(exact.text) if "factor" in line]
    dots = [line for line in lines_with_products(exact.text) if "row[k]" in line]
    assert len(dots) == 2
    assert len(scales) == sum(node.kind.value == "scale" for node in exact.net.graph)
    assert lines_with_products(rounded.text) == [
        line for line in lines_with_products(rounded.text) if "row[k]" in line
    ]
    assert len(lines_with_products(rounded.text)) == 2
    arithmetic = re.findall(
        r"(?:v\d+|sum\[c\]|value|dot) \* ", rounded.text
    )  # and no other product of values
    assert arithmetic == []


def test_without_multiplications_there_are_none():
    """Stem and classifier in signed digits, scales as shifts: `times` is defined and never called."""
    text = golden_of(case("reactnet_18, no multiplier").net).text
    assert lines_with_products(text) == []
    assert len(re.findall(r"sum\[c\] \+= \(int32_t\)digit\(row\[k\], w\[c\]\)", text)) == 2


def test_a_falsified_weight_is_seen(tmp_path):
    found = case("residual", images=3)
    golden = golden_of(found.net)
    (output,) = [node.name for node in found.graph if node.kind.value == "output"]
    expected = (found.expected()[output] * 2.0**found.net.number.fraction_bits).to(torch.int64)
    table = re.search(r"static const int32_t fc_linear_weights\[\d+\] = \{\s+(-?\d+),", golden.text)
    start, end = table.span(1)
    text = golden.text[:start] + str(int(table.group(1)) + 64) + golden.text[end:]
    (tmp_path / FILE).write_text(text)
    compile_golden(tmp_path / FILE, tmp_path / "model")
    assert not torch.equal(run_golden(golden, tmp_path / "model", found.images), expected)


def test_it_is_written_once_and_not_over_another(tmp_path):
    golden = golden_of(case("own").net)
    assert write_golden(golden, tmp_path) == write_golden(golden, tmp_path)
    (tmp_path / FILE).write_text("int main;\n")
    with pytest.raises(UsageError, match=r"holds another model\.c"):
        write_golden(golden, tmp_path)
    (tmp_path / FILE).write_text("int x = y;\n")
    with pytest.raises(ToolError, match="refuses"):
        compile_golden(tmp_path / FILE, tmp_path / "model")


def test_more_bits_than_a_c_integer_are_refused():
    net = replace(case("own").net, number=NumberFormat(32, 9))
    with pytest.raises(UsageError, match="takes at most 31 bits"):
        golden_model(net)


def test_the_command(tmp_path, capfd):
    arguments = [
        "build",
        "reactnet_18",
        "--preset",
        "digits",
        "--base-width",
        "8",
        "--blocks",
        "1,1",
        "--format",
        "c",
    ]
    assert run([*arguments, "--data", "digits", "--simulate", "4", "--out", str(tmp_path / "c")]) == 0
    assert "4 of 4 images equal to the bit" in capfd.readouterr().err
    assert (tmp_path / "c" / FILE).read_text().startswith("/* reactnet_18, untrained weights")
    assert run([*arguments, "--out", str(tmp_path / "c2"), "--route"]) == 2
    assert "error: --route does nothing with --format c: leave it out" in capfd.readouterr().err
    assert run([*arguments[:-2], "--out", str(tmp_path / "c2")]) == 2
    assert "error: a circuit is written for a part: add --device" in capfd.readouterr().err
    assert not (tmp_path / "c2").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "images"), [("digits", 359), ("mnist5k", 1000)])
def test_a_whole_test_split(name, images):
    data = load(name)
    subject = resolve(Request("reactnet_18", preset=name, base_width=16, blocks=(2, 2, 2)))
    randomise_parameters(subject.model)  # as if trained: no slope or bias is that of its start
    pixels = next(data.test.batches(torch.arange(len(data.test)), len(data.test), epoch=0, augment=False))[0]
    assert len(pixels) == images
    golden = make_golden(subject, pixels[:64], CircuitForm(18), Written())
    assert torch.equal(golden_logits(golden, pixels), expected_logits(subject, golden.rewriting, 18, pixels))
