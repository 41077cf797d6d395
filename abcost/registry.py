"""One file registers one thing, in abcost, in a plug-in or in a user's own file; a miss suggests the nearest name.

A clash of names is an error of every look-up that names both owners. A plug-in that cannot be loaded is a warning,
once, and stands in the message for a name that is not there; all other names are as if it were not installed.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from abcost import plugins
from abcost.errors import DuplicateName, PluginError, UnknownName

T = TypeVar("T")


def unknown_name(what: str, name: str, known: Iterable[str]) -> UnknownName:
    """The error for a name that nobody registered, with the nearest known one."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UnknownName(f"no {what} {name!r}{hint} (known: {', '.join(names)})")


def caller(levels: int = 1) -> str:
    """Name of the module that called the function which asks; levels: so many calls further up than 1."""
    return str(sys._getframe(levels + 1).f_globals.get("__name__", "__main__"))  # noqa: SLF001 - its only door


class Registry(Generic[T]):
    """Names to things of one sort, filled by decorators.

    On the first look-up `package`, with all modules in it, and the entry points of `group` are imported: a new file, or
    another package, needs no edit here. broken: entry points that could not be loaded, None for all of them.
    """

    def __init__(self, what: str, package: str, group: str | None = None) -> None:
        self._what = what
        self._package = package
        self._group = group
        self._items: dict[str, T] = {}
        self._owners: dict[str, str] = {}  # name -> module that registered it
        self._begun = self._complete = False
        self._failure: BaseException | None = None  # of the first look-up, for all later ones
        self.broken: dict[plugins.Plugin | None, PluginError] = {}

    def add(self, name: str, owner: str | None = None) -> Callable[[T], T]:
        """Decorator: register the object under `name`. owner: the module that does so, by default the caller.

        A module outside abcost may say a name again, as a file does that is loaded a second time.
        Raises DuplicateName for a name of another.
        """
        module = owner or caller()

        def keep(item: T) -> T:
            own = plugins.is_own(module)
            if not own:
                self._load_own()  # abcost's are first, whoever is imported first
            if name in self._items and (own or self._owners[name] != module):
                raise DuplicateName(
                    f"{self._what} {name!r} is already taken by {plugins.owner(self._owners[name])}, and "
                    f"{plugins.owner(module)} registers it too; rename one, or leave out or uninstall one of the two"
                )
            self._items[name], self._owners[name] = item, module
            return item

        return keep

    def get(self, name: str) -> T:
        """The thing called `name`. Raises UnknownName with the nearest match, and plug-ins that are broken."""
        self._load()
        if name not in self._items:
            error = unknown_name(self._what, name, self._items)
            raise UnknownName("; ".join(map(str, (error, *self.broken.values())))) if self.broken else error
        return self._items[name]

    def find(self, name: str) -> T | None:
        """The thing called `name`, or None."""
        self._load()
        return self._items.get(name)

    def owner(self, name: str) -> str:
        """The module that registered `name`."""
        self.get(name)
        return self._owners[name]

    def names(self) -> list[str]:
        """All names, sorted."""
        self._load()
        return sorted(self._items)

    def __iter__(self) -> Iterator[tuple[str, T]]:
        self._load()
        return iter(sorted(self._items.items()))

    def _load(self) -> None:
        """Import the package's files and the plug-ins. What a file raises is raised by every look-up."""
        self._load_own()
        if self._complete:
            return
        self._complete = True  # already here, for a plug-in may look a name up while it is imported
        try:
            self._load_plugins()
        except BaseException as failure:
            self._keep(failure)
            self._complete = False
            raise

    def _load_own(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._begun:
            return
        self._begun = True  # already here, for a file may look a name up while it is imported
        try:
            package = importlib.import_module(self._package)
            for module in pkgutil.iter_modules(getattr(package, "__path__", ())):
                importlib.import_module(f"{self._package}.{module.name}")
        except BaseException as failure:
            self._keep(failure)
            self._begun = False
            raise

    def _keep(self, failure: BaseException) -> None:
        """Keep a failure for later look-ups. Ctrl-C is not kept: the next look-up imports what is missing."""
        if isinstance(failure, Exception):
            self._failure = failure

    def _load_plugins(self) -> None:
        """Import the entry points; what a broken one had registered is taken back. Raises DuplicateName."""
        if self._group is None:
            return
        self.broken = {}
        try:
            found = [plugin for plugin in plugins.found() if plugin.group == self._group]
        except PluginError as error:
            found = []
            self._leave_out(None, error)
        for plugin in found:
            items, owners = dict(self._items), dict(self._owners)
            try:
                plugin.load()
            except PluginError as error:
                self._items, self._owners = items, owners
                self._leave_out(plugin, error)

    def _leave_out(self, plugin: plugins.Plugin | None, error: PluginError) -> None:
        self.broken[plugin] = error
        warnings.warn(str(error), plugins.PluginWarning, stacklevel=2)
