"""Documents against libvirt's schema, where somebody asked for that."""

from pathlib import Path

import pytest

from insula.errorcodes import ErrorCode
from insula.errors import OperationUnsupportedError, SchemaError, XmlSyntaxError
from insula.service.schemavalidation import validate_by_schema
from tests.unit.service.fakes import domain_xml

RULES = """<element name='domain' xmlns='http://relaxng.org/ns/structure/1.0'>
<zeroOrMore><element name='name'><text/></element></zeroOrMore></element>"""


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    path = tmp_path / "domain.rng"
    path.write_text(RULES)
    return path


def test_what_the_schema_allows_passes(schema: Path) -> None:
    validate_by_schema("<domain><name>web</name></domain>", schema)


def test_what_it_does_not_allow_is_told_with_its_line(schema: Path) -> None:
    with pytest.raises(SchemaError, match=r"domain\.rng: line 2: .*nonsense") as error:
        validate_by_schema("<domain>\n<nonsense/></domain>", schema)
    assert error.value.code is ErrorCode.XML_INVALID_SCHEMA
    assert error.value.message.startswith("XML document failed to validate against schema: ")


def test_a_text_that_is_no_xml_is_that(schema: Path) -> None:
    with pytest.raises(XmlSyntaxError):
        validate_by_schema("<domain", schema)


@pytest.mark.parametrize("content", [None, "", "<element/>"])
def test_without_a_schema_it_is_said_that_nothing_can_be_validated(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "domain.rng"
    if content is not None:
        path.write_text(content)
    with pytest.raises(OperationUnsupportedError, match=r"cannot be validated: '.*rng' cannot be read"):
        validate_by_schema("<domain/>", path)


@pytest.mark.requires("libvirt-schemas")
def test_libvirts_own_schema_takes_a_domain_and_refuses_a_slip_of_the_pen() -> None:
    validate_by_schema(domain_xml())
    with pytest.raises(SchemaError, match="currentmemory"):
        validate_by_schema(domain_xml(more="<currentmemory>1</currentmemory>"))
