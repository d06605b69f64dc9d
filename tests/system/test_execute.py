"""Processes that enter a running guest: confined as its init, seen and fed through streams or a terminal."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula.engine.enter.attachment import EnteredProcess
from insula.engine.exitstatus import ExitMeaning
from insula.engine.keeper.link import completed
from insula.engine.launch.runningcontainer import Running
from insula.engine.spec import Process, ResourceLimit
from insula.errors import OperationInvalidError, StepError
from insula.kernel.callnumbers import call_numbers
from insula.kernel.pty import set_window
from tests.guests import Guests, facts_of, namespace_ids, python_program, read_until, show_python, spec
from tests.waiting import scaled, until

KINDS = ("mnt", "uts", "ipc", "pid", "net", "user", "cgroup")


@pytest.fixture
def sleeper(guests: Guests, busybox_root: Path) -> Running:
    """A guest that sleeps."""
    return guests.launch(spec(busybox_root, "sleep 1000"))


def on_terminal(guests: Guests, running: Running, *argv: str, rows: int = 24, columns: int = 80) -> EnteredProcess:
    return completed(guests.launcher.entrance.execute(running, Process(argv=argv), terminal=(rows, columns)))


def finish(guests: Guests, executed: EnteredProcess) -> None:
    os.close(executed.pidfd)
    if executed.master is not None:
        os.close(executed.master)


@pytest.mark.machine("endings")
def test_output_and_exit_status_come_back(guests: Guests, sleeper: Running) -> None:
    said, status = guests.execute(sleeper, "/bin/sh", "-c", "echo out; echo err >&2; exit 42")
    assert (said, status.code) == ("out\nerr\n", 42)


def test_a_signal_that_ended_it_is_told(guests: Guests, sleeper: Running) -> None:
    _, status = guests.execute(sleeper, "/bin/sh", "-c", "kill -TERM $$")
    assert (status.meaning, status.signal) == (ExitMeaning.KILLED, signal.SIGTERM)


@pytest.mark.machine("cgroups")
def test_it_is_in_every_namespace_and_control_group_of_the_guest(guests: Guests, sleeper: Running) -> None:
    said, _ = guests.execute(
        sleeper, "/bin/sh", "-c", f"for kind in {' '.join(KINDS)}; do echo $kind=$(readlink /proc/self/ns/$kind); done"
    )
    assert facts_of(said) == namespace_ids(sleeper.pid, KINDS)
    executed = on_terminal(guests, sleeper, "/bin/sleep", "1000")
    groups = Path(f"/proc/{executed.pid}/cgroup").read_text()
    assert [line for line in groups.splitlines() if sleeper.group.path not in line] == []
    finish(guests, executed)
    guests.wait_for_execution(executed.id)


@pytest.mark.machine("capabilities")
def test_it_is_confined_as_init_is(guests: Guests, busybox_root: Path) -> None:
    limits = (ResourceLimit(name="NOFILE", soft=50, hard=60),)
    running = guests.launch(spec(busybox_root, "sleep 1000", resource_limits=limits, no_new_privileges=True))
    fields = "Cap|NoNewPrivs|Seccomp"
    inits, _ = guests.execute(running, "grep", "-E", fields, "/proc/1/status")
    its, _ = guests.execute(running, "grep", "-E", fields, "/proc/self/status")
    assert its == inits
    assert "NoNewPrivs:\t1\nSeccomp:\t2\n" in its
    said, _ = guests.execute(running, "/bin/sh", "-c", "ulimit -n")
    assert said == "50\n"


def test_capabilities_can_be_fewer_than_inits_but_not_more(guests: Guests, sleeper: Running) -> None:
    wanted = frozenset({"net_admin", "sys_module"})
    said, _ = guests.execute(sleeper, "grep", "Cap", "/proc/self/status", capabilities=wanted)
    masks = dict(line.split(":\t") for line in said.splitlines())
    assert int(masks["CapBnd"], 16) == int(masks["CapEff"], 16) == 1 << 12
    assert int(masks["CapInh"], 16) == 0


def test_user_groups_directory_and_home_are_the_guests(guests: Guests, busybox_root: Path) -> None:
    (busybox_root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n")
    (busybox_root / "etc/group").write_text("root:x:0:\nweb:x:34:\naudio:x:29:web\nstaff:x:50:\n")
    running = guests.launch(spec(busybox_root, "sleep 1000"))
    script = "echo $(id -u) $(id -g) $(id -G) $(pwd) $HOME"
    for user, group, expected in (
        ("web", None, "33 34 34 29 /tmp /srv"),
        ("33", "staff", "33 50 50 29 /tmp /srv"),
        ("1234", None, "1234 0 0 /tmp /"),
        (None, None, "0 0 0 /tmp /root"),
    ):
        process = Process(argv=("/bin/sh", "-c", script), user=user, group=group, cwd="/tmp")
        said, _ = guests.execute(running, process=process)
        assert said == f"{expected}\n"


def test_the_environment_is_that_of_a_login_and_what_was_given(guests: Guests, sleeper: Running) -> None:
    said, _ = guests.execute(sleeper, process=Process(argv=("env",), env=(("LANG", "C"), ("HOME", "/h"))))
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    given = {"container": "lxc-libvirt", "LANG": "C", "HOME": "/h"}
    assert facts_of(said) == {"PATH": path, "USER": "root", "LOGNAME": "root", "SHELL": "/bin/sh", **given}


@pytest.mark.parametrize(
    ("process", "complaint"),
    [
        (Process(argv=("/gone",)), "cannot execute /gone: no such program in the guest"),
        (Process(argv=("gone",)), "cannot execute gone: not found in the guest's PATH"),
        (Process(argv=("/bin/sh",), cwd="/gone"), "cannot go to /gone: No such file or directory"),
        (Process(argv=("/bin/sh",), user="stranger"), "no user 'stranger'"),
        (Process(argv=("/bin/sh",), group="strangers"), "no group 'strangers'"),
    ],
)
def test_what_cannot_be_executed_is_told_with_the_reason(
    guests: Guests, sleeper: Running, process: Process, complaint: str
) -> None:
    with pytest.raises(StepError, match=complaint):
        guests.execute(sleeper, process=process)


def test_a_terminal_belongs_to_the_guest_and_has_the_window_asked_for(guests: Guests, sleeper: Running) -> None:
    executed = on_terminal(
        guests, sleeper, "/bin/sh", "-c", "tty; stty size; read line; stty size", rows=33, columns=99
    )
    assert executed.master is not None
    assert b"/dev/pts/1\r\n33 99" in read_until(executed.master, b"33 99")
    set_window(executed.master, 11, 22)
    os.write(executed.master, b"\n")
    read_until(executed.master, b"11 22")
    assert guests.wait_for_execution(executed.id).code == 0
    finish(guests, executed)


def test_its_user_may_open_its_terminal_again(guests: Guests, sleeper: Running) -> None:
    process = Process(argv=("/bin/sh", "-c", "echo again > $(tty) && echo yes"), user="65534")
    executed = completed(guests.launcher.entrance.execute(sleeper, process, terminal=(24, 80)))
    assert executed.master is not None
    read_until(executed.master, b"again\r\nyes")
    finish(guests, executed)
    guests.wait_for_execution(executed.id)


def test_ctrl_c_on_the_terminal_interrupts(guests: Guests, sleeper: Running) -> None:
    executed = on_terminal(guests, sleeper, "/bin/sh", "-c", "echo ready; exec sleep 1000")
    assert executed.master is not None
    read_until(executed.master, b"ready")
    until(lambda: os.readlink(f"/proc/{executed.pid}/exe").endswith("busybox"), "sleep being executed")
    os.write(executed.master, b"\x03")
    status = guests.wait_for_execution(executed.id)
    finish(guests, executed)
    assert status.signal == signal.SIGINT


def test_closing_the_terminal_hangs_up(guests: Guests, sleeper: Running) -> None:
    executed = on_terminal(guests, sleeper, "/bin/sleep", "1000")
    finish(guests, executed)
    assert guests.wait_for_execution(executed.id).signal == signal.SIGHUP


@pytest.mark.machine("cgroups")
def test_it_ends_with_the_guest(guests: Guests, sleeper: Running) -> None:
    executed = on_terminal(guests, sleeper, "/bin/sleep", "1000")
    guests.destroy(sleeper)
    assert guests.wait_for_execution(executed.id).signal == signal.SIGKILL
    finish(guests, executed)


def test_no_fd_of_ours_reaches_it_and_its_directory_is_inside(guests: Guests, sleeper: Running) -> None:
    said, _ = guests.execute(sleeper, "ls", "-l", "/proc/self/fd/")
    assert re.findall(r" (\d+)(?: -> \S+)?$", said, re.MULTILINE)[-4:] == ["0", "1", "2", "3"]
    said, _ = guests.execute(sleeper, "/bin/sh", "-c", "readlink /proc/self/cwd; ls /proc/self/cwd/../../etc/hostname")
    assert said == "/\n/proc/self/cwd/../../etc/hostname\n"


def test_the_guest_cannot_look_into_a_process_while_it_enters(guests: Guests, busybox_root: Path) -> None:
    """The class of CVE-2019-5736: the keeper's executable and fds, seen through /proc of an entering process."""
    script = (
        "while :; do for p in /proc/[0-9]*; do",
        "  link=$(readlink $p/exe 2> /dev/null) || continue",
        "  case $link in *python*|*memfd*) echo seen $link; ls -l $p/fd $p/root $p/cwd 2>&1;; esac",
        "done; done > /watched 2>&1",
    )
    running = guests.launch(spec(busybox_root, *script))
    deadline = time.monotonic() + scaled(1.5)
    while time.monotonic() < deadline:
        guests.execute(running, "true")
    watched = (busybox_root / "watched").read_text()
    assert "seen" not in watched


