"""How large a guest's file systems in memory may become: shares of its memory limit. Who fills one meets ENOSPC.

The kernel and systemd take shares of the machine's memory, which is the host's: a guest's users could have all its
programs killed by filling /dev/shm. Those that every user may write to, with the tenth that systemd-logind gives a user
at /run/user, leave a part of the memory to the guest's programs, whatever is in them.
"""

from dataclasses import dataclass

from insula.engine.facts import Facts
from insula.engine.program.late import Late
from insula.engine.spec import ContainerSpec, TmpfsRoot

_BYTES_PER_INODE = 16384
"""Of the limit. An inode takes a kilobyte at most, so a file system full of empty files takes a sixteenth."""
_LEAST_INODES = 4096
"""What systemd needs at /run, several times over."""
_DEFAULT_PERCENT = 50
"""What the kernel gives a tmpfs of a machine's memory."""
_USER_PERCENT, _USER_BYTES_PER_INODE = 10, 4096
"""Source: logind.conf(5), `RuntimeDirectorySize=` and `RuntimeDirectoryInodesMax=`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What a file system may take of a guest's memory.

    open: every user may write to it; usual: its options for size where there is no limit; most_inodes: however large
    the memory is.
    """

    percent: int
    open: bool
    usual: tuple[tuple[str, str], ...] = ()
    most_inodes: int | None = None


SHARED_MEMORY = Share(percent=30, open=True)
"""/dev/shm."""
TEMPORARY = Share(percent=30, open=True, usual=(("size", "50%"), ("nr_inodes", "1m")), most_inodes=1 << 20)
"""/tmp, where it is in memory. Source: systemd's tmp.mount."""
RUNTIME = Share(percent=20, open=False, usual=(("size", "20%"), ("nr_inodes", "800k")), most_inodes=800 << 10)
"""/run. Source: systemd's mount_table."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemorySizes:
    """The sizes for one guest. limit: bytes of memory that it has, None without a limit; root: its root is in memory
    too, beside which the others are half as large."""

    limit: int | None
    root: bool

    def options(self, share: Share) -> list[list[str | None]]:
        """Return a tmpfs' options for size."""
        if self.limit is None:
            return [list(option) for option in share.usual]
        percent = share.percent // 2 if self.root and share.open else share.percent
        inodes = _inodes(self.limit)
        if share.most_inodes is not None:
            inodes = min(inodes, share.most_inodes)
        return [["size", Late(self.limit * percent // 100)], ["nr_inodes", Late(inodes)]]

    @property
    def default(self) -> int | None:
        """The bytes of one that was asked for without a size, None for the kernel's default."""
        return None if self.limit is None else self.limit * _DEFAULT_PERCENT // 100

    @property
    def root_inodes(self) -> int | None:
        """How many files a root in memory may have, None for the kernel's default."""
        return None if self.limit is None else _inodes(self.limit)

    @property
    def user(self) -> tuple[int, int] | None:
        """The bytes and files of what systemd-logind is to mount for a user, None for its own default."""
        if self.limit is None:
            return None
        size = self.limit * _USER_PERCENT // 100
        return size, max(size // _USER_BYTES_PER_INODE, 1)


def memory_sizes(spec: ContainerSpec, facts: Facts) -> MemorySizes:
    """Return the sizes for a guest: shares of its limit, if that is less than the host has."""
    limit = spec.limits.memory
    if limit is not None and limit >= facts.memory:
        limit = None
    return MemorySizes(limit=limit, root=isinstance(spec.root, TmpfsRoot))


def _inodes(limit: int) -> int:
    return max(limit // _BYTES_PER_INODE, _LEAST_INODES)
