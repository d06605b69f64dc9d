"""What tests of conversions say: a document in, findings by their keys out."""

from pathlib import PurePosixPath

from insula.conversion.findings import ConversionFinding
from insula.conversion.foreigndocument import ForeignDocument
from insula.conversion.formats import ConvertedDomain, domain_from, format_named
from insula.model.domain import DomainDefinition
from insula.model.numbers import XmlFlags

WHOLE = XmlFlags.INACTIVE | XmlFlags.SECURE


def converted(
    name: str,
    text: str,
    *,
    path: str | None = None,
    called: str | None = "guest",
    others: dict[str, str] | None = None,
    vcpus: int = 4,
) -> ConvertedDomain:
    """What becomes of a document in the format of that name; it can always be written as XML and read again."""
    document = ForeignDocument(text=text, path=PurePosixPath(path) if path else None, name=called, others=others or {})
    found = domain_from(format_named(name), document, vcpus=vcpus)
    assert DomainDefinition.load(found.domain.dump(WHOLE)).dump(WHOLE) == found.domain.dump(WHOLE)
    return found


def keys_of(findings: tuple[ConversionFinding, ...]) -> set[str]:
    return {each.key for each in findings}
