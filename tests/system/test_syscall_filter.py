"""The default system call filter, loaded and asked by real system calls."""

import ctypes
import errno
import os
import socket
import sys
from collections.abc import Callable
from functools import partial

import pytest

from insula.engine.interfacespec import NetworkKind, NetworkShare
from insula.engine.policy.syscalls import IO_URING_CALLS, KEYRING_CALLS, USERFAULTFD_CALLS, filter_of, programs
from insula.engine.spec import ContainerSpec, DirectoryRoot, IdMap, IdRange, Seccomp, SeccompProfile
from insula.kernel import seccomp
from insula.kernel.callnumbers import call_numbers
from insula.kernel.process import CloneFlag
from tests.calls32 import call32, words32

pytestmark = pytest.mark.machine("seccomp")

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

TIOCSTI = 0x5412
TIOCSETD = 0x5423
NETLINK_XFRM = 6
NETLINK_AUDIT = 9
NETLINK_RDMA = 20
NETLINK_CRYPTO = 21
KEYCTL_JOIN_SESSION_KEYRING = 1
AF_ALG = 38
AF_VSOCK = 40


def call(name: str | int, *arguments: int) -> str:
    """Make a system call with plain numbers; return its error's name, `ok` if it has none."""
    number = name if isinstance(name, int) else call_numbers()[name]
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(each) for each in arguments))
    return "ok" if result != -1 else errno.errorcode[ctypes.get_errno()]


def confined(action: Callable[[], object], filters: Seccomp | None = None) -> str:
    """Return what an action returns in a child that has loaded the filters; an OSError counts by its name."""
    compiled = programs(filters or Seccomp())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for program in compiled:
                seccomp.load(program)
            answer = str(action())
        except OSError as error:
            answer = errno.errorcode[error.errno or 0]
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as stream:
        answer = stream.read()
    assert os.waitpid(child, 0)[1] == 0
    return answer


@pytest.mark.parametrize(
    "name",
    [
        "kexec_load",
        "init_module",
        "finit_module",
        "delete_module",
        "open_by_handle_at",
        "bpf",
        "perf_event_open",
        "swapon",
        "swapoff",
        "userfaultfd",
        "io_uring_setup",
        "syslog",
        "acct",
        "settimeofday",
        "quotactl",
    ],
)
def test_what_a_guest_has_no_business_with_is_refused(name: str) -> None:
    assert confined(lambda: call(name, 0, 0, 0, 0, 0)) == "EPERM"


def test_a_call_from_the_future_is_unknown_and_one_of_today_is_not() -> None:
    assert confined(lambda: call(999)) == "ENOSYS"
    # It has gone through to the kernel, whether or not that has it.
    assert confined(lambda: call("cachestat", -1, 0, 0, 0)) in {"EBADF", "ENOSYS"}
    assert confined(lambda: call("clone3", 0, 0)) == "EINVAL"


def test_nobody_types_into_somebody_elses_terminal() -> None:
    assert confined(lambda: call("ioctl", 0, TIOCSTI, 0)) == "EPERM"
    assert confined(lambda: call("ioctl", 0, TIOCSTI | 1 << 32, 0)) == "EPERM"
    assert confined(lambda: call("ioctl", 0, TIOCSETD, 0)) == "EPERM"


@pytest.mark.parametrize("family", [AF_ALG, AF_VSOCK])
def test_sockets_past_the_network_namespace_are_not_there(family: int) -> None:
    assert confined(lambda: socket.socket(family, socket.SOCK_STREAM)) == "EAFNOSUPPORT"


def test_the_hosts_audit_is_not_there_and_other_netlink_is() -> None:
    assert confined(lambda: call("socket", socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_AUDIT)) == "EPROTONOSUPPORT"
    assert confined(lambda: call("socket", socket.AF_NETLINK, socket.SOCK_RAW, 0)) == "ok"


