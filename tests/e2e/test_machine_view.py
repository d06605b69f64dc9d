"""Guests that read of a machine of their own, through real daemons: what they see, whoever dies meanwhile."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import leaks
from tests.e2e.guests import copy_tree, domain_xml, inside, insula, state
from tests.insulad import Insulad
from tests.waiting import until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "fs.fuse")

_MEBIBYTES = 200
_VIEW = "<insula:view enabled='yes'/>"
_READER = (
    "while true; do"
    " for each in proc/uptime proc/meminfo proc/stat proc/cpuinfo sys/devices/system/cpu/online; do"
    " cat /$each > /dev/null || echo $each >> /errors; done; echo >> /reads; done"
)


@pytest.fixture
def guest(insulad: Insulad, busybox_root: Path, failed_test_logs: dict[str, Path]) -> str:
    failed_test_logs["the view"] = insulad.layout.logs / "view.log"
    document = domain_xml("bb", busybox_root, memory=_MEBIBYTES, settings=_VIEW)
    insulad.define(document.replace("<os>", "<vcpu>1</vcpu><os>"))
    insulad.virsh("start", "bb")
    return "bb"


def memory(insulad: Insulad, name: str) -> int:
    """Return the KiB of memory that the guest reads of."""
    return int(inside(insulad, name, "sh", "-c", "grep MemTotal /proc/meminfo").split()[1])


def reads(root: Path) -> int:
    return (root / "reads").stat().st_size if (root / "reads").exists() else 0


@pytest.mark.machine("mounts")
def test_a_guest_reads_of_its_own_machine(insulad: Insulad, guest: str) -> None:
    assert memory(insulad, guest) == _MEBIBYTES * 1024
    assert inside(insulad, guest, "nproc").strip() == "1"
    seats = inside(insulad, guest, "sed", "-n", r"s/Cpus_allowed_list:\t//p", "/proc/self/status")
    assert inside(insulad, guest, "cat", "/sys/devices/system/cpu/online") == seats
    assert inside(insulad, guest, "grep", "-c", "^processor", "/proc/cpuinfo").strip() == "1"
    assert "load.15m" in insulad.virsh("guestinfo", guest).stdout
    insulad.virsh("setmem", guest, "100M", "--live")
    assert memory(insulad, guest) == 100 * 1024


def test_programs_that_let_the_kernel_copy_read_the_same_and_anew(insulad: Insulad, guest: str) -> None:
    """busybox' cat and cp copy by sendfile(2)."""
    read = inside(insulad, guest, "cat", "/proc/meminfo")
    assert read.startswith("MemTotal:") and read.endswith(" kB\n")
    assert len(read.splitlines()) == int(inside(insulad, guest, "sh", "-c", "wc -l < /proc/meminfo"))
    moments = [float(inside(insulad, guest, "cat", "/proc/uptime").split()[0]) for _ in range(2)]
    assert moments[0] < moments[1]
    inside(insulad, guest, "cp", "/proc/stat", "/copied")
    assert inside(insulad, guest, "tail", "-n", "1", "/copied").startswith("softirq ")


def test_without_the_word_it_reads_of_the_hosts(insulad: Insulad, busybox_root: Path) -> None:
    insulad.define(domain_xml("bb", busybox_root, memory=_MEBIBYTES))
    insulad.virsh("start", "bb")
    assert memory(insulad, "bb") > _MEBIBYTES * 1024
    assert insulad.view_pid() is None


def test_the_plan_says_what_is_shown_and_why(insulad: Insulad, guest: str) -> None:
    told = insula(insulad, "plan", guest).stdout
    assert "connect a machine view" in told
    assert "free, top, nproc" in told


def test_namespaces_inside_mount_proc_and_sysfs_as_without_a_view(insulad: Insulad, guest: str) -> None:
    inside(insulad, guest, "unshare", "-U", "-r", "-p", "-f", "--mount-proc", "cat", "/proc/self/status")
    inside(insulad, guest, "unshare", "-U", "-r", "-n", "-m", "mount", "-t", "sysfs", "none", "/mnt")


