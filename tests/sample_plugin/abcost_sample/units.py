"""Distance from 0, cut to the largest value."""

import torch

from abcost.rtl.sweep import by_width
from abcost.rtl.unit import Port, Unit, Values, check_width, template


# what `abcost calibrate TARGET --unit sample_absolute` measures: all usual widths, a law linear in the width
@template("sample_absolute", "width bits", sweep=by_width())
def sample_absolute(*, width: int) -> Unit:
    """y = min(|x|, 2**(width - 1) - 1), signed: the least value has no opposite."""
    check_width(width)
    most = (1 << (width - 1)) - 1

    def model(values: Values) -> dict[str, torch.Tensor]:
        return {"y": values["x"].abs().clamp(max=most)}

    body = f"""    wire signed [{width - 1}:0] opposite = -x;
    assign y = !x[{width - 1}] ? x : opposite[{width - 1}] ? {width}'sd{most} : opposite;"""
    return Unit(
        name=f"sample_absolute_w{width}",
        inputs=(Port("x", width),),
        outputs=(Port("y", width),),
        body=body,
        model=model,
    )
