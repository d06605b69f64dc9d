"""A tap that nobody has open, in a network namespace of the test's own; packets: tests/system/test_user_cards.py."""

import socket
from pathlib import Path

import pytest

from insula.kernel.process import CloneFlag, unshare
from insula.network.usermode import persistenttap
from insula.network.usermode.persistenttap import create_persistent_tap
from tests.unit.engine.steps.inchild import in_child


@pytest.mark.requires("root")
def test_a_tap_stays_without_anybody_and_its_name_is_taken_once() -> None:
    def make() -> tuple[bool, str]:
        unshare(CloneFlag.NEWNET)
        create_persistent_tap("card0")
        there = "card0" in [name for _, name in socket.if_nameindex()]
        try:
            create_persistent_tap("card0")
        except FileExistsError as error:
            return there, str(error.strerror)
        return there, ""

    assert in_child(make) == (True, "the guest has an interface 'card0' already")


def test_a_host_without_the_device_is_told_what_to_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persistenttap, "DEVICE", str(tmp_path / "tun"))
    with pytest.raises(OSError, match="load the kernel's module tun"):
        create_persistent_tap("card0")
