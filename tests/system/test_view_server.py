"""The view's server against the kernel: what readers see, also while servers die, and what the hostile cannot."""

import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from insula.kernel.fds import Fd
from insula.kernel.fuse import connect
from insula.kernel.mounts import attach, detach
from insula.view.requestnotes import RequestNotes, make_memory
from insula.view.viewprotocol import ViewVerb, receive_words, send_words
from insula.view.viewserver import ViewServer
from tests.viewtrees import LONG, SmallContent, viewed_guest
from tests.waiting import patience, until

pytestmark = [pytest.mark.requires("fs.fuse"), pytest.mark.machine("mounts")]


@dataclass
class Served:
    """A view's process of the test's own, and guests' views below directories of the test's."""

    scratch: Path
    pid: int = 0
    channel: socket.socket | None = None
    views: list[tuple[Fd, Fd, Path]] = field(default_factory=list)
    requests: int = 0

    def begin(self) -> None:
        """Begin a process, and show it all views there are."""
        path = self.scratch / f"view{self.requests}.sock"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(os.fspath(path))
        listener.listen()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                for device, memory, _ in self.views:
                    os.close(device)
                    os.close(memory)
                ViewServer(SmallContent(), listener).run()
            finally:
                os._exit(0)
        listener.close()
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.connect(os.fspath(path))
        for number in range(len(self.views)):
            self.show(number)

    def show(self, number: int) -> None:
        device, memory, _ = self.views[number]
        guest = viewed_guest(f"{number:016x}").encode()
        self.ask({"verb": ViewVerb.SHOW.value, "guest": guest}, device, memory)

    def ask(self, body: dict[str, object], *fds: int) -> dict[str, object]:
        assert self.channel is not None
        self.channel.settimeout(patience(20))
        self.requests += 1
        send_words(self.channel, {"request": self.requests, **body}, fds)
        answer = receive_words(self.channel)
        assert answer is not None
        assert answer.body.get("answer") == self.requests
        assert "error" not in answer.body, answer.body
        return answer.body

    def add(self) -> Path:
        """Return a new guest's view, attached and served."""
        device, mount = connect("insula-view")
        place = self.scratch / f"view{len(self.views)}"
        place.mkdir()
        target = os.open(place, os.O_PATH | os.O_DIRECTORY)
        self.views.append((device, make_memory(), place))
        self.show(len(self.views) - 1)
        attach(mount, target)
        os.close(target)
        os.close(mount)
        return place

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        assert self.channel is not None
        self.channel.close()

    def end(self) -> None:
        for device, memory, place in self.views:
            os.close(device)
            os.close(memory)
            with contextlib.suppress(OSError):
                detach(os.fspath(place))
        self.kill()


@pytest.fixture
def served(scratch: Path) -> Iterator[Served]:
    made = Served(scratch)
    made.begin()
    yield made
    made.end()


def test_files_directories_and_links_read_as_the_kernels_own_do(served: Served) -> None:
    view = served.add()
    assert (view / "proc/uptime").read_bytes() == b"1.00 2.00\n"
    assert (view / "proc/long").read_bytes() == LONG
    assert (view / "proc/below/link").read_text() == "1.00 2.00\n"
    assert sorted(os.listdir(view)) == ["dev", "proc", "sys"]
    assert os.listdir(view / "sys/devices/system/cpu") == ["online"]
    seen = os.stat(view / "sys/devices/system/cpu/online")
    assert (seen.st_mode & 0o7777, seen.st_size, seen.st_uid) == (0o444, 4096, 0)
    assert not (view / "proc/absent").exists()


def test_nothing_is_written_but_streams(served: Served) -> None:
    view = served.add()
    for refused in (
        lambda: os.open(view / "proc/uptime", os.O_WRONLY),
        lambda: os.chmod(view / "proc/uptime", 0o777),
        lambda: os.mkdir(view / "proc/new"),
        lambda: os.unlink(view / "proc/uptime"),
        lambda: os.setxattr(view / "proc/uptime", "user.x", b"1"),
        lambda: os.mkfifo(view / "fifo"),
    ):
        with pytest.raises(OSError):  # noqa: PT011  # which one is the kernel's choice
            refused()


def test_a_content_is_made_once_an_opener_and_again_from_its_start(served: Served) -> None:
    view = served.add()
    with open(view / "proc/count", "rb", buffering=0) as first, open(view / "proc/count", "rb", buffering=0) as second:
        began = first.read(1)
        other = second.read(10)
        assert int(other) > int(began)
        assert first.read(10) == b"\n"
        assert first.read(10) == b""
        first.seek(0)
        assert int(first.read(10)) > int(other)


def test_a_fault_of_the_content_is_the_readers_error_alone(served: Served) -> None:
    view = served.add()
    with pytest.raises(OSError, match="Input/output"):
        (view / "proc/broken").read_bytes()
    assert (view / "proc/uptime").read_bytes() == b"1.00 2.00\n"


def test_a_stream_is_waited_for_polled_written_and_sought(served: Served) -> None:
    view = served.add()
    reader = os.open(view / "dev/kmsg", os.O_RDONLY)
    assert os.read(reader, 100) == b"first\n"
    said: list[bytes] = []
    waiting = threading.Thread(target=lambda: said.append(os.read(reader, 100)), daemon=True)
    waiting.start()
    poller = os.open(view / "dev/kmsg", os.O_RDWR | os.O_NONBLOCK)
    os.lseek(poller, 0, os.SEEK_END)
    with pytest.raises(BlockingIOError):
        os.read(poller, 100)
    poll = select.poll()
    poll.register(poller, select.POLLIN)
    assert poll.poll(0) == []
    (view / "dev/kmsg").write_bytes(b"second\n")
    waiting.join(patience(20))
    assert said == [b"second\n"]
    assert poll.poll(patience(20) * 1000)[0][1] & select.POLLIN
    assert os.read(poller, 100) == b"second\n"
    os.lseek(poller, 0, os.SEEK_SET)
    assert os.read(poller, 100) == b"first\n"
    served.ask({"verb": ViewVerb.TELL.value, "launch": f"{0:016x}", "text": "third"})
    assert os.read(reader, 100) == b"third\n"
    os.close(reader)
    os.close(poller)


