"""Reading cost tables - everything that is refused, and why."""

from __future__ import annotations

import pytest

from abcost.core.cost import Cost
from abcost.cost import CostTable
from abcost.errors import CostError
from abcost.rtl.unit import build, template, templates

GOOD = """
schema = 1
target = "mine"
title = "My chip"
technology = "asic"
node = "45 nm"

[[entry]]
op = "add"
energy_pj = "0.01 * width"
valid_width = [2, 32]
source = "paper"
method = "cited"
confidence = "verified"

[source.paper]
title = "A paper"
where = "Table 1"
"""


def load(tmp_path, content):
    path = tmp_path / "mine.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return CostTable.load(path)


def refuse(tmp_path, content, reason):
    with pytest.raises(CostError, match=reason) as raised:
        load(tmp_path, content)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(str(tmp_path / "mine.toml"))


def test_the_smallest_table(tmp_path):
    table = load(tmp_path, GOOD)
    assert table.price("add", width=16).cost == Cost(energy_pj=0.01 * 16)
    assert table.default_width == 16
    assert str(table.sources["paper"]) == "A paper; Table 1"


def test_a_unit_that_somebody_registered_has_a_price(tmp_path, monkeypatch):
    """Where nobody has, the name is refused, with the nearest one that is known."""
    text = GOOD.replace('op = "add"', 'op = "clip_to_odd"')
    refuse(
        tmp_path, text, r"entry 1: op = 'clip_to_odd' is unknown; \(known: multiply, add, .*xnor, popcount\)"
    )
    monkeypatch.setattr(templates, "_items", dict(templates))  # as it is, and to be forgotten again
    template("clip_to_odd", "width bits, the last of them 1")(lambda *, width: build("add", width=width))
    table = load(tmp_path, text)
    assert table.price("clip_to_odd", width=16).cost == Cost(energy_pj=0.01 * 16)
    assert table.units() == ["clip_to_odd"]
    assert table.price("add", width=16).details == {}
    misspelt = text.replace("clip_to_odd", "clip_to_od")
    refuse(tmp_path, misspelt, r"op = 'clip_to_od' is unknown; did you mean 'clip_to_odd'\?")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        # the file and its head
        ("schema = 1", "", r"mine\.toml: schema = 1 is missing at the top"),
        ("schema = 1", "schema = 2", r"schema = 1 is missing"),
        ("schema = 1", "schema = true", r"schema = 1 is missing"),
        ("schema = 1", "schema = 1\nschema = 1", r"not valid TOML: Cannot overwrite a value"),
        ("schema = 1", "schema = = 1", r"not valid TOML"),
        ("schema = 1", "schema = 1\na = " + "[" * 5000, r"not valid TOML"),
        ('target = "mine"', "", r"target is missing; add target"),
        ('target = "mine"', "target = 3", r"target must be a text in quotes, got 3"),
        ('target = "mine"', 'target = " "', r"target is empty"),
        ('"My chip"', r'"\u001b[31mred"', r"title must be printable text"),
        ('"asic"', '"asci"', r"technology = 'asci' is unknown; did you mean 'asic'\?"),
        ("schema = 1", 'schema = 1\nnodee = "x"', r"unknown key 'nodee'; did you mean 'node'\?"),
        ("schema = 1", "schema = 1\ndefault_width = 0", r"default_width must be an integer >= 1, got 0"),
        ("schema = 1", "schema = 1\ndefault_width = true", r"must be an integer >= 1, got True"),
        # sources
        ('source = "paper"\n', "", r"entry 1 \(add\): source is missing; every number cites one"),
        ('source = "paper"\n', 'source = "papre"\n', r"source 'papre' is not given; .*did you mean 'paper'"),
        ('source = "paper"\n', "source = []\n", r"source must be a name in quotes or a list"),
        ('source = "paper"\n', 'source = "a\\nb"\n', r"source must be a name in quotes or a list"),
        ('source = "paper"\n', "source = [1]\n", r"source must be a name in quotes or a list"),
        ('source = "paper"\n', 'source = ["paper", "paper"]\n', r"list of different names"),
        (
            "[source.paper]",
            '[source.spare]\ntitle = "a"\nwhere = "b"\n[source.paper]',
            r"source 'spare' is cited by no entry; cite it or remove it",
        ),
        ('where = "Table 1"', "", r"source 'paper': where is missing"),
        ('where = "Table 1"', 'where = "Table 1"\ndio = "x"', r"source 'paper': unknown key 'dio'"),
        # entries
        ('op = "add"', 'op = "addd"', r"entry 1: op = 'addd' is unknown; did you mean 'add'\?"),
        ('op = "add"', "", r"entry 1: op is missing"),
        ("energy_pj", "energy_jp", r"entry 1 \(add\): unknown key 'energy_jp'; did you mean 'energy_pj'\?"),
        ('energy_pj = "0.01 * width"', "", r"entry 1 \(add\): prices nothing; give one of energy_pj"),
        ('"0.01 * width"', "-0.5", r"energy_pj: a cost must be a finite number >= 0, got -0\.5"),
        ('"0.01 * width"', "nan", r"energy_pj: a cost must be a finite number"),
        ('"0.01 * width"', "inf", r"energy_pj: a cost must be a finite number"),
        ('"0.01 * width"', "true", r"energy_pj: a law is a number"),
        ('"0.01 * width"', '"width *"', r"energy_pj: 'width \*' is not a formula"),
        ('"0.01 * width"', '"10 - width"', r"energy_pj: the law is negative at width = 11; narrow"),
        ('"0.01 * width"', '"1 / (width - 9)"', r"no finite value at width = 9|negative at width = 2"),
        ('"0.01 * width"', '"9**9**9"', r"energy_pj: formula '9\*\*9\*\*9' has no finite value at all"),
        ('"0.01 * width"', '"0.01 * bits"', r"depends on bits; say where it holds: valid_bits = "),
        ("valid_width = [2, 32]", "", r"depends on width; say where it holds: valid_width"),
        ("valid_width = [2, 32]", "valid_width = [32, 2]", r"valid_width must be \[low, high\]"),
        ("valid_width = [2, 32]", "valid_widht = [2, 32]", r"'valid_widht'; did you mean 'valid_width'\?"),
        (
            '"0.01 * width"',
            '{ points = [[8, 1], [16, 2]], interpolation = "linear" }',
            r"valid_width 2 to 32 goes beyond the points 8 to 16; narrow it",
        ),
        ('"0.01 * width"', "0", r"energy_pj: 0 is a claim and needs a note"),
        (
            'method = "cited"',
            'method = "guessed"',
            r"'guessed' is unknown; .*known: cited, measured, derived",
        ),
        ('method = "cited"', 'method = "derived"', r'method = "derived" needs a note'),
        ('confidence = "verified"', "", r"entry 1 \(add\): energy_pj: confidence is missing"),
        ('confidence = "verified"', 'confidence = "sure"', r"confidence = 'sure' is unknown"),
        ("valid_width", "high.luts = 3\nvalid_width", r"high: unknown key 'luts'; .*known: energy_pj"),
        (
            "valid_width",
            "low.energy_pj = 3\nvalid_width",
            r"low <= value <= high, got 3\.0 > 0\.02 at width = 2",
        ),
        (
            "valid_width",
            "high.energy_pj = 0.1\nvalid_width",
            r"value <= high, got 0\.11 > 0\.1 at width = 11",
        ),
        ("valid_width", "high = 3\nvalid_width", r"high must be a section"),
        ("[[entry]]", "[entry]", r"entry must be written as \[\[entry\]\] sections"),
        (GOOD[GOOD.index("[[entry]]") : GOOD.index("[source")], "", r"no \[\[entry\]\] gives a figure"),
    ],
)
def test_reader_refuses(tmp_path, old, new, reason):
    assert old in GOOD
    refuse(tmp_path, GOOD.replace(old, new, 1), reason)


