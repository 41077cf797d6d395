"""A folding that the user gives: which layers it names, and whether they can be folded so.

    by layer      the name of an engine's layer; a second engine of the same layer is `name:2`
    in order      the compute nodes of a FINN configuration, one for every engine, as they are executed

Layers that are not named are left to the search, and the report says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from abcost.accelerator.engine import Engine
from abcost.accelerator.folding import MOST_SIMD, Folding, divisors, whole
from abcost.accelerator.result import GivenPart
from abcost.errors import UsageError
from abcost.registry import unknown_name

_SHOWN = 6  # names in a message


@dataclass(frozen=True, slots=True)
class Given:
    """The folding of one layer or node; depthwise: whether the file says so (None: it does not say)."""

    name: str
    folding: Folding
    depthwise: bool | None = None


@dataclass(frozen=True, slots=True)
class OwnFolding:
    """What a file says. source: the file, for people; in_order: names are nodes of FINN, not layers."""

    source: str
    given: tuple[Given, ...]
    in_order: bool = False

    def of(self, engines: Sequence[Engine]) -> list[Folding | None]:
        """The folding of every engine, None where it is left to the search.

        Raises UsageError or UnknownName for a layer that is not there, other numbers of nodes than engines, or a
        folding that an engine cannot have.
        """
        chosen: list[Folding | None] = [None] * len(engines)
        for number, given in self._matched(engines):
            self._check(given, engines[number])
            chosen[number] = given.folding
        return chosen

    def part(self, engines: Sequence[Engine]) -> GivenPart | None:
        """Which layers are folded as given; None where nothing was given. Raises as `of`."""
        if not self.given:
            return None
        names = layer_keys([engine.name for engine in engines])
        numbers = {number for number, _ in self._matched(engines)}
        return GivenPart(
            self.source,
            tuple(name for i, name in enumerate(names) if i in numbers),
            tuple(name for i, name in enumerate(names) if i not in numbers),
        )

    def _matched(self, engines: Sequence[Engine]) -> list[tuple[int, Given]]:
        """Number of the engine and what is given for it."""
        if self.in_order:
            if len(self.given) != len(engines):
                raise UsageError(
                    f"{self.source} folds {len(self.given)} nodes, the network has {len(engines)} layers: "
                    f"{_some([g.name for g in self.given])} against {_some([e.name for e in engines])}"
                )
            return list(enumerate(self.given))
        keys = {name: i for i, name in enumerate(layer_keys([engine.name for engine in engines]))}
        for given in self.given:
            if given.name not in keys:
                raise unknown_name(f"layer in {self.source}", given.name, keys)
        return [(keys[given.name], given) for given in self.given]

    def _check(self, given: Given, engine: Engine) -> None:
        where = f"{self.source}: {given.name}"
        if given.name != engine.name and self.in_order:
            where += f" ({engine.name})"
        if given.depthwise is not None and given.depthwise != depthwise(engine):
            what = "depthwise" if given.depthwise else "over all channels"
            raise UsageError(f"{where} is {what}, and the layer is not: the nodes are of another network")
        for what, value, size, of_what in (
            ("PE", given.folding.pe, engine.channels, "output channels"),
            ("SIMD", given.folding.simd, engine.taps, "products per output"),
        ):
            if size % value:
                raise UsageError(
                    f"{where}: {what} {value} does not divide its {size} {of_what}; nearest: {_nearest(value, size)}"
                )
        if engine.in_adders:
            if given.folding != whole(engine):
                raise UsageError(
                    f"{where} is a graph of adders, which is built whole: PE {engine.channels}, SIMD {engine.taps}, or "
                    "leave it out"
                )
            return
        most = MOST_SIMD[engine.arithmetic]
        if given.folding.simd > most:
            raise UsageError(
                f"{where}: SIMD {given.folding.simd} is more than {most}, the widest that is priced"
            )


NO_FOLDING = OwnFolding("", ())


def layer_keys(names: Sequence[str]) -> list[str]:
    """Names of engines in execution order, each once: the second engine of a layer is `name:2`."""
    seen: dict[str, int] = {}
    keys = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        keys.append(name if seen[name] == 1 else f"{name}:{seen[name]}")
    return keys


def depthwise(engine: Engine) -> bool:
    """Whether every output channel reads one input channel only."""
    groups = int(engine.dot.attrs.get("groups", 1))
    return groups > 1 and groups == engine.channels


def _nearest(value: int, size: int) -> str:
    """The divisors on both sides."""
    below = [d for d in divisors(size) if d < value]
    above = [d for d in divisors(size) if d > value]
    return " and ".join(str(d) for d in (*below[-1:], *above[:1]))


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown}, …" if len(names) > _SHOWN else shown
