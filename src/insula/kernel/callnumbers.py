"""The numbers of system calls, by name, for those that x86-64 and the machines with the generic table both have.

Sources: the kernel's `arch/x86/entry/syscalls/syscall_64.tbl` and `scripts/syscall.tbl`. From 424 on they are the same.
"""

import os

_X86_64 = {
    "read": 0,
    "write": 1,
    "close": 3,
    "rt_sigaction": 13,
    "rt_sigprocmask": 14,
    "ioctl": 16,
    "pread64": 17,
    "getpid": 39,
    "socket": 41,
    "sendmsg": 46,
    "recvmsg": 47,
    "execve": 59,
    "fcntl": 72,
    "chdir": 80,
    "fchdir": 81,
    "fchown": 93,
    "umask": 95,
    "setsid": 112,
    "setgroups": 116,
    "setresuid": 117,
    "setresgid": 119,
    "capset": 126,
    "fstatfs": 138,
    "pivot_root": 155,
    "prctl": 157,
    "umount2": 166,
    "sethostname": 170,
    "exit_group": 231,
    "waitid": 247,
    "keyctl": 250,
    "openat": 257,
    "mkdirat": 258,
    "newfstatat": 262,
    "unlinkat": 263,
    "unshare": 272,
    "dup3": 292,
    "pipe2": 293,
    "prlimit64": 302,
    "setns": 308,
}

_GENERIC = {
    "dup3": 24,
    "fcntl": 25,
    "ioctl": 29,
    "mkdirat": 34,
    "unlinkat": 35,
    "umount2": 39,
    "pivot_root": 41,
    "fstatfs": 44,
    "chdir": 49,
    "fchdir": 50,
    "fchown": 55,
    "openat": 56,
    "close": 57,
    "pipe2": 59,
    "read": 63,
    "write": 64,
    "pread64": 67,
    "newfstatat": 79,
    "capset": 91,
    "exit_group": 94,
    "waitid": 95,
    "unshare": 97,
    "rt_sigaction": 134,
    "rt_sigprocmask": 135,
    "setresuid": 147,
    "setresgid": 149,
    "setsid": 157,
    "setgroups": 159,
    "sethostname": 161,
    "umask": 166,
    "prctl": 167,
    "getpid": 172,
    "socket": 198,
    "sendmsg": 211,
    "recvmsg": 212,
    "keyctl": 219,
    "execve": 221,
    "prlimit64": 261,
    "setns": 268,
}

_EVERYWHERE = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "mount_setattr": 442,
}

CALL_NUMBERS = {
    "x86_64": _X86_64 | _EVERYWHERE,
    "aarch64": _GENERIC | _EVERYWHERE,
    "riscv64": _GENERIC | _EVERYWHERE,
}
"""Machine (as uname says it) → name → number."""


def call_numbers(machine: str | None = None) -> dict[str, int]:
    """Return the numbers of a machine, of this one by default. Raises: OSError(ENOSYS) for one that has no table."""
    name = os.uname().machine if machine is None else machine
    try:
        return CALL_NUMBERS[name]
    except KeyError:
        raise OSError(38, f"the system calls of {name} are not known here: guests run on x86_64 and aarch64") from None
