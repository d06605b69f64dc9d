"""Tests of insula.kernel.messagequeues."""

import os

import pytest

from insula.kernel.fds import Fd
from insula.kernel.messagequeues import queues_of


@pytest.mark.requires("root")
def test_who_asks_for_the_queues_of_a_namespace_stays_in_its_own() -> None:
    own = os.readlink("/proc/thread-self/ns/ipc")
    namespace = Fd(os.open("/proc/self/ns/ipc", os.O_RDONLY | os.O_CLOEXEC))
    try:
        queues = queues_of(namespace)
        assert os.access(f"/proc/self/fd/{queues}", os.R_OK)
        os.close(queues)
    finally:
        os.close(namespace)
    assert os.readlink("/proc/thread-self/ns/ipc") == own


def test_what_is_no_namespace_has_no_queues() -> None:
    null = Fd(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
    try:
        with pytest.raises(OSError, match=r"nvalid argument|not permitted"):
            queues_of(null)
    finally:
        os.close(null)
