"""What defines a study: whoever continues or joins it must mean the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from abcost.errors import SearchError, UsageError
from abcost.registry import unknown_name
from abcost.searching.objectives import checked
from abcost.training.config import Config

SCHEMA = 1
WIDE_SCHEMA = 2
"""Of searches with choices or objectives that an abcost of the first schema would not see, and pass over."""
SAMPLERS = ("nsga2", "tpe", "random")
_WIDE = ("formats", "sizes", "devices", "frame_rates")  # choices of the second schema
_MAY_CHANGE = ("trials",)  # a study may be continued with more


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Plain values throughout, for they are stored with the study. Raises UsageError or UnknownName.

    recipe: `abcost.training.config.Config` of a retraining, without slopes and epochs. space: `Space.to_dict()`.
    epochs: of each rung of retraining, none for calibration loss alone. keep: share of the candidates that a rung
    passes on. finalists: most points of the front that are trained with `seeds` seeds.
    start: SHA-256 of the checkpoint that all candidates start from. group: how many retrainings stand side by side.
    """

    model: str
    recipe: Mapping[str, Any]
    space: Mapping[str, Any]
    target: str  # a bundled name, or the path of the user's table
    table: str  # digest of the table
    width: int
    fraction_bits: int
    device: str | None
    clock_mhz: float
    budget: str
    epochs: tuple[int, ...]
    keep: float
    finalists: int
    seeds: int
    sampler: str
    seed: int
    trials: int
    images: int  # of the validation split, for the calibration loss
    start: str = ""
    group: int = 1  # retrainings side by side, at most
    objectives: tuple[str, ...] = ()  # none: what the budget limits, or the default, and the loss

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise unknown_name("--sampler", self.sampler, SAMPLERS)
        for name, least in (
            ("trials", 1),
            ("finalists", 1),
            ("seeds", 1),
            ("images", 1),
            ("group", 1),
            ("seed", 0),
        ):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise UsageError(f"--{name} must be a whole number of at least {least}, got {value!r}")
        if not 0 < self.keep <= 1:
            raise UsageError(f"--keep must be above 0 and at most 1, got {self.keep:g}")
        if any(epochs < 1 for epochs in self.epochs) or list(self.epochs) != sorted(set(self.epochs)):
            raise UsageError(
                f"--epochs {','.join(map(str, self.epochs))} must rise from at least 1, as in 4,12; "
                "0 alone is for no retraining"
            )
        if self.objectives:
            checked(self.objectives)

    def to_dict(self) -> dict[str, Any]:
        """Plain values with the schema; `from_dict` reads them."""
        lists = {"epochs": list(self.epochs), "objectives": list(self.objectives)}
        wide = self.objectives or any(self.space.get(name) for name in _WIDE)
        return {"schema": WIDE_SCHEMA if wide else SCHEMA, **asdict(self), **lists}

    @staticmethod
    def from_dict(plain: Mapping[str, Any], where: str) -> Settings:
        """The settings that gave these values. Raises SearchError for those of another schema, or damaged ones."""
        if plain.get("schema") not in (SCHEMA, WIDE_SCHEMA):
            raise SearchError(
                f"{where} has schema {plain.get('schema')!r}, this abcost reads schemas {SCHEMA} and {WIDE_SCHEMA}: "
                "name another study"
            )
        try:
            held = {"group": 1, "objectives": (), **plain}  # studies of an older abcost have none
            values = {field.name: held[field.name] for field in fields(Settings)}
            recipe = Config.from_dict(
                plain["recipe"]
            ).to_dict()  # with values that an older abcost did not have
            lists = {name: tuple(held[name]) for name in ("epochs", "objectives")}
            return Settings(**{**values, **lists, "recipe": recipe})
        except (LookupError, TypeError, ValueError) as error:
            raise SearchError(f"{where} is damaged ({type(error).__name__}: {error})") from error

    def check_same(self, held: Settings, where: str) -> None:
        """Raises SearchError, naming the first difference, if `held`, the study's, is another search than this."""
        mine, other = self.to_dict(), held.to_dict()
        for name in (
            name for name in mine if name not in (*_MAY_CHANGE, "schema")
        ):  # which follows from the others
            for inner, theirs, value in _differences(other[name], mine[name]):
                raise SearchError(
                    f"{where} is a search with {' '.join([name, *inner])} {_brief(theirs)}, not {_brief(value)}: "
                    "repeat its options, or name another --study or --run-dir"
                )


def _differences(held: Any, mine: Any) -> list[tuple[list[str], Any, Any]]:
    """Differences of two values: (path of names inside, theirs, mine)."""
    if isinstance(held, Mapping) and isinstance(mine, Mapping):
        names = dict.fromkeys([*mine, *held])
        return [([n], held.get(n), mine.get(n)) for n in names if held.get(n) != mine.get(n)]
    return [] if held == mine else [([], held, mine)]


def _brief(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
