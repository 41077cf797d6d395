"""Memory macros: Liberty files, laws, banks. LIBERTY_ROOT names a folder with real ones (RM_IHPSG13*, *sram*)."""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from liberty.parser import parse_liberty

from abcost.calibrate.memories import MEMORIES, laws, measure
from abcost.cli import run
from abcost.cost.sram import UNITS, Bank, Macros, Sram, names
from abcost.errors import CostError, ToolError
from abcost.synth.macros import Macro, read_macros

ROOT = os.environ.get("LIBERTY_ROOT")
REAL = sorted(
    file
    for pattern in ("RM_IHPSG13*.lib*", "*sram*.lib*")
    for file in ([] if ROOT is None else Path(ROOT).rglob(pattern))
)


def power(when, rise, fall):
    sides = f'rise_power (scalar) {{ values ("{rise}"); }} fall_power (scalar) {{ values ("{fall}"); }}'
    return f'internal_power () {{ when : "{when}"; {sides} }}'


STATES = {
    "!A_MEN & !A_WEN & !A_REN": (1, 0.5),
    "A_MEN & !A_WEN & A_REN": (30, 2),
    "A_MEN & A_WEN & !A_REN": (40, 1),
}


def liberty(
    name="m",
    *,
    states=STATES,
    words=6,
    bits=8,
    area="area : 900;",
    more="",
    clock="A_CLK",
    when="(A_MEN & A_REN)",
):
    """A Liberty file of one memory: 5 ns and 10 fF are its units, a pJ is 10 fF (10 V)^2."""
    energies = " ".join(power(text, rise, fall) for text, (rise, fall) in states.items())
    data, address = power("A_MEN", 3, 1) + power("!A_MEN", 9, 9), power("A_MEN", 0.2, 0.4)
    return f"""library (tiny) {{
      time_unit : "5ns"; voltage_unit : "10V"; capacitive_load_unit (10, ff); leakage_power_unit : "1uW";
      nom_voltage : 0.12;
      lu_table_template (two) {{ variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
        index_1 ("1, 2, 3, 4"); index_2 ("1, 2"); }}
      cell ({name}) {{ memory () {{ type : ram; address_width : {words}; word_width : {bits}; }} {area}
        cell_leakage_power : 0.25;
        pin ({clock}) {{ direction : input; capacitance : 1; {energies} {more} }}
        pin (A_MEN) {{ direction : input; capacitance : 1; }} pin (A_REN) {{ direction : input; capacitance : 1; }}
        pin (A_WEN) {{ direction : input; capacitance : 1; }}
        bus (A_DIN) {{ pin (A_DIN[7:0]) {{ {data} }} }}
        bus (A_ADDR) {{ pin (A_ADDR[5:0]) {{ {address} }} }}
        bus (A_DOUT) {{ timing () {{ timing_type : rising_edge; related_pin : "{clock}"; when : "{when}";
          cell_rise (two) {{ values ("1, 2", "3, 4", "5, 6", "7, 8"); }}
          cell_fall (two) {{ values ("1, 2", "3, 3.5", "5, 6", "7, 8"); }} }} }} }} }}"""


def written(folder, text, name="m.lib"):
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_figures_of_a_file_by_hand(tmp_path):
    """Energies: unit of capacitance times that of voltage squared, 10 fF (10 V)^2 = 1 pJ; times: 5 ns each."""
    (found,) = read_macros(written(tmp_path, liberty()))
    assert (found.name, found.words, found.bits, found.area_um2) == ("m", 64, 8, 900)
    assert (found.idle_pj, found.read_pj, found.write_pj) == (1.5, 32, 41)  # rise and fall
    assert found.data_pj == 2  # mean of 3 and 1, while it works
    assert found.address_pj == pytest.approx(0.3)
    assert found.leakage_nw == 250
    assert found.access_ns == 20  # second of four transition times, the largest load: 4 of 5 ns
    assert found.voltage_v == pytest.approx(1.2)
    assert not found.doubts


