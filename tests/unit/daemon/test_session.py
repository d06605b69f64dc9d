"""One client against the session: coming in, what it may do, calls, descriptors, events, keepalive."""

import asyncio
import json
import os
from contextlib import suppress

import pytest

from insula.daemon import session as session_module
from insula.daemon.clientbounds import SessionLimits
from insula.daemon.config import KeepaliveSettings, SocketAccess
from insula.errorcodes import ErrorCode
from insula.errors import InsulaError
from insula.model.domainstates import LifecycleKind, StartedDetail
from insula.rpc.arrivals import Notification, Reply
from insula.rpc.frames import PROTOCOL_VERSION, Frame, PacketType, RpcProgram, Status, pack_frame
from insula.rpc.procedures import Insula, Lxc, Remote
from insula.rpc.wiretypes import DomainRef
from insula.service.events import LifecycleEvent
from tests.descriptors import open_fds
from tests.unit.daemon.clientend import DOM, connected, failure, until
from tests.unit.daemon.fakes import WEB, parameter
from tests.waiting import patience, scaled

pytestmark = pytest.mark.asyncio


# Coming in


async def test_a_client_asks_how_to_authenticate_opens_and_is_answered() -> None:
    async with connected(opened=False) as both:
        assert (await both.client.call(Remote.AUTH_LIST)).types == (0,)
        assert (await both.client.call(Remote.CONNECT_SUPPORTS_FEATURE, 14)).supported == 1
        assert (await both.client.call(Remote.CONNECT_SUPPORTS_FEATURE, 4)).supported == 0
        await both.client.open()
        assert (await both.client.call(Remote.CONNECT_GET_TYPE)).type == "LXC"


@pytest.mark.parametrize(
    "name", [None, "", "lxc:///", "lxc:///system", "lxc:///session", "lxc+unix:///system?socket=/x"]
)
async def test_the_names_of_this_driver_open_it(name: str | None) -> None:
    async with connected(opened=False) as both:
        await both.client.open(name=name)


@pytest.mark.parametrize("name", ["qemu:///system", "lxc:///other", "nonsense"])
async def test_other_names_do_not(name: str) -> None:
    async with connected(opened=False) as both:
        with failure(ErrorCode.INVALID_ARG):
            await both.client.open(name=name)


async def test_nothing_works_before_the_connection_is_opened_nor_after_it_was_opened_twice() -> None:
    async with connected(opened=False) as both:
        with failure(ErrorCode.OPERATION_INVALID):
            await both.client.call(Remote.CONNECT_LIST_ALL_DOMAINS, 1, 0)
        await both.client.open()
        with failure(ErrorCode.OPERATION_INVALID):
            await both.client.open()


async def test_a_peer_that_may_not_come_in_is_told_so() -> None:
    async with connected(opened=False, admitted=False) as both:
        assert (await both.client.call(Remote.AUTH_LIST)).types == (0,)
        with failure(ErrorCode.AUTH_FAILED):
            await both.client.open()
        with failure(ErrorCode.AUTH_FAILED):
            await both.client.call(Remote.CONNECT_LIST_ALL_DOMAINS, 1, 0)


async def test_a_client_that_closes_gets_its_answer_and_then_the_end() -> None:
    async with connected() as both:
        await both.client.call(Remote.CONNECT_CLOSE)
        await both.client.hung_up()
        assert both.ended == [both.session]


async def test_garbage_ends_the_connection_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with connected() as both:
        both.client.socket.send(b"GET / HTTP/1.1\r\n\r\n")
        await both.client.hung_up()
        assert "broke the protocol" in caplog.text
        assert both.ended == [both.session]


# Read-only


@pytest.mark.parametrize("by_socket", [True, False])
async def test_a_read_only_client_may_look_and_not_touch(by_socket: bool) -> None:
    access = SocketAccess.READ_ONLY if by_socket else SocketAccess.READ_WRITE
    async with connected(access=access, opened=False) as both:
        await both.client.open(read_only=not by_socket)
        assert (await both.client.call(Remote.DOMAIN_GET_STATE, DOM, 0)).state == 5
        for procedure, *arguments in (
            (Remote.DOMAIN_CREATE, DOM),
            (Remote.DOMAIN_DESTROY, DOM),
            (Remote.DOMAIN_DEFINE_XML, "<domain/>"),
            (Remote.DOMAIN_OPEN_CONSOLE, DOM, None, 0),
            (Remote.DOMAIN_GET_XML_DESC, DOM, 1),
            (Lxc.DOMAIN_OPEN_NAMESPACE, DOM, 0),
            (Insula.DOMAIN_EXEC, DOM, "{}", 0),
        ):
            with failure(ErrorCode.OPERATION_DENIED):
                await both.client.call(procedure, *arguments)
        assert both.domains.calls == []