@pytest.mark.parametrize("protocol", [NETLINK_XFRM, NETLINK_CRYPTO, NETLINK_RDMA])
def test_netlink_of_ciphers_and_tunnels_is_not_there(protocol: int) -> None:
    assert confined(lambda: call("socket", socket.AF_NETLINK, socket.SOCK_RAW, protocol)) == "EPROTONOSUPPORT"
    assert confined(lambda: call("socket", socket.AF_NETLINK, socket.SOCK_RAW, protocol | 1 << 32)) == "EPROTONOSUPPORT"


def test_only_the_usual_families_are_there_whatever_makes_the_socket() -> None:
    usual = {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET}
    for maker in ("socket", "socketpair"):
        kinds = {family: confined(partial(call, maker, family, socket.SOCK_RAW, 0, 0)) for family in range(60)}
        assert {family for family, answer in kinds.items() if answer != "EAFNOSUPPORT"} == usual


def test_there_are_no_keyrings_unless_they_are_allowed() -> None:
    session = -3 & 2**64 - 1
    for name in KEYRING_CALLS:
        assert confined(partial(call, name, KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, session)) == "ENOSYS"
    assert confined(lambda: call("keyctl", KEYCTL_JOIN_SESSION_KEYRING, 0), Seccomp(allow=KEYRING_CALLS)) == "ok"


def test_rings_and_page_faults_reach_the_kernel_where_they_are_allowed_only() -> None:
    for names, arguments in ((IO_URING_CALLS, (2**32 - 1, 2**32 - 1, 0, 0)), (USERFAULTFD_CALLS, (2**31 - 1,))):
        for name in names:
            assert confined(partial(call, name, *arguments)) == "EPERM"
            assert confined(partial(call, name, *arguments), Seccomp(allow=names)) in ("EBADF", "EFAULT", "EINVAL")


MS_REMOUNT, MS_BIND, MS_MOVE, MS_PRIVATE, MS_MGC_VAL = 32, 4096, 8192, 1 << 18, 0xC0ED0000
NOTHING_NEW = Seccomp(new_mounts=False)


def test_where_nothing_new_may_be_mounted_what_is_there_may_still_be_changed() -> None:
    for flags in (0, 14, MS_MGC_VAL, MS_MGC_VAL | 14, 1 << 32):
        assert confined(partial(call, "mount", 0, 0, 0, flags, 0), NOTHING_NEW) == "EPERM"
    for flags in (MS_REMOUNT | MS_BIND, MS_BIND, MS_MOVE, MS_PRIVATE, MS_MGC_VAL | MS_BIND):
        assert confined(partial(call, "mount", 0, 0, 0, flags, 0), NOTHING_NEW) == "EFAULT"
    assert confined(lambda: call("fsopen", 0, 0), NOTHING_NEW) == "EPERM"
    assert confined(lambda: call("unshare", CloneFlag.NEWNS), NOTHING_NEW) == "EPERM"
    assert confined(lambda: call("unshare", CloneFlag.NEWUTS), NOTHING_NEW) == "ok"


def test_a_personality_that_lowers_defences_is_not_there() -> None:
    assert confined(lambda: call("personality", 0x0400000)) == "ENOSYS"
    assert confined(lambda: call("personality", 0xFFFFFFFF)) == "ok"
    assert confined(lambda: call("personality", 0x0040000)) == "ok"


def test_a_guest_may_nest_namespaces_unless_it_shall_be_migratable() -> None:
    migratable = Seccomp(profile=SeccompProfile.MIGRATABLE)
    for kind in (CloneFlag.NEWUTS, CloneFlag.NEWIPC, CloneFlag.NEWNET, CloneFlag.NEWUSER):
        assert confined(partial(call, "unshare", kind)) == "ok"
        assert confined(partial(call, "unshare", kind), migratable) == "EPERM"
    assert confined(partial(call, "unshare", CloneFlag.NEWNS), migratable) == "ok"
    assert confined(lambda: call("clone3", 0, 0), migratable) == "ENOSYS"


