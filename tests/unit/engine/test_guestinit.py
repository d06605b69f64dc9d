import fcntl
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine import guestinit
from insula.engine.guestinit import (
    InitAnswer,
    InitProcess,
    PowerAction,
    Way,
    ask,
    detect,
    request,
    runlevel_request,
    signal_for,
    starts_system,
)
from insula.engine.spec import InitKind
from insula.kernel.beneath import Resolve, open_beneath
from tests.waiting import patience, until


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """A guest's root with a systemd, a busybox, a System V init, those of OpenRC, runit and s6, and a plain program."""
    programs = {
        "usr/lib/systemd/systemd": b"\x7fELF libsystemd-core-252.so",
        "bin/busybox": b"\x7fELF BusyBox v1.35.0 multi-call",
        "lib/sysvinit/init": b"\x7fELF /run/initctl",
        "sbin/openrc-init": b"\x7fELF OpenRC init version %s starting",
        "sbin/runit-init": b"\x7fELF /sbin/runit\0",
        "bin/s6-svscan": b"\x7fELF s6-svscan",
        "sbin/s6-boot": b"#!/bin/execlineb -S0\ns6-linux-init -c /etc/s6 -- $@\n",
        "bin/sleep": b"\x7fELF sleep",
    }
    for name, content in programs.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    fd = os.open(tmp_path, os.O_PATH)
    yield fd
    os.close(fd)


def init_is(tmp_path: Path, target: str) -> None:
    (tmp_path / "sbin/init").symlink_to(target)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("/usr/lib/systemd/systemd", InitKind.SYSTEMD),
        ("../usr/lib/systemd/systemd", InitKind.SYSTEMD),
        ("/bin/busybox", InitKind.BUSYBOX),
        ("/lib/sysvinit/init", InitKind.SYSVINIT),
        ("openrc-init", InitKind.OPENRC),
        ("runit-init", InitKind.RUNIT),
        ("s6-boot", InitKind.S6),
        ("/bin/sleep", InitKind.PLAIN),
        ("/nowhere", InitKind.PLAIN),
    ],
)
def test_the_usual_init_is_known_by_what_it_leads_to(root: int, tmp_path: Path, target: str, kind: InitKind) -> None:
    init_is(tmp_path, target)
    assert detect(root, ["/sbin/init"]) is kind


@pytest.mark.parametrize(
    ("argv", "kind"),
    [
        (["/usr/lib/systemd/systemd", "--unit=rescue.target"], InitKind.SYSTEMD),
        (["/bin/busybox", "init"], InitKind.BUSYBOX),
        (["/bin/busybox", "sh"], InitKind.PLAIN),
        (["/sbin/openrc-init"], InitKind.OPENRC),
        (["/sbin/runit-init"], InitKind.RUNIT),
        (["/bin/s6-svscan", "/run/service"], InitKind.S6),
        (["/bin/sleep", "inf"], InitKind.PLAIN),
        (["/nowhere"], InitKind.PLAIN),
    ],
)
def test_a_program_named_outright_is_known_too(root: int, argv: list[str], kind: InitKind) -> None:
    assert detect(root, argv) is kind


def test_a_shell_that_is_busybox_is_no_init(root: int, tmp_path: Path) -> None:
    (tmp_path / "bin/sh").symlink_to("busybox")
    assert detect(root, ["/bin/sh", "-c", "true"]) is InitKind.PLAIN


def test_a_hostile_link_leads_nowhere_outside(root: int, tmp_path: Path) -> None:
    outside = tmp_path.parent / "outside"
    outside.mkdir()
    (outside / "systemd").write_bytes(b"")
    init_is(tmp_path, f"../../{outside.name}/systemd")
    assert detect(root, ["/sbin/init"]) is InitKind.PLAIN
    (tmp_path / "sbin/init").unlink()
    init_is(tmp_path, "/proc/self/exe")
    assert detect(root, ["/sbin/init"]) is InitKind.PLAIN


