"""Every test here runs as root in the session's enclosure, and is checked for leaks."""

import pytest


@pytest.fixture(autouse=True)
def enclosed_and_checked(no_leaks: None) -> None:
    """Ask for the leak check, and with it for the enclosure, before any other fixture of the test."""
