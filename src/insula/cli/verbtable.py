"""The one table of verbs: what `insula` dispatches by, and its help, man page, reference and completion are made from.

A verb's module is imported when the verb is used, so that start-up stays lean.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from insula.cli.commandparser import CommandParser
from insula.errors import InvalidArgumentError

if TYPE_CHECKING:
    from insula.sdk.blocking_domains import Host


class DaemonAccess(Enum):
    """What a verb needs of the daemon. NONE: it works without; LOOK: what anybody may ask of its read-only socket."""

    NONE = "none"
    LOOK = "look"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class CommandVerb:
    """One verb. words: `start`, or `image build`; module: below `insula.cli`; command: what follows `--` is one."""

    words: str
    module: str
    summary: str
    command: bool = False
    access: DaemonAccess = DaemonAccess.CHANGE

    @property
    def sentence(self) -> str:
        """The summary as a sentence; what it has in capitals stays so."""
        return f"{self.summary[0].upper()}{self.summary[1:]}."


class VerbModule(Protocol):
    """What a verb's module offers for each of its verbs, by name; a verb without a daemon gets no host."""

    ARGUMENTS: dict[str, Callable[[argparse.ArgumentParser], None]]
    RUN: dict[str, Callable[[argparse.Namespace, "Host"], int]]
    RUN_ALONE: dict[str, Callable[[argparse.Namespace], int]]


_NONE, _LOOK = DaemonAccess.NONE, DaemonAccess.LOOK

VERBS = (
    CommandVerb("run", "consolecommands", "create and start a domain, and attach to it", command=True),
    CommandVerb("create", "domaincommands", "define a domain from an image or a root directory", command=True),
    CommandVerb("ls", "listcommands", "list domains", access=_LOOK),
    CommandVerb("start", "lifecyclecommands", "start domains"),
    CommandVerb("stop", "stopcommand", "ask domains to shut down, and wait"),
    CommandVerb("restart", "lifecyclecommands", "ask domains to reboot, and wait"),
    CommandVerb("reset", "lifecyclecommands", "stop domains at once and start them again"),
    CommandVerb("kill", "lifecyclecommands", "stop domains at once, or send their init a signal"),
    CommandVerb("pause", "lifecyclecommands", "freeze all processes of domains"),
    CommandVerb("resume", "lifecyclecommands", "let paused domains go on"),
    CommandVerb("wait", "watchcommands", "wait until domains have ended, or are up", access=_LOOK),
    CommandVerb("events", "watchcommands", "tell what happens to domains, as it happens", access=_LOOK),
    CommandVerb("rm", "domaincommands", "remove domains with their writable layers"),
    CommandVerb("exec", "execcommand", "run a command inside", command=True),
    CommandVerb("shell", "execcommand", "open a login shell inside"),
    CommandVerb(
        "explain", "explaincommand", "tell why an operation was refused inside, and what would change it", command=True
    ),
    CommandVerb("cp", "copycommand", "copy files into a guest, or out of it"),
    CommandVerb("dump", "dumpcommand", "write what a guest has in memory into an archive of cores"),
    CommandVerb("console", "consolecommands", "attach to a console"),
    CommandVerb("info", "infocommand", "tell what is known of a domain", access=_LOOK),
    CommandVerb("ps", "usagecommands", "list the processes of a guest"),
    CommandVerb(
        "stats", "usagecommands", "tell what domains take of processors, memory, disks and networks", access=_LOOK
    ),
    CommandVerb("top", "topcommand", "show what takes most, as it goes on, with plots", access=_LOOK),
    CommandVerb("xml", "definitioncommands", "print a domain's XML", access=_LOOK),
    CommandVerb("set", "setcommand", "change limits of a domain, while it runs and in its definition"),
    CommandVerb("limits", "limitscommand", "tell each limit of a domain, and what it uses", access=_LOOK),
    CommandVerb("device add", "devicecommands", "give a domain a directory, disk, device or interface, while it runs"),
    CommandVerb("device classes", "devicecommands", "list what of the host's devices can be given by one word"),
    CommandVerb("device rm", "devicecommands", "take devices away from a domain, while it runs"),
    CommandVerb("config import", "configcommands", "turn another program's configuration into a definition"),
    CommandVerb("config export", "configcommands", "write a definition as another program's configuration"),
    CommandVerb("edit", "definitioncommands", "change a domain's definition in an editor"),
    CommandVerb("rename", "definitioncommands", "give a domain that does not run another name"),
    CommandVerb("autostart", "definitioncommands", "let domains start with the daemon, or not"),
    CommandVerb("passwd", "accountcommands", "set the password of a user inside"),
    CommandVerb("authorize", "accountcommands", "let ssh keys in as a user inside"),
    CommandVerb("label", "labelcommand", "show or change the labels of a domain"),
    CommandVerb("plan", "plancommands", "show every step of a start, with its reason"),
    CommandVerb("log", "plancommands", "show what a domain's console said"),
    CommandVerb("image build", "imagecommands", "build an image"),
    CommandVerb("image ls", "imagecommands", "list images", access=_LOOK),
    CommandVerb("image info", "imagecommands", "tell what is known of an image", access=_LOOK),
    CommandVerb("image tag", "imagecommands", "give an image another name"),
    CommandVerb("image rm", "imagecommands", "remove images"),
    CommandVerb("image prune", "imagecommands", "remove the files that undefined domains left"),
    CommandVerb("network create", "networkcommands", "make a virtual network, with subnets that are free"),
    CommandVerb("network ls", "networkcommands", "list virtual networks", access=_LOOK),
    CommandVerb("network info", "networkcommands", "tell what is known of a network", access=_LOOK),
    CommandVerb("network start", "networkcommands", "start networks"),
    CommandVerb("network stop", "networkcommands", "stop networks at once"),
    CommandVerb("network rm", "networkcommands", "remove networks with their leases"),
    CommandVerb("network leases", "networkcommands", "list the addresses that guests were given", access=_LOOK),
    CommandVerb("network autostart", "networkcommands", "let networks start with the host, or not"),
    CommandVerb("network forward", "forwardcommands", "lead ports of the host to guests of a network, or list those"),
    CommandVerb("network xml", "networkdefinitioncommands", "print a network's XML", access=_LOOK),
    CommandVerb("network edit", "networkdefinitioncommands", "change a network's definition in an editor"),
    CommandVerb("network update", "networkdefinitioncommands", "add, delete or modify an element of a network"),
    CommandVerb("doctor", "doctorcommand", "tell what the host has and lacks, and what to do about it", access=_NONE),
    CommandVerb("help", "helpcommand", "tell what there is, or what a verb takes", access=_NONE),
    CommandVerb("completion", "completioncommand", "print a shell's completion of this command line", access=_NONE),
)

