"""The machine's maker and identity."""

import logging
from pathlib import Path
from uuid import UUID

import pytest

from insula.service.sysinfo import host_uuid, sysinfo_xml
from tests.unit.service.hosttree import two_node_host, write

MACHINE_ID = UUID("01234567-89ab-cdef-0123-456789abcdef")


def test_firmware_tables_and_sockets_make_the_sysinfo(tmp_path: Path) -> None:
    root = two_node_host(tmp_path)
    write(root, {"sys/class/dmi/id/sys_vendor": "Example & Co\n", "sys/class/dmi/id/bios_date": "01/01/2026\n"})

    text = sysinfo_xml(root)

    assert '<entry name="manufacturer">Example &amp; Co</entry>' in text
    assert '<entry name="date">01/01/2026</entry>' in text
    assert "baseBoard" not in text
    assert text.count("<processor>") == 2
    assert '<entry name="version">Example 9000</entry>' in text


def test_a_firmware_with_control_characters_is_told_all_the_same(tmp_path: Path) -> None:
    root = two_node_host(tmp_path)
    write(root, {"sys/class/dmi/id/sys_vendor": "Exam\x01ple\x1b[0m\n"})
    assert "Exam" in sysinfo_xml(root)


def test_the_firmware_identifies_the_host(tmp_path: Path) -> None:
    root = two_node_host(tmp_path)
    write(root, {"sys/class/dmi/id/product_uuid": "4C4C4544-0042-3510-8052-B4C04F4D4232\n"})

    assert host_uuid(root) == UUID("4c4c4544-0042-3510-8052-b4c04f4d4232")


@pytest.mark.parametrize("firmware", ["00000000-0000-0000-0000-000000000000", "Not Settable", ""])
def test_a_firmware_without_identity_gives_way_to_the_machine_id(tmp_path: Path, firmware: str) -> None:
    root = two_node_host(tmp_path)
    write(root, {"sys/class/dmi/id/product_uuid": firmware})

    assert host_uuid(root) == MACHINE_ID


def test_a_host_nobody_named_gets_a_made_up_uuid_and_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert host_uuid(tmp_path).version == 4
    assert "identifies this host" in caplog.text
