"""Two daemons with as many domains defined: what a definition and each question cost, asked in turns by one client.

The client is libvirt's own, so both daemons are asked the same by the same program; whole commands are virsh's.
"""

import os
import secrets
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.asking import answers, connected, timed
from benchmarks.peers import Served, domain_xml, expect_lines

Daemons = Mapping[str, Any]
"""By the runtime's name: a connection of libvirt-python's."""

ROUNDS = 7
_EDGE = 10
"""One part in so many is 'the first' and 'the last'."""
FLOOR = "fsync alone"
"""The name of the row that says what the disk takes: a file written and synced, renamed, and its directory synced."""


def defined(served: Sequence[Served], count: int, root: Path, work: Path) -> dict[str, dict[str, float]]:
    """Return milliseconds by what was asked and of whom, medians; of definitions also those of the first and last."""
    names = [f"d{number:04}" for number in range(count)]
    with ExitStack() as closing:
        daemons = {}
        for each in served:
            daemons[each.name] = closing.enter_context(connected(each))
        figures: dict[str, dict[str, float]] = {}
        try:
            figures |= _definitions(daemons, names, root, work)
            for question, asked in _questions(names):
                able = {name: each for name, each in daemons.items() if answers(partial(asked, each))}
                figures[question] = in_turns(able, asked)
            commands = {each.name: each for each in served}
            figures["virsh list --all"] = in_turns(
                commands, lambda each: expect_lines(each.virsh("list", "--all"), count)
            )
        finally:
            for connection in daemons.values():
                for each in connection.listAllDomains(0):
                    each.undefine()
    return figures


def _definitions(daemons: Daemons, names: Sequence[str], root: Path, work: Path) -> dict[str, dict[str, float]]:
    """Define all domains, one of each daemon's and one sync of the disk after the other."""
    took: dict[str, list[float]] = {name: [] for name in (*daemons, FLOOR)}
    for name in names:
        xml = domain_xml(name, root)
        for daemon, connection in daemons.items():
            with timed(took[daemon]):
                connection.defineXML(xml)
        with timed(took[FLOOR]):
            _synced(work, xml.encode())
    edge = max(1, len(names) // _EDGE)
    return {
        f"define, median of {len(names)}": {name: statistics.median(each) for name, each in took.items()},
        f"define, the first {edge}": {name: statistics.median(each[:edge]) for name, each in took.items()},
        f"define, the last {edge}": {name: statistics.median(each[-edge:]) for name, each in took.items()},
    }


def _questions(names: Sequence[str]) -> Iterator[tuple[str, Callable[[Any], object]]]:
    """What is asked of a connection; each is all that it says."""
    count = len(names)

    def states(connection: Any) -> None:
        for each in connection.listAllDomains(0):
            each.state()

    def by_name(connection: Any) -> None:
        for each in names:
            connection.lookupByName(each)

    def by_uuid(connection: Any) -> None:
        for each in connection.listAllDomains(0):
            connection.lookupByUUID(each.UUID())

    def xml(connection: Any) -> None:
        for each in connection.listAllDomains(0):
            each.XMLDesc(0)

    yield "connectListAllDomains", lambda connection: connection.listAllDomains(0)
    yield f"list and {count} states", states
    yield f"{count} lookups by name", by_name
    yield f"list and {count} lookups by UUID", by_uuid
    yield f"list and {count} dumpxml", xml
    yield "connectGetAllDomainStats, all off", lambda connection: connection.getAllDomainStats(0, 0)


def in_turns(asked: Mapping[str, Any], ask: Callable[[Any], object], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the median milliseconds of ask by whom it is asked of; the first round warms up."""
    took: dict[str, list[float]] = {name: [] for name in asked}
    for number in range(rounds + 1):
        for name, each in asked.items():
            with timed(took[name] if number else []):
                ask(each)
    return {name: statistics.median(each) for name, each in took.items()}


def _synced(directory: Path, content: bytes) -> None:
    new = directory / secrets.token_hex(8)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        os.write(fd, content)
        os.fsync(fd)
    finally:
        os.close(fd)
    new.replace(directory / "synced")
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
