"""Tests of insula.engine.launch.runningcontainer."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from insula.engine.codec import encode
from insula.engine.exitstatus import ExitStatus
from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.launch.holdings import ControlGroup, Holding, Interfaces, ScopeGroup
from insula.engine.launch.runningcontainer import ContainerRecord, Running, boot_id
from insula.engine.spec import ContainerSpec, DirectoryRoot, IdMap, IdRange
from insula.errors import OperationInvalidError
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.kernel.fds import Fd
from insula.testing import FakeGroup

RANGES = (IdRange(inside=0, outside=100000, count=65536),)
ETH0 = ConnectedInterface(guest="eth0", host="vnet0", host_index=3, bridge="br0", mac="00:16:3e:00:00:01")
RECORD = ContainerRecord(
    spec=ContainerSpec(name="web", uuid="u", root=DirectoryRoot(path="/r"), idmap=IdMap(uids=RANGES, gids=RANGES)),
    id=4711,
    pid=4711,
    born=123,
    boot="b",
    group="machine.slice/web",
    holdings=(ControlGroup(path="machine.slice/web"), Interfaces(connected=(ETH0,))),
)


def test_a_record_survives_json() -> None:
    assert ContainerRecord.decode(json.loads(json.dumps(RECORD.encode()))) == RECORD


@pytest.mark.parametrize(
    ("group", "held"),
    [
        ("machine.slice/web", ControlGroup(path="machine.slice/web")),
        ("machine.slice/machine-web.scope/insula", ScopeGroup(path="machine.slice/machine-web.scope/insula")),
        ("machine.slice/machine-web.scope", ControlGroup(path="machine.slice/machine-web.scope")),
    ],
)
def test_a_record_of_an_earlier_version_holds_its_group_and_its_interfaces(group: str, held: Holding) -> None:
    data = replace(RECORD, group=group).encode()
    del data["holdings"]
    assert ContainerRecord.decode(data).holdings == (held,)
    former = ContainerRecord.decode({**data, "connected": [encode(ETH0)]})
    assert former.holdings == (held, Interfaces(connected=(ETH0,)))
    assert former.connected == (ETH0,)


def test_a_damaged_record_is_refused() -> None:
    data = RECORD.encode()
    del data["pid"]
    with pytest.raises(ValueError, match="pid"):
        ContainerRecord.decode(data)


def test_the_group_is_found_in_the_hierarchies_of_the_host() -> None:
    hierarchies = Hierarchies(v2="/cgroup")
    assert RECORD.group_in(hierarchies).scope == "/cgroup/machine.slice/web"


def test_a_handle_shows_its_record_and_closes_its_fds_once() -> None:
    fds = [Fd(os.open("/dev/null", os.O_RDONLY)) for _ in range(3)]
    running = Running(record=RECORD, group=Cgroup(Hierarchies(), "g"), pidfd=fds[0], consoles=fds[1:])
    assert (running.uuid, running.name, running.id, running.pid) == ("u", "web", 4711, 4711)
    assert running.status is None
    running.status = ExitStatus(status=0)
    running.close()
    running.close()
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_what_is_kept_for_a_later_daemon_is_found_again_by_its_names() -> None:
    group = Cgroup(Hierarchies(), "g")
    running = Running(record=RECORD, group=group, shown={0: Fd(50), 2: Fd(52)})
    fds = {**running.kept(), "ring0": Fd(9)}
    later = Running(record=RECORD, group=group)
    later.take_kept(fds)
    assert later.shown == running.shown
    assert fds == {"ring0": 9}


def test_terminals_that_are_lent_are_not_closed_here() -> None:
    fds = [Fd(os.open("/dev/null", os.O_RDONLY)) for _ in range(2)]
    running = Running(record=RECORD, group=Cgroup(Hierarchies(), "g"), consoles=[fds[0]], shown={0: fds[1]}, lent=True)
    running.close()
    for fd in fds:
        os.fstat(fd)
        os.close(fd)


def test_the_boot_is_the_kernels() -> None:
    assert boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_nothing_enters_what_has_ended_or_is_not_taken_over_yet() -> None:
    group = FakeGroup("g", before=lambda what: None, empty=lambda path: None)
    running = Running(record=RECORD, group=cast("Cgroup", group), pidfd=Fd(os.open("/dev/null", os.O_RDONLY)))
    running.refuse_unless_entered()
    running.close()
    with pytest.raises(OperationInvalidError, match="has ended, or is not taken over"):
        running.refuse_unless_entered()
