"""Verbs on definitions as they stand: xml, edit, rename, autostart."""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from insula.cli.definition import told_by_options
from insula.cli.lifecyclecommands import each_domain
from insula.cli.lookup import domain
from insula.cli.neutral import neutral
from insula.cli.render import show_error, show_line
from insula.cli.terminal import confirmed, is_terminal
from insula.errors import InsulaError, InvalidArgumentError, OperationFailedError, OperationInvalidError
from insula.model.numbers import XmlFlags
from insula.sdk.blocking_domains import Domain, Host

EDITABLE = XmlFlags.INACTIVE | XmlFlags.SECURE
"""What a definition is changed from: all of it, and nothing of the run."""


def _xml_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", help="name, id or UUID")
    parser.add_argument("--inactive", action="store_true", help="what the next start goes by, even while it runs")
    parser.add_argument("--secure", action="store_true", help="with the values of the init's environment")


def _xml(options: argparse.Namespace, host: Host) -> int:
    flags = (XmlFlags.INACTIVE if options.inactive else 0) | (XmlFlags.SECURE if options.secure else 0)
    text = domain(host, options.domain).xml(flags)
    sys.stdout.write(neutral(text, kept="\n\t") if is_terminal(1) else text)
    return 0


def _edit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", help="name, id or UUID")
    parser.epilog = (
        "The editor is that of $VISUAL or $EDITOR, else vi. What runs goes on as it is until it starts anew."
    )


def _edit(options: argparse.Namespace, host: Host) -> int:
    found = domain(host, options.domain)
    if not found.is_persistent():
        raise OperationInvalidError(
            "it has no definition to change, and is gone when it ends; virsh define gives it one"
        )
    before = found.xml(EDITABLE)
    return edited_until_taken(before, found.name, partial(_replace, host, found, before), file="domain.xml")


def edited_until_taken(before: str, name: str, replace: Callable[[str], None], *, file: str) -> int:
    """Let an editor change a document until replace takes it, or it is given up; return the exit status.

    name: of what the document is about; file: how the editor's file is called.
    """
    with tempfile.TemporaryDirectory(prefix="insula-edit-") as directory:  # nobody else can look into it
        path = Path(directory) / file
        path.write_text(before, encoding="utf-8")
        while True:
            after = _edited(path)
            if after == before:
                show_line(f"'{name}' stays as it was.")
                return 0
            try:
                replace(after)
            except InsulaError as error:
                show_error(str(error), of=name)
                if not confirmed("Edit again?", usually=True):
                    return error.exit_status
                continue
            show_line(f"'{name}' is changed.")
            return 0


def _edited(file: Path) -> str:
    """Let an editor change the file; return what it holds then. Raises: OperationFailedError if that does not work."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        status = subprocess.run([*shlex.split(editor), file], check=False).returncode
        if status != 0:
            raise OperationFailedError(f"the editor '{editor}' failed with status {status}; nothing was changed")
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise OperationFailedError(f"cannot edit with '{editor}': {error}; set EDITOR") from error


def _replace(host: Host, found: Domain, before: str, after: str) -> None:
    """Define it anew. Raises: OperationFailedError if somebody else has changed it meanwhile; what `define` raises."""
    if found.xml(EDITABLE) != before:
        raise OperationFailedError("somebody else has changed the definition meanwhile")
    if host.define(after).ref.uuid != found.ref.uuid:
        raise InvalidArgumentError("it has another UUID now, so another domain was defined, and this one is as it was")


def _rename_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", help="name, id or UUID")
    parser.add_argument("name", help="what it is called from now on")
    parser.epilog = "What it wrote, its ids and its console's log stay with it."


def _rename(options: argparse.Namespace, host: Host) -> int:
    found = domain(host, options.domain)
    with told_by_options():
        found.rename(options.name)
    return 0


def _autostart_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domains", nargs="+", metavar="domain", help="name, id or UUID")
    parser.add_argument("--disable", action="store_true", help="no longer")
    parser.add_argument("--once", action="store_true", help="only with the host's next start")


def _autostart(options: argparse.Namespace, host: Host) -> int:
    wanted = not options.disable
    if options.once:
        return each_domain(options, host, lambda found: found.set_autostart_once(wanted=wanted))
    return each_domain(options, host, lambda found: found.set_autostart(wanted=wanted))


ARGUMENTS = {
    "xml": _xml_arguments,
    "edit": _edit_arguments,
    "rename": _rename_arguments,
    "autostart": _autostart_arguments,
}
RUN = {"xml": _xml, "edit": _edit, "rename": _rename, "autostart": _autostart}
