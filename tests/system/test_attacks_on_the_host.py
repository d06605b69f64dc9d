"""A guest's root reaches for the host by what its kernel shares: settings, control groups, sockets, the kernel's log,
other processes' powers. docs/reference/attacks.md names each by its number.
"""

import hashlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from insula import Container, Engine
from insula.engine.spec import Access, BindMount
from insula.errors import InsulaError
from tests.guests import show_python
from tests.waiting import patience, until

pytestmark = pytest.mark.requires("userns", "busybox", "overlay.idmapped")

IDLE = ("/bin/sleep", "1000")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        made.looker.start()
        yield made


@pytest.fixture(params=[False, True], ids=["unprivileged", "privileged"])
def guest(request: pytest.FixtureRequest, busybox_root: Path, engine: Engine) -> Iterator[Container]:
    mounts = show_python(busybox_root)
    with Container(
        busybox_root, name="attacker", init=IDLE, ephemeral=True, engine=engine, privileged=request.param, mounts=mounts
    ) as made:
        yield made


def said(guest: Container, script: str) -> list[str]:
    """Return the lines that a shell script inside writes."""
    return guest.run(["/bin/sh", "-c", script], text=True, timeout=patience(60)).stdout.splitlines()


def python(guest: Container, program: str) -> list[str]:
    """Return the lines that a program of Python's inside writes."""
    done = guest.run(["/host/python", "-I", "-S", "-c", program], text=True, timeout=patience(60))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


RELEASE = """
mkdir -p /tmp/groups
for enter in "" "unshare -C" "unshare -UrmC"; do
  for options in "-o memory" "-o rdma" "-o devices" "-o pids" "-o none,name=attack" "-o none,name=systemd"; do
    $enter sh -c "mount -t cgroup $options none /tmp/groups &&
      for f in /tmp/groups/release_agent /tmp/groups/*/release_agent; do echo /attack > \\$f && echo set \\$f; done"
  done
done 2> /dev/null
find / -xdev -name release_agent 2> /dev/null
find /sys -name release_agent 2> /dev/null
true
"""


@pytest.mark.machine("cgroups", "mounts")
def test_no_program_is_named_that_the_host_runs_when_a_group_is_empty(guest: Container) -> None:
    assert said(guest, RELEASE) == []


UPWARDS = """
for way in /sys/fs/cgroup /sys/fs/cgroup/.. /sys/fs/cgroup/../.. /sys/fs/cgroup/unified; do
  for group in $way $way/*; do
    for file in $group/cgroup.procs $group/tasks; do (echo $$ > $file) 2> /dev/null; done
    for file in memory.max memory.limit_in_bytes pids.max cpu.max cgroup.max.descendants cgroup.freeze cgroup.kill; do
      case $group$file in $way/*) continue;; esac
      (echo max > $group/$file) 2> /dev/null; (echo -1 > $group/$file) 2> /dev/null
    done
  done
done
exec sleep 1000
"""


@pytest.mark.machine("cgroups")
def test_no_process_leaves_its_groups_or_widens_their_limits(busybox_root: Path, engine: Engine) -> None:
    for privileged in (False, True):
        with Container(
            busybox_root, init=IDLE, ephemeral=True, engine=engine, privileged=privileged, memory=64 << 20, pids=50
        ) as guest:
            before = (guest.limits().memory, guest.limits().tasks)
            group = guest._life.alive().group.path
            with guest.popen(["/bin/sh", "-c", UPWARDS]) as process:
                told = Path(f"/proc/{process.pid}/cmdline")
                until(lambda told=told: told.read_bytes().startswith(b"sleep"), "all ways being tried")  # type: ignore[misc]
                lines = Path(f"/proc/{process.pid}/cgroup").read_text().splitlines()
                assert [line for line in lines if group not in line] == []
                process.kill()
            assert (guest.limits().memory, guest.limits().tasks) == before


SETTINGS = (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hotplug",
    "/proc/sys/kernel/panic",
    "/proc/sys/vm/drop_caches",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/fs/file-max",
    "/proc/sys/fs/protected_symlinks",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/sysrq-trigger",
    "/proc/scsi/scsi",
    "/proc/irq/default_smp_affinity",
    "/proc/mtrr",
    "/sys/kernel/uevent_helper",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/kernel/profiling",
    "/sys/power/state",
    "/sys/module/kernel/parameters/panic",
    "/sys/firmware/efi/vars",
    "/dev/mem",
    "/dev/kmsg",
    "/dev/port",
    "/dev/cpu/0/msr",
)

