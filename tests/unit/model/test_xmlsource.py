from pathlib import Path

import pytest

from insula.errors import XmlError
from insula.model.xmlsource import SIZE_MAX, fault, parse, path_of


def test_the_declared_encoding_of_a_text_is_of_no_interest() -> None:
    assert parse("<?xml version='1.0' encoding='ISO-8859-1'?><a>ü你</a>").text == "ü你"


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse("\ufeff<a/>").tag == "a"


@pytest.mark.parametrize(
    "xml",
    [
        "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
        "<?xml version='1.0'?>\n<!-- x --><?y z?> <!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
        "<!DOCTYPE a><a/>",
    ],
)
def test_a_document_type_is_refused(xml: str) -> None:
    with pytest.raises(XmlError, match="document type"):
        parse(xml)


def test_a_document_type_that_is_only_talked_about_is_nothing() -> None:
    assert parse("<a><!-- <!DOCTYPE a> --><![CDATA[<!DOCTYPE a>]]></a>").tag == "a"


def test_an_unknown_entity_is_refused() -> None:
    with pytest.raises(XmlError, match=r"line 2: not well-formed: .*'b'"):
        parse("<a>\n&b;</a>")


def test_no_file_is_read_for_an_external_entity(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("sesame")
    with pytest.raises(XmlError) as error:
        parse(f"<!DOCTYPE a [<!ENTITY b SYSTEM 'file://{secret}'>]><a>&b;</a>")
    assert "sesame" not in str(error.value)


@pytest.mark.parametrize(
    ("xml", "line"),
    [("", 1), ("\n\n", 3), ("<a>", 1), ("<a>\n\n</b>", 3), ("<a>\n<b c='1' c='2'/></a>", 2), ("<a/>\n<b/>", 2)],
)
def test_what_is_not_well_formed_is_refused_with_its_line(xml: str, line: int) -> None:
    with pytest.raises(XmlError, match=f"^line {line}: not well-formed: [^.]*$"):
        parse(xml)


def test_a_document_beyond_the_largest_size_is_refused() -> None:
    filling = "x" * (SIZE_MAX - len("<a></a>"))
    assert parse(f"<a>{filling}</a>").tag == "a"
    with pytest.raises(XmlError, match="more than the 1048576"):
        parse(f"<a>{filling}x</a>")


def test_a_very_long_prolog_takes_no_long_time_to_be_refused() -> None:
    with pytest.raises(XmlError, match="not well-formed"):
        parse("<!--" + "-x" * 500_000)


def test_half_a_character_is_refused() -> None:
    with pytest.raises(XmlError, match="surrogate"):
        parse("<a>\ud800</a>")


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(XmlError, match="levels of elements"):
        parse("<a>" * 5000 + "</a>" * 5000)


def test_an_error_names_line_path_and_attribute() -> None:
    root = parse("<a>\n  <b/>\n  <b>\n <x:c xmlns:x='urn:x'/></b>\n</a>")
    assert path_of(root[1][0]) == "/a/b[2]/x:c"
    assert str(fault(root[1], "is odd", attribute="d")) == "line 3: /a/b[2]/@d: is odd"
