"""Inside a guest, without its help."""

import asyncio
import os
import signal
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from insula.engine.interfacespec import Address
from insula.engine.spec import IdMap, IdRange, Process
from insula.errors import (
    ArgumentUnsupportedError,
    InvalidArgumentError,
    NoHostnameError,
    OperationFailedError,
    OperationInvalidError,
    OperationUnsupportedError,
)
from insula.model.numbers import AddressSource
from insula.network.guestinterfaces import GuestInterface
from insula.service import guest
from insula.service.events import DomainIdentity
from insula.service.guest import PidPair, guest_processes
from tests.unit.service.fakes import WEB, Rig, domain_xml, until

pytestmark = pytest.mark.asyncio
LO = GuestInterface(name="lo", mac="", up=True, loopback=True, addresses=(Address(address="127.0.0.1", prefix=8),))
ETH0 = GuestInterface(
    name="eth0", mac="52:54:00:00:00:01", up=True, loopback=False, addresses=(Address(address="10.0.0.2", prefix=24),)
)


async def running(rig: Rig) -> DomainIdentity:
    return await rig.domains.create_xml(domain_xml())


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (AddressSource.AGENT, ["lo", "eth0"]),
        (AddressSource.LEASE, ["eth0"]),
        (AddressSource.ARP, ["eth0"]),
    ],
)
async def test_addresses_are_read_inside_whatever_source_is_asked_for(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, source: AddressSource, names: list[str]
) -> None:
    monkeypatch.setattr(guest, "guest_interfaces", lambda pid: (LO, ETH0))

    assert [each.name for each in await rig.domains.interface_addresses(await running(rig), source)] == names


async def test_a_guest_that_is_gone_has_neither_addresses_nor_a_name(rig: Rig) -> None:
    ref = await running(rig)  # its pid is no process of this host's
    with pytest.raises(OperationFailedError):
        await rig.domains.interface_addresses(ref, AddressSource.LEASE)
    with pytest.raises(NoHostnameError):
        await rig.domains.hostname(ref)
    await rig.domains.destroy(ref)


