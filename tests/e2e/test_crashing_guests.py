"""What a guest's program had in memory when it crashed is kept in the guest, or nowhere.

The dispatcher is fed as the kernel would, about processes that stand still: a host's core_pattern is everybody's.
"""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from insula.engine.dump.crashgroup import LEAF
from insula.kernel.cgroups import PAYLOAD
from tests.e2e.guests import domain_xml, inside
from tests.insulad import Insulad
from tests.waiting import scaled, until

pytestmark = pytest.mark.requires("virsh", "overlay.idmapped", "userns")

DISPATCH = """
import sys
from pathlib import Path
from insula.daemon.crashdispatcher import CrashDispatcher
from insula.engine.dump.crash import Crash
from insula.engine.dump.crashgroup import join_group
from insula.engine.dump.formerhandler import FormerHandler
from insula.kernel.cgroups import Hierarchies
from insula.kernel.fds import Fd
former = FormerHandler(own=Path(sys.argv[1]), packaged=())
place = join_group(int(sys.argv[2]))
print(Path("/proc/self/cgroup").read_text(), file=sys.stderr)
dispatcher = CrashDispatcher(hierarchies=Hierarchies.detect(), former=former, dumping=lambda pid: True, place=place)
print(dispatcher.dispatch(Crash.of(sys.argv[2:]), Fd(0)))
"""
HOLDS_PLACE = """
import sys
from insula.engine.dump.crashgroup import join_group
place = join_group(int(sys.argv[1]))
print("held" if place is not None else "none", flush=True)
sys.stdin.read()
"""
UNLIMITED = 2**64 - 1
CORE = b"\x7fELF" + os.urandom(100_000)
PLACE = (
    "<insula:coredumps pattern='/var/crash/core.%e.%p.%u'><insula:limit unit='KiB'>64</insula:limit></insula:coredumps>"
)


@pytest.fixture
def root(busybox_root: Path) -> Path:
    """A tree with a user of its own, whose program stands still."""
    with open(busybox_root / "etc/passwd", "a") as users:
        users.write("player:x:1000:1000::/:/bin/sh\n")
    (busybox_root / "var/crash").mkdir(parents=True)
    return busybox_root


def start(insulad: Insulad, root: Path, settings: str) -> int:
    """Start a guest; return the host's number of a program of its user's in it, which has stopped."""
    insulad.define(domain_xml("web", root, settings=settings))
    insulad.virsh("start", "web")
    inside(insulad, "web", "sh", "-c", "su player -c 'exec sleep 8642' >/dev/null 2>&1 &")
    found: list[int] = []

    def is_there() -> bool:
        found[:] = [
            int(each.parent.name) for each in Path("/proc").glob("[0-9]*/cmdline") if _line(each) == "sleep 8642"
        ]
        return bool(found)

    until(is_there, "the guest's program")
    os.kill(found[0], signal.SIGSTOP)
    return found[0]


def _line(path: Path) -> str:
    try:
        return path.read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def dispatch(
    pid: int, own: Path, *, uid: int = 0, limit: int = UNLIMITED, dumpable: int = 1, content: bytes = CORE
) -> subprocess.CompletedProcess[bytes]:
    arguments = [str(each) for each in (pid, uid, uid, 11, 1700000000, limit, "web", dumpable, pid, "")]
    command = [sys.executable, "-c", DISPATCH, str(own), *arguments]
    return subprocess.run(command, input=content, capture_output=True, check=False, timeout=scaled(120))


def owner_of(pid: int) -> int:
    return os.stat(f"/proc/{pid}").st_uid


def cores(root: Path) -> list[Path]:
    return sorted((root / "var/crash").iterdir())


def test_a_core_is_kept_inside_as_its_users_and_cut_at_the_limit(insulad: Insulad, root: Path, scratch: Path) -> None:
    pid = start(insulad, root, PLACE)
    (scratch / "own").write_text(f"{scratch}/host.core")
    result = dispatch(pid, scratch / "own", uid=owner_of(pid))
    assert result.returncode == 0, result.stderr.decode()
    assert b"kept in domain 'web' as core.sleep." in result.stdout and b"(65536 bytes, cut)" in result.stdout
    (core,) = cores(root)
    guest_pid = Path(f"/proc/{pid}/status").read_text().split("NSpid:")[1].split()[1]
    assert core.name == f"core.sleep.{guest_pid}.1000"
    assert (core.read_bytes(), stat.S_IMODE(core.stat().st_mode)) == (CORE[:65536], 0o600)
    assert inside(insulad, "web", "stat", "-c", "%u %g", f"/var/crash/{core.name}").split() == ["1000", "1000"]

    dispatch(pid, scratch / "own", uid=owner_of(pid), dumpable=2, limit=1000)
    _, private = cores(root)
    assert private.name == f"{core.name}.1" and private.stat().st_size == 1000
    assert inside(insulad, "web", "stat", "-c", "%u %g", f"/var/crash/{private.name}").split() == ["0", "0"]
    assert not (scratch / "host.core").exists()


