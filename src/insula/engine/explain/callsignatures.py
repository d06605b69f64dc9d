"""How calls are written for people, and which of their arguments name files: a table, for the calls that get refused.

Words: `path` a path, counted from the `dir` before it; `fd` an open file; `text` what is no path; `ids` a user or
group; `flags` in hexadecimals; `mode` in octals; anything else a number. Source: the calls' manual pages.
"""

from collections.abc import Mapping
from functools import cache

_TEXT = """
    access path mode
    acct path
    bind fd address size
    bpf command attributes size
    chdir path
    chmod path mode
    chown path ids ids
    chown32 path ids ids
    chroot path
    clock_adjtime clock timex
    clock_settime clock time
    clone flags stack
    clone3 arguments size
    creat path mode
    delete_module text flags
    execve path arguments environment
    execveat dir path arguments environment flags
    faccessat dir path mode
    faccessat2 dir path mode flags
    fallocate fd mode offset size
    fanotify_init flags flags
    fanotify_mark fd flags flags dir path
    fchmod fd mode
    fchmodat dir path mode
    fchmodat2 dir path mode flags
    fchown fd ids ids
    fchownat dir path ids ids flags
    finit_module fd text flags
    fsetxattr fd text value size flags
    fsopen text flags
    fspick dir path flags
    ftruncate fd size
    getdents64 fd
    inotify_add_watch fd path flags
    inotify_init
    inotify_init1 flags
    init_module image size text
    io_uring_setup entries parameters
    ioctl fd flags argument
    ioperm from count on
    iopl level
    ioprio_set which who priority
    kexec_file_load fd fd size text flags
    kexec_load entry count segments flags
    keyctl operation
    add_key text text payload size keyring
    request_key text text text keyring
    kill pid signal
    lchown path ids ids
    lchown32 path ids ids
    link path path
    linkat dir path dir path flags
    lsetxattr path text value size flags
    mkdir path mode
    mkdirat dir path mode
    mknod path mode device
    mknodat dir path mode device
    mlock address size
    mlock2 address size flags
    mlockall flags
    mmap address size flags flags fd offset
    mount text path text flags data
    mount_setattr dir path flags attributes size
    move_mount dir path dir path flags
    mprotect address size flags
    nice increment
    open path flags mode
    open_by_handle_at fd handle flags
    open_tree dir path flags
    openat dir path flags mode
    openat2 dir path how size
    perf_event_open attributes pid cpu group flags
    personality flags
    pivot_root path path
    prctl option
    prlimit64 pid resource new old
    ptrace request pid address data
    quotactl flags text id address
    quotactl_fd fd flags id address
    read fd buffer size
    reboot flags flags flags argument
    rename path path
    renameat dir path dir path
    renameat2 dir path dir path flags
    rmdir path
    sched_setaffinity pid size mask
    sched_setattr pid attributes flags
    sched_setparam pid parameters
    sched_setscheduler pid policy parameters
    seccomp operation flags arguments
    setdomainname text size
    setfsgid ids
    setfsuid ids
    setgid ids
    setgroups count list
    sethostname text size
    setns fd flags
    setpriority which who priority
    setregid ids ids
    setresgid ids ids ids
    setresuid ids ids ids
    setreuid ids ids
    setrlimit resource limits
    setsockopt fd level option value size
    settimeofday time zone
    setuid ids
    setxattr path text value size flags
    socket family type protocol
    socketpair family type protocol
    stime time
    swapoff path
    swapon path flags
    symlink text path
    symlinkat text dir path
    syslog action buffer size
    truncate path size
    umount path
    umount2 path flags
    unlink path
    unlinkat dir path flags
    unshare flags
    userfaultfd flags
    utimensat dir path times flags
    write fd buffer size
    writev fd vectors count
    pwrite64 fd buffer size offset
"""


def words(text: str) -> frozenset[str]:
    """Return the words of a text, as tables of names are written."""
    return frozenset(text.split())


@cache
def _signatures() -> Mapping[str, tuple[str, ...]]:
    rows = (line.split() for line in _TEXT.strip().splitlines())
    return {row[0]: tuple(row[1:]) for row in rows}


def signature_of(name: str) -> tuple[str, ...]:
    """Return the words of a call's arguments, none for a call that is not in the table."""
    return _signatures().get(name, ())


AT_FDCWD = -100


def written(name: str, number: int, arguments: tuple[int, ...], shown: Mapping[int, str]) -> str:
    """Return a call as people write it. shown: what arguments stand for, by their places."""
    words = signature_of(name)
    if not name:
        return f"call {number:#x}({', '.join(f'{each:#x}' for each in arguments[:3])})"
    parts = [shown.get(place) or _number(word, arguments[place]) for place, word in enumerate(words)]
    if not words and name not in _signatures():
        parts = [f"{each:#x}" for each in arguments[:3]]
    return f"{name}({', '.join(parts)})"


def signed(value: int) -> int:
    """Return the int that the low 32 bits of a register are."""
    low = value & 0xFFFFFFFF
    return low - (1 << 32) if low & 0x80000000 else low


def _number(word: str, value: int) -> str:
    if word == "dir" and signed(value) == AT_FDCWD:
        return "AT_FDCWD"
    if word == "mode":
        return f"{value & 0xFFFFFFFF:#o}"
    if word in ("flags", "option", "address", "buffer", "attributes", "argument") or value > 0xFFFFFFFF:
        return f"{value:#x}"
    return str(signed(value))