WRITING = """
import os
for path in {settings!r}:
    for place in ("", "/mnt"):
        try:
            held = os.open(place + path, os.O_RDWR if os.access(place + path, os.R_OK) else os.O_WRONLY)
            os.write(held, (os.pread(held, 4096, 0) if os.access(place + path, os.R_OK) else b"") or b"x")
            print(path)
        except OSError:
            pass
"""


@pytest.mark.machine("mounts")
def test_no_setting_of_the_hosts_is_written_under_its_own_or_a_fresh_mount(guest: Container) -> None:
    """As the core pattern, the helper for devices and the loader of modules: each is a program that the host runs."""
    fresh = "mkdir -p /mnt/proc /mnt/sys; mount -t proc none /mnt/proc; mount -t sysfs none /mnt/sys"
    said(guest, f"({fresh}) 2> /dev/null")
    assert python(guest, WRITING.format(settings=SETTINGS)) == []


SMUGGLED = {
    "kernel.shm_rmid_forced+kernel.core_pattern": "1",
    "net.ipv4/../../kernel/core_pattern": "|/attack",
    "net/../kernel/core_pattern": "|/attack",
    "net.ipv4.ip_forward\nkernel.core_pattern": "|/attack",
    "kernel.core_pattern": "|/attack",
    "kernel/modprobe": "/attack",
    "vm.drop_caches": "3",
}


@pytest.mark.parametrize("name", SMUGGLED)
@pytest.mark.parametrize("privileged", [False, True], ids=["unprivileged", "privileged"])
def test_no_setting_of_a_definition_is_the_hosts(
    busybox_root: Path, engine: Engine, name: str, privileged: bool
) -> None:
    files = [Path("/proc/sys/kernel/core_pattern"), Path("/proc/sys/kernel/modprobe")]
    before = [each.read_bytes() for each in files if each.exists()]
    with (
        pytest.raises(InsulaError),
        Container(
            busybox_root,
            init=IDLE,
            ephemeral=True,
            engine=engine,
            sysctls={name: SMUGGLED[name]},
            privileged=privileged,
        ),
    ):
        pass
    assert [each.read_bytes() for each in files if each.exists()] == before


def test_a_value_with_more_lines_sets_what_it_names_and_nothing_else(busybox_root: Path, engine: Engine) -> None:
    before = Path("/proc/sys/kernel/core_pattern").read_bytes()
    value = "1+kernel.core_pattern=|/attack #"
    with (
        pytest.raises(InsulaError),
        Container(busybox_root, init=IDLE, engine=engine, sysctls={"kernel.shm_rmid_forced": value}),
    ):
        pass
    assert Path("/proc/sys/kernel/core_pattern").read_bytes() == before


def test_a_user_has_no_capability_in_any_set_of_its(guest: Container) -> None:
    done = guest.run(["/bin/grep", "^Cap", "/proc/self/status"], user="nobody", text=True).stdout
    masks = {line.split(":")[0]: int(line.split()[1], 16) for line in done.splitlines()}
    assert (masks["CapInh"], masks["CapPrm"], masks["CapEff"], masks["CapAmb"]) == (0, 0, 0, 0)
    for path in ("/proc/1/status", "/proc/self/status"):
        told = said(guest, f"grep -E '^Cap(Inh|Amb)' {path}")
        assert {int(line.split()[1], 16) for line in told} == {0}


