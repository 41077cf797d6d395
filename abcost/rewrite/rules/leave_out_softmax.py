"""softmax(x) -> x, where an argmax is all that can follow."""

from __future__ import annotations

from abcost.core.edit import Edit
from abcost.core.graph import OpGraph
from abcost.core.interpret import only_moves
from abcost.core.kinds import OpKind
from abcost.core.log import Phase
from abcost.core.node import OpNode
from abcost.rewrite.rule import Declined, Match, RewriteOptions, rules


def _moves_only(graph: OpGraph, node: OpNode) -> bool:
    """Whether the result has elements of the one input and no others, not even zeros."""
    padded = node.attrs.get("aten") == "constant_pad_nd.default"
    return only_moves(node) and not padded and len(graph.inputs(node.name)) == 1


class LeaveOutSoftmax:
    """output(softmax(x))  ->  output(x), also of a log-softmax: in each row both rise with x and keep the argmax."""

    phase = Phase.ROUND_SCALES  # opt-in, and it changes the output
    kinds = frozenset({OpKind.SOFTMAX})

    def check(self, graph: OpGraph, node: OpNode, options: RewriteOptions) -> Match | Declined | None:
        """Asked for, and the only output is made by it, moved at most."""
        if not options.leave_out_softmax:
            return None
        outputs = graph.of_kind(OpKind.OUTPUT)
        if len(outputs) > 1:
            return Declined("the network has other outputs, beside which its values may matter")
        between, end = [], node
        while (users := graph.users(end)) and end not in outputs:
            if len(users) > 1 or not (users[0] in outputs or _moves_only(graph, users[0])):
                return Declined("its values are read by more than an argmax of the output")
            end = users[0]
            between.append(end)
        rows = "log-softmax" if node.attrs.get("aten") == "_log_softmax.default" else "softmax"
        return Match(
            (node, *between),
            f"{rows} left out as asked: it rises with its input in each row, so an argmax over a row is the same",
            exact=False,
        )

    def apply(self, edit: Edit, graph: OpGraph, node: OpNode, _match: Match) -> None:
        """Whoever read it reads what it read."""
        edit.reroute(node.name, graph.inputs(node.name)[0])


rules.add("leave-out-softmax")(LeaveOutSoftmax())
