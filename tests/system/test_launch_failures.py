"""A launch that fails, at whatever step, leaves nothing behind and names the step."""

import errno
import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from insula.engine.interfaceperformer import ConnectedInterface
from insula.engine.interfacespec import Interface, VethInterface
from insula.engine.keeper.link import completed
from insula.engine.keeper.protocol import Verb
from insula.engine.launch.attempt import LaunchAttempt
from insula.engine.launch.holdings import Remains
from insula.engine.launch.launcher import Launcher
from insula.engine.plan.plan import LaunchPlan
from insula.engine.spec import Access, BindMount, Bytes, ContainerSpec, Limits, TmpfsRoot
from insula.engine.steps.guest.roottree import MakeFilesystem
from insula.engine.steps.host.hoststep import HostStep
from insula.errors import InvalidArgumentError, OperationFailedError, StepError
from tests.guests import Guests, spec
from tests.nolinks import NoLinks
from tests.waiting import until


class RecordingPerformer(NoLinks):
    """Says what it was asked, and makes nothing."""

    def __init__(self, *, fail: bool = False) -> None:
        self.connected: list[int] = []
        self.disconnected = 0
        self._fail = fail

    async def connect(
        self, interfaces: Sequence[Interface], *, netns_pid: int, netlink: int
    ) -> tuple[ConnectedInterface, ...]:
        if self._fail:
            raise OperationFailedError("no bridge 'br7'")
        assert netlink >= 0
        self.connected.append(netns_pid)
        return (ConnectedInterface(guest="eth0", host="v0", host_index=1, bridge=None, mac="00:16:3e:00:00:01"),)

    async def disconnect(self, connected: Sequence[ConnectedInterface]) -> None:
        self.disconnected += len(connected)


def rich(root: Path, scratch: Path) -> ContainerSpec:
    """Return a container with something for most kinds of steps."""
    source = scratch / "source"
    source.mkdir(exist_ok=True)
    return spec(
        TmpfsRoot(lower=(str(root),)),
        "sleep 1000",
        mounts=(BindMount(source=str(source), target="/mnt", access=Access.READ_ONLY),),
        limits=Limits(pids=100),
        interfaces=(VethInterface(guest="eth0"),),
        nameservers=("192.0.2.1",),
        sysctls=(("net.ipv4.ip_forward", "1"),),
    )


def nothing_is_left(guests: Guests) -> bool:
    return not guests.ask(Verb.HELLO)["guests"]


