"""Guest root file systems for tests: a busybox tree, and stock Debian. Built once, kept in the tests' cache."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests import cache
from tests.debian_mirror import host_mirror, network_settings

ROOTS_VARIABLE = "INSULA_TEST_ROOTS"
"""A directory with what is brought along (`debian-12`, `host-13`, ...), as the emulated machine gets it."""

CODENAMES: Mapping[str, str] = {"11": "bullseye", "12": "bookworm", "13": "trixie"}

DEBIAN_PACKAGES = ("systemd-sysv", "dbus", "iproute2", "login", "procps")
"""Beside the minbase variant: an init, its bus, and what shows addresses, a login prompt and processes."""

DESKTOP_PACKAGES = (
    "virt-manager",
    "xvfb",
    "openbox",
    "xdotool",
    "scrot",
    "dbus-daemon",
    "at-spi2-core",
    "adwaita-icon-theme",
    "fonts-dejavu-core",
)
"""virt-manager, an X server without a screen, a window manager, and what works both from outside."""

PACKAGING_PACKAGES = (
    "systemd-sysv",
    "dbus",
    "passwd",
    "debhelper",
    "dh-python",
    "pybuild-plugin-pyproject",
    "python3-hatchling",
    "python3-jeepney",
    "python3-lxml",
    "python3-rich",
    "lintian",
)
"""What the Debian package is built with (`Build-Depends`), what it depends on, and what judges it."""

HOST_PACKAGES = (
    "systemd-sysv",
    "systemd-container",
    "dbus",
    "passwd",
    "procps",
    "python3-jeepney",
    "python3-lxml",
    "python3-rich",
    "libvirt-clients",
    "libvirt-daemon",
    "libvirt-daemon-system",
    "libvirt-daemon-driver-qemu",
)
"""What the Debian package depends on and is tried with on a host of its own (tests/systemdhost.py)."""

SYSVINIT_PACKAGES = ("sysvinit-core", "sysv-rc", "initscripts", "login", "procps")
"""System V's init with its own boot scripts."""

INITS_PACKAGES = ("runit-init", "getty-run", "openrc", "s6", "login", "procps")
"""Three inits that stand in one root side by side: each test starts the one that it is of."""

STRESS_PACKAGES = ("stress-ng",)
"""What takes the kernel through its paces, by its own makers' ideas of what breaks."""

BUSYBOX = Path("/bin/busybox")

_BUSYBOX_FILES: Mapping[str, str] = {
    "etc/passwd": "root::0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
    "etc/hostname": "busybox\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/os-release": 'ID=busybox\nNAME="BusyBox"\nPRETTY_NAME="BusyBox test root"\n',
    "etc/inittab": (
        "::sysinit:/etc/init.d/rcS\n"
        "console::respawn:/sbin/getty -L 115200 console vt100\n"
        "::ctrlaltdel:/sbin/reboot\n"
        "::shutdown:/bin/true\n"
    ),
    "etc/init.d/rcS": "#!/bin/sh\nhostname -F /etc/hostname 2>/dev/null\n",
    "etc/profile": "export PATH=/usr/sbin:/usr/bin:/sbin:/bin\n",
}

Command = Callable[..., Sequence[str]]


def busybox() -> Path:
    """Return a busybox tree: all applets, its init as /sbin/init, a getty on the console, root without a password.

    It is shared and must not be written to; the fixture `busybox_root` gives a copy.
    """
    recipe = f"{BUSYBOX.stat().st_size} {BUSYBOX.stat().st_mtime_ns} {_BUSYBOX_FILES!r} format 1"
    return cache.built("busybox", recipe, _build_busybox) / "root"


