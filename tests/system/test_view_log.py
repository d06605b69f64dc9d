"""A guest's own kernel log, read by the programs that read a machine's, over the view's server."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from insula.kernel.cgroups import Cgroup
from insula.kernel.fds import Fd
from insula.kernel.fuse import connect
from insula.kernel.mounts import attach, detach
from insula.view.keptlog import KeptLog
from insula.view.machinecontent import MachineContent
from insula.view.requestnotes import make_memory
from insula.view.viewedfiles import ViewedGuest, ViewedIds
from insula.view.viewprotocol import ViewVerb, receive_words, send_words
from insula.view.viewserver import ViewServer
from tests.inmates import GUEST_ROOT
from tests.waiting import patience, until

pytestmark = [pytest.mark.requires("fs.fuse"), pytest.mark.machine("mounts", "cgroups")]

MIB = 1 << 20
LAUNCH = "0123456789abcdef"


@dataclass
class LogView:
    """One guest's view, served by a process of the test's; its kernel log is at `kmsg`."""

    scratch: Path
    guest: ViewedGuest
    device: Fd
    memory: Fd
    processes: list[int] = field(default_factory=list)
    channel: socket.socket | None = None

    @property
    def kmsg(self) -> Path:
        return self.scratch / "view/dev/kmsg"

    def serve(self) -> None:
        """Begin a process that serves it."""
        path = self.scratch / f"view{len(self.processes)}.sock"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(os.fspath(path))
        listener.listen()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(self.device)
                os.close(self.memory)
                ViewServer(MachineContent(), listener).run()
            finally:
                os._exit(0)
        self.processes.append(pid)
        listener.close()
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(patience(20))
        self.channel.connect(os.fspath(path))
        self.ask({"verb": ViewVerb.SHOW.value, "guest": self.guest.encode()}, self.device, self.memory)

    def ask(self, body: dict[str, object], *fds: int) -> None:
        assert self.channel is not None
        send_words(self.channel, {"request": 1, **body}, fds)
        answer = receive_words(self.channel)
        assert answer is not None
        assert "error" not in answer.body, answer.body

    def tell(self, text: str) -> None:
        self.ask({"verb": ViewVerb.TELL.value, "launch": LAUNCH, "text": text})

    def kill(self) -> None:
        os.kill(self.processes[-1], signal.SIGKILL)
        os.waitpid(self.processes[-1], 0)
        assert self.channel is not None
        self.channel.close()

    def run(self, *command: str) -> str:
        """Run a program that finds this log at /dev/kmsg."""
        with self.start(*command) as program:
            output, _ = program.communicate(timeout=patience(30))
        assert program.returncode == 0, output
        return str(output)

    def start(self, *command: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", IN_PLACE, str(self.kmsg), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


IN_PLACE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x44000, None):
    raise OSError(ctypes.get_errno(), "a mount namespace")
if libc.mount(sys.argv[1].encode(), b"/dev/kmsg", None, 0x1000, None):
    raise OSError(ctypes.get_errno(), "/dev/kmsg")
os.environ["LC_ALL"] = "C"
os.execvp(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def view(scratch: Path, group: Cgroup) -> Iterator[LogView]:
    device, mount = connect("insula-view")
    guest = ViewedGuest(
        uuid="u",
        launch=LAUNCH,
        name="web",
        hierarchies=group.hierarchies,
        group=group.path,
        pid=1,
        born=1,
        uids=(ViewedIds(inside=0, outside=GUEST_ROOT, count=65536),),
        gids=(ViewedIds(inside=0, outside=GUEST_ROOT, count=65536),),
    )
    made = LogView(scratch, guest, device, make_memory())
    (scratch / "view").mkdir()
    made.serve()
    target = os.open(scratch / "view", os.O_PATH | os.O_DIRECTORY)
    attach(mount, target)
    os.close(target)
    os.close(mount)
    yield made
    made.kill()
    os.close(made.device)
    os.close(made.memory)
    detach(os.fspath(scratch / "view"))


def test_dmesg_shows_what_was_written_and_told(view: LogView) -> None:
    view.tell("memory limit: 512 MiB")
    view.kmsg.write_text("<3>broken")
    lines = view.run("dmesg", "-x").splitlines()
    assert lines[0].startswith("kern  :notice:")
    assert lines[0].endswith("the log of guest 'web' begins")
    assert lines[1].startswith("kern  :info  :") and lines[1].endswith("] memory limit: 512 MiB")
    assert lines[2].startswith("user  :err   :") and lines[2].endswith("] broken")
    assert len(lines) == 3


def test_who_waits_for_records_is_told_also_by_the_next_view(view: LogView) -> None:
    with view.start("dmesg", "--follow") as following:
        assert following.stdout is not None
        assert following.stdout.readline().endswith("begins\n")
        view.kill()
        view.serve()
        view.tell("after the end")
        assert following.stdout.readline().endswith("] after the end\n")
        following.kill()


def test_a_reader_that_does_not_wait_and_one_that_seeks_find_what_the_kernel_gives(view: LogView) -> None:
    fd = os.open(view.kmsg, os.O_RDONLY | os.O_NONBLOCK)
    assert os.read(fd, 8192).startswith(b"5,0,")
    with pytest.raises(BlockingIOError):
        os.read(fd, 8192)
    os.lseek(fd, 0, os.SEEK_SET)
    assert os.read(fd, 8192).startswith(b"5,0,")
    os.lseek(fd, 0, os.SEEK_END)
    with pytest.raises(BlockingIOError):
        os.read(fd, 8192)
    view.tell("new")
    assert os.read(fd, 8192).endswith(b";new\n")
    os.close(fd)


def test_the_log_is_read_from_its_memory_too(view: LogView) -> None:
    view.tell("a line")
    lines = [each.text for each in KeptLog(view.memory).lines()]
    assert lines[-1].endswith(b"] a line\n")
    assert len(lines) == 2


HUNGRY = """
import os, sys
input()
os.setresgid(*[int(sys.argv[1])] * 3)
os.setresuid(*[int(sys.argv[1])] * 3)
held = bytearray(256 << 20)
"""


def test_whom_the_kernel_kills_is_told_with_the_guests_numbers_and_nothing_else_is(
    view: LogView, group: Cgroup
) -> None:
    group.memory.limit(24 * MIB, 24 * MIB)
    with subprocess.Popen([sys.executable, "-c", HUNGRY, str(GUEST_ROOT + 33)], stdin=subprocess.PIPE) as hungry:
        group.enter(hungry.pid)
        assert hungry.stdin is not None
        hungry.stdin.write(b"\n")
        hungry.stdin.close()
        hungry.stdin = None
        assert hungry.wait(patience(60)) == -signal.SIGKILL
    until(lambda: "Killed process" in view.run("dmesg"), "the kill being told")
    lines = view.run("dmesg", "--notime").splitlines()[1:]
    told = next(line for line in lines if "Killed process" in line)
    assert "UID:33 " in told
    assert str(hungry.pid) not in told
    for line in lines:
        assert line.startswith(("oom-kill:", "Memory cgroup out of memory: Killed process", "oom_reaper: "))
        assert group.path not in line
