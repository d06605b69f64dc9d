"""Looking into a guest's network; what needs root is in tests/system/test_network.py."""

import pytest

from insula.network.guestinterfaces import guest_interfaces
from tests.descriptors import open_fds

PID_NOBODY_HAS = 2**22 + 1
"""Above the largest pid Linux gives (PID_MAX_LIMIT)."""


def test_a_process_that_is_gone_is_told() -> None:
    with pytest.raises(FileNotFoundError):
        guest_interfaces(PID_NOBODY_HAS)


def test_nothing_stays_open_after_a_failure() -> None:
    before = open_fds()
    with pytest.raises(FileNotFoundError):
        guest_interfaces(PID_NOBODY_HAS)
    assert open_fds() == before