def test_what_cannot_be_is_left_unknown(tmp_path):
    same = dict.fromkeys(STATES, (20, 25.6))
    period = 'timing () { timing_type : "minimum_period"; rise_constraint (scalar) { values ("3.9"); } }'
    (found,) = read_macros(written(tmp_path, liberty(states=same, more=period)))
    assert found.read_pj is found.write_pj is found.idle_pj is found.access_ns is None
    assert found.doubts == (
        "energy: 45.6 pJ per cycle of the clock whether it reads or is disabled, which is that of no access",
        "access time: 20 ns, though the clock's least period is said to be 19.5 ns",
    )
    (found,) = read_macros(written(tmp_path, liberty(states={}, more=period.replace("3.9", "4"))))
    assert (found.read_pj, found.access_ns, found.doubts) == (None, 20, ())


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"words": "6.5"}, "needs whole address_width (1 to 30) and word_width"),
        ({"words": 31}, "needs whole address_width (1 to 30) and word_width"),
        ({"bits": 0}, "needs whole address_width (1 to 30) and word_width"),
        ({"area": ""}, "needs an area above 0"),
        ({"area": "area : -1;"}, "needs an area above 0"),
        ({"clock": "CK"}, "its pins are those of no memory that is known here"),
        ({"states": {"A_MEN & A_DLY": (1, 1)}}, "depends on A_DLY, which says nothing of reading or writing"),
        ({"states": {"A_MEN &": (1, 1)}}, "A_MEN &"),
    ],
)
def test_faults_are_one_line_with_file_and_cell(tmp_path, capfd, changed, reason):
    file = written(tmp_path, liberty(**changed))
    with pytest.raises(ToolError) as error:
        read_macros(file)
    assert reason in str(error.value)
    assert "m.lib" in str(error.value)
    assert (
        run(["calibrate", "sram-sg13g2", "--liberty", str(file), "--output", str(tmp_path / "o.toml")]) == 2
    )
    said = capfd.readouterr().err
    assert reason in said
    assert len([line for line in said.splitlines() if line.startswith("error:")]) == 1
    assert not (tmp_path / "o.toml").exists()


def test_files_that_do_not_belong_together(tmp_path):
    one, other = (written(tmp_path, liberty(), f"{name}.lib") for name in "ab")
    with pytest.raises(ToolError, match="stands in another of the files too"):
        measure([one, other])
    higher = written(tmp_path, liberty("n").replace("nom_voltage : 0.12", "nom_voltage : 0.15"), "c.lib")
    with pytest.raises(ToolError, match=r"macros of 1\.2, 1\.5 V"):
        measure([one, higher])
    cells = written(tmp_path, liberty().replace("memory ()", "other ()"), "d.lib")
    with pytest.raises(ToolError, match="has no memory"):
        measure([cells])


SIZES = list(product((64, 256, 1024), (8, 32)))


def made(figure, words, bits):
    """A macro whose figures follow a law."""
    value = figure(words, bits)
    return Macro(
        f"{words}x{bits}", words, bits, value, 2 * value, 3 * value, 0.0, None, None, value, None, 1.2
    )


@settings(max_examples=8, deadline=None)
@given(factors=st.tuples(*[st.floats(0.001, 100)] * 4))
def test_laws_find_what_macros_follow(factors):
    a, b, c, d = factors
    found = laws([made(lambda w, n: a + b * n + c * w + d * n * w, *size) for size in SIZES])
    assert set(found) == {"area_um2", "read_pj", "write_pj", "leakage_nw"}  # not what is 0, or unknown
    for law in found.values():
        assert law.mean < 0.005  # four digits of each factor
        assert law.worst < 0.02


def test_a_law_that_misses_is_not_written(tmp_path, capsys):
    """Areas that no law over words and bits follows, of otherwise regular macros."""
    files = []
    for number, (words, bits) in enumerate(product((6, 8, 10), (8, 32))):
        area = 1000 * (1 + 9 * (number % 2)) if number < 4 else 100
        files.append(
            written(
                tmp_path,
                liberty(f"m{number}", words=words, bits=bits, area=f"area : {area};"),
                f"{number}.lib",
            )
        )
    given_ = [x for file in files for x in ("--liberty", str(file))]
    place = tmp_path / "o.toml"
    assert run(["calibrate", "sram-sg13g2", *given_, "--output", str(place)]) == 0
    assert "no law of area_um2" in capsys.readouterr().err
    found = Macros.load(place)
    assert "area_um2" not in found.laws
    assert len(found.macros) == 6
    with pytest.raises(CostError, match="has no law of area_um2"):
        found.at("area_um2", 64, 8)
    before = place.read_bytes()
    assert (
        run(["calibrate", "sram-sg13g2", *given_[::-1][1::2], *[], "--output", str(place)]) == 2
    )  # no options, files alone
    assert run(["calibrate", "sram-sg13g2", *given_, "--output", str(place)]) == 0
    assert place.read_bytes() == before  # a repeated run changes nothing
    place.write_text("mine", encoding="utf-8")
    assert run(["calibrate", "sram-sg13g2", *given_, "--output", str(place)]) == 2
    assert place.read_text(encoding="utf-8") == "mine"


