"""A guest's bus, and buses that mean ill: everything has an end."""

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from jeepney import HeaderFields, new_method_return
from jeepney.low_level import Message

from insula.engine.look import guestbus
from insula.engine.look.busmessages import BusFormatError
from insula.engine.look.guestbus import BYTES_MAX, SOCKET, BusRefusalError, GuestBus
from insula.kernel.fds import Fd
from tests.unit.engine.look.fakebus import Answer, FakeBus
from tests.waiting import scaled

WHERE = ("org.example", "/org/example")
DO = ("org.example", "Do")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Fd]:
    descriptor = Fd(os.open(tmp_path, os.O_PATH | os.O_DIRECTORY))
    yield descriptor
    os.close(descriptor)


def opened(root: Fd, seconds: float = 20.0, init: int | None = None) -> GuestBus:
    return GuestBus(root, init=os.getpid() if init is None else init, seconds=scaled(seconds))


def noise(size: int) -> bytes:
    """A signal that nobody asked for."""
    return struct.pack("<cBBBIII", b"l", 4, 0, 1, size, 1, 0) + bytes(size)


def test_what_is_asked_is_answered_and_nothing_is_started_for_it(tmp_path: Path, root: Fd) -> None:
    answers: dict[str, Answer] = {"Do": ("su", ("a", 5)), "State": ("s", "running"), "Count": ("u", 3)}
    with FakeBus(tmp_path, answers) as fake:
        bus = opened(root)
        assert bus.ask(*WHERE, DO, "su", "x", ("y", "z")) == ["a", 5]
        assert bus.text(*WHERE, "org.example", "State") == "running"
        assert bus.number(*WHERE, "org.example", "Count") == 3
        with pytest.raises(BusRefusalError):
            bus.text(*WHERE, "org.example", "Other")
        with pytest.raises(BusFormatError):
            bus.text(*WHERE, "org.example", "Count")
        with pytest.raises(BusFormatError):
            bus.number(*WHERE, "org.example", "State")
        bus.close()
    assert fake.asked[:2] == ["Hello", "Do"] and fake.flags == {2}


def test_messages_that_nobody_asked_for_are_passed_over_to_a_bound(tmp_path: Path, root: Fd) -> None:
    def answered_late(call: Message) -> bytes:
        call.header.fields[HeaderFields.sender] = ":1.7"
        return noise(1000) * 3 + bytes(new_method_return(call, "s", ("yes",)).serialise(serial=9))

    def flood(call: Message) -> bytes:
        return noise(60_000) * (BYTES_MAX // 60_000 + 1)

    with FakeBus(tmp_path, {"Do": answered_late, "Flood": flood}):
        bus = opened(root)
        assert bus.ask(*WHERE, DO, "s") == ["yes"]
        with pytest.raises(OSError, match="said too much"):
            bus.ask(*WHERE, ("org.example", "Flood"), "s")
        bus.close()


@pytest.mark.parametrize("hostile", [b"x" * 64, noise(0)[:4] + b"\xff\xff\xff\x7f" + noise(0)[8:]])
def test_what_is_no_message_ends_the_conversation(tmp_path: Path, root: Fd, hostile: bytes) -> None:
    with FakeBus(tmp_path, {"Do": lambda call: hostile}):
        bus = opened(root)
        with pytest.raises(BusFormatError):
            bus.ask(*WHERE, DO, "s")
        bus.close()


def test_a_bus_that_never_answers_is_given_up(tmp_path: Path, root: Fd) -> None:
    with FakeBus(tmp_path, {"Do": lambda call: b""}):
        bus = opened(root, 0.3)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            bus.ask(*WHERE, DO, "s")
        assert time.monotonic() - began < scaled(10)
        bus.close()


def test_a_bus_that_answers_a_byte_at_a_time_is_given_up(tmp_path: Path, root: Fd) -> None:
    path = tmp_path / SOCKET.lstrip("/")
    path.parent.mkdir(parents=True)
    over = threading.Event()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                while not over.wait(0.01):
                    try:
                        connection.sendall(b"O")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            with pytest.raises(TimeoutError):
                opened(root, 0.3)
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("login", [b"REJECTED\r\n", b"OK" * 1000])
def test_a_bus_that_lets_nobody_in_is_none(tmp_path: Path, root: Fd, login: bytes) -> None:
    with FakeBus(tmp_path, {}, login=login), pytest.raises((BusRefusalError, BusFormatError)):
        opened(root)


def test_a_socket_that_init_does_not_listen_at_is_not_spoken_to(tmp_path: Path, root: Fd) -> None:
    with FakeBus(tmp_path, {}) as fake, pytest.raises(PermissionError, match="init does not listen"):
        opened(root, init=1)
    assert fake.asked == []


def test_what_is_no_socket_is_not_spoken_to(tmp_path: Path, root: Fd) -> None:
    with pytest.raises(FileNotFoundError):
        opened(root)
    path = tmp_path / SOCKET.lstrip("/")
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    with pytest.raises(OSError, match="no socket"):
        opened(root)


def test_a_link_leads_nowhere_out_of_the_root(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    inside.mkdir()
    with FakeBus(outside, {}):
        (inside / "run").symlink_to(outside / "run")
        descriptor = Fd(os.open(inside, os.O_PATH | os.O_DIRECTORY))
        try:
            with pytest.raises(FileNotFoundError):
                opened(descriptor)
        finally:
            os.close(descriptor)


def test_the_bounds_are_those_of_an_honest_bus() -> None:
    assert guestbus.BYTES_MAX > 2 * 1000 * 300  # the list of a thousand failed units
