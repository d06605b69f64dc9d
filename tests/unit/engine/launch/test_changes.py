"""Changes of a container that runs: whichever step fails, and wherever the daemon dies, one walk takes them back."""

import errno
import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from insula.engine.interfacespec import Address, NetworkKind, Route, VethInterface
from insula.engine.keeper.link import completed
from insula.engine.launch.changes import Change, RunningChanges
from insula.engine.launch.holdings import FormerLink, GuestMount, Holding, Interfaces
from insula.engine.launch.insidesteps import InsideSteps
from insula.engine.launch.release import Release
from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.engine.linkchange import LinkChange, LinkSnapshot
from insula.engine.policy.devicepolicy import device_rules
from insula.engine.spec import BindMount, Device, DeviceKind, Namespace, SharedNamespace, TmpfsMount
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.roottree import AttachMount, DetachMount
from insula.engine.steps.host.groups import ChangeDevices
from insula.engine.steps.host.hoststep import HostContext, HostStep
from insula.errors import OperationFailedError, OperationInvalidError, StepError
from insula.kernel.cgroups import Cgroup, DeviceRule, Hierarchies
from insula.kernel.fds import Fd
from tests.plans import UNIFIED
from tests.unit.engine.desk import CONNECTED, Network, record_of
from tests.unit.engine.fakes import null

FUSE = Device(kind=DeviceKind.CHARACTER, major=10, minor=229, host="/dev/fuse", guest="fuse")


LINK = LinkSnapshot(index=2, name="eth0", up=True, mtu=1500)
CARD = VethInterface(guest="eth0")


class Died(BaseException):
    """The daemon ends here: nothing that comes after happens, not even what would take things back."""


@dataclass(kw_only=True)
class Host:
    """The guest's mounts, the host's interfaces, and the record as it was written last.

    fatal: the number of the change before which the daemon dies.
    """

    mounts: list[str] = field(default_factory=list)
    allowed: tuple[DeviceRule, ...] = device_rules(())
    links: list[str] = field(default_factory=list)
    link: LinkSnapshot = LINK
    written: str = ""
    fatal: int | None = None
    ticks: int = 0
    refuse: str | None = None
    most: int = 9000
    """Bytes of a packet that the link takes."""

    def tick(self) -> None:
        self.ticks += 1
        if self.fatal is not None and self.ticks >= self.fatal:
            raise Died

    def write(self, record: ContainerRecord) -> None:
        self.tick()
        self.written = json.dumps(record.encode())

    def allow(self, group: Cgroup, rules: Iterable[DeviceRule]) -> None:
        self.tick()
        self.allowed = tuple(rules)

    async def perform(
        self, running: Running, steps: Sequence[GuestStep], fds: Mapping[str, int], *, permitted: int
    ) -> None:
        for step in steps:
            self.tick()
            match step:
                case AttachMount(target=target):
                    if target == self.refuse:
                        raise StepError("the guest says no", step=str(step), errno=errno.EPERM)
                    self.mounts.append(target)
                case DetachMount(target=target):
                    self.mounts = [each for each in self.mounts if each != target]

    @property
    def record(self) -> ContainerRecord:
        return ContainerRecord.decode(json.loads(self.written))


