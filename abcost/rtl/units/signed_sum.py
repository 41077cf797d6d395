"""Sign-controlled adder tree: the dot product of binary weights with real inputs."""

from __future__ import annotations

import torch

from abcost.rtl.unit import Port, Unit, Values, check_width, templates


@templates.add("signed_sum")
def signed_sum(*, bits: int, width: int) -> Unit:
    """y = sum over i of (w_i ? +x_i : -x_i) for `bits` signed inputs of `width` bits; no overflow.

    Every node adds or subtracts by the product of its two signs and hands the left sign up, so that a pair
    costs one adder-subtractor: a + (b ^ s) + s, whose carry in is one more bit below. The root applies the
    last sign.
    """
    check_width(width, most=32)
    out = width + bits.bit_length()
    lines = [
        f"    wire signed [{width - 1}:0] v0_{i} = x[{(i + 1) * width - 1}:{i * width}];" for i in range(bits)
    ]
    level, live, wide = 0, [(f"v0_{i}", f"w[{i}]" if bits > 1 else "w") for i in range(bits)], width
    while len(live) > 1:
        level, wide, merged = level + 1, wide + 1, []
        for i in range(0, len(live) - 1, 2):
            (a, sign_a), (b, sign_b) = live[i : i + 2]
            name = f"v{level}_{i // 2}"
            sign = f"({sign_a} ^ {sign_b})"
            lines += [
                f"    wire signed [{wide - 1}:0] {name}_a = {a};",
                f"    wire signed [{wide - 1}:0] {name}_b = {b};",
                f"    wire {name}_s = {sign};",
                f"    wire signed [{wide}:0] {name}_c = {{{name}_a, 1'b1}} + "
                f"{{{name}_b ^ {{{wide}{{{name}_s}}}}, {name}_s}};",
                f"    wire signed [{wide - 1}:0] {name} = {name}_c[{wide}:1];",
            ]
            merged.append((name, sign_a))
        if len(live) % 2:
            merged.append(live[-1])
        live = merged
    value, sign = live[0]
    flip = f"~{sign}"
    lines += [
        f"    wire signed [{out - 1}:0] root = {value};",
        f"    wire signed [{out}:0] turned = {{root ^ {{{out}{{{flip}}}}}, 1'b1}} + {{{out}'d0, {flip}}};",
        f"    assign y = turned[{out}:1];",
    ]

    def model(v: Values) -> dict[str, torch.Tensor]:
        signs = 2 * v["w"].reshape(len(v["w"]), bits) - 1
        return {"y": (v["x"].reshape(len(v["x"]), bits) * signs).sum(-1)}

    return Unit(
        name=f"signed_sum_n{bits}_w{width}",
        inputs=(Port("x", width, bits), Port("w", 1, bits, signed=False)),
        outputs=(Port("y", out),),
        body="\n".join(lines),
        model=model,
    )
