"""Texts and elements in a document of any noun."""

import pytest
from lxml import etree

from insula.errors import InvalidArgumentError, XmlError
from insula.model.numbers import MetadataType
from insula.service.metadatadocument import element_in, replaced, required

ELEMENT = MetadataType.ELEMENT


def test_an_element_is_put_where_there_was_no_metadata_yet() -> None:
    document = replaced("<pool><name>p</name></pool>", ELEMENT, "<x/>", key="a", uri="urn:a")
    metadata = etree.fromstring(document).find("metadata")
    assert metadata is not None
    assert element_in(etree.tostring(metadata, encoding="unicode"), "urn:a") == "<x/>"
    assert element_in("<metadata/>", "urn:a") is None


def test_one_that_is_there_is_replaced_and_taken_away() -> None:
    first = replaced("<pool/>", ELEMENT, "<x/>", key="a", uri="urn:a")
    second = replaced(first, ELEMENT, "<y/>", key="a", uri="urn:a")
    assert "x" not in [etree.QName(each).localname for each in etree.fromstring(second).iter("*")]
    assert replaced(second, ELEMENT, None, key=None, uri="urn:a") == "<pool/>"


def test_what_is_no_xml_is_refused() -> None:
    with pytest.raises(XmlError):
        replaced("<pool/>", ELEMENT, "<x>", key="a", uri="urn:a")
    with pytest.raises(InvalidArgumentError, match="give a key"):
        replaced("<pool/>", ELEMENT, "<x/>", key=None, uri="urn:a")


def test_a_namespace_is_required() -> None:
    assert required("urn:a") == "urn:a"
    with pytest.raises(InvalidArgumentError, match="give its URI"):
        required("")
