"""Domains with autostart are started once a boot."""

import logging
from dataclasses import dataclass
from pathlib import Path

import pytest

from insula.service.autostart import MARK, Autostart
from tests.unit.service.fakes import WEB, Rig, domain_xml


def autostart(mark: Path, boot: str = "this boot") -> Autostart:
    return Autostart(mark, boot, word="tree")


@dataclass(frozen=True)
class Tree:
    name: str


@pytest.mark.asyncio
async def test_things_of_any_noun_are_started_once_and_one_that_fails_stops_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    started: list[str] = []

    async def start(tree: Tree) -> None:
        if tree.name == "elm":
            raise ValueError("it is felled")
        started.append(tree.name)

    for _ in range(2):
        await autostart(tmp_path / MARK).start([Tree("elm"), Tree("oak")], start)

    assert started == ["oak"]
    assert "tree 'elm' should start with the host: it is felled" in caplog.text


def test_it_is_due_once_a_boot(tmp_path: Path) -> None:
    assert autostart(tmp_path / "run" / MARK).is_due
    autostart(tmp_path / "run" / MARK).done()

    assert not autostart(tmp_path / "run" / MARK).is_due
    assert autostart(tmp_path / "run" / MARK, "the next boot").is_due


def test_a_mark_that_makes_no_sense_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / MARK).write_bytes(b"\xff")
    assert autostart(tmp_path / MARK).is_due


def test_a_mark_that_cannot_be_read_starts_nothing_that_somebody_may_have_stopped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / MARK).mkdir()
    assert not autostart(tmp_path / MARK).is_due
    assert "whether each tree with autostart was started in this boot is not known" in caplog.text


def test_a_mark_that_cannot_be_written_is_told_and_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / MARK / "in the way").mkdir(parents=True)
    with caplog.at_level(logging.ERROR):
        autostart(tmp_path / MARK).done()
    assert "the next daemon will start each tree with autostart again" in caplog.text


@pytest.mark.asyncio
async def test_a_domain_that_was_stopped_stays_off_when_the_daemon_is_restarted(rig: Rig, tmp_path: Path) -> None:
    ref = await rig.domains.define(domain_xml())
    await rig.domains.set_autostart(ref, True)
    await rig.domains.start_autostarted()
    assert rig.guests() == [WEB]
    await rig.domains.destroy(ref)

    successor = rig.successor()
    await successor.domains.recover()
    await successor.domains.start_autostarted()

    assert not successor.domains.is_active(ref)
    await successor.close()
