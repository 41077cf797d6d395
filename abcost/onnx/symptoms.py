"""What looks wrong in a file: mistakes that exporters are known to make."""

from __future__ import annotations

from abcost.onnx.program import OnnxProgram


def symptoms(program: OnnxProgram) -> tuple[str, ...]:
    """Warnings for the report.

    PRelu slopes that are exactly 0: torch 2.13's default exporter writes them for `torch.pow(torch.tensor(2), n)`,
    with whole-number bases, where n < 0.
    """
    slopes = {
        step.inputs[1]: step.name for step in program.steps if step.operator == "PRelu" and not step.live[1]
    }
    zero = {}
    for name, value in program.constants(slopes).items():
        zeros = int((value == 0).sum())
        if zeros:
            zero[slopes[name]] = f"{zeros} of {value.numel()}"
    if not zero:
        return ()
    shown = "; ".join(f"{node}: {share}" for node, share in sorted(zero.items())[:3])
    more = f" and {len(zero) - 3} more" if len(zero) > 3 else ""
    return (
        f"{len(zero)} PRelu {'node has' if len(zero) == 1 else 'nodes have'} "
        f"slopes of exactly 0 ({shown}{more}): torch's exporter writes 0 for "
        "torch.pow(torch.tensor(2), n) with n < 0; if the slopes were powers of two, export torch.exp2(n) instead",
    )
