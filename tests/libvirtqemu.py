"""libvirt's QEMU driver, in a libvirtd of our own: the stranger that runs the virtual machines of a document."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import sideload
from tests.waiting import until

_DIRECTORIES = {
    "run": "/run/libvirt",
    **{name: f"/var/{name}/libvirt" for name in ("lib", "log", "cache")},
    "etc": "/etc/libvirt",
}
_ACCOUNT, _ID = "libvirt-qemu", 64055
"""Which it must find when it begins, though no machine of ours is that user's."""
_QEMU_SETTINGS = """\
user = "root"
group = "root"
security_driver = "none"
stdio_handler = "file"
dynamic_ownership = 0
remember_owner = 0
cgroup_controllers = [ ]
namespaces = [ ]
"""
_SETTINGS = """\
unix_sock_dir = "{work}"
auth_unix_rw = "none"
auth_unix_ro = "none"
log_outputs = "3:stderr"
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class LibvirtQemu:
    """A daemon that runs. emulator: its QEMU, which emulates the processor, too."""

    work: Path
    emulator: Path

    def virsh(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        uri = f"qemu:///system?socket={self.work}/libvirt-sock"
        return subprocess.run(
            ["virsh", "-q", "-k", "0", "-c", uri, *words], capture_output=True, text=True, check=check
        )


def _with_account(work: Path) -> dict[Path, str]:
    """Write what the host would have as its users and groups with libvirt's package; return where each file belongs."""
    lines = {"passwd": f"{_ACCOUNT}:x:{_ID}:{_ID}::/:/usr/sbin/nologin\n", "group": f"{_ACCOUNT}:x:{_ID}:\n"}
    for name, line in lines.items():
        there = Path("/etc", name).read_text()
        known = any(each.startswith(f"{_ACCOUNT}:") for each in there.splitlines())
        (work / name).write_text(there if known else there + line)
    return {work / name: f"/etc/{name}" for name in lines}


@contextmanager
def libvirt_qemu(work: Path) -> Iterator[LibvirtQemu]:
    """Run libvirtd with its QEMU driver alone, in namespaces of its own that end with it, below an empty directory."""
    emulator = sideload.fetched("qemu")
    daemon = sideload.fetched("libvirtd")
    root = daemon.parents[1] / "root"
    for name in _DIRECTORIES:
        (work / name).mkdir()
    (work / "etc/qemu.conf").write_text(_QEMU_SETTINGS)
    (work / "libvirtd.conf").write_text(_SETTINGS.format(work=work))
    driver = next(root.glob("usr/lib/*/libvirt/connection-driver/libvirt_driver_qemu.so"))
    (work / "driver").mkdir()
    (work / "driver" / driver.name).symlink_to(driver)
    wrapper = work / "libvirtd"
    lines = [each for each in daemon.read_text().splitlines() if "LIBVIRT_DRIVER_DIR" not in each]
    wrapper.write_text("\n".join([*lines, ""]))
    wrapper.chmod(0o755)
    accounts = _with_account(work)
    mounts = {
        **accounts,
        **{work / name: place for name, place in _DIRECTORIES.items()},
        root / "usr/share/libvirt": "/usr/share/libvirt",
    }
    script = "\n".join(
        [
            "set -e",
            "mount --make-rprivate /",
            # It refuses hosts where cgroup v2 is mounted beside v1; it is not to make groups anyway.
            "umount /sys/fs/cgroup/unified 2> /dev/null || true",
            *(f"[ -e {place} ] || mkdir -p {place}; mount --bind {source} {place}" for source, place in mounts.items()),
            # Machines are orphans, for whose end it waits: the shell, process 1 here, sees to that.
            f"{wrapper} -f {work}/libvirtd.conf -p {work}/libvirtd.pid &",
            "wait",
        ]
    )
    environment = {
        **os.environ,
        "PATH": f"{emulator.parent}:{os.environ['PATH']}",
        "LIBVIRT_DRIVER_DIR": f"{work}/driver",
    }
    with (
        (work / "libvirtd.log").open("wb") as log,
        subprocess.Popen(
            ["unshare", "-m", "-n", "-p", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
        ) as process,
    ):
        found = LibvirtQemu(work=work, emulator=emulator)
        try:
            until(lambda: found.virsh("version", check=False).returncode == 0, "libvirtd with its QEMU driver", 60)
            yield found
        finally:
            process.kill()  # it takes all in the namespaces along, and is deaf to SIGTERM
