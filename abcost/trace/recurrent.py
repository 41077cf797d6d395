"""Recurrent layers as what they are made of: linear layers, sums, sigmoids, tanhs and products, step by step.

torch runs nn.LSTM, nn.GRU, nn.RNN and their cells as the operators that the recorder knows, where it isn't offered a
fused kernel. One thing is put right first: a state that the caller leaves out (or gives as zeros) is a register that
starts at 0, not a constant, so that every step has the same products:

    LSTM, T steps: T * 4H * (I + H) multiply-accumulates, 3 * T * H products, 5 * T * H functions
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from abcost.core.kinds import OpKind
from abcost.trace.recorder import Recorder
from abcost.trace.tracer import Tracer, constant_tracer, node_of

OPERATORS = ("lstm", "gru", "rnn_tanh", "rnn_relu", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell")
"""Names of torch's operators behind the layers; their second argument is the state."""


def with_state(
    module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], recorder: Recorder
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Arguments of a recurrent layer with a state that is traced; None for any other module."""
    if not isinstance(module, nn.RNNBase | nn.RNNCellBase):
        return None
    given = [*args, *([kwargs["input"]] if not args and "input" in kwargs else [])]
    x = given[0] if given else None
    if not isinstance(x, Tracer) or x.const is not None:
        return None
    state = args[1] if len(args) > 1 else kwargs.get("hx")
    return (x,), {"hx": traced_state(_zeros_of(module, x) if state is None else state, x, recorder)}


def traced_state(state: Any, x: Any, recorder: Recorder) -> Any:
    """A state (a tensor, or hidden and cell state) beside the activation x, as one that may be written to."""
    if not isinstance(x, Tracer) or x.const is not None:
        return state
    if isinstance(state, tuple | list):
        return type(state)(_traced(part, x, recorder) for part in state)
    return _traced(state, x, recorder)


def _zeros_of(module: nn.RNNBase | nn.RNNCellBase, x: Tracer) -> Any:
    """The state that torch starts with: zeros, a pair of them for an LSTM."""
    if isinstance(module, nn.RNNCellBase):
        zeros = torch.zeros(*x.shape[:-1], module.hidden_size, dtype=x.dtype)
        return (zeros, zeros) if isinstance(module, nn.LSTMCell) else zeros
    layers = module.num_layers * (2 if module.bidirectional else 1)
    batch = [] if x.dim() == 2 else [x.shape[0 if module.batch_first else 1]]
    hidden = torch.zeros(layers, *batch, module.proj_size or module.hidden_size, dtype=x.dtype)
    if not isinstance(module, nn.LSTM):
        return hidden
    return hidden, torch.zeros(layers, *batch, module.hidden_size, dtype=x.dtype)


def _traced(state: Any, x: Tracer, recorder: Recorder) -> Any:
    """Zeros as a register: no element of x, padded by zeros. Another constant as one that may be written to."""
    if isinstance(state, Tracer) and state.const is not None:
        state = state.const
    if not isinstance(state, torch.Tensor) or isinstance(state, Tracer):
        return state
    if bool((state != 0).any()):
        return constant_tracer(state, recorder)
    shape, count = tuple(state.shape), state.numel()

    def wired(source: str, aten: str, out: tuple[int, ...], *args: Any) -> str:
        return recorder.emit(OpKind.WIRING, out, [source], attrs={"aten": aten, "args": [{"in": 0}, *args]})

    flat = wired(node_of(x), "reshape.default", (x.numel(),), [x.numel()])
    zeros = wired(flat, "constant_pad_nd.default", (count,), [-x.numel(), count], 0)
    carried = state if recorder.real_values else torch.empty_like(state, device="meta")
    return Tracer(carried, wired(zeros, "reshape.default", shape, list(shape)), recorder)
