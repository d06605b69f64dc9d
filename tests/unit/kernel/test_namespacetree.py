"""How namespaces lie in each other."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from insula.kernel.namespacetree import is_below
from tests.waiting import until


@pytest.fixture
def other() -> Iterator[int]:
    """A process in a user namespace of its own, in ours."""
    process = subprocess.Popen(["unshare", "--user", "sleep", "9999"])
    try:
        ours = os.readlink("/proc/self/ns/user")
        until(lambda: os.readlink(f"/proc/{process.pid}/ns/user") != ours, "the namespace")
        yield process.pid
    finally:
        process.kill()
        process.wait()


@pytest.mark.requires("userns")
def test_a_namespace_is_below_itself_and_those_around_it(other: int) -> None:
    inner = os.open(f"/proc/{other}/ns/user", os.O_RDONLY)
    outer = os.open("/proc/self/ns/user", os.O_RDONLY)
    try:
        assert is_below(inner, "/proc/self/ns/user") and is_below(inner, f"/proc/{other}/ns/user")
        assert is_below(outer, "/proc/self/ns/user")
        assert not is_below(outer, f"/proc/{other}/ns/user")
        with pytest.raises(FileNotFoundError):
            is_below(outer, "/proc/self/ns/none")
    finally:
        os.close(inner)
        os.close(outer)
