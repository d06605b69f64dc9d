"""What the root of a privileged guest can reach of a process of ours that is on its way into the guest.

The process is arrested after some of its steps, and the attacker has all that such a root may ever have: every
capability of the host's, in the guest's namespaces, without a filter. The class of CVE-2019-5736.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from insula.engine.enter.attachment import namespaces_of
from insula.engine.keeper import startup
from insula.engine.keeper.link import completed
from insula.engine.keeper.protocol import Verb
from insula.engine.keeper.startup import private_keeper
from insula.engine.launch.runningcontainer import Running
from insula.engine.steps.guest.gueststep import GuestStep
from insula.engine.steps.guest.namespaces import EnterContainer, JoinGroups
from insula.errors import StepError
from insula.kernel.fds import AT_FDCWD
from insula.kernel.mounts import MountAttribute, Propagation, attach, change, detach, detached_copy
from insula.kernel.process import CloneFlag, setns
from tests.guests import Guests, namespace_ids, spec
from tests.players import entering_program_of, image_file
from tests.spawning import SPAWNERS
from tests.waiting import patience, until

PRIVILEGED = pytest.mark.parametrize("privileged", [True, False], ids=["privileged", "unprivileged"])
ARREST = JoinGroups(why="-", count=1)
"""A step that waits for ever: what it writes to is full."""

FORKING = "from insula.engine.keeper import main; main.built_program = bytes; main.main()"
"""A keeper that clones itself, as where no spawner can be executed."""


@pytest.fixture(autouse=True, params=["spawner", "forks"])
def keepers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Have the keepers of a test clone by a spawner, or fork; return whether by a spawner."""
    if request.param == "forks":
        monkeypatch.setattr(startup, "_KEEPER", (*startup._KEEPER[:-1], FORKING))
    return bool(request.param == "spawner")


@contextmanager
def entering(guests: Guests, running: Running, *steps: GuestStep) -> Iterator[int]:
    """Have a process enter that stands still after steps; yield its pid."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 65536)
    os.set_blocking(writer, True)
    program = image_file(entering_program_of(*steps, ARREST))
    before = set(children_of(guests.keeper_pid))
    fds = {"init": running.pidfd, "image": program, "join0": writer}
    number = guests.link.ask(Verb.EXECUTE, {"uuid": running.uuid, "id": "arrested", "seconds": 600}, fds)
    os.close(program)
    os.close(writer)
    try:
        (pid,) = until(lambda: set(children_of(guests.keeper_pid)) - before, "a process entering")
        until(lambda: "pipe" in Path(f"/proc/{pid}/wchan").read_text() or blocked(pid), "its arrest")
        yield pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        until(lambda: reaped(pid), "its end")
    finally:
        os.close(reader)
        guests.link._waiting.pop(number, None)


def reaped(pid: int) -> bool:
    """Whether a process is gone; one whose keeper and reaper died is ours to reap."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return not os.path.exists(f"/proc/{pid}")


def blocked(pid: int) -> bool:
    """Whether it has done what comes before its arrest, and writes. Source: proc(5), /proc/PID/syscall."""
    return Path(f"/proc/{pid}/syscall").read_text().split()[0] == "1"


def children_of(keeper: int) -> list[int]:
    """Return the children that are, or become, a guest's: neither the spawner nor its helpers."""
    found = []
    for child in Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{child}/comm").read_text() not in SPAWNERS:
                found.append(int(child))
    return found


def enter_all(running: Running) -> EnterContainer:
    return EnterContainer(why="-", kinds=[kind.value for kind in namespaces_of(running.record.spec)])


