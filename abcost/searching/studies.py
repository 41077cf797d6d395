"""The two studies of a search: exploration and finals; their settings are stored with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from abcost.errors import SearchError
from abcost.searching.settings import Settings
from abcost.searching.storage import database_errors, open_storage, without_password

if TYPE_CHECKING:
    import optuna

    from abcost.searching.heartbeat_storage import HeartbeatStorage

_SETTINGS, _FOLDER = "settings", "folder"
_FINALS = " finals"  # ends the name of the second study


@dataclass(frozen=True, slots=True)
class Studies:
    """Opened, in one process."""

    url: str
    explore: optuna.Study
    finals: optuna.Study
    storage: HeartbeatStorage  # of both

    @property
    def settings(self) -> Settings:
        """Settings of the search."""
        name = self.explore.study_name
        return Settings.from_dict(self.explore.user_attrs[_SETTINGS], f"study {name!r}")

    @property
    def folder(self) -> str:
        """The run folder, as the one who started the search named it."""
        return str(self.explore.user_attrs[_FOLDER])


def begin(url: str, name: str, settings: Settings, objectives: int, folder: str) -> Studies:
    """Open the studies, or make them. Raises SearchError if the name is that of another search."""
    import optuna  # noqa: PLC0415

    storage = open_storage(url)
    with database_errors(url):
        explore = optuna.create_study(
            storage=storage, study_name=name, directions=["minimize"] * (objectives + 1), load_if_exists=True
        )
        if _SETTINGS in explore.user_attrs:
            held = Settings.from_dict(explore.user_attrs[_SETTINGS], f"study {name!r}")
            settings.check_same(held, f"study {name!r} at {without_password(url)}")
        elif explore.get_trials(deepcopy=False):
            raise SearchError(
                f"study {name!r} at {without_password(url)} is not of abcost search: name another --study"
            )
        explore.set_user_attr(_SETTINGS, settings.to_dict())
        explore.set_user_attr(_FOLDER, folder)
        finals = optuna.create_study(storage=storage, study_name=name + _FINALS, load_if_exists=True)
        return Studies(url, explore, finals, storage)


def join(url: str, name: str) -> Studies:
    """Open studies that somebody else has made. Raises SearchError if there are none of that name."""
    import optuna  # noqa: PLC0415

    storage = open_storage(url)
    with database_errors(url):
        known = [n for n in optuna.get_all_study_names(storage) if not n.endswith(_FINALS)]
        if name not in known:
            there = ", ".join(map(repr, known)) or "none"
            raise SearchError(
                f"no study {name!r} at {without_password(url)} (there: {there}); start it without --join"
            )
        explore, finals = (optuna.load_study(study_name=n, storage=storage) for n in (name, name + _FINALS))
        if _SETTINGS not in explore.user_attrs:
            raise SearchError(
                f"study {name!r} at {without_password(url)} is not of abcost search: name another --study"
            )
        return Studies(url, explore, finals, storage)