def test_what_is_no_file_in_the_place_of_init_is_not_opened(
    root: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A FIFO stands for a device, of which opening may be an act."""
    looked: list[int] = []

    def look(directory: int, path: str, flags: int, *, resolve: Resolve) -> int:
        looked.append(flags)
        return open_beneath(directory, path, flags, resolve=resolve)

    os.mkfifo(tmp_path / "sbin/init")
    monkeypatch.setattr(guestinit, "open_beneath", look)
    assert detect(root, ["/sbin/init"]) is InitKind.PLAIN
    assert looked == [os.O_PATH]


def test_a_system_is_told_from_a_single_program_by_its_name() -> None:
    for argv in (["/sbin/init"], ["/lib/systemd/systemd", "--unit=a"], ["/bin/busybox", "init"], ["openrc-init"]):
        assert starts_system(argv)
    for argv in (["/bin/sh"], ["/bin/busybox", "sh"], ["/bin/busybox"], ["/usr/bin/initdb"]):
        assert not starts_system(argv)


def test_systemd_is_asked_by_its_real_time_signals_as_the_c_library_counts_them() -> None:
    assert [signal_for(InitKind.SYSTEMD, action) for action in PowerAction] == [38, 37, 39]
    assert signal_for(InitKind.BUSYBOX, PowerAction.POWEROFF) == signal.SIGUSR2
    assert signal_for(InitKind.OPENRC, PowerAction.REBOOT) == signal.SIGINT
    assert {signal_for(InitKind.RUNIT, action) for action in PowerAction} == {signal.SIGCONT}
    assert signal_for(InitKind.PLAIN, PowerAction.REBOOT) is None


def test_a_runlevel_request_is_what_sysvinit_reads() -> None:
    request = runlevel_request(PowerAction.REBOOT)
    assert len(request) == 384
    assert struct.unpack_from("=iii", request) == (0x03091969, 1, ord("6"))


def test_an_init_that_is_a_copy_under_the_usual_name_is_known_by_its_content(root: int, tmp_path: Path) -> None:
    (tmp_path / "sbin/init").write_bytes(b"\x7fELF /sbin/runit\0")
    assert detect(root, ["/sbin/init"]) is InitKind.RUNIT


class Child:
    """A process that stands for a guest's init: its root is the host's, its signals are its own."""

    def __init__(self, program: str) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.output = self.process.stdout
        assert self.output.readline() == "ready\n"
        self.pidfd = os.pidfd_open(self.process.pid)

    def ask(self, kind: InitKind, action: PowerAction, way: Way = Way.ANY) -> InitAnswer:
        return ask(kind, action, pid=self.process.pid, pidfd=self.pidfd, way=way)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.output.close()
        os.close(self.pidfd)


HANDLER = "import signal; signal.signal({0}, lambda *_: exit(7)); print('ready', flush=True); signal.pause()"
HANDLERS = (
    "import signal; [signal.signal(each, lambda number, _: exit(number)) for each in (2, 15, 30)]; "
    "print('ready', flush=True); signal.pause()"
)
BLOCKER = "import signal; signal.pthread_sigmask(0, [{0}]); print('ready', flush=True); exit(signal.sigwait([{0}]))"


SIGNALFD = """
import ctypes, os, signal
signal.pthread_sigmask(0, [38])
mask = (ctypes.c_uint64 * 16)(1 << 37)
fd = ctypes.CDLL(None).signalfd(-1, mask, 0)
print("ready", flush=True)
exit(os.read(fd, 128)[0])
"""


@pytest.mark.parametrize(("program", "status"), [(HANDLER, 7), (BLOCKER, 38), (SIGNALFD, 38)])
def test_an_init_that_listens_is_asked(program: str, status: int) -> None:
    child = Child(program.format(38))
    try:
        assert child.ask(InitKind.SYSTEMD, PowerAction.POWEROFF) is InitAnswer.ASKED
        assert until(lambda: child.process.poll() is not None, "the end of the asked process")
        assert child.process.returncode == status
    finally:
        child.close()


@pytest.mark.parametrize(
    ("scripts", "action", "number"),
    [
        (["SIGPWR"], PowerAction.POWEROFF, signal.SIGPWR),
        (["SIGPWR", "SIGINT"], PowerAction.REBOOT, signal.SIGINT),
        (["SIGPWR"], PowerAction.REBOOT, None),
        ([], PowerAction.POWEROFF, signal.SIGTERM),
        ([], PowerAction.REBOOT, None),
    ],
)
def test_s6_is_asked_by_the_signal_that_it_has_a_script_for(
    tmp_path: Path, scripts: list[str], action: PowerAction, number: int | None
) -> None:
    """The other signals would end it in another way, or not at all."""
    (tmp_path / ".s6-svscan").mkdir()
    for name in scripts:
        (tmp_path / ".s6-svscan" / name).touch()
    child = Child(f"import os; os.chdir({str(tmp_path)!r}); {HANDLERS}")
    try:
        answer = child.ask(InitKind.S6, action)
        if number is None:
            assert answer is InitAnswer.NO_WAY
        else:
            assert answer is InitAnswer.ASKED
            assert child.process.wait(patience(10)) == number
    finally:
        child.close()


def test_what_never_sleeps_may_hear() -> None:
    child = Child("print('ready', flush=True)\nwhile True: pass")
    try:
        assert child.ask(InitKind.PLAIN, PowerAction.POWEROFF) is InitAnswer.ASKED
    finally:
        child.close()


def test_an_init_without_a_handler_is_known_not_to_hear() -> None:
    child = Child("import signal; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); signal.pause()")
    try:
        assert child.ask(InitKind.PLAIN, PowerAction.POWEROFF) is InitAnswer.UNHEARD
        assert child.ask(InitKind.PLAIN, PowerAction.REBOOT) is InitAnswer.NO_WAY
    finally:
        child.close()


def test_an_init_whose_name_is_no_text_is_known_all_the_same() -> None:
    name = r"import ctypes; ctypes.CDLL(None).prctl(15, b'\xff\r\x85', 0, 0, 0); "
    child = Child(name + "import signal; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); signal.pause()")
    try:
        assert child.ask(InitKind.PLAIN, PowerAction.POWEROFF) is InitAnswer.UNHEARD
    finally:
        child.close()


class Inits:
    """Answers for an init. heard: what it was asked for, and how."""

    def __init__(self, *answers: InitAnswer) -> None:
        self.heard: list[tuple[PowerAction, Way]] = []
        self._answers = list(answers)

    def ask(self, kind: InitKind, action: PowerAction, *, pid: int, pidfd: int, way: Way) -> InitAnswer:
        self.heard.append((action, way))
        return self._answers.pop(0)


def requested(
    monkeypatch: pytest.MonkeyPatch, inits: Inits, kind: InitKind, *actions: PowerAction, ways: tuple[Way, ...]
) -> InitAnswer:
    monkeypatch.setattr(guestinit, "ask", inits.ask)
    return request(InitProcess(pid=1, pidfd=-1, kind=kind), actions, ways)


def test_the_second_way_is_tried_when_the_first_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    inits = Inits(InitAnswer.NO_WAY, InitAnswer.ASKED)
    ways = (Way.FIFO, Way.SIGNAL)
    assert requested(monkeypatch, inits, InitKind.SYSTEMD, PowerAction.POWEROFF, ways=ways) is InitAnswer.ASKED
    assert [way for _, way in inits.heard] == [Way.FIFO, Way.SIGNAL]


def test_a_program_that_knows_no_reboot_is_asked_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    inits = Inits(InitAnswer.NO_WAY, InitAnswer.ASKED)
    actions = (PowerAction.REBOOT, PowerAction.POWEROFF)
    assert requested(monkeypatch, inits, InitKind.PLAIN, *actions, ways=(Way.ANY,)) is InitAnswer.ASKED
    assert [action for action, _ in inits.heard] == list(actions)


@pytest.mark.parametrize("kind", [InitKind.BUSYBOX, InitKind.PLAIN])
def test_whether_it_can_have_heard_is_told_of_every_kind(monkeypatch: pytest.MonkeyPatch, kind: InitKind) -> None:
    inits = Inits(InitAnswer.UNHEARD)
    assert requested(monkeypatch, inits, kind, PowerAction.POWEROFF, ways=(Way.ANY,)) is InitAnswer.UNHEARD


def test_no_way_at_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    inits = Inits(InitAnswer.NO_WAY)
    assert requested(monkeypatch, inits, InitKind.SYSTEMD, PowerAction.HALT, ways=(Way.FIFO,)) is InitAnswer.NO_WAY


def test_a_program_that_somebody_has_a_lease_on_is_not_waited_for(root: int, tmp_path: Path) -> None:
    init_is(tmp_path, "/bin/busybox")
    holder = os.open(tmp_path / "bin/busybox", os.O_RDWR)
    fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    heard = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        assert detect(root, ["/sbin/init"]) is InitKind.PLAIN
    finally:
        signal.signal(signal.SIGIO, heard)
        os.close(holder)


def test_the_fifo_of_whoever_got_inits_pid_is_left_alone() -> None:
    child = Child("print('ready', flush=True)")
    child.process.wait()
    try:
        with pytest.raises(ProcessLookupError):
            ask(InitKind.SYSVINIT, PowerAction.POWEROFF, pid=os.getpid(), pidfd=child.pidfd, way=Way.FIFO)
    finally:
        child.close()


def test_a_process_that_is_gone_is_an_error() -> None:
    child = Child("print('ready', flush=True)")
    child.process.wait()
    try:
        with pytest.raises(ProcessLookupError):
            child.ask(InitKind.PLAIN, PowerAction.POWEROFF)
    finally:
        child.close()
