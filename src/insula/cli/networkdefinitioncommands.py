"""Verbs on networks' definitions as they stand: network xml, edit, update."""

import argparse
import sys

from insula.cli.definitioncommands import edited_until_taken
from insula.cli.networkcommands import network_named
from insula.cli.neutral import neutral
from insula.cli.terminal import is_terminal
from insula.errors import InvalidArgumentError, OperationFailedError, OperationInvalidError
from insula.model.networknumbers import UPDATABLE_SECTIONS, NetworkUpdateCommand
from insula.model.numbers import Affect
from insula.sdk.blocking_domains import Host

_COMMANDS = {
    "add": NetworkUpdateCommand.ADD_LAST,
    "add-first": NetworkUpdateCommand.ADD_FIRST,
    "modify": NetworkUpdateCommand.MODIFY,
    "delete": NetworkUpdateCommand.DELETE,
}
_SECTIONS = {section.name.lower().replace("_", "-"): section for section in UPDATABLE_SECTIONS}


def _xml_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", help="name or UUID")
    parser.add_argument("--inactive", action="store_true", help="what the next start goes by, though it is active")


def _xml(options: argparse.Namespace, host: Host) -> int:
    text = network_named(host, options.network).xml(inactive=options.inactive)
    sys.stdout.write(neutral(text, kept="\n\t") if is_terminal(1) else text)
    return 0


def _edit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", help="name or UUID")
    parser.epilog = (
        "The editor is that of $VISUAL or $EDITOR, else vi. An active network goes on as it is until it starts anew."
    )


def _edit(options: argparse.Namespace, host: Host) -> int:
    found = network_named(host, options.network)
    if not found.is_persistent():
        raise OperationInvalidError("it has no definition to change, and is gone when it is stopped")
    before = found.xml(inactive=True)

    def replace(after: str) -> None:
        if found.xml(inactive=True) != before:
            raise OperationFailedError("somebody else has changed the definition meanwhile")
        if host.define_network(after).ref.uuid != found.ref.uuid:
            raise InvalidArgumentError(
                "it has another UUID now, so another network was defined, and this one is as it was"
            )

    return edited_until_taken(before, found.name, replace, file="network.xml")


def _update_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", help="name or UUID")
    parser.add_argument("action", metavar="ACTION", choices=tuple(_COMMANDS), help=", ".join(_COMMANDS))
    parser.add_argument("section", metavar="SECTION", choices=tuple(_SECTIONS), help=", ".join(_SECTIONS))
    parser.add_argument("xml", help="the element, such as \"<host mac='52:54:00:00:00:01' ip='10.0.0.5'/>\"")
    parser.add_argument("--parent", type=int, default=-1, metavar="N", help="in the <ip> of this number, from 0")
    parser.add_argument("--live", action="store_true", help="only while it is active")
    parser.add_argument("--config", action="store_true", help="only from its next start on")
    parser.epilog = "Without --live and --config: both of an active network that has a definition."


def _update(options: argparse.Namespace, host: Host) -> int:
    found = network_named(host, options.network)
    affect = (Affect.LIVE if options.live else Affect(0)) | (Affect.CONFIG if options.config else Affect(0))
    if not affect:
        affect |= Affect.LIVE if found.is_active() else Affect(0)
        affect |= Affect.CONFIG if found.is_persistent() else Affect(0)
    found.update(
        _COMMANDS[options.action], _SECTIONS[options.section], options.xml, parent_index=options.parent, flags=affect
    )
    return 0


ARGUMENTS = {
    "network xml": _xml_arguments,
    "network edit": _edit_arguments,
    "network update": _update_arguments,
}
RUN = {"network xml": _xml, "network edit": _edit, "network update": _update}
