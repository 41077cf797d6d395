"""Which parameters of the model a constant was computed from: followed through torch while the model runs.

    w -> sign(w) -> sign(w) * mean(|w|)        all of them come from {w}

A tensor is known by its storage, so that views of a parameter come from it too. What the model makes anew (torch.zeros)
comes from no parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from abcost.core.node import Constant

Origins = frozenset[str]


class Provenance(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, results of operations on constants alone get the origins of their operands."""

    def __init__(self, model: nn.Module, activation: type[torch.Tensor]) -> None:
        """`activation`: the class of tensors that are no constants."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._activation = activation
        self._plain = {activation, torch.Tensor, nn.Parameter, nn.Buffer}
        self._known: dict[int, tuple[StorageWeakRef, Origins]] = {}
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            self.keep(name, tensor)

    def keep(self, name: str, parameter: torch.Tensor) -> None:
        """A parameter of the model, from here on."""
        self._keep(parameter, frozenset({name}))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch would load its compiler at the first call here, in order to leave this function out of it."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation as it is; remember where its results come from."""
        operands = [*_tensors((args, kwargs or {}))]
        traced = any(isinstance(operand, self._activation) for operand in operands)
        if traced and all(type(operand) in self._plain for operand in operands):
            # what torch would do next, had it not to load torch.distributed.tensor first to see what the operands are
            return self._activation.__torch_dispatch__(func, types, args, kwargs or {})
        result = func(*args, **(kwargs or {}))
        if not traced:
            found = self.of(operands)
            if found:
                for tensor in _tensors(result):
                    self._keep(tensor, found)
        return result

    def mark(self, consts: Mapping[str, Constant], arguments: Iterable[Any]) -> dict[str, Constant]:
        """The constants of a node with the names of the parameters that they come from.

        arguments: of the call that the node stands for. A constant is one of them or a view of one, or was computed
        from it by a handler: then it comes from those of as many elements, or from all.
        """
        given = [value for value in arguments if isinstance(value, torch.Tensor)]
        given = [value for value in given if not isinstance(value, self._activation)]
        found = {}
        for role, constant in consts.items():
            alike = [value for value in given if value.numel() == constant.count]
            origins = self.of([constant.values]) or self.of(alike) or self.of(given)
            known = constant.shared is not None or not origins
            found[role] = constant if known else replace(constant, shared=", ".join(sorted(origins)))
        return found

    def of(self, tensors: Iterable[torch.Tensor]) -> Origins:
        """Names of the parameters that any of the constants come from."""
        return frozenset[str]().union(*(self._of(tensor) for tensor in tensors))

    def _of(self, tensor: torch.Tensor) -> Origins:
        storage = _storage(tensor)
        known = None if storage is None else self._known.get(storage.cdata)
        return frozenset() if known is None or known[0].expired() else known[1]  # type: ignore[no-untyped-call]

    def _keep(self, tensor: torch.Tensor, origins: Origins) -> None:
        storage = None if isinstance(tensor, self._activation) else _storage(tensor)
        if storage is not None:  # the weak reference keeps its address from being used again
            self._known[storage.cdata] = (storage, origins | self._of(tensor))


def _storage(tensor: torch.Tensor) -> StorageWeakRef | None:
    """None for tensors without memory of their own."""
    try:
        return StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
    except (NotImplementedError, RuntimeError):  # sparse tensors, wrappers
        return None


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """All tensors in nested arguments."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for part in value:
            yield from _tensors(part)
