"""Text for pages of man(7): what is in no macro and no escape of roff's."""


def escaped(text: str) -> str:
    """Text that no macro or escape of roff's is read in."""
    plain = text.replace("\\", r"\e").replace("-", r"\-").replace("`", "")
    return rf"\&{plain}" if plain.startswith((".", "'")) else plain


def tagged(tag: str, text: str) -> list[str]:
    """The lines of a paragraph with a tag, which is roff already; text: plain."""
    return [".TP", tag, *([escaped(text)] if text else [])]


def named(names: tuple[str, ...], value: str) -> str:
    """The tag of an option with its names, or of a word with none; value: what stands for it, "" for a switch."""
    if not names:
        return rf"\fI{escaped(value)}\fR"
    options = ", ".join(rf"\fB{escaped(each)}\fR" for each in names)
    return rf"{options} \fI{escaped(value)}\fR" if value else options
