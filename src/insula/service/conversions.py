"""Other programs' configuration, for clients: a document in, a domain's XML out, and the other way round.

No file is opened here, whatever a document names: whose it is, the daemon cannot know.
"""

from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from insula.conversion.findings import ConversionFinding
from insula.conversion.foreigndocument import ForeignDocument
from insula.conversion.formats import ConvertedDomain, ConvertedText, domain_from, format_named, text_from
from insula.errors import InvalidArgumentError
from insula.model.domain import DomainDefinition
from insula.model.numbers import XmlFlags
from insula.service.documents import Documents
from insula.service.jsonrequests import json_object

_WHOLE = XmlFlags.INACTIVE | XmlFlags.SECURE
"""What a document said of variables is told to whoever sent it."""


class ConversionVerbs:
    """Reads and writes foreign documents. vcpus: how many processors the host has."""

    def __init__(self, *, documents: Documents, vcpus: Callable[[], int]) -> None:
        self._documents = documents
        self._vcpus = vcpus

    async def xml_of(self, name: str, text: str) -> str:
        """Return the XML of the domain that a text alone describes, what it loses as comments.

        Raises: InvalidArgumentError.
        """
        converted = await self._read(name, ForeignDocument(text=text), commented=True)
        return converted.domain.dump(_WHOLE)

    async def read(self, name: str, request: str) -> dict[str, Any]:
        """Return XML and findings for a request of CONFIG_READ. Raises: InvalidArgumentError."""
        converted = await self._read(name, _document(request))
        return {"xml": converted.domain.dump(_WHOLE), "findings": _told(converted.findings)}

    async def write(self, name: str, xml: str) -> dict[str, Any]:
        """Return a domain's text in a format, and findings. Raises: InvalidArgumentError, XmlError."""
        converted = await self.text_of(name, xml)
        return {"text": converted.text, "findings": _told(converted.findings)}

    async def text_of(self, name: str, xml: str) -> ConvertedText:
        """Return a domain in a format; values that its XML hides stay hidden. Raises: as `write`."""
        wanted = format_named(name)
        read = partial(DomainDefinition.load, vcpus=self._vcpus())
        return await self._documents.aside(lambda: text_from(wanted, read(xml)))

    async def _read(self, name: str, document: ForeignDocument, *, commented: bool = False) -> ConvertedDomain:
        wanted = format_named(name)
        return await self._documents.aside(domain_from, wanted, document, vcpus=self._vcpus(), commented=commented)


def _document(request: str) -> ForeignDocument:
    """Return the document of a request. Raises: InvalidArgumentError naming the field."""
    wanted = json_object(request, "the request")
    text, path, name, others = (wanted.get(each) for each in ("text", "path", "name", "others"))
    if not isinstance(text, str):
        raise InvalidArgumentError("'text' must be the document's text")
    if path is not None and not (isinstance(path, str) and path.startswith("/")):
        raise InvalidArgumentError("'path' must be an absolute path")
    if name is not None and not isinstance(name, str):
        raise InvalidArgumentError("'name' must be a text")
    others = {} if others is None else others
    if not isinstance(others, dict) or not all(isinstance(each, str) for each in others.values()):
        raise InvalidArgumentError("'others' must be an object of texts, by their paths")
    return ForeignDocument(text=text, path=PurePosixPath(path) if path else None, name=name or None, others=others)


def _told(findings: tuple[ConversionFinding, ...]) -> list[dict[str, Any]]:
    return [
        {
            "consequence": each.consequence.value,
            "key": each.key,
            "line": each.line,
            "file": each.file,
            "why": each.why,
            "advice": each.advice,
        }
        for each in findings
    ]
