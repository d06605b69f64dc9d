"""What people type who come from other tools: words that mean a verb of ours, and what to say of those that mean none.

A verb of ours goes before all of them.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from insula.cli.verbtable import VERBS, CommandVerb

ALIASES: Final[Mapping[str, str]] = {
    "attach": "console",
    "build": "image build",
    "define": "create",
    "delete": "rm",
    "destroy": "kill",
    "domstate": "info",
    "dumpxml": "xml",
    "enter": "shell",
    "image delete": "image rm",
    "image list": "image ls",
    "image remove": "image rm",
    "images": "image ls",
    "inspect": "info",
    "launch": "run",
    "list": "ls",
    "logs": "log",
    "poweroff": "stop",
    "reboot": "restart",
    "remove": "rm",
    "rmi": "image rm",
    "show": "info",
    "shutdown": "stop",
    "status": "info",
    "suspend": "pause",
    "undefine": "rm",
    "unpause": "resume",
}
"""Words of libvirt's, docker's, LXD's and systemd's command lines, by the verb that does the same here."""

HINTS: Final[Mapping[str, str]] = {
    "image pull": "images are built here: insula image build NAME",
    "login": "insula console DOMAIN, or insula exec DOMAIN -- COMMAND",
    "pull": "images are built here: insula image build NAME",
    "version": "insula --version",
}


def verb_meant(words: Sequence[str]) -> tuple[CommandVerb, int] | None:
    """Return the verb that words begin with, or mean, and how many of them name it; None if there is none."""
    for verb in VERBS:
        own = verb.words.split()
        if list(words[: len(own)]) == own:
            return verb, len(own)
    for count in (2, 1):
        meant = ALIASES.get(" ".join(words[:count])) if len(words) >= count else None
        if meant is not None:
            return next(each for each in VERBS if each.words == meant), count
    return None


def no_verb(words: Sequence[str]) -> str:
    """Say what is wrong with words that mean no verb, and what to type instead."""
    if not words:
        return "a verb is missing; insula --help lists them"
    begun = [verb.words for verb in VERBS if verb.words.startswith(f"{words[0]} ")]
    hint = next((HINTS[each] for each in (" ".join(words[:2]), words[0]) if each in HINTS), None)
    if hint is not None:
        return f"'{words[0]}' is no verb here: {hint}"
    if begun:
        return f"'{words[0]}' is half a verb; there are {', '.join(begun)}"
    known = [*(verb.words for verb in VERBS), *ALIASES]
    close = [ALIASES.get(each, each) for each in get_close_matches(words[0], known, n=1)]
    advice = f"did you mean '{close[0]}'?" if close else "insula --help lists them"
    return f"'{words[0]}' is no verb; {advice}"
