"""One file registers one thing; a clash is an error; a miss suggests the nearest name."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from abcost.errors import UnknownName

T = TypeVar("T")


class DuplicateName(Exception):  # noqa: N818 - a programming error, never shown to users
    """Two files registered the same name."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> UnknownName:
    """The error for a name that nobody registered, with the nearest known one."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UnknownName(f"no {what} {name!r}{hint} (known: {', '.join(names)})")


class Registry(Generic[T]):
    """Names to things of one sort, filled by decorators in the files of one package.

    `package` is imported whole on the first look-up, so a new file needs no other edit.
    """

    def __init__(self, what: str, package: str) -> None:
        self._what = what
        self._package = package
        self._items: dict[str, T] = {}
        self._loaded = False
        self._failure: BaseException | None = None  # of the first look-up, for all later ones

    def add(self, name: str) -> Callable[[T], T]:
        """Decorator: register the object under `name`."""

        def keep(item: T) -> T:
            if name in self._items:
                raise DuplicateName(f"{self._what} {name!r} is already taken by {self._items[name]!r}")
            self._items[name] = item
            return item

        return keep

    def get(self, name: str) -> T:
        """The thing called `name`. Raises UnknownName with the nearest match."""
        self._load()
        if name not in self._items:
            raise unknown_name(self._what, name, self._items)
        return self._items[name]

    def find(self, name: str) -> T | None:
        """The thing called `name`, or None."""
        self._load()
        return self._items.get(name)

    def names(self) -> list[str]:
        """All names, sorted."""
        self._load()
        return sorted(self._items)

    def __iter__(self) -> Iterator[tuple[str, T]]:
        self._load()
        return iter(sorted(self._items.items()))

    def _load(self) -> None:
        """Import the package's files. What a file raises is raised by every look-up, since names are missing."""
        if self._failure is not None:
            raise self._failure
        if self._loaded:
            return
        self._loaded = True  # already here, for a file may look a name up while it is imported
        try:
            package = importlib.import_module(self._package)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self._package}.{module.name}")
        except BaseException as failure:
            if isinstance(failure, Exception):
                self._failure = failure
            else:  # Ctrl-C: what is imported stays so, the rest is imported by the next look-up
                self._loaded = False
            raise
