"""Guests on a host with AppArmor: their programs are under a profile of ours, whatever the other layers let through."""

import os
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula import Container, Engine
from insula.engine.policy.apparmorprofiles import profile_for
from insula.engine.securitymodule import own_profile, unready
from insula.engine.spec import Seccomp, SeccompProfile
from insula.errors import InsulaError
from insula.kernel.apparmor import loaded_profiles
from insula.kernel.privileges import CAPABILITIES
from tests.guests import show_python
from tests.waiting import patience

pytestmark = pytest.mark.requires("apparmor", "userns", "busybox", "overlay.idmapped")

IDLE = ("/bin/sleep", "1000")
TAKEN = "/usr/bin/busybox-taken"
"""A path inside guests that a profile of the host is attached to."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        made.looker.start()
        yield made


@pytest.fixture(params=[False, True], ids=["unprivileged", "privileged"])
def guest(request: pytest.FixtureRequest, busybox_root: Path, engine: Engine) -> Iterator[Container]:
    with Container(
        busybox_root, name="held", init=IDLE, ephemeral=True, engine=engine, privileged=request.param
    ) as made:
        yield made


@pytest.fixture
def open_guest(busybox_root: Path, engine: Engine) -> Iterator[Container]:
    """A guest that nothing but AppArmor keeps from the host: privileged, with every capability, and no filter."""
    with Container(
        busybox_root,
        name="open",
        init=IDLE,
        ephemeral=True,
        engine=engine,
        privileged=True,
        capabilities=frozenset(CAPABILITIES),
        seccomp=Seccomp(profile=SeccompProfile.UNCONFINED),
        mounts=show_python(busybox_root),
    ) as made:
        yield made


@pytest.fixture
def attached_profile() -> Iterator[str]:
    """A profile of the host that permits nothing, attached to a path."""
    name = f"insula-test-{os.getpid()}"
    text = f"profile {name} {TAKEN} {{\n}}\n"
    subprocess.run(["apparmor_parser", "--add", "--skip-cache"], input=text, text=True, check=True)
    yield name
    subprocess.run(["apparmor_parser", "--remove"], input=text, text=True, check=True)


def label_of(pid: int) -> str:
    return Path(f"/proc/{pid}/attr/current").read_text().strip()


def said(guest: Container, script: str) -> list[str]:
    """Return the lines that a shell script inside writes."""
    return guest.run(["/bin/sh", "-c", script], text=True, timeout=patience(60)).stdout.splitlines()


def test_init_and_who_enters_are_under_the_profile_of_their_kind(guest: Container) -> None:
    name = profile_for(privileged=guest.spec.privileged).name
    assert name in loaded_profiles()
    assert label_of(guest.pid) == f"{name} (enforce)"
    assert said(guest, "cat /proc/self/attr/current") == [f"{name} (enforce)"]


def test_a_profile_of_the_hosts_that_is_attached_to_a_path_takes_no_program_of_a_guest(
    attached_profile: str, busybox_root: Path, engine: Engine
) -> None:
    (busybox_root / TAKEN[1:]).parent.mkdir(parents=True, exist_ok=True)
    (busybox_root / TAKEN[1:]).write_bytes((busybox_root / "bin/busybox").read_bytes())
    (busybox_root / TAKEN[1:]).chmod(0o755)
    command = [TAKEN, "cat", "/proc/self/attr/current"]
    with Container(busybox_root, name="held", init=IDLE, ephemeral=True, engine=engine) as held:
        assert held.run(command, text=True).stdout == f"{profile_for(privileged=False).name} (enforce)\n"
    with Container(busybox_root, name="unheld", init=IDLE, ephemeral=True, engine=engine, profile="") as unheld:
        assert unheld.run(command, text=True).returncode != 0
        assert label_of(unheld.pid) == "unconfined"


def test_a_profile_that_is_not_loaded_is_named(busybox_root: Path, engine: Engine) -> None:
    missing = Container(busybox_root, name="none", init=IDLE, ephemeral=True, engine=engine, profile="insula-no-such")
    with pytest.raises(InsulaError, match=r"profile insula-no-such .*no such AppArmor profile is loaded on the host"):
        missing.start()


ANEW = """
mkdir -p /mnt/proc /mnt/sys
mount -t proc none /mnt/proc && echo proc
mount -t sysfs none /mnt/sys && echo sysfs
for kind in debugfs tracefs securityfs configfs pstore; do
  mkdir -p /mnt/$kind && mount -t $kind none /mnt/$kind && echo $kind
done
for file in sysrq-trigger sys/kernel/core_pattern sys/kernel/modprobe sys/vm/drop_caches sys/kernel/sysrq; do
  (exec 3> /mnt/proc/$file) && echo $file
done
(exec 3> /mnt/sys/kernel/uevent_helper) && echo uevent_helper
true
"""


def test_a_guest_that_nothing_else_holds_writes_no_setting_of_the_hosts(open_guest: Container) -> None:
    """Fresh proc and sysfs it gets, which says that the other layers let it through."""
    assert said(open_guest, f"({ANEW}) 2> /dev/null") == ["proc", "sysfs"]


TAKING_OFF = """
import os
for name in ("current", "exec"):
    for word in (b"unconfined", b"exec unconfined", b"changeprofile unconfined", b"permprofile unconfined"):
        for path in (f"/proc/self/attr/{name}", f"/proc/self/attr/apparmor/{name}"):
            try:
                fd = os.open(path, os.O_WRONLY)
                os.write(fd, word)
                print(path, word)
            except OSError:
                pass
print(open("/proc/self/attr/current").read().strip())
"""


def test_a_guest_that_nothing_else_holds_does_not_take_its_profile_off(open_guest: Container) -> None:
    done = open_guest.run(["/host/python", "-I", "-S", "-c", TAKING_OFF], text=True, timeout=patience(60))
    assert done.stdout.splitlines() == [f"{profile_for(privileged=True).name} (enforce)"], done.stderr


ACROSS = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
host = int(sys.argv[1])
try:
    os.kill(host, 0)
    print("signal")
except PermissionError:
    pass
if libc.ptrace(16, host, 0, 0) == 0:
    print("trace")
try:
    os.readlink(f"/proc/{host}/exe")
    print("read")
except PermissionError:
    pass
own = os.fork()
if own == 0:
    os.kill(os.getpid(), 19)
os.kill(own, 9)
print("own", os.waitpid(own, 0)[1])
"""


@pytest.mark.parametrize("privileged", [False, True])
def test_a_program_under_the_profile_signals_traces_and_reads_its_like_and_no_process_of_the_hosts(
    privileged: bool,
) -> None:
    """Without any namespace: the profile alone."""
    name = own_profile(privileged=privileged)
    assert name is not None, unready()
    with subprocess.Popen(["sleep", "1000"]) as host:
        try:
            done = subprocess.run(
                ["aa-exec", "-p", name, "--", "python3", "-I", "-S", "-c", ACROSS, str(host.pid)],
                capture_output=True,
                text=True,
                check=False,
                timeout=patience(60),
            )
        finally:
            host.kill()
    assert done.stdout.splitlines() == ["own 9"], textwrap.indent(done.stderr, "| ")
