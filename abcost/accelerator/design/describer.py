"""Puts the description of a block together: parts in order, with registers where operands differ in age.

Every unit's result goes into a register, so that the longest path of an engine is that of one unit. Where nets of
different age meet, the younger one waits in registers; each is delayed once, whoever asks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from abcost.accelerator.design.net import Net, Operand, Part, Slice, net_of
from abcost.cost.fused import FEW_WORDS, rom
from abcost.cost.organisation import Unit

Contents = Callable[[], tuple[tuple[int, ...], ...]]
End = Literal["register", "free", "own", "none"]
"""What is behind a unit: a register; one that is in the unit of the cost table; the unit's own; nothing."""
_IN_BLOCKS = frozenset({"multiply"})
"""Units whose results come from a block, not from LUTs."""
_NUMBER = re.compile(r"_[0-9]+$")
PORTS = ("reset", "valid", "a", "inside", "w", "sums", "complete", "positions", "dot", "coming")
"""Names of nets that come from outside."""


class Describer:
    """Collects parts; `reset` is the engine's reset, which counters read."""

    def __init__(self, lanes: int = 1) -> None:
        """lanes: how many are repeated, with their units counted apart (`lane_units`); 1: nothing is repeated."""
        self.lanes = lanes
        self.parts: list[Part] = []
        self.unwritten: list[str] = []  # why the block cannot be printed
        self.reset = Net("reset", 1, signed=False, constant=True)
        self.remark = ""
        self._delayed: dict[tuple[str, int], Net] = {}
        self._of_luts: set[str] = set()  # nets that LUTs drive, and none that comes from outside
        self._reads: Counter[tuple[int, int, int]] = Counter()
        self._names = Counter(PORTS)

    def name(self, hint: str) -> str:
        """A name that no other net has."""
        stem = _NUMBER.sub("", hint)
        self._names[stem] += 1
        number = self._names[stem]
        return stem if number == 1 else f"{stem}_{number}"

    def wire(self, op: str, x: Operand, hint: str, like: Net, **parameters: Any) -> Net:
        """Wiring of one operand, in as many lanes as it has; `like` gives width, point and sign."""
        source = net_of(x)
        found = like._replace(name=self.name(hint), lanes=source.lanes, age=source.age)
        self.parts.append(Part(op, source.lanes, (("x", x),), (("y", found),), parameters))
        if source.name in self._of_luts:
            self._of_luts.add(found.name)
        return found

    def join(self, op: str, x: Net, y: Net, hint: str, **parameters: Any) -> Net:
        """Wiring of two flags, or of two numbers that become one (`join`: y above x), of as many lanes."""
        age = max(net.age for net in (x, y) if not net.constant)
        x, y = self.delay(x, age), self.delay(y, age)
        width = x.width + y.width if op == "join" else 1
        found = Net(self.name(hint), width, lanes=x.lanes, signed=False, age=age)
        self.parts.append(Part(op, x.lanes, (("x", x), ("y", y)), (("y", found),), parameters))
        if op != "join":
            self._of_luts.add(found.name)
        return found

    def select(self, x: Net, when: Net) -> Net:
        """The rows of a net in which a flag is 1: from here on they are a stream of their own. Wiring."""
        found = x._replace(name=self.name(x.name))
        if x.name in self._of_luts:
            self._of_luts.add(found.name)
        self.parts.append(Part("select", x.lanes, (("x", x), ("when", when)), (("y", found),)))
        return found

    def literal(self, hint: str, width: int, lanes: int, contents: Contents, like: Net) -> Net:
        """Constants, one per lane."""
        found = like._replace(
            name=self.name(hint), width=width, lanes=lanes, elements=1, age=0, constant=True
        )
        self.parts.append(Part("constant", lanes, (), (("y", found),), contents=contents))
        return found

    def extend(self, net: Net, width: int) -> Net:
        """The net at least `width` bits wide, with copies of the sign or zeros in front."""
        return net if net.width >= width else self.wire("extend", net, net.name, net._replace(width=width))

    def unit(
        self,
        op: str,
        lanes: int,
        inputs: Mapping[str, Operand],
        output: Net,
        port: str,
        priced: Sequence[Unit],
        *,
        parameters: Mapping[str, Any] | None = None,
        end: End = "register",
    ) -> Net:
        """Instances of a unit on inputs of one age; their result, behind a register if `end` does not say otherwise.

        output: name (a hint), width, point and sign of the result.
        """
        age = max((net_of(x).age for x in inputs.values() if not net_of(x).constant), default=0)
        ready = tuple((name, self._aligned(x, age)) for name, x in inputs.items())
        found = output._replace(name=self.name(output.name), lanes=lanes, age=age + (end == "own"))
        self.parts.append(
            Part(op, lanes, ready, ((port, found),), parameters or {}, None, tuple(priced), self.remark)
        )
        if end != "own" and op not in _IN_BLOCKS:
            self._of_luts.add(found.name)
        if end in ("own", "none"):
            return found
        return self.delay(found, age + 1, priced=end == "register")

    def several(
        self,
        op: str,
        inputs: Mapping[str, Net],
        outputs: Sequence[tuple[str, Net]],
        priced: Sequence[Unit],
        *,
        clocked: Sequence[str] = (),
        **parameters: Any,
    ) -> list[Net]:
        """One instance of a unit with several outputs; of those in `clocked` the value is there after the edge."""
        age = max(net.age for net in inputs.values() if not net.constant)
        ready = tuple((name, self.delay(net, age)) for name, net in inputs.items())
        found = [net._replace(name=self.name(net.name), age=age + (port in clocked)) for port, net in outputs]
        named = tuple((port, net) for (port, _), net in zip(outputs, found, strict=True))
        self.parts.append(Part(op, 1, ready, named, parameters, None, tuple(priced), self.remark))
        return found

    def read(self, address: Net, lanes: int, words: int, output: Net, stored: int, contents: Contents) -> Net:
        """Parameter ROMs, one per lane, whose data is there one clock after the address."""
        self._reads[address.age, words, stored] += lanes
        found = output._replace(name=self.name(output.name), lanes=lanes, age=address.age + 1)
        self.parts.append(
            Part("rom", lanes, (("address", address),), (("data", found),), {"width": output.width}, contents)
        )
        return found

    def delay(self, net: Net, age: int, *, priced: bool = True) -> Net:
        """The same net later; constants have no age."""
        if net.constant:
            return net
        while net.age < age:
            key = (net.name, net.age + 1)
            if key not in self._delayed:
                later = net._replace(name=self.name(net.name), age=net.age + 1)
                lone = int(net.name not in self._of_luts)
                units = (Unit("register", net.lanes * net.elements, net.width, lone=lone),) if priced else ()
                self.parts.append(Part("register", 1, (("d", net),), (("q", later),), priced=units))
                self._delayed[key] = later
            net = self._delayed[key]
        return net

    def lane_units(self) -> Iterator[Unit]:
        """What the parts of all lanes are in a cost table: proportional to their number."""
        for part in self.parts:
            if self._of_lanes(part):
                yield from part.priced

    def units(self) -> Iterator[Unit]:
        """What the other parts are; ROMs of one size that are read together as they share columns."""
        for part in self.parts:
            if not self._of_lanes(part):
                yield from part.priced
        few: Counter[tuple[int, int]] = Counter()
        for (age, words, stored), count in self._reads.items():
            if words > FEW_WORDS:
                yield rom(count, words, stored)
            else:
                few[age, words] += count * stored
        for (_, words), columns in few.items():
            yield rom(columns, words, 1)

    def _of_lanes(self, part: Part) -> bool:
        return self.lanes > 1 and part.output.lanes % self.lanes == 0

    def _aligned(self, operand: Operand, age: int) -> Operand:
        if isinstance(operand, Slice):
            return operand._replace(net=self.delay(operand.net, age))
        return self.delay(operand, age)
