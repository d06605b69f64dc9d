"""The runtimes that are measured, each behind the same five verbs, on the same root file system.

A peer's verbs are whole commands as an administrator runs them; ours are calls on an open connection, and whole
commands too, so that both comparisons can be made. Peers that are not installed are reported, never left out silently.
"""

import ctypes
import os
import shutil
import subprocess
import textwrap
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

_SETTLING = 10.0
"""Seconds in which libvirtd must have learnt of a domain's init."""
_STARTS = 3
INIT = ("/bin/sleep", "1000000")
PROBE = ("/bin/true",)


class Runtime(Protocol):
    """One way to run containers. Names are unique per container; every verb returns when it has happened."""

    name: str
    parallel: ClassVar[bool] = True
    """Whether verbs can be performed by several threads at once."""
    most: ClassVar[int] = 1000
    """How many containers at once are worth the time and the memory."""

    def missing(self) -> str | None:
        """Why this runtime cannot be measured here, None if it can."""

    def prepare(self, root: Path, work: Path) -> None:
        """Start what the runtime needs; its files go below work."""

    def make(self, name: str) -> None:
        """Define a container, not measured."""

    def make_again(self, name: str) -> None:
        """Make ready for another start what has been destroyed, not measured: some peers forget it then."""
        return

    def forget(self, name: str) -> None:
        """Take away what make has made, not measured."""
        return

    def start(self, name: str) -> None: ...

    def settle(self, name: str) -> None:
        """Wait until a command can be run inside, not measured."""

    def execute(self, name: str) -> None: ...

    def destroy(self, name: str) -> None: ...

    def listing(self, count: int) -> None:
        """List all containers; there are at least count."""

    def resident(self, names: Sequence[str]) -> int:
        """Bytes of proportional resident memory of the runtime's own processes while these containers run."""

    def finish(self) -> None: ...


@runtime_checkable
class Served(Protocol):
    """A runtime whose daemon answers clients of libvirt."""

    name: str

    @property
    def uri(self) -> str: ...

    def virsh(self, *arguments: str) -> str:
        """Return what the command prints."""


