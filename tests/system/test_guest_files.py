"""Files of a running guest's: `Container.open`, `put` and `get`, and what a hostile guest lays in their way."""

import io
import os
import shutil
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from insula import Container, Engine, Limits
from insula.engine.enter.guestprocess import PIPE
from insula.engine.spec import Bytes, TmpfsMount
from insula.errors import (
    InsulaError,
    InvalidArgumentError,
    OperationFailedError,
    OperationInvalidError,
    OperationTimeoutError,
)
from tests.waiting import patience, scaled, until

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped")

REFUSED = "No such file|Too many levels|Permission denied|Read-only|File exists|no regular file|not permitted"
IDLE = ("/bin/sh", "-c", "while :; do sleep 1000; done")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One keeper and one looker for the module's containers."""
    with Engine() as made:
        made.looker.start()
        yield made


@pytest.fixture
def guest(busybox_root: Path, engine: Engine) -> Iterator[Container]:
    (busybox_root / "srv").mkdir(exist_ok=True)
    with Container(busybox_root, name="guest", init=IDLE, ephemeral=True, engine=engine) as made:
        yield made


@pytest.mark.machine("mounts", "cgroups")
def test_megabytes_go_in_and_come_out_as_they_were(guest: Container, tmp_path: Path) -> None:
    content = os.urandom(5 << 20)
    (tmp_path / "in").write_bytes(content)
    (tmp_path / "in").chmod(0o4750)
    guest.put(tmp_path / "in", "/srv/data")
    assert guest.run(["stat", "-c", "%u:%g %a %s", "/srv/data"]).stdout == f"0:0 750 {len(content)}\n".encode()
    guest.get("/srv/data", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o750
    assert (tmp_path / "out").stat().st_uid == os.getuid()


def test_a_file_belongs_to_whom_it_is_given_and_one_that_is_there_stays_as_it_is(
    guest: Container, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_text("one\n")
    guest.put(source, "/srv/file", mode=0o2640, user="nobody", group="root")
    assert guest.run(["stat", "-c", "%u:%g %a", "/srv/file"]).stdout == b"65534:0 2640\n"
    source.write_text("two\n")
    guest.put(source, "/srv/file")
    assert guest.run(["stat", "-c", "%u:%g", "/srv/file"]).stdout == b"65534:0\n"
    assert guest.run(["cat", "/srv/file"]).stdout == b"two\n"


def test_files_are_written_read_added_to_and_made_like_those_of_the_host(guest: Container) -> None:
    with guest.open("/srv/text", "w") as file:
        file.write("grüße\n")
    with guest.open("/srv/text", "a") as file:
        file.write("mehr\n")
    with guest.open("/srv/text") as file:
        assert list(file) == ["grüße\n", "mehr\n"]
    with guest.open("/srv/text", "rb") as data:
        assert data.read(3) == "grü".encode()[:3]
    with pytest.raises(FileExistsError):
        guest.open("/srv/text", "x")
    with guest.open("/srv/new", "xb") as new:
        new.write(b"\0" * 1000)
    assert guest.run(["wc", "-c", "/srv/new"]).stdout.split()[0] == b"1000"


def test_what_cannot_be_opened_is_told_as_python_tells_it(guest: Container) -> None:
    guest.run(["sh", "-c", "mkdir /srv/dir; mknod /srv/pipe p"], check=True)
    with pytest.raises(FileNotFoundError, match="/srv/missing"):
        guest.open("/srv/missing")
    with pytest.raises(FileNotFoundError):
        guest.open("/srv/missing/file", "w")
    with pytest.raises(IsADirectoryError):
        guest.open("/srv/dir", "w")
    for path in ("/srv/pipe", "/dev/null"):
        with pytest.raises(OSError, match="no regular file"):
            guest.open(path)
    with pytest.raises(OSError, match="no user 'stranger'"):
        guest.open("/srv/file", "w", user="stranger")
    for mode in ("r+", "rw", "", "q", "rbt"):
        with pytest.raises(InvalidArgumentError, match="no way to open"):
            guest.open("/srv/file", mode)  # type: ignore[call-overload]
    with pytest.raises(InvalidArgumentError, match="no path"):
        guest.open("/srv/\0")


def test_a_paused_or_ended_guest_has_no_files_to_open(busybox_root: Path, engine: Engine) -> None:
    with Container(busybox_root, name="guest", init=IDLE, ephemeral=True, engine=engine) as guest:
        guest.freeze()
        with pytest.raises(OperationInvalidError, match="guest is paused"):
            guest.open("/etc/passwd")
        guest.thaw()
        assert "root" in guest.open("/etc/passwd").read()
    with pytest.raises(OperationInvalidError, match="'guest' does not run"):
        guest.open("/etc/passwd")


@pytest.mark.machine("mounts")
def test_no_link_of_the_guests_leads_to_a_file_of_the_hosts(guest: Container, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the host's")
    ups = "../" * 40
    guest.run(["sh", "-c", f"ln -s {secret} /srv/absolute; ln -s {ups}{secret} /srv/relative"], check=True)
    guest.run(["sh", "-c", "ln -s /proc/1/root /srv/root; ln -s /proc/self/fd/0 /srv/magic"], check=True)
    for link in ("/srv/absolute", "/srv/relative", f"/srv/root{secret}", "/srv/magic", f"{ups}{secret}"):
        with pytest.raises(OSError, match=REFUSED):
            guest.open(link).read()
        with pytest.raises(OSError, match=REFUSED), guest.open(link, "w") as file:
            file.write("overwritten")
    assert secret.read_text() == "the host's"


def test_what_the_guests_root_may_not_change_is_not_changed_for_it(guest: Container) -> None:
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger"):
        guest.run(["sh", "-c", f"ln -sf {path} /srv/link"], check=True)
        with pytest.raises(OSError, match=REFUSED), guest.open("/srv/link", "w") as file:
            file.write("3")


def test_what_is_written_counts_in_the_guests_limits(busybox_root: Path, engine: Engine) -> None:
    limits = Limits(memory=Bytes(48 << 20))
    mounts = [TmpfsMount(target="/srv/memory", size=Bytes(256 << 20))]
    with Container(
        busybox_root, name="small", init=IDLE, ephemeral=True, limits=limits, mounts=mounts, engine=engine
    ) as guest:
        with pytest.raises((OSError, InsulaError)), guest.open("/srv/memory/large", "wb") as file:
            shutil.copyfileobj(io.BytesIO(b"\1" * (96 << 20)), file)
        assert guest.running


def test_a_full_file_system_of_the_guests_is_told(busybox_root: Path, engine: Engine) -> None:
    mounts = [TmpfsMount(target="/srv/small", size=Bytes(1 << 20))]
    with (
        Container(busybox_root, name="full", init=IDLE, ephemeral=True, mounts=mounts, engine=engine) as guest,
        pytest.raises(OSError, match="No space left"),
        guest.open("/srv/small/file", "wb") as file,
    ):
        file.write(b"\1" * (4 << 20))


def test_a_file_that_claims_to_be_endless_is_refused_and_leaves_nothing(guest: Container, tmp_path: Path) -> None:
    guest.run(["truncate", "-s", str(1 << 40), "/srv/sparse"], check=True)
    (tmp_path / "sparse").write_text("from before")
    with pytest.raises(OperationFailedError, match="more than 1048576 bytes"):
        guest.get("/srv/sparse", tmp_path, most=1 << 20)
    assert [each.name for each in tmp_path.iterdir()] == ["sparse"]
    assert (tmp_path / "sparse").read_text() == "from before"


def test_no_process_of_the_guests_sees_who_copies(guest: Container) -> None:
    before = set(guest.run(["ls", "/proc"]).stdout.split())
    with guest.open("/srv/slow", "wb") as file:
        file.write(b"x")
        file.flush()
        seen = set(guest.run(["ls", "/proc"]).stdout.split())
    assert {each for each in seen - before if each.isdigit()} <= {str(n).encode() for n in range(2, 100)}
    script = "for each in /proc/[0-9]*; do tr '\\0' ' ' < $each/cmdline; echo; done"
    with guest.open("/srv/slow", "wb"):
        assert b"looker" not in guest.run(["sh", "-c", script]).stdout


def test_what_does_not_move_is_given_up(guest: Container) -> None:
    def write() -> None:
        with guest.open("/srv/slow", "wb", timeout=scaled(0.5)) as file:
            file.write(b"begun")
            file.flush()
            for each in _looks(guest):
                os.kill(each, signal.SIGSTOP)
            for _ in range(64):
                file.write(b"\1" * (1 << 20))

    with pytest.raises(OperationTimeoutError, match="file system of 'guest' does not answer"):
        write()
    until(lambda: not _looks(guest), "the end of who copied")


def test_threads_copy_at_the_same_time(guest: Container, tmp_path: Path) -> None:
    contents = {name: os.urandom(1 << 20) for name in "abcd"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    threads = [threading.Thread(target=guest.put, args=(tmp_path / name, f"/srv/{name}")) for name in contents]
    for each in threads:
        each.start()
    for each in threads:
        each.join(patience(60))
    for name, content in contents.items():
        with guest.open(f"/srv/{name}", "rb") as file:
            assert file.read() == content


@pytest.mark.machine("mounts", "cgroups")
def test_a_privileged_guests_files_are_as_safe_to_open(busybox_root: Path, engine: Engine, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the host's")
    with Container(busybox_root, name="trusted", init=IDLE, ephemeral=True, privileged=True, engine=engine) as guest:
        guest.run(["ln", "-s", str(secret), "/tmp/link"], check=True)
        with pytest.raises(FileNotFoundError):
            guest.open("/tmp/link")
        with guest.open("/tmp/file", "w") as file:
            file.write("inside")
        assert guest.run(["cat", "/tmp/file"]).stdout == b"inside"


def test_one_file_can_be_read_while_a_program_writes_another(guest: Container) -> None:
    with guest.popen(["cat"], stdin=PIPE, stdout=PIPE) as program:
        assert program.stdin is not None
        with guest.open("/etc/passwd") as file:
            program.stdin.write(file.read().encode())
        program.stdin.close()
        assert program.wait(patience(20)) == 0


def _looks(guest: Container) -> list[int]:
    """Return the processes in the guest's group that are none of its own."""
    own = Path(f"/proc/{guest.pid}/ns/pid").stat().st_ino
    others = []
    for each in guest._life.alive().group.processes():
        with suppress(OSError):  # it ends while we look
            if Path(f"/proc/{each}/ns/pid").stat().st_ino != own:
                others.append(each)
    return others