def test_a_reader_that_waits_is_interrupted_by_a_signal(served: Served) -> None:
    view = served.add()
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        reader = os.open(view / "dev/kmsg", os.O_RDONLY)
        os.read(reader, 100)
        os.write(told, b"r")
        os.read(reader, 100)
        os._exit(0)
    assert os.read(ready, 1) == b"r"
    os.kill(child, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert (view / "proc/uptime").read_bytes() == b"1.00 2.00\n"
    os.close(ready)
    os.close(told)


def test_readers_wait_for_the_next_view_and_see_no_error(served: Served) -> None:
    view = served.add()
    held = os.open(view / "proc/long", os.O_RDONLY)
    assert os.read(held, 10) == LONG[:10]
    over, errors, reads = threading.Event(), [], [0]

    def read_on() -> None:
        while not over.is_set():
            try:
                for name, content in (("uptime", b"1.00 2.00\n"), ("slow", b"slow\n"), ("long", LONG)):
                    if (view / "proc" / name).read_bytes() != content:
                        errors.append(f"{name} was another")
                reads[0] += 1
            except OSError as error:
                errors.append(str(error))

    readers = [threading.Thread(target=read_on, daemon=True) for _ in range(4)]
    for each in readers:
        each.start()
    for _ in range(8):
        before = reads[0]
        until(lambda before=before: reads[0] > before, "readers reading")  # type: ignore[misc]
        served.kill()
        served.begin()
    before = reads[0]
    until(lambda: reads[0] > before + 4, "readers reading from the last view")
    over.set()
    for each in readers:
        each.join(patience(20))
    assert errors == []
    assert b"".join(iter(lambda: os.read(held, 100_000), b"")) == LONG[10:]
    os.close(held)


def test_who_waits_for_a_stream_waits_on_with_the_next_view(served: Served) -> None:
    view = served.add()
    reader = os.open(view / "dev/kmsg", os.O_RDONLY)
    assert os.read(reader, 100) == b"first\n"
    said: list[bytes] = []
    waiting = threading.Thread(target=lambda: said.append(os.read(reader, 100)), daemon=True)
    waiting.start()
    until(lambda: waits(served), "the reader waiting")
    served.kill()
    served.begin()
    (view / "dev/kmsg").write_bytes(b"second\n")
    waiting.join(patience(20))
    assert said == [b"second\n"]
    os.close(reader)


def test_a_connection_ends_with_the_last_who_holds_it(served: Served) -> None:
    view = served.add()
    assert (view / "proc/uptime").read_bytes() == b"1.00 2.00\n"
    device, memory, place = served.views.pop()
    os.close(device)
    os.close(memory)
    served.ask({"verb": ViewVerb.HIDE.value, "launch": f"{0:016x}"})
    with pytest.raises(OSError, match=r"not connected|abort"):
        (view / "proc/uptime").read_bytes()
    detach(os.fspath(place))


def test_a_view_forgets_a_guest_whose_mounts_have_gone(served: Served) -> None:
    served.add()
    assert served.ask({"verb": ViewVerb.HELLO.value})["launches"] == [f"{0:016x}"]
    detach(os.fspath(served.views[0][2]))
    until(lambda: served.ask({"verb": ViewVerb.HELLO.value})["launches"] == [], "the view having forgotten it")


def test_a_greedy_guest_leaves_the_others_their_answers(served: Served) -> None:
    """Thousands of open files, floods of look-ups and forgettings, readers that hang: another guest reads as before."""
    greedy, quiet = served.add(), served.add()
    held = [os.open(greedy / "proc/long", os.O_RDONLY) for _ in range(600)]
    for each in held:
        os.read(each, 100)
    over = threading.Event()

    def flood() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                (greedy / "proc/long").read_bytes()
                os.stat(greedy / "proc" / f"absent{time.monotonic_ns()}")

    hung = [os.open(greedy / "dev/kmsg", os.O_RDONLY) for _ in range(200)]
    floods = [threading.Thread(target=flood, daemon=True) for _ in range(3)]
    waiters = [threading.Thread(target=lambda fd=fd: [os.read(fd, 9), os.read(fd, 9)], daemon=True) for fd in hung[:20]]
    for thread in (*floods, *waiters):
        thread.start()
    memory = resident(served.pid)
    for _ in range(300):
        assert (quiet / "proc/uptime").read_bytes() == b"1.00 2.00\n"
    assert resident(served.pid) < memory + 16 * 1024
    before, began = used(served.pid), time.monotonic()
    until(lambda: time.monotonic() - began > 2, "two seconds of the flood")
    share = (used(served.pid) - before) / (time.monotonic() - began)
    assert share < 0.75, f"{share:.2f} of a processor"
    over.set()
    (greedy / "dev/kmsg").write_bytes(b"go\n")
    for thread in (*floods, *waiters):
        thread.join(patience(20))
    for fd in (*held, *hung):
        os.close(fd)


def waits(served: Served) -> bool:
    """Tell whether anyone waits for a stream of the first view."""
    notes = RequestNotes(served.views[0][1])
    try:
        return bool(notes.waiters())
    finally:
        notes.close()


def used(pid: int) -> float:
    """Return the processor seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Return the KiB of a process's memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
