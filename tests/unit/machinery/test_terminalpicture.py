from pathlib import Path

from lxml import etree

from tests.terminalpicture import COLUMNS, picture

DOCS = Path(__file__).parents[3] / "docs"


def test_the_committed_picture_is_drawn_from_the_committed_run() -> None:
    drawn = picture((DOCS / "demo.txt").read_text())
    assert (DOCS / "demo.svg").read_text() == drawn, "run scripts/draw-demo --draw and commit what it wrote"


def _texts(text: str) -> list[etree._Element]:
    return etree.fromstring(picture(text).encode()).findall(".//{http://www.w3.org/2000/svg}text")


def test_what_was_said_is_text_and_no_markup() -> None:
    texts = _texts("$ echo '<b>&</b>'\n== A title\n\n  plain \x1b[6n\n")
    assert [each.text for each in texts] == ["$ echo '<b>&</b>'", "== A title", "  plain ·[6n"]
    assert [each.get("font-weight") for each in texts] == ["bold", "bold", None]


def test_long_lines_are_cut_and_every_line_has_its_place() -> None:
    first, second = _texts("x" * 500 + "\n\ny\n")
    assert len(first.text or "") == COLUMNS
    assert int(second.get("y") or 0) - int(first.get("y") or 0) == 36