MUX = '[[entry]]\nop = "mux"\n'
CITED = 'source = "paper"\nmethod = "cited"\nconfidence = "verified"\n'


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (
            f'[[entry]]\nop = "add"\nenergy_pj = 1\n{CITED}',
            r"entry 2 \(add\): energy_pj is given already in entry 1; remove one or give them separate valid",
        ),
        (f"{MUX}luts = 0\n{CITED}", r"entry 2 \(mux\): luts: 0 is a claim and needs a note"),
        (f'{MUX}compose = ["ad"]', r"entry 2 \(mux\): compose = 'ad' is unknown; did you mean 'add'\?"),
        (f"{MUX}compose = []", r"compose must be a name in quotes or a list"),
        (f'{MUX}compose = ["mux"]', r"goes in a circle: mux -> mux; break it"),
        (
            f'{MUX}compose = ["prelu"]\n[[entry]]\nop = "prelu"\ncompose = ["mux"]',
            r"goes in a circle: mux -> prelu -> mux",
        ),
        (f'{MUX}compose = ["xnor"]', r"entry 2 \(mux\): not all of xnor price a common field; add entries"),
        (f'{MUX}compose = ["add"]\nfields = ["luts"]', r"not all of add price luts"),
        (f'{MUX}compose = ["add"]\ntimes = "bits"', r"depends on bits; say where it holds"),
        (f'{MUX}compose = ["add"]\nluts = 3', r"unknown key 'luts'"),
    ],
)
def test_reader_refuses_a_further_entry(tmp_path, entry, reason):
    refuse(tmp_path, GOOD + entry, reason)


