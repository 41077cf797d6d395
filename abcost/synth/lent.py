"""Large texts that many jobs read: written once, and linked into the folder of each.

So nothing is copied, and a file keeps its age and its name, which is the hash of what it says: by both Yosys finds what
it has made of a Liberty file before.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock


class LentTexts:
    """Texts that stay on the disk as long as this object is there."""

    def __init__(self, make: Callable[[], Path], texts: Sequence[str]) -> None:
        """make: a new folder for them, in the file system that the jobs' folders are in."""
        self._make = make
        self._names = [f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.lib" for text in texts]
        self._texts = dict(zip(self._names, texts, strict=True))  # equal ones are one file
        self._folder: Path | None = None
        self._lock = Lock()

    def into(self, folder: Path) -> list[Path]:
        """A file for each text, in `folder` by the same names too. Raises OSError."""
        lent = self._written()
        for name in self._texts:
            try:
                os.link(lent / name, folder / name)
            except OSError:  # a file system without links
                shutil.copy2(lent / name, folder)
        return [lent / name for name in self._names]

    def _written(self) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = self._make()
                weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
                for name, text in self._texts.items():
                    (self._folder / name).write_text(text)
            os.utime(self._folder)  # not yet a leftover
            return self._folder