def sram(words, bits, area, **more):
    values = {"read_pj": 1.0, "write_pj": 2.0, "idle_pj": 0.25, "leakage_nw": 4.0, "access_ns": 1.0} | more
    return Sram(
        f"{words}x{bits}", words, bits, area, data_pj=None, address_pj=None, file="f", sha256="0", **values
    )


@given(
    macros=st.lists(
        st.tuples(st.integers(1, 40), st.integers(1, 12), st.integers(1, 500)),
        min_size=1,
        max_size=5,
        unique_by=lambda m: m[:2],
    ),
    words=st.integers(1, 130),
    bits=st.integers(1, 40),
)
def test_the_smallest_bank_against_all_there_are(macros, words, bits):
    """Every number of rows and columns of every macro that holds the memory."""
    srams = tuple(sram(w, b, float(area)) for w, b, area in macros)
    found = Macros("m", "", "", 1.0, "", srams, {}).bank(words, bits)
    assert found.rows * found.macro.words >= words
    assert found.columns * found.macro.bits >= bits
    every = [
        rows * columns * m.area_um2
        for m in srams
        for rows, columns in product(range(1, words + 1), range(1, bits + 1))
        if rows * m.words >= words and columns * m.bits >= bits
    ]
    assert found.area_um2 == min(every)


def test_energy_of_a_bank_by_hand():
    """Three rows, two columns: two macros work, four are idle."""
    bank = Bank(sram(4, 4, 10.0), 3, 2)
    assert (bank.count, bank.area_um2, bank.leakage_nw) == (6, 60.0, 24.0)
    assert bank.read_pj == 2 * 1.0 + 4 * 0.25
    assert bank.write_pj == 2 * 2.0 + 4 * 0.25
    unknown = replace(bank.macro, idle_pj=None)
    assert Bank(unknown, 2, 1).read_pj is None
    assert Bank(unknown, 1, 2).read_pj == 2.0


def test_bundled_macros_say_what_their_files_do():
    """Figures that were read in the files by eye; those of OpenRAM are not to be trusted (45.6 pJ an edge)."""
    sg13g2 = {(m.words, m.bits): m for m in Macros.load("sram-sg13g2").macros}
    assert len(sg13g2) == 10
    assert sg13g2[1024, 64].read_pj == 91.8272
    assert sg13g2[64, 64].read_pj == 39.0507
    # 2.35 times the energy for 16 times the words, at a third of the area per bit
    assert sg13g2[1024, 64].read_pj / sg13g2[64, 64].read_pj == pytest.approx(2.35, abs=0.005)
    assert sg13g2[1024, 64].area_um2 / 1024 / 64 == pytest.approx(4.03, abs=0.005)
    assert sg13g2[64, 64].area_um2 / 64 / 64 == pytest.approx(12.33, abs=0.005)
    sky130 = Macros.load("sram-sky130").macros
    assert all(m.read_pj is m.access_ns is None and len(m.doubts) == 2 for m in sky130)
    (doubted,) = [m for m in sky130 if (m.words, m.bits) == (256, 64)]
    assert "91.2367 pJ per cycle" in doubted.doubts[0]  # two edges of 45.6


@pytest.mark.parametrize("name", names())
def test_laws_do_not_fall_with_words_or_bits(name):
    found = Macros.load(name)
    words, bits = ([getattr(m, size) for m in found.macros] for size in ("words", "bits"))
    grid = [(w, b) for w in sorted({*words}) for b in sorted({*bits})]
    for figure in found.laws:
        values = {size: found.at(figure, *size) for size in grid}
        for (w, b), (v, c) in product(grid, grid):
            if v >= w and c >= b:
                assert values[v, c] >= values[w, b]
    for figure, law in found.laws.items():
        assert law.held_out_mean <= {"area_um2": 0.04}.get(figure, 0.08)


