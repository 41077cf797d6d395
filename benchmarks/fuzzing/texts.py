"""What stands on the command line, and formulas."""

from __future__ import annotations

from hypothesis import strategies as st

from abcost.cli.options import blocks_of
from abcost.comparing.condition import parse_condition
from abcost.core.inputs import InputSpec
from abcost.core.unit_size import SIZES
from abcost.cost.formula import Formula
from abcost.models.subject import parse_arguments
from abcost.searching.budget import QUANTITIES, parse_budget
from fuzzing.damage import damaged_text
from fuzzing.target import Target

_NUMBERS = st.sampled_from(["0", "1", "2.5", "1e308", "-3", "0.0", "9" * 30])
_FORMULAS = st.recursive(
    _NUMBERS | st.sampled_from([*SIZES, "speed", "__class__"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "**", "%", "<"]), inner).map(" ".join),
        st.tuples(st.sampled_from(["ceil", "log2", "min", "abs", "-", ""]), inner).map(lambda p: f"{p[0]}({p[1]})"),
        st.tuples(inner, inner).map(lambda p: f"max({p[0]}, {p[1]})"),
    ),
    max_leaves=8,
)  # fmt: skip


def _formula(text: str) -> object:
    return Formula.parse(text).at(dict.fromkeys(SIZES, 3))


_TERMS = st.tuples(
    st.sampled_from([*QUANTITIES, "lutz", "", "luts"]),
    st.sampled_from(["=", ">=", "<=", "==", ""]),
    st.sampled_from(["9000", "0", "-1", "1e9", "nan", "inf", "1_000", "x", "", "9" * 400]),
).map("".join)
_BUDGETS = st.lists(_TERMS, min_size=1, max_size=4).map(",".join) | st.text(max_size=20)
_CONDITIONS = st.tuples(
    st.sampled_from(["luts", "energy_pj", "a.b", "", "é"]),
    st.sampled_from([">", "<", ">=", "=", "!", " > "]),
    st.sampled_from(["", "+", "-", "+-"]),
    st.sampled_from(["5", "0", "1e400", "nan", "9" * 400, ".", ""]),
    st.sampled_from(["", "%", " %", "%%"]),
).map("".join) | damaged_text("luts>+5%")
_OPTIONS = st.tuples(
    st.sampled_from(["input", "blocks", "argument"]),
    damaged_text("1x3x32x32:int64")
    | damaged_text("2,2,2")
    | damaged_text("width=[1, 2]")
    | st.text(max_size=12),
)


def _option(given: tuple[str, str]) -> object:
    kind, text = given
    match kind:
        case "input":
            return InputSpec.parse(text)
        case "blocks":
            return blocks_of(text)
        case _:
            return parse_arguments([text])


def targets() -> list[Target]:
    """Formulas, budgets, conditions, options."""
    formulas = _FORMULAS | damaged_text("ceil(1.5 * width) + bits // 2")
    return [
        Target("formula", "formula of a cost table", formulas, _formula, 250_000),
        Target("budget", "abcost search --budget", _BUDGETS, parse_budget, 200_000),
        Target("condition", "abcost compare --fail-if", _CONDITIONS, parse_condition, 200_000),
        Target("options", "--input-size, --blocks, --model-arg", _OPTIONS, _option, 150_000),
    ]
