"""Mounts that are attached to containers while they run, and taken off again; what a guest does about it meanwhile."""

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula import BindMount, Container, Engine, TmpfsMount
from insula.engine.launch.holdings import GuestMount
from insula.engine.spec import Access, Bytes, GuestBindMount
from insula.errors import OperationInvalidError, StepError
from tests.waiting import until

pytestmark = [pytest.mark.requires("userns", "busybox", "overlay.idmapped"), pytest.mark.machine("mounts")]

IDLE = ("/bin/sleep", "100000")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One keeper for the module's containers."""
    with Engine() as made:
        yield made


@pytest.fixture(params=[False, True], ids=["unprivileged", "privileged"])
def guest(request: pytest.FixtureRequest, busybox_root: Path, engine: Engine) -> Iterator[Container]:
    privileged = bool(request.param)
    with Container(busybox_root, init=IDLE, ephemeral=True, privileged=privileged, engine=engine) as made:
        yield made


@pytest.fixture
def source(scratch: Path) -> Path:
    """A directory of the host with a file in it."""
    made = scratch / "shared"
    made.mkdir()
    (made / "word").write_text("from the host\n")
    return made


def inside(guest: Container, script: str) -> str:
    return guest.run(["sh", "-c", script], check=True).stdout.decode().strip()


def mounts(guest: Container) -> str:
    return inside(guest, "cat /proc/self/mountinfo")


def holds(guest: Container) -> list[str]:
    return [each.target for each in guest._life.alive().record.holdings if isinstance(each, GuestMount)]


def test_a_directory_of_the_host_is_shown_under_the_guests_owners_and_taken_off(guest: Container, source: Path) -> None:
    before = mounts(guest)
    guest.attach_mount(BindMount(source=str(source), target="/srv/made/on/the/way"))
    assert inside(guest, "cat /srv/made/on/the/way/word") == "from the host"
    assert inside(guest, "stat -c %u /srv/made/on/the/way/word") == "0"
    inside(guest, "echo back > /srv/made/on/the/way/answer")
    assert (source / "answer").read_text() == "back\n"
    assert (source / "answer").stat().st_uid == 0
    assert holds(guest) == ["/srv/made/on/the/way"]

    guest.detach_mount("/srv/made/on/the/way")
    assert inside(guest, "ls /srv/made/on/the/way") == ""
    assert (mounts(guest), holds(guest)) == (before, [])
    with pytest.raises(OperationInvalidError, match="nothing was attached at /srv/made"):
        guest.detach_mount("/srv/made/on/the/way")


def test_a_file_and_what_is_read_only_are_shown_too(guest: Container, source: Path) -> None:
    guest.attach_mount(BindMount(source=str(source / "word"), target="/etc/word", access=Access.READ_ONLY))
    assert inside(guest, "cat /etc/word") == "from the host"
    assert guest.run(["sh", "-c", "echo x > /etc/word"]).returncode != 0
    guest.detach_mount("/etc/word")
    assert inside(guest, "cat /etc/word") == "", "the file that was made for it stays, with nothing in it"


def test_memory_is_shown_with_its_size_and_belongs_to_the_guest(guest: Container) -> None:
    guest.attach_mount(TmpfsMount(target="/scratch", size=Bytes(1 << 20), mode=0o700))
    assert inside(guest, "stat -c '%u %a' /scratch") == "0 700"
    assert guest.run(["sh", "-c", "head -c 2000000 /dev/zero > /scratch/full"]).returncode != 0
    guest.detach_mount("/scratch")
    assert inside(guest, "ls /scratch") == ""


def test_what_is_in_use_is_taken_off_all_the_same(guest: Container, source: Path) -> None:
    guest.attach_mount(BindMount(source=str(source), target="/mnt"))
    with guest.popen(["sh", "-c", "cd /mnt; exec sleep 1000"]) as user:
        guest.detach_mount("/mnt")
        assert str(source) not in mounts(guest)
        user.kill()


def test_links_of_the_guest_lead_nowhere_but_into_its_own_root(guest: Container, source: Path, scratch: Path) -> None:
    (scratch / "outside").mkdir()
    inside(guest, f"mkdir -p {scratch}/outside; ln -s {scratch}/outside /way; ln -s ../../../../../.. /up")
    guest.attach_mount(BindMount(source=str(source), target="/way/there"))
    assert list((scratch / "outside").iterdir()) == []
    assert inside(guest, f"cat {scratch}/outside/there/word") == "from the host"
    guest.attach_mount(BindMount(source=str(source), target="/up/etc/shared"))
    assert inside(guest, "cat /etc/shared/word") == "from the host"


@pytest.mark.parametrize("target", ["/proc/sys", "/sys/kernel", "/proc/1"])
def test_nothing_is_shown_over_the_kernels_file_systems(guest: Container, source: Path, target: str) -> None:
    before = mounts(guest)
    with pytest.raises(StepError, match=r"cannot show mount at .*: a mount may not take from nor land in (proc|sysfs)"):
        guest.attach_mount(BindMount(source=str(source), target=target))
    assert (mounts(guest), holds(guest)) == (before, [])


