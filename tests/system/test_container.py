"""`insula.Container`: a container in the test's own program, with its own keeper."""

import contextlib
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from insula import Container, Engine, ExitMeaning, Limits
from insula.engine.enter.guestprocess import PIPE
from insula.engine.spec import BindMount, Bytes, Device, DeviceKind, Seccomp, SeccompProfile
from insula.errors import (
    InvalidArgumentError,
    OperationFailedError,
    OperationInvalidError,
    OperationTimeoutError,
    OperationUnsupportedError,
    StepError,
)
from insula.kernel.cgroups import Hierarchies, labelled
from tests.leaks import is_gone
from tests.waiting import patience, scaled, until, until_heard

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped")

IDLE = ("/bin/sh", "-c", "trap 'exit 3' TERM; while :; do sleep 1000 & wait $!; done")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One keeper for the module's containers."""
    with Engine() as made:
        made.looker.start()
        yield made


@pytest.fixture
def guest(busybox_root: Path, engine: Engine) -> Iterator[Container]:
    """A running container with a plain program as its init, which ends with status 3 on SIGTERM."""
    with Container(busybox_root, name="guest", init=IDLE, ephemeral=True, engine=engine) as made:
        yield made


@pytest.mark.machine("mounts")
def test_a_container_lives_as_long_as_its_block_and_leaves_nothing(busybox_root: Path) -> None:
    with Container(busybox_root, init=IDLE) as guest:
        assert guest.running
        pid = guest.pid
        assert Path(f"/proc/{pid}").exists()
    assert not guest.running
    assert not Path(f"/proc/{pid}").exists()
    assert guest.status is not None
    assert guest.status.meaning is ExitMeaning.KILLED


def test_a_program_inside_has_its_output_errors_and_status_brought_out(guest: Container) -> None:
    result = guest.run(["sh", "-c", "cat; echo oops >&2; exit 7"], input=b"hello")
    assert (result.returncode, result.stdout, result.stderr) == (7, b"hello", b"oops\n")
    with pytest.raises(subprocess.CalledProcessError):
        guest.run(["false"], check=True)
    assert guest.run(["sh", "-c", "kill -9 $$"]).returncode == -9


def test_megabytes_go_through_a_program_inside(guest: Container) -> None:
    data = os.urandom(3 << 20)
    assert guest.run(["cat"], input=data).stdout == data


def test_a_program_that_takes_too_long_is_killed(guest: Container) -> None:
    with pytest.raises(OperationTimeoutError):
        guest.run(["sleep", "4321"], timeout=scaled(0.2))
    assert b"sleep 4321" not in guest.run(["ps", "-o", "args"]).stdout


def test_a_program_that_is_not_there_is_told_by_name(guest: Container) -> None:
    with pytest.raises(StepError, match="nothing-like-it"):
        guest.run(["nothing-like-it"])
    assert guest.run(["true"]).returncode == 0


def test_user_directory_and_environment_are_the_guests(guest: Container) -> None:
    script = "id -u; pwd; echo $COLOUR"
    result = guest.run(["sh", "-c", script], user="nobody", cwd="/tmp", env={"COLOUR": "blue"})
    assert result.stdout == b"65534\n/tmp\nblue\n"


def test_a_guest_is_unprivileged_with_ids_nobody_else_has(guest: Container, busybox_root: Path, engine: Engine) -> None:
    with Container(busybox_root, init=IDLE, ephemeral=True, engine=engine) as other:
        owners = [Path(f"/proc/{each.pid}").stat().st_uid for each in (guest, other)]
        assert len({*owners, 0}) == 3
        assert guest.run(["id", "-u"]).stdout == b"0\n"


@pytest.mark.machine("mounts")
def test_an_ephemeral_guest_leaves_its_directory_alone_and_another_changes_it(
    busybox_root: Path, engine: Engine
) -> None:
    with Container(busybox_root, init=IDLE, ephemeral=True, engine=engine) as guest:
        guest.run(["touch", "/gone"], check=True)
    with Container(busybox_root, init=IDLE, engine=engine) as guest:
        guest.run(["touch", "/stays"], check=True)
    assert not (busybox_root / "gone").exists()
    assert (busybox_root / "stays").stat().st_uid == 0


