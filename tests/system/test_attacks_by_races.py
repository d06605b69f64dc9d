"""A guest swaps what the host is about to use: a directory for a link, again and again, while mounts, starts and copies
go by it. docs/reference/attacks.md names each by its number.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula import Container, Engine
from insula.engine.spec import BindMount
from insula.errors import InsulaError
from tests.system.test_attacks_by_images import PRIVILEGED, seen_of
from tests.waiting import patience, until

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped", "compiler")

IDLE = ("/bin/sleep", "1000")
TURNS = 40
"""How often the host goes by what is swapped."""

SWAPPER = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
int main(int count, char **words)
{
    long swaps = 0;
    alarm(300);
    for (;;) {
        for (int each = 1; each + 1 < count; each += 2)
            if (renameat2(AT_FDCWD, words[each], AT_FDCWD, words[each + 1], RENAME_EXCHANGE)) return 1;
        if (++swaps % 64 == 0) { truncate("/turns", swaps); }
    }
}
"""
"""Exchanges pairs of paths without end, and tells how often by the size of a file."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        made.looker.start()
        yield made


@pytest.fixture(scope="module")
def swapper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("swapper")
    (place / "swap.c").write_text(SWAPPER)
    subprocess.run(["gcc", "-static", "-O1", "-w", "-o", place / "swap", place / "swap.c"], check=True)
    return place / "swap"


@pytest.fixture
def hosts(scratch: Path) -> Path:
    """A directory of the host's that nothing may be made, changed or read in."""
    place = scratch / "hosts"
    (place / "deep").mkdir(parents=True)
    (place / "file").write_text("the host's secret\n")
    return place


@contextlib.contextmanager
def swapping(guest: Container, swapper: Path, *pairs: tuple[str, str]) -> Iterator[None]:
    """Have a guest exchange pairs of its paths for a while."""
    guest.put(swapper, "/swap", mode=0o755)
    guest.run(["/bin/touch", "/turns"], check=True)
    with guest.popen(["/swap", *(word for pair in pairs for word in pair)]) as process:
        begun = turns(guest)
        until(lambda: turns(guest) > begun, "the first swaps")
        yield
        assert process.poll() is None
        assert turns(guest) > begun + TURNS
        process.kill()
        process.wait(patience(20))


def turns(guest: Container) -> int:
    return int(guest.run(["/bin/stat", "-c", "%s", "/turns"], text=True).stdout)


def upwards(path: Path) -> str:
    """Return a link's content that leads there from any root that is not one's own."""
    return "../" * 40 + str(path).lstrip("/")


@PRIVILEGED
def test_a_mount_in_a_shared_volume_lands_in_the_root_or_nowhere(
    busybox_root: Path, engine: Engine, scratch: Path, swapper: Path, hosts: Path, privileged: bool
) -> None:
    volume, source = scratch / "volume", scratch / "source"
    (volume / "target/deep").mkdir(parents=True)
    (volume / "link").symlink_to(upwards(hosts))
    source.mkdir()
    (source / "word").write_text("of the mount\n")
    before, mounted = seen_of(hosts), Path("/proc/self/mountinfo").read_text()
    shared = BindMount(source=str(volume), target="/volume")
    inner = BindMount(source=str(source), target="/volume/target/deep")
    made = BindMount(source=str(source), target="/volume/target/made/here")
    landed = 0
    with (
        Container(busybox_root, init=IDLE, ephemeral=True, engine=engine, mounts=[shared]) as attacker,
        swapping(attacker, swapper, ("/volume/target", "/volume/link")),
    ):
        for number in range(TURNS):
            mounts = [shared, made if number % 2 else inner]
            victim = Container(
                busybox_root, init=IDLE, ephemeral=True, engine=engine, mounts=mounts, privileged=privileged
            )
            with contextlib.suppress(InsulaError), victim:
                table = victim.run(["/bin/cat", "/proc/self/mountinfo"], text=True).stdout
                landed += len([line for line in table.splitlines() if "/source " in line])
    assert landed
    assert seen_of(hosts) == before
    assert Path("/proc/self/mountinfo").read_text() == mounted