class Links(Network):
    """Interfaces of the host that a step makes."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self.host = host

    async def disconnect(self, connected: Sequence[Any]) -> None:
        self.host.tick()
        self.host.links.clear()

    async def look_at_link(self, name: str, change: LinkChange, *, network: int) -> LinkSnapshot:
        return self.host.link

    async def change_link(
        self,
        former: LinkSnapshot,
        change: LinkChange,
        addresses: Sequence[Address],
        routes: Sequence[Route],
        *,
        network: int,
    ) -> None:
        """Name first, then MTU; anything may happen in between."""
        self.host.tick()
        self.host.link = replace(self.host.link, name=change.name or former.name)
        self.host.tick()
        if change.mtu is not None and change.mtu > self.host.most:
            raise OperationFailedError("cannot change the link 'eth0': mtu greater than device maximum")
        self.host.link = replace(self.host.link, mtu=change.mtu or former.mtu)

    async def restore_link(self, former: LinkSnapshot, change: LinkChange, *, network: int) -> None:
        self.host.tick()
        self.host.link = former


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetch(HostStep):
    """Fetch a tree, or fail."""

    phrase: ClassVar[str] = "fetch {name}"

    name: str
    fails: bool = False

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        if self.fails:
            raise OSError(errno.EIO, "the disk says no")
        context.fds[self.name] = null()
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Connect(HostStep):
    """Make an interface, known only once it is made."""

    phrase: ClassVar[str] = "connect"

    host: Any

    async def perform(self, context: HostContext) -> tuple[Holding, ...]:
        self.host.links.append("vnet0")
        return (Interfaces(connected=(CONNECTED,)),)


def changes_of(host: Host) -> RunningChanges:
    release = Release(hierarchies=Hierarchies(), interfaces=Links(host))
    return RunningChanges(
        facts=UNIFIED,
        inside=cast("InsideSteps", host),
        release=release,
        interfaces=Links(host),
        permitted=lambda: 0,
    )


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    record = record_of(os.getpid())
    made = Running(record=record, group=Cgroup(Hierarchies(), "g"), pidfd=Fd(os.pidfd_open(os.getpid())))
    monkeypatch.setattr(Cgroup, "frozen", False)
    yield made
    made.close()


def change_of(
    host: Host,
    running: Running,
    targets: Sequence[str],
    *,
    broken: int | None = None,
    connects: bool = False,
    allows: bool = False,
) -> Change:
    steps: list[HostStep] = [Fetch(why="-", name=each, fails=number == broken) for number, each in enumerate(targets)]
    if connects:
        steps.insert(len(steps) // 2, Connect(why="-", host=host))
    if allows:
        former = device_rules(())
        steps.insert(len(steps) // 2, ChangeDevices(why="-", path="g", rules=device_rules((FUSE,)), former=former))
    mounts = tuple(GuestMount(target=each, device=1, inode=2) for each in targets)
    return Change(
        host=tuple(steps),
        inside=tuple(AttachMount(why="-", source=each, target=each) for each in targets),
        holds=lambda context: mounts,
        spec=replace(running.record.spec, devices=(FUSE,) if allows else ()),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(0, 3),
    broken=st.none() | st.integers(0, 3),
    refused=st.none() | st.integers(0, 3),
    connects=st.booleans(),
    allows=st.booleans(),
)
def test_a_change_that_fails_at_any_step_or_is_cut_short_anywhere_is_taken_back_by_one_walk(
    running: Running,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    broken: int | None,
    refused: int | None,
    connects: bool,
    allows: bool,
) -> None:
    targets = [f"/mnt/{number}" for number in range(count)]
    before, fatal = record_of(os.getpid()), 1
    fails = (broken is not None and broken < count) or (refused is not None and refused < count)
    while True:
        host = Host(fatal=fatal, refuse=None if refused is None else f"/mnt/{refused}")
        monkeypatch.setattr(Cgroup, "allow_devices", lambda group, rules, host=host: host.allow(group, rules))
        host.written = json.dumps(before.encode())
        running.record = before
        change = change_of(host, running, targets, broken=broken, connects=connects, allows=allows)
        died = False
        try:
            completed(changes_of(host).perform(running, change, host.write))
        except Died:
            died = True
        except StepError:
            assert fails
        if not died:
            break
        # The next daemon reads the record, and settles. What goes with its maker only, an interface in the guest's
        # network whose record was never written, is the guest's end's to take away.
        host.fatal = None
        later = Running(record=host.record, group=running.group)
        completed(changes_of(host).settle(later, host.write))
        finished = {each.target for each in later.record.holdings if isinstance(each, GuestMount)}
        assert set(host.mounts) == finished, "what is attached is what the record tells"
        assert finished in (set(), set(targets))
        assert host.record == later.record
        assert host.allowed == device_rules(later.record.spec.devices), "what may be used is what the record tells"
        fatal += 1
    held = {each.target for each in running.record.holdings if isinstance(each, GuestMount)}
    assert set(host.mounts) == held == (set() if fails else set(targets))
    assert host.links == ([] if fails or not connects else ["vnet0"])
    assert host.record == running.record
    assert host.allowed == device_rules(running.record.spec.devices)
    assert fails or all(getattr(each, "made", True) for each in running.record.holdings)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mtu=st.none() | st.sampled_from([1400, 9001]), name=st.none() | st.just("lan0"), known=st.booleans())
def test_a_link_that_is_changed_in_part_is_what_it_was_and_a_changed_one_what_the_record_tells(
    running: Running, mtu: int | None, name: str | None, known: bool
) -> None:
    """known: the spec has it, else the guest has made it."""
    assume((mtu, name) != (None, None))
    held = replace(CONNECTED, guest="eth0")
    before = record_of(os.getpid(), holdings=(Interfaces(connected=(held,)),))
    before = replace(before, spec=replace(before.spec, interfaces=(CARD,) if known else ()))
    change, fatal = LinkChange(mtu=mtu, name=name), 1
    while True:
        host = Host(fatal=fatal)
        host.written = json.dumps(before.encode())
        running.record = before
        died = False
        try:
            completed(changes_of(host).change_link(running, "eth0", change, host.write))
        except Died:
            died = True
        except OperationFailedError:
            assert mtu == 9001
        if died:
            host.fatal = None
            later = Running(record=host.record, group=running.group, pidfd=Fd(os.pidfd_open(os.getpid())))
            completed(changes_of(host).settle(later, host.write))
            later.close()
        record = host.record
        assert not any(isinstance(each, FormerLink) for each in record.holdings)
        changed = record.spec != before.spec if known else host.link != LINK
        assert host.link == (replace(LINK, name=name or "eth0", mtu=mtu or 1500) if changed else LINK)
        if known:
            assert [each.guest for each in (*record.spec.interfaces, *record.connected)] == [host.link.name] * 2
        if not died:
            assert record == running.record and changed == (mtu != 9001)
            break
        fatal += 1


def test_a_link_of_a_shared_network_is_not_changed(running: Running) -> None:
    spec = running.record.spec
    shared = SharedNamespace(kind=Namespace.NETWORK, path="/run/netns/web")
    for other in (replace(spec, network=NetworkKind.HOST), replace(spec, shared_namespaces=(shared,))):
        running.record = replace(running.record, spec=other)
        with pytest.raises(OperationInvalidError, match="has no network of its own"):
            completed(changes_of(Host()).change_link(running, "lo", LinkChange(up=False)))


def test_nothing_is_changed_of_a_guest_that_has_ended(running: Running) -> None:
    with subprocess.Popen(["true"]) as ended:
        pidfd = Fd(os.pidfd_open(ended.pid))
        ended.wait()
        gone = Running(record=replace(running.record, pid=ended.pid), group=running.group, pidfd=pidfd)
    with pytest.raises(OperationInvalidError, match="has ended"):
        completed(changes_of(Host()).change_link(gone, "lo", LinkChange(up=False)))
    gone.close()


def test_the_record_tells_of_what_is_attached(running: Running, tmp_path: Path) -> None:
    host = Host()
    changes = changes_of(host)
    first, second = TmpfsMount(target="/a"), BindMount(source=str(tmp_path), target="/b", idmapped=False)
    for mount in (first, second):
        change = Change(
            host=(Fetch(why="-", name="mount"),),
            inside=(AttachMount(why="-", source="mount", target=mount.target),),
            holds=lambda context, mount=mount: (GuestMount(target=mount.target, device=1, inode=2),),  # type: ignore[misc]
            spec=replace(running.record.spec, mounts=(*running.record.spec.mounts, mount)),
        )
        completed(changes.perform(running, change, host.write))
    assert host.record.spec.mounts == (first, second)


def test_a_record_that_cannot_be_written_changes_nothing(running: Running) -> None:
    host = Host()

    def refuse(record: ContainerRecord) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = running.record
    with pytest.raises(OSError, match="No space"):
        completed(
            changes_of(host).perform(running, change_of(host, running, ["/a"], broken=None, connects=False), refuse)
        )
    assert (host.mounts, running.record) == ([], before)
