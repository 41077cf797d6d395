"""Which options stand on the command line: what would do nothing is refused, not passed over."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from abcost.errors import UsageError


def given(context: typer.Context) -> frozenset[str]:
    """Names of the parameters that the user gave, in whatever way but by default."""
    found = set()
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name in {"COMMANDLINE", "ENVIRONMENT"}:
            found.add(name)
    return frozenset(found)


def refuse(there: Iterable[str], names: Iterable[str], reason: str) -> None:
    """Raise UsageError for the first of `names` that is among the given ones: `--name does nothing {reason}`."""
    known = set(there)
    for name in names:
        if name in known:
            raise UsageError(f"--{name.replace('_', '-')} does nothing {reason}: leave it out")
