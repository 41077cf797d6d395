"""The command line: one file per command; each parses, calls, renders."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Annotated, Any

import typer

from abcost import __version__
from abcost.cli.analyze import analyze
from abcost.cli.build import build
from abcost.cli.calibrate import calibrate
from abcost.cli.compare import compare
from abcost.cli.doctor import doctor
from abcost.cli.evaluate import evaluate
from abcost.cli.export import export
from abcost.cli.graph import graph
from abcost.cli.lean import end_at_once, look_for_cycles_seldom
from abcost.cli.models import models
from abcost.cli.names import know_names
from abcost.cli.reproduce import reproduce
from abcost.cli.rtl import rtl
from abcost.cli.search import search
from abcost.cli.sweep import sweep
from abcost.cli.targets import app as targets
from abcost.cli.train import train
from abcost.cli.verify import verify
from abcost.errors import AbcostError, one_line
from abcost.plugins import PluginWarning

_OF_STREAMS = {errno.ENOSPC, errno.EBADF, errno.EIO, errno.EDQUOT, errno.EFBIG}
_OF_MEMORY = (
    "failed to map segment",
    "Cannot allocate memory",
    "can't start new thread",
    "not enough memory",
)
LEAST_MEMORY = 1 << 30  # bytes of address space in which torch can be loaded
LONGEST_ERROR = 2000  # characters; some errors repeat what was given, and anything may be given

app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False)
app.command()(analyze)
app.command()(compare)
app.command()(sweep)
app.command()(models)
app.command()(graph)
app.command()(verify)
app.command()(reproduce)
app.command()(calibrate)
app.command()(rtl)
app.command()(build)
app.command()(train)
app.command()(evaluate)
app.command()(search)
app.command()(export)
app.command()(doctor)
app.add_typer(targets, name="targets")
know_names(app)

# Typer brings its own copy of click under a private name; these are its UsageError and ClickException
_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
_CLI_ERROR: type[Exception] = typer.BadParameter.__mro__[2]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"abcost {__version__}")
        raise typer.Exit


@app.callback()
def abcost(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and stop.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """What a binary neural network costs in hardware: multiplications, adds, bit operations, shifts, energy, area."""


def run(arguments: Sequence[str]) -> int:
    """Exit status of a command line: 0 done, 1 the answer is no, 2 bad input, 130 interrupted.

    Every error is one line on stderr, `error: what, where, what to do`; `--debug` adds the traceback.
    """
    debug = "--debug" in arguments
    try:
        with _plain_warnings():
            status = _commands().main(args=list(arguments), standalone_mode=False, prog_name="abcost")
    except AbcostError as error:
        return _fail(str(error), debug=debug)
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except SystemExit as stop:
        # the reader of a pipe has seen enough; or Typer has answered a shell
        if isinstance(stop.__context__, BrokenPipeError) or _completing(arguments):
            return 0
        return _fail(f"the model's code called sys.exit({_shown(stop.code)})", debug=debug)
    except _CLI_ERROR as error:
        return _fail(f"{_text(error)}{_where_help_is(error)}", debug=debug)
    except BaseException as error:  # noqa: BLE001 - the last line of defence: a bug is one line too
        return 0 if isinstance(error, BrokenPipeError) else _fail(_reason(error), debug=debug)
    if status == 130:  # Typer turns Ctrl-C into this status
        _say("interrupted")
    return status if isinstance(status, int) else 0


@cache
def _commands() -> Any:
    """The commands as Typer runs them: made of signatures and annotations, once, whatever calls `run` again."""
    return typer.main.get_command(app)


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """A plug-in that is left out is one line, without the place in abcost that noticed it."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, PluginWarning):
            _say(f"warning: {' '.join(str(message).split())}")
        else:
            usual(message, category, *place, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual


def _completing(arguments: Sequence[str]) -> bool:
    """Whether a shell asks how to complete a command, or the user for what makes it do so."""
    return "_ABCOST_COMPLETE" in os.environ or bool(
        {"--show-completion", "--install-completion"} & set(arguments)
    )


def main() -> None:
    """Entry point of the `abcost` command."""
    _open_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without box characters shows question marks
    look_for_cycles_seldom()
    status = _fail(short, debug=False) if (short := _short_of_memory()) else run(sys.argv[1:])
    end_at_once()
    sys.exit(_flushed(status, debug="--debug" in sys.argv))


def _short_of_memory() -> str:
    """What to say where the system lets a process have too little memory; "" where it does not.

    Libraries that find none while they are loaded end the process themselves, with statuses and lines of their own.
    """
    try:
        import resource
    except ImportError:  # not on Windows
        return ""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY or limit >= LEAST_MEMORY:
        return ""
    return (
        f"not enough memory: the limit is {limit >> 20} MiB (ulimit -v), and loading torch takes "
        f"{LEAST_MEMORY >> 20}; raise it"
    )


def _open_streams() -> None:
    """Put something in the place of streams that the caller closed.

    Python has None there, and a file opened later would get the number of the stream: what a library prints
    would land in it. Writing to a closed stdout fails as it should; what goes to a closed stderr is lost.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_RDWR)
            if (
                descriptor != number
            ):  # the lowest free one is the closed stream's, as streams are looked at in order
                os.dup2(descriptor, number)
            mode = "r" if number == 0 else "w"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def _flushed(status: int, *, debug: bool) -> int:
    """The status, once stdout is written: 2 if it can't be; the interpreter would say so in lines of its own."""
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the last flush succeeds
        if not isinstance(error, BrokenPipeError) and status != 2:
            return _fail(_reason(error), debug=debug)
    try:
        sys.stderr.flush()
    except (
        OSError
    ):  # what is left in its buffer, and what libraries say while they end, would change the status
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    return status


def _where_help_is(error: Exception) -> str:
    """The command whose help has the answer; of no use to errors that are not about usage."""
    context = getattr(error, "ctx", None)
    return (
        f"; see {'abcost' if context is None else context.command_path} --help"
        if isinstance(error, _USAGE_ERROR)
        else ""
    )


def _text(error: Exception) -> str:
    """What Typer says, with the option it is about; it says nothing where help was printed instead."""
    formatted: Callable[[], str] = getattr(error, "format_message", error.__str__)
    return formatted().rstrip(".") or "name a command"


def _fail(message: str, *, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    line = " ".join(message.split())
    if len(line) > LONGEST_ERROR:  # an endless argument stands in the middle: what and why stand at the ends
        half = LONGEST_ERROR // 2
        line = f"{line[:half]}… ({len(line)} characters) …{line[-half:]}"
    _say(f"error: {line}")
    return 2


def _say(line: str) -> None:
    """A line on stderr, if that can be written; if not, nothing more goes there, for Python ends with 120 then."""
    try:
        print(line, file=sys.stderr, flush=True)  # noqa: T201
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _reason(error: BaseException) -> str:
    """What to say of an error that nobody raised on purpose."""
    if isinstance(error, OSError) and error.filename is None and error.errno in _OF_STREAMS:
        return f"cannot write the result: {error.strerror}; redirect it to a place that can be written"
    if isinstance(error, MemoryError) or any(sign in one_line(error, 5000) for sign in _OF_MEMORY):
        return f"not enough memory ({type(error).__name__}: {one_line(error)}); give more, or take a smaller input"
    if isinstance(error, SystemError) and "error return without exception set" in str(error):
        return "not enough memory, or a library that is broken (SystemError while it was loaded); give more"
    if not isinstance(error, Exception):  # such as GeneratorExit
        return f"the model's code raised {type(error).__name__}: {one_line(error)}"
    return (
        f"internal error, please report it: {type(error).__name__}: {one_line(error)} (--debug shows where)"
    )


def _shown(code: object) -> str:
    """What was given to sys.exit, in short."""
    try:
        return " ".join(repr(code).split())[:100]
    except (Exception, SystemExit, GeneratorExit):  # noqa: BLE001 - its __repr__ may raise anything
        return f"a {type(code).__name__}"
