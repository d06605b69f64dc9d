"""What is read of a host to say what it lacks for Insula: facts, programs, settings, room. Nothing is changed."""

import contextlib
import grp
import os
import resource
import shutil
from dataclasses import dataclass
from pathlib import Path

from insula.engine.facts import Facts
from insula.engine.securitymodule import unready
from insula.kernel.mountinfo import mountinfo_of
from insula.layout import Layout
from insula.storage.idpools import SIZE, pools

PROGRAM_PLACES = "/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/bin"
PROGRAMS = ("dnsmasq", "nft", "pasta", "slirp4netns", "mmdebstrap", "debootstrap", "virsh", "qemu-img", "criu")
DEVICES = ("/dev/fuse", "/dev/net/tun", "/dev/loop-control", "/dev/kvm")
_SETTINGS = (
    "fs/inotify/max_user_instances",
    "fs/inotify/max_user_watches",
    "kernel/pid_max",
    "kernel/keys/maxkeys",
    "kernel/pty/max",
    "net/ipv4/ip_forward",
    "vm/memfd_noexec",
    "user/max_user_namespaces",
)
_LIBVIRT_DAEMONS = ("libvirtd", "virtlxcd")
_NEW_YEAR_2024 = 1704067200


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """One of ours. writable: by us; free: bytes and inodes for us, None where it is not there, or cannot be asked."""

    name: str
    path: str
    there: bool
    writable: bool
    free: int | None = None
    free_inodes: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HostReadings:
    """All that is judged. facts: None if the host cannot be looked at, for the reason in unseen; programs: where each
    is, None for those that there are not; settings: numbers below /proc/sys; devices: which nodes there are;
    descriptors: what insulad may open at most; set_aside: definitions that are not read; id_slots: domains that ids are
    left for at most; other_daemons: libvirt's that would have our socket; now: seconds since 1970; root: whether we
    have the host's powers; prefix: whether this is an installation beside the host's own; group: whether there is
    one whose members may use the socket."""

    facts: Facts | None
    unseen: str = ""
    mountinfo: str = ""
    programs: tuple[tuple[str, str | None], ...] = ()
    settings: tuple[tuple[str, int], ...] = ()
    devices: frozenset[str] = frozenset()
    directories: tuple[Directory, ...] = ()
    descriptors: int = 1 << 20
    set_aside: tuple[str, ...] = ()
    id_slots: int = 1 << 11
    other_daemons: tuple[str, ...] = ()
    apparmor: bool = False
    unprofiled: str | None = None
    selinux: bool = False
    now: int = _NEW_YEAR_2024
    root: bool = True
    prefix: bool = False
    group: bool = True

    def setting(self, name: str) -> int | None:
        """Return a setting by its place below /proc/sys, None where the kernel has none."""
        return dict(self.settings).get(name)

    def has_program(self, name: str) -> bool:
        return dict(self.programs).get(name) is not None


def read_host(layout: Layout, facts: Facts | None, *, unseen: str = "", now: int, descriptors: int) -> HostReadings:
    """Return what a host says now. facts: of `Facts.detect`; descriptors: what insulad may open."""
    return HostReadings(
        facts=facts,
        unseen=unseen,
        mountinfo=mountinfo_of(),
        programs=tuple((each, _found(each)) for each in PROGRAMS),
        settings=tuple(_settings()),
        devices=frozenset(each for each in DEVICES if os.path.exists(each)),
        directories=tuple(_directories(layout)),
        descriptors=descriptors,
        set_aside=tuple(_set_aside(layout)),
        id_slots=sum(len(each) // SIZE for each in pools()),
        other_daemons=tuple(_other_daemons()) if str(layout.root) == "/" else (),
        apparmor=_says("/sys/module/apparmor/parameters/enabled", "Y"),
        unprofiled=unready(),
        selinux=os.path.exists("/sys/fs/selinux/enforce"),
        now=now,
        root=os.geteuid() == 0,
        prefix=str(layout.root) != "/",
        group=_has_group("libvirt"),
    )


def own_descriptors() -> int:
    """Return what a process begun from here may open at most."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def _found(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{PROGRAM_PLACES}")


def _settings() -> "list[tuple[str, int]]":
    found = []
    for each in _SETTINGS:
        with contextlib.suppress(OSError, ValueError):
            found.append((each, int(Path("/proc/sys", each).read_text().split()[0])))
    return found


def _directories(layout: Layout) -> "list[Directory]":
    places = {
        "run": layout.run,
        "state": layout.state,
        "definitions": layout.definitions,
        "images": layout.images,
        "clones": layout.clones,
        "logs": layout.logs,
    }
    return [_directory(name, path) for name, path in places.items()]


def _directory(name: str, path: Path) -> Directory:
    there = path.is_dir()
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        room = os.statvfs(existing)
    except OSError:
        return Directory(name=name, path=str(path), there=there, writable=False)
    read_only = bool(room.f_flag & os.ST_RDONLY)
    return Directory(
        name=name,
        path=str(path),
        there=there,
        writable=not read_only and os.access(existing, os.W_OK | os.X_OK),
        free=room.f_bavail * room.f_frsize,
        free_inodes=room.f_favail if room.f_files else None,
    )


def _set_aside(layout: Layout) -> "list[str]":
    found: list[str] = []
    for directory in (layout.definitions, layout.network_definitions, layout.filter_definitions):
        with contextlib.suppress(OSError):
            found += [str(each) for each in sorted(directory.iterdir()) if ".xml." in each.name]
    return found


def _other_daemons() -> "list[str]":
    """Return libvirt's daemons that run here, by the names that the kernel has of them."""
    found = set()
    for each in Path("/proc").iterdir():
        if each.name.isdecimal():
            with contextlib.suppress(OSError):
                found.add((each / "comm").read_text().strip())
    return sorted(found.intersection(_LIBVIRT_DAEMONS))


def _has_group(name: str) -> bool:
    with contextlib.suppress(KeyError):
        return bool(grp.getgrnam(name))
    return False


def _says(path: str, word: str) -> bool:
    with contextlib.suppress(OSError):
        return Path(path).read_text().strip() == word
    return False
