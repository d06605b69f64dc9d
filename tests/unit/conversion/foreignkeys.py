"""The keys of each format as its manual names them, in tests/data/foreign-keys."""

from insula.conversion.keytable import KeyTable
from tests.unit.model.corpus import DATA


def documented(name: str) -> tuple[str, ...]:
    return tuple((DATA / "foreign-keys" / name).read_text().split())


def unanswered(table: KeyTable, keys: tuple[str, ...]) -> list[str]:
    """The keys that no row maps, and that no row says why it does not."""
    rows = ((key, table.find(key)) for key in keys)
    return [key for key, row in rows if row is None or not (row.read or row.why or row.becomes)]


def repeated_rows(table: KeyTable) -> list[str]:
    names = [each.name for each in table.keys]
    return sorted({each for each in names if names.count(each) > 1})
