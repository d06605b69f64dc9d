"""Control groups for tests, and programs to be held in them; the fixtures are for all system tests."""

import mmap
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from insula.kernel.cgroups import Cgroup, Hierarchies, scope_name
from tests.waiting import until

GUEST_ROOT = 1_000_000


@pytest.fixture
def hierarchies() -> Hierarchies:
    return Hierarchies.detect()


@pytest.fixture
def group(hierarchies: Hierarchies) -> Iterator[Cgroup]:
    """A group of the test's own, handed to a guest's root; what is in it at the end is killed."""
    made = Cgroup.create(hierarchies, f"test.slice/{scope_name(os.getpid(), 'group')}", (GUEST_ROOT, GUEST_ROOT))
    yield made
    if made.exists():
        made.kill()
        made.remove()


class Inmate:
    """A program that waits outside until it is let into a group, and whose output is read when it has ended."""

    def __init__(self, program: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"input()\n{program}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self.process.pid

    def enter(self, group: Cgroup) -> None:
        """Join the group and run the program."""
        group.enter(self.pid)
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.close()
        self.process.stdin = None

    def result(self) -> tuple[int, str]:
        """Return exit status and output once it has ended."""
        output, _ = self.process.communicate()
        return self.process.returncode, output


@pytest.fixture
def inmate() -> Iterator[Callable[..., Inmate]]:
    """Make inmates; each is dead at the test's end."""
    made: list[Inmate] = []

    def make(program: str, *arguments: str) -> Inmate:
        made.append(Inmate(program, *arguments))
        return made[-1]

    yield make
    for each in made:
        each.process.kill()
        each.process.wait()
        for stream in (each.process.stdin, each.process.stdout):
            if stream is not None:
                stream.close()


def groups_of(pid: int) -> list[str]:
    """Return a process's group in each hierarchy that Insula uses, as /proc shows it."""
    lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    return [path for _, controllers, path in lines if not controllers.startswith("name=") or "systemd" in controllers]


COUNTER = """
import mmap, struct, sys
shared = mmap.mmap(int(sys.argv[1]), 8)
number = 0
while True:
    number += 1
    struct.pack_into("=Q", shared, 0, number)
"""


class Counter:
    """A program that counts in memory shared with the test, for ever."""

    def __init__(self) -> None:
        fd = os.memfd_create("counter", 0)
        os.ftruncate(fd, 8)
        self.memory = mmap.mmap(fd, 8)
        self.process = subprocess.Popen([sys.executable, "-c", COUNTER, str(fd)], pass_fds=[fd])
        os.close(fd)

    @property
    def number(self) -> int:
        return int(struct.unpack_from("=Q", self.memory)[0])

    def goes_on(self) -> None:
        """Wait until it has counted a good deal further."""
        start = self.number
        until(lambda: self.number > start + 1000, "the counter going on", 20)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.memory.close()


@pytest.fixture
def counters() -> Iterator[tuple[Counter, Counter]]:
    pair = (Counter(), Counter())
    yield pair
    for each in pair:
        each.end()


BOMB = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass"