def test_a_process_inside_can_be_talked_to(guest: Container) -> None:
    with guest.popen(["cat"], stdin=PIPE, stdout=PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"ping\n")
        assert process.stdout.readline() == b"ping\n"
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(patience(5)) == 0


def test_a_terminal_inside_has_the_size_it_was_given(guest: Container) -> None:
    with guest.popen(["sh", "-c", "tty; stty size; exit 4"], terminal=(33, 99)) as process:
        assert process.stdout is not None
        said = b""
        while b"33 99" not in said:
            said += os.read(process.stdout.fileno(), 1000)
        assert said.startswith(b"/dev/pts/")
        assert process.wait(patience(5)) == 4


def test_nothing_inside_has_our_place_in_the_out_of_memory_killers_list(busybox_root: Path) -> None:
    ours = Path("/proc/self/oom_score_adj")
    before = ours.read_text()
    ours.write_text("500")
    try:
        with Container(busybox_root, init=IDLE, ephemeral=True) as guest:
            ours.write_text(before)
            assert Path(f"/proc/{guest.pid}/oom_score_adj").read_text() == "0\n"
            command = ["/bin/sh", "-c", "read go; cat /proc/self/oom_score_adj"]
            with guest.popen(command, stdin=PIPE, stdout=PIPE) as process:
                assert process.communicate(b"go\n", timeout=patience(10))[0] == b"0\n"
    finally:
        ours.write_text(before)


@pytest.mark.machine("mounts")
def test_a_function_is_performed_inside_and_brings_its_result_out(guest: Container) -> None:
    assert "busybox" in guest.enter(os.listdir, "/bin")
    assert guest.enter(os.getuid) == 0
    assert guest.enter(lambda: open("/proc/self/uid_map").read().split()[0]) == "0"  # noqa: SIM115 - it ends at once
    assert guest.enter(socket.gethostname) == "guest"


@pytest.mark.requires("device.net/tun")
def test_a_guest_makes_tunnels_in_its_own_network(guest: Container) -> None:
    def make_tunnel() -> list[str]:
        with open("/dev/net/tun", "r+b", buffering=0) as tunnel:
            fcntl.ioctl(tunnel, 0x400454CA, struct.pack("16sH22x", b"vpn0", 0x1001))  # TUNSETIFF, IFF_TUN | IFF_NO_PI
            return sorted(name for _, name in socket.if_nameindex())

    assert guest.enter(make_tunnel) == ["lo", "vpn0"]
    assert "vpn0" not in [name for _, name in socket.if_nameindex()]


@pytest.mark.requires("device.fuse")
def test_only_a_guest_that_is_given_it_opens_the_device_of_file_systems_in_programs(
    guest: Container, busybox_root: Path, engine: Engine
) -> None:
    opening = ["sh", "-c", "stat -c '%a %u:%g %t:%T' /dev/fuse; exec 3<>/dev/fuse"]
    assert guest.run(["stat", "/dev/fuse"]).returncode != 0
    assert guest.run(["mknod", "/tmp/fuse", "c", "10", "229"]).returncode != 0
    device = Device(kind=DeviceKind.CHARACTER, major=10, minor=229, host="/dev/fuse", guest="fuse", mode=0o666)
    with Container(busybox_root, name="given", init=IDLE, ephemeral=True, engine=engine, devices=[device]) as given:
        assert given.run(opening).stdout == b"666 0:0 a:e5\n"


