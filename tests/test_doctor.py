"""`abcost doctor` on machines that lack things."""

import importlib.metadata
import json

import pytest

from abcost import doctor
from abcost.cli import run


def findings(capsys, status=0):
    assert run(["doctor", "--format", "json"]) == status
    answer = json.loads(capsys.readouterr().out)
    assert answer["healthy"] is (status == 0)
    return {(finding["area"], finding["name"]): finding for finding in answer["findings"]}


@pytest.fixture(autouse=True)
def _fresh():
    doctor._version.cache_clear()
    yield
    doctor._version.cache_clear()


def test_versions_are_those_installed(capsys):
    found = findings(capsys)
    for name in ("torch", "networkx", "pandas"):
        assert found["abcost", name] == {
            "area": "abcost", "name": name, "state": "ok", "detail": importlib.metadata.version(name)
        }  # fmt: skip
    assert "threads" in found["devices", "CPU"]["detail"]


@pytest.mark.parametrize(("multiplies", "state"), [(True, "ok"), (False, "absent")])
def test_whether_the_processor_multiplies_bfloat16(capsys, monkeypatch, multiplies, state):
    """Nothing is broken where it does not; a precision of training is missing."""
    monkeypatch.setattr("abcost.nn.bfloat16_backward.MULTIPLIES_BFLOAT16", multiplies)
    finding = findings(capsys)["devices", "bfloat16"]
    assert finding["state"] == state
    assert "--precision bf16-backward" in finding["detail"]


def test_a_terminal_gets_a_table(capsys):
    assert run(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "version, or what to do" in said
    assert "cost tables" in said


def lacking(monkeypatch, versions):
    real = importlib.metadata.version

    def version(name):
        if name not in versions:
            return real(name)
        if versions[name] is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(doctor.metadata, "version", version)


def test_a_missing_dependency_is_broken(capsys, monkeypatch):
    lacking(monkeypatch, {"networkx": None, "pandas": "0.25"})
    found = findings(capsys, status=1)
    assert found["abcost", "networkx"]["state"] == "broken"
    assert found["abcost", "networkx"]["detail"].startswith("not installed; pip install 'networkx>=")
    assert found["abcost", "pandas"]["detail"].startswith("0.25 is too old; pip install 'pandas>=")


def test_a_missing_extra_is_absent_and_says_how_to_get_it(capsys, monkeypatch):
    lacking(monkeypatch, {"optuna": None})
    found = findings(capsys)
    assert found["extras", "search"]["state"] == "absent"
    assert found["extras", "search"]["detail"].endswith("pip install 'abcost[search]'")
    assert "optuna" in found["extras", "search"]["detail"]


def test_tools_that_are_not_there_and_that_do_not_start(capsys, monkeypatch, tmp_path):
    broken = tmp_path / "iverilog"
    broken.write_text("#!/bin/sh\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = findings(capsys)
    assert found["tools", "verilator"]["detail"].endswith("Debian: apt install verilator")
    assert f"{broken} -V ended with status 3" in found["tools", "iverilog"]["detail"]


def test_a_damaged_table_is_broken(capsys, monkeypatch, tmp_path):
    (tmp_path / "mine.toml").write_text("schema = 2\n")
    monkeypatch.setattr("abcost.doctor.bundled_targets", lambda: [str(tmp_path / "mine.toml")])
    found = findings(capsys, status=1)
    assert "schema = 1 is missing" in found["files", "cost tables"]["detail"]
