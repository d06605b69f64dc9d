"""Only what is asked for wakes anybody: processors on- and offline, devices plugged in and pulled out."""

import os
import select
from pathlib import Path

import pytest

from insula.kernel.uevents import plug_events, processor_events, tells_of_plug, tells_of_processor


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
    events = processor_events()
    try:
        assert not events.read()
        assert os.stat(f"/proc/self/fd/{events.fileno()}")
    finally:
        events.close()


@pytest.mark.requires("root")
def test_the_kernels_word_of_a_processor_arrives_and_others_do_not() -> None:
    """The kernel says again what is so when that is written to a device's file `uevent`; nothing else happens."""
    events = processor_events()
    try:
        Path("/sys/class/net/lo/uevent").write_text("change")
        assert not events.read()
        Path("/sys/devices/system/cpu/cpu0/uevent").write_text("online")
        assert events.read()
        assert not events.read()
    finally:
        events.close()


@pytest.mark.parametrize(
    ("text", "tells"),
    [
        (b"add@/devices/pci0000:00/0000:00:04.0/usb1/1-1\0ACTION=add\0", True),
        (b"remove@/devices/pci0000:00/0000:00:04.0/usb1/1-1\0", True),
        (b"add@/devices/virtual/net/vnet0\0", False),
        (b"remove@/devices/virtual/net/vnet0\0", False),
        (b"change@/devices/pci0000:00\0", False),
        (b"libudev\0\xfe\xed", False),
        (b"", False),
    ],
)
def test_a_message_tells_of_something_plugged_in_or_out_or_does_not(text: bytes, tells: bool) -> None:
    assert tells_of_plug(text) is tells


@pytest.mark.requires("root")
def test_the_kernels_word_of_a_plug_arrives_and_that_of_virtual_devices_does_not() -> None:
    """The kernel's own filter decides: what it drops is not even there to be read."""
    events = plug_events()
    # Of all hosts: the processors, which are no virtual devices. Nothing but the message comes of it.
    processor = Path("/sys/devices/system/cpu/cpu0/uevent")
    try:
        for action in ("add", "remove", "change"):
            Path("/sys/class/net/lo/uevent").write_text(action)
        processor.write_text("change")
        assert not select.select([events], [], [], 0)[0]
        for action in ("add", "remove"):
            processor.write_text(action)
            assert events.read()
        assert not events.read()
    finally:
        events.close()