def test_a_migratable_guest_still_forks() -> None:
    def forks() -> int:
        child = os.fork()
        if child == 0:
            os._exit(7)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert confined(forks, Seccomp(profile=SeccompProfile.MIGRATABLE)) == "7"


def test_a_widened_profile_lets_its_calls_through() -> None:
    assert confined(lambda: call("userfaultfd", -1), Seccomp(allow=("userfaultfd",))) == "EINVAL"
    assert confined(lambda: call("getppid"), Seccomp(refuse=("getppid",))) == "EPERM"


def test_ordinary_programs_notice_nothing() -> None:
    script = (
        "import socket, subprocess, tempfile, threading, os, signal, mmap, ctypes\n"
        "threading.Thread(target=print).start()\n"
        "subprocess.run(['true'], check=True)\n"
        "a, b = socket.socketpair(); a.send(b'x'); b.recv(1)\n"
        "tempfile.TemporaryFile().write(b'x')\n"
        "os.sched_getaffinity(0); os.getrandom(1); signal.setitimer(0, 0)\n"
        "os.posix_spawn('/bin/true', ['true'], {}); os.wait()\n"
    )
    assert confined(lambda: os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", script])) == "0"


def test_a_filter_needs_a_privilege_or_the_promise_not_to_gain_any() -> None:
    program = programs(Seccomp())[0]

    def as_nobody() -> str:
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        seccomp.load(program)
        return "loaded"

    assert confined(as_nobody, Seccomp(profile=SeccompProfile.UNCONFINED)) == "EACCES"


def test_a_broken_program_is_refused() -> None:
    unconfined = Seccomp(profile=SeccompProfile.UNCONFINED)
    assert confined(lambda: seccomp.load(b"\xff" * 8), unconfined) == "EINVAL"


SOCKETCALL_32, SOCKET_32, MOUNT_32, KEYCTL_32, SYS_SOCKET = 102, 359, 21, 288, 1


@pytest.mark.requires("ia32")
def test_32_bit_programs_are_held_by_the_same_lists() -> None:
    def refused(number: int, *arguments: int) -> str:
        answer = call32(number, *arguments)
        return "ok" if answer >= 0 else errno.errorcode[-answer]

    assert confined(lambda: refused(SOCKET_32, AF_ALG, socket.SOCK_STREAM, 0)) == "EAFNOSUPPORT"
    assert confined(lambda: refused(SOCKET_32, socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM)) == "EPROTONOSUPPORT"
    assert confined(lambda: refused(SOCKET_32, socket.AF_INET, socket.SOCK_STREAM, 0)) == "ok"
    assert confined(lambda: refused(KEYCTL_32, KEYCTL_JOIN_SESSION_KEYRING, 0)) == "ENOSYS"
    assert confined(lambda: refused(MOUNT_32, 0, 0, 0, 0), NOTHING_NEW) == "EPERM"


@pytest.mark.requires("ia32")
def test_old_32_bit_programs_have_their_network() -> None:
    def made() -> bool:
        return call32(SOCKETCALL_32, SYS_SOCKET, words32(socket.AF_INET, socket.SOCK_STREAM, 0)) >= 0

    assert confined(made) == "True"


@pytest.mark.requires("ia32")
def test_in_a_share_of_the_hosts_network_no_call_makes_sockets_of_families_that_the_filter_does_not_see() -> None:
    def made() -> str:
        result = call32(SOCKETCALL_32, SYS_SOCKET, words32(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM))
        return "ok" if result >= 0 else errno.errorcode[-result]

    ids = (IdRange(inside=0, outside=100000, count=65536),)
    spec = ContainerSpec(
        name="box",
        uuid="4dea22b3-1d52-d8f3-2516-782e98ab3fa0",
        root=DirectoryRoot(path="/srv/box"),
        idmap=IdMap(uids=ids, gids=ids),
        network=NetworkKind.HOST,
        network_share=NetworkShare(addresses=("192.0.2.7",)),
    )
    assert confined(made, filter_of(spec)) == "EPERM"
    assert confined(made) == "ok"
