"""A host for one test: network, mount and UTS namespaces of its own, held by file descriptors and no process."""

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from tests import libc
from tests.enclosure import mount_sys_afresh
from tests.libc import MountFlag, Namespace
from tests.waiting import patience

T = TypeVar("T")

KINDS = {"mnt": Namespace.MOUNT, "net": Namespace.NET, "uts": Namespace.UTS}


class TestHost:
    """Namespaces in which daemons and bridges live; only lo is there at first, and it is up."""

    __test__ = False  # the name is no test class's

    def __init__(self) -> None:
        self._fds: dict[str, int] = in_thread(_fresh_namespaces)

    def command(self, *argv: str) -> Sequence[str]:
        """Return the command that runs argv in this host."""
        entries = (f"--{_NSENTER[kind]}=/proc/{os.getpid()}/fd/{fd}" for kind, fd in self._fds.items())
        return ("nsenter", *entries, f"--wdns={os.getcwd()}", "--", *argv)

    def run(self, *argv: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run argv here and return its result as text; options are subprocess.run's."""
        options.setdefault("timeout", patience(30))
        result = subprocess.run(self.command(*argv), capture_output=True, text=True, check=False, **options)
        if check and result.returncode:
            raise AssertionError(f"{' '.join(argv)} ended with {result.returncode}: {result.stdout}{result.stderr}")
        return result

    def pings(self, address: str) -> bool:
        """Whether an address answers one ping of this host's within a second."""
        return self.run("busybox", "ping", "-c", "1", "-W", "1", address, check=False).returncode == 0

    def start(self, *argv: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start argv here, in the background; its pid is the command's own. Options are subprocess.Popen's."""
        return subprocess.Popen(self.command(*argv), **options)

    def inside(self, task: Callable[[], T]) -> T:
        """Return what task returns when called in this host, in a thread of its own."""

        def entered() -> T:
            libc.unshare_file_system_attributes()
            for kind, fd in self._fds.items():
                libc.setns(fd, KINDS[kind])
            return task()

        return in_thread(entered)

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Let the calling thread be in this host's network for a while: sockets keep the network they were made in."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        libc.setns(self._fds["net"], Namespace.NET)
        try:
            yield
        finally:
            libc.setns(before, Namespace.NET)
            os.close(before)

    def close(self) -> None:
        """Let go of the namespaces; the kernel removes them once no process is inside."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()


_NSENTER = {"mnt": "mount", "net": "net", "uts": "uts"}


def in_thread(task: Callable[[], T]) -> T:
    """Return what task returns in a fresh thread: what it unshares or enters ends with it."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(task())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _fresh_namespaces() -> dict[str, int]:
    libc.unshare(Namespace.MOUNT | Namespace.NET | Namespace.UTS)
    libc.mount("", "/", flags=MountFlag.RECURSIVE | MountFlag.PRIVATE)
    mount_sys_afresh()
    libc.mount("run", "/run", "tmpfs", MountFlag.NO_SUID | MountFlag.NO_DEV, "mode=755")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return {kind: os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY) for kind in KINDS}
