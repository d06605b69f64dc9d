"""Verbs that make and unmake definitions: create, rm."""

import argparse
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from insula.cli.definition import DEFAULT_MEMORY, Wanted, domain_xml, split_bind, split_env, told_by_options
from insula.cli.lifecyclecommands import each_domain, stopped
from insula.cli.lookup import require_image, told_if_taken
from insula.cli.networkcommands import network_named
from insula.cli.render import show_line
from insula.errors import (
    ImageNotFoundError,
    InsulaError,
    InvalidArgumentError,
    NetworkNotFoundError,
    OperationInvalidError,
)
from insula.rpc.codes.nativecodes import ImageFlags
from insula.sdk.blocking_domains import Domain, Host


def definition_arguments(parser: argparse.ArgumentParser, *, name_required: bool) -> None:
    """The options that describe a domain, shared by create and run."""
    if name_required:
        parser.add_argument("name", help="the domain's name")
    else:
        parser.add_argument("--name", help="the domain's name (default: one is made up)")
    parser.add_argument("named", nargs="?", metavar="image", help="clone this image")
    if not name_required:
        parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run as init; after -- likewise")
    parser.add_argument("-i", "--image", help="the same")
    parser.add_argument("-r", "--root", help="use this directory of the host as the root file system instead")
    parser.add_argument(
        "-m",
        "--memory",
        default=DEFAULT_MEMORY,
        help="limit, such as 512m, or none; a bare number is MiB (default: %(default)s)",
    )
    parser.add_argument("--cpus", type=float, help="processors' worth of time, such as 1.5 (default: no limit)")
    parser.add_argument("--pids", type=int, help="processes and threads at most (default: the host's rule for guests)")
    parser.add_argument("--vcpus", type=int, help="how many of the host's processors it has (default: all of them)")
    parser.add_argument("-e", "--env", action="append", default=[], metavar="NAME=VALUE", help="for the guest's init")
    parser.add_argument("-w", "--cwd", help="working directory of the guest's init")
    parser.add_argument("-u", "--user", help="user of the guest's init")
    parser.add_argument("-b", "--bridge", action="append", default=[], help="an interface on this bridge of the host")
    parser.add_argument(
        "-n", "--network", action="append", default=[], metavar="NAME", help="an interface in this virtual network"
    )
    parser.add_argument(
        "-v", "--bind", action="append", default=[], metavar="SOURCE:TARGET[:ro]", help="show a directory"
    )
    parser.add_argument("--privileged", action="store_true", help="no user namespace: the guest's root is the host's")
    parser.add_argument("--share-network", action="store_true", help="the host's network, shared")
    parser.add_argument(
        "--address", action="append", default=[], help="of the host's network, share this address only (several times)"
    )
    parser.add_argument("--ports", help="with --address, bind to these ports only, such as 80,443,8000-8099")
    parser.epilog = (
        "After --, a command and its arguments run as init: a name is looked for in the guest's PATH. Without one, "
        "/sbin/init does."
    )


def image_and_command(options: argparse.Namespace) -> tuple[str | None, tuple[str, ...]]:
    """Return the image, if one is named, and the command: what stands behind the image, or behind --.

    Raises: InvalidArgumentError for an option behind the image, and for two images or commands.
    """
    words = [*([] if options.named is None else [options.named]), *getattr(options, "command", [])]
    image: str | None = options.image
    if image is None and options.root is None and words:
        image, words = words[0], words[1:]
    if words and words[0].startswith("-"):
        raise InvalidArgumentError(f"'{words[0]}' stands behind the image: options stand before it, or behind --")
    if words and options.after:
        raise InvalidArgumentError(f"there are two commands: '{words[0]}' and, behind --, '{options.after[0]}'")
    return image, tuple(words or options.after)


def check_source(options: argparse.Namespace, host: Host) -> None:
    """Refuse an image or a root that is not there. Raises: ImageNotFoundError, InvalidArgumentError."""
    image, _ = image_and_command(options)
    for each in options.network:
        _require_network(host, each)
    if options.root is None:
        require_image(host, image)
    if options.root is not None and os.path.isabs(options.root):
        try:
            found = os.stat(options.root)
            is_directory = stat.S_ISDIR(found.st_mode)
        except (FileNotFoundError, NotADirectoryError):
            is_directory = False
        except OSError:
            return  # the daemon may see what we do not
        if not is_directory:
            instead = "; XML has roots in images: <filesystem type='file'>" if os.path.isfile(options.root) else ""
            raise InvalidArgumentError(f"--root: there is no directory '{options.root}'{instead}")
        if os.path.samestat(found, os.stat("/")):
            raise InvalidArgumentError("--root: the host's own root cannot be a container's: give it a root of its own")


