"""Domains with autostart are started once a boot."""

import logging
from pathlib import Path

import pytest

from insula.service.autostart import MARK, Autostart
from tests.unit.service.fakes import WEB, Rig, domain_xml


def test_it_is_due_once_a_boot(tmp_path: Path) -> None:
    assert Autostart(tmp_path / "run", "this boot").is_due
    Autostart(tmp_path / "run", "this boot").done()

    assert not Autostart(tmp_path / "run", "this boot").is_due
    assert Autostart(tmp_path / "run", "the next boot").is_due


def test_a_mark_that_makes_no_sense_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / MARK).write_bytes(b"\xff")
    assert Autostart(tmp_path, "this boot").is_due


def test_a_mark_that_cannot_be_written_is_told_and_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / MARK / "in the way").mkdir(parents=True)
    with caplog.at_level(logging.ERROR):
        Autostart(tmp_path, "this boot").done()
    assert "the next daemon will start the domains with autostart again" in caplog.text


@pytest.mark.asyncio
async def test_a_domain_that_was_stopped_stays_off_when_the_daemon_is_restarted(rig: Rig, tmp_path: Path) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.set_autostart(ref, True)
    await rig.domains.start_autostarted()
    assert list(rig.engine.guests()) == [str(WEB)]
    await rig.domains.destroy(ref)

    successor = Rig(tmp_path)
    await successor.domains.recover()
    await successor.domains.start_autostarted()

    assert not successor.domains.is_active(ref)
    await successor.close()
