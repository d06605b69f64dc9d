"""Tests of insula.kernel.landlock: what a process gives up."""

import errno
import os
import socket

import pytest

from insula.kernel.landlock import LandlockScope, give_up, ruleset, scopes_sockets
from tests.descriptors import open_fds
from tests.unit.engine.steps.inchild import in_child


def test_a_ruleset_names_scopes_and_nothing_else() -> None:
    assert ruleset(LandlockScope.ABSTRACT_UNIX_SOCKET) == bytes(16) + (1).to_bytes(8, "little")


@pytest.mark.requires("landlock.scopes")
def test_abstract_sockets_of_others_are_given_up() -> None:
    name = f"\0insula-test-{os.getpid()}"

    def connect() -> tuple[int, bool]:
        before = open_fds()
        give_up(LandlockScope.ABSTRACT_UNIX_SOCKET)
        with socket.socket(socket.AF_UNIX) as calling:
            found = calling.connect_ex(name)
        return found, open_fds() == before

    assert scopes_sockets()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(name)
        listening.listen()
        assert in_child(connect) == (errno.EPERM, True)
