"""Operations that are refused in guests, as commands, with what refuses each: what `insula explain` is tried by.

`ask` is a program of the guest's, of Perl: a system call by its number, numbers as numbers and texts as texts.
"""

from dataclasses import dataclass

from insula.kernel.callnumbers import call_numbers

ASK = '($n, @a) = map { /^-?\\d+$/ ? $_ + 0 : "$_" } @ARGV; exit(syscall($n, @a) == -1 ? 1 : 0)'
UNPRIVILEGED, PRIVILEGED = "unprivileged", "privileged"
BOTH = (UNPRIVILEGED, PRIVILEGED)
NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """One operation. layer, change: what is told of it; an empty change: no line of the XML is; guests: in which it is
    so; user: who does it."""

    name: str
    command: tuple[str, ...]
    errno: str
    layer: str
    change: str = ""
    guests: tuple[str, ...] = BOTH
    user: str | None = None


def ask(name: str, *arguments: int | str) -> tuple[str, ...]:
    """A command that makes one system call."""
    return ("perl", "-e", ASK, str(call_numbers()[name]), *map(str, arguments))


def perl(script: str) -> tuple[str, ...]:
    """A command that runs a script, which dies of what is refused to it."""
    return ("perl", "-e", script)


def writing(path: str) -> tuple[str, ...]:
    """A command that opens a file for writing."""
    return perl(f"use Fcntl; sysopen(F, '{path}', O_WRONLY) or exit 1")


FILTER, USERNS = "system call filter", "user namespace"
_U, _P = (UNPRIVILEGED,), (PRIVILEGED,)

