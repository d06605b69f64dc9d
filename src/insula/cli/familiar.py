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
    "delete": "rm",
    "destroy": "kill",
    "dominfo": "info",
    "domrename": "rename",
    "domstate": "info",
    "domstats": "stats",
    "dumpxml": "xml",
    "enter": "shell",
    "event": "events",
    "freeze": "pause",
    "image delete": "image rm",
    "image inspect": "image info",
    "image list": "image ls",
    "image remove": "image rm",
    "image show": "image info",
    "images": "image ls",
    "inspect": "info",
    "launch": "run",
    "list": "ls",
    "logs": "log",
    "net-autostart": "network autostart",
    "net-dhcp-leases": "network leases",
    "net-dumpxml": "network xml",
    "net-edit": "network edit",
    "net-info": "network info",
    "net-list": "network ls",
    "net-start": "network start",
    "network destroy": "network stop",
    "network inspect": "network info",
    "network list": "network ls",
    "network remove": "network rm",
    "network show": "network info",
    "networks": "network ls",
    "poweroff": "stop",
    "reboot": "restart",
    "remove": "rm",
    "rmi": "image rm",
    "show": "info",
    "shutdown": "stop",
    "status": "info",
    "suspend": "pause",
    "tag": "image tag",
    "unfreeze": "resume",
    "unpause": "resume",
}
"""Words of libvirt's, docker's, LXD's and systemd's command lines, by the verb that does the same here.

None that does more than the word says there: libvirt's undefine keeps the files that rm removes.
"""

HINTS: Final[Mapping[str, str]] = {
    "config": "insula set DOMAIN changes limits, insula edit DOMAIN all of it",
    "container": "verbs for domains stand alone, such as insula ls",
    "define": "insula create NAME IMAGE, or, of a document, virsh -c lxc:///system define FILE",
    "file": "insula cp SOURCE TARGET, where one is DOMAIN:PATH",
    "image pull": "images are built here: insula image build NAME",
    "login": "insula console DOMAIN, or insula exec DOMAIN -- COMMAND",
    "pull": "images are built here: insula image build NAME",
    "setmaxmem": "insula set DOMAIN --memory 512m",
    "setmem": "insula set DOMAIN --memory 512m",
    "undefine": "insula rm DOMAIN removes its files, too; virsh -c lxc:///system undefine DOMAIN keeps them",
    "update": "insula set DOMAIN changes limits, insula edit DOMAIN all of it",
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
        return f"'{words[0]}' is half a verb; there {'is' if len(begun) == 1 else 'are'} {', '.join(begun)}"
    known = [*(verb.words for verb in VERBS), *ALIASES]
    close = [ALIASES.get(each, each) for each in get_close_matches(words[0], known, n=1)]
    advice = f"did you mean '{close[0]}'?" if close else "insula --help lists them"
    return f"'{words[0]}' is no verb; {advice}"