MEMORY = """
[memory]
weights = "sram"
activations = "sram"
[[memory.level]]
name = "sram"
energy_pj = 10
access_bits = 64
source = "paper"
confidence = "verified"
"""


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (
            'weights = "sram"',
            'weights = "dram"',
            r"memory: weights = 'dram' is unknown; did you mean 'sram'\?",
        ),
        ('weights = "sram"', "", r"memory: weights is missing"),
        ('name = "sram"', 'name = "unknown"', r"level 1: 'unknown' says that there is no figure"),
        ("energy_pj = 10", "", r"memory: level 1: energy_pj is missing"),
        ("energy_pj = 10", "energy_pj = -10", r"energy_pj must be an energy above 0 in picojoule, got -10"),
        ("energy_pj = 10", "energy_pj = 10\nhigh = 9", r"needs low <= energy_pj <= high"),
        ("access_bits = 64", "access_bits = 0", r"access_bits must be an integer >= 1"),
        ('source = "paper"', 'source = "other"', r"memory level sram: source 'other' is not given"),
        (
            "[[memory.level]]",
            MEMORY[MEMORY.index("[[") :] + "[[memory.level]]",
            r"level 2: 'sram' is given twice",
        ),
    ],
)
def test_memory_refuses(tmp_path, old, new, reason):
    with pytest.raises(CostError, match=reason):
        load(tmp_path, GOOD.replace("[source.paper]", MEMORY.replace(old, new, 1) + "[source.paper]"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"empty; start from one of the bundled tables"),
        (b"  \n", r"empty"),
        (b"title = '\xff'", r"not UTF-8 at byte 9; save it as UTF-8"),
        (b"#" * ((1 << 20) + 1), r"cannot read .*: it has 1,048,577 bytes, more than 1,048,576"),
    ],
)
def test_files_that_are_no_table(tmp_path, content, reason):
    with pytest.raises(CostError, match=reason):
        load(tmp_path, content)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(CostError, match=r"nowhere\.toml: no such file; give a bundled target or the path"):
        CostTable.load(tmp_path / "nowhere.toml")
    with pytest.raises(CostError, match=r"no such file"):
        CostTable.load(tmp_path)


def test_entries_with_separate_ranges_and_composition(tmp_path):
    wide = f'[[entry]]\nop = "add"\nenergy_pj = 1\nvalid_width = [33, 64]\n{CITED}'
    table = load(tmp_path, f'{GOOD}{wide}{MUX}compose = ["add"]\ntimes = 2\n')
    assert table.price("add", width=32).cost.energy_pj == 0.32
    assert table.price("mux", width=33).cost.energy_pj == 2 * 1
    assert table.price("mux", width=33).details["energy_pj"].note == "sum of add"


def test_a_law_that_fails_between_the_sizes_tried_at_load_fails_when_asked(tmp_path):
    hole = GOOD.replace('"0.01 * width"', '"max(1, -1) - 2 * max(0, 1 - (width - 100003) ** 2)"')
    table = load(tmp_path, hole.replace("[2, 32]", "[2, 1000000]"))
    with pytest.raises(
        CostError, match=r"^mine: add: a cost must be a finite number >= 0, got energy_pj = -1"
    ):
        table.price("add", width=100003)
