"""Every test here runs as root in the session's enclosure, and is checked for leaks."""

import pytest

from tests.guests import guests
from tests.inmates import counters, group, hierarchies, inmate
from tests.madenetworks import networks

__all__ = ["counters", "enclosed_and_checked", "group", "guests", "hierarchies", "inmate", "networks"]


@pytest.fixture(autouse=True)
def enclosed_and_checked(no_leaks: None) -> None:
    """Ask for the leak check, and with it for the enclosure, before any other fixture of the test."""
