"""A root file system of one program: busybox, statically linked, as the host has it or from its package."""

import os
import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

from insula.errors import OperationFailedError
from insula.storage.builders.imagebuilder import Progress, Recipe, Workplace, check_options, choice
from insula.storage.builders.tool import run_tool

NAME = "busybox"
OPTIONS = {"console": "autologin or login", "network": "dhcp or none"}
PACKAGE = "busybox-static"

_DIRECTORIES = (
    *(
        "bin",
        "sbin",
        "usr/bin",
        "usr/sbin",
        "usr/share/udhcpc",
        "etc/udhcpc",
        "etc/init.d",
        "var/log",
        "var/lib",
        "var/cache",
    ),
    *("proc", "sys", "dev", "run", "mnt", "home", "srv"),
)
_MODES = {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700}
_LINKS = {
    "var/run": "/run",
    "var/lock": "/run",
    "etc/mtab": "/proc/self/mounts",
    "bin/sh": "/bin/busybox",
    "etc/udhcpc/default.script": "/usr/share/udhcpc/default.script",  # where Debian's busybox looks for it
}

_LOGIN = {
    "login": "console::respawn:/sbin/getty 0 console linux",
    "autologin": "console::respawn:/sbin/getty -n -l /etc/init.d/autologin 0 console linux",
}

_INITTAB = """# Source: busybox's init; the first field is a terminal below /dev
::sysinit:/etc/init.d/rcS
{console}
::ctrlaltdel:/sbin/reboot
::shutdown:/etc/init.d/rcK
"""