def test_a_function_is_held_like_the_guest_itself(guest: Container) -> None:
    def facts() -> list[str]:
        with open("/proc/self/status") as status:
            lines = [line.split() for line in status]
        with open("/proc/self/cgroup") as groups:
            paths = [line.strip().split(":", 2)[2] for line in groups]
        chosen = [words[1] for words in lines if words[0] in ("Seccomp:", "CapInh:")]
        return [*chosen, *sorted(set(paths))]

    inherited, seccomp, *paths = guest.enter(facts)
    assert (inherited, seccomp) == ("0000000000000000", "2")
    assert set(paths) <= {"/", "/insula.exec"}


def test_all_threads_that_wait_are_told_how_it_ended(guest: Container) -> None:
    with ThreadPoolExecutor() as threads:
        waiting = [threads.submit(guest.wait, patience(20)) for _ in range(4)]
        until_heard(guest.pid, signal.SIGTERM)
        guest.run(["kill", "-TERM", "1"])
        assert {each.result().code for each in waiting} == {3}
    assert guest.wait().code == 3


def test_all_threads_that_wait_for_a_program_inside_are_told_its_status(guest: Container) -> None:
    with guest.popen(["sh", "-c", "read line; exit 7"], stdin=PIPE) as process, ThreadPoolExecutor() as threads:
        assert process.stdin is not None
        waiting = [threads.submit(process.wait, patience(20)) for _ in range(4)]
        process.stdin.write(b"end\n")
        assert [each.result() for each in waiting] == [7] * 4


def test_no_link_of_the_guests_leads_a_function_into_what_the_program_has_open(
    guest: Container, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "secret").touch()
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    guest.run(["sh", "-c", "cd /tmp; for n in $(seq 3 200); do ln -s /proc/self/fd/$n $n; done"], check=True)

    def list_links() -> list[str]:
        found = []
        for number in range(3, 201):
            with contextlib.suppress(OSError):
                found += os.listdir(f"/tmp/{number}")
        return found

    try:
        assert "secret" not in guest.enter(list_links)
    finally:
        os.close(directory)


