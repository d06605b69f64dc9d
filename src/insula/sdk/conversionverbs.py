"""Other programs' configuration, as conversations: to a domain's XML, and from it. The reference has the formats."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from insula.errors import OperationFailedError
from insula.rpc.procedures import Insula
from insula.sdk.conversation import Conversation, ask
from insula.sdk.values import Json
from insula.sdk.verbs import json_mapping


class Converted(NamedTuple):
    """text: XML, or the other program's; findings: what could not be carried over.

    Each finding has consequence (lost, changed, unknown), key, line, file, why and advice.
    """

    text: str
    findings: list[Json]


def read_config(
    format: str,  # noqa: A002
    text: str,
    *,
    path: str | None = None,
    name: str | None = None,
    others: Mapping[str, str] | None = None,
) -> Conversation[Converted]:
    """The XML of the domain that a document describes; nothing is defined.

    path: where the document lay; name: what the domain shall be called, else what the document says; others: texts of
    the files that it names, by absolute path, for the daemon opens none.
    """
    request = json.dumps({"text": text, "path": path, "name": name, "others": dict(others or {})})
    return _converted(json_mapping((yield from ask(Insula.CONFIG_READ, format, request, 0))), "xml")


def write_config(format: str, xml: str) -> Conversation[Converted]:  # noqa: A002
    """A domain's XML as another program's document."""
    return _converted(json_mapping((yield from ask(Insula.CONFIG_WRITE, format, xml, 0))), "text")


def _converted(told: Json, key: str) -> Converted:
    text, findings = told.get(key), told.get("findings")
    if not isinstance(text, str) or not isinstance(findings, list):
        raise OperationFailedError("the daemon sent no conversion")
    return Converted(text, findings)
