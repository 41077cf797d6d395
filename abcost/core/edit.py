"""Building and changing an op graph: the only mutable form of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from abcost.core.graph import OpGraph
from abcost.core.kinds import OpKind
from abcost.core.node import OpNode


class Edit:
    """A draft of a graph. Start empty (tracing) or from a graph (rewriting), then `freeze`."""

    def __init__(self, graph: OpGraph | None = None) -> None:
        self._nodes: dict[str, OpNode] = {}
        self._inputs: dict[str, list[str]] = {}
        self._taken: dict[str, int] = {}  # name -> highest number behind it that is known to be taken
        self._users: dict[str, dict[str, None]] = {}  # an ordered set, kept so that rerouting is local
        self._before: dict[str, list[str]] = {}  # node -> names inserted in front of it
        if graph is not None:
            for node in graph:
                self.add(node, graph.inputs(node.name))

    def unique(self, name: str) -> str:
        """`name`, or `name_2`, `name_3`, … if it is taken."""
        candidate, count = name, self._taken.get(name, 1)
        while candidate in self._nodes:
            count += 1
            candidate = f"{name}_{count}"
        self._taken[name] = max(1, count - 1)
        return candidate

    def draft(self, name: str) -> OpNode:
        """The node called `name` as it stands in the draft."""
        return self._nodes[name]

    def reads(self, name: str) -> list[str]:
        """Names of what it reads in the draft."""
        return list(self._inputs[name])

    def add(self, node: OpNode, inputs: Sequence[str] = ()) -> str:
        """Append a node; returns its name."""
        self._nodes[node.name] = node
        self._users.setdefault(node.name, {})
        self._read(node.name, inputs)
        return node.name

    def insert_before(self, user: OpNode, node: OpNode, inputs: Sequence[str]) -> str:
        """Add a node that is executed just before `user`; returns its name."""
        self._before.setdefault(user.name, []).append(node.name)
        return self.add(node, inputs)

    def replace(self, old: OpNode, inputs: Sequence[str] | None = None, **changes: Any) -> None:
        """Change fields of a node (kind, attrs, consts) and, if given, what it reads; the name stays."""
        self._nodes[old.name] = dataclasses.replace(self._nodes[old.name], **changes)
        if inputs is not None:
            for source in self._inputs[old.name]:
                self._users[source].pop(old.name, None)
            self._read(old.name, inputs)

    def reroute(self, old: str, new: str) -> None:
        """Whoever read `old` now reads `new`; `old` itself dies if no output depends on it."""
        for user in [name for name in self._users[old] if name != new]:
            self._read(user, [new if source == old else source for source in self._inputs[user]])
            del self._users[old][user]

    def freeze(self) -> OpGraph:
        """The graph, without nodes that no output depends on. Inputs always stay."""
        live = self._live()
        order: dict[str, None] = {}
        inserted = {name for names in self._before.values() for name in names}

        def place(name: str) -> None:
            for earlier in self._before.get(name, ()):
                place(earlier)
            if name in live:
                order[name] = None

        for name in self._nodes:
            if name not in inserted:
                place(name)
        return OpGraph([self._nodes[name] for name in order], {name: self._inputs[name] for name in order})

    def _read(self, name: str, inputs: Sequence[str]) -> None:
        self._inputs[name] = list(inputs)
        for source in inputs:
            self._users[source][name] = None

    def _live(self) -> set[str]:
        stack = [n.name for n in self._nodes.values() if n.kind in (OpKind.OUTPUT, OpKind.INPUT)]
        live: set[str] = set()
        while stack:
            name = stack.pop()
            if name not in live:
                live.add(name)
                stack.extend(self._inputs[name])
        return live