def test_a_paused_guest_is_not_entered(guests: Guests, sleeper: Running) -> None:
    completed(guests.launcher.suspend(sleeper))
    with pytest.raises(OperationInvalidError, match="paused"):
        guests.execute(sleeper, "true")
    completed(guests.launcher.resume(sleeper))
    assert guests.execute(sleeper, "echo", "back")[0] == "back\n"


def test_many_at_once_do_not_disturb_each_other(guests: Guests, sleeper: Running) -> None:
    several = [on_terminal(guests, sleeper, "/bin/sh", "-c", f"read line; exit {code}") for code in range(10)]
    for executed in reversed(several):
        assert executed.master is not None
        os.write(executed.master, b"\n")
    for code, executed in enumerate(several):
        assert guests.wait_for_execution(executed.id).code == code
        finish(guests, executed)


PROGRAM = """
import ctypes, os, signal
call = ctypes.CDLL(None, use_errno=True).syscall
def say(text): os.write(1, text.encode() + b"\\n")
"""
"""What the programs below begin with."""
TRACE_ME = f"call({call_numbers()['ptrace']}, 0, 0, 0, 0)"


@pytest.fixture
def snake(guests: Guests, busybox_root: Path) -> Running:
    """A guest that sleeps, in which Python can be executed."""
    return guests.launch(spec(busybox_root, "sleep 1000", mounts=show_python(busybox_root)))