REFUSED = (
    Refused(name="kexec", command=ask("kexec_load", 0, 0, 0, 0), errno="EPERM", layer=FILTER),
    Refused(name="init_module", command=ask("init_module", 0, 0, 0), errno="EPERM", layer=FILTER),
    Refused(name="delete_module", command=ask("delete_module", "loop", 0), errno="EPERM", layer=FILTER),
    Refused(name="bpf", command=ask("bpf", 0, 0, 0), errno="EPERM", layer=FILTER),
    Refused(name="perf", command=ask("perf_event_open", 0, 0, -1, -1, 0), errno="EPERM", layer=FILTER),
    Refused(
        name="keyctl",
        command=ask("keyctl", 1, 0),
        errno="ENOSYS",
        layer=FILTER,
        change="<insula:allow feature='keyrings'/>",
    ),
    Refused(name="swapon", command=ask("swapon", "/none", 0), errno="EPERM", layer=FILTER),
    Refused(name="settimeofday", command=ask("settimeofday", 0, 0), errno="EPERM", layer=FILTER),
    Refused(name="clock_settime", command=ask("clock_settime", 0, 0), errno="EPERM", layer=FILTER),
    Refused(
        name="io_uring",
        command=ask("io_uring_setup", 1, 0),
        errno="EPERM",
        layer=FILTER,
        change="<insula:allow feature='io-uring'/>",
    ),
    Refused(
        name="userfaultfd",
        command=ask("userfaultfd", 0),
        errno="EPERM",
        layer=FILTER,
        change="<insula:allow feature='userfaultfd'/>",
    ),
    Refused(name="quotactl", command=ask("quotactl", 0, 0, 0, 0), errno="EPERM", layer=FILTER),
    Refused(name="open_by_handle_at", command=ask("open_by_handle_at", 0, 0, 0), errno="EPERM", layer=FILTER),
    Refused(name="iopl", command=ask("iopl", 3), errno="EPERM", layer=FILTER),
    Refused(name="syslog", command=ask("syslog", 10, 0, 0), errno="EPERM", layer=FILTER),
    Refused(name="acct", command=ask("acct", 0), errno="EPERM", layer=FILTER),
    Refused(name="personality", command=ask("personality", 0x0400000), errno="ENOSYS", layer=FILTER),
    Refused(name="x32", command=("perl", "-e", ASK, str(0x40000000 + 39)), errno="ENOSYS", layer=FILTER),
    Refused(name="tiocsti", command=ask("ioctl", 0, 0x5412, "x"), errno="EPERM", layer=FILTER),
    Refused(
        name="af_alg",
        command=ask("socket", 38, 5, 0),
        errno="EAFNOSUPPORT",
        layer=FILTER,
        change="<insula:allow family='alg'/>",
    ),
    Refused(
        name="af_vsock",
        command=ask("socket", 40, 1, 0),
        errno="EAFNOSUPPORT",
        layer=FILTER,
        change="<insula:allow family='vsock'/>",
    ),
    Refused(
        name="netlink_audit",
        command=ask("socket", 16, 3, 9),
        errno="EPROTONOSUPPORT",
        layer=FILTER,
        change="<insula:allow netlink='audit'/>",
    ),
    Refused(
        name="sctp",
        command=ask("socket", 2, 1, 132),
        errno="EPROTONOSUPPORT",
        layer=FILTER,
        change="<insula:allow transport='sctp'/>",
    ),
    Refused(
        name="tcp_ulp",
        command=perl("use Socket; socket(S, AF_INET, SOCK_STREAM, 0) or die; setsockopt(S, 6, 31, 'tls') or exit 1"),
        errno="ENOENT",
        layer=FILTER,
        change="<insula:allow feature='tcp-ulp'/>",
    ),
    Refused(name="raw socket", command=ask("socket", 2, 3, 1), errno="EPERM", layer="the guest itself", user=NOBODY),
    Refused(
        name="mount ext4",
        command=ask("mount", "/dev/null", "/mnt", "ext4", 0, 0),
        errno="EPERM",
        layer=USERNS,
        change="<filesystem type='block'>",
        guests=_U,
    ),
    Refused(
        name="mount in a privileged guest",
        command=ask("mount", "none", "/mnt", "tmpfs", 0, 0),
        errno="EPERM",
        layer=FILTER,
        change="<insula:allow feature='mounts'/>",
        guests=_P,
    ),
    Refused(
        name="mount of an unknown file system",
        command=ask("mount", "none", "/mnt", "nosuchfs", 0, 0),
        errno="ENODEV",
        layer="kernel",
        guests=_U,
    ),
    Refused(
        name="mount as nobody",
        command=ask("mount", "none", "/mnt", "tmpfs", 0, 0),
        errno="EPERM",
        layer="the guest itself",
        guests=_U,
        user=NOBODY,
    ),
    Refused(
        name="making a read-only mount writable",
        command=ask("mount", "none", "/srv", "none", 32 | 4096, 0),
        errno="EPERM",
        layer=USERNS,
        change="<filesystem>",
        guests=_U,
    ),
    Refused(
        name="mknod",
        command=ask("mknod", "/tmp/disk", 0o060600, 0x0800),
        errno="EPERM",
        layer=USERNS,
        change="<hostdev mode='capabilities'",
        guests=_U,
    ),
    Refused(
        name="mknod in a privileged guest",
        command=ask("mknod", "/tmp/disk", 0o060600, 0x0800),
        errno="EPERM",
        layer="capability",
        change="<hostdev mode='capabilities'",
        guests=_P,
    ),
    Refused(
        name="a block device",
        command=writing("/srv/disk"),
        errno="EPERM",
        layer="device policy",
        change="<hostdev mode='capabilities' type='storage'>",
    ),
    Refused(
        name="/dev/mem",
        command=writing("/dev/mem"),
        errno="ENOENT",
        layer="device policy",
        change="<hostdev mode='capabilities' type='misc'>",
    ),
    Refused(
        name="a loop device",
        command=writing("/dev/loop-control"),
        errno="ENOENT",
        layer="device policy",
        change="<disk type='file'>",
    ),
    Refused(
        name="chown to nobody of the guest",
        command=perl("open(F, '>', '/tmp/f'); chown(500000, 500000, '/tmp/f') or exit 1"),
        errno="EINVAL",
        layer="id map",
        change="<insula:subordinate",
        guests=_U,
    ),
    Refused(
        name="setuid to nobody of the guest",
        command=ask("setuid", 500000),
        errno="EINVAL",
        layer="id map",
        change="<insula:subordinate",
        guests=_U,
    ),
    Refused(
        name="a file of the host's root",
        command=perl("chmod(0777, '/opt/file') or exit 1"),
        errno="EPERM",
        layer="id map",
        change="insula:idmap='off'",
        guests=_U,
    ),
    Refused(
        name="a setting of the host's",
        command=writing("/proc/sys/kernel/panic"),
        errno="EACCES",
        layer="id map",
        guests=_U,
    ),
    Refused(
        name="a covered setting of the host's",
        command=writing("/proc/sys/kernel/panic"),
        errno="EROFS",
        layer="read-only path",
        guests=_P,
    ),
    Refused(
        name="a covered setting of the guest's",
        command=writing("/proc/sys/kernel/msgmax"),
        errno="EROFS",
        layer="read-only path",
        change="<insula:sysctl name='kernel.msgmax'",
        guests=_P,
    ),
    Refused(name="sysfs", command=writing("/sys/kernel/mm/ksm/run"), errno="EROFS", layer="read-only path", guests=_P),
    Refused(
        name="sysfs of the host's root",
        command=writing("/sys/kernel/mm/ksm/run"),
        errno="EACCES",
        layer="id map",
        guests=_U,
    ),
    Refused(
        name="the root",
        command=ask("mkdir", "/new", 0o755),
        errno="EROFS",
        layer="read-only path",
        change="<filesystem>",
    ),
    Refused(
        name="a mount",
        command=ask("mkdir", "/srv/new", 0o755),
        errno="EROFS",
        layer="read-only path",
        change="<target dir='/srv'/>",
    ),
    Refused(name="a covered file", command=writing("/proc/timer_list"), errno="EROFS", layer="masked path", guests=_P),
    Refused(
        name="ptrace of init",
        command=ask("ptrace", 16, 1, 0, 0),
        errno="EPERM",
        layer="the guest itself",
        user=NOBODY,
    ),
    Refused(name="ptrace of oneself", command=ask("ptrace", 0, 0, 0, 0), errno="EPERM", layer="the trace"),
    Refused(
        name="a raised limit",
        command=perl(
            f"$p = pack('QQ', 99999999, 99999999); exit(syscall({call_numbers()['setrlimit']}, 7, $p) == -1 ? 1 : 0)"
        ),
        errno="EPERM",
        layer="resource limit",
        change="<insula:rlimit name='nofile'",
        guests=_U,
    ),
    Refused(
        name="open files",
        command=perl("for (1..200) { open($f[$_], '<', '/dev/null') or exit 1 }"),
        errno="EMFILE",
        layer="resource limit",
        change="<insula:rlimit name='nofile'",
    ),
    Refused(
        name="processes",
        command=perl("for (1..60) { $p = fork(); exit 1 unless defined $p; if (!$p) { sleep 60; exit } }"),
        errno="EAGAIN",
        layer="limit of processes",
        change="<insula:pids limit=",
    ),
    Refused(
        name="inotify instances",
        command=perl(f"for (1..20) {{ exit 1 if syscall({call_numbers()['inotify_init1']}, 0) == -1 }}"),
        errno="EMFILE",
        layer="quota of kernel objects",
        change="<insula:sysctl name='user.max_inotify_instances'",
        guests=_U,
    ),
    Refused(
        name="nested user namespaces",
        command=ask("unshare", 0x10000000),
        errno="ENOSPC",
        layer="quota of kernel objects",
        change="<insula:sysctl name='user.max_user_namespaces'",
        guests=_U,
    ),
    Refused(
        name="a full file system in memory",
        command=perl("open(F, '>', '/tmp/large'); for (1..3) { syswrite(F, 'x' x 1048576) or exit 1 }"),
        errno="ENOSPC",
        layer="memory limit",
        change="<filesystem type='ram'>",
    ),
    Refused(
        name="nice",
        command=ask("setpriority", 0, 0, -20),
        errno="EACCES",
        layer=USERNS,
        change="<insula:rlimit name='nice'",
        guests=_U,
    ),
    Refused(
        name="real time",
        command=perl(
            f"$p = pack('i', 10); exit(syscall({call_numbers()['sched_setscheduler']}, 0, 1, $p) == -1 ? 1 : 0)"
        ),
        errno="EPERM",
        layer=USERNS,
        change="<insula:rlimit name='rtprio'",
        guests=_U,
    ),
    Refused(
        name="locked memory",
        command=perl(
            f"$m = 'x' x 200_000_000; exit(syscall({call_numbers()['mlock']}, $m, 200_000_000) == -1 ? 1 : 0)"
        ),
        errno="ENOMEM",
        layer="resource limit",
        change="<insula:rlimit name='memlock'",
        guests=_U,
    ),
    Refused(
        name="the clock, slowly",
        command=perl(f"$p = pack('L x204', 1); exit(syscall({call_numbers()['adjtimex']}, $p) == -1 ? 1 : 0)"),
        errno="EPERM",
        layer=USERNS,
        guests=_U,
    ),
    Refused(
        name="the clock, slowly, in a privileged guest",
        command=perl(f"$p = pack('L x204', 1); exit(syscall({call_numbers()['adjtimex']}, $p) == -1 ? 1 : 0)"),
        errno="EPERM",
        layer="capability",
        change="<sys_time state='on'/>",
        guests=_P,
    ),
    Refused(
        name="a trusted attribute",
        command=ask("setxattr", "/tmp", "trusted.a", "x", 1, 0),
        errno="EPERM",
        layer=USERNS,
        guests=_U,
    ),
    Refused(
        name="reboot by nobody",
        command=ask("reboot", 0xFEE1DEAD, 672274793, 0x1234567, 0),
        errno="EPERM",
        layer="the guest itself",
        user=NOBODY,
    ),
    Refused(
        name="Ctrl-Alt-Del", command=ask("reboot", 0xFEE1DEAD, 672274793, 0x89ABCDEF, 0), errno="EINVAL", layer="kernel"
    ),
    Refused(
        name="another's namespace",
        command=perl(
            f"open(F, '<', '/proc/self/ns/uts'); exit(syscall({call_numbers()['setns']}, fileno(F), 0) == -1 ? 1 : 0)"
        ),
        errno="EPERM",
        layer="the guest itself",
        user=NOBODY,
    ),
    Refused(
        name="another's file",
        command=perl("open(F, '<', '/etc/shadow') or exit 1"),
        errno="EACCES",
        layer="the guest itself",
        user=NOBODY,
    ),
)