def test_no_group_of_who_starts_it_stays_with_a_user_of_its(busybox_root: Path) -> None:
    """A group that is to be denied something, or one of the host's that is given something."""
    hosts = os.getgroups()
    os.setgroups([*hosts, 4242])
    try:
        (busybox_root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\nteam:x:33:nobody\n")
        with Engine() as own, Container(busybox_root, init=IDLE, ephemeral=True, engine=own, privileged=True) as guest:
            groups = guest.run(["/usr/bin/id", "-G"], user="nobody", text=True).stdout.split()
            inits = said(guest, "grep ^Groups /proc/1/status")
    finally:
        os.setgroups(hosts)
    assert set(groups) == {"65534", "33"}
    assert "4242" not in inits[0].split()


ABSTRACT = """
import socket
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
    try:
        one = socket.socket(socket.AF_UNIX, kind)
        one.connect("\\0insula-attacked")
        print("reached")
    except OSError:
        pass
print(*(line.split()[-1] for line in open("/proc/net/unix") if "@" in line))
"""


def test_no_socket_without_a_file_is_reached_from_its_network(guest: Container) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0insula-attacked")
        listener.listen()
        assert python(guest, ABSTRACT) == [""]


LOG = """
(echo insula-attack-kmsg > /dev/kmsg) 2> /dev/null
rm -f /dev/kmsg /dev/kmsg2
mknod /dev/kmsg2 c 1 11 2> /dev/null && (echo insula-attack-kmsg > /dev/kmsg2) 2> /dev/null
dmesg 2> /dev/null | head -n 3
(head -c 1 /proc/kmsg) 2> /dev/null
true
"""


@pytest.mark.machine("mounts")
def test_the_hosts_log_is_neither_read_nor_written(guest: Container) -> None:
    assert said(guest, LOG) == []
    assert "insula-attack-kmsg" not in subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout


CONFINEMENT = """
import os
for name in ("current", "exec", "fscreate", "keycreate", "sockcreate"):
    for path in (f"/proc/self/attr/{name}", f"/proc/thread-self/attr/{name}", f"/proc/self/attr/apparmor/{name}"):
        try:
            fd = os.open(path, os.O_WRONLY)
            os.write(fd, b"unconfined")
            print("wrote", path)
        except OSError:
            pass
for path in ("/proc/self/oom_score_adj", "/proc/1/oom_score_adj"):
    try:
        with open(path, "w") as file:
            file.write("-1000")
        print(path, open(path).read().strip())
    except OSError:
        pass
"""


def test_no_process_takes_off_its_profile_or_puts_itself_before_the_hosts(guest: Container) -> None:
    """What the kernel kills for memory is chosen by these numbers: the host's own processes go first otherwise."""
    assert python(guest, CONFINEMENT) == []


HANDLES = """
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
class Handle(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint), ("kind", ctypes.c_int), ("data", ctypes.c_ubyte * 128)]
where = os.open("/", os.O_RDONLY)
for kind in (1, 2, 0x81, 0x4d, 0xf8):
    for inode in (2, 128, 1):
        handle = Handle(8, kind)
        handle.data[:8] = struct.pack("Q", inode)
        fd = libc.open_by_handle_at(where, ctypes.byref(handle), os.O_RDONLY)
        if fd >= 0:
            print("opened", kind, inode, os.listdir(fd)[:3])
"""


def test_no_file_is_opened_by_its_number_on_the_hosts_file_system(guest: Container) -> None:
    assert python(guest, HANDLES) == []


def test_what_one_guest_writes_to_its_image_no_other_reads(busybox_root: Path, engine: Engine) -> None:
    """Pages of files that guests share are shared too: what changes them without writing shows in all of them."""
    program = busybox_root / "bin/busybox"
    before = program.read_bytes()
    shared = show_python(busybox_root)
    for privileged in (False, True):
        attacker, neighbour = (
            Container(busybox_root, init=IDLE, ephemeral=True, engine=engine, mounts=shared, privileged=privileged)
            for _ in range(2)
        )
        with attacker, neighbour:
            assert "wrote" in python(attacker, PAGES)
            assert said(attacker, "tail -c 8 /bin/busybox") == ["attacked"]
            (seen,) = said(neighbour, "sha256sum < /bin/busybox")
        assert seen.split()[0] == hashlib.sha256(before).hexdigest()
        assert program.read_bytes() == before


PAGES = """
import mmap, os, socket
reader = os.open("/bin/busybox", os.O_RDONLY)
pipe_out, pipe_in = os.pipe()
os.write(pipe_in, b"x" * 4096)
os.read(pipe_out, 4096)
os.splice(reader, pipe_in, 1)
os.write(pipe_in, b"attacked")
try:
    mapped = mmap.mmap(reader, 4096, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    mapped[:8] = b"attacked"
except PermissionError:
    pass
for family in (38, 16, 33):
    try:
        socket.socket(family, socket.SOCK_SEQPACKET, 6).close()
    except OSError:
        pass
with open("/bin/busybox.new", "wb") as copy:
    copy.write(os.pread(reader, 1 << 24, 0) + b"attacked")
os.chmod("/bin/busybox.new", 0o755)
os.rename("/bin/busybox.new", "/bin/busybox")
writer = os.open("/bin/busybox.link", os.O_WRONLY | os.O_CREAT)
os.write(writer, b"attacked")
print("wrote")
"""


def test_a_mount_that_is_read_only_takes_no_link_no_mode_and_no_time(guest: Container) -> None:
    """The host's Python is shown read-only, under its own owners."""
    assert all(each.access is Access.READ_ONLY for each in guest.spec.mounts if isinstance(each, BindMount))
    attempts = (
        "ln /host/python /tmp/hard",
        "touch /host/python",
        "chmod 4777 /host/python",
        "chown 0:0 /host/python",
        "mount -o remount,rw /host/python",
        "mount -o remount,bind,rw /host/python",
        "umount /host/python && touch /host/python && exit 1",
        "setfattr -n user.x -v y /host/python",
    )
    tried = said(
        guest, "".join(f"({each}) 2> /dev/null && echo done: {number}\n" for number, each in enumerate(attempts))
    )
    assert tried == []
