"""Help of every command: whole on 80 columns, and named where a command line is wrong."""

from __future__ import annotations

import re

import pytest
import typer

from abcost.cli import app, run

_BOX = re.compile(r"[│╭╮╰╯─\s]+")


def commands(group=None, path=()):
    """(words, command) of every command, those of groups too."""
    group = typer.main.get_command(app) if group is None else group
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = list(commands())


def named(value):
    return "-".join(value) if isinstance(value, tuple) else ""


def squeezed(text):
    """Without the borders of tables and all that wrapping adds."""
    return _BOX.sub("", text)


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=named)
def test_help_texts_are_whole_on_80_columns(words, command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    found = squeezed(shown)
    for parameter in command.params:
        text = getattr(parameter, "help", None)
        if text and not getattr(parameter, "hidden", False):
            text = text.replace("\\[", "[")  # for rich, to which [x] alone is a style
            assert squeezed(text) in found, f"{parameter.name}: {text}"
        for name in getattr(parameter, "opts", ()):
            if name.startswith("--"):
                assert name in shown


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=named)
def test_a_wrong_option_names_the_help_of_its_command(words, command, capsys):
    assert run([*words, "--no-such-option"]) == 2
    assert capsys.readouterr().err.endswith(f"; see abcost {' '.join(words)} --help\n")


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=named)
def test_results_go_where_either_name_says(words, command):
    """--output and --out are one."""
    for parameter in command.params:
        names = set(getattr(parameter, "opts", ()))
        assert not names & {"--output", "--out"} or {"--output", "--out", "-o"} <= names, words
