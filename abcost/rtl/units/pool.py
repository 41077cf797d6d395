"""One step of a pool over windows that do not overlap: a running result per window, channel by channel."""

from __future__ import annotations

from collections.abc import Callable

from abcost.core.integer import wrap
from abcost.core.lazy import torch
from abcost.errors import UsageError
from abcost.rtl.unit import Port, Unit, Values, check_width, flag, template

MOST_DEPTH = 2**16
OPERATIONS = ("sum", "max")


@template("pool", "one step of a sum or max pool of width bits, with a running result per window")
def pool(*, width: int, depth: int, operation: str = "sum", forward: bool = False) -> Unit:
    """Where valid: y <= memory[address] <= first ? x : memory[address] + x (or their maximum), wrapping.

    next: the address of the value that comes in the next cycle; its partial result is read at this cycle's edge,
    before it is written. forward: the value before it may have had the same address; `again` says that it had.
    No address is read in the cycle that writes it, unless `again` puts the value itself in its place; without being
    told so, Yosys puts flip-flops and LUTs beside a block that answer with the value before.
    Raises UsageError for another operation, or a depth outside 1 to 65,536.
    """
    check_width(width)
    if operation not in OPERATIONS or not 1 <= depth <= MOST_DEPTH:
        raise UsageError(
            f"a pool is a {' or a '.join(OPERATIONS)} of 1 to {MOST_DEPTH} windows, got {operation}, {depth}"
        )
    bits = max(1, (depth - 1).bit_length())
    span = f"[{width - 1}:0]"
    joined = (
        "before + x" if operation == "sum" else "(difference[" + str(width) + "] ? x : before)"
    )  # the sign of before - x
    difference = "" if operation == "sum" else f"    wire signed [{width}:0] difference = before - x;\n"
    before = "again ? kept : partial" if forward else "partial"
    return Unit(
        name=f"pool_{operation}_w{width}_d{depth}" + ("_forward" if forward else ""),
        inputs=(
            Port("x", width),
            flag("valid"),
            flag("first"),
            Port("next", bits, signed=False),
            Port("address", bits, signed=False),
            *([flag("again")] if forward else []),
        ),
        outputs=(Port("y", width),),
        body=(
            f"    (* no_rw_check *) reg {span} memory [0:{depth - 1}];\n"
            f"    reg signed {span} partial, kept;\n"
            f"    wire signed {span} before = {before};\n"
            f"{difference}"
            f"    wire signed {span} joined = first ? x : {joined};\n"
            "    always @(posedge clk) begin\n"
            "        partial <= memory[next];\n"
            "        if (valid) begin\n"
            "            memory[address] <= joined;\n"
            "            kept <= joined;\n"
            "        end\n"
            "    end\n"
            "    assign y = kept;"
        ),
        model=_model(width, operation),
        clocked=True,
        protocol=_protocol(depth, forward=forward),
    )


def _model(width: int, operation: str) -> Callable[[Values], dict[str, torch.Tensor]]:
    """The definition, with the partial results where they belong: reading ahead and forwarding only keep pace."""

    def model(values: Values) -> dict[str, torch.Tensor]:
        held: dict[int, int] = {}
        kept, rows = 0, []
        columns = (values[name].tolist() for name in ("x", "valid", "first", "address"))
        for x, valid, first, address in zip(*columns, strict=True):
            if valid:
                before = held.get(address, 0)
                kept = x if first else before + x if operation == "sum" else max(before, x)
                kept = held[address] = int(wrap(torch.tensor(kept), width))
            rows.append(kept)
        return {"y": torch.tensor(rows, dtype=torch.int64)}

    return model


def _protocol(depth: int, *, forward: bool) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    """The next address belongs to the next row; one that was just written follows only where it is forwarded."""

    def protocol(rows: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if not forward:  # all windows in turn, and a row without a value where there is one window
            rows["address"] = torch.arange(len(rows["x"])) % depth
            rows["valid"][: 3 * depth] = 1
            if depth == 1:
                rows["valid"][1::2] = 0
        else:
            rows["address"] = torch.arange(len(rows["x"])) // 3 % depth
            rows["valid"][:] = 1
            follows = torch.arange(len(rows["x"])) % 3 != 0
            rows["again"] = (follows | (depth == 1)).to(torch.int64)
        rows["next"] = torch.roll(rows["address"], -1)
        rows["first"][: 3 * depth] = 1
        return rows

    return protocol
