"""`make simulator` on machines with and without a simulator, apt-get and the right to use it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(
    shutil.which("make") is None or not (ROOT / "Makefile").is_file(), reason="needs make and the checkout"
)


class Machine:
    """A PATH with nothing on it but what is put there; every program logs how it was called."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.log = folder / "log"
        self.bin.mkdir()
        self.log.touch()
        for name in ("sh", "env"):
            (self.bin / name).symlink_to(shutil.which(name) or name)

    def put(self, name: str, script: str = "") -> None:
        file = self.bin / name
        file.write_text(f'#!/bin/sh\necho {name} "$@" >> {self.log}\n{script}\n')
        file.chmod(0o755)

    def make(self) -> tuple[str, list[str]]:
        """What `make simulator` printed, and the programs it started."""
        done = subprocess.run(  # noqa: S603 - our own Makefile
            [shutil.which("make"), "--no-print-directory", "simulator"],
            cwd=ROOT,
            env={"PATH": str(self.bin)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout, self.log.read_text().splitlines()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.mark.parametrize("tool", ["iverilog", "verilator"])
def test_nothing_is_done_where_a_simulator_is(machine, tool):
    for name in (tool, "apt-get", "id", "sudo"):
        machine.put(name)
    assert machine.make() == ("", [])


@pytest.mark.parametrize(("user", "sudo"), [(0, ""), (1000, "sudo -n ")])
def test_apt_installs_one(machine, user, sudo):
    machine.put("id", f"echo {user}")
    machine.put("sudo", 'shift; exec "$@"')
    machine.put("apt-get", '[ "$DEBIAN_FRONTEND" = noninteractive ]')
    said, started = machine.make()
    assert said == "installing Icarus Verilog for the simulations\n"
    assert [line for line in started if line.startswith("apt-get")] == [
        "apt-get -qq update",
        "apt-get -qq install --no-install-recommends iverilog",
    ]
    asked = [line for line in started if line.startswith("sudo")]
    assert len(asked) == (2 if sudo else 0)
    assert all(line.startswith("sudo -n env ") for line in asked)


@pytest.mark.parametrize("why", ["no apt-get", "no password", "no network"])
def test_without_one_it_says_so_and_goes_on(machine, why):
    machine.put("id", "echo 1000" if why == "no password" else "echo 0")
    machine.put("sudo", "exit 1")
    if why != "no apt-get":
        machine.put("apt-get", "exit 100")
    said, _ = machine.make()
    assert said.splitlines()[-1] == (
        "No Verilog simulator, and none could be installed: simulations will be skipped. "
        "Install Icarus Verilog (package iverilog) or Verilator."
    )


def test_tests_wait_for_it():
    plan = subprocess.run(  # noqa: S603 - our own Makefile
        [shutil.which("make"), "--dry-run", "--no-print-directory", "test"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert plan.index("iverilog") < plan.index("pytest")
