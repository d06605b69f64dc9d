"""What the kernel keeps about a guest: its record, on its control group, for the daemon that finds no other.

The run directory may be full, unreadable or gone while the guest lives on; its group is there as long as it is. Only
the host's root can write there, and what is read back must fit the process that it tells of.
"""

import json
import logging
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from insula.engine.launch.runningcontainer import ContainerRecord, boot_id
from insula.kernel.cgroups import Cgroup, Hierarchies, facts_on, groups_of, groups_with_facts, maker_of, set_facts
from insula.kernel.process import start_time

LOGGER = logging.getLogger(__name__)

_SIZE_MAX = 1 << 20
"""Bytes of a record: more is nothing that we wrote."""


def label_guest(group: Cgroup, record: ContainerRecord, installation: str) -> None:
    """Keep the record of a guest on its group; where the kernel keeps nothing there, the run directory has to do."""
    text = json.dumps({"installation": installation, "record": record.encode()}, separators=(",", ":"))
    try:
        set_facts(group, zlib.compress(text.encode(), 1))
    except OSError as error:
        LOGGER.debug("the group '%s' is not labelled: %s", group.path, error)


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestLabel:
    """A record that a group has. data: what it was decoded from, to know another copy of it by."""

    record: ContainerRecord
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class GuestLabels:
    """living: of guests that live; relics: of those that have ended, and whose groups are there still."""

    living: tuple[GuestLabel, ...] = ()
    relics: tuple[GuestLabel, ...] = ()


def guest_labels(hierarchies: Hierarchies, installation: str) -> GuestLabels:
    """Return the labels of an installation's guests, as their groups tell, in one walk over all groups."""
    living, relics = [], []
    for group, facts in groups_with_facts(hierarchies):
        label = _understood(group, facts, installation)
        if label is None:
            continue
        if not lives(label.record):
            relics.append(label)
        elif _is_in(label.record.pid, group.path):
            living.append(label)
    return GuestLabels(living=tuple(living), relics=tuple(relics))


def launch_of(group: Cgroup) -> str | None:
    """Return which launch made a group, None if it does not tell."""
    maker = maker_of(group)
    if maker is not None:
        return maker
    facts = facts_on(group)  # versions before the mark wrote it there alone
    label = None if facts is None else _understood(group, facts, None)
    return None if label is None else label.record.launch


def lives(record: ContainerRecord) -> bool:
    """Whether the init that a record tells of is there, be it as a zombie.

    Raises: OSError if that cannot be found out, which does not mean that it has ended.
    """
    if record.boot != boot_id():
        return False
    try:
        return start_time(record.pid) == record.born
    except (FileNotFoundError, ProcessLookupError):
        return False


def _understood(group: Cgroup, facts: bytes, installation: str | None) -> GuestLabel | None:
    """The label that facts are, None for that of another installation, or that nobody like us wrote."""
    try:
        unpacked = zlib.decompressobj()
        data = json.loads(unpacked.decompress(facts, _SIZE_MAX))
        if installation is not None and data["installation"] != installation:
            return None
        record = ContainerRecord.decode(data["record"])
        if record.group != group.path:
            raise ValueError(f"it is about the group '{record.group}'")
    except (zlib.error, ValueError, KeyError, TypeError) as error:
        LOGGER.warning("the label of the control group '%s' makes no sense: %s", group.path, error)
        return None
    return GuestLabel(record=record, data=data["record"])


def _is_in(pid: int, group: str) -> bool:
    """Whether a process is in a group or below it."""
    try:
        paths = groups_of(pid).values()
    except OSError:
        return False
    return any(f"{path}/".startswith(f"{group}/") for path in paths)
