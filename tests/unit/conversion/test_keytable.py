from insula.conversion.domaindraft import DomainDraft
from insula.conversion.findings import Consequence
from insula.conversion.foreigndocument import ForeignEntry
from insula.conversion.keytable import ForeignKey, KeyTable, anyway
from insula.model.domain import DomainDefinition


def _take(draft: DomainDraft, entry: ForeignEntry) -> None:
    draft.title = entry.value


def _write(domain: DomainDefinition) -> list[tuple[str, str]]:
    return [("title", domain.name)]


TABLE = KeyTable(
    (
        ForeignKey(name="title", read=_take, write=_write),
        ForeignKey(name="a.*", why="there is none", advice="do b"),
        ForeignKey(name="a.b.*", read=_take),
        ForeignKey(name="on", read=anyway("1", "yes", why="it is on")),
    ),
    unknown="the manual",
)


def test_the_longest_beginning_counts_where_no_row_is_the_keys_own() -> None:
    found = [TABLE.find(each) for each in ("title", "a.x", "a.b.c", "b")]
    assert [each and each.name for each in found] == ["title", "a.*", "a.b.*", None]


def test_a_key_is_taken_named_or_unknown() -> None:
    draft = DomainDraft()
    for entry in (ForeignEntry(key="title", value="t"), ForeignEntry(key="a.x"), ForeignEntry(key="b")):
        TABLE.read(draft, entry)
    assert draft.title == "t"
    assert [each.consequence for each in draft.findings] == [Consequence.LOST, Consequence.UNKNOWN]
    assert "the manual" in draft.findings[1].why


def test_what_is_so_anyway_needs_no_word_and_the_opposite_does() -> None:
    draft = DomainDraft()
    TABLE.read(draft, ForeignEntry(key="on", value="yes"))
    assert draft.findings == []
    TABLE.read(draft, ForeignEntry(key="on", value="0"))
    assert [each.why for each in draft.findings] == ["it is on"]


def test_rows_are_written_in_their_order() -> None:
    assert list(TABLE.written(DomainDraft(name="web").domain())) == [("title", "web")]
