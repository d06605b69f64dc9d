"""What changes in a container that does not exist is what its record tells."""

import os

from insula.engine.keeper.link import completed
from insula.engine.launch.holdings import GuestMount
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.engine.spec import Device, DeviceKind, TmpfsMount
from insula.kernel.cgroups import Cgroup, Hierarchies
from insula.testing.fakechanges import FakeChanges
from tests.unit.engine.desk import record_of

FUSE = Device(kind=DeviceKind.CHARACTER, major=10, minor=229, host="/dev/fuse", guest="fuse")


def test_what_is_attached_and_detached_is_written_and_told() -> None:
    before = record_of(os.getpid())
    running, written = Running(record=before, group=Cgroup(Hierarchies(), "g")), list[ContainerRecord]()
    changes = FakeChanges()
    completed(changes.attach(running, TmpfsMount(target="/cache"), written.append))
    completed(changes.attach_device(running, FUSE, written.append))
    assert [each.target for each in running.record.holdings if isinstance(each, GuestMount)] == ["/cache"]
    assert running.record.spec.devices == (FUSE,)
    completed(changes.detach_device(running, FUSE, written.append))
    completed(changes.detach(running, "/cache", written.append))
    completed(changes.settle(running, written.append))
    assert running.record == before == written[-1]
    assert len(written) == 4
