"""Pools over windows that do not overlap, in the chain: a running result per window and channel group.

Pixels come row by row, channel groups inside; the result of a window comes with its last pixel. The address of a
window's running result, (column of windows, channel group), is known one clock ahead, so that a memory with a register
keeps pace. With one channel group the pixels of a window follow each other, and its running result is at hand.
"""

from __future__ import annotations

from abcost.accelerator.design.chain import ChainDesign, Stream
from abcost.accelerator.design.net import Net
from abcost.core.kinds import OpKind
from abcost.core.node import OpNode
from abcost.cost.organisation import Unit

POOLS = frozenset({OpKind.MAX_POOL, OpKind.SUM_POOL})
_FLAG = Net("flag", 1, signed=False)


def kernel_of(node: OpNode, rows: int, columns: int) -> tuple[int, int] | None:
    """Rows and columns of the windows, if they do not overlap and fill the image; None if not."""
    a = node.attrs
    if "axes" in a:
        return (rows, columns) if sorted(a["axes"]) == [2, 3] else None
    if "windows" in a or any(a.get("padding", ())) or any(d != 1 for d in a.get("dilation", (1,))):
        return None
    sizes = [int(k) for k in a["kernel"]]
    kernel = (sizes * 2)[:2]
    stride = ([int(s) for s in a["stride"]] * 2)[:2]
    if len(sizes) > 2 or kernel != stride or rows % kernel[0] or columns % kernel[1]:
        return None
    return kernel[0], kernel[1]


def unsupported_pool(node: OpNode, rows: int, columns: int) -> str:
    """Why a pool cannot be written; "" if it can."""
    if kernel_of(node, rows, columns) is None:
        return "its windows overlap, reach into padding or leave pixels over"
    return ""


def describe_pool(c: ChainDesign, node: OpNode, x: Net) -> tuple[Net, Stream]:
    """The pool of one value per lane, and the stream of its results."""
    d, stream, number = c.d, c.stream, c.number
    kernel = kernel_of(node, stream.rows, stream.columns)
    assert kernel is not None  # noqa: S101 - `unsupported_pool` was asked
    x = c.fixed(x)
    across = stream.columns // kernel[1]
    early = x.age - 1
    d.remark = f"windows of {node.name}"
    group, pixel = None, c.flag(early)
    if stream.groups > 1:
        group, pixel = c.group(early), c.pixel(early)
    column, right = _count(c, pixel, kernel[1], "column")
    window, row_end = _count(c, right, across, "window")
    row, _ = _count(c, row_end, kernel[0], "row")
    first = _all(c, [d.wire("is_zero", count, "flag", _FLAG) for count in (column, row) if count is not None])
    last = _all(
        c,
        [
            d.wire("equals", count, "flag", _FLAG, value=size - 1)
            for count, size in ((column, kernel[1]), (row, kernel[0]))
            if count is not None
        ],
    )
    address = _address(c, group, window)
    age = x.age
    inputs = {
        "x": x,
        "valid": c.flag(age),
        "first": d.delay(first, age),
        "next": address if address.constant else d.delay(address, early)._replace(age=age),
        "address": d.delay(address, age),
    }
    forward = stream.groups == 1 and (column is not None or window is None)
    if forward:
        same = _all(c, []) if window is None or column is None else d.wire("not_zero", column, "again", _FLAG)
        inputs["again"] = d.delay(same, age)
    operation = "max" if node.kind is OpKind.MAX_POOL else "sum"
    units = [Unit("max" if operation == "max" else "add", c.lanes, number.width),
             Unit("mux", c.lanes, number.width), Unit("register", c.lanes, number.width)]  # fmt: skip
    y = d.unit(
        "pool", c.lanes, inputs, x._replace(name="pooled"), "y", units, end="own",
        parameters={"width": number.width, "depth": 1 << address.width, "operation": operation, "forward": forward},
    )  # fmt: skip
    complete = d.join("both", c.flag(age), d.delay(last, age), "complete")
    y = d.select(y, complete)
    pooled = Stream(d.select(complete, complete), stream.groups, stream.rows // kernel[0], across)
    return y, pooled


def _all(c: ChainDesign, flags: list[Net]) -> Net:
    """1 where all flags are; without any, always."""
    if not flags:
        return c.d.literal("unconditional", 1, 1, lambda: ((1,),), _FLAG)
    found = flags[0]
    for flag in flags[1:]:
        found = c.d.join("both", found, flag, "flag")
    return found


def _address(c: ChainDesign, group: Net | None, window: Net | None) -> Net:
    """Address of a running result: the column of windows above the channel group."""
    if group is not None and window is not None:
        return c.d.join("join", group, window, "place", places=group.width)
    found = group or window
    return found or c.d.literal("place", 1, 1, lambda: ((0,),), Net("place", 1, signed=False))


def _count(c: ChainDesign, enable: Net, modulus: int, name: str) -> tuple[Net | None, Net]:
    """A counter and when it starts again; nothing to count is no counter."""
    if modulus == 1:
        return None, enable
    bits = (modulus - 1).bit_length()
    count, wrap = c.d.several(
        "counter", {"reset": c.d.reset, "enable": enable},
        [("count", Net(name, bits, signed=False)), ("wrap", Net(f"{name}_end", 1, signed=False))],
        [Unit("counter", 1, max(2, bits))], modulus=modulus,
    )  # fmt: skip
    return count, wrap
