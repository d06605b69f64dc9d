"""Images built for real, and builds killed at random moments."""

import asyncio
import fcntl
import itertools
import os
import random
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from insula import Container
from insula.errors import OperationFailedError
from insula.kernel.fds import Fd
from insula.layout import Layout
from insula.storage.builders.catalogue import recipe_for
from insula.storage.builders.imagebuilder import Workplace
from insula.storage.builders.tool import run_tool
from insula.storage.imagestore import ImageStore
from tests import libc
from tests.enclosure import Enclosure
from tests.waiting import patience, until


def start_build(prefix: Path, *words: str, world: Enclosure | None = None) -> subprocess.Popen[str]:
    """Start a build as a process of its own; in the host's network, if a world is given."""
    command = (sys.executable, "-m", "tests.imagebuild", str(prefix), *words)
    return subprocess.Popen(
        world.outside(*command) if world else command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=patience(600))
    assert process.returncode == 0, output
    return output


def chroot(root: Path, *command: str) -> str:
    return subprocess.run(["chroot", str(root), *command], capture_output=True, text=True, check=True).stdout


@pytest.mark.requires("busybox")
def test_a_busybox_image_runs_its_own_programs(scratch: Path) -> None:
    store = ImageStore(Layout.prefix(scratch))
    image = asyncio.run(store.build("bb", recipe_for("busybox")))
    assert re.match(r"BusyBox \d", image.os)
    root = store.rootfs("bb")
    assert "inittab" in chroot(root, "/bin/ls", "/etc")
    assert chroot(root, "/sbin/getty", "--help") == ""
    assert chroot(root, "/bin/sh", "-c", ". /etc/profile; id -un") == "root\n"


@pytest.fixture(scope="module")
def built(world: Enclosure) -> Iterator[Callable[[str], Path]]:
    """Builds Debian releases once for this module; the argument is the source. Returns the prefix."""
    prefix = world.base / "images"
    done: set[str] = set()

    def build(source: str) -> Path:
        if source not in done:
            output = finish(start_build(prefix, source, world=world))
            assert "downloading libc6" in output
            assert "setting up systemd" in output
            assert output.splitlines()[-1] == "99% writing to disk"
            done.add(source)
        return prefix

    yield build
    store = ImageStore(Layout.prefix(prefix))
    for image in store.all():
        store.remove(image.name)


@pytest.mark.requires("mmdebstrap")
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("source", "version"), [("debian-12", "12"), ("debian-13", "13")])
def test_a_debian_image_is_a_guest_and_nothing_of_its_host(
    built: Callable[[str], Path], source: str, version: str
) -> None:
    store = ImageStore(Layout.prefix(built(source)))
    image = store.find(source)
    root = store.rootfs(source)
    assert f"Debian GNU/Linux {version} " in image.os
    assert image.size > 100_000_000
    assert chroot(root, "systemctl", "--version").startswith("systemd ")
    assert (root / "sbin/init").resolve().name == "systemd"
    assert (root / "etc/machine-id").read_bytes() == b""
    assert not (root / "etc/hostname").exists()
    assert os.readlink(root / "etc/resolv.conf") == "../run/systemd/resolve/stub-resolv.conf"
    assert chroot(root, "getent", "shadow", "root").split(":")[1] in ("*", "!", "!*")
    assert list((root / "dev").iterdir()) == []
    assert list((root / "boot").iterdir()) == []
    assert chroot(root, "dpkg", "--audit") == ""
    assert "systemd-sysv" in chroot(root, "dpkg-query", "-W", "-f", "${Package}\n")
    (sources,) = (root / "etc/apt/sources.list.d").iterdir()
    suites = re.findall(r"^Suites: (.*)$", sources.read_text(), re.MULTILINE)
    codename = {"12": "bookworm", "13": "trixie"}[version]
    assert any(codename in line.split() for line in suites)
    assert all(each.startswith(codename) for line in suites for each in line.split())
    for trace in ("99mmdebstrap", "apt.conf"):
        assert not list(root.glob(f"etc/**/{trace}"))