def test_the_command(capsys):
    assert (
        run(["targets", "memories", "sram-sg13g2", "--words", "600", "--bits", "64", "--format", "json"]) == 0
    )
    (bank,) = json.loads(capsys.readouterr().out)["banks"].values()
    # 263,946; two of 512x64: 300,205; three of 256x64: 279,542; ten of 64x64: 504,891; four of 1024x16: 318,695
    assert (bank["macro"], bank["rows"], bank["columns"]) == ("RM_IHPSG13_1P_1024x64_c2_bm_bist", 1, 1)
    assert bank["by_law"]["area_um2"] == pytest.approx(13850 + 344.5 * 64 + 4.637 * 600 + 3.383 * 64 * 600)
    assert run(["targets", "memories"]) == 0
    out = capsys.readouterr().out
    assert "0.2639" in out  # mm2 of 1024x64
    assert "unknown: access time" in out


@pytest.mark.parametrize(
    ("given_", "reason"),
    [
        (["--words", "3"], "--words and --bits go together"),
        (["--words", "0", "--bits", "3"], "words of a memory must be a whole number from 1"),
        (["sram-sg13"], "did you mean 'sram-sg13g2'"),
    ],
)
def test_refusals(capfd, given_, reason):
    assert run(["targets", "memories", *given_]) == 2
    assert reason in capfd.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("schema = 1", "schema = 2", "schema must be 1"),
        ("words = 64", "words = 0", "words must be an integer >= 1"),
        ("area_um2 = 50489.1328", "area_um2 = -1", "area_um2 must be a number of at least 0"),
        ("area_um2 = 50489.1328\n", "", "area_um2 is missing"),
        ("read_pj = 39.0507", "red_pj = 39.0507", "did you mean 'read_pj'"),
        ("* bits * depth", "* bits * width", "formula must be over depth and bits, not width"),
        ("held_out_mean", "held_out", "unknown key 'held_out'"),
    ],
)
def test_a_file_of_ones_own_is_checked(tmp_path, old, new, reason):
    text = (Path("cost_models") / "memories" / "sram-sg13g2.toml").read_text(encoding="utf-8")
    assert old in text
    file = written(tmp_path, text.replace(old, new, 1), "own.toml")
    with pytest.raises(CostError, match=r"own\.toml") as error:
        Macros.load(file)
    assert reason in str(error.value)


@pytest.mark.skipif(not REAL, reason="LIBERTY_ROOT names no memories")
def test_real_files_by_another_parser():
    """liberty-parser, and the arithmetic of the units by hand: pF, V and ns in both kinds of files; nW and mW."""
    for file in REAL:
        packed = file.read_bytes()
        text = (gzip.decompress(packed) if file.suffix == ".gz" else packed).decode()
        library = parse_liberty(text)
        (cell,) = library.get_groups("cell")
        (found,) = read_macros(file)
        memory = cell.get_group("memory")
        assert (found.words, found.bits) == (2 ** int(memory["address_width"]), int(memory["word_width"]))
        assert found.area_um2 == float(cell["area"])
        nanowatts = {"1nW": 1.0, "1mW": 1e6}[str(library["leakage_power_unit"]).strip('"')]
        leakage = [g["value"] for g in cell.get_groups("leakage_power")] or [cell["cell_leakage_power"]]
        assert found.leakage_nw == pytest.approx(float(leakage[0]) * nanowatts)
        if found.read_pj is not None:
            (clock,) = [pin for pin in cell.get_groups("pin") if "A_CLK" in pin.args]
            of_state = {
                "".join(str(g["when"]).strip('"').split()): float(
                    str(g.get_group("rise_power")["values"]).strip('"[]')
                )
                for g in clock.get_groups("internal_power")
            }
            assert found.read_pj == pytest.approx(of_state["A_MEN&!A_WEN&A_REN"])
            assert found.write_pj == pytest.approx(of_state["A_MEN&A_WEN&!A_REN"])


@pytest.mark.skipif(not REAL, reason="LIBERTY_ROOT names no memories")
def test_bundled_files_come_out_again(tmp_path):
    for name, pattern in (("sram-sg13g2", "RM_IHPSG13*"), ("sram-sky130", "*sram*")):
        files = [x for file in REAL if file.match(pattern) for x in ("--liberty", str(file))]
        place = tmp_path / f"{name}.toml"
        assert run(["calibrate", name, *files, "--output", str(place)]) == 0
        assert place.read_bytes() == (Path("cost_models") / "memories" / f"{name}.toml").read_bytes()
    assert set(MEMORIES) == set(names())
    assert set(UNITS) >= set(Macros.load("sram-sg13g2").laws)
