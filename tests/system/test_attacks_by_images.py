"""A root file system attacks who starts it: by what lies where a path of it is touched, by its users, libraries and
nodes, and by what stands beside it. docs/reference/attacks.md names each by its number.
"""

import contextlib
import ctypes
import os
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from insula import Container, Engine
from insula.errors import InsulaError
from tests.waiting import patience, until

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped")

IDLE = ("/bin/sleep", "1000")
TOUCHED = (
    *("proc", "sys", "dev", "run", "tmp", "etc", "root", "mnt", "var"),
    *("dev/null", "dev/console", "dev/tty1", "dev/pts", "dev/shm", "dev/mqueue", "dev/fd", "dev/.insula"),
    *("proc/sys", "proc/self", "sys/fs/cgroup", "run/systemd", "run/host", "run/lock"),
    *("etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/machine-id", "etc/passwd", "etc/group", "etc/os-release"),
    *(".oldroot", "oldroot", "put_old", ".pivot_root"),
)
"""What runtimes have stumbled over in a root, ours and others."""
PRIVILEGED = pytest.mark.parametrize("privileged", [False, True], ids=["unprivileged", "privileged"])


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        made.looker.start()
        yield made


def replace(path: Path, make: Callable[[Path], object]) -> None:
    """Put something else in a path's place."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)


@contextlib.contextmanager
def laid(path: Path, make: Callable[[Path], object]) -> Iterator[None]:
    """Have something else in a path's place for a while."""
    aside = path.with_name("trapped-before")
    path.parent.mkdir(parents=True, exist_ok=True)
    there = os.path.lexists(path)
    if there:
        path.rename(aside)
    make(path)
    try:
        yield
    finally:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if there:
            aside.rename(path)


TRAPS: dict[str, Callable[[Path, Path], object]] = {
    "a link": lambda path, hosts: path.symlink_to(hosts),
    "a link upwards": lambda path, hosts: path.symlink_to("../" * 30 + str(hosts).lstrip("/")),
    "a link by /proc": lambda path, hosts: path.symlink_to(f"/proc/self/root{hosts}"),
    "a link to a setting": lambda path, _hosts: path.symlink_to("/proc/sys/kernel/core_pattern"),
    "a pipe": lambda path, _hosts: os.mkfifo(path),
    "a disk": lambda path, _hosts: os.mknod(path, 0o60666, os.makedev(7, 0)),
    "a huge file": lambda path, _hosts: os.truncate(path, 1 << 40) if not path.write_bytes(b"") else None,
    "a directory": lambda path, _hosts: path.mkdir(),
}


def seen_of(tree: Path) -> list[tuple[object, ...]]:
    """Return all that there is to tell of a tree: who changes it, or makes anything in it, changes this."""
    found: list[tuple[object, ...]] = []
    for path in (tree, *sorted(tree.rglob("*"))):
        told = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found.append((str(path), told.st_mode, told.st_uid, told.st_gid, told.st_mtime_ns, told.st_ctime_ns, content))
    return found


@PRIVILEGED
@pytest.mark.parametrize("trap", TRAPS)
def test_no_trap_in_a_root_leads_a_start_to_the_host_or_holds_it_up(
    busybox_root: Path, engine: Engine, scratch: Path, trap: str, privileged: bool
) -> None:
    hosts = scratch / "hosts"
    hosts.mkdir()
    (hosts / "file").write_text("the host's\n")
    before, pattern = seen_of(hosts), Path("/proc/sys/kernel/core_pattern").read_bytes()
    ran = 0
    for number, name in enumerate(TOUCHED):
        aim = hosts / "file" if number % 2 else hosts
        with laid(busybox_root / name, lambda path, aim=aim: TRAPS[trap](path, aim)):  # type: ignore[misc]
            guest = Container(busybox_root, name="trap", init=IDLE, engine=engine, privileged=privileged, hostname="x")
            with contextlib.suppress(InsulaError), guest:
                assert guest.run(["/bin/stat", "-c", "%t:%T", "/dev/null"], timeout=patience(20)).stdout == b"1:3\n"
                ran += 1
    assert seen_of(hosts) == before
    assert Path("/proc/sys/kernel/core_pattern").read_bytes() == pattern
    assert ran > len(TOUCHED) // 2, "most of these are nothing that a start has to refuse"