# Calls


async def test_what_this_driver_does_not_have_is_refused_by_the_public_name() -> None:
    async with connected() as both:
        with pytest.raises(InsulaError) as caught:
            await both.client.call(Remote.DOMAIN_MANAGED_SAVE, DOM, 0)
        assert caught.value.code == ErrorCode.NO_SUPPORT
        assert ": virDomainManagedSave: what a container has" in caught.value.message


async def test_an_unknown_domain_has_the_number_clients_look_for() -> None:
    async with connected() as both:
        with pytest.raises(InsulaError, match="no domain with matching name 'nope'") as caught:
            await both.client.call(Remote.DOMAIN_LOOKUP_BY_NAME, "nope")
        assert caught.value.code == ErrorCode.NO_DOMAIN


async def test_unknown_flags_of_a_change_are_refused_in_libvirts_words() -> None:
    async with connected() as both:
        with pytest.raises(InsulaError) as caught:
            await both.client.call(Remote.DOMAIN_DESTROY_FLAGS, DOM, 0x40)
        assert caught.value.message == ("invalid argument: unsupported flags (0x40) in function virDomainDestroyFlags")
        assert both.domains.calls == []


async def test_flags_without_a_name_are_refused_where_others_are_known() -> None:
    async with connected() as both:
        with pytest.raises(InsulaError, match=r"unsupported flags \(0x40000000\) in function virDomainCreateWithFlags"):
            await both.client.call(Remote.DOMAIN_CREATE_WITH_FLAGS, DOM, 1 << 30 | 1)
        assert both.domains.calls == []


async def test_unknown_flags_of_a_question_do_no_harm() -> None:
    async with connected() as both:
        assert (await both.client.call(Remote.CONNECT_LIST_ALL_DOMAINS, 1, 1 << 30)).ret == 2


async def test_a_mistake_of_ours_is_an_internal_error_for_the_client_and_a_trace_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with connected() as both:
        both.domains.error = ZeroDivisionError("oops")
        with failure(ErrorCode.INTERNAL_ERROR):
            await both.client.call(Remote.DOMAIN_CREATE, DOM)
        assert "ZeroDivisionError" in caplog.text
        both.domains.error = None
        await both.client.call(Remote.DOMAIN_CREATE, DOM)


async def test_work_that_gives_up_by_itself_is_told_to_the_client() -> None:
    async with connected() as both:
        both.domains.gate.clear()
        serial = both.client.begin(Remote.DOMAIN_SHUTDOWN, DOM)
        await until(lambda: both.domains.waiting == 1)
        (waiter,) = both.domains.gate._waiters
        waiter.cancel()
        with failure(ErrorCode.OPERATION_ABORTED):
            await both.client.answer(serial)


async def test_a_list_may_be_only_counted() -> None:
    async with connected() as both:
        counted = await both.client.call(Remote.CONNECT_LIST_ALL_DOMAINS, 0, 0)
        assert (counted.domains, counted.ret) == ((), 2)
        listed = await both.client.call(Remote.CONNECT_LIST_ALL_DOMAINS, 1, 0)
        assert [each.name for each in listed.domains] == ["web", "mail"]


async def test_typed_parameters_are_counted_first_and_then_given() -> None:
    async with connected() as both:
        both.domains.values = [parameter("hard_limit", 5), parameter("soft_limit", 6)]
        counted = await both.client.call(Remote.DOMAIN_GET_MEMORY_PARAMETERS, DOM, 0, 0)
        assert (counted.params, counted.nparams) == ((), 2)
        given = await both.client.call(Remote.DOMAIN_GET_MEMORY_PARAMETERS, DOM, 2, 0)
        assert [(each.field, each.value) for each in given.params] == [("hard_limit", 5), ("soft_limit", 6)]


async def test_what_a_usual_call_waits_for_does_not_hold_up_an_urgent_one() -> None:
    async with connected(limits=SessionLimits(calls=2)) as both:
        both.domains.gate.clear()
        slow = [both.client.begin(Remote.DOMAIN_SHUTDOWN, DOM) for _ in range(2)]
        await until(lambda: both.domains.waiting == 2)
        assert (await both.client.call(Remote.DOMAIN_GET_STATE, DOM, 0)).state == 5
        urgent = both.client.begin(Remote.DOMAIN_DESTROY, DOM)
        await until(lambda: both.domains.waiting == 3)
        both.domains.gate.set()
        for each in slow:
            await both.client.answer(each)
        with failure(ErrorCode.OPERATION_INVALID):
            await both.client.answer(urgent)


