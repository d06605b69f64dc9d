"""OpenVZ's files of containers: lines of `KEY="value"`, as a shell reads them. Source: ctid.conf(5)."""

import re
from collections.abc import Iterable

from insula.conversion.foreigndocument import ForeignDocument, ForeignEntry, bounded, fault_at, quoted

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_UNSAFE = re.compile(r"""["$`\\\n\r]""")
"""What a shell would take for something else within quotes."""


def openvz_entries(document: ForeignDocument) -> tuple[ForeignEntry, ...]:
    """Return the settings in order; of a key that stands twice the last one counts.

    Raises: InvalidArgumentError with the line for one that is no setting.
    """
    found: dict[str, ForeignEntry] = {}
    for number, line in enumerate(document.text.split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        key, equals, value = stripped.partition("=")
        if not equals or not _KEY.match(key):
            raise fault_at(number, f'{quoted(stripped)} is no setting; expected KEY="VALUE"')
        found.pop(key, None)
        found[key] = ForeignEntry(key=key, value=_plain(value, number), line=number)
    return bounded(each for each in found.values() if each.value)


def _plain(value: str, line: int) -> str:
    """Return a value without its quotes and the comment behind it."""
    value = value.strip()
    if value[:1] in ("'", '"'):
        end = value.find(value[0], 1)
        if end < 0:
            raise fault_at(line, f"{quoted(value)} begins with a quote that does not end")
        return value[1:end]
    return value.partition(" #")[0].strip()


def openvz_text(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the lines of settings; what could mean something else to a shell is left out."""
    return "".join(f'{key}="{value}"\n' for key, value in pairs if value and not _UNSAFE.search(value))
