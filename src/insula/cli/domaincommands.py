"""Verbs that make and unmake definitions: create, rm."""

import argparse

from insula.cli.definition import DEFAULT_MEMORY, Wanted, domain_xml, split_bind, split_env
from insula.cli.lifecyclecommands import each_domain, stopped
from insula.cli.lookup import require_image, told_if_taken
from insula.cli.render import show_line
from insula.errors import OperationInvalidError
from insula.sdk.blocking_domains import Domain, Host


def definition_arguments(parser: argparse.ArgumentParser, *, name_required: bool) -> None:
    """The options that describe a domain, shared by create and run."""
    if name_required:
        parser.add_argument("name", help="the domain's name")
    else:
        parser.add_argument("--name", help="the domain's name (default: one is made up)")
    root = parser.add_mutually_exclusive_group(required=True)
    root.add_argument("-i", "--image", help="clone this image")
    root.add_argument("-r", "--root", help="use this directory of the host as the root file system")
    parser.add_argument(
        "-m", "--memory", default=DEFAULT_MEMORY, help="limit, such as 512m, or none (default: %(default)s)"
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
    parser.epilog = "After --, a command and its arguments run as init; without one, /sbin/init does."


def wanted(options: argparse.Namespace, name: str) -> Wanted:
    """The wishes behind the options. Raises: InvalidArgumentError."""
    return Wanted(
        name=name,
        image=options.image,
        root=options.root,
        init=tuple(options.after),
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
    require_image(host, options.image)
    with told_if_taken(host, options.name):
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
                return  # it is gone already
        found.remove()

    return each_domain(options, host, remove)


ARGUMENTS = {"create": _create_arguments, "rm": _rm_arguments}
RUN = {"create": _create, "rm": _rm}