def test_a_function_that_fails_is_told_and_the_guest_goes_on(guest: Container) -> None:
    with pytest.raises(OperationFailedError, match="ZeroDivisionError"):
        guest.enter(lambda: 1 // 0)
    with pytest.raises(OperationFailedError, match="without a result"):
        guest.enter(os._exit, 9)
    with pytest.raises(InvalidArgumentError, match="brought out"):
        guest.enter(lambda: {1, 2})
    assert guest.running


def test_a_visitor_cannot_be_looked_into_from_inside(guest: Container) -> None:
    def wait_for_a_look() -> str:
        with open("/tmp/visitor", "w") as file:
            file.write(str(os.getpid()))
        while not os.path.exists("/tmp/looked"):
            time.sleep(0.005)
        return "unharmed"

    answers: list[object] = []
    visitor = threading.Thread(target=lambda: answers.append(guest.enter(wait_for_a_look)))
    visitor.start()

    def visitors_pid() -> str:
        return guest.run(["cat", "/tmp/visitor"]).stdout.decode()

    pid = until(visitors_pid, "the visitor being inside")
    looks = [
        guest.run(["readlink", f"/proc/{pid}/exe"]),
        guest.run(["ls", f"/proc/{pid}/fd"]),
        guest.run(["cat", f"/proc/{pid}/environ"]),
    ]
    guest.run(["touch", "/tmp/looked"], check=True)
    visitor.join()
    assert answers == ["unharmed"]
    assert [each.returncode != 0 for each in looks] == [True] * 3


def test_nobody_visits_a_privileged_guest(busybox_root: Path, engine: Engine) -> None:
    with (
        Container(busybox_root, init=IDLE, privileged=True, engine=engine) as guest,
        pytest.raises(OperationUnsupportedError, match="no user namespace"),
    ):
        guest.enter(os.getpid)


def test_a_guest_without_a_filter_has_none_but_for_what_is_refused_by_name(busybox_root: Path, engine: Engine) -> None:
    unconfined = Seccomp(profile=SeccompProfile.UNCONFINED)
    with Container(busybox_root, init=IDLE, ephemeral=True, seccomp=unconfined, engine=engine) as guest:
        assert guest.run(["grep", "Seccomp:", "/proc/1/status", "/proc/self/status"]).stdout.split()[1::2] == [b"0"] * 2
    no_directories = replace(unconfined, refuse=("mkdir", "mkdirat"))
    with Container(busybox_root, init=IDLE, ephemeral=True, seccomp=no_directories, engine=engine) as guest:
        assert (
            guest.run(["mkdir", "/tmp/a"]).stderr
            == b"mkdir: can't create directory '/tmp/a': Operation not permitted\n"
        )
        assert guest.run(["grep", "Seccomp:", "/proc/1/status"]).stdout.split()[1] == b"2"


@pytest.mark.machine("cgroups")
def test_freezing_stops_the_guest_until_it_is_thawed(guest: Container) -> None:
    guest.freeze()
    assert guest.frozen
    with pytest.raises(OperationInvalidError, match="paused"):
        guest.run(["true"])
    guest.thaw()
    assert guest.run(["true"]).returncode == 0


@pytest.mark.machine("cgroups")
def test_a_guest_that_is_started_paused_runs_when_it_is_thawed(busybox_root: Path, engine: Engine) -> None:
    container = Container(busybox_root, init=("/bin/touch", "/ran"), engine=engine)
    container.start(paused=True)
    assert container.running
    assert not (busybox_root / "ran").exists()
    container.thaw()
    assert container.wait(patience(10)).code == 0
    assert (busybox_root / "ran").exists()
    container.destroy()


def test_the_end_of_a_plain_program_is_its_status(busybox_root: Path, engine: Engine) -> None:
    container = Container(busybox_root, init=("/bin/sh", "-c", "exit 5"), ephemeral=True, engine=engine)
    container.start()
    status = container.wait(patience(10))
    assert (status.meaning, status.code) == (ExitMeaning.EXITED, 5)
    assert container.wait() == status
    container.start()
    assert container.wait(patience(10)) == status
    container.destroy()


def test_waiting_has_a_time_limit(guest: Container) -> None:
    with pytest.raises(OperationTimeoutError):
        guest.wait(0.05)
    assert guest.running


def test_init_gets_signals(guest: Container) -> None:
    until_heard(guest.pid, signal.SIGTERM)
    guest.signal(signal.SIGTERM)
    assert guest.wait(patience(10)).code == 3


def test_a_plain_init_is_asked_to_end_by_a_signal_it_hears(guest: Container) -> None:
    until_heard(guest.pid, signal.SIGTERM)
    assert guest.shutdown(patience(10)).code == 3


def test_an_init_that_cannot_hear_is_not_waited_for(busybox_root: Path, engine: Engine) -> None:
    with (
        Container(busybox_root, init=("/bin/sleep", "1000"), ephemeral=True, engine=engine) as guest,
        pytest.raises(OperationFailedError, match="does not listen"),
    ):
        guest.shutdown(patience(100))


def test_a_busybox_system_boots_and_shuts_down_when_asked(busybox_root: Path, engine: Engine) -> None:
    with Container(busybox_root, name="system", ephemeral=True, engine=engine) as guest:
        said = b""

        def asks_for_a_login() -> bool:
            # As the host that its init scripts name. What those print themselves may be gone: getty flushes the
            # terminal, also of what nobody has read yet.
            nonlocal said
            said += b"".join(guest.output())
            return b"busybox login:" in said

        until(asks_for_a_login, "the guest's init scripts and getty having run")
        assert guest.shutdown(patience(30)).meaning is ExitMeaning.POWERED_OFF


@pytest.mark.machine("cgroups")
def test_limits_hold_and_change_while_it_runs(busybox_root: Path, engine: Engine) -> None:
    with Container(busybox_root, init=IDLE, ephemeral=True, memory=64 << 20, pids=30, engine=engine) as guest:
        assert (guest.limits().memory, guest.limits().tasks) == (64 << 20, 30)
        guest.limit(Limits(memory=Bytes(16 << 20), memory_and_swap=Bytes(16 << 20)))
        result = guest.run(["sh", "-c", "head -c 40000000 /dev/zero | tail -c 40000000 >/dev/null"])
        assert result.returncode != 0
        assert guest.stats().oom_kills >= 1
        assert guest.running


@pytest.mark.machine("cgroups")
def test_what_it_uses_is_counted(guest: Container) -> None:
    guest.run(["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"], check=True)
    stats = guest.stats()
    assert stats.cpu is not None
    assert stats.memory is not None
    assert stats.tasks is not None
    assert stats.cpu.total > 1_000_000
    assert stats.memory.page_faults > 0
    assert stats.tasks.current >= 1


@pytest.mark.machine("mounts")
def test_a_directory_of_the_host_is_shown_and_keeps_its_owners(
    busybox_root: Path, engine: Engine, scratch: Path
) -> None:
    (scratch / "note").write_text("from outside")
    mount = BindMount(source=str(scratch), target="/mnt")
    with Container(busybox_root, init=IDLE, ephemeral=True, mounts=[mount], engine=engine) as guest:
        assert guest.run(["cat", "/mnt/note"]).stdout == b"from outside"
        guest.run(["sh", "-c", "echo back > /mnt/answer"], check=True)
    assert (scratch / "answer").read_text() == "back\n"
    assert (scratch / "answer").stat().st_uid == 0


@pytest.mark.machine("cgroups")
def test_a_failed_start_leaves_nothing_and_says_what_failed(busybox_root: Path, engine: Engine) -> None:
    container = Container(busybox_root, init=("/bin/missing",), ephemeral=True, engine=engine)
    with pytest.raises(StepError, match="/bin/missing"):
        container.start()
    assert not container.running
    container.destroy()


def test_the_hosts_own_root_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidArgumentError, match="host's own root"):
        Container("/", init=("/bin/true",), engine=engine).start()


