"""Verbs that make and unmake definitions: create, rm."""

import argparse
import os
import stat
from contextlib import suppress

from insula.cli.definition import DEFAULT_MEMORY, Wanted, domain_xml, split_bind, split_env, told_by_options
from insula.cli.lifecyclecommands import each_domain, stopped
from insula.cli.lookup import require_image, told_if_taken
from insula.cli.render import show_line
from insula.errors import ImageNotFoundError, InvalidArgumentError, OperationInvalidError
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
    parser.add_argument("--vcpus", type=int, help="how many processors clients are told of; limits nothing")
    parser.add_argument("-e", "--env", action="append", default=[], metavar="NAME=VALUE", help="for the guest's init")
    parser.add_argument("-w", "--cwd", help="working directory of the guest's init")
    parser.add_argument("-u", "--user", help="user of the guest's init")
    parser.add_argument("-b", "--bridge", action="append", default=[], help="an interface on this bridge of the host")
    parser.add_argument(
        "-v", "--bind", action="append", default=[], metavar="SOURCE:TARGET[:ro]", help="show a directory"
    )
    parser.add_argument("--privileged", action="store_true", help="no user namespace: the guest's root is the host's")
    parser.add_argument("--share-network", action="store_true", help="the host's network, shared")
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
    if options.root is None:
        require_image(host, image)
    if options.root is not None and os.path.isabs(options.root):
        try:
            is_directory = stat.S_ISDIR(os.stat(options.root).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            is_directory = False
        except OSError:
            return  # the daemon may see what we do not
        if not is_directory:
            raise InvalidArgumentError(f"--root: there is no directory '{options.root}'")


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
        binds=tuple(split_bind(each) for each in options.bind),
        privileged=options.privileged,
        share_network=options.share_network,
    )


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    definition_arguments(parser, name_required=True)
    parser.add_argument("--start", action="store_true", help="start it, too")
    parser.add_argument("--xml", action="store_true", help="print the domain's XML instead of defining it")


def _create(options: argparse.Namespace, host: Host) -> int:
    xml = domain_xml(wanted(options, options.name))
    if options.xml:
        print(xml, end="")
        return 0
    check_source(options, host)
    with told_by_options(), told_if_taken(host, options.name):
        found = host.define(xml)
    if options.start:
        found.start()
    show_line(found.name)
    return 0


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
