"""Quotas of what the kernel keeps for a guest beside its memory, each met by a program inside that runs into it.

A guest's own settings bound what its users have; what all of it has is bounded by the host's, counted for the uid that
its namespaces belong to, which no other guest has.
"""

import ctypes
import errno
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula import BlockLimit, Container, Engine, ImageMount, Limits, ResourceLimit

pytestmark = [pytest.mark.requires("userns", "busybox", "overlay.idmapped"), pytest.mark.machine("cgroups", "devices")]

IDLE = ("/bin/sleep", "1000")
MANY = ResourceLimit(name="NOFILE", soft=8192, hard=8192)
LIBC = ctypes.CDLL(None, use_errno=True)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        yield made


@pytest.fixture
def root(busybox_root: Path) -> Path:
    return busybox_root


def container(root: Path, engine: Engine, **sysctls: str) -> Container:
    """sysctls: with `__` for a dot."""
    named = {name.replace("__", "."): value for name, value in sysctls.items()}
    return Container(root, init=IDLE, ephemeral=True, engine=engine, sysctls=named, resource_limits=[MANY])


def taken(call: object, *arguments: object) -> tuple[int, str]:
    """Return how often a call of libc's went well, and the name of the error that ended that."""
    assert callable(call)
    for count in range(100_000):
        if call(*arguments) < 0:
            return count, errno.errorcode[ctypes.get_errno()]
    return 100_000, ""


def instances() -> tuple[int, str]:
    """Take instances of inotify."""
    return taken(LIBC.inotify_init1, 0)


def watches() -> tuple[int, str]:
    """Watch files of our own, which exist for as long as we do."""
    watching = LIBC.inotify_init1(0)
    for count in range(100_000):
        held = os.memfd_create(f"watched{count}")
        if LIBC.inotify_add_watch(watching, f"/proc/self/fd/{held}".encode(), 2) < 0:
            return count, errno.errorcode[ctypes.get_errno()]
    return 100_000, ""


def terminals() -> tuple[int, str]:
    held: list[int] = []
    try:
        while len(held) < 4000:
            held.append(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY))
    except OSError as error:
        return len(held), errno.errorcode[error.errno or 0]
    return len(held), ""


def queues() -> tuple[int, str]:
    librt = ctypes.CDLL("librt.so.1", use_errno=True)
    names = iter(f"/queue{number}".encode() for number in range(10_000))
    return taken(lambda: librt.mq_open(next(names), os.O_CREAT | os.O_RDWR, 0o600, None))


def message_queues() -> tuple[int, str]:
    return taken(LIBC.msgget, 0, 0o1600)


QUOTAS = {
    "user.max_inotify_instances": ("5", instances, "EMFILE"),
    "user.max_inotify_watches": ("7", watches, "ENOSPC"),
    "fs.mqueue.queues_max": ("6", queues, "ENOSPC"),
    "kernel.msgmni": ("5", message_queues, "ENOSPC"),
}


@pytest.mark.parametrize("setting", QUOTAS)
def test_a_setting_of_its_own_is_where_its_programs_end(root: Path, engine: Engine, setting: str) -> None:
    value, take, end = QUOTAS[setting]
    with container(root, engine, **{setting.replace(".", "__"): value}) as guest:
        count, error = guest.enter(take)
    # What the guest has of the kind already counts too, as its own mount namespace does.
    assert 0 < count <= int(value)
    assert error == end


@pytest.mark.parametrize(("setting", "letter"), [("user.max_user_namespaces", "U"), ("user.max_net_namespaces", "n")])
def test_namespaces_end_at_a_setting_of_its_own(root: Path, engine: Engine, setting: str, letter: str) -> None:
    made = f"unshare -{letter} sh -c 'echo made; exec sleep 1000 >/dev/null 2>&1' 2>&1 &"
    with container(root, engine, **{setting.replace(".", "__"): "3"}) as guest:
        said = guest.run(["/bin/sh", "-c", f"for i in $(seq 8); do {made} done"], text=True).stdout
    assert 0 < said.count("made") <= 3
    assert said.count("No space left on device") == 8 - said.count("made")


def holding() -> tuple[int, str]:
    """Take all instances of inotify, and leave a program behind that holds them."""
    found = instances()
    if os.fork() == 0:
        null = os.open("/dev/null", os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        os.execv("/bin/sleep", ["sleep", "1000"])
    return found


def test_who_takes_all_that_one_guest_may_have_takes_nothing_of_another_nor_of_the_host(
    root: Path, engine: Engine
) -> None:
    most = int(Path("/proc/sys/user/max_inotify_instances").read_text())
    with container(root, engine) as greedy, container(root, engine) as neighbour:
        count, error = greedy.enter(holding)
        assert error == "EMFILE" and most - 10 < count <= most
        assert greedy.enter(instances) == [0, "EMFILE"]
        assert neighbour.enter(instances)[0] > 0
        own = LIBC.inotify_init1(os.O_CLOEXEC)
        assert own > 0
        os.close(own)


def test_terminals_end_at_the_guests_own_number_and_the_host_has_some_left(root: Path, engine: Engine) -> None:
    with container(root, engine) as guest:
        count, error = guest.enter(terminals)
    assert 1000 < count <= 1024
    assert error == "ENOSPC"
    os.close(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY))


OPENS = 'ulimit -Sn; ulimit -Hn; i=10; while [ $i -lt 200 ] && eval "exec $i</dev/null"; do i=$((i+1)); done; echo $i'


def test_a_resource_limit_is_told_and_met(root: Path, engine: Engine) -> None:
    limit = ResourceLimit(name="NOFILE", soft=64, hard=128)
    with Container(root, init=IDLE, ephemeral=True, engine=engine, resource_limits=[limit]) as guest:
        done = guest.run(["/bin/sh", "-c", OPENS], text=True)
    assert done.stdout.split()[:2] == ["64", "128"]
    assert "200" not in done.stdout.split()


MIB = 1 << 20


def written_in(guest: Container, limit: int, number: tuple[int, int]) -> float:
    """Return the seconds that one MiB takes under a limit of so many bytes a second."""
    major, minor = number
    guest.limit(Limits(block_devices=(BlockLimit(major=major, minor=minor, write_bytes=limit),)))
    begun = time.monotonic()
    done = guest.run(["dd", "if=/dev/zero", "of=/mnt/file", "bs=65536", "count=16", "oflag=direct", "conv=notrunc"])
    assert done.returncode == 0, done
    return time.monotonic() - begun


@pytest.mark.requires("loop")
def test_a_guest_writes_as_many_times_faster_as_its_limit_is_higher(root: Path, engine: Engine, scratch: Path) -> None:
    image = scratch / "disk"
    subprocess.run(["mkfs.ext4", "-q", str(image), "16M"], check=True)
    mount = ImageMount(source=str(image), target="/mnt")
    with Container(root, init=IDLE, ephemeral=True, engine=engine, mounts=(mount,)) as guest:
        device = guest.enter(lambda: os.stat("/mnt").st_dev)
        number = os.major(device), os.minor(device)
        slow, fast = written_in(guest, MIB // 2, number), written_in(guest, 4 * MIB, number)
        # Eight times the limit; what both take besides makes the ratio smaller, never larger.
        assert slow > 2 * fast
        guest.limit(Limits(block_devices=(BlockLimit(major=number[0], minor=number[1], write_bytes=0),)))
        assert guest.limits().block_devices == ()