def test_a_failure_is_told_by_its_step_and_leaves_nothing(guest: Container, source: Path) -> None:
    before = mounts(guest)
    with pytest.raises(StepError, match=r"cannot take /no/such as mount: .*No such file or directory: /no/such"):
        guest.attach_mount(BindMount(source="/no/such", target="/mnt"))
    with pytest.raises(StepError, match=r"cannot show mount at /etc/passwd/x: .*Not a directory"):
        guest.attach_mount(BindMount(source=str(source), target="/etc/passwd/x"))
    assert (mounts(guest), holds(guest)) == (before, [])
    guest.attach_mount(BindMount(source=str(source), target="/mnt"))
    with pytest.raises(OperationInvalidError, match=r"something is attached at /mnt .* already"):
        guest.attach_mount(BindMount(source=str(source), target="/mnt"))
    with pytest.raises(StepError, match=r"cannot show the guest's /no/such at /other: .*No such file"):
        guest.attach_mount(GuestBindMount(source="/no/such", target="/other"))


def test_something_of_the_guests_own_is_shown_elsewhere_and_taken_off(guest: Container) -> None:
    before = mounts(guest)
    guest.attach_mount(GuestBindMount(source="/etc", target="/other", access=Access.READ_ONLY))
    assert inside(guest, "ls /other") == inside(guest, "ls /etc")
    assert guest.run(["sh", "-c", "echo x > /other/new"]).returncode != 0
    assert holds(guest) == []
    guest.detach_mount("/other", force=False)
    assert mounts(guest) == before


@pytest.mark.parametrize("access", Access)
def test_what_was_there_at_the_start_is_taken_off_unless_it_is_in_use(
    busybox_root: Path, engine: Engine, source: Path, access: Access
) -> None:
    given = (BindMount(source=str(source), target="/mnt", access=access), TmpfsMount(target="/scratch", access=access))
    with Container(busybox_root, init=IDLE, ephemeral=True, mounts=given, engine=engine) as guest:
        for mount in given:
            with guest.popen(["sh", "-c", f"cd {mount.target}; exec sleep 1000"]) as user:
                until(lambda mount=mount: mount.target in inside(guest, "ls -l /proc/*/cwd"), "its use")  # type: ignore[misc]
                with pytest.raises(StepError, match=r"it is in use") as caught:
                    guest.detach_mount(mount.target, force=False)
                assert caught.value.errno == errno.EBUSY
                user.kill()
            until(lambda mount=mount: mount.target not in inside(guest, "ls -l /proc/*/cwd"), "its end")  # type: ignore[misc]
            guest.detach_mount(mount.target, force=False)
            assert mount.target not in mounts(guest)
            guest.attach_mount(mount)
            assert mount.target in mounts(guest)


def test_what_the_guest_took_off_itself_or_covered_is_left_as_the_guest_wants_it(
    busybox_root: Path, engine: Engine, source: Path
) -> None:
    """A privileged guest may not mount anything at all."""
    with Container(busybox_root, init=IDLE, ephemeral=True, engine=engine) as guest:
        guest.attach_mount(BindMount(source=str(source), target="/mnt"))
        inside(guest, "umount /mnt")
        guest.detach_mount("/mnt")
        guest.attach_mount(BindMount(source=str(source), target="/mnt"))
        inside(guest, "mount -t tmpfs none /mnt && touch /mnt/own")
        guest.detach_mount("/mnt")
        assert inside(guest, "ls /mnt") == "own"


def test_a_frozen_container_is_not_changed(guest: Container, source: Path) -> None:
    guest.freeze()
    with pytest.raises(OperationInvalidError, match="is paused: resume it first"):
        guest.attach_mount(BindMount(source=str(source), target="/mnt"))
    guest.thaw()


def test_nothing_stays_behind_of_who_performed_the_steps(guest: Container, source: Path, engine: Engine) -> None:
    before = guest.stats().tasks
    for _ in range(3):
        guest.attach_mount(BindMount(source=str(source), target="/mnt"))
        guest.detach_mount("/mnt")
    until(lambda: guest.stats().tasks == before, "the end of all that entered")


def test_the_guests_root_cannot_make_it_writable_nor_uncover_what_is_below_mounts_in_it(
    busybox_root: Path, engine: Engine, source: Path
) -> None:
    (source / "below").mkdir()
    (source / "below" / "secret").write_text("the host's\n")
    subprocess.run(["mount", "-t", "tmpfs", "none", source / "below"], check=True)
    try:
        with Container(busybox_root, init=IDLE, ephemeral=True, engine=engine) as guest:
            for target, from_host in (("/mnt", source), ("/etc/word", source / "word")):
                read_only = BindMount(
                    source=str(from_host), target=target, access=Access.READ_ONLY, recursive=from_host.is_dir()
                )
                guest.attach_mount(read_only)
                assert guest.run(["mount", "-o", "remount,bind,rw", target]).returncode != 0
            assert guest.run(["touch", "/mnt/new"]).returncode != 0
            assert guest.run(["sh", "-c", "echo x > /etc/word"]).returncode != 0
            assert guest.run(["umount", "/mnt/below"]).returncode != 0
            assert inside(guest, "ls /mnt/below") == ""
            guest.detach_mount("/mnt")
            assert "/mnt" not in mounts(guest)
    finally:
        subprocess.run(["umount", source / "below"], check=True)