def as_guests_root(running: Running, attack: Callable[[], str | None]) -> str:
    """Run an attack with all rights of the host's root in a guest's namespaces; return what it achieved."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            setns(running.pidfd, CloneFlag.NEWNS | CloneFlag.NEWPID | CloneFlag.NEWNET | CloneFlag.NEWIPC)
            if os.fork() == 0:
                os.write(writer, (attack() or "").encode())
            else:
                os.wait()
        except BaseException as error:
            os.write(writer, f"it could not be tried: {error!r}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as stream:
        achieved = stream.read()
    os.waitpid(child, 0)
    return achieved


def pid_inside(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("NSpid")).split()[-1])


def writable_files(pid: int) -> list[str]:
    """Return what a process executes, maps or has as its streams that can be written: it is neither on a read-only
    mount, nor sealed."""
    maps = [f"map_files/{each}" for each in os.listdir(f"/proc/{pid}/map_files")]
    writable = []
    for name in ("exe", *maps, "fd/0", "fd/1", "fd/2"):
        fd = os.open(f"/proc/{pid}/{name}", os.O_PATH)
        if not os.fstatvfs(fd).f_flag & os.ST_RDONLY and not sealed(f"/proc/{pid}/{name}"):
            writable.append(os.readlink(f"/proc/self/fd/{fd}"))
        os.close(fd)
    assert len(maps) >= 2
    return writable


def sealed(path: str) -> bool:
    """Whether this is a memory file that nobody can write to any more: fcntl(2), "File Sealing"."""
    if not os.readlink(path).startswith("/memfd:"):
        return False
    fd = os.open(path, os.O_RDONLY)
    try:
        return bool(fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE)
    finally:
        os.close(fd)


@PRIVILEGED
def test_nothing_that_an_entering_process_executes_or_maps_can_be_written(
    guests: Guests, busybox_root: Path, privileged: bool
) -> None:
    running = guests.launch(spec(busybox_root, "sleep 1000", privileged=privileged))
    with entering(guests, running) as pid:
        assert writable_files(pid) == []


@PRIVILEGED
def test_nothing_that_a_guests_first_process_executes_or_maps_can_be_written(
    guests: Guests, busybox_root: Path, privileged: bool
) -> None:
    running = guests.launch(spec(busybox_root, "sleep 1000", privileged=privileged), paused=True)
    assert [each for each in writable_files(running.pid) if "/dev/pts" not in each and "console" not in each] == []


def test_nothing_that_the_keeper_or_its_reaper_execute_or_map_can_be_written(guests: Guests) -> None:
    log = str(guests.log)
    for pid in (guests.keeper_pid, int(Path(f"/proc/{guests.keeper_pid}/stat").read_text().split()[3])):
        assert [each for each in writable_files(pid) if each != log and not log.endswith(each)] == []


@pytest.mark.machine("cgroups")
@PRIVILEGED
def test_an_entering_process_is_in_the_guests_namespaces_from_its_birth(
    guests: Guests, busybox_root: Path, privileged: bool
) -> None:
    running = guests.launch(spec(busybox_root, "sleep 1000", privileged=privileged))
    kinds = ("mnt", "net", "uts", "ipc", "pid")
    with entering(guests, running) as pid:
        assert namespace_ids(pid, kinds) == namespace_ids(running.pid, kinds)
        for place in ("root", "cwd"):
            assert os.stat(f"/proc/{pid}/{place}/").st_ino == os.stat(f"/proc/{running.pid}/root/").st_ino
    own = namespace_ids(guests.keeper_pid, kinds)
    assert not set(own.values()) & set(namespace_ids(running.pid, kinds).values())


def test_the_keeper_is_at_home_after_a_process_has_entered_or_failed_to(
    guests: Guests, busybox_root: Path, keepers: bool
) -> None:
    """And so is its spawner, if it has one."""
    kinds = ("mnt", "net", "uts", "ipc", "pid", "pid_for_children")
    home = namespace_ids(guests.keeper_pid, kinds)
    running = guests.launch(spec(busybox_root, "sleep 1000"))
    assert guests.execute(running, "hostname")[0] == "guest\n"
    image = image_file(entering_program_of(ARREST))
    with (busybox_root / "no group").open("w") as file:
        fds = {"init": running.pidfd, "image": image, "cgroup": file.fileno()}
        number = guests.link.ask(Verb.EXECUTE, {"uuid": running.uuid, "id": "fails"}, fds)
    os.close(image)
    with pytest.raises(StepError):
        completed(guests.link.answer(number))
    for pid in (guests.keeper_pid, *([guests.spawner_pid] if keepers else [])):
        assert namespace_ids(pid, kinds) == home
        assert sorted(os.listdir(f"/proc/{pid}/cwd/")) == ["proc", "root", "stage", "sys"]


@pytest.fixture
def interpreter(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the interpreter that keepers are run by: an attack may succeed on it."""
    python = scratch / "python"
    (python / "bin").mkdir(parents=True)
    copy = python / "bin" / "python3"
    shutil.copy(os.path.realpath(sys.executable), copy)
    configuration = Path(sys.prefix) / "pyvenv.cfg"
    if configuration.exists():
        shutil.copy(configuration, python)
    library = python / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    library.mkdir(parents=True)
    (library / "ours.pth").write_text(str(Path(startup.__file__).parents[3]))
    for name in ("SEAL", "_KEEPER", "_REAPER"):
        words: tuple[str, ...] = getattr(startup, name)
        monkeypatch.setattr(startup, name, (str(copy), *words[1:]))
    return copy


def reopened_for_writing(inside: int, entered: Callable[[], None]) -> str | None:
    """Hold all that a process executes and maps; write to it once nobody executes it any more."""
    held = []
    for name in ("exe", *(f"map_files/{each}" for each in os.listdir(f"/proc/{inside}/map_files"))):
        with contextlib.suppress(OSError):
            held.append(os.open(f"/proc/{inside}/{name}", os.O_RDONLY))
    if len(held) < 3:
        return f"only {len(held)} files could be held: the attack is none"
    entered()
    done = []
    for fd in held:
        for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND):
            with contextlib.suppress(OSError):
                again = os.open(f"/proc/self/fd/{fd}", flags)
                os.write(again, b"overwritten")  # which the seals of a memory file refuse, not its opening
                done.append(os.readlink(f"/proc/self/fd/{fd}"))
    return ", ".join(done)