_FILES: Mapping[str, tuple[int, str]] = {
    "etc/passwd": (
        0o644,
        "root:x:0:0:root:/root:/bin/sh\n"
        "daemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    ),
    "etc/shadow": (0o640, "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n"),
    "etc/group": (
        0o644,
        "root:x:0:\ndaemon:x:1:\ntty:x:5:\ndisk:x:6:\nutmp:x:43:\nusers:x:100:\nnogroup:x:65534:\n",
    ),
    "etc/hosts": (0o644, "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"),
    "etc/nsswitch.conf": (0o644, "passwd: files\ngroup: files\nhosts: files dns\n"),
    "etc/resolv.conf": (0o644, ""),
    "etc/shells": (0o644, "/bin/sh\n/bin/ash\n"),
    "etc/issue": (0o644, "\nbusybox \\n \\l\n\n"),
    "etc/profile": (0o644, "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"),
    "etc/init.d/rcS": (
        0o755,
        """#!/bin/sh
# The launcher has made /dev, set the host name and configured the interfaces; what it mounted is not mounted again.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
[ -e /proc/self ] || mount -t proc proc /proc
[ -e /sys/kernel ] || mount -t sysfs sysfs /sys
grep -q " /run " /proc/self/mounts || mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs /run
for script in /etc/init.d/S*; do
    [ -x "$script" ] && "$script" start
done
[ -x /etc/rc.local ] && /etc/rc.local
exit 0
""",
    ),
    "etc/init.d/rcK": (
        0o755,
        """#!/bin/sh
# Stop what rcS started, the last first; busybox's init then ends all that is left.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
for script in $(ls -r /etc/init.d/S* 2>/dev/null); do
    [ -x "$script" ] && "$script" stop
done
exit 0
""",
    ),
    "etc/init.d/autologin": (
        0o755,
        """#!/bin/sh
# Whoever may open the console is the guest's administrator anyway.
echo "$(hostname) login: root (automatic login)"
exec login -f root
""",
    ),
    "usr/share/udhcpc/default.script": (
        0o755,
        """#!/bin/sh
# What udhcpc -i INTERFACE runs at each event; its variables hold the lease.
case "$1" in
    deconfig)
        ip address flush dev "$interface"
        ip link set "$interface" up
        ;;
    bound | renew)
        ip address flush dev "$interface"
        ip address add "$ip/${mask:-24}" dev "$interface"
        for each in $router; do
            ip route replace default via "$each" dev "$interface" && break
        done
        {
            [ -n "$domain" ] && echo "search $domain"
            for each in $dns; do
                echo "nameserver $each"
            done
        } > /etc/resolv.conf
        ;;
esac
exit 0
""",
    ),
}


_NETWORK = "etc/init.d/S20network"
_DHCP = """#!/bin/sh
# Ask for an address by DHCP on each card that the definition gives none, in the background, as boots wait for nobody.
# Where the network is the host's own, which alone has dev_weight, its cards are none of ours.
case "$1" in
    start)
        [ -e /proc/sys/net/core/dev_weight ] && exit 0
        for each in /sys/class/net/*; do
            card=${each##*/}
            [ "$(cat "$each/type" 2>/dev/null)" = 1 ] || continue
            [ -z "$(ip -4 -o address show dev "$card")" ] || continue
            udhcpc -f -R -i "$card" -x "hostname:$(hostname)" < /dev/null > /dev/null 2>&1 &
        done
        ;;
    stop)
        killall udhcpc 2> /dev/null
        ;;
esac
exit 0
"""
"""Source: Linux's net_core_table, of which only the first network namespace has all."""


class BusyboxBuilder:
    """`busybox`: boots in milliseconds, for trying things out and for tests."""

    name = NAME

    def __init__(self, program: str | None = None) -> None:
        """program: the busybox to use; None looks for the host's."""
        self._program = program

    def recipe(self, source: str, options: Mapping[str, str]) -> Recipe | None:
        if source != NAME:
            return None
        check_options(source, options, OPTIONS)
        console = choice(source, "console", options.get("console", "autologin"), ("autologin", "login"))
        network = choice(source, "network", options.get("network", "dhcp"), ("dhcp", "none"))
        return Recipe(builder=NAME, options=(("console", console), ("network", network)))

    async def build(self, recipe: Recipe, workplace: Workplace) -> None:
        workplace.report(Progress(phase="preparing", text="looking for busybox", fraction=0.0))
        program = Path(self._program or shutil.which("busybox", path="/bin:/usr/bin:/usr/local/bin") or "/nonexistent")
        if not is_static(program):
            program = await _from_package(workplace)
        workplace.report(Progress(phase="installing", text="laying out the root", fraction=0.5))
        _lay_out(workplace.rootfs, program, recipe.option("console", "autologin"))
        if recipe.option("network", "dhcp") == "dhcp":
            (workplace.rootfs / _NETWORK).write_text(_DHCP)
            (workplace.rootfs / _NETWORK).chmod(0o755)


def is_static(program: Path) -> bool:
    """Return whether a program of this machine runs without any shared library.

    Source: elf(5): a dynamic executable has a program header of type PT_INTERP.
    """
    try:
        with program.open("rb") as file:
            head = file.read(64)
            if len(head) < 64 or head[:5] != b"\x7fELF\x02":
                return False
            (offset,) = struct.unpack_from("=Q", head, 32)
            size, count = struct.unpack_from("=HH", head, 54)
            file.seek(offset)
            table = file.read(size * count)
    except OSError:
        return False
    return all(struct.unpack_from("=I", table, index * size)[0] != _INTERPRETER for index in range(count))


_INTERPRETER = 3


async def _from_package(workplace: Workplace) -> Path:
    """Fetch the package beside the host's own packages, and return the program in it.

    Raises: OperationFailedError, also where the host has no apt.
    """
    workplace.report(Progress(phase="downloading", text=f"fetching {PACKAGE}", fraction=0.1))
    package, unpacked = workplace.directory / "package", workplace.directory / "unpacked"
    package.mkdir()
    fetch = f'cd "$1" && apt-get download {PACKAGE} && dpkg-deb -x ./*.deb "$2"'
    try:
        await run_tool(
            ["sh", "-c", fetch, "sh", str(package), str(unpacked)],
            workplace,
            package="apt",
            watch=lambda line: workplace.report(Progress(phase="downloading", text=line[:80])),
        )
    except OperationFailedError as error:
        raise OperationFailedError(
            f"no statically linked busybox here, and its package cannot be fetched; install {PACKAGE}: {error}"
        ) from error
    found = [each for each in (unpacked / "bin/busybox", unpacked / "usr/bin/busybox") if each.is_file()]
    if not found:
        raise OperationFailedError(f"the package {PACKAGE} holds no busybox")
    return found[0]


def _lay_out(rootfs: Path, program: Path, console: str) -> None:
    rootfs.mkdir(mode=0o755)
    for name in _DIRECTORIES:
        (rootfs / name).mkdir(parents=True, exist_ok=True)
    for name, mode in _MODES.items():
        (rootfs / name).mkdir()
        (rootfs / name).chmod(mode)
    shutil.copyfile(program, rootfs / "bin/busybox")
    (rootfs / "bin/busybox").chmod(0o755)
    _link_applets(rootfs)
    for name, target in _LINKS.items():
        if not os.path.lexists(rootfs / name):
            (rootfs / name).symlink_to(target)
    for name, (mode, text) in _FILES.items():
        (rootfs / name).write_text(text)
        (rootfs / name).chmod(mode)
    (rootfs / "etc/inittab").write_text(_INITTAB.format(console=_LOGIN[console]))
    (rootfs / "etc/os-release").write_text(_os_release(program))


def _link_applets(rootfs: Path) -> None:
    listed = _answer(rootfs / "bin/busybox", "--list-full").split()
    for name in listed:
        applet = rootfs / name
        applet.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(applet):
            applet.symlink_to("/bin/busybox")


def _os_release(program: Path) -> str:
    banner = _answer(program, "--help").split(" ")
    version = banner[1].removeprefix("v") if len(banner) > 1 else ""
    return f'ID=busybox\nNAME="BusyBox"\nVERSION_ID="{version}"\nPRETTY_NAME="BusyBox {version}"\n'


def _answer(program: Path, argument: str) -> str:
    try:
        result = subprocess.run([program, argument], capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        raise OperationFailedError(f"{program} {argument} does not work: {error}") from error
    return result.stdout or result.stderr