def test_a_plan_is_told_without_anything_happening(busybox_root: Path, engine: Engine) -> None:
    container = Container(busybox_root, name="planned", engine=engine)
    lines = [what for _, what, _ in container.plan().lines()]
    assert any("control group of planned" in line for line in lines)
    assert not container.running
    container.destroy()


def test_containers_of_several_threads_share_an_engine(busybox_root: Path, engine: Engine) -> None:
    outputs: list[bytes] = []

    def work(number: int) -> None:
        with Container(busybox_root, init=IDLE, ephemeral=True, engine=engine) as guest:
            outputs.extend(guest.run(["echo", str(number)]).stdout for _ in range(3))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(outputs) == sorted(b"%d\n" % number for number in range(4) for _ in range(3))


FORGETFUL = """
import sys
from insula import Container
guest = Container(sys.argv[1], init=("/bin/sleep", "1000"), ephemeral=True)
guest.start()
print(guest.pid, flush=True)
sys.exit(sys.stdin.readline() == "fail")
"""


def test_a_program_that_forgets_its_container_takes_it_along_when_it_ends(busybox_root: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FORGETFUL, str(busybox_root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        pid = int(program.stdout.readline())
        assert Path(f"/proc/{pid}").exists()
        program.stdin.write("end\n")
        program.stdin.close()
        assert program.wait() == 0
    until(lambda: is_gone(pid), "the guest being gone")


@pytest.mark.machine("endings")
def test_a_program_that_is_killed_takes_its_guest_along_and_the_next_one_tidies_up(busybox_root: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FORGETFUL, str(busybox_root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        pid = int(program.stdout.readline())
        program.kill()
    until(lambda: is_gone(pid), "the guest being gone")

    def nothing_is_left() -> bool:
        with Container(busybox_root, init=IDLE, ephemeral=True):
            hierarchies = Hierarchies.detect()
        return not any(labelled(hierarchies, "machine.slice"))

    until(nothing_is_left, "the groups of the killed program being removed by another")
