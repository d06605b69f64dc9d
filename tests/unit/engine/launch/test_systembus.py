import os
import socket
import threading
from collections.abc import Iterator

import pytest
from jeepney import DBusAddress, Message, new_method_call, new_signal

from insula.engine.launch.systembus import BusError, SystemBus
from tests.unit.engine.launch.fakebus import FakeBus, refused, returned
from tests.waiting import until

ADDRESS = DBusAddress("/org/example", bus_name="org.example", interface="org.example.Thing")


def call(name: str = "Ask", number: int = 0) -> Message:
    return new_method_call(ADDRESS, name, "u", (number,))


def echo(message: Message) -> Message:
    return returned(message, "u", message.body[0])


@pytest.fixture
def fake() -> Iterator[FakeBus]:
    made = FakeBus(echo)
    yield made
    made.close()


@pytest.fixture
def bus(fake: FakeBus) -> Iterator[SystemBus]:
    made = SystemBus(fake.opened)
    yield made
    made.close()


def test_calls_share_one_connection(bus: SystemBus, fake: FakeBus) -> None:
    assert [bus.call(call(number=number)) for number in range(3)] == [(0,), (1,), (2,)]
    assert fake.connections == 1


def test_every_caller_gets_his_own_answer(bus: SystemBus, fake: FakeBus) -> None:
    held: list[Message] = []

    def backwards(message: Message) -> Message | None:
        held.append(message)
        return None

    fake.answer = backwards
    calls = [bus.send(call(number=number)) for number in range(3)]
    until(lambda: len(held) == 3, "all calls having arrived")
    for message in reversed(held):
        fake.say(echo(message).serialise(serial=9))
    assert [each.body() for each in calls] == [(0,), (1,), (2,)]


def test_a_refusal_has_the_services_name_and_words(bus: SystemBus, fake: FakeBus) -> None:
    fake.answer = lambda message: refused(message, "org.example.No", "not today")
    with pytest.raises(BusError, match=r"^not today$") as raised:
        bus.call(call())
    assert raised.value.name == "org.example.No"


def test_signals_and_the_connections_end_are_heard_by_who_wants_to(fake: FakeBus) -> None:
    heard: list[str | None] = []

    def hear(message: Message | None) -> None:
        heard.append(None if message is None else str(message.body[0]))

    bus = SystemBus(fake.opened, hear)
    bus.call(call())
    fake.say(new_signal(ADDRESS, "Happened", "s", ("it",)).serialise(serial=7))
    until(lambda: heard == ["it"], "the signal being heard")
    fake.restart()
    until(lambda: heard == ["it", None], "the end being heard")
    bus.close()
    assert heard == ["it", None]


def test_a_bus_that_was_restarted_is_connected_to_again(bus: SystemBus, fake: FakeBus) -> None:
    assert bus.call(call(number=1)) == (1,)
    fake.restart()
    until(lambda: called(bus) == (2,), "a new connection")
    assert fake.connections == 2


def called(bus: SystemBus) -> tuple[object, ...] | None:
    try:
        return bus.call(call(number=2))
    except BusError:
        return None


def test_a_call_that_is_lost_with_the_connection_fails(bus: SystemBus, fake: FakeBus) -> None:
    fake.silent = True
    lost = bus.send(call())
    until(lambda: fake.members() == ["Ask"], "the call having arrived")
    fake.restart()
    with pytest.raises(BusError, match="the system bus has gone") as raised:
        lost.body()
    assert raised.value.name == ""
    assert lost.answered(0)


def test_nobody_waits_longer_than_he_says(bus: SystemBus, fake: FakeBus) -> None:
    fake.silent = True
    asked = bus.send(call())
    assert not asked.answered(0.01)
    with pytest.raises(BusError, match=r"has not answered for 0\.01 s"):
        asked.body(0.01)


def test_signals_and_answers_to_nothing_are_passed_over(bus: SystemBus, fake: FakeBus) -> None:
    assert bus.call(call(number=1)) == (1,)
    fake.say(new_signal(ADDRESS, "Happened").serialise(serial=7))
    stray = echo(fake.calls[0])
    fake.say(stray.serialise(serial=8))
    assert bus.call(call(number=2)) == (2,)
    assert fake.connections == 1


def test_a_bus_that_talks_nonsense_is_left(bus: SystemBus, fake: FakeBus) -> None:
    fake.silent = True
    lost = bus.send(call())
    fake.say(b"x" * 4096)
    with pytest.raises(BusError, match="the system bus has gone"):
        lost.body(10)


def test_many_threads_may_call_at_once(bus: SystemBus, fake: FakeBus) -> None:
    answers: dict[int, object] = {}

    def ask(number: int) -> None:
        answers[number] = bus.call(call(number=number))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert answers == {number: (number,) for number in range(20)}
    assert fake.connections == 1


def test_no_bus_is_an_error_that_says_so() -> None:
    def none() -> socket.socket:
        raise FileNotFoundError(2, "no such file", "/run/dbus/system_bus_socket")

    with pytest.raises(BusError, match="there is no system bus"):
        SystemBus(none).call(call())


def test_a_bus_that_turns_us_away_is_an_error_that_says_so() -> None:
    ours, theirs = socket.socketpair()
    ours.sendall(b"REJECTED EXTERNAL\r\n")
    with ours, pytest.raises(BusError, match="does not let us in"):
        SystemBus(lambda: theirs).call(call())


def test_a_connection_is_not_shared_with_a_forked_process(bus: SystemBus, fake: FakeBus) -> None:
    bus.call(call())
    child = os.fork()
    if child == 0:
        try:
            bus._opened = _no_more
            bus.call(call())
        except BusError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert bus.call(call(number=3)) == (3,)
    assert fake.connections == 1


def _no_more() -> socket.socket:
    raise FileNotFoundError(2, "none in here")


def test_closing_leaves_no_thread_and_the_next_call_connects_again(bus: SystemBus, fake: FakeBus) -> None:
    before = threading.active_count()
    bus.call(call())
    bus.close()
    fake.close()
    until(lambda: threading.active_count() == before, "its threads having ended")
    assert bus.call(call(number=1)) == (1,)
