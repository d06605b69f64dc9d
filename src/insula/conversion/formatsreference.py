"""The reference's page on formats, made from their tables: `python -m insula.conversion.formatsreference`."""

import sys
from collections.abc import Iterator

from insula.conversion.formats import FORMATS
from insula.conversion.keytable import ForeignKey

_HEAD = """\
# Other programs' configuration

Made by `scripts/build-reference` from the tables that `insula config import` and `export`, and virsh's
`domxml-from-native` and `domxml-to-native`, go by; [Moving in](../howto/moving-in.md) tells how to use them. Every key
is here: what of a [domain](domain-xml.md) it becomes, or why it has no equivalent. A key that is not here is named as
unknown.
"""


def reference() -> str:
    """Return the page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    for each in FORMATS:
        yield from (f"## {each.name}", "", f"{each.title[0].upper()}{each.title[1:]}. Source: {each.keys.unknown}.", "")
        yield from ("| key | becomes | where it has no equivalent |", "|---|---|---|")
        yield from (_row(key) for key in each.keys.keys)
        yield ""


def _row(key: ForeignKey) -> str:
    advice = f"; {key.advice}" if key.advice else ""
    cells = (f"`{key.name}`", f"`{key.becomes}`" if key.becomes else "", f"{key.why}{advice}")
    return f"| {' | '.join(each.replace('|', chr(92) + '|') for each in cells)} |".replace("  ", " ")


if __name__ == "__main__":
    sys.stdout.write(reference())