@PRIVILEGED
def test_a_mount_that_is_attached_lands_in_the_root_or_nowhere(
    busybox_root: Path, engine: Engine, scratch: Path, swapper: Path, hosts: Path, privileged: bool
) -> None:
    (busybox_root / "place/deep").mkdir(parents=True)
    (busybox_root / "link").symlink_to(upwards(hosts))
    source = scratch / "source"
    source.mkdir()
    before, mounted = seen_of(hosts), Path("/proc/self/mountinfo").read_text()
    with (
        Container(busybox_root, init=IDLE, engine=engine, privileged=privileged) as guest,
        swapping(guest, swapper, ("/place", "/link")),
    ):
        for number in range(TURNS):
            target = "/place/deep" if number % 2 else "/place/made/here"
            with contextlib.suppress(InsulaError):
                guest.attach_mount(BindMount(source=str(source), target=target))
                guest.detach_mount(target)
    assert seen_of(hosts) == before
    assert Path("/proc/self/mountinfo").read_text() == mounted


@PRIVILEGED
def test_no_copy_reads_or_writes_what_a_link_that_comes_and_goes_leads_to(
    busybox_root: Path, engine: Engine, scratch: Path, swapper: Path, hosts: Path, privileged: bool
) -> None:
    (busybox_root / "place").mkdir()
    (busybox_root / "place/file").write_text("the guest's\n")
    (busybox_root / "link").symlink_to(upwards(hosts))
    (busybox_root / "plain").write_text("the guest's\n")
    (busybox_root / "other").symlink_to(hosts / "file")
    (scratch / "in").write_text("the guest's\n")
    before, read = seen_of(hosts), set[str]()
    with (
        Container(busybox_root, init=IDLE, engine=engine, privileged=privileged) as guest,
        swapping(guest, swapper, ("/place", "/link"), ("/plain", "/other")),
    ):
        for number in range(TURNS):
            path = "/plain" if number % 2 else "/place/file"
            with contextlib.suppress(InsulaError, OSError):
                read.add(guest.open(path).read())
            with contextlib.suppress(InsulaError, OSError):
                guest.put(scratch / "in", path)
            with contextlib.suppress(InsulaError, OSError):
                guest.get(path, scratch / "out")
                read.add((scratch / "out").read_text())
    assert read == {"the guest's\n"}
    assert seen_of(hosts) == before


@PRIVILEGED
def test_covers_are_where_they_belong_though_the_root_changes_during_the_start(
    busybox_root: Path, engine: Engine, scratch: Path, swapper: Path, hosts: Path, privileged: bool
) -> None:
    """The attacker has the victim's root as a volume of its own: what /proc, /sys and /dev are changes all the time."""
    root = scratch / "victim"
    subprocess.run(["cp", "-a", busybox_root, root], check=True)
    for name in ("proc", "sys", "dev"):
        (root / f"{name}.link").symlink_to(upwards(hosts))
    before, pattern = seen_of(hosts), Path("/proc/sys/kernel/core_pattern").read_bytes()
    shared = BindMount(source=str(root), target="/victim")
    pairs = [(f"/victim/{name}", f"/victim/{name}.link") for name in ("proc", "sys", "dev")]
    covered = "echo cover=$(wc -c < /proc/timer_list)"
    check = f"{covered}; (: >> /proc/sys/kernel/core_pattern) && echo open; true"
    ran = 0
    with (
        Container(busybox_root, init=IDLE, ephemeral=True, engine=engine, mounts=[shared]) as attacker,
        swapping(attacker, swapper, *pairs),
    ):
        for turn in range(10 * TURNS):  # most starts are refused, as one of the three is a link
            if turn >= TURNS and ran:
                break
            victim = Container(root, init=IDLE, engine=engine, privileged=privileged)
            with contextlib.suppress(InsulaError), victim:
                said = victim.run(["/bin/sh", "-c", check], text=True).stdout.split()
                assert said[0] in {"cover=0", "cover="}, "nothing, too, where /proc is a link at that moment"
                assert "open" not in said
                ran += 1
    assert ran
    assert seen_of(hosts) == before
    assert Path("/proc/sys/kernel/core_pattern").read_bytes() == pattern
