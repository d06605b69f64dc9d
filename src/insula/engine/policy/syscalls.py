"""The default system call filter, as data: what a system container may ask the kernel, what it may not, and why.

Three kinds of answers. What is in `ALLOWED` passes. What is in `REFUSED` fails with the errno given there, so that
programs act as on a kernel that says no. What is in neither is newer than this list and fails with ENOSYS, for which C
libraries have a way round. `FORBIDDEN_ARGUMENTS` takes single uses out of what is allowed, and is asked first.

The kernel itself still checks every allowed call against the guest's user namespace: a filter is the second wall, which
keeps what no guest needs away from kernel code that had holes before. Sources: the manual pages of the calls; the lists
of systemd-nspawn and of the OCI runtimes were read for what unmodified distributions need. Which sockets may be made is
in `socketpolicy`, which mounts and namespaces in `namespacepolicy`; what guests are refused whose root
is the host's, in `engine.policy.hostpolicy`.
"""

import errno
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from insula.engine.policy.callgroups import CallGroup, ForbiddenArgument, Refusal
from insula.engine.policy.hostpolicy import HOST_WIDE_ARGUMENTS, HOST_WIDE_LISTS
from insula.engine.policy.namespacepolicy import MIGRATABLE_ARGUMENTS, NEW_MOUNT_ARGUMENTS
from insula.engine.policy.socketpolicy import socket_rules
from insula.engine.spec import ContainerSpec, Seccomp, SeccompProfile
from insula.errors import InvalidArgumentError
from insula.kernel.callfilter import Condition, Filter, Rule, compile_filter
from insula.kernel.callnumbers import is_call


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ALLOWED = (
    CallGroup(
        why="files and directories, by path and by descriptor; permissions decide",
        names=_names("""
            access chdir chmod chown chown32 chroot close close_range copy_file_range creat dup dup2 dup3 faccessat
            faccessat2 fadvise64 fadvise64_64 arm_fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown
            fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr file_getattr file_setattr flistxattr flock
            fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat
            getcwd getdents getdents64 getxattr getxattrat ioctl lchown lchown32 lgetxattr link linkat listxattr
            listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat
            name_to_handle_at newfstatat oldfstat oldlstat oldstat open openat openat2 pread64 preadv preadv2 pwrite64
            pwritev pwritev2 read readahead readdir readlink readlinkat readv removexattr removexattrat rename
            renameat renameat2 rmdir sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs statfs64 statx
            symlink symlinkat sync sync_file_range sync_file_range2 arm_sync_file_range syncfs tee truncate truncate64
            umask unlink unlinkat ustat utime utimensat utimensat_time64 utimes vmsplice write writev
        """),
    ),
    CallGroup(
        why="waiting for files and changes of files",
        names=_names("""
            epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old
            eventfd eventfd2 fanotify_init fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch
            _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64 select
        """),
    ),
    CallGroup(
        why="asynchronous file access of the older kind, which databases use",
        names=_names("""
            io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit
        """),
    ),
    CallGroup(
        why="memory of the process itself, and advice about it",
        names=_names("""
            brk cachestat get_mempolicy madvise map_shadow_stack mbind membarrier memfd_create memfd_secret
            migrate_pages mincore mlock mlock2 mlockall mmap mmap2 move_pages mprotect mremap mseal msync munlock
            munlockall munmap pkey_alloc pkey_free pkey_mprotect process_madvise process_mrelease remap_file_pages
            set_mempolicy set_mempolicy_home_node
        """),
    ),
    CallGroup(
        why="processes and threads: making, awaiting, ending, scheduling them; the PID namespace bounds their reach",
        names=_names("""
            arch_prctl capget capset clone clone3 execve execveat exit exit_group fork futex futex_requeue
            futex_time64 futex_wait futex_waitv futex_wake get_robust_list get_thread_area getcpu getitimer getpgid
            getpgrp getpid getppid getpriority getrlimit getrusage getsid gettid ioprio_get ioprio_set kill modify_ldt
            nice pause pidfd_open pidfd_send_signal prctl prlimit64 restart_syscall rseq sched_get_priority_max
            sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
            sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
            sched_setscheduler sched_yield set_robust_list set_thread_area set_tid_address set_tls setpgid setpriority
            setrlimit setsid tgkill times tkill ugetrlimit ulimit vfork wait4 waitid waitpid cacheflush breakpoint
            riscv_flush_icache swapcontext
        """),
    ),
    CallGroup(
        why="debuggers within the guest: gdb and strace reach no process outside the PID namespace",
        names=_names("kcmp pidfd_getfd process_vm_readv process_vm_writev ptrace"),
    ),
    CallGroup(
        why="not called by programs: the kernel's own way back into a function that the host traces",
        names=_names("uprobe uretprobe"),
    ),
    CallGroup(
        why="signals",
        names=_names("""
            alarm rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
            rt_sigtimedwait_time64 rt_tgsigqueueinfo setitimer sgetmask sigaction sigaltstack signal signalfd
            signalfd4 sigpending sigprocmask sigreturn sigsuspend ssetmask
        """),
    ),
    CallGroup(
        why="user and group ids, which the user namespace maps",
        names=_names("""
            getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 getresuid
            getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32
            setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32
        """),
    ),
    CallGroup(
        why="clocks and timers; reading the adjustment is harmless, and changing it needs a capability of the host",
        names=_names("""
            adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
            clock_nanosleep clock_nanosleep_time64 gettimeofday nanosleep time timer_create timer_delete
            timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create
            timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
        """),
    ),
    CallGroup(
        why="the network, in the guest's own namespace",
        names=_names("""
            accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg
            recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socket socketcall socketpair
        """),
    ),
    CallGroup(
        why="pipes, message queues, semaphores and shared memory, in the guest's own IPC namespace",
        names=_names("""
            ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
            mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd pipe pipe2 semctl semget semop semtimedop
            semtimedop_time64 shmat shmctl shmdt shmget
        """),
    ),
    CallGroup(
        why="a system administrates itself: mounts, namespaces, host name, reboot of its own PID namespace, terminals",
        names=_names("""
            fsconfig fsmount fsopen fspick listmount mount mount_setattr move_mount open_tree open_tree_attr
            pivot_root reboot setdomainname sethostname setns statmount umount umount2 unshare vhangup
        """),
    ),
    CallGroup(
        why="programs confine themselves with these, as systemd's services do",
        names=_names("""
            landlock_add_rule landlock_create_ruleset landlock_restrict_self lsm_get_self_attr lsm_list_modules
            lsm_set_self_attr seccomp
        """),
    ),
    CallGroup(
        why="facts about the machine, and random numbers",
        names=_names("getrandom oldolduname olduname sysfs sysinfo uname"),
    ),
)

PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0x40000, 0x40008, 0xFFFFFFFF)
"""What personality(2) may be called with: plain and 32-bit Linux, each also with an old version number (setarch) or
without address randomisation (debuggers), and the question what it is. Others answer ENOSYS, like a kernel that was
built without them; some lower the defences of programs started later."""

KEYRING_CALLS = ("add_key", "keyctl", "request_key")
IO_URING_CALLS = ("io_uring_enter", "io_uring_register", "io_uring_setup")
"""The kernel does what a ring asks for without a call: whoever has one makes sockets that the filter does not see."""
USERFAULTFD_CALLS = ("userfaultfd",)

REFUSED = (
    Refusal(
        errno=errno.ENOSYS,
        # All or nothing: systemd gives a unit up that gets a session keyring and cannot link it to the user's.
        why="keys are counted by user, and a guest has 65536; a privileged one would reach those of the host's root",
        names=KEYRING_CALLS,
    ),
    Refusal(errno=errno.EPERM, why="would replace the host's kernel", names=_names("kexec_file_load kexec_load")),
    Refusal(
        errno=errno.EPERM,
        why="would load code into the host's kernel",
        names=_names("delete_module finit_module init_module"),
    ),
    Refusal(
        errno=errno.EPERM,
        why="opens files by number, past every directory's permissions and past the root: a way out of containers",
        names=_names("open_by_handle_at"),
    ),
    Refusal(
        errno=errno.EPERM,
        why="programs in the host's kernel; also keeps a guest's systemd checkpointable (CRIU cannot dump them)",
        names=_names("bpf"),
    ),
    Refusal(
        errno=errno.EPERM,
        why="much kernel code that few guests need, with a long record of escalations; no filter sees what it does",
        names=IO_URING_CALLS,
    ),
    Refusal(
        errno=errno.EPERM,
        why="has the kernel wait in the middle of a call for as long as the guest likes, which escalations need",
        names=USERFAULTFD_CALLS,
    ),
    Refusal(
        errno=errno.EPERM,
        why="measures all of the host's processors",
        names=_names("lookup_dcookie perf_event_open"),
    ),
    Refusal(errno=errno.EPERM, why="the host's swap space", names=_names("swapoff swapon")),
    Refusal(
        errno=errno.EPERM, why="the host's clock", names=_names("clock_settime clock_settime64 settimeofday stime")
    ),
    Refusal(errno=errno.EPERM, why="the host's kernel log", names=_names("syslog")),
    Refusal(errno=errno.EPERM, why="the host's process accounting", names=_names("acct")),
    Refusal(errno=errno.EPERM, why="quotas of the host's file systems", names=_names("quotactl quotactl_fd")),
    Refusal(
        errno=errno.EPERM,
        why="the machine's ports, buses and firmware",
        names=_names("""
            ioperm iopl pciconfig_iobase pciconfig_read pciconfig_write rtas s390_pci_mmio_read s390_pci_mmio_write
        """),
    ),
    Refusal(errno=errno.EPERM, why="emulates old processors; holes before, no use", names=_names("vm86 vm86old")),
    Refusal(
        errno=errno.ENOSYS,
        why="gone, or never there, on the kernels of today",
        names=_names("""
            _sysctl afs_syscall bdflush break create_module ftime get_kernel_syms getpmsg gtty idle lock mpx
            nfsservctl prof profil putpmsg query_module security stty tuxcall uselib vserver
        """),
    ),
)