def test_reads_go_on_whoever_dies(insulad: Insulad, guest: str, busybox_root: Path) -> None:
    """The view killed as it answers, the keeper, the daemon, and the view while there is no daemon."""
    insula(insulad, "exec", "--detach", guest, "--", "sh", "-c", _READER)

    def read_on(what: str) -> None:
        before = reads(busybox_root)
        until(lambda: reads(busybox_root) > before + 2, what)
        assert not (busybox_root / "errors").exists(), what

    read_on("reading")
    for _ in range(3):
        kill(insulad.view_pid())
        read_on("reading from the next view")
    kill(insulad.keeper_pid())
    read_on("reading without a keeper")
    until(lambda: "a new keeper serves" in insulad.log_text(), "the next keeper having what the former one had")
    insulad.kill()
    read_on("reading without a daemon")
    kill(insulad.view_pid())
    insulad.start()
    read_on("reading from the view of the next daemon")
    insulad.restart()
    read_on("reading from the same view")
    kill(insulad.view_pid())
    read_on("reading from the next view, by what the daemon was handed")
    assert memory(insulad, guest) == _MEBIBYTES * 1024


@pytest.mark.requires("debian-12-image")
def test_a_stock_debian_tells_one_story(
    insulad: Insulad, debian_root: Callable[[str], Path], scratch: Path, failed_test_logs: dict[str, Path]
) -> None:
    """systemd, procps, util-linux and the C library agree on what the domain was given."""
    failed_test_logs["the view"] = insulad.layout.logs / "view.log"
    root = copy_tree(debian_root("12"), scratch / "debian")
    document = domain_xml("deb", root, memory=_MEBIBYTES, settings=_VIEW)
    insulad.define(document.replace("<os>", "<vcpu>1</vcpu><os>"))
    insulad.virsh("start", "deb")
    until(lambda: "running" in inside(insulad, "deb", "systemctl", "is-system-running", check=False), "its boot", 90)
    assert int(inside(insulad, "deb", "free", "-k").splitlines()[1].split()[1]) == _MEBIBYTES * 1024
    assert inside(insulad, "deb", "nproc", "--all").strip() == "1"
    assert inside(insulad, "deb", "getconf", "_NPROCESSORS_CONF").strip() == "1"
    assert inside(insulad, "deb", "lscpu", "-p=CPU").split()[-1] == "0"
    assert "up" in inside(insulad, "deb", "uptime", "-p")
    inside(insulad, "deb", "sh", "-c", "echo '<4>a line of its own' > /dev/kmsg")
    until(lambda: "a line of its own" in inside(insulad, "deb", "dmesg"), "the guest's kernel log")
    listed = insulad.virsh("domfsinfo", "deb").stdout
    assert "fuse" not in listed
    insulad.virsh("shutdown", "deb")
    until(lambda: state(insulad, "deb") == "shut off", "its end", 60)


def test_a_stopped_guest_leaves_the_view_nothing(insulad: Insulad, guest: str) -> None:
    insulad.virsh("destroy", guest)
    insulad.virsh("start", guest)
    assert memory(insulad, guest) == _MEBIBYTES * 1024
    view = insulad.view_pid()
    assert view is not None
    connections = [each for each in os.listdir(f"/proc/{view}/fd") if is_fuse(view, each)]
    assert len(connections) == 1


def test_a_guest_whose_view_is_away_is_destroyed_all_the_same(insulad: Insulad, guest: str) -> None:
    insula(insulad, "exec", "--detach", guest, "--", "sh", "-c", _READER)
    view = insulad.view_pid()
    assert view is not None
    os.kill(view, signal.SIGSTOP)
    insulad.virsh("destroy", guest)
    assert state(insulad, guest) == "shut off"
    os.kill(view, signal.SIGCONT)


def kill(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: leaks.is_gone(pid), f"the end of {pid}")


def is_fuse(pid: int, fd: str) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/fuse"
    except OSError:
        return False