@pytest.mark.requires("mmdebstrap", "userns", "overlay.idmapped")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("source", ["debian-12", "debian-13"])
def test_a_debian_image_comes_up_whole_with_a_network_that_is_looked_after(
    built: Callable[[str], Path], source: str
) -> None:
    root = ImageStore(Layout.prefix(built(source))).rootfs(source)
    with Container(root, name="built", ephemeral=True) as guest:

        def state() -> str:
            said = guest.run(["systemctl", "is-system-running"]).stdout.decode().strip()
            return said if said in {"running", "degraded", "maintenance"} else ""

        failed = ["systemctl", "--failed", "--no-legend"]
        assert until(state, "the guest's systemd having finished its boot", 60) == "running", guest.run(failed).stdout
        looked_after = guest.run(["systemctl", "is-active", "systemd-networkd", "systemd-resolved"]).stdout
        assert looked_after.split() == [b"active", b"active"]
        assert b"127.0.0.53" in guest.run(["cat", "/etc/resolv.conf"]).stdout


@pytest.mark.requires("mmdebstrap")
@pytest.mark.timeout(900)
def test_a_debian_image_upgrades_itself_from_the_archives_it_was_built_from(
    built: Callable[[str], Path], world: Enclosure, scratch: Path
) -> None:
    """apt in a copy of the image, with the host's resolver: what the guest's own sources and keys are good for."""
    store = ImageStore(Layout.prefix(built("debian-12")))
    copy = scratch / "root"
    subprocess.run(["cp", "-a", "--reflink=auto", str(store.rootfs("debian-12")), str(copy)], check=True)
    resolver = subprocess.run(world.outside("cat", "/etc/resolv.conf"), capture_output=True, check=True).stdout
    (copy / "etc/resolv.conf").unlink()
    (copy / "etc/resolv.conf").write_bytes(resolver)
    (copy / "etc/hosts").write_bytes(Path("/etc/hosts").read_bytes())
    update = subprocess.run(
        world.outside("chroot", str(copy), "apt-get", "--error-on=any", "-o", "APT::Sandbox::User=root", "update"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert update.returncode == 0, update.stdout + update.stderr
    upgradable = subprocess.run(
        world.outside("chroot", str(copy), "apt-get", "--simulate", "dist-upgrade"),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "0 to remove" in upgradable


def build_processes(word: str) -> list[str]:
    """Return the command lines of processes that have a word in it, or stand below a directory of that name."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                root = os.readlink(entry / "root")
            except OSError:
                continue
            if word in line or word in root:
                found.append(line)
    return found


def is_locked(directory: Path) -> bool:
    """Tell whether a process holds the directory's lock: one that works in it, or has not quite ended."""
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


@pytest.mark.requires("mmdebstrap")
@pytest.mark.timeout(900)
def test_a_build_killed_at_any_moment_leaves_no_process_no_mount_and_a_whole_store(
    world: Enclosure, scratch: Path
) -> None:
    store = ImageStore(Layout.prefix(scratch))
    unfinished = store.directory / ".building-debian-12"
    chance = random.Random(20060702)
    for attempt in range(4):
        process = start_build(scratch, "debian-12", world=world)
        assert process.stdout is not None
        with process.stdout as output:
            lines = list(itertools.islice(output, chance.randrange(2, 260)))
            assert process.poll() is None, "the build ended by itself: " + "".join(lines[-12:])
            process.send_signal(signal.SIGKILL)
        process.wait()
        until(lambda: not build_processes(str(scratch)), "the end of all the build had started")
        # A dying process is without a command line before it is without descriptors.
        until(lambda: not is_locked(unfinished), "the release of what was being built")
        assert store.all() == [], f"attempt {attempt}: half an image after {len(lines)} lines"
        assert str(scratch) not in Path("/proc/self/mountinfo").read_text()
        if attempt % 2:
            assert store.sweep() == [unfinished.name]
            assert os.listdir(store.directory) == [".lock"]
    finish(start_build(scratch, "debian-12", world=world))
    assert [image.name for image in store.all()] == ["debian-12"]
    assert sorted(os.listdir(store.directory)) == [".lock", "debian-12"]


@pytest.mark.requires("mmdebstrap")
@pytest.mark.timeout(300)
def test_without_a_network_the_failure_shows_what_apt_says(scratch: Path) -> None:
    """The tests' own network has no way out."""
    store = ImageStore(Layout.prefix(scratch))
    with pytest.raises(OperationFailedError, match=r"mmdebstrap ended with status \d+:\n(.*\n)*.*apt-get update"):
        asyncio.run(store.build("debian-12", recipe_for("debian-12")))
    assert os.listdir(store.directory) == [".lock"]


@pytest.fixture
def workplace(scratch: Path) -> Iterator[Workplace]:
    lock = os.open(scratch, os.O_RDONLY)
    yield Workplace(directory=scratch, lock=Fd(lock), report=lambda _: None)
    os.close(lock)


def test_a_tool_and_all_it_started_end_when_the_build_is_cancelled(workplace: Workplace) -> None:
    sleep = f"sleep 4321.{os.getpid()}"
    script = f"setsid {sleep} & ({sleep} & {sleep}) & echo begun; exec {sleep}"

    async def cancel() -> None:
        begun = asyncio.Event()
        work = run_tool(["sh", "-c", script], workplace, package="dash", watch=lambda _: begun.set())
        task = asyncio.create_task(work)
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert build_processes(sleep) == []


def test_a_tool_inherits_the_lock_and_mounts_where_nobody_sees_it(workplace: Workplace) -> None:
    lines: list[str] = []
    script = 'mount -t tmpfs none "$1" && touch "$1/inside" && ls "$1" && ls -l /proc/self/fd && echo pid $$'
    target = workplace.directory / "mount"
    target.mkdir()
    asyncio.run(run_tool(["sh", "-c", script, "sh", str(target)], workplace, package="dash", watch=lines.append))
    assert lines[0] == "inside"
    assert any(line.endswith(f"-> {workplace.directory}") for line in lines)
    assert lines[-1] == "pid 1"
    assert os.listdir(target) == []


def test_what_is_fed_to_a_tool_arrives_and_its_failure_is_told(workplace: Workplace) -> None:
    lines: list[str] = []
    asyncio.run(run_tool(["cat"], workplace, package="coreutils", watch=lines.append, stdin=b"one\ntwo\n"))
    assert lines == ["one", "two"]
    with pytest.raises(OperationFailedError, match="sh ended with status 7:\n  oh"):
        asyncio.run(run_tool(["sh", "-c", "echo oh; exit 7"], workplace, package="dash", watch=lambda _: None))


def test_a_tool_has_the_usual_descriptors_however_many_we_may_have(workplace: Workplace) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    lines: list[str] = []
    asyncio.run(run_tool(["sh", "-c", "ulimit -Sn; ulimit -Hn"], workplace, package="dash", watch=lines.append))
    assert lines == [str(min(1024, hard)), str(hard)]


def test_a_line_without_end_does_no_harm(workplace: Workplace) -> None:
    lines: list[str] = []
    script = "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo after"
    asyncio.run(run_tool(["sh", "-c", script], workplace, package="dash", watch=lines.append))
    assert lines[-1] == "after"


@pytest.mark.requires("busybox")
def test_a_full_disk_is_a_clear_error_and_leaves_things_as_they_were(scratch: Path) -> None:
    libc.mount("small", str(scratch), "tmpfs", options="size=1M")
    try:
        store = ImageStore(Layout.prefix(scratch))
        with pytest.raises(OperationFailedError, match="No space left on device"):
            asyncio.run(store.build("busybox", recipe_for("busybox")))
        assert os.listdir(store.directory) == [".lock"]
    finally:
        libc.unmount(str(scratch))