def _build_busybox(work: Path, _final: Path) -> None:
    root = work / "root"
    for name in (
        "proc",
        "sys",
        "dev",
        "run",
        "mnt",
        "home",
        "var/log",
        "etc/init.d",
        "bin",
        "sbin",
        "usr/bin",
        "usr/sbin",
    ):
        (root / name).mkdir(parents=True)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "root").mkdir(mode=0o700)
    (root / "var/run").symlink_to("/run")
    (root / "bin/busybox").write_bytes(BUSYBOX.read_bytes())
    (root / "bin/busybox").chmod(0o755)
    applets = subprocess.run([BUSYBOX, "--list-full"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        link = root / applet
        link.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            link.symlink_to("/bin/busybox")
    for name, text in _BUSYBOX_FILES.items():
        (root / name).write_text(text)
    (root / "etc/init.d/rcS").chmod(0o755)


def debian_is_there(release: str) -> bool:
    """Return whether debian(release) would not have to build."""
    return brought(f"debian-{release}").exists() or cache.place(f"debian-{release}", _debian_recipe(release)).exists()


def debian(release: str, outside: Command = lambda *command: command) -> Path:
    """Return the root of a stock Debian: `12` or `13`, minbase with systemd. It is shared and must not be written to.

    outside: makes a command run where the package mirror can be reached (Enclosure.outside).
    """
    if (there := brought(f"debian-{release}")).exists():
        return there

    def build(work: Path, _final: Path) -> None:
        _build_debian(release, work / "root", outside)

    return cache.built(f"debian-{release}", _debian_recipe(release), build) / "root"


def brought(name: str) -> Path:
    """Return where a root is, or anything else of that name, if this host was given it."""
    return Path(os.environ.get(ROOTS_VARIABLE) or "/nonexistent") / name


def _debian_recipe(release: str) -> str:
    return f"{CODENAMES[release]} {DEBIAN_PACKAGES} format 1"


def desktop_is_there(release: str) -> bool:
    """Return whether desktop(release) would not have to build."""
    return _shared_place("desktop", release, DESKTOP_PACKAGES).exists()


def desktop(release: str, outside: Command = lambda *command: command) -> Path:
    """Return the root of a Debian with what tests/desktop/desktop.py starts. It is shared and must not be written to.

    outside: as for `debian`.
    """
    return _shared("desktop", release, DESKTOP_PACKAGES, outside)


def packaging_is_there(release: str) -> bool:
    """Return whether packaging(release) would not have to build."""
    return _shared_place("packaging", release, PACKAGING_PACKAGES).exists()


def packaging(release: str, outside: Command = lambda *command: command) -> Path:
    """Return the root of a Debian that builds our package and takes it. It is shared and must not be written to.

    outside: as for `debian`.
    """
    return _shared("packaging", release, PACKAGING_PACKAGES, outside)


def host_is_there(release: str) -> bool:
    """Return whether host(release) would not have to build."""
    return brought(f"host-{release}").exists() or _shared_place("host", release, HOST_PACKAGES).exists()


def host(release: str, outside: Command = lambda *command: command) -> Path:
    """Return the root of a Debian that is booted as a host, and takes our package. It is shared, never written to.

    outside: as for `debian`.
    """
    there = brought(f"host-{release}")
    return there if there.exists() else _shared("host", release, HOST_PACKAGES, outside)


def sysvinit(release: str, outside: Command = lambda *command: command) -> Path:
    """Return the root of a Debian whose init is System V's. Shared, never written to. outside: as for `debian`."""
    return _shared("sysvinit", release, SYSVINIT_PACKAGES, outside)


def inits(release: str, outside: Command = lambda *command: command) -> Path:
    """Return the root of a Debian with runit, OpenRC's init and s6. It is shared, never written to.

    outside: as for `debian`.
    """
    return _shared("inits", release, INITS_PACKAGES, outside)


def stress_is_there(release: str) -> bool:
    """Return whether stress(release) would not have to build."""
    return _shared_place("stress", release, STRESS_PACKAGES).exists()


def stress(release: str, outside: Command = lambda *command: command) -> Path:
    """Return the root of a Debian with stress-ng(1). It is shared, never written to. outside: as for `debian`."""
    return _shared("stress", release, STRESS_PACKAGES, outside)


def _shared(kind: str, release: str, packages: Sequence[str], outside: Command) -> Path:
    """Return the root of a Debian with these packages, built if it is not there yet."""

    def build(work: Path, _final: Path) -> None:
        bootstrap(CODENAMES[release], work / "root", packages, outside)

    return cache.built(f"{kind}-{release}", _shared_recipe(release, packages), build) / "root"


def _shared_place(kind: str, release: str, packages: Sequence[str]) -> Path:
    return cache.place(f"{kind}-{release}", _shared_recipe(release, packages))


def _shared_recipe(release: str, packages: Sequence[str]) -> str:
    return f"{CODENAMES[release]} {packages} format 1"


def bootstrap(suite: str, root: Path, packages: Sequence[str], outside: Command = lambda *command: command) -> None:
    """Make a minimal Debian with the packages at root, from the host's own mirror: mmdebstrap(1)."""
    mirror = host_mirror()
    command = [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        "--mode=root",
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--aptopt={line}" for line in network_settings()),
        f"--include={','.join(packages)}",
        suite,
        str(root),
        mirror.source(suite),
    ]
    subprocess.run(outside(*command), check=True, stdout=sys.stderr)
    for trace in ("etc/apt/apt.conf.d/99mmdebstrap", "etc/dpkg/dpkg.cfg.d/99mmdebstrap"):
        (root / trace).unlink(missing_ok=True)


def _build_debian(release: str, root: Path, outside: Command) -> None:
    bootstrap(CODENAMES[release], root, DEBIAN_PACKAGES, outside)
    for host_trace in ("etc/hostname", "etc/resolv.conf"):
        (root / host_trace).unlink(missing_ok=True)


def main() -> int:
    """Build the roots named on the command line (`busybox`, `debian-12`, `debian-13`) and print where they are."""
    for name in sys.argv[1:]:
        print(busybox() if name == "busybox" else debian(name.removeprefix("debian-")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