async def test_a_client_with_too_many_calls_is_not_read_until_some_are_answered() -> None:
    async with connected(limits=SessionLimits(calls=2)) as both:
        both.domains.gate.clear()
        slow = [both.client.begin(Remote.DOMAIN_SHUTDOWN, DOM) for _ in range(3)]
        await until(lambda: both.domains.waiting == 2)
        behind = both.client.begin(Remote.DOMAIN_GET_STATE, DOM, 0)
        await asyncio.sleep(0.05)
        both.client.take()
        assert both.client.events == [] and both.domains.waiting == 2
        both.domains.gate.set()
        for each in (*slow, behind):
            await both.client.answer(each)
        assert len(both.domains.calls) == 3


async def test_waiting_for_a_domain_takes_no_other_calls_turn() -> None:
    async with connected(limits=SessionLimits(calls=1)) as both:
        both.domains.gate.clear()
        waits = [both.client.begin(Insula.DOMAIN_WAIT, DOM, 0) for _ in range(10)]
        await until(lambda: both.domains.waiting == 10)
        assert (await both.client.call(Remote.DOMAIN_GET_XML_DESC, DOM, 2)).xml.startswith("<domain")
        both.domains.gate.set()
        for each in waits:
            assert json.loads((await both.client.answer(each)).outcome) == {"reason": "shutdown", "status": 2}


async def test_many_small_calls_in_one_packet_are_all_answered() -> None:
    async with connected() as both:
        serials = [both.client.connection.call(Remote.DOMAIN_GET_STATE, DOM, 0) for _ in range(500)]
        both.client.send()
        for each in serials:
            assert (await both.client.answer(each)).state == 5


async def test_a_client_that_hangs_up_has_its_calls_given_up_and_its_domains_told() -> None:
    async with connected() as both:
        both.domains.gate.clear()
        for _ in range(8):
            both.client.begin(Remote.DOMAIN_SHUTDOWN, DOM)
        await until(lambda: both.domains.waiting == 5)
        both.client.socket.close()
        await until(lambda: both.ended)
        await both.session.ended_completely()
        assert both.domains.waiting == 0


# File descriptors


async def test_descriptors_of_a_start_reach_the_service_and_are_closed() -> None:
    async with connected() as both:
        before = len(open_fds())
        pipes = [os.pipe() for _ in range(3)]
        for number, (_, writer) in enumerate(pipes):
            os.write(writer, b"fd %d" % number)
            os.close(writer)
        serial = both.client.begin(Remote.DOMAIN_CREATE_WITH_FILES, DOM, 1, fds=tuple(reader for reader, _ in pipes))
        for reader, _ in pipes:
            os.close(reader)
        assert (await both.client.answer(serial)).dom.id == 101
        assert both.domains.calls == [("start", "web", True, False, [b"fd 0", b"fd 1", b"fd 2"])]
        await until(lambda: len(open_fds()) == before)


async def test_descriptors_of_a_start_stay_its_own_although_the_client_hangs_up() -> None:
    async with connected() as both:
        before = len(open_fds())
        reader, writer = os.pipe()
        os.write(writer, b"for init")
        os.close(writer)
        both.domains.gate.clear()
        both.client.begin(Remote.DOMAIN_CREATE_WITH_FILES, DOM, 0, fds=(reader,))
        os.close(reader)
        await until(lambda: both.domains.waiting == 1)
        both.client.socket.close()
        await both.session.ended_completely()
        strangers = os.pipe()
        both.domains.gate.set()
        await until(lambda: both.domains.calls)
        assert both.domains.calls == [("start", "web", False, False, [b"for init"])]
        for each in strangers:
            os.close(each)
        # The client's two ends are closed, and nothing is left.
        await until(lambda: len(open_fds()) == before - 2)


async def test_namespaces_are_sent_in_the_order_a_client_enters_them() -> None:
    async with connected() as both:
        before = len(open_fds())
        serial = both.client.begin(Lxc.DOMAIN_OPEN_NAMESPACE, DOM, 0)
        reply = await both.client.until(lambda each: isinstance(each, Reply) and each.serial == serial)
        links = [os.readlink(f"/proc/self/fd/{each}").partition(":")[0] for each in reply.fds]
        for each in reply.fds:
            os.close(each)
        assert links == ["user", "ipc", "uts", "net", "pid", "mnt"]
        await until(lambda: len(open_fds()) == before)


