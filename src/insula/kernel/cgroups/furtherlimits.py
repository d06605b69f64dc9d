"""Limits that are a file of their own each: what it is called in v1 and v2, and what it says where there is none.

Sources: kernel documents `admin-guide/cgroup-v2` (cpu, memory, hugetlb, misc), `scheduler/sched-bwc` (bursts) and
`admin-guide/cgroup-v1/hugetlb`.
"""

import errno
import os
from dataclasses import dataclass

from insula.kernel.cgroups import files
from insula.kernel.cgroups.groupkeys import KeyStore, controller_of
from insula.kernel.cgroups.heldlimits import UNLIMITED, HugePageLimit, MiscLimit, limited


@dataclass(frozen=True, slots=True)
class LimitFile:
    """v1, v2: the file's name, None where that has none; `{}` stands for the size of a page."""

    v1: str | None
    v2: str | None

    def key(self, keys: KeyStore, what: str, item: str = "") -> str:
        """Return its name on this host. Raises: OSError(EOPNOTSUPP) that says what has no such limit."""
        name = self.v1 or self.v2 or ""
        old = keys.is_old(controller_of(name.format("1MB")))
        found = self.v1 if old else self.v2
        if found is None:
            raise OSError(errno.EOPNOTSUPP, f"cgroup v{'1' if old else '2'} has no {what}", name.format(item))
        return found.format(item)


BURST = LimitFile("cpu.cfs_burst_us", "cpu.max.burst")
IDLE = LimitFile("cpu.idle", "cpu.idle")
ZSWAP = LimitFile(None, "memory.zswap.max")
ZSWAP_WRITEBACK = LimitFile(None, "memory.zswap.writeback")
HUGE_PAGES = LimitFile("hugetlb.{}.limit_in_bytes", "hugetlb.{}.max")
MISC = LimitFile("misc.max", "misc.max")
_WHAT = {BURST: "burst", IDLE: "idle class", ZSWAP: "limit of zswap", ZSWAP_WRITEBACK: "choice of zswap's writeback"}


def set_number(keys: KeyStore, file: LimitFile, value: int) -> None:
    """Write one of the files that hold a number; UNLIMITED is none. Raises: OSError."""
    keys.write(file.key(keys, _WHAT[file]), "max" if limited(value) is None else str(value))


def number(keys: KeyStore, file: LimitFile) -> int | None:
    """Return what one of these files holds; None for no limit, and where this host has none."""
    text = _text(keys, file, _WHAT[file])
    return None if text is None else files.number(text)


def demand(keys: KeyStore, file: LimitFile) -> None:
    """Raises: OSError(EOPNOTSUPP) that says why this host has none of these files."""
    keys.read(file.key(keys, _WHAT[file]))


def huge_page_sizes(directory: str = "/sys/kernel/mm/hugepages") -> tuple[int, ...]:
    """Return the sizes of huge pages that this host has, in bytes, ascending."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return ()
    return tuple(sorted(int(each.removeprefix("hugepages-").removesuffix("kB")) * 1024 for each in names))


def page_name(size: int) -> str:
    """Return what the kernel calls a size of pages, given in bytes: `2MB`. Source: mem_fmt() in mm/hugetlb_cgroup.c."""
    for factor, unit in ((1 << 30, "GB"), (1 << 20, "MB")):
        if size >= factor:
            return f"{size // factor}{unit}"
    return f"{size // 1024}KB"


def limit_huge_pages(keys: KeyStore, wanted: HugePageLimit) -> None:
    """Limit pages of one size. Raises: OSError; EOPNOTSUPP where the host has none of that size, or no controller."""
    key = HUGE_PAGES.key(keys, "limit of huge pages", page_name(wanted.size))
    none = "-1" if keys.is_old("hugetlb") else "max"
    keys.write(key, none if limited(wanted.limit) is None else str(wanted.limit))


def huge_pages(keys: KeyStore, size: int) -> int | None:
    """Return the limit of pages of one size, in bytes; None for none, and where this host has none."""
    text = _text(keys, HUGE_PAGES, "limit of huge pages", page_name(size))
    value = None if text is None else files.number(text)
    # v1 rounds "no limit" down to a page.
    return None if value is None or value >= UNLIMITED - size else value


def limit_misc(keys: KeyStore, wanted: MiscLimit) -> None:
    """Limit one resource of the misc controller. Raises: OSError; EINVAL for what the host has not."""
    keys.write(MISC.key(keys, "misc"), f"{wanted.name} {'max' if limited(wanted.limit) is None else wanted.limit}")


def misc(keys: KeyStore) -> tuple[MiscLimit, ...]:
    """Return what limits of the misc controller there are."""
    pairs = (line.split() for line in (_text(keys, MISC, "misc") or "").splitlines())
    return tuple(MiscLimit(name=pair[0], limit=int(pair[1])) for pair in pairs if len(pair) == 2 and pair[1] != "max")


def _text(keys: KeyStore, file: LimitFile, *words: str) -> str | None:
    """Return what a file says, None where this host has none."""
    try:
        return keys.read(file.key(keys, *words))
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.ENODEV):
            return None
        raise