def _require_network(host: Host, name: str) -> None:
    """Raises: NetworkNotFoundError."""
    try:
        network_named(host, name)
    except NetworkNotFoundError as error:
        if name != "host":
            raise
        raise NetworkNotFoundError("no network is called 'host'; --share-network shares the host's own") from error


def wanted(options: argparse.Namespace, name: str) -> Wanted:
    """The wishes behind the options. Raises: InvalidArgumentError."""
    image, command = image_and_command(options)
    return Wanted(
        name=name,
        image=image,
        root=options.root,
        init=command,
        env=tuple(split_env(each) for each in options.env),
        cwd=options.cwd,
        user=options.user,
        memory=options.memory,
        vcpus=options.vcpus,
        cpus=options.cpus,
        pids=options.pids,
        bridges=tuple(options.bridge),
        networks=tuple(options.network),
        binds=tuple(split_bind(each) for each in options.bind),
        privileged=options.privileged,
        share_network=options.share_network,
        addresses=tuple(options.address),
        ports=options.ports,
    )


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    definition_arguments(parser, name_required=True)
    parser.add_argument("--password", action="store_true", help="ask for root's password, and set it")
    parser.add_argument(
        "--password-file", metavar="FILE", help="root's password is the first line of it; - for the input"
    )
    parser.add_argument(
        "--ssh-key",
        action="append",
        default=[],
        metavar="FILE",
        help="let these public keys in as root; - for the input",
    )
    parser.add_argument("--start", action="store_true", help="start it, too")
    parser.add_argument("--xml", action="store_true", help="print the domain's XML instead of defining it")


def _create(options: argparse.Namespace, host: Host) -> int:
    xml = domain_xml(wanted(options, options.name))
    if options.xml:
        print(xml, end="")
        return 0
    check_source(options, host)
    login = _login(options)
    with told_by_options(), told_if_taken(host, options.name):
        found = host.define(xml)
    try:
        login.give(found)
    except BaseException:
        with suppress(InsulaError):
            found.remove()  # as it was not what was asked for, and can be asked for again
        raise
    if options.start:
        found.start()
    show_line(found.name)
    return 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _FirstAccess:
    """Who is to get in as root at first. keys: none for nobody more than the image has it."""

    password: str | None
    keys: Sequence[str]

    def give(self, found: Domain) -> None:
        """Have the daemon write it into the domain's root, which an image below keeps out of."""
        if self.password is not None:
            found.set_password("root", self.password)
        if self.keys:
            found.authorize("root", self.keys)


def _login(options: argparse.Namespace) -> _FirstAccess:
    """What options say of it, before anything is made. Raises: InvalidArgumentError."""
    if not (options.password or options.password_file or options.ssh_key):
        return _FirstAccess(password=None, keys=())
    if options.password and options.password_file:
        raise InvalidArgumentError("--password asks for the password, --password-file reads it: give one of them")
    if [options.password_file, *options.ssh_key].count("-") > 1:
        raise InvalidArgumentError("the input holds either a password or keys: give a file for the other")
    from insula.cli.accountcommands import asked_password, keys_in, password_in  # only who asks for it pays

    password = None
    if options.password_file:
        password = password_in(options.password_file)
    elif options.password:
        password = asked_password("root", options.name)
    return _FirstAccess(password=password, keys=keys_in(options.ssh_key) if options.ssh_key else ())


def _rm_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domains", nargs="+", metavar="domain", help="name, id or UUID")
    parser.add_argument("-f", "--force", action="store_true", help="kill it first if it runs")


def _rm(options: argparse.Namespace, host: Host) -> int:
    def remove(found: Domain) -> None:
        if not stopped(found):
            if not options.force:
                raise OperationInvalidError("it runs; stop it first, or use --force")
            persistent = found.is_persistent()
            found.destroy()
            if not persistent:
                _remove_clone(host, found)
                return
        found.remove()

    return each_domain(options, host, remove)


def _remove_clone(host: Host, found: Domain) -> None:
    """Remove the writable layer of a domain that is gone: one that was undefined while it ran kept it."""
    with suppress(ImageNotFoundError):
        host.remove_image(found.uuid, ImageFlags.CLONES)


ARGUMENTS = {"create": _create_arguments, "rm": _rm_arguments}
RUN = {"create": _create, "rm": _rm}
