"""The verbs on real containers: a domain's whole life, without the wire."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from insula.errors import (
    OperationFailedError,
    OperationInvalidError,
    OperationUnsupportedError,
    UnsupportedConfigError,
)
from insula.model.domainstates import DomainState, ShutoffReason
from insula.model.numbers import AddressSource, Affect, StatsTypes
from insula.model.xmlnamespaces import INSULA_NAMESPACE
from insula.service.events import DomainIdentity
from insula.service.runrecord import StopReason
from tests.descriptors import open_names
from tests.services import UUID_OF_GUEST, Service, driven, guest_xml, layout_below, program, serving, until
from tests.waiting import patience

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped")

WAITS = program("trap 'exit 7' TERM", "echo ready", "while :; do sleep 1000 & wait $!; done")
"""A program that prints `ready` and ends with status 7 on SIGTERM."""


@pytest.fixture
def service(scratch: Path) -> Iterator[Service]:
    with serving(layout_below(scratch)) as opened:
        yield opened


async def started(service: Service, root: Path, *, init: str = "", more: str = "") -> DomainIdentity:
    ref = await service.domains.define(guest_xml(str(root), init=init, more=more))
    return await service.domains.start(ref)


async def logged_in(service: Service, ref: DomainIdentity) -> None:
    await service.console_says(ref, ["login:"])
    await service.console_says(ref, ["#"], "root\n")


@driven
async def test_a_busybox_boots_says_so_on_its_console_and_powers_off_when_asked(
    service: Service, busybox_root: Path
) -> None:
    ref = await started(service, busybox_root)
    await logged_in(service, ref)
    said = await service.console_says(ref, ["answer=42"], "echo answer=$((6*7))\n")
    assert "answer=42" in said

    await service.domains.shutdown(ref)
    await service.until_told("stopped shutdown")

    assert service.domains.state(ref).reason is ShutoffReason.SHUTDOWN
    log = service.domains.console_log(ref)
    await until(lambda: log.exists() and "answer=42" in log.read_text(), "the log having reached a busy disk")
    assert log.read_text().count("answer=42") == 1


@driven
async def test_the_guest_sees_a_machine_of_its_own(service: Service, busybox_root: Path) -> None:
    ref = await started(service, busybox_root, init=WAITS)
    await service.console_says(ref, ["ready"])
    seen = await service.run(ref, "/bin/sh", "-c", "hostname; id -u; tr '\\0' '\\n' < /proc/1/environ; ps | wc -l")

    assert seen.status == 0
    assert seen.text.splitlines()[:2] == ["guest", "0"]
    assert "container=lxc-libvirt" in seen.text
    assert f"LIBVIRT_LXC_UUID={UUID_OF_GUEST}" in seen.text
    assert int(seen.text.split()[-1]) < 10
    assert await service.domains.hostname(ref) == "guest"


@driven
async def test_a_reboot_keeps_the_domain_and_changes_its_id(service: Service, busybox_root: Path) -> None:
    before = await started(service, busybox_root)
    await logged_in(service, before)
    await service.domains.reboot(before)
    await service.until_told("reboot")

    after = service.domains.ref(before)
    assert after.uuid == before.uuid
    assert after.id not in (-1, before.id)
    await service.console_says(after, ["login:"])
    assert str(before.id) not in os.listdir("/proc")


@driven
async def test_a_plain_program_is_rebooted_by_ending_and_starting_it(service: Service, busybox_root: Path) -> None:
    ref = await started(service, busybox_root, init=WAITS)
    await service.console_says(ref, ["ready"])
    await service.domains.reboot(ref)
    await service.until_told("reboot")

    await service.console_says(ref, ["ready"])
    assert service.events() == ["defined added", "started booted", "reboot"]


@driven
async def test_a_program_that_does_not_listen_is_told_of_at_once(service: Service, busybox_root: Path) -> None:
    ref = await started(service, busybox_root, init=program("echo ready", "while :; do sleep 1000; done"))
    await service.console_says(ref, ["ready"])
    with pytest.raises(OperationFailedError, match="does not listen"):
        await service.domains.shutdown(ref)
    assert service.domains.is_active(ref)


@pytest.mark.parametrize(
    ("script", "event"),
    [("exit 0", "stopped shutdown"), ("exit 3", "stopped crashed"), ("kill -9 $PPID; exit 5", "stopped crashed")],
)
@driven
async def test_how_a_program_ends_is_told(service: Service, busybox_root: Path, script: str, event: str) -> None:
    await service.domains.create_xml(guest_xml(str(busybox_root), init=program(script)))
    await service.until_told(event)

    assert list(service.domains.list()) == []


@driven
async def test_an_init_killed_from_outside_has_crashed_and_is_restarted_if_that_is_wanted(
    service: Service, busybox_root: Path
) -> None:
    ref = await started(service, busybox_root, init=WAITS, more="<on_crash>restart</on_crash>")
    os.kill(ref.id, signal.SIGKILL)
    await service.until_told("stopped crashed")

    await service.until_told("started booted", 2)
    assert service.domains.ref(ref).id != ref.id


@driven
async def test_waiting_tells_the_wait_status(service: Service, busybox_root: Path) -> None:
    ref = await service.domains.create_xml(guest_xml(str(busybox_root), init=program("exit 9")), paused=True)
    waiting = asyncio.create_task(service.domains.wait(ref))
    await service.domains.resume(ref)
    stopped = await asyncio.wait_for(waiting, patience(20))

    assert (stopped.reason, stopped.status) == (StopReason.CRASHED, 9 << 8)


@pytest.mark.machine("cgroups")
@driven
async def test_a_paused_start_executes_nothing_before_it_is_resumed(
    service: Service, busybox_root: Path, scratch: Path
) -> None:
    shared = scratch / "shared"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    mount = f"<filesystem type='mount'><source dir='{shared}'/><target dir='/mnt'/></filesystem>"
    xml = guest_xml(str(busybox_root), init=program("touch /mnt/here", "sleep 1000"), devices=mount)
    ref = await service.domains.create_xml(xml, paused=True)
    viewer = service.domains.console(ref)
    await asyncio.sleep(0.2)
    assert not (shared / "here").exists()
    assert service.domains.state(ref).state is DomainState.PAUSED

    await service.domains.resume(ref)

    await until((shared / "here").exists, "the program inside touching its file")
    viewer.close()


_LOOKS = 100
"""At a log, in half a second or more."""


@driven
async def test_a_suspended_guest_stands_still(service: Service, busybox_root: Path) -> None:
    ref = await started(service, busybox_root, init=program("while :; do echo tick; sleep 0.02; done"))
    await service.console_says(ref, ["tick"])
    log, sizes = service.domains.console_log(ref), [0]
    await until(log.exists, "the log, which a thread begins on a busy disk")
    await service.domains.suspend(ref)

    def stands_still() -> bool:
        """Whether nothing came for twenty times as long as it pauses; what it had said may still be on its way."""
        sizes.append(log.stat().st_size)
        return len(set(sizes[-_LOOKS:])) == 1 and len(sizes) > _LOOKS

    await until(stands_still, "the guest standing still")
    size = sizes[-1]
    with pytest.raises(OperationInvalidError, match="paused"):
        await service.run(ref, "/bin/true")

    await service.domains.resume(ref)

    await until(lambda: log.stat().st_size > size, "the guest going on")


@pytest.mark.machine("cgroups")
@driven
async def test_a_suspended_guest_can_be_destroyed(service: Service, busybox_root: Path) -> None:
    ref = await started(service, busybox_root, init=WAITS)
    await service.domains.suspend(ref)
    await service.domains.destroy(ref)

    assert service.domains.state(ref).reason is ShutoffReason.DESTROYED


@pytest.mark.machine("cgroups")
@driven
async def test_a_memory_limit_holds_and_changes_while_the_guest_runs(service: Service, busybox_root: Path) -> None:
    ref = await started(service, busybox_root, init=WAITS)
    group = service.domains.of(ref).require_run().container.group
    assert group.limits().memory == 64 << 20
    greedy = ("/bin/sh", "-c", "head -c 60000000 /dev/zero | tail -c 50000000 > /dev/null")
    assert (await service.run(ref, *greedy)).status == 0

    await service.domains.set_memory(ref, 16 << 10, Affect.LIVE)

    assert group.limits().memory == 16 << 20
    assert (await service.run(ref, *greedy)).status != 0
    assert group.oom_kills > 0


@pytest.mark.machine("cgroups")
@driven
async def test_shares_and_quota_reach_the_kernel(service: Service, busybox_root: Path) -> None:
    tune = "<cputune><shares>512</shares><period>50000</period><quota>25000</quota></cputune>"
    ref = await started(service, busybox_root, init=WAITS, more=tune)
    found = {each.name: each.value for each in service.domains.scheduler_parameters(ref, Affect.LIVE)}

    assert found == {"cpu_shares": 512, "vcpu_period": 50000, "vcpu_quota": 25000}


@pytest.mark.machine("cgroups")
@driven
async def test_what_a_guest_uses_is_told(service: Service, busybox_root: Path) -> None:
    ref = await started(service, busybox_root, init=WAITS)
    await service.run(ref, "/bin/sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
    ((_, parameters),) = service.domains.all_stats([ref], StatsTypes.ALL)
    stats = {each.name: each.value for each in parameters}

    assert int(stats["cpu.time"]) > 1_000_000
    assert 0 < int(stats["balloon.rss"]) <= 65536
    assert service.domains.info(ref).cpu_time >= int(stats["cpu.time"])


@pytest.mark.machine("cgroups")
@driven
async def test_signals_reach_the_process_that_the_guest_calls_so(service: Service, busybox_root: Path) -> None:
    ref = await started(service, busybox_root, init=WAITS)
    await service.console_says(ref, ["ready"])
    seen = await service.run(ref, "/bin/sh", "-c", "sleep 777 >/dev/null 2>&1 & echo $!")
    pid = int(seen.text)
    await service.domains.send_signal(ref, pid, signal.SIGKILL)
    gone = await service.run(ref, "/bin/sh", "-c", f"while kill -0 {pid}; do sleep 0.1; done")
    assert "No such process" in gone.text

    await service.domains.send_signal(ref, 1, signal.SIGTERM)
    await service.until_told("stopped crashed")


@driven
async def test_namespaces_are_the_guests(service: Service, busybox_root: Path) -> None:
    permitted = (
        f"<metadata><insula:domain xmlns:insula='{INSULA_NAMESPACE}'><insula:opennamespace/></insula:domain></metadata>"
    )
    ref = await started(service, busybox_root, init=WAITS, more=permitted)
    fds = await service.domains.namespaces(ref)
    try:
        inodes = [os.fstat(fd).st_ino for fd in fds]
        kinds = ("user", "ipc", "uts", "net", "pid", "mnt")
        assert inodes == [os.stat(f"/proc/{ref.id}/ns/{kind}").st_ino for kind in kinds]
        assert not set(inodes) & {os.stat(f"/proc/self/ns/{kind}").st_ino for kind in kinds}
    finally:
        for fd in fds:
            os.close(fd)


@driven
async def test_namespaces_of_a_guest_with_ids_of_its_own_are_not_given_without_a_permission(
    service: Service, busybox_root: Path
) -> None:
    ref = await started(service, busybox_root, init=WAITS)
    with pytest.raises(OperationUnsupportedError, match="insula exec guest -- COMMAND"):
        await service.domains.namespaces(ref)
    theirs = {os.readlink(f"/proc/{ref.id}/ns/{kind}") for kind in ("user", "ipc", "uts", "net", "pid", "mnt")}
    assert not theirs & open_names()


@driven
async def test_a_guest_has_only_loopback_unless_it_is_given_more(service: Service, busybox_root: Path) -> None:
    ref = await started(service, busybox_root, init=WAITS)
    (lo,) = await service.domains.interface_addresses(ref, AddressSource.AGENT)

    assert lo.name == "lo"
    assert [each.address for each in lo.addresses] == ["127.0.0.1", "::1"]
    assert list(await service.domains.interface_addresses(ref, AddressSource.LEASE)) == []


@driven
async def test_a_failed_start_names_the_step_and_leaves_nothing(service: Service, busybox_root: Path) -> None:
    ref = await service.domains.define(guest_xml(str(busybox_root), init="<init>/no/such/init</init>"))
    with pytest.raises(OperationFailedError, match="/no/such/init"):
        await service.domains.start(ref)

    assert service.domains.state(ref).reason is ShutoffReason.FAILED
    assert not list(service.layout.running.iterdir())


@driven
async def test_the_hosts_own_root_is_never_a_guests(service: Service) -> None:
    ref = await service.domains.define(guest_xml("/"))
    with pytest.raises(UnsupportedConfigError, match="host's own"):
        await service.domains.start(ref)


@driven
async def test_many_guests_start_and_end_at_once(service: Service, busybox_root: Path) -> None:
    xmls = [
        guest_xml(str(busybox_root), name=f"g{number}", uuid=UUID(int=number), init=WAITS).replace(
            "<target dir='/'/>", "<target dir='/'/><readonly/>"
        )
        for number in range(1, 9)
    ]
    refs = await asyncio.gather(*(service.domains.create_xml(xml) for xml in xmls))
    assert len({each.id for each in refs}) == 8
    await asyncio.gather(*(service.domains.destroy(ref) for ref in refs))

    assert list(service.domains.list()) == []
    assert service.events().count("stopped destroyed") == 8