@pytest.mark.parametrize("name", ["\x1b[6n", "a\nb", "\udcff", "x\u202ey"])
async def test_what_a_guest_calls_itself_and_its_interfaces_commands_nobodys_terminal(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(guest, "_hostname_inside", lambda pid: name)
    monkeypatch.setattr(guest, "guest_interfaces", lambda pid: (replace(ETH0, name=name),))
    ref = await running(rig)
    with pytest.raises(NoHostnameError) as told:
        await rig.domains.hostname(ref)
    (interface,) = await rig.domains.interface_addresses(ref, AddressSource.ARP)
    assert str(told.value).isprintable() and interface.name.isprintable()


async def test_what_is_off_has_no_insides(rig: Rig) -> None:
    ref = await rig.domains.define(domain_xml())
    with pytest.raises(OperationInvalidError, match="not running"):
        await rig.domains.hostname(ref)
    with pytest.raises(OperationInvalidError, match="not running"):
        await rig.domains.execute(ref, Process(argv=("/bin/true",)))


async def test_namespaces_of_a_guest_with_ids_of_its_own_need_a_permission(rig: Rig) -> None:
    ranges = (IdRange(inside=0, outside=300000, count=65536),)
    rig.preparation.idmap = IdMap(uids=ranges, gids=ranges)
    ref = await running(rig)
    with pytest.raises(OperationUnsupportedError, match=r"'insula exec web -- COMMAND'.*<insula:opennamespace/>"):
        await rig.domains.namespaces(ref)
    ours = "<insula:domain xmlns:insula='https://insula.dev/xmlns/domain/1'><insula:opennamespace/></insula:domain>"
    xml = domain_xml(name="open", uuid=uuid4()).replace("</name>", f"</name><metadata>{ours}</metadata>")
    assert await rig.domains.namespaces(await rig.domains.create_xml(xml)) == []


async def test_namespaces_of_a_privileged_guest_need_none(rig: Rig) -> None:
    assert await rig.domains.namespaces(await running(rig)) == []


async def test_signals_to_init_go_through_the_engine(rig: Rig) -> None:
    await rig.domains.send_signal(await running(rig), 1, signal.SIGHUP)

    assert rig.host.signals == [(str(WEB), signal.SIGHUP)]


@pytest.mark.parametrize(
    ("pid", "number", "error"),
    [
        (0, 15, ArgumentUnsupportedError),
        (-5, 15, ArgumentUnsupportedError),
        (1, 65, InvalidArgumentError),
        (1, -1, InvalidArgumentError),
        (999999, 15, InvalidArgumentError),
    ],
)
async def test_signals_that_cannot_be_meant_are_refused(
    rig: Rig, pid: int, number: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await rig.domains.send_signal(await running(rig), pid, number)


async def test_processes_are_known_by_both_their_numbers() -> None:
    own = os.getpid()
    found = guest_processes(own, [own, 999999])

    assert found == [PidPair(host_pid=own, guest_pid=own)]
    assert guest_processes(999999, [own]) == []


async def test_a_program_put_in_is_waited_for_and_forgotten_by_the_keeper(rig: Rig) -> None:
    program = await rig.domains.execute(await running(rig), Process(argv=("/bin/true",)), stdio=rig.streams())
    (process,) = rig.host.inside(str(WEB))
    rig.host.end(process, 0x0300)

    assert await rig.domains.wait_executed(program.id) == 0x0300
    await until(lambda: not rig.host.start_keeper().entered)
    with pytest.raises(InvalidArgumentError, match="no signal 0"):
        rig.domains.signal_executed(program.id, 0)


async def test_what_a_client_put_in_ends_with_it_unless_the_guest_has_ended_before(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung_up: list[int] = []

    async def hang_up(leader: int, _end: object, _processes: object) -> None:
        hung_up.append(leader)

    monkeypatch.setattr(guest, "hang_up", hang_up)
    verbs, owner = rig.domains.services.guest, object()
    identity = await running(rig)
    managed = rig.domains.services.domains.by_uuid(identity.uuid)
    program = await verbs.execute(managed, Process(argv=("/bin/true",)), stdio=rig.streams(), owner=owner)
    await verbs.execute(managed, Process(argv=("/bin/true",)), stdio=rig.streams())
    await verbs.connection_closed(object())
    assert hung_up == []
    await verbs.connection_closed(owner)
    assert hung_up == [program.pid]
    await rig.domains.destroy(identity)
    await verbs.connection_closed(owner)
    assert hung_up == [program.pid]


@pytest.mark.parametrize("owned", [True, False])
async def test_a_program_whose_client_goes_right_when_it_begins_is_known_and_ends_with_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, *, owned: bool
) -> None:
    hung_up: list[int] = []

    async def hang_up(leader: int, _end: object, _processes: object) -> None:
        hung_up.append(leader)

    monkeypatch.setattr(guest, "hang_up", hang_up)
    verbs = rig.domains.services.guest
    managed = rig.domains.of(await running(rig))
    real = rig.engine.entrance.execute

    async def execute(*arguments: Any, **options: Any) -> Any:
        executed = await real(*arguments, **options)
        os.close(executed.pidfd)
        raise asyncio.CancelledError  # the client hung up before the answer was looked at

    monkeypatch.setattr(rig.engine.entrance, "execute", execute)
    with pytest.raises(asyncio.CancelledError):
        await verbs.execute(
            managed, Process(argv=("/bin/true",)), stdio=rig.streams(), owner=object() if owned else None
        )
    (identity,) = rig.host.start_keeper().entered
    process = next(each for each in rig.host.processes.values() if each.pid in hung_up or not owned)
    assert len(hung_up) == owned
    assert not verbs.wait_executed(int(identity)).done()
    assert process is not None


async def test_what_an_earlier_daemon_put_in_is_known_and_its_end_told(rig: Rig) -> None:
    identity = await running(rig)
    ended, lives = [
        await rig.domains.execute(identity, Process(argv=("/bin/true",)), stdio=rig.streams()) for _ in range(2)
    ]
    rig.die()
    rig.host.end(rig.host.processes[ended.pid], 5 << 8)
    successor = rig.successor()
    verbs = successor.domains.services.guest
    await verbs.inherit()
    assert await verbs.wait_executed(ended.id) == 5 << 8
    assert successor.host.start_keeper().entered == {str(lives.id)}
    waiting = verbs.wait_executed(lives.id)
    rig.host.end(rig.host.processes[lives.pid], 0)
    assert await waiting == 0
    await successor.close()


async def test_a_probe_of_an_earlier_daemons_is_killed_and_nothing_else_is(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    monkeypatch.setattr(guest, "kill_session", lambda leader, processes: killed.append(leader))
    ref = await running(rig)
    verbs, managed = rig.domains.services.guest, rig.domains.of(ref)
    true = Process(argv=("/bin/true",))
    probe = await verbs.execute(managed, true, stdio=rig.streams(), owner=rig, probing=True)
    await verbs.execute(managed, true, stdio=rig.streams(), owner=rig)
    await verbs.execute(managed, true, stdio=rig.streams())
    successor = rig.successor()
    await successor.domains.services.guest.inherit()
    await successor.domains.recover()
    assert killed == []
    await successor.domains.services.guest.end_probes()
    assert killed == [probe.pid]
    await successor.close()


async def test_who_has_ended_is_not_known_by_the_number_it_had(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "_hostname_inside", lambda pid: "the-hosts-own")
    monkeypatch.setattr(guest, "guest_interfaces", lambda pid: (LO, ETH0))
    ref = await running(rig)
    assert await rig.domains.hostname(ref) == "the-hosts-own"
    monkeypatch.setattr(guest, "has_ended", lambda pidfd: True)
    with pytest.raises(OperationInvalidError, match="has just ended"):
        await rig.domains.hostname(ref)
    with pytest.raises(OperationInvalidError, match="has just ended"):
        await rig.domains.interface_addresses(ref, AddressSource.LEASE)
