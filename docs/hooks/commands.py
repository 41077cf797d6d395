"""Puts the help of every command, as Typer writes it down, where a page says `<!-- commands -->`."""

import re
import subprocess
import sys

PLACE = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: object) -> str:
    """Called by MkDocs for each page. Raises CalledProcessError if the commands cannot be described."""
    if PLACE not in markdown:
        return markdown
    command = [sys.executable, "-m", "typer", "abcost.cli", "utils", "docs", "--name", "abcost"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own command
    return markdown.replace(PLACE, _in_full(done.stdout.replace("# `abcost`\n", "", 1)))


def _in_full(text: str) -> str:
    """Typer cuts the sentences in its lists of commands; the sections of the commands have them whole."""
    said = dict(re.findall(r"^#+ `abcost (?:targets )?(\w+)`\n\n(.+)$", text, re.MULTILINE))
    return re.sub(r"^\* `(\w+)`: .*\.\.\.$", lambda m: f"* `{m[1]}`: {said[m[1]]}", text, flags=re.MULTILINE)
