"""set: a domain's limits and what it is called for people, of its run and of its definition."""

import argparse
from collections.abc import Callable
from functools import partial

from insula.cli.definition import CPU_PERIOD, NO_LIMIT, cpu_quota, kibibytes
from insula.cli.limitwords import LIMIT_WORDS, limit_changes
from insula.cli.lookup import domain
from insula.errors import InvalidArgumentError, OperationInvalidError
from insula.model.numbers import Affect, MetadataType
from insula.sdk.blocking_domains import Domain, Host

_NO_QUOTA = -1
_MAXIMUM = 1 << 2
"""Of the calls on virtual processors. Source: VIR_DOMAIN_VCPU_MAXIMUM in libvirt's public domain header."""


def _set_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", help="name, id or UUID")
    parser.add_argument(
        "settings", nargs="*", default=[], metavar="LIMIT=VALUE", help=f"of {', '.join(LIMIT_WORDS)}, or a file"
    )
    parser.add_argument("-m", "--memory", help="limit, such as 512m, or none; a bare number is MiB")
    parser.add_argument("--vcpus", type=int, help="how many of the host's processors it has")
    parser.add_argument("--cpus", help="processors' worth of time, such as 1.5, or none")
    parser.add_argument("--cpu-shares", type=int, help="of processor time against others, where they all want it")
    parser.add_argument("--io-weight", type=int, help="of disk time against others, 10 to 1000")
    parser.add_argument("--pids", help="processes and threads at most, or none for the usual number")
    parser.add_argument("--title", help="one line for people; '' takes it away")
    parser.add_argument("--description", help="more for people; '' takes it away")
    parser.add_argument("--live", action="store_true", help="of what runs now")
    parser.add_argument("--config", action="store_true", help="of the definition, from the next start on")
    parser.epilog = (
        "Without --live and --config both are meant, as far as there are both. A LIMIT with a dot is a control file of "
        "the guest's group, such as memory.oom.group=1; none, or no value, takes a limit away; a size is in MiB unless "
        "it says k, m, g or t. insula limits shows all; the names that it shows are understood, too."
    )


def _set(options: argparse.Namespace, host: Host) -> int:
    found = domain(host, options.domain)
    affect = affected(options, found)
    changes: list[tuple[object, Callable[[], None]]] = [
        (options.memory, lambda: _set_memory(found, kibibytes(options.memory), affect)),
        (options.vcpus, lambda: _set_vcpus(found, options.vcpus, affect)),
        (options.cpus, lambda: found.set_scheduling(_scheduling(options.cpus), affect)),
        (options.cpu_shares, lambda: found.set_scheduling({"cpu_shares": options.cpu_shares}, affect)),
        (options.io_weight, lambda: found.set_block_tuning({"weight": options.io_weight}, affect)),
        (options.title, lambda: found.set_metadata(MetadataType.TITLE, options.title or None, flags=affect)),
        (
            options.description,
            lambda: found.set_metadata(MetadataType.DESCRIPTION, options.description or None, flags=affect),
        ),
    ]
    settings = [*options.settings, *([] if options.pids is None else [f"pids={options.pids}"])]
    wanted = [change for value, change in changes if value is not None]
    wanted += [partial(change, affect) for change in limit_changes(found, settings)]
    if not wanted:
        raise InvalidArgumentError("say what to set, such as --memory 512m, or pids=512")
    for change in wanted:
        change()
    return 0


def affected(options: argparse.Namespace, found: Domain) -> Affect:
    """What is meant: as the options say, else both the run and the definition, as far as there are both."""
    if options.live or options.config:
        return (Affect.LIVE if options.live else Affect(0)) | (Affect.CONFIG if options.config else Affect(0))
    live = Affect.LIVE if found.is_active() else Affect(0)
    return live | (Affect.CONFIG if found.is_persistent() else Affect(0))


def _scheduling(cpus: str) -> dict[str, int]:
    """Raises: InvalidArgumentError for what is no number of processors."""
    if cpus.lower() == NO_LIMIT:
        return {"vcpu_quota": _NO_QUOTA}
    try:
        return {"vcpu_period": CPU_PERIOD, "vcpu_quota": cpu_quota(float(cpus))}
    except ValueError as error:
        raise InvalidArgumentError(f"'{cpus}' is no number of processors; give one such as 1.5, or none") from error


def _set_memory(found: Domain, kib: int, affect: Affect) -> None:
    """A definition gets a new maximum with its memory; a run keeps the one that it was started with.

    Raises: OperationInvalidError for more than that, and nothing is changed.
    """
    if Affect.LIVE in affect and kib > (most := found.usage().maximum):
        raise OperationInvalidError(
            f"it was started with at most {most // 1024} MiB; --config sets more, from its next start on"
        )
    if Affect.CONFIG in affect:
        found.set_maximum_memory(kib, Affect.CONFIG)
    found.set_memory(kib, affect)


def _set_vcpus(found: Domain, number: int, affect: Affect) -> None:
    """A definition gets a new maximum where its own is too low; a run keeps the one that it was started with.

    Raises: OperationInvalidError for more than that, and nothing is changed.
    """
    if Affect.LIVE in affect and number > (most := found.vcpus(Affect.LIVE | _MAXIMUM)):
        raise OperationInvalidError(
            f"it was started with at most {most} processors; --config sets more, from its next start on"
        )
    if Affect.CONFIG in affect and number > found.vcpus(Affect.CONFIG | _MAXIMUM):
        found.set_vcpus(number, Affect.CONFIG | _MAXIMUM)
    found.set_vcpus(number, affect)


ARGUMENTS = {"set": _set_arguments}
RUN = {"set": _set}
