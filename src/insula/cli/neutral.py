"""Text that others may have written, on its way to a terminal: shown, and never obeyed.

A terminal that is told to report its state, or the text of a key, types the answer into whatever reads it next: the
administrator's shell. Source: console_codes(4), and ECMA-48 for C1.
"""

import codecs
import re

LINE_MOTIONS = "\n\t\r"
"""Control characters that do no more than lay out lines."""
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
"""Changes what text looks like, and nothing else (SGR): boot logs are full of it."""
_BEGUN = re.compile(r"\x1b(?:\[[0-9;:]{0,32})?\Z")
"""What may become a colour when more comes."""


def neutral(text: str, *, kept: str = "") -> str:
    """Return text with everything that is not printable shown as an escape, such as \\x1b; kept: but these.

    That includes C1 controls, and marks that turn the direction of what follows.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in kept else repr(each)[1:-1] for each in text)


class Neutralizer:
    """Bytes in pieces, as they come from a guest, made fit for a terminal: lines stay, colours go, the rest is shown.

    encoding: the terminal's; what it does not have is shown escaped, too.
    """

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._held = ""

    def feed(self, data: bytes) -> bytes:
        """Return what can be shown now; what may be the beginning of a character or a colour waits for more."""
        text = self._held + self._decoder.decode(data)
        begun = _BEGUN.search(text)
        self._held = text[begun.start() :] if begun else ""
        return self._shown(text[: len(text) - len(self._held)])

    def finish(self) -> bytes:
        """Return what has waited in vain."""
        text, self._held = self._held + self._decoder.decode(b"", True), ""
        return self._shown(text)

    def _shown(self, text: str) -> bytes:
        return neutral(_COLOUR.sub("", text), kept=LINE_MOTIONS).encode(self._encoding, "backslashreplace")
