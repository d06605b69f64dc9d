from insula.conversion.formats import FORMATS
from insula.conversion.formatsreference import reference
from tests.unit.model.corpus import DATA

PAGE = DATA.parents[1] / "docs/reference/foreign-configuration.md"


def test_the_page_is_what_the_tables_say() -> None:
    assert PAGE.read_text() == reference(), "run scripts/build-reference"


def test_every_key_has_its_row() -> None:
    page = reference()
    assert [key.name for each in FORMATS for key in each.keys.keys if f"| `{key.name}` |" not in page] == []