async def test_descriptors_of_a_refused_call_are_closed() -> None:
    async with connected(access=SocketAccess.READ_ONLY, opened=False) as both:
        await both.client.open()
        before = len(open_fds())
        reader, writer = os.pipe()
        serial = both.client.begin(Remote.DOMAIN_CREATE_WITH_FILES, DOM, 0, fds=(reader, writer))
        os.close(reader)
        os.close(writer)
        with failure(ErrorCode.OPERATION_DENIED):
            await both.client.answer(serial)
        await until(lambda: len(open_fds()) == before)


# Events


async def test_lifecycle_events_reach_who_registered_for_them_and_nobody_else() -> None:
    async with connected() as both:
        every = (await both.client.call(Remote.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, 0, None)).callbackID
        other = DomainRef("mail", bytes(16), -1)
        await both.client.call(Remote.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, 0, other)
        await both.client.call(Remote.DOMAIN_CREATE, DOM)
        message = await both.client.until(lambda each: isinstance(each, Notification))
        assert message.procedure is Remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE
        assert (message.values.callbackID, message.values.msg.dom.name) == (every, "web")
        assert (message.values.msg.event, message.values.msg.detail) == (2, 0)
        await both.client.call(Remote.CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY, every)
        await both.client.call(Remote.DOMAIN_DESTROY, DOM)
        assert not [each for each in both.client.events if isinstance(each, Notification)]


async def test_a_client_that_never_reads_its_events_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session_module, "BACKLOG_LIMIT", 1024 * 1024)
    async with connected() as both:
        await both.client.call(Remote.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, 0, None)
        for _ in range(30_000):
            both.domains.events.publish(
                LifecycleEvent(domain=WEB, kind=LifecycleKind.STARTED, detail=StartedDetail.BOOTED)
            )
            await asyncio.sleep(0)
            if both.ended:
                break
        assert both.ended and "does not read" in caplog.text


# Keepalive


async def test_a_client_that_never_asked_for_keepalive_is_not_pinged() -> None:
    limits = SessionLimits(keepalive=KeepaliveSettings(interval=1, count=1))
    async with connected(limits=limits) as both:
        assert both.session._connection.deadline is None


async def test_a_client_that_asked_and_does_not_answer_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    limits = SessionLimits(keepalive=KeepaliveSettings(interval=1, count=1))
    async with connected(opened=False, limits=limits) as both:
        await both.client.call(Remote.CONNECT_SUPPORTS_FEATURE, 10)
        await both.client.hung_up()  # it reads, but what it should answer is never sent
        assert both.ended and caplog.text.count("did not answer keepalive pings") == 1


async def test_a_client_that_answers_pings_stays() -> None:
    interval = round(scaled(1))
    limits = SessionLimits(keepalive=KeepaliveSettings(interval=interval, count=1))
    async with connected(opened=False, limits=limits) as both:
        await both.client.call(Remote.CONNECT_SUPPORTS_FEATURE, 10)
        deadline = asyncio.get_running_loop().time() + 3 * interval
        while asyncio.get_running_loop().time() < deadline:
            both.client.take()
            both.client.send()
            assert not both.client.at_end
            await asyncio.sleep(0.02)


async def test_programs_share_serials_without_confusion() -> None:
    async with connected() as both:
        first = both.client.begin(Insula.DAEMON_INFO, 0)
        second = both.client.begin(Remote.CONNECT_GET_TYPE)
        assert (await both.client.answer(second)).type == "LXC"
        assert (await both.client.answer(first)).info


@pytest.mark.parametrize(
    ("program", "number", "kind"),
    [(RpcProgram.QEMU, 1, PacketType.CALL), (RpcProgram.REMOTE, 9999, PacketType.CALL), (RpcProgram.KEEPALIVE, 1, 2)],
    ids=["refused", "unknown", "ping"],
)
async def test_what_is_answered_without_a_handler_is_answered_at_once(program: int, number: int, kind: int) -> None:
    async with connected() as both:
        both.client.socket.send(pack_frame(Frame(program, PROTOCOL_VERSION, number, kind, 77, Status.OK, b"")))
        answer = b""
        async with asyncio.timeout(patience(20)):
            while not answer:
                with suppress(BlockingIOError):
                    answer = both.client.socket.recv(1 << 16)
                await asyncio.sleep(0.001)
        assert int.from_bytes(answer[4:8], "big") == program
