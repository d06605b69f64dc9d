"""The syntax of systemd's settings files: sections, `Key=Value`, continued lines. Source: systemd.syntax(7)."""

from collections.abc import Iterable, Iterator

from insula.conversion.foreigndocument import ForeignDocument, ForeignEntry, bounded, fault_at, quoted

_YES = frozenset({"1", "yes", "y", "true", "t", "on"})
_NO = frozenset({"0", "no", "n", "false", "f", "off"})


def unit_entries(document: ForeignDocument) -> tuple[ForeignEntry, ...]:
    """Return the settings as `Section.Key`, in order; an empty value takes back what was said of its key before.

    Raises: InvalidArgumentError with the line, for what is neither a section nor a setting in one.
    """
    section = ""
    kept: dict[str, list[ForeignEntry]] = {}
    for number, line in _joined(document.text):
        if line.startswith("["):
            if not line.endswith("]"):
                raise fault_at(number, f"{quoted(line)} is no section; expected [NAME]")
            section = line[1:-1]
            continue
        key, equals, value = line.partition("=")
        if not equals or not section:
            raise fault_at(number, f"{quoted(line)} is no setting in a section; expected KEY=VALUE")
        entry = ForeignEntry(key=f"{section}.{key.strip()}", value=value.strip(), line=number)
        if entry.value:
            kept.setdefault(entry.key, []).append(entry)
        else:
            kept.pop(entry.key, None)
    return bounded(sorted((each for entries in kept.values() for each in entries), key=lambda each: each.line))


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line with its number, without comments, one that ends in a backslash with the next one."""
    begun: list[str] = []
    number = 0
    for count, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip()
        if stripped.startswith(("#", ";")) or (not stripped and not begun):
            continue
        number = number if begun else count
        if stripped.endswith("\\"):
            begun.append(stripped[:-1] + " ")
            continue
        whole = "".join((*begun, stripped)).strip()
        begun = []
        if whole:
            yield number, whole
    if rest := "".join(begun).strip():
        yield number, rest


def unit_text(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the text of settings, by section; what no line can hold is left out."""
    sections: dict[str, list[str]] = {}
    for name, value in pairs:
        section, _, key = name.partition(".")
        if value and value == value.strip() and "\n" not in value and "\r" not in value and not value.endswith("\\"):
            sections.setdefault(section, []).append(f"{key}={value}")
    return "\n".join(f"[{section}]\n" + "".join(f"{each}\n" for each in lines) for section, lines in sections.items())


def truth(text: str) -> bool | None:
    """Return what a boolean says; None: it is none."""
    word = text.lower()
    return True if word in _YES else False if word in _NO else None


def parts_of(text: str) -> tuple[str, ...]:
    """Return what stands between colons; `\\:` is one that belongs to its part."""
    return tuple(each.replace("\0", ":") for each in text.replace("\\:", "\0").split(":"))


def part(text: object) -> str:
    """Return a text as a part between colons."""
    return str(text).replace(":", "\\:")
