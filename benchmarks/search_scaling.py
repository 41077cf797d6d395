"""Trials per second with one worker and with two, in the same run: random candidates, each retrained for some epochs.

All searches judge the same number of candidates from the same start, with one worker, two, one and two again, so that a
machine that becomes slower does not count; times are means. A time is that between the start of the first trial and the
end of the last, so that starting processes is not counted. Needs as many idle cores as workers. A worker
retrains up to eight candidates side by side, so that two share 96 evenly.

    python benchmarks/search_scaling.py [--executor processes|ray] [--storage URL] [--trials 96] [--epochs 4] [--report]

--storage takes a database as `abcost search` does, such as postgresql://user@host/db; default: SQLite in the run
folder. Of PostgreSQL, transactions per trial are counted too. --report adds the measurement to
reports/search_scaling.csv, and writes reports/search_scaling.md from all.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from abcost.searching.explore import judged
from abcost.searching.storage import sqlite_url
from abcost.searching.studies import join
from fixed_work import machine

NETWORK = ["reactnet_18", "--data", "digits", "--base-width", "16", "--blocks", "2,2,2"]
REPORT = Path(__file__).parents[1] / "reports" / "search_scaling.csv"
COLUMNS = (
    "executor", "storage", "trials", "epochs", "one_worker_s", "two_workers_s", "ratio", "transactions_per_trial",
    "machine",
)  # fmt: skip
WANTED = 1.8
TURNS = (1, 2, 1, 2)
"""Workers of one search after the other."""


def abcost(*arguments: str) -> None:
    """Run a command of abcost; raises CalledProcessError if it fails."""
    command = [sys.executable, "-c", "from abcost.cli import main; main()", *arguments]
    subprocess.run(command, check=True)  # noqa: S603 - our own command


def explored_s(place: Path, init: Path, workers: int, arguments: argparse.Namespace) -> float:
    """Elapsed seconds between the start of the first trial and the end of the last."""
    name = f"scaling-{time.time_ns()}"
    url = arguments.storage or sqlite_url(place)
    once = ["--epochs", str(arguments.epochs), "--keep", "1", "--seeds", "1", "--finalists", "1"]
    abcost(
        "search", *NETWORK, "--init", str(init), "--run-dir", str(place), "--trials", str(arguments.trials), *once,
        "--sampler", "random", "--workers", str(workers), "--executor", arguments.executor, "--study", name,
        *(["--storage", arguments.storage] if arguments.storage else []),
    )  # fmt: skip
    trials = judged(join(url, name).explore.get_trials(deepcopy=False))
    assert len(trials) == arguments.trials, f"{len(trials)} of {arguments.trials} trials were judged"
    first = min(t.datetime_start for t in trials if t.datetime_start)
    last = max(t.datetime_complete for t in trials if t.datetime_complete)
    return (last - first).total_seconds()


def transactions(url: str | None) -> int | None:
    """Of this database so far; None where it does not count them."""
    if url is None or not url.startswith("postgresql"):
        return None
    import psycopg  # noqa: PLC0415 - an extra

    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
        counted = (
            "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()"
        )
        found = connection.execute(counted).fetchone()
    return None if found is None else int(found[0])


def rendered(rows: Sequence[Mapping[str, str]]) -> str:
    """The report."""
    text = (__doc__ or "").partition("    python benchmarks")[0].strip()
    lines = [
        "# One worker and two",
        "",
        "Written by `python benchmarks/search_scaling.py --report`, once for each row.",
        "",
        text,
        "",
        f"`abcost search {' '.join(NETWORK)}`. Wanted: {WANTED} times.",
        "",
        "| workers are | study in | trials, epochs of each | one worker, s | two, s | times as fast | transactions per "
        "trial | machine |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['executor']} | {row['storage']} | {row['trials']}, {row['epochs']} | {row['one_worker_s']} | "
        f"{row['two_workers_s']} | **{row['ratio']}** | "
        f"{row['transactions_per_trial'] or 'not counted'} | {row['machine']} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def keep(row: Mapping[str, str]) -> None:
    """Add a measurement to those of before, and write the report."""
    held = list(csv.DictReader(REPORT.open(encoding="utf-8"))) if REPORT.exists() else []
    rows = [*held, row]
    with REPORT.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    REPORT.with_suffix(".md").write_text(rendered(rows), encoding="utf-8")


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--executor", default="processes")
    parser.add_argument("--storage")
    parser.add_argument("--trials", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        abcost("train", *NETWORK, "--epochs", "4", "--run-dir", str(folder / "start"))
        taken: dict[int, list[float]] = {1: [], 2: []}
        before = transactions(arguments.storage)
        for turn, workers in enumerate(TURNS):
            place = folder / f"{turn}-{workers}"
            taken[workers].append(explored_s(place, folder / "start" / "best.pt", workers, arguments))
            print(f"{workers} worker(s): {arguments.trials} trials in {taken[workers][-1]:.1f} s", flush=True)
    after = transactions(arguments.storage)
    each = None if before is None or after is None else (after - before) / (len(TURNS) * arguments.trials)
    seconds = {workers: sum(found) / len(found) for workers, found in taken.items()}
    ratio = seconds[1] / seconds[2]
    print(f"two workers are {ratio:.2f} times as fast as one ({arguments.executor}; wanted {WANTED})")
    if arguments.report:
        values = (
            arguments.executor, (arguments.storage or "sqlite").partition(":")[0], arguments.trials, arguments.epochs,
            f"{seconds[1]:.1f}", f"{seconds[2]:.1f}", f"{ratio:.2f}",
            "" if each is None else f"{each:.0f}", machine().replace(", one thread", ""),
        )  # fmt: skip
        keep(dict(zip(COLUMNS, map(str, values), strict=True)))


if __name__ == "__main__":
    main()
