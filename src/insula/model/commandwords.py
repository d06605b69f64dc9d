"""The words of a command line, as a POSIX shell takes it apart that expands nothing."""

import re

_PIECES = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
    | '(?P<single>[^']*)'
    | "(?P<double>[^"\\]*(?:\\.[^"\\]*)*)"
    | \\(?P<one>.)
    | (?P<plain>[^ \t\r\n'"\\]+)
    """,
    re.DOTALL | re.VERBOSE,
)
_ESCAPED = re.compile(r"""\\(["\\])""")


def words_of(text: str) -> tuple[str, ...]:
    """Return the words, as shlex.split does: but that takes a time that grows with the square of a word's length.

    Raises: ValueError for quotes that do not end, and a backslash with nothing behind it.
    """
    words: list[list[str]] = []
    end, apart = 0, True
    for piece in _PIECES.finditer(text):
        if piece.start() != end:
            break
        end, kind = piece.end(), piece.lastgroup or ""
        if kind != "space":
            if apart:
                words.append([])
            said = piece.group(kind)
            words[-1].append(_ESCAPED.sub(r"\1", said) if kind == "double" else said)
        apart = kind == "space"
    if end != len(text):
        raise ValueError(
            "no closing quotation" if text[end] == "'" or not _ends_escaping(text) else "no escaped character"
        )
    return tuple(map("".join, words))


def _ends_escaping(text: str) -> bool:
    """Whether the last character is a backslash that no other one escapes."""
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1
