"""What the kernel refuses of a change, and who is told what; tests/system/test_plugged_interfaces.py has the rest."""

import errno
import os

import pytest

from insula.errors import OperationFailedError, OperationUnsupportedError
from insula.network.hotplug import talk_in, telling
from insula.network.links import LOOPBACK, link
from tests.descriptors import open_fds


def test_what_is_refused_is_told_with_its_subject_and_what_never_works_as_unsupported() -> None:
    with (
        pytest.raises(OperationFailedError, match="cannot connect interface 'eth0': No such device"),
        telling("connect interface 'eth0'"),
    ):
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
    with (
        pytest.raises(OperationUnsupportedError, match="cannot change interface 'eth0': as long as it is"),
        telling("change interface 'eth0'"),
    ):
        raise OSError(errno.EOPNOTSUPP, "as long as it is plugged in")


def test_a_network_that_is_opened_is_asked_and_closed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_fds()
    monkeypatch.setattr("insula.network.guestinterfaces.setns", lambda *_: None)
    with talk_in(0) as kernel:
        found = link(kernel, LOOPBACK)
    assert found is not None
    assert found.name == "lo"
    assert open_fds() == before
