"""What changes in a container that does not exist is what its record tells."""

import errno
import os
from typing import cast

import pytest

from insula.engine.keeper.link import completed
from insula.engine.launch.holdings import GuestMount
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.engine.spec import Device, DeviceKind, TmpfsMount
from insula.errors import OperationInvalidError
from insula.kernel.cgroups import Cgroup
from insula.kernel.fds import Fd
from insula.testing import FakeGroup
from insula.testing.fakechanges import FakeChanges
from tests.unit.engine.desk import record_of

FUSE = Device(kind=DeviceKind.CHARACTER, major=10, minor=229, host="/dev/fuse", guest="fuse")


def running_of(record: ContainerRecord) -> Running:
    group = FakeGroup("g", before=lambda what: None, empty=lambda path: None)
    return Running(record=record, group=cast("Cgroup", group), pidfd=Fd(0))


def test_what_is_attached_and_detached_is_written_and_told() -> None:
    before = record_of(os.getpid())
    running, written = running_of(before), list[ContainerRecord]()
    changes = FakeChanges()
    completed(changes.attach(running, TmpfsMount(target="/cache"), written.append))
    completed(changes.attach_device(running, FUSE, written.append))
    with pytest.raises(OperationInvalidError, match="already"):
        completed(changes.attach(running, TmpfsMount(target="/cache"), written.append))
    shown = [each.target for each in running.record.holdings if isinstance(each, GuestMount)]
    assert shown == ["/cache", "/dev/fuse"]
    assert running.record.spec.devices == (FUSE,)
    completed(changes.detach_device(running, FUSE, written.append))
    completed(changes.detach(running, "/cache", written.append))
    completed(changes.settle(running, written.append))
    assert running.record == before == written[-1]
    assert len(written) == 6
    with pytest.raises(OperationInvalidError, match="nothing was attached"):
        completed(changes.detach(running, "/cache", written.append))


def test_what_was_only_announced_is_taken_back_by_who_comes_later() -> None:
    before = record_of(os.getpid())
    running, written = running_of(before), list[ContainerRecord]()
    changes = FakeChanges()
    completed(changes.attach(running, TmpfsMount(target="/cache"), written.append))
    later = running_of(written[0])
    completed(changes.settle(later, written.append))
    assert later.record == before == written[-1]


def test_what_cannot_be_written_is_taken_back() -> None:
    running = running_of(record_of(os.getpid()))
    before, written = running.record, list[ContainerRecord]()

    def write(record: ContainerRecord) -> None:
        if len(written) == 1:
            written.append(record)
            raise OSError(errno.ENOSPC, "no space")
        written.append(record)

    with pytest.raises(OSError, match="no space"):
        completed(FakeChanges().attach(running, TmpfsMount(target="/cache"), write))
    assert running.record == before == written[-1]