ACCOUNTS = {
    "over 32 bits": "web:x:4294967296:4294967296::/:/bin/sh\n",
    "stay as it is": "web:x:4294967295:4294967295::/:/bin/sh\n",
    "below zero": "web:x:-1:-1::/:/bin/sh\n",
    "hexadecimal": "web:x:0x0:0x0::/:/bin/sh\n",
    "blank": "web:x: 0: 0::/:/bin/sh\n",
    "endless": "web:x:" + "0" * 100_000 + ":0::/:/bin/sh\n",
}


@PRIVILEGED
@pytest.mark.parametrize("account", ACCOUNTS)
def test_no_number_of_a_user_becomes_root_by_overflow(
    busybox_root: Path, engine: Engine, account: str, privileged: bool
) -> None:
    (busybox_root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n" + ACCOUNTS[account])
    with Container(busybox_root, init=IDLE, ephemeral=True, engine=engine, privileged=privileged) as guest:
        for user in ("web", ACCOUNTS[account].split(":")[2]):
            with pytest.raises((InsulaError, OSError)):
                guest.run(["/bin/id", "-u"], user=user, timeout=patience(20))


@PRIVILEGED
def test_a_number_that_is_asked_for_is_no_name_of_the_guests(
    busybox_root: Path, engine: Engine, privileged: bool
) -> None:
    users = "root:x:0:0::/root:/bin/sh\n1000:x:0:0::/root:/bin/sh\nweb:x:1000:1000::/:/bin/sh\n"
    (busybox_root / "etc/passwd").write_text(users)
    (busybox_root / "etc/group").write_text("root:x:0:1000\n1000:x:0:\nweb:x:1000:\n")
    with Container(busybox_root, init=IDLE, ephemeral=True, engine=engine, privileged=privileged) as guest:
        ids = guest.run(["/bin/sh", "-c", "id -u; id -g; id -G"], user="1000", text=True).stdout.split()
    assert ids[0] == "1000"
    assert "0" not in ids


IN_OPEN, IN_ACCESS = 0x20, 0x1


class OpenWatch:
    """Tells which files are opened, by anybody in whatever mount namespace: inotify(7)."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._watched: dict[int, str] = {}

    def watch(self, path: Path) -> None:
        number = self._libc.inotify_add_watch(self.fd, os.fsencode(path), IN_OPEN | IN_ACCESS)
        assert number > 0
        self._watched[number] = str(path)

    def opened(self) -> set[str]:
        """Return the files that were opened since it was asked last."""
        found: set[str] = set()
        with contextlib.suppress(BlockingIOError):
            while told := os.read(self.fd, 1 << 16):
                while told:
                    number, _, _, length = struct.unpack_from("iIII", told)
                    found.add(self._watched[number])
                    told = told[16 + length :]
        return found


@pytest.fixture
def watch() -> Iterator[OpenWatch]:
    made = OpenWatch()
    yield made
    os.close(made.fd)


LIBRARIES = (
    *("etc/ld.so.preload", "etc/ld.so.cache", "etc/nsswitch.conf", "etc/gai.conf", "etc/host.conf"),
    *("lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libc.so.6", "lib/x86_64-linux-gnu/libnss_files.so.2"),
    *("usr/lib/locale/locale-archive", "usr/lib/ssl/openssl.cnf", "etc/localtime", "usr/bin/python3", "bin/mount"),
    *("usr/lib/python3/dist-packages/insula/__init__.py", "etc/containers/mounts.conf", "usr/bin/nsenter"),
)


@PRIVILEGED
def test_nothing_of_ours_loads_a_library_or_a_module_of_the_guests(
    busybox_root: Path, engine: Engine, scratch: Path, watch: OpenWatch, privileged: bool
) -> None:
    """Busybox itself loads none: it is one static program."""
    for name in LIBRARIES:
        replace(busybox_root / name, lambda path: path.write_bytes(b"\x7fELF hostile"))
        watch.watch(busybox_root / name)
    assert watch.opened() == set()
    (scratch / "in").write_text("words")
    with Container(busybox_root, init=IDLE, engine=engine, privileged=privileged) as guest:
        assert guest.run(["/bin/true"], user="nobody").returncode == 0
        with guest.popen(["/bin/sh", "-c", "true"]) as process:
            process.wait(patience(20))
        guest.put(scratch / "in", "/tmp/in")
        guest.get("/tmp/in", scratch / "out")
        assert guest.open("/tmp/in").read() == "words"
        guest.stats()
    assert watch.opened() == set()
    (busybox_root / "etc/nsswitch.conf").read_bytes()
    assert watch.opened() == {str(busybox_root / "etc/nsswitch.conf")}, "the watch would have told"


@PRIVILEGED
def test_a_node_that_the_image_brings_along_opens_nothing(busybox_root: Path, engine: Engine, privileged: bool) -> None:
    (busybox_root / "srv").mkdir(exist_ok=True)
    disk = os.stat(busybox_root).st_dev
    nodes = {"mem": (0o20666, os.makedev(1, 1)), "port": (0o20666, os.makedev(1, 4)), "kmsg": (0o20666, 0x10B)}
    nodes |= {"disk": (0o60666, disk), "loop": (0o60666, os.makedev(7, 0)), "control": (0o20666, os.makedev(10, 237))}
    for name, (mode, number) in nodes.items():
        os.mknod(busybox_root / "srv" / name, mode, number)
        os.chmod(busybox_root / "srv" / name, 0o666)
    with Container(busybox_root, init=IDLE, engine=engine, privileged=privileged) as guest:
        opened = "(: < $n) 2> /dev/null && echo read $n; (: >> $n) 2> /dev/null && echo wrote $n"
        script = f"cd /srv; for n in *; do {opened}; done; true"
        assert guest.run(["/bin/sh", "-c", script], text=True).stdout == ""


@PRIVILEGED
def test_no_file_in_or_beside_an_image_is_taken_for_its_configuration(
    busybox_root: Path, engine: Engine, scratch: Path, privileged: bool
) -> None:
    (scratch / "hosts").mkdir()
    (scratch / "hosts/secret").write_text("the host's")
    settings = f"[Exec]\nPrivateUsers=no\nCapability=all\n[Files]\nBind={scratch}/hosts:/mnt\n"
    xml = f"<domain type='lxc'><devices><filesystem><source dir='{scratch}/hosts'/></filesystem></devices></domain>"
    for place in (busybox_root.parent / busybox_root.name, busybox_root / "busybox", busybox_root / "config"):
        for suffix, text in ((".nspawn", settings), (".xml", xml), (".json", '{"mounts": []}'), (".toml", "a = 1\n")):
            place.with_name(place.name + suffix).write_text(text)
    (busybox_root / "metadata.yaml").write_text("templates:\n  /../../../../etc/x:\n    template: y\n")
    with Container(busybox_root, init=IDLE, ephemeral=True, engine=engine, privileged=privileged) as guest:
        assert guest.run(["/bin/ls", "/mnt"], text=True).stdout == ""
        assert guest.run(["/bin/sh", "-c", "cut -d' ' -f5 /proc/self/mountinfo | grep mnt"]).stdout == b""


@PRIVILEGED
def test_no_variable_of_the_hosts_reaches_a_guest(
    busybox_root: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, privileged: bool
) -> None:
    """With an engine of its own: its keeper is started with the variable."""
    monkeypatch.setenv("INSULA_ATTACKED_TOKEN", "hosts-own-secret")
    (busybox_root / "etc/environment").write_text("COPIED=$INSULA_ATTACKED_TOKEN\n")
    with (
        Engine() as own,
        Container(busybox_root, init=IDLE, ephemeral=True, engine=own, privileged=privileged) as guest,
    ):
        script = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline; env"
        said = guest.run(["/bin/sh", "-c", script]).stdout
    assert b"PATH=" in said
    assert b"hosts-own-secret" not in said


IDENTITY = "cat /etc/machine-id /proc/sys/kernel/random/boot_id; head -c 16 /dev/urandom | sha256sum"


@pytest.mark.requires("debian-13-image")
def test_two_guests_of_one_image_are_two_machines(debian_root: Callable[[str], Path], engine: Engine) -> None:
    def identity(guest: Container) -> list[str]:
        until(lambda: guest.run(["test", "-s", "/etc/machine-id"]).returncode == 0, "a machine id", 60)
        until(lambda: b"init" not in guest.run(["cat", "/etc/machine-id"]).stdout, "its content", 60)
        return guest.run(["sh", "-c", IDENTITY], text=True).stdout.split()

    one, other = (Container(debian_root("13"), ephemeral=True, engine=engine) for _ in range(2))
    with one, other:
        told = [identity(guest) for guest in (one, other)]
    assert [len(set(pair)) for pair in zip(*told, strict=True)] == [2, 2, 2, 1], (
        "the last is sha256sum's name of a file"
    )
