"""Whoever dies: the daemon, the keeper, the guest meanwhile. The next ones take over, and nothing is left behind."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.keeper.protocol import Verb
from insula.model.domainstates import DomainState, ShutoffReason
from insula.model.numbers import Affect
from insula.service.events import DomainIdentity
from tests.leaks import is_gone
from tests.services import Service, driven, guest_xml, layout_below, program, serving, until

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped")

WAITS = program("trap 'exit 7' TERM", "echo ready", "while :; do sleep 1000 & wait $!; done")
COUNTS = program("i=0; while :; do i=$((i+1)); echo tick$i; sleep 0.05; done")
ENDS = program("echo ready", "while [ ! -e /mnt/end ]; do sleep 0.02; done", "exit 5")


@pytest.fixture
def service(scratch: Path) -> Iterator[Service]:
    with serving(layout_below(scratch)) as opened:
        yield opened


def shared(scratch: Path) -> tuple[Path, str]:
    """A directory that host and guest see, and its element."""
    directory = scratch / "shared"
    directory.mkdir()
    directory.chmod(0o777)
    return directory, f"<filesystem type='mount'><source dir='{directory}'/><target dir='/mnt'/></filesystem>"


async def keeper_of(service: Service) -> int:
    answer = await service.link.answer(service.link.ask(Verb.HELLO, {}, {}))
    answer.close()
    return int(answer.body["pid"])


async def kill_keeper(service: Service) -> None:
    """Kill the keeper, and return once a new one has been given the guests."""
    keeper, before = await keeper_of(service), service.restored
    os.kill(keeper, signal.SIGKILL)
    await until(lambda: service.restored > before, "a new keeper taking over")


async def transient(service: Service, root: Path, init: str, **parts: str) -> DomainIdentity:
    return await service.domains.create_xml(guest_xml(str(root), init=init, devices=parts.get("devices", "")))


@driven
async def test_a_guest_goes_on_under_the_next_daemon_console_and_all(service: Service, busybox_root: Path) -> None:
    ref = await transient(service, busybox_root, COUNTS)
    await service.console_says(ref, ["tick3"])
    successor = await service.succeeded()

    assert successor.domains.ref(ref) == ref
    await successor.console_says(ref, ["tick1\r", "tick2\r", "tick10\r"])
    assert (await successor.run(ref, "/bin/hostname")).text == "guest\n"
    await successor.domains.destroy(ref)
    assert list(successor.domains.list()) == []
    await successor.close()


@driven
async def test_an_exit_while_no_daemon_was_there_is_told_by_the_next(
    service: Service, busybox_root: Path, scratch: Path
) -> None:
    directory, mount = shared(scratch)
    ref = await service.domains.define(guest_xml(str(busybox_root), init=ENDS, devices=mount))
    started = await service.domains.start(ref)
    await service.console_says(ref, ["ready"])
    await service.vanish()
    (directory / "end").touch()
    await until(lambda: is_gone(started.id), "the guest's end")
    successor = await Service(layout=service.layout, runner=service.runner).open()

    assert successor.domains.state(ref).reason is ShutoffReason.CRASHED
    assert not list(successor.layout.running.iterdir())
    await successor.close()


@driven
async def test_a_reboot_while_no_daemon_was_there_is_completed_by_the_next(
    service: Service, busybox_root: Path, scratch: Path
) -> None:
    directory, mount = shared(scratch)
    ref = await service.domains.start(await service.domains.define(guest_xml(str(busybox_root), devices=mount)))
    await service.console_says(ref, ["login:"])
    waits = "(while [ ! -e /mnt/reboot ]; do sleep 0.02; done; reboot -f) >/dev/null 2>&1 </dev/null &"
    await service.run(ref, "/bin/sh", "-c", waits)
    await service.vanish()
    (directory / "reboot").touch()
    await until(lambda: is_gone(ref.id), "the guest's reboot")
    (directory / "reboot").unlink()
    successor = await Service(layout=service.layout, runner=service.runner).open()

    assert successor.domains.state(ref).state is DomainState.RUNNING
    assert successor.domains.ref(ref).id != ref.id
    await successor.console_says(ref, ["login:"])
    await successor.close()


@driven
async def test_guests_outlive_their_keeper_and_end_properly_under_the_next(
    service: Service, busybox_root: Path
) -> None:
    ref = await transient(service, busybox_root, COUNTS)
    await service.console_says(ref, ["tick3"])
    await kill_keeper(service)

    assert service.domains.state(ref).state is DomainState.RUNNING
    await service.console_says(ref, ["tick20\r"])
    assert (await service.run(ref, "/bin/hostname")).text == "guest\n"
    await service.domains.suspend(ref)
    await service.domains.resume(ref)
    await service.domains.destroy(ref)
    assert service.events()[-1] == "stopped destroyed"


@driven
async def test_a_guest_that_ends_under_a_second_keeper_is_noticed(service: Service, busybox_root: Path) -> None:
    ref = await transient(service, busybox_root, WAITS)
    await service.console_says(ref, ["ready"])
    await kill_keeper(service)
    await service.domains.shutdown(ref)
    await until(lambda: not service.domains.list(), "the guest's end", service.events)

    assert service.events()[-1] in ("stopped shutdown", "stopped failed")


@pytest.mark.machine("endings")
@driven
async def test_daemon_and_keeper_may_both_die(service: Service, busybox_root: Path) -> None:
    ref = await transient(service, busybox_root, WAITS)
    await service.console_says(ref, ["ready"])
    keeper = await keeper_of(service)
    await service.vanish()
    os.kill(keeper, signal.SIGKILL)
    await until(lambda: is_gone(keeper), "the keeper's end")
    successor = await Service(layout=service.layout, runner=service.runner).open()

    assert successor.domains.ref(ref) == ref
    assert (await successor.run(ref, "/bin/hostname")).text == "guest\n"
    await successor.domains.destroy(ref)
    await successor.close()


@pytest.mark.machine("endings")
@driven
async def test_a_guest_that_died_with_daemon_and_keeper_is_off_and_cleared_away(
    service: Service, busybox_root: Path
) -> None:
    ref = await service.domains.start(await service.domains.define(guest_xml(str(busybox_root), init=WAITS)))
    keeper = await keeper_of(service)
    await service.vanish()
    for pid in (keeper, ref.id):
        os.kill(pid, signal.SIGKILL)
    await until(lambda: is_gone(keeper) and is_gone(ref.id), "both their ends")
    successor = await Service(layout=service.layout, runner=service.runner).open()

    # Its zombie may still be there: then the kernel tells the new keeper how it ended.
    await until(lambda: not successor.domains.is_active(ref), "the guest's end being noticed", successor.events)
    assert successor.domains.state(ref).reason in (ShutoffReason.UNKNOWN, ShutoffReason.CRASHED)
    assert not list(successor.layout.running.iterdir())
    await successor.domains.start(ref)
    await successor.close()


@driven
async def test_a_guest_that_was_started_paused_waits_for_the_next_daemon(service: Service, busybox_root: Path) -> None:
    xml = guest_xml(str(busybox_root), init=WAITS)
    ref = await service.domains.create_xml(xml, paused=True)
    successor = await service.succeeded()
    assert successor.domains.state(ref).state is DomainState.PAUSED

    await successor.domains.resume(ref)

    await successor.console_says(ref, ["ready"])
    await successor.close()


@driven
async def test_a_guest_that_was_started_paused_begins_although_its_keeper_died(
    service: Service, busybox_root: Path
) -> None:
    ref = await service.domains.create_xml(guest_xml(str(busybox_root), init=WAITS), paused=True)
    await kill_keeper(service)
    assert service.domains.state(ref).state is DomainState.PAUSED
    await service.domains.resume(ref)

    assert service.domains.state(ref).state is DomainState.RUNNING
    await service.console_says(ref, ["ready"])


@pytest.mark.machine("cgroups")
@driven
async def test_a_suspended_guest_stays_suspended(service: Service, busybox_root: Path) -> None:
    ref = await transient(service, busybox_root, WAITS)
    await service.domains.suspend(ref)
    successor = await service.succeeded()

    assert successor.domains.state(ref).state is DomainState.PAUSED
    await successor.domains.resume(ref)
    assert (await successor.run(ref, "/bin/true")).status == 0
    await successor.close()


@pytest.mark.machine("cgroups")
@driven
async def test_live_limits_are_still_known(service: Service, busybox_root: Path) -> None:
    ref = await transient(service, busybox_root, WAITS)
    await service.domains.set_memory(ref, 32 << 10, Affect.LIVE)
    successor = await service.succeeded()

    assert "<currentMemory unit='KiB'>32768<" in successor.domains.dump_xml(ref)
    await successor.close()