_TIOCSTI = 0x5412
_TIOCLINUX = 0x541C
_TIOCSETD = 0x5423
_LOOP = 0x4C00
_LOOP_CALLS = 0xFFFFFFF0
"""The first of the requests to a loop device, and the bits that all sixteen have of it. Source: linux/loop.h."""

FORBIDDEN_ARGUMENTS = (
    ForbiddenArgument(
        errno=errno.EPERM,
        why="puts characters into a terminal's input, as if somebody at the other end had typed them",
        names=("ioctl",),
        conditions=(Condition(argument=1, value=_TIOCSTI),),
    ),
    ForbiddenArgument(
        errno=errno.EPERM,
        why="pastes into a virtual console's input",
        names=("ioctl",),
        conditions=(Condition(argument=1, value=_TIOCLINUX),),
    ),
    ForbiddenArgument(
        errno=errno.EPERM,
        why="gives a terminal a line discipline: kernel code for modems and radios, loaded on demand",
        names=("ioctl",),
        conditions=(Condition(argument=1, value=_TIOCSETD),),
    ),
    ForbiddenArgument(
        errno=errno.EPERM,
        why="whoever has a loop device open lets go of its file, or gives it another one, without any capability",
        names=("ioctl",),
        conditions=(Condition(argument=1, value=_LOOP, mask=_LOOP_CALLS),),
    ),
)


def confined(seccomp: Seccomp) -> bool:
    """Whether a container has any filter."""
    return seccomp.profile is not SeccompProfile.UNCONFINED or bool(seccomp.refuse)


def filter_rules(seccomp: Seccomp) -> Filter | None:
    """Return the filter of a container, None for an unconfined one.

    Raises: InvalidArgumentError for a name that is no system call, socket family or protocol.
    """
    if not confined(seccomp):
        return None
    _check((*seccomp.allow, *seccomp.refuse))
    refused_by_name = Rule(names=seccomp.refuse, refusal=errno.EPERM)
    if seccomp.profile is SeccompProfile.UNCONFINED:
        return Filter(rules=(refused_by_name,))
    return Filter(rules=(refused_by_name, *_argument_rules(seccomp), *_allow_list(seccomp)), otherwise=errno.ENOSYS)


def filter_of(spec: ContainerSpec) -> Seccomp:
    """Return the filter settings of a container: new mounts, and what concerns the whole host, only in a namespace.

    Who has a share of the host's network makes no sockets by socketcall: the filter does not see of which family they
    are, and no program on its group is asked about those that are not of IP.
    """
    seccomp = spec.seccomp
    if spec.network_share is not None:
        seccomp = replace(seccomp, refuse=(*seccomp.refuse, "socketcall"))
    if seccomp.new_mounts is not None:
        return seccomp
    return replace(seccomp, new_mounts=spec.idmap is not None)


def _argument_rules(seccomp: Seccomp) -> list[Rule]:
    """Return what of allowed calls is refused; a call that is allowed by name is allowed with all arguments."""
    forbidden = FORBIDDEN_ARGUMENTS + (MIGRATABLE_ARGUMENTS if seccomp.profile is SeccompProfile.MIGRATABLE else ())
    lists = socket_rules(seccomp)
    if seccomp.new_mounts is False:
        forbidden += NEW_MOUNT_ARGUMENTS + HOST_WIDE_ARGUMENTS
        lists += HOST_WIDE_LISTS
    singles = [Rule(names=each.names, refusal=each.errno, conditions=each.conditions) for each in forbidden]
    changed = (*seccomp.allow, *seccomp.refuse)
    rules = [replace(each, names=_without(each.names, changed)) for each in (*lists, *singles)]
    return list(dict.fromkeys(each for each in rules if each.names))


def _allow_list(seccomp: Seccomp) -> list[Rule]:
    changed = (*seccomp.allow, *seccomp.refuse)
    rules = [Rule(names=seccomp.allow)]
    rules += [Rule(names=_without(group.names, changed)) for group in ALLOWED]
    rules += [Rule(names=_without(each.names, changed), refusal=each.errno) for each in REFUSED]
    if "personality" not in changed:
        rules += [
            Rule(names=("personality",), conditions=(Condition(argument=0, value=value),)) for value in PERSONALITIES
        ]
    return rules


def _without(names: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    taken = frozenset(others)
    return tuple(name for name in names if name not in taken)


def _check(names: Iterable[str]) -> None:
    for name in names:
        if not is_call(name):
            raise InvalidArgumentError(f"there is no system call '{name}': check the seccomp settings")


@lru_cache(maxsize=64)
def programs(seccomp: Seccomp) -> tuple[bytes, ...]:
    """Return what is to be loaded (`kernel.seccomp.load`): one program, or none for an unconfined container.

    The first one of a kind takes some milliseconds, later ones nothing.
    """
    wanted = filter_rules(seccomp)
    return () if wanted is None else (compile_filter(wanted),)
