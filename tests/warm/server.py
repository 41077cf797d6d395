"""Starts commands by forking a process that has their libraries loaded: `server.py FOLDER OWNER`, see __init__.py.

Loading torch, scipy and the like takes seconds, and most commands that tests start take tenths of one. A forked process
is a process of its own in all else: arguments, environment, folder, streams, exit status, memory. Nothing has been
computed here before it is forked, so that it finds every module as a fresh interpreter leaves it after its imports.
Bundled cost tables are read once per process.

With FEW in its environment a command trains for so many epochs where it is not told for how many, and searches with one
worker where it is not told with how many (tests/shortened.py).

What asks (client.py) sends its three streams and, as JSON, what it was called with; it is answered with the status.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import types
from pathlib import Path

LIBRARIES = (
    "PIL.JpegImagePlugin", "alembic.command", "ipykernel.kernelapp", "fvcore.nn", "jinja2", "lightning_fabric.fabric",
    "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "matplotlib.figure", "mlxtend.data", "onnx",
    "optuna", "optuna.storages", "optuna.storages._rdb.models", "pandas", "plotly.offline", "rich.console",
    "scipy.optimize", "sklearn.datasets", "sqlalchemy.dialects.sqlite", "tensorboardX", "torch",
    "torch.utils.serialization.config", "typer", "typer._adapters", "typer._coercion",
)  # fmt: skip
STARTED_BY_COMMANDS = ["abcost.searching.worker", "ipykernel_launcher"]
CLIENT = Path(__file__).with_name("client.py")
ALONE_S = 1.0  # how often the server looks whether its owner is still there


def load() -> None:
    """What commands of abcost load on their way, and all of abcost but what looks up names while it is imported.

    Plug-ins are looked for once, with the first name; a command may be told of them by its PYTHONPATH.
    """
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):  # of an extra that is not installed
            importlib.import_module(name)
    abcost = importlib.import_module("abcost")
    for module in pkgutil.walk_packages(abcost.__path__, "abcost."):
        if not module.name.startswith("abcost.calibrate"):
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)
    sys.path.insert(1, str(CLIENT.parents[1]))
    importlib.import_module("tables_once").read_tables_once()
    del sys.path[1]
    assert importlib.import_module("abcost.plugins").found.cache_info().misses == 0


def serve(place: Path, owner: int) -> None:
    """Load, and answer in a process of its own until the owner has ended; returns when it can be asked."""
    load()
    with socket.socket(socket.AF_UNIX) as asked:
        asked.bind(str(place / "server"))
        asked.listen(64)
        if os.fork() > 0:
            return
        gc.freeze()  # a collection in a forked process would copy every page
        gc.set_threshold(50_000)  # as commands do, and conftest.py
        asked.settimeout(ALONE_S)
        while alive(owner):
            with contextlib.suppress(TimeoutError):
                connection, _ = asked.accept()
                if os.fork() == 0:
                    asked.close()
                    try:
                        answer(connection)
                    finally:
                        os._exit(1)  # nothing was asked
                connection.close()
            with contextlib.suppress(ChildProcessError):  # there is none
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
    shutil.rmtree(place, ignore_errors=True)


def alive(process: int) -> bool:
    """Whether it has not ended."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def answer(connection: socket.socket) -> None:
    """Run what is asked in a process of its own; send its number, and its status when it has ended. Never returns."""
    connection.settimeout(None)
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile() as text:
        request = json.load(text)
    process = os.fork()
    if process == 0:
        connection.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        become(**request)
    for stream in streams:
        os.close(stream)
    connection.sendall(f"{process}\n".encode())
    _, status = os.waitpid(process, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def become(arguments: list[str], environment: dict[str, str], folder: str, parent: int) -> None:
    """Do what `python ARGUMENTS` does, a file or `-m` and a module, and end as it does."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        os.getppid = lambda: parent if alive(parent) else 1
        for module in ("subprocess", "jupyter_client.launcher"):  # which has taken its own name for it
            if module in sys.modules:
                sys.modules[module].Popen = Popen
        if "FEW" in environment:
            short(int(environment["FEW"]))
        sys.stdin, sys.stdout, sys.stderr = map(os.fdopen, range(3), ("r", "w", "w"), (-1, -1, 1))
        sys.path[1:1] = [place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place]
        if arguments[0] == "-c":
            sys.argv, sys.path[0] = ["-c", *arguments[2:]], folder
            main = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(arguments[1], "<string>", "exec"), main.__dict__)  # noqa: S102 - our own code
        elif arguments[0] == "-m":
            sys.argv = arguments[1:]
            sys.path[0] = folder
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = arguments
            sys.path[0] = str(Path(arguments[0]).parent.absolute())
            runpy.run_path(arguments[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)


def short(epochs: int) -> None:
    """Recipes of so few epochs, and one worker per search, whatever the number of cores."""
    recipes = importlib.import_module("abcost.training.recipes")
    recipes.RECIPES = {name: {**recipe, "epochs": epochs} for name, recipe in recipes.RECIPES.items()}
    os.sched_getaffinity = lambda _: {0}


class Popen(subprocess.Popen):
    """Workers of a search and kernels of notebooks are asked for here too."""

    def __init__(self, args, *more, **options):
        python, *rest = [args] if isinstance(args, str) else args
        if python == sys.executable and rest[:1] == ["-m"] and rest[1] in STARTED_BY_COMMANDS:
            args = [python, "-I", "-S", str(CLIENT), *rest]
        super().__init__(args, *more, **options)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