_PORTS = (
    "a guest has addresses of its own, at which its ports are reached; give it an interface (-b BRIDGE), or the host's "
    "network (--share-network)"
)
_NETWORK = (
    "-n NETWORK gives an interface in a virtual network, -b BRIDGE one on a bridge of the host, --share-network the "
    "host's own network"
)
_OF_GUESTS: Mapping[tuple[str, ...], str] = {
    ("-p", "--publish"): _PORTS,
    ("--net",): _NETWORK,
    ("--volume", "--mount"): "-v SOURCE:TARGET[:ro] shows a directory of the host",
    (
        "--restart",
    ): "insula autostart DOMAIN starts it with the daemon; what follows a crash its definition says (on_crash)",
    ("--hostname",): "its host name is its name; <insula:hostname> in the definition gives another (insula edit)",
}
FOREIGN_OPTIONS: Mapping[str, Mapping[tuple[str, ...], str]] = {
    "create": _OF_GUESTS,
    "run": _OF_GUESTS,
    "ps": {
        ("-a", "--all"): "insula ls lists domains, those that are off too; insula ps DOMAIN lists the processes of one"
    },
    "start": {("-i", "--interactive"): "insula console DOMAIN attaches to what runs"},
}
"""What people type who come from other programs, by verb and option: what to type instead."""

EXIT_STATUSES = (
    ("0", "done"),
    ("1", "failed"),
    ("2", "wrong usage, or a definition that cannot be used"),
    ("3", "not possible in this state, taken, or busy"),
    ("4", "not found"),
    ("5", "refused: read-only, or no access"),
    ("6", "not supported"),
    ("7", "not in time"),
    ("130", "interrupted"),
)


def module_of(verb: CommandVerb) -> VerbModule:
    """Import what a verb does."""
    module: VerbModule = import_module(f"insula.cli.{verb.module}")
    return module


def parser_of(verb: CommandVerb) -> argparse.ArgumentParser:
    """The parser of what follows a verb."""
    parser = CommandParser(prog=f"insula {verb.words}", description=verb.sentence)
    module_of(verb).ARGUMENTS[verb.words](parser)
    for action in parser._actions:
        if not action.option_strings and action.choices is None:
            action.metavar = str(action.metavar or action.dest).upper()
    known = {name for action in parser._actions for name in action.option_strings}
    for names, advice in FOREIGN_OPTIONS.get(verb.words, {}).items():
        parser.add_argument(*(each for each in names if each not in known), action=_Advice, const=advice)
    return parser


class _Advice(argparse.Action):
    """An option of another program's, which here is something else: tells what. const: the words."""

    def __init__(self, option_strings: Sequence[str], dest: str, *, const: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs="?", const=const, help=argparse.SUPPRESS)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        raise InvalidArgumentError(f"{option_string} is no option here: {self.const}")
