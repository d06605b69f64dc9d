"""Text that somebody else wrote, made fit to be told to anybody: what it was can be seen, and commands no terminal."""


def visible(text: str) -> str:
    """Return text with what is not seen, or would move a terminal's cursor, as `\\u202e`; bytes of no character too."""
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)
