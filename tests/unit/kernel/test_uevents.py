"""Only processors that go on- or offline wake anybody."""

import os
from pathlib import Path

import pytest

from insula.kernel.uevents import ProcessorEvents, tells_of_processor


@pytest.mark.parametrize(
    ("text", "tells"),
    [
        (b"online@/devices/system/cpu/cpu3\0ACTION=online\0", True),
        (b"offline@/devices/system/cpu/cpu12\0ACTION=offline\0", True),
        (b"change@/devices/system/cpu/cpu3\0", False),
        (b"online@/devices/system/memory/memory3\0", False),
        (b"online@/devices/system/cpuidle\0", False),
        (b"libudev\0\xfe\xed", False),
        (b"", False),
    ],
)
def test_a_message_tells_of_a_processor_or_does_not(text: bytes, tells: bool) -> None:
    assert tells_of_processor(text) is tells


def test_nothing_has_come_when_nothing_has_happened() -> None:
    events = ProcessorEvents()
    try:
        assert not events.read()
        assert os.stat(f"/proc/self/fd/{events.fileno()}")
    finally:
        events.close()


@pytest.mark.requires("root")
def test_the_kernels_word_of_a_processor_arrives_and_others_do_not() -> None:
    """The kernel says again what is so when that is written to a device's file `uevent`; nothing else happens."""
    events = ProcessorEvents()
    try:
        Path("/sys/class/net/lo/uevent").write_text("change")
        assert not events.read()
        Path("/sys/devices/system/cpu/cpu0/uevent").write_text("online")
        assert events.read()
        assert not events.read()
    finally:
        events.close()