def test_the_hosts_interpreter_is_not_overwritten_once_nobody_executes_it(
    interpreter: Path, guests: Guests, busybox_root: Path
) -> None:
    guests.ask(Verb.QUIT)
    until(lambda: not os.path.exists(f"/proc/{guests.keeper_pid}"), "the end of a keeper of another interpreter")
    guests.disconnect()
    guests.start_keeper()
    assert os.path.samefile(f"/proc/{guests.keeper_pid}/exe", interpreter)
    running = guests.launch(spec(busybox_root, "sleep 1000", privileged=True))
    gate_reader, gate = os.pipe()
    held_reader, held = os.pipe()

    def wait_for_death() -> None:
        os.write(held, b"h")
        os.read(gate_reader, 1)

    def kill_all() -> None:
        os.read(held_reader, 1)
        reaper = int(Path(f"/proc/{guests.keeper_pid}/stat").read_text().split()[3])
        os.kill(reaper, signal.SIGKILL)
        for pid in (guests.keeper_pid, arrested):
            os.kill(pid, signal.SIGKILL)
        until(lambda: not executed(interpreter), "nobody executing the interpreter")
        os.write(gate, b"g")

    with entering(guests, running, enter_all(running)) as arrested:
        inside = pid_inside(arrested)
        killer = threading.Thread(target=kill_all)
        killer.start()
        achieved = as_guests_root(running, lambda: reopened_for_writing(inside, wait_for_death))
        killer.join()
    for fd in (gate_reader, gate, held_reader, held):
        os.close(fd)
    guests.disconnect()
    guests.start_keeper()
    assert achieved == ""


def executed(program: Path) -> bool:
    """Whether any process executes a program; zombies do not, and are reaped if they are ours."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdecimal() and os.path.samefile(f"/proc/{entry}/exe", program):
                return True
    return False


def made_writable(inside: int) -> str | None:
    """Try to make the mount of what a process executes writable, or to show it elsewhere on one that is."""
    program = f"/proc/{inside}/exe"
    fd = os.open(program, os.O_PATH)
    path = f"/proc/self/fd/{fd}"
    done = []
    with contextlib.suppress(OSError):
        change(fd, remove=MountAttribute.READ_ONLY)
        done.append("mount_setattr")
    with contextlib.suppress(OSError):
        change(AT_FDCWD, program, remove=MountAttribute.READ_ONLY)
        done.append("mount_setattr by name")
    with contextlib.suppress(OSError):
        copy = detached_copy(path)
        done.append("open_tree")
        change(copy, remove=MountAttribute.READ_ONLY)
        os.close(os.open("/tmp/copy", os.O_CREAT | os.O_WRONLY))
        attach(copy, os.open("/tmp/copy", os.O_PATH))
        done.append("move_mount")
    library = ctypes.CDLL(None, use_errno=True)
    os.close(os.open("/tmp/bound", os.O_CREAT | os.O_WRONLY))
    if library.mount(path.encode(), b"/tmp/bound", None, ctypes.c_ulong(4096), None) == 0:
        done.append("bind")
    if library.mount(None, path.encode(), None, ctypes.c_ulong(32 | 4096), None) == 0:
        done.append("remount")
    return ", ".join(done)


@pytest.mark.machine("mounts")
def test_the_mounts_of_what_an_entering_process_executes_cannot_be_made_writable_from_inside(
    guests: Guests, busybox_root: Path
) -> None:
    running = guests.launch(spec(busybox_root, "sleep 1000", privileged=True))
    with entering(guests, running, enter_all(running)) as arrested:
        inside = pid_inside(arrested)
        assert as_guests_root(running, lambda: made_writable(inside)) == ""


def test_the_host_keeps_its_mounts_as_they_are(scratch: Path) -> None:
    """What makes the keeper's view read-only does not spread, not even from mounts that are shared."""
    bind(scratch)
    change(AT_FDCWD, str(scratch), propagation=Propagation.SHARED)
    try:
        before = Path("/proc/self/mountinfo").read_text()
        channel, process = private_keeper()
        after = Path("/proc/self/mountinfo").read_text()
        channel.close()
        assert process.wait(timeout=patience(20)) == 0
        assert after == before
        (scratch / "file").write_text("written")
    finally:
        detach(str(scratch))


def bind(directory: Path) -> None:
    target = os.open(directory, os.O_PATH)
    copy = detached_copy(str(directory))
    attach(copy, target)
    os.close(copy)
    os.close(target)
