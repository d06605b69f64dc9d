"""A host that systemd runs, on this one's kernel: a Debian root with a layer in memory, in namespaces of its own.

Its first process is that Debian's systemd, alone in control groups of the enclosure's. It has no network but lo and no
device that stands for hardware, and of the kernel's settings it may change those of its network. It boots in a second
or two, and what an administrator does on a host can be done there, its power-off included.
"""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests import cgrouptree
from tests.waiting import scaled, until

_GROUP = "systemd-host"
_MASKED = ("console-getty.service", "systemd-sysctl.service", "systemd-udevd.service")
"""Units that are for machines, or for a kernel of one's own."""

ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "TERM": "vt100",
    "DEBIAN_FRONTEND": "noninteractive",
}
"""What an administrator's shell has, and nothing of the tests' own."""

_APART = (
    "unshare",
    "--mount",
    "--propagation",
    "private",
    "--net",
    "--uts",
    "--ipc",
    "--pid",
    "--fork",
    "--kill-child",
)

_ENTER = """
set -e
for each in $2; do echo 0 > "$each/cgroup.procs"; done
exec unshare --cgroup /bin/sh -c "$0" boot "$@"
"""
"""Its first process alone enters the groups: with another one in its root, a v2 hierarchy gives no controller to any
child. Arguments: the script that follows as $0, then as it has them.
"""

_BOOT = """
set -e
root=$1 v1=$3 masked=$4
shift 4
mount -t tmpfs -o size=3g,mode=755 host /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay host -o lowerdir="$root",upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
cd /mnt/root
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount --bind /proc/sys/net proc/sys/net
mount -t sysfs sys sys
mount -t cgroup2 -o nsdelegate cgroup2 sys/fs/cgroup
if [ -n "$v1" ]; then
  mkdir sys/fs/cgroup/v1
  mount -t tmpfs v1 sys/fs/cgroup/v1
  for each in $v1; do
    mkdir "sys/fs/cgroup/v1/$each"
    mount -t cgroup -o "$each" "$each" "sys/fs/cgroup/v1/$each"
  done
fi
mount -t tmpfs -o mode=755 run run
mount -t tmpfs tmp tmp
mount -t tmpfs -o mode=755 dev dev
node() { mknod -m 666 "dev/$1" c "$2" "$3"; }
node null 1 3; node zero 1 5; node full 1 7; node random 1 8; node urandom 1 9; node tty 5 0; node fuse 10 229
mkdir dev/pts dev/shm dev/net
node net/tun 10 200
mount -t devpts -o newinstance,gid=5,mode=620,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for each in $masked; do ln -sf /dev/null "etc/systemd/system/$each"; done
echo 0123456789abcdef0123456789abcdef > etc/machine-id
for bind; do
  mkdir -p "./${bind#*=}"
  mount --bind "${bind%%=*}" "./${bind#*=}"
done
hostname machine
mkdir -p .before
pivot_root . .before
exec env -i container=other PATH=/usr/sbin:/usr/bin chroot . /bin/sh -c 'umount -l /.before; exec /sbin/init'
"""
"""Arguments: the root; groups to be in; v1 controllers; units not to start; SOURCE=TARGET of what is shown in it."""


class SystemdHost:
    """The host while it is up, and afterwards."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        self._init = int(until(lambda: children.read_text().split(), "its first process")[0])

    @property
    def is_up(self) -> bool:
        """Whether its first process runs. Orphans that its shutdown would wait for are reaped if they are ours."""
        for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
            fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            if "zombie" in fields["State"] and len(fields["NSpid"].split()) > 1:
                os.waitpid(int(pid), os.WNOHANG)
        return os.path.exists(f"/proc/{self._init}/exe")

    def command(self, *argv: str) -> Sequence[str]:
        """Return the command that runs argv in it, as an administrator's shell would."""
        environment = (f"{name}={value}" for name, value in ENVIRONMENT.items())
        return ("nsenter", f"--target={self._init}", "--all", "--wdns=/", "env", "-i", *environment, *argv)

    def run(self, *argv: str, check: bool = True, seconds: float = 60) -> "subprocess.CompletedProcess[str]":
        """Run argv in it; what it said, and the daemon's log, are in the error if it fails."""
        done = subprocess.run(
            self.command(*argv),
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=scaled(seconds),
        )
        if check and done.returncode:
            log = self.run("journalctl", "-u", "insulad", "-n", "60", "--no-pager", check=False).stdout
            raise AssertionError(f"{argv} ended with {done.returncode}:\n{done.stdout}{done.stderr}\nits log:\n{log}")
        return done

    def exists(self, path: str) -> bool:
        return self.run("test", "-e", path, check=False).returncode == 0

    def read(self, path: str) -> str:
        """Return the text of a file."""
        return self.run("cat", path).stdout


@contextmanager
def systemd_host(root: Path, shown: Mapping[str, Path]) -> Iterator[SystemdHost]:
    """Yields: a host that has booted. root: of a Debian; shown: directories of this host, by where they are in it."""
    hierarchies = [each for each in cgrouptree.hierarchies() if "name=systemd" not in each.controllers]
    groups = [each.mount_point / _GROUP for each in hierarchies]
    for group, hierarchy in zip(groups, hierarchies, strict=True):
        group.mkdir()
        if hierarchy.version == 1:
            cgrouptree.fill_cpuset(group)
    words = [
        str(root),
        " ".join(map(str, groups)),
        " ".join(",".join(sorted(each.controllers)) for each in hierarchies if each.version == 1),
        " ".join(_MASKED),
        *(f"{source}={target}" for target, source in shown.items()),
    ]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *_APART, "/bin/sh", "-c", _ENTER, _BOOT, *words],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
        try:
            host = SystemdHost(process)
            until(lambda: host.exists("/run/systemd/private"), "systemd answering", 30)
            host.run("systemctl", "is-system-running", "--wait")
            yield host
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            for group in groups:
                until(lambda group=group: _removed(group), f"the end of everybody in {group}", 30)  # type: ignore[misc]


def _removed(group: Path) -> bool:
    """Kill who is left in a group, thaw and remove it; return whether it is gone."""
    try:
        for each in (*cgrouptree.groups_below(group), group):
            cgrouptree.thaw(each)
            for pid in (each / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        cgrouptree.remove_tree(group)
    except FileNotFoundError:
        return not group.exists()
    except OSError:
        return False
    return True
