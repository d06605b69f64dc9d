"""The blocking client against a server on another thread: calls, errors, descriptors, messages, and losing it."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.errors import (
    DomainNotFoundError,
    InsulaError,
    NoSupportError,
    OperationFailedError,
    ReadOnlyError,
    RpcError,
)
from insula.layout import Layout
from insula.rpc.connection import Call
from insula.rpc.procedures import Insula, Keepalive, Remote
from insula.sdk import verbs
from insula.sdk.blocking import Blocking, connect
from tests.descriptors import open_fds
from tests.fakeserver import FakeServer, FakeSession, replying
from tests.unit.sdk.answers import ANSWERS, RUNNING, WEB
from tests.waiting import patience, scaled, until


@pytest.fixture
def client(server: FakeServer) -> Iterator[Blocking]:
    with connect(server.path) as connected:
        yield connected


def open_count() -> int:
    return len(open_fds())


def test_connecting_authenticates_and_opens(server: FakeServer, client: Blocking) -> None:
    assert server.calls == ["AUTH_LIST", "CONNECT_OPEN"]


def test_a_call_returns_the_bare_result_or_all_of_several_or_none(client: Blocking) -> None:
    assert client.call(Remote.DOMAIN_LOOKUP_BY_NAME, "web") == WEB
    state = client.call(Remote.DOMAIN_GET_STATE, dom=WEB, flags=0)
    assert (state.state, state.reason) == (1, 1)
    assert client.call(Remote.DOMAIN_SUSPEND, WEB) is None


def test_an_error_is_raised_as_its_class_with_its_text_once(client: Blocking) -> None:
    with pytest.raises(DomainNotFoundError) as caught:
        client.call(Remote.DOMAIN_LOOKUP_BY_NAME, "nosuch")
    assert str(caught.value) == "no domain with matching name 'nosuch'"
    assert caught.value.message == "Domain not found: no domain with matching name 'nosuch'"


def test_after_an_error_the_connection_goes_on(client: Blocking) -> None:
    with pytest.raises(NoSupportError):
        client.call(Remote.DOMAIN_RESET, WEB, 0)
    assert client.call(Remote.CONNECT_GET_HOSTNAME) == "host.example"


def test_arguments_that_do_not_fit_are_refused_without_the_server(server: FakeServer, client: Blocking) -> None:
    with pytest.raises(RpcError):
        client.call(Remote.DOMAIN_GET_STATE, "web", 0)
    assert len(server.calls) == 2
    assert client.call(Remote.CONNECT_GET_HOSTNAME) == "host.example"


def test_a_read_only_client_is_refused_changes(server: FakeServer) -> None:
    with connect(server.path, read_only=True) as reader, pytest.raises(ReadOnlyError, match="virDomainSuspend"):
        reader.call(Remote.DOMAIN_SUSPEND, WEB)


def test_descriptors_go_out_and_stay_the_callers(client: Blocking) -> None:
    reader, writer = os.pipe()
    result, fds = client.call_with_fds(Insula.DOMAIN_EXEC, WEB, "hello", 0, fds=(reader, writer, writer))
    assert (result.exec, result.pid, fds) == (31, 4711, ())
    assert os.read(reader, 100) == b"hello"
    os.close(reader)
    os.close(writer)


def test_descriptors_come_in_and_are_the_callers(client: Blocking) -> None:
    _, (terminal,) = client.call_with_fds(Insula.DOMAIN_EXEC, WEB, "hello", 0)
    assert os.read(terminal, 100) == b"hello"
    os.close(terminal)


def test_descriptors_that_a_plain_call_does_not_return_are_closed(client: Blocking) -> None:
    before = open_count()
    client.call(Insula.DOMAIN_EXEC, WEB, "hello", 0)
    until(lambda: open_count() == before, "both ends of the pipe being closed")


def test_messages_come_in_with_any_call_and_wait_to_be_taken(client: Blocking) -> None:
    client.call(Remote.DOMAIN_CREATE_WITH_FLAGS, WEB, 0)
    message = client.next_message(patience(5))
    assert message is not None
    assert message.values.msg == (RUNNING, 2, 0)


def test_waiting_for_a_message_that_does_not_come_ends_with_none(client: Blocking) -> None:
    assert client.next_message(0.01) is None


def test_watched_messages_go_to_their_watcher(client: Blocking) -> None:
    queue = client.watch(5)
    client.call(Remote.DOMAIN_DESTROY_FLAGS, WEB, 0)
    assert client.wait_for(lambda: bool(queue), patience(5))
    assert queue.popleft().values.msg == (WEB, 5, 1)
    client.unwatch(5)
    client.call(Remote.DOMAIN_DESTROY_FLAGS, WEB, 0)
    assert client.next_message(patience(5)) is not None


def test_a_ping_is_answered_while_waiting(server: FakeServer, client: Blocking) -> None:
    (session,) = server.sessions
    session.start_keepalive()
    session.do(lambda wire: wire.message(Keepalive.PING))
    assert client.call(Remote.CONNECT_GET_HOSTNAME) == "host.example"
    assert not session.dead


def test_a_server_that_stops_answering_pings_counts_as_dead(tmp_path: Path) -> None:
    stuck = threading.Event()

    def hang(session: FakeSession, call: Call) -> None:
        stuck.wait(patience(20))
        session.connection.reply(call, 0)

    with FakeServer(tmp_path / "s", {**ANSWERS, Insula.EXEC_WAIT: hang}) as server, connect(server.path) as client:
        client.keepalive(interval=0.02, count=2)
        with pytest.raises(OperationFailedError, match="does not answer"):
            client.call(Insula.EXEC_WAIT, 31)
        stuck.set()


def test_pings_keep_a_long_call_alive(tmp_path: Path) -> None:
    calls: list[Call] = []

    def later(session: FakeSession, call: Call) -> None:
        calls.append(call)
        threading.Timer(0.3, lambda: session.do(lambda wire: wire.reply(call, 0))).start()

    with FakeServer(tmp_path / "s", {**ANSWERS, Insula.EXEC_WAIT: later}) as server, connect(server.path) as client:
        client.keepalive(interval=scaled(0.1), count=20)
        assert client.call(Insula.EXEC_WAIT, 31) == 0


def test_a_server_that_hangs_up_ends_the_call_and_every_later_one(server: FakeServer, client: Blocking) -> None:
    server.sessions[0].hang_up()
    for _ in range(2):
        with pytest.raises(OperationFailedError, match=r"ended the connection|broke"):
            client.call(Remote.CONNECT_GET_HOSTNAME)


def test_a_closed_client_says_so(client: Blocking) -> None:
    client.close()
    with pytest.raises(OperationFailedError, match="closed"):
        client.call(Remote.CONNECT_GET_HOSTNAME)


def test_nothing_stays_open_after_a_client(server: FakeServer) -> None:
    before = open_count()
    with connect(server.path) as client:
        client.call(Remote.CONNECT_GET_HOSTNAME)
    server.sessions[0].hang_up()
    until(lambda: open_count() == before, "both ends being closed")


def test_a_conversation_begun_is_waited_for_later(client: Blocking) -> None:
    pending = client.begin(verbs.exec_status(31))
    assert client.call(Remote.CONNECT_GET_HOSTNAME) == "host.example"
    assert client.wait_for(pending.done, patience(5))
    assert pending.result() == 256


def test_conversations_begun_may_fail_later(client: Blocking) -> None:
    pending = client.begin(verbs.by_name("nosuch"))
    with pytest.raises(DomainNotFoundError):
        pending.result()


class Interrupted(Exception):  # noqa: N818 - stands for KeyboardInterrupt, which pytest takes for itself
    """What a signal handler raises."""


def test_an_interrupted_call_is_forgotten_and_its_answer_dropped(tmp_path: Path) -> None:
    waiting: list[tuple[FakeSession, Call]] = []
    answers = {**ANSWERS, Insula.DOMAIN_EXEC: lambda session, call: waiting.append((session, call))}

    def interrupt(*_: object) -> None:
        raise Interrupted

    previous = signal.signal(signal.SIGUSR1, interrupt)
    later = threading.Timer(0.05, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
    try:
        with FakeServer(tmp_path / "s", answers) as server, connect(server.path) as client:
            later.start()
            with pytest.raises(Interrupted):
                client.call(Insula.DOMAIN_EXEC, WEB, "x", 0)
            session, call = until(lambda: waiting, "the call being seen")[0]
            before = open_count()
            session.do(lambda wire: wire.reply(call, 1, 2, fds=[0]))
            assert client.call(Remote.CONNECT_GET_HOSTNAME) == "host.example"
            assert open_count() == before
    finally:
        later.join()
        signal.signal(signal.SIGUSR1, previous)


def test_the_socket_is_found_by_path_by_layout_and_by_prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout.prefix(tmp_path)
    layout.socket.parent.mkdir(parents=True)
    monkeypatch.setenv("INSULA_PREFIX", str(tmp_path))
    with FakeServer(layout.socket, ANSWERS), FakeServer(layout.socket_read_only, ANSWERS) as reading:
        for where in (str(layout.socket), layout.socket, layout, None):
            with connect(where) as client:
                assert client.call(Remote.CONNECT_GET_HOSTNAME) == "host.example"
        with connect(layout, read_only=True) as client, pytest.raises(InsulaError):
            client.call(Remote.DOMAIN_SUSPEND, WEB)
        assert reading.calls[:2] == ["AUTH_LIST", "CONNECT_OPEN"]


def test_a_server_that_refuses_us_leaves_nothing_open(tmp_path: Path) -> None:
    with FakeServer(tmp_path / "s", {Remote.AUTH_LIST: replying([9])}) as s:
        before = open_count()
        with pytest.raises(InsulaError, match="authentication"):
            connect(s.path)
        s.sessions[0].hang_up()
        until(lambda: open_count() == before, "both ends being closed")
