"""Where studies are kept: Optuna's own databases, so that others can join, and any of its tools can read them."""

from __future__ import annotations

import contextlib
import sqlite3
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abcost.errors import OutputError, SearchError, UsageError
from abcost.extras import require

if TYPE_CHECKING:
    import optuna
    import sqlalchemy

    from abcost.searching.heartbeat_storage import HeartbeatStorage

HEARTBEAT_S = 5
GRACE_S = 20  # a worker that has not been heard of for so long is dead
_CONNECT_S = 10
_BUSY_S = 60  # how long a writer waits for another one
_DRIVERS = {
    "postgresql": ("psycopg", "postgres"),
    "mysql": ("pymysql", "mysql"),
}  # of SQLAlchemy: module, extra


def check_extra() -> None:
    """Raises MissingExtra if what searching needs is not installed."""
    require("optuna", "search", "searching")
    require("sqlalchemy", "search", "searching")


def sqlite_url(folder: Path) -> str:
    """URL of the study in a run folder."""
    return f"sqlite:///{(folder / 'study.db').resolve()}"


def open_storage(url: str) -> HeartbeatStorage:
    """The database at `url`, with heartbeats. Raises SearchError if it cannot be reached, UsageError, MissingExtra."""
    check_extra()
    import optuna  # noqa: PLC0415 - takes a second
    import sqlalchemy  # noqa: PLC0415

    from abcost.searching.heartbeat_storage import HeartbeatStorage  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kind = url.split("://", maxsplit=1)[0].split("+", maxsplit=1)[0]
    if "://" not in url or kind not in {"sqlite", *_DRIVERS}:
        raise UsageError(
            f"--storage {url!r} is not of the form sqlite:///FILE, postgresql://USER@HOST/NAME or mysql://…"
        )
    arguments: dict[str, Any] = {"connect_args": {"connect_timeout": _CONNECT_S}}
    if kind in _DRIVERS:
        module, extra = _DRIVERS[kind]
        require(module, extra, f"--storage {kind}://")
        arguments["pool_pre_ping"] = True
        url = url.replace(f"{kind}://", f"{kind}+{module}://", 1)
    else:
        arguments = {"connect_args": {"timeout": _BUSY_S}}
        _listen()
    with database_errors(url), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # heartbeats, tested in abcost
        retry = optuna.storages.RetryHeartbeatStaleTrialCallback()
        try:
            storage = HeartbeatStorage(
                url,
                engine_kwargs=arguments,
                heartbeat_interval=HEARTBEAT_S,
                grace_period=GRACE_S,
                heartbeat_stale_trial_callback=retry,
            )
        except (ValueError, ImportError, sqlalchemy.exc.ArgumentError) as error:
            raise SearchError(f"cannot open --storage {without_password(url)}: {_reason(error)}") from error
    if kind == "sqlite":
        sqlalchemy.event.listen(storage.engine, "begin", _lock)
    weakref.finalize(storage, storage.engine.dispose)  # whoever forgets the storage closes its connections
    return storage


def release_stale(study: optuna.Study) -> None:
    """Hand the trials of dead workers on: they wait to be run again."""
    import optuna  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)


def ask(study: optuna.Study, storage: HeartbeatStorage) -> optuna.Trial:
    """The next trial, whose heartbeat is the caller's business (see `heartbeats.Heartbeats`).

    A waiting one, if there was one when trials were read last and nobody else has taken it since; else a new one.
    """
    with warnings.catch_warnings(), storage.as_read():
        warnings.simplefilter("ignore", UserWarning)  # Optuna beats in `Study.optimize` alone
        return study.ask()


@contextlib.contextmanager
def database_errors(url: str) -> Iterator[None]:
    """What goes wrong in the database, as one line. Raises OutputError for a full disk, else SearchError."""
    import optuna  # noqa: PLC0415
    import sqlalchemy.exc  # noqa: PLC0415

    try:
        yield
    except (SearchError, OutputError):
        raise
    except Exception as error:
        # where writing the end of a trial fails, Optuna raises an AssertionError over what went wrong
        found = _underlying(error, (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError))
        if found is None:
            raise
        reason = _reason(found)
        if "disk is full" in reason or "No space left" in reason or "I/O error" in reason:
            raise OutputError(
                f"cannot write {without_password(url)}: {reason}; all that is finished is kept: make room, and run the "
                "same command again"
            ) from error
        raise SearchError(f"cannot reach --storage {without_password(url)}: {reason}") from error


def _underlying(error: BaseException, kinds: tuple[type[Exception], ...]) -> BaseException | None:
    """The error itself, or what it was raised over, if it is of these kinds."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, kinds):
        inner = inner.__cause__ or inner.__context__
    return inner


def without_password(url: str) -> str:
    """A URL for messages: without a password."""
    import sqlalchemy  # noqa: PLC0415

    try:
        return sqlalchemy.make_url(url).render_as_string(hide_password=True)
    except (ValueError, sqlalchemy.exc.ArgumentError):
        return url


def _listen() -> None:
    """Make every SQLite connection of this process write ahead: seven times faster, and readers do not wait."""
    import sqlalchemy  # noqa: PLC0415

    if not sqlalchemy.event.contains(sqlalchemy.engine.Engine, "connect", _write_ahead):
        sqlalchemy.event.listen(sqlalchemy.engine.Engine, "connect", _write_ahead)


def _write_ahead(connection: object, _record: object) -> None:
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")


def _lock(connection: sqlalchemy.Connection) -> None:
    """Begin with the write lock; what only reads takes none: it reads one state of all, and waits for nobody.

    Optuna takes a waiting trial by SELECT … FOR UPDATE, which SQLite does not know: unless the lock comes before the
    reading, two workers can take the same trial.
    """
    from abcost.searching.heartbeat_storage import READING  # noqa: PLC0415 - imports Optuna

    connection.exec_driver_sql("BEGIN DEFERRED" if READING.get() else "BEGIN IMMEDIATE")


def _reason(error: BaseException) -> str:
    """The innermost message, one line."""
    inner: BaseException = error
    while inner.__cause__ is not None or getattr(inner, "orig", None) is not None:
        inner = getattr(inner, "orig", None) or inner.__cause__  # type: ignore[assignment]
    return " ".join(str(inner).split())[:300] or type(inner).__name__
