"""Liberty text (.lib) as a tree of groups: the syntax alone, without what the names mean.

    kind (name, …) { attribute : value ;  attribute (value, …) ;  kind (name) { … } }

Comments and continued lines are allowed everywhere between words. Attributes keep their text; numbers are read
where they are asked for, so that the delay tables of a large library cost nothing.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from abcost.core.reading import read_bytes
from abcost.errors import ToolError

MOST_BYTES = 200_000_000
"""Of a Liberty file, unpacked. Reading takes some five times as much memory; open kits have up to 25 million."""
_GZIP = b"\x1f\x8b"
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'  # character by character it would take memory for each
_COMMENTS = re.compile(rf"({_STRING})|/\*.*?\*/|//[^\n]*|\\[ \t\r]*(?=\n)", re.DOTALL)
_SPACE = re.compile(r"[\s;]*+")
_SIMPLE = re.compile(
    rf'([A-Za-z_][\w.\[\]]*+)\s*+:\s*+({_STRING}|[^;{{}}\n":]++)\s*?(?=[;\n}}]|$)', re.DOTALL
)
_COMPLEX = re.compile(
    rf'([A-Za-z_]\w*+)\s*+\(([^()"{{}};]*+(?:{_STRING}[^()"{{}};]*+)*+)\)\s*+(\{{)?', re.DOTALL
)
_PART = re.compile(rf'({_STRING})|([^",\s]++)', re.DOTALL)
_NUMBER = re.compile(r"[^\s,\\]+")


@dataclass(slots=True)
class Group:
    """One group and what stands directly in it. `at`: its position in the text; `cell`: that it stands in, or ""."""

    kind: str
    names: tuple[str, ...]
    at: int
    source: Source
    cell: str = ""
    simple: dict[str, tuple[str, int]] = field(default_factory=dict)  # attribute -> value, position
    complex: dict[str, tuple[str, int]] = field(
        default_factory=dict
    )  # attribute -> text in the brackets, position
    groups: list[Group] = field(default_factory=list)

    def of(self, *kinds: str) -> Iterator[Group]:
        """The groups of these kinds directly inside."""
        return (group for group in self.groups if group.kind in kinds)

    @property
    def name(self) -> str:
        """Its only name. Raises ToolError if it has none or several."""
        if len(self.names) != 1:
            raise self.error(f"{self.kind} needs one name, got {len(self.names)}")
        return self.names[0]

    def text(self, attribute: str, default: str | None = None) -> str | None:
        """A simple attribute without its quotes."""
        found = self.simple.get(attribute)
        return default if found is None else _unquoted(found[0])

    def number(self, attribute: str) -> float | None:
        """A simple attribute as a number, None if it is not there. Raises ToolError if it is no number."""
        found = self.simple.get(attribute)
        return None if found is None else self._number(_unquoted(found[0]), attribute, found[1])

    def words(self, attribute: str) -> tuple[str, ...]:
        """The arguments of a complex attribute, without quotes; empty if it is not there."""
        return _parts(self.complex.get(attribute, ("", 0))[0])

    def numbers(self, attribute: str) -> tuple[float, ...]:
        """All numbers of a complex attribute in reading order, however they are quoted. Raises ToolError."""
        text, at = self.complex.get(attribute, ("", 0))
        words = _NUMBER.findall(text.replace('"', " "))
        return tuple(self._number(word, attribute, at) for word in words)

    def amount(self, attribute: str) -> float:
        """The first argument of a complex attribute as a number. Raises ToolError."""
        text, at = self.complex.get(attribute, ("", self.at))
        return self._number((*_parts(text), "")[0], attribute, at)

    def error(self, message: str, at: int | None = None) -> ToolError:
        """A refusal that names the line of this group, or of `at`, and the cell."""
        return self.source.error(message, self.at if at is None else at, self.cell)

    def _number(self, word: str, what: str, at: int) -> float:
        """`word` as a finite number. Raises ToolError."""
        try:
            value = float(word)
        except ValueError:
            value = float("nan")
        if not abs(value) < 1e300:
            raise self.error(f"{what} must be a number, got {word[:40]!r}", at)
        return value


@dataclass(frozen=True, slots=True)
class Source:
    """The text, for the line numbers of errors."""

    name: str
    text: str

    def error(self, message: str, at: int, cell: str = "") -> ToolError:
        """`file:line: cell NAME: message`."""
        where = f"cell {cell[:60]}: " if cell else ""
        return ToolError(
            f"{self.name}:{self.text.count(chr(10), 0, at) + 1}: {where}{message}; check the Liberty file"
        )


def read_groups(file: Path) -> Group:
    """The `library` group of a file, packed by gzip or not. Raises ToolError with file, line and reason."""
    return groups_of(read_liberty_bytes(file), str(file))


def groups_of(content: bytes, name: str) -> Group:
    """The same from the bytes of a file of this name."""
    return parse(_unpacked(content, name).decode("utf-8", errors="replace"), name)


def read_liberty_bytes(file: Path) -> bytes:
    """A Liberty file as it is. Raises ToolError for what is no regular file, or too large."""
    return read_bytes(
        file,
        str(file),
        ToolError,
        most=MOST_BYTES,
        advice="give the path of a Liberty file (.lib or .lib.gz)",
    )


def _unpacked(content: bytes, name: str) -> bytes:
    """What a gzip file holds, other content as it is. Raises ToolError for a damaged one, or one too large."""
    if not content.startswith(_GZIP):
        return content
    try:
        with gzip.open(io.BytesIO(content)) as stream:
            found = stream.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ToolError(f"{name}: damaged gzip file ({error}); fetch it again") from None
    if len(found) > MOST_BYTES:
        raise ToolError(f"{name}: it has more than {MOST_BYTES:,} bytes when unpacked")
    return found


def parse(text: str, name: str) -> Group:
    """The `library` group of a text. Raises ToolError: `name:line: reason`.

    Position by position: space, then `}`, a simple attribute, or a complex one, which a `{` makes a group.
    """
    source = Source(name, _COMMENTS.sub(_blank, text))
    text = source.text
    root = Group("file", (), 0, source)
    stack = [root]
    at = _skip(text, 0)
    while at < len(text):
        if text[at] == "}":
            if len(stack) == 1:
                raise source.error("a } without a group", at)
            stack.pop()
            at = _skip(text, at + 1)
        elif found := _SIMPLE.match(text, at):
            stack[-1].simple[found[1]] = (found[2], at)
            at = _skip(text, found.end())
        elif found := _COMPLEX.match(text, at):
            if found[3]:
                names = _parts(found[2])
                cell = names[0] if found[1] == "cell" and names else stack[-1].cell
                group = Group(found[1], names, at, source, cell)
                stack[-1].groups.append(group)
                stack.append(group)
            else:
                stack[-1].complex[found[1]] = (found[2], at)
            at = _skip(text, found.end())
        else:
            start = text[at : at + 30].splitlines()[0]
            if len(stack) > 1 and not set(";{}") & set(text[at:]):  # nothing ends what starts here
                raise stack[-1].error(f"the file ends inside {start!r}: cut off", at)
            raise stack[-1].error(f"cannot read {start!r}", at)
    if len(stack) > 1:
        open_at = source.text.count("\n", 0, stack[-1].at) + 1
        raise stack[-1].error(
            f"the file ends inside the group {stack[-1].kind} of line {open_at}: cut off", at
        )
    libraries = list(root.of("library"))
    if len(libraries) != 1:
        raise source.error(f"needs one library group, found {len(libraries)}", at)
    return libraries[0]


def _skip(text: str, at: int) -> int:
    """The next position with something to read; stray semicolons are legal."""
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _blank(found: re.Match[str]) -> str:
    """Strings stay, comments and line continuations become space of the same length and lines."""
    return found[1] or "".join("\n" if char == "\n" else " " for char in found[0])


def _parts(text: str) -> tuple[str, ...]:
    return tuple(quoted[1:-1] or bare for quoted, bare in _PART.findall(text))


def _unquoted(value: str) -> str:
    value = value.strip()
    return value[1:-1] if value.startswith('"') else value