@contextlib.contextmanager
def piped(guests: Guests, running: Running, *argv: str) -> Iterator[tuple[EnteredProcess, int]]:
    """Execute a program, and give what reads its output; it need not end."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield (
            completed(guests.launcher.entrance.execute(running, Process(argv=argv), stdio=(null, writer, writer))),
            reader,
        )
    finally:
        for each in (null, reader, writer):
            os.close(each)


def test_who_makes_the_keeper_its_tracer_is_not_stopped_by_signals_for_ever(guests: Guests, snake: Running) -> None:
    program = f"""{PROGRAM}
signal.signal(signal.SIGUSR1, lambda *_: say("caught"))
say(f"traced {{{TRACE_ME}}}")
os.kill(os.getpid(), signal.SIGUSR1)
say(f"traced {{{TRACE_ME}}}")
os.execv("/bin/sh", ["sh", "-c", "echo executed; exit 7"])
"""
    with piped(guests, snake, *python_program(program)) as (executed, reader):
        assert read_until(reader, b"executed\n").split() == b"traced 0 caught traced 0 executed".split()
        assert guests.wait_for_execution(executed.id).code == 7
        os.close(executed.pidfd)


def test_who_makes_the_keeper_its_tracer_over_and_over_is_killed(guests: Guests, snake: Running) -> None:
    program = f"""{PROGRAM}
signal.signal(signal.SIGUSR1, lambda *_: None)
while True:
    {TRACE_ME}
    os.kill(os.getpid(), signal.SIGUSR1)
"""
    with piped(guests, snake, *python_program(program)) as (executed, _):
        assert guests.wait_for_execution(executed.id).signal == signal.SIGKILL
        os.close(executed.pidfd)


@pytest.mark.machine("endings")
def test_children_that_it_makes_the_keepers_are_reaped_and_hold_up_no_end(guests: Guests, snake: Running) -> None:
    program = f"""{PROGRAM}
CLONE_PARENT = 0x8000
for number in range(200):
    if call({call_numbers()["clone"]}, CLONE_PARENT, 0, 0, 0, 0) == 0:
        os._exit(number % 256)
say("made")
signal.pause()
"""
    with piped(guests, snake, *python_program(program)) as (executed, reader):
        read_until(reader, b"made")
        children = Path(f"/proc/{guests.keeper_pid}/task/{guests.keeper_pid}/children")
        known = {str(snake.pid), str(executed.pid), str(guests.spawner_pid)}
        until(lambda: set(children.read_text().split()) == known, "all being reaped")
        guests.destroy(snake)
        assert guests.wait_for_execution(executed.id).signal == signal.SIGKILL
        os.close(executed.pidfd)


def test_a_guest_that_took_its_terminals_away_gets_no_other(guests: Guests, busybox_root: Path) -> None:
    running = guests.launch(spec(busybox_root, "umount -l /dev/pts; touch /done; sleep 1000"))
    until((busybox_root / "done").exists, "the guest unmounting devpts")
    with pytest.raises(StepError, match="terminal"):
        on_terminal(guests, running, "/bin/sh")
