"""A guest without a user namespace tries to get at what its covers hide: by taking them off, or by mounting it anew."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from insula import Container, Engine
from insula.engine.spec import Access, BindMount, Seccomp
from tests.waiting import until

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped")

IDLE = ("/bin/sleep", "1000")
KERNEL_FILESYSTEMS = ("proc", "sysfs", "debugfs", "tracefs", "securityfs", "configfs", "bpf", "devtmpfs", "cgroup2")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        made.looker.start()
        yield made


@pytest.fixture
def guest(busybox_root: Path, engine: Engine) -> Iterator[Container]:
    with Container(busybox_root, name="privileged", init=IDLE, ephemeral=True, engine=engine, privileged=True) as made:
        yield made


def done(guest: Container, script: str) -> bool:
    """Whether a shell script inside succeeds."""
    return guest.run(["/bin/sh", "-ec", script]).returncode == 0


@pytest.mark.machine("mounts")
def test_it_mounts_no_file_system_of_the_kernels_anew(guest: Container) -> None:
    mounts = {kind: f"mount -t {kind} none /mnt" for kind in KERNEL_FILESYSTEMS}
    mounts |= {"v1 memory": "mount -t cgroup -o memory none /mnt", "v1 devices": "mount -t cgroup -o devices none /mnt"}
    assert [kind for kind, script in mounts.items() if done(guest, script)] == []
    assert not done(guest, "unshare -m mount -t proc none /mnt")


@pytest.mark.parametrize("covered", ["/proc/sys", "/proc/timer_list", "/proc/slabinfo", "/proc/irq", "/sys/firmware"])
def test_it_does_not_take_a_cover_off(guest: Container, covered: str) -> None:
    attempts = (
        f"umount {covered}",
        f"umount -l {covered}",
        f"umount -l {covered[:5].rstrip('/')}",
        f"mount -o remount,rw {covered}",
        f"mount -o remount,bind,rw {covered}",
        f"mount -o move {covered} /mnt",
    )
    assert [script for script in attempts if done(guest, script)] == []


@pytest.mark.machine("mounts")
def test_it_makes_nothing_writable_that_it_was_given_to_read(busybox_root: Path, engine: Engine, scratch: Path) -> None:
    for name in ("started", "attached"):
        (scratch / name).mkdir()
    given = [BindMount(source=str(scratch / "started"), target="/started", access=Access.READ_ONLY)]
    with Container(busybox_root, init=IDLE, mounts=given, engine=engine, privileged=True) as guest:
        guest.attach_mount(BindMount(source=str(scratch / "attached"), target="/attached", access=Access.READ_ONLY))
        for name in ("started", "attached"):
            assert not done(guest, f"mount -o remount,bind,rw /{name}")
            assert not done(guest, f"mount -o bind /{name} /mnt; mount -o remount,bind,rw /mnt; touch /mnt/x")
            assert list((scratch / name).iterdir()) == []
        guest.detach_mount("/attached")


@pytest.mark.machine("mounts")
def test_it_does_not_show_elsewhere_what_a_cover_hides(guest: Container) -> None:
    assert not done(guest, "mount -o bind /proc /mnt")
    assert not done(guest, "mount -o bind /sys /mnt")
    before = Path("/proc/sys/kernel/panic").read_text()
    assert done(guest, "mount -o rbind /proc /mnt")
    assert not done(guest, f"echo {before.strip()} > /mnt/sys/kernel/panic")
    assert guest.run(["/bin/cat", "/mnt/timer_list"]).stdout == b""


@pytest.mark.machine("mounts")
def test_its_own_mounts_come_and_go(guest: Container) -> None:
    assert done(guest, "mkdir /mnt/a /mnt/b; touch /mnt/a/x; mount -o bind /mnt/a /mnt/b; test -e /mnt/b/x")
    assert done(guest, "mount -o remount,bind,ro /mnt/b; ! touch /mnt/b/y; umount /mnt/b; test ! -e /mnt/b/x")
    assert done(guest, "mount -o bind /dev /mnt/a; umount /mnt/a; umount /dev/mqueue")


def test_what_is_writable_of_the_kernels_files_concerns_its_own_processes_and_network_only(guest: Container) -> None:
    script = (
        "find /proc /sys -xdev -type f -perm /222 ! -path '/proc/[0-9]*' ! -path '/proc/sys/*' | "
        'while read -r path; do (: >> "$path") 2>/dev/null && echo "$path"; done'
    )
    opened = guest.run(["/bin/sh", "-c", script]).stdout.decode().split()
    own = ("/proc/pressure/", "/proc/self/", "/proc/thread-self/")
    assert [path for path in opened if not path.startswith(own)] == []


@pytest.mark.machine("mounts")
def test_the_word_for_mounts_lets_it_mount(busybox_root: Path, engine: Engine) -> None:
    with Container(
        busybox_root,
        name="privileged",
        init=IDLE,
        ephemeral=True,
        engine=engine,
        privileged=True,
        seccomp=Seccomp(new_mounts=True),
    ) as guest:
        assert done(guest, "mount -t tmpfs none /mnt; umount /mnt; mount -t proc none /mnt")
        assert not done(guest, "umount /proc/sys")


def test_an_unprivileged_guest_mounts_what_the_kernel_lets_it(busybox_root: Path, engine: Engine) -> None:
    with Container(busybox_root, name="plain", init=IDLE, ephemeral=True, engine=engine) as guest:
        assert done(guest, "mount -t tmpfs none /mnt; unshare -m mount -t proc none /mnt")


@pytest.mark.machine("mounts")
@pytest.mark.requires("debian-13-image")
def test_a_system_finds_mounted_what_it_would_mount(debian_root: Callable[[str], Path], engine: Engine) -> None:
    with Container(
        debian_root("13"), name="debian", ephemeral=True, engine=engine, privileged=True, init=["/sbin/init"]
    ) as guest:
        kinds = guest.run(["stat", "-f", "-c", "%T", "/run", "/run/lock", "/tmp"]).stdout.decode().split()
        assert kinds == ["tmpfs"] * 3


@pytest.mark.machine("mounts")
def test_a_busybox_comes_up_and_goes_down_when_asked(busybox_root: Path, engine: Engine) -> None:
    with Container(busybox_root, name="box", ephemeral=True, engine=engine, privileged=True) as guest:
        until(lambda: b"getty" in guest.run(["/bin/ps"]).stdout, "a login prompt")
        assert guest.run(["/bin/mount", "-t", "tmpfs", "none", "/mnt"]).returncode != 0


@pytest.mark.requires("debian-13-image")
def test_with_the_word_for_mounts_its_services_have_their_sandboxes(
    debian_root: Callable[[str], Path], engine: Engine
) -> None:
    with Container(
        debian_root("13"),
        name="debian",
        ephemeral=True,
        engine=engine,
        privileged=True,
        seccomp=Seccomp(new_mounts=True),
    ) as guest:
        until(lambda: b"running" in guest.run(["systemctl", "is-system-running"]).stdout, "its boot", 30)
        sandbox = ("PrivateTmp=yes", "PrivateDevices=yes", "DynamicUser=yes")
        run = ["systemd-run", "--wait", "--pipe", "--quiet", *(f"--property={each}" for each in sandbox)]
        assert guest.run([*run, "id", "-u"]).returncode == 0


@pytest.fixture
def small_disk(scratch: Path) -> Iterator[Path]:
    """A file system of the host's, small, with a secret beside where the guest's root will be."""
    place = scratch / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", place], check=True)
    (place / "secret").write_text("the host's")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_it_changes_nothing_of_the_file_system_that_its_root_is_a_directory_of(
    busybox_root: Path, small_disk: Path, engine: Engine
) -> None:
    root = small_disk / "root"
    subprocess.run(["cp", "-a", busybox_root, root], check=True)
    with Container(root, name="privileged", init=IDLE, engine=engine, privileged=True) as guest:
        attempts = ("mount -o remount,ro /", "mount -o remount,size=1m /", "fsfreeze -f /")
        assert [script for script in attempts if done(guest, script)] == []
        done(guest, "umount -a -r")  # which a stock busybox does when it goes down
    (small_disk / "host").write_text("can still be written")
    assert os.statvfs(small_disk).f_blocks * os.statvfs(small_disk).f_frsize == 64 << 20