@pytest.mark.parametrize(
    ("settings", "limit", "why"), [("", UNLIMITED, b"keeps none"), (PLACE, 0, b"keeps none (its limit is 0)")]
)
def test_what_is_not_to_be_kept_is_dropped_and_never_the_hosts(
    insulad: Insulad, root: Path, scratch: Path, settings: str, limit: int, why: bytes
) -> None:
    pid = start(insulad, root, settings)
    (scratch / "own").write_text(f"{scratch}/host.core")
    result = dispatch(pid, scratch / "own", uid=owner_of(pid), limit=limit)
    assert result.returncode == 0 and result.stdout.startswith(b"dropped: domain 'web' " + why), result.stderr
    assert not cores(root) and not (scratch / "host.core").exists()


def groups_in(text: str) -> dict[str, str]:
    """Return the groups that a process's file tells of, by their hierarchies; those without controllers are left out"""
    lines = (line.split(":", 2) for line in text.splitlines() if line.startswith(tuple("0123456789")))
    return {controllers: path for _, controllers, path in lines if not controllers.startswith("name=")}


def test_what_a_core_costs_counts_in_the_guests_groups_and_goes_with_them(
    insulad: Insulad, root: Path, scratch: Path
) -> None:
    pid = start(insulad, root, "")
    of_guest = groups_in(Path(f"/proc/{pid}/cgroup").read_text())
    result = dispatch(pid, scratch / "own")
    assert result.returncode == 0, result.stderr.decode()
    joined = groups_in(result.stderr.decode())
    assert joined.pop("").endswith(f"/{LEAF}")
    scope = of_guest.pop("").partition(f"/{PAYLOAD}")[0]
    assert joined == of_guest
    leaves = [each for each in Path("/sys/fs/cgroup").rglob(LEAF) if scope in str(each)]
    assert leaves and PAYLOAD not in leaves[0].parts
    insulad.virsh("destroy", "web")
    until(lambda: not leaves[0].parent.exists(), "the guest's group being removed")


def test_of_one_guest_few_cores_are_taken_at_once_and_others_cost_nothing_more(
    insulad: Insulad, root: Path, scratch: Path
) -> None:
    pid = start(insulad, root, PLACE)
    command = [sys.executable, "-c", HOLDS_PLACE, str(pid)]
    holders = []
    try:
        for _ in range(4):
            holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            holders.append(holder)
            assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        result = dispatch(pid, scratch / "own")
        assert result.returncode == 1 and b"other cores of its guest are being kept" in result.stderr
    finally:
        for holder in holders:
            holder.communicate()
    assert dispatch(pid, scratch / "own", uid=owner_of(pid)).returncode == 0
    assert len(cores(root)) == 1


def test_who_takes_a_core_ends_with_a_guest_that_is_destroyed(insulad: Insulad, root: Path) -> None:
    pid = start(insulad, root, PLACE)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS_PLACE, str(pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        insulad.virsh("suspend", "web")
        insulad.virsh("destroy", "web")
        assert holder.wait(scaled(30)) == -signal.SIGKILL


def test_a_guests_links_lead_nowhere_out_of_it(insulad: Insulad, root: Path, scratch: Path) -> None:
    elsewhere = scratch / "elsewhere"
    elsewhere.mkdir(mode=0o777)
    elsewhere.chmod(0o777)
    (root / "var/crash").rmdir()
    (root / "var/crash").symlink_to(elsewhere)
    pid = start(insulad, root, PLACE)
    result = dispatch(pid, scratch / "own")
    assert result.returncode == 1 and b"No such file or directory" in result.stderr
    assert not list(elsewhere.iterdir())


def test_a_crash_of_the_hosts_goes_where_it_went_before(insulad: Insulad, root: Path, scratch: Path) -> None:
    start(insulad, root, PLACE)
    (scratch / "own").write_text(f"{scratch}/host.%e.%p")
    result = dispatch(os.getpid(), scratch / "own")
    assert result.returncode == 0, result.stderr.decode()
    (kept,) = scratch.glob("host.*")
    assert kept.name.endswith(f".{os.getpid()}") and kept.read_bytes() == CORE
    assert not cores(root)
