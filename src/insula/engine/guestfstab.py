"""A guest's /etc/fstab, written for the machine that it was: which of systemd's units can but fail over it.

In a container systemd itself passes over swap, and over devices, by whatever name. What it tries in vain are remounts
of the root with options of the former one, and file systems that the guest may not mount.
Sources: fstab(5), systemd-fstab-generator(8), systemd-remount-fs.service(8).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

REMOUNTS = "systemd-remount-fs.service"
MOUNTED_BY_USERS = frozenset(
    {"binfmt_misc", "cgroup", "cgroup2", "devpts", "mqueue", "overlay", "proc", "ramfs", "sysfs", "tmpfs"}
)
"""File systems that the root of a user namespace may mount. Source: FS_USERNS_MOUNT in the kernel's source."""
_DEVICE = re.compile(r"/dev/|(UUID|LABEL|PARTUUID|PARTLABEL|ID)=")
_ESCAPE = re.compile(r"\\([0-7]{3})")
_KERNELS = re.compile(r"/(proc|sys|dev|run)(/|$)")
"""What systemd mounts first of all, and gives the options of the fstab later."""
_PLAIN = re.compile(r"[A-Za-z0-9:_.]")
_ENTRIES_MAX = 256
_NAME_MAX = 255


@dataclass(frozen=True, kw_only=True, slots=True)
class FstabEntry:
    """A line of an fstab."""

    what: str
    where: str
    fstype: str
    options: frozenset[str]


def entries(text: str) -> Iterator[FstabEntry]:
    """Yield the entries of an fstab; what is none is passed over, as mount(8) does."""
    for line in text.splitlines():
        words = [_ESCAPE.sub(lambda found: chr(int(found[1], 8)), word) for word in line.split()]
        if len(words) >= 3 and not words[0].startswith("#"):
            options = frozenset(words[3].split(",")) if len(words) > 3 else frozenset[str]()
            yield FstabEntry(what=words[0], where=words[1], fstype=words[2], options=options)


def failing_units(found: Iterable[FstabEntry], *, mountable: frozenset[str] | None) -> tuple[str, ...]:
    """Return the units that would fail.

    mountable: the types that the guest may mount, None for all; binds it always may.
    """
    units: dict[str, None] = {}
    for entry in found:
        if entry.where in ("/", "/usr") or (mountable == frozenset() and _KERNELS.match(entry.where)):
            units[REMOUNTS] = None
        elif not _is_passed_over(entry) and not _may_be_mounted(entry, mountable):
            name = unit_of(entry.where)
            if len(name) <= _NAME_MAX and len(units) < _ENTRIES_MAX:
                units[name] = None
    return tuple(units)


def _is_passed_over(entry: FstabEntry) -> bool:
    return (
        entry.fstype == "swap"
        or "noauto" in entry.options
        or not entry.where.startswith("/")
        or _DEVICE.match(entry.what) is not None
    )


def _may_be_mounted(entry: FstabEntry, mountable: frozenset[str] | None) -> bool:
    return mountable is None or bool({"bind", "rbind"} & entry.options) or entry.fstype.partition(".")[0] in mountable


def unit_of(path: str) -> str:
    """Return the name of the unit that mounts at a path. Source: systemd.unit(5), "String Escaping for Inclusion"."""
    text = "/".join(part for part in path.split("/") if part)
    if not text:
        return "-.mount"
    escaped = (_escaped(letter, first=place == 0) for place, letter in enumerate(text))
    return f"{''.join(escaped)}.mount"


def _escaped(letter: str, *, first: bool) -> str:
    if letter == "/":
        return "-"
    if _PLAIN.fullmatch(letter) and not (first and letter == "."):
        return letter
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))