class PrivateMounts:
    """A mount namespace without the v2 hierarchy that hybrid hosts mount beside v1: crun and libvirt refuse such hosts.

    The host keeps its mount. Commands join by setns(2) after the fork, which costs them microseconds.
    """

    def __init__(self) -> None:
        script = "mount --make-rprivate / && { umount /sys/fs/cgroup/unified 2> /dev/null; echo ready; read line; }"
        self.holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.holder.stdout is not None
        if self.holder.stdout.readline() != "ready\n":
            raise RuntimeError("cannot make a private mount namespace")
        self.fd = os.open(f"/proc/{self.holder.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)

    def enter(self) -> None:
        """Move the calling process there; for a child between fork and exec."""
        here = os.getcwd()
        if _libc.setns(self.fd, 0):
            raise OSError(ctypes.get_errno(), "setns")
        os.chdir(here)

    def close(self) -> None:
        os.close(self.fd)
        self.holder.communicate("")


_libc = ctypes.CDLL(None, use_errno=True)


def command(*argv: str | os.PathLike[str], mounts: PrivateMounts | None = None) -> str:
    """Run a command, return its output; its error output goes into the exception."""
    enter = mounts.enter if mounts else None
    result = subprocess.run(
        argv, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, preexec_fn=enter
    )
    if result.returncode:
        raise RuntimeError(
            f"{' '.join(map(str, argv))}: exit status {result.returncode}: {result.stderr.strip()[-500:]}"
        )
    return result.stdout


def expect_lines(output: str, count: int) -> None:
    """Raises: RuntimeError if a list of at least count containers is shorter."""
    if len(output.splitlines()) < count:
        raise RuntimeError(f"expected a list of {count} containers, got:\n{output}")


def proportional(pids: Sequence[int]) -> int:
    """Sum of the proportional set sizes of processes, bytes (proc_pid_smaps_rollup)."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def remove_groups(name: str) -> None:
    """Remove the empty control groups of this name that a peer leaves below every hierarchy's root."""
    for base in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
        for group in (*(base / name).glob("*/"), base / name):
            if group.is_dir():
                group.rmdir()


def processes_named(executable: str) -> list[int]:
    """Pids of processes whose executable's name is this."""
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            try:
                if (each / "exe").readlink().name == executable:
                    found.append(int(each.name))
            except OSError:
                continue
    return found


@dataclass
class Lxc(Runtime):
    """lxc-start with an empty network, its own cgroup, autodev and the usual proc and sys mounts."""

    name: str = "lxc"
    work: Path = field(default_factory=Path)
    root: Path = field(default_factory=Path)
    pivot_was_there: bool = False

    def missing(self) -> str | None:
        return None if shutil.which("lxc-start") else "lxc is not installed"

    def prepare(self, root: Path, work: Path) -> None:
        self.root, self.work = root, work / "lxc"
        self.work.mkdir(parents=True)
        self.pivot_was_there = any(Path("/sys/fs/cgroup").glob("*/lxc.pivot"))

    def make(self, name: str) -> None:
        directory = self.work / name
        directory.mkdir()
        (directory / "config").write_text(
            textwrap.dedent(f"""\
                lxc.uts.name = {name}
                lxc.rootfs.path = dir:{self.root}
                lxc.net.0.type = empty
                lxc.autodev = 1
                lxc.mount.auto = proc:mixed sys:ro cgroup:mixed
                lxc.init.cmd = {" ".join(INIT)}
                lxc.apparmor.profile = unconfined
                """)
        )

    def start(self, name: str) -> None:
        command("lxc-start", "-P", self.work, "-n", name)

    def settle(self, name: str) -> None:
        return

    def execute(self, name: str) -> None:
        command("lxc-attach", "-P", self.work, "-n", name, "--", *PROBE)

    def destroy(self, name: str) -> None:
        command("lxc-stop", "-k", "-P", self.work, "-n", name)

    def listing(self, count: int) -> None:
        expect_lines(command("lxc-ls", "-1", "-P", self.work), count)

    def resident(self, names: Sequence[str]) -> int:
        return proportional(processes_named("lxc-start"))

    def finish(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        if not self.pivot_was_there:
            remove_groups("lxc.pivot")


@dataclass
class LibvirtLxc(Runtime):
    """libvirt's own driver, in a libvirtd of our own on private sockets, through virsh.

    It refuses hosts where cgroup v2 is mounted beside v1, so its daemon runs in a private mount namespace without that
    mount; the host keeps it.
    """

    most: ClassVar[int] = 20
    name: str = "libvirt-lxc"
    work: Path = field(default_factory=Path)
    root: Path = field(default_factory=Path)
    daemon: "subprocess.Popen[bytes] | None" = None
    groups_were_there: bool = False

    def missing(self) -> str | None:
        if not shutil.which("libvirtd", path="/usr/sbin:/usr/bin"):
            return "libvirtd is not installed"
        driver = list(Path("/usr/lib").glob("*/libvirt/connection-driver/libvirt_driver_lxc.so"))
        return None if driver else "libvirt's lxc driver is not installed"

    @property
    def uri(self) -> str:
        return f"lxc:///system?socket={self.work}/libvirt-sock"

    def virsh(self, *arguments: str) -> str:
        return command("virsh", "-q", "-c", self.uri, *arguments)

    def prepare(self, root: Path, work: Path) -> None:
        self.root, self.work = root, work / "libvirt"
        self.work.mkdir(parents=True)
        self.groups_were_there = any(Path("/sys/fs/cgroup").glob("*/machine"))
        for each in ("etc", "lib", "run", "cache", "log", "driver"):
            (self.work / each).mkdir()
        driver = next(Path("/usr/lib").glob("*/libvirt/connection-driver/libvirt_driver_lxc.so"))
        (self.work / "driver" / driver.name).symlink_to(driver)  # alone: the others want users and hardware
        (self.work / "libvirtd.conf").write_text(
            f'unix_sock_dir = "{self.work}"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\nlog_outputs = "3:stderr"\n'
        )
        script = f"""
            mount --make-rprivate /
            umount /sys/fs/cgroup/unified 2> /dev/null
            export LIBVIRT_DRIVER_DIR={self.work}/driver
            mkdir -p /run/libvirt /var/lib/libvirt /etc/libvirt /var/log/libvirt /var/cache/libvirt
            mount --bind {self.work}/run /run/libvirt; mount --bind {self.work}/lib /var/lib/libvirt
            mount --bind {self.work}/log /var/log/libvirt; mount --bind {self.work}/cache /var/cache/libvirt
            mount --bind {self.work}/etc /etc/libvirt
            exec /usr/sbin/libvirtd -f {self.work}/libvirtd.conf -p {self.work}/libvirtd.pid
        """
        with (self.work / "libvirtd.log").open("wb") as log:
            self.daemon = subprocess.Popen(
                ["unshare", "-m", "-n", "sh", "-c", script], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 30
        while subprocess.run(["virsh", "-q", "-c", self.uri, "version"], check=False, capture_output=True).returncode:
            if time.monotonic() > deadline or self.daemon.poll() is not None:
                raise RuntimeError(f"libvirtd did not come up: {(self.work / 'libvirtd.log').read_text()[-800:]}")
            time.sleep(0.1)

    def make(self, name: str) -> None:
        path = self.work / f"{name}.xml"
        path.write_text(domain_xml(name, self.root))
        self.virsh("define", str(path))

    def forget(self, name: str) -> None:
        self.virsh("undefine", name)

    def start(self, name: str) -> None:
        self.virsh("start", name)

    def settle(self, name: str) -> None:
        """virsh returns before the init runs ("Init pid is not yet available").

        Now and then libvirtd never learns of an init at all, however long it runs: then the domain is started again.
        """
        for _ in range(_STARTS):
            deadline = time.monotonic() + _SETTLING
            while time.monotonic() < deadline:
                try:
                    self.execute(name)
                    return
                except RuntimeError:
                    time.sleep(0.05)
            self.destroy(name)
            self.start(name)
        self.execute(name)

    def execute(self, name: str) -> None:
        self.virsh("lxc-enter-namespace", name, "--noseclabel", "--", *PROBE)

    def destroy(self, name: str) -> None:
        self.virsh("destroy", name)

    def listing(self, count: int) -> None:
        expect_lines(self.virsh("list", "--all"), count)

    def resident(self, names: Sequence[str]) -> int:
        return proportional(processes_named("libvirt_lxc")) + proportional(processes_named("libvirtd"))

    def finish(self) -> None:
        if self.daemon is not None:
            self.daemon.terminate()
            self.daemon.wait(30)
        shutil.rmtree(self.work, ignore_errors=True)
        if not self.groups_were_there:
            remove_groups("machine")


def domain_xml(name: str, root: Path) -> str:
    """The same domain for libvirt's driver and ours: a directory as root, no interface, one console.

    Ours is told that virsh may enter it, which libvirt's does not need to be.
    """
    ours = "<insula:domain xmlns:insula='https://insula.dev/xmlns/domain/1'><insula:opennamespace/></insula:domain>"
    arguments = "".join(f"<initarg>{each}</initarg>" for each in INIT[1:])
    return (
        f"<domain type='lxc'><name>{name}</name><metadata>{ours}</metadata>"
        f"<memory unit='MiB'>256</memory><vcpu>1</vcpu>"
        f"<os><type>exe</type><init>{INIT[0]}</init>{arguments}</os><features><privnet/></features><devices>"
        f"<filesystem type='mount'><source dir='{root}'/><target dir='/'/></filesystem><console type='pty'/>"
        "</devices></domain>"
    )