@pytest.mark.timeout(300)
def test_failing_at_any_step_of_the_hosts_undoes_all_before(
    guests: Guests, busybox_root: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    performer = RecordingPerformer()
    launcher = Launcher(facts=guests.facts, link=guests.link, interfaces=performer)
    wanted = rich(busybox_root, scratch)
    plan = launcher.plan(wanted)
    steps = (*plan.before, *plan.meanwhile)
    perform = LaunchAttempt._perform
    for failing in steps:

        async def fail_at(self: LaunchAttempt, step: HostStep, failing: HostStep = failing) -> None:
            if step == failing:
                monkeypatch.setattr(type(step), "perform", refuse)
            await perform(self, step)

        async def refuse(self: HostStep, site: object) -> None:
            raise OSError(errno.EIO, "the disk says no", "/somewhere")

        with monkeypatch.context() as patched:
            patched.setattr(LaunchAttempt, "_perform", fail_at)
            real = type(failing).perform
            with pytest.raises(StepError, match="the disk says no: /somewhere") as caught:
                completed(launcher.launch(wanted))
            monkeypatch.setattr(type(failing), "perform", real)
        assert caught.value.step == str(failing)
        assert caught.value.errno == errno.EIO
        assert nothing_is_left(guests)
    assert len(performer.connected) == performer.disconnected


@pytest.mark.timeout(300)
def test_failing_at_any_step_inside_ends_the_child_and_undoes_all(
    guests: Guests, busybox_root: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    performer = RecordingPerformer()
    launcher = Launcher(facts=guests.facts, link=guests.link, interfaces=performer)
    wanted = rich(busybox_root, scratch)
    plan = launcher.plan(wanted)
    broken = MakeFilesystem(why="none", name="none", fstype="nonsense", options=[], attributes=[])

    def check(broken_plan: LaunchPlan) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(launcher, "plan", lambda _: broken_plan)
            with pytest.raises(StepError, match=r"cannot make a nonsense as none: .*No such device") as caught:
                completed(launcher.launch(wanted))
        assert (caught.value.step, caught.value.errno) == (str(broken), errno.ENODEV)
        assert nothing_is_left(guests)

    for index in range(len(plan.child_early)):
        check(replace(plan, child_early=(*plan.child_early[:index], broken, *plan.child_early[index:])))
    for index in range(len(plan.inside)):
        check(replace(plan, inside=(*plan.inside[:index], broken, *plan.inside[index:])))
    assert len(performer.connected) == performer.disconnected


def test_interfaces_that_cannot_be_made_fail_the_launch_in_their_own_words(
    guests: Guests, busybox_root: Path, scratch: Path
) -> None:
    launcher = Launcher(facts=guests.facts, link=guests.link, interfaces=RecordingPerformer(fail=True))
    with pytest.raises(OperationFailedError, match=r"^no bridge 'br7'$"):
        completed(launcher.launch(rich(busybox_root, scratch)))
    assert nothing_is_left(guests)


def test_interfaces_are_connected_in_the_guests_network_and_disconnected_at_its_end(
    guests: Guests, busybox_root: Path, scratch: Path
) -> None:
    performer = RecordingPerformer()
    launcher = Launcher(facts=guests.facts, link=guests.link, interfaces=performer)
    running = completed(launcher.launch(rich(busybox_root, scratch)))
    assert performer.connected == [running.pid]
    assert [each.guest for each in running.record.connected] == ["eth0"]
    completed(launcher.teardown.destroy(running))
    assert performer.disconnected == 1


def test_a_missing_source_is_named(guests: Guests, busybox_root: Path) -> None:
    mount = BindMount(source="/no/such/directory", target="/mnt")
    with pytest.raises(StepError, match="No such file or directory: /no/such/directory"):
        guests.launch(spec(busybox_root, "true", mounts=(mount,)))


def test_a_file_system_that_cannot_shift_owners_is_named_with_the_way_out(guests: Guests, busybox_root: Path) -> None:
    mount = BindMount(source="/proc/sys", target="/mnt")
    way_out = r"\(proc\).*switch the id mapping of this mount off \(insula:idmap='off'\).*: /proc/sys"
    with pytest.raises(StepError, match=way_out):
        guests.launch(spec(busybox_root, "true", mounts=(mount,)))


@pytest.mark.parametrize("access", Access)
def test_a_file_system_below_what_is_shown_that_cannot_shift_owners_is_told_apart(
    guests: Guests, busybox_root: Path, scratch: Path, access: Access
) -> None:
    (scratch / "shown/below").mkdir(parents=True)
    subprocess.run(["mount", "--bind", "/proc/sys", scratch / "shown/below"], check=True)
    try:
        mount = BindMount(source=str(scratch / "shown"), target="/mnt", access=access)
        with pytest.raises(StepError, match=r"mounted below it cannot.*by a <filesystem> of its own"):
            guests.launch(spec(busybox_root, "true", mounts=(mount,)))
    finally:
        subprocess.run(["umount", scratch / "shown/below"], check=True)


def test_a_refused_spec_touches_nothing(guests: Guests, busybox_root: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="privileged"):
        guests.launch(spec(busybox_root, "true", idmap=None))
    assert nothing_is_left(guests)


@pytest.mark.machine("cgroups")
def test_a_launch_cut_short_is_undone_from_its_note(guests: Guests, busybox_root: Path) -> None:
    notes: list[Remains] = []
    running = completed(guests.launcher.launch(spec(busybox_root, "sleep 1000"), write_intent=notes.append))
    wanted = notes[-1]  # one for each pid that was tried
    assert (wanted.uuid, wanted.launch) == (running.uuid, running.record.launch)
    completed(guests.launcher.teardown.take_away(replace(wanted, launch="another")))
    assert running.group.processes()
    for _ in range(2):
        completed(guests.launcher.teardown.take_away(Remains.decode(json.loads(json.dumps(wanted.encode())))))
    until(lambda: not running.group.exists(), "the group's end")
    assert nothing_is_left(guests)
    running.close()


def test_too_little_memory_is_told(guests: Guests, busybox_root: Path) -> None:
    with pytest.raises(StepError, match="killed it for want of memory; it needs a higher limit"):
        guests.launch(spec(busybox_root, "sleep 1000", limits=Limits(memory=Bytes(4096))))
    assert nothing_is_left(guests)
