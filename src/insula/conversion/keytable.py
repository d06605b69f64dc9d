"""The shape of each format's table: a key, how it is read and written, or why it has no equivalent."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from insula.conversion.domaindraft import DomainDraft
from insula.conversion.foreigndocument import ForeignEntry
from insula.model.domain import DomainDefinition

Reader = Callable[[DomainDraft, ForeignEntry], None]
Written = Iterable[tuple[str, str]]
"""Keys and their values, in order."""
Writer = Callable[[DomainDefinition], Written]


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignKey:
    """One key. name: as in the other program's manual; N for a number, a `*` at its end for whatever follows.

    becomes: what of the domain it is, in the words of its XML; read: what takes it; write: the keys of a domain that
    stand in this row's place. Without read: why it has no equivalent, and the advice that goes with it.
    """

    name: str
    becomes: str = ""
    read: Reader | None = None
    write: Writer | None = None
    why: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class KeyTable:
    """The keys of a format, in the order they are written."""

    keys: tuple[ForeignKey, ...]
    unknown: str
    """Whose manual does not know a key that is not here."""

    def find(self, name: str) -> ForeignKey | None:
        """Return the row of a key: its own, else that of the longest beginning with a `*`."""
        rows = _rows(self.keys)
        if (row := rows.get(name)) is not None:
            return row
        begins = [each for each in self.keys if each.name.endswith("*") and name.startswith(each.name[:-1])]
        return max(begins, key=lambda each: len(each.name), default=None)

    def read(self, draft: DomainDraft, entry: ForeignEntry, name: str | None = None) -> None:
        """Take what an entry says into draft, or note why not. name: of its row, where it is not the entry's key."""
        row = self.find(name or entry.key)
        if row is None:
            draft.unknown(entry, f"{self.unknown} has no such key", "look for a slip of the pen")
        elif row.read is None:
            draft.lost(entry, row.why, row.advice)
        else:
            row.read(draft, entry)

    def written(self, domain: DomainDefinition) -> Iterator[tuple[str, str]]:
        """Yield what a domain is in the words of this format."""
        for row in self.keys:
            if row.write is not None:
                yield from row.write(domain)


@lru_cache(maxsize=16)
def _rows(keys: tuple[ForeignKey, ...]) -> Mapping[str, ForeignKey]:
    return {each.name: each for each in keys}


def anyway(*values: str, why: str, advice: str = "") -> Reader:
    """Return the reader of a setting that a domain has anyway, if it says one of values; else why is to be known."""

    def read(draft: DomainDraft, entry: ForeignEntry) -> None:
        if entry.value not in values:
            draft.lost(entry, why, advice)

    return read
