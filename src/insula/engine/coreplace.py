"""Where the cores of a container's programs that crash are kept, inside its own root."""

import re
from collections.abc import Callable
from dataclasses import dataclass

SPECIFIERS = frozenset("%pPiIugdsthceEfC")
"""Of core(5), "Naming of core dump files"."""
_SPECIFIER = re.compile("%(.?)", re.DOTALL)
LENGTH_MAX = 255


@dataclass(frozen=True, kw_only=True, slots=True)
class CorePlace:
    """pattern: an absolute path with the specifiers of core(5); most: bytes of one core, what is beyond is cut."""

    pattern: str
    most: int


def pattern_problem(pattern: str) -> str | None:
    """Return what is wrong with a pattern, None if nothing is."""
    parts = pattern.split("/")
    if not pattern.startswith("/") or ".." in parts or "." in parts or not parts[-1]:
        return "is no absolute path of a file, without '.' and '..'"
    if len(pattern.encode()) > LENGTH_MAX or not pattern.isprintable():
        return f"is longer than {LENGTH_MAX} bytes, or has what is not printable"
    odd = [each for each in _SPECIFIER.findall(pattern) if each not in SPECIFIERS or not each]
    return f"has %{odd[0]}, which is not among {' '.join(f'%{each}' for each in sorted(SPECIFIERS))}" if odd else None


def escaped(value: str) -> str:
    """Return a value as a part of a file's name: no slash in it makes another directory of it."""
    plain = "".join("!" if each == "/" else each if each.isprintable() else "_" for each in value)
    return plain.replace(".", "!") if plain in (".", "..") else plain


def expanded(pattern: str, values: dict[str, str], *, escape: Callable[[str], str] = escaped) -> str:
    """Return a pattern with each specifier's value, as escape makes it.

    As in the kernel, one without a value is left out. Source: format_corename in the kernel's fs/coredump.c.
    """
    return _SPECIFIER.sub(lambda found: "%" if found[1] == "%" else escape(values.get(found[1], "")), pattern)
