"""What a reader is handed: a document's text and those of the files that it names, read by whoever may read them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath

from insula.errors import InvalidArgumentError
from insula.model.visible import visible

SIZE_MAX = 1024 * 1024
"""Characters of a document and of all that it includes, together."""
LINES_MAX = 65536
ENTRIES_MAX = 10_000
"""Settings of a document and all that it includes."""
QUOTED_MAX = 120


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignDocument:
    """A document. path: where it lay, None if only the text came; name: what the domain shall be called.

    others: files that it names, by absolute path.
    """

    text: str
    path: PurePosixPath | None = None
    name: str | None = None
    others: Mapping[str, str] = field(default_factory=dict)

    def checked(self) -> "ForeignDocument":
        """Return it. Raises: InvalidArgumentError if it and its others are too large, or no text."""
        texts = (self.text, *self.others.values())
        size = sum(map(len, texts))
        if size > SIZE_MAX:
            raise InvalidArgumentError(f"the configuration has {size} characters, more than the {SIZE_MAX} accepted")
        if any("\0" in text for text in texts):
            raise InvalidArgumentError("the configuration holds a zero byte: it is no text")
        if sum(text.count("\n") for text in texts) > LINES_MAX:
            raise InvalidArgumentError(f"the configuration has more than {LINES_MAX} lines")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignEntry:
    """One setting as it stands in a document. line: counted from 1; file: '' for the document itself."""

    key: str
    value: str = ""
    line: int = 0
    file: str = ""


def bounded(entries: Iterable[ForeignEntry]) -> tuple[ForeignEntry, ...]:
    """Return the entries. Raises: InvalidArgumentError for more than ENTRIES_MAX, as files make that include others."""
    found = tuple(islice(entries, ENTRIES_MAX + 1))
    if len(found) > ENTRIES_MAX:
        raise InvalidArgumentError(f"the configuration has more than {ENTRIES_MAX} settings")
    return found


def fault_at(line: int, text: str, file: str = "") -> InvalidArgumentError:
    """Return the error that text is what is wrong at a line."""
    return InvalidArgumentError(f"{f'{visible(file)}, ' if file else ''}line {line}: {text}")


def quoted(text: str) -> str:
    """Return a document's text for a message: short, and with nothing unseen in it."""
    return f"'{visible(text if len(text) <= QUOTED_MAX else f'{text[:QUOTED_MAX]}…')}'"
