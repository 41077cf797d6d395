"""Pages, notebooks and scripts with the smallest counts that they run with.

Most of what they take is trainings: of as many trials, epochs and seeds as their readers want to see. By default they
run with one of each, and as they are written under `make test-slow`. Of epochs and workers there is one too where a
text says nothing of them (FEW, see tests/warm/server.py).
"""

from __future__ import annotations

import re

import pytest

COUNT = re.compile(r"""\b(trials|epochs|seeds|finalists)(\\?"?(?: = |=|: | )\(?)[1-9]\d*(?=[,)\s}])""")
"""`--trials 4`, `trials=4`, `"epochs": (2,)` and, in TOML, `epochs = 2`."""


def shortened(text):
    """One trial, epoch, seed and finalist."""
    return COUNT.sub(r"\1\g<2>1", text)


def environment_of(form):
    """Of processes that are forked for a text in that form."""
    return {"FEW": "1"} if form is shortened else {}


def forms(files, name, *, read):
    """A parameter (file, form) per file, and one more, slow, of those that are not the same when shortened."""
    found = []
    for file in files:
        found.append(pytest.param(file, shortened, id=name(file)))
        if shortened(text := read(file)) != text:
            found.append(pytest.param(file, str, id=f"{name(file)} as written", marks=pytest.mark.slow))
    return found
