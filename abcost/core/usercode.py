"""Code that the user names: `path/to/file.py:function` or `package.module:function`. It runs because they named it."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from abcost.errors import AbcostError, one_line


def parameters_of(text: str, *, what: str, failure: type[AbcostError]) -> frozenset[str]:
    """Names of the arguments that a function takes; none where it does not say. Raises as `made_by`."""
    function, _ = _named(text, what, failure)
    try:
        return frozenset(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # what is no function, or one written in C
        return frozenset()


def made_by(text: str, arguments: Mapping[str, Any], *, what: str, failure: type[AbcostError]) -> Any:
    """What the function named by `text` returns for `arguments`; what is no function is the result itself.

    what: what it should make, for messages.  failure: the error that is raised if there is no such file, module
    or function, or if the user's code fails.
    """
    function, folder = _named(text, what, failure)
    try:
        with _importable(folder):
            makes = callable(function) and not isinstance(function, nn.Module)
            return function(**arguments) if makes else function
    except (AbcostError, KeyboardInterrupt):
        raise
    except BaseException as error:  # the user's code may raise anything; it becomes one line
        raise failure(f"{text} raised {type(error).__name__}: {one_line(error)}") from error


def _named(text: str, what: str, failure: type[AbcostError]) -> tuple[Any, Path]:
    """What the text names, and the folder whose modules it may import."""
    where, _, name = text.rpartition(":")
    in_file = where.endswith(".py")
    module = _load_file(Path(where), what, failure) if in_file else _import(where, failure)
    function = getattr(module, name, None)
    if function is None:
        raise failure(f"{where} has no {name!r}; name a function or class that makes the {what}")
    return function, Path(where).parent if in_file else Path.cwd()


def _load_file(path: Path, what: str, failure: type[AbcostError]) -> ModuleType:
    if not is_file(path):
        raise failure(f"no {what} file {path}")
    spec = importlib.util.spec_from_file_location(f"_abcost_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise failure(f"{path} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and pickling inside the file look the module up
    try:
        with _importable(path.parent):
            spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the user's code may raise anything; it becomes one line
        raise failure(
            f"{path} raised {type(error).__name__} while it was loaded: {one_line(error)}"
        ) from error
    return module


def is_file(path: Path) -> bool:
    """Whether there is such a file; False for what can't be a path."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long; a NUL in it
        return False


def _import(name: str, failure: type[AbcostError]) -> ModuleType:
    try:
        with _importable(Path.cwd()):
            return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the user's code may raise anything; it becomes one line
        raise failure(f"cannot import {name!r}: {type(error).__name__}: {one_line(error)}") from error


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let the user's file import its neighbours, as `python file.py` would."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the user's code may have taken it out itself
            sys.path.remove(str(folder))
