"""The run directory tells the truth, whoever died when."""

import errno
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from insula.kernel.durable import Commit, replace_file
from insula.layout import Layout
from insula.model.domain import DomainDefinition
from insula.model.sizes import KiB
from insula.model.xmlmap import Part
from insula.service import rundirectory
from insula.service.rundirectory import DOMAIN, RECORD, RunDirectory
from insula.service.runrecord import Next, RunPhase, RunRecord, StopReason, ending

WEB = UUID(int=1)
DOMAIN_XML = f"""
<domain type='lxc' id='4711'>
  <name>web</name><uuid>{WEB}</uuid><memory>65536</memory><os><type>exe</type></os>
  <devices>
    <filesystem type='mount'><source dir='/srv/web'/><target dir='/'/></filesystem>
    <console type='pty' tty='/dev/pts/3'/>
  </devices>
</domain>
"""
RECORDED = RunRecord(
    uuid=WEB,
    name="web",
    boot_id="b",
    phase=RunPhase.RUNNING,
    begun=12.5,
    asked=StopReason.REBOOTED,
    container={"pid": 4711, "cgroup": "machine.slice/x"},
    autodestroy=True,
    resumed=True,
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.prefix(tmp_path)


@pytest.fixture
def live() -> DomainDefinition:
    return DomainDefinition.load(DOMAIN_XML, Part.LIVE)


def loaded(directory: RunDirectory) -> list[tuple[RunRecord, DomainDefinition]]:
    return [(each.record, each.domain) for each in directory.load()]


@pytest.mark.parametrize(
    "record", [RECORDED, ending(RECORDED, StopReason.CRASHED, status=139, then=Next.RESTART)], ids=lambda r: r.phase
)
def test_a_run_is_read_back_as_it_was_written(layout: Layout, live: DomainDefinition, record: RunRecord) -> None:
    RunDirectory(layout).begin(record, live)

    assert loaded(RunDirectory(layout)) == [(record, live)]


def test_what_a_run_begins_with_is_the_definition_of_that_moment(layout: Layout, live: DomainDefinition) -> None:
    """Its text may be known from the definition, or from the run before."""
    directory = RunDirectory(layout)
    begun = replace(RECORDED, phase=RunPhase.STARTING)
    changed = replace(live, memory=KiB(131072))
    for domain in (live, changed, live):
        directory.begin(begun, domain)
        assert directory.domain_of(WEB) == domain


def test_a_removed_run_leaves_no_file(layout: Layout, live: DomainDefinition) -> None:
    runs = RunDirectory(layout)
    runs.begin(RECORDED, live)
    runs.remove(WEB)
    runs.remove(WEB)

    assert runs.load() == ()
    assert not runs.path(WEB).exists()


def test_a_directory_without_a_record_is_a_run_that_never_was_or_is_over(
    layout: Layout, live: DomainDefinition
) -> None:
    runs = RunDirectory(layout)
    runs.begin(RECORDED, live)
    (runs.path(WEB) / RECORD).unlink()

    assert runs.load() == ()
    assert not runs.path(WEB).exists()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (RECORD, "{"),
        (RECORD, '{"format": 2}'),
        (RECORD, RECORDED.to_json().replace("running", "flying")),
        (RECORD, RECORDED.to_json().replace('"begun"', '"colour"')),
        (DOMAIN, "<domain"),
        (DOMAIN, DOMAIN_XML.replace(str(WEB), str(UUID(int=2)))),
    ],
)
def test_a_run_that_cannot_be_read_is_named_and_left_alone(
    layout: Layout, live: DomainDefinition, caplog: pytest.LogCaptureFixture, file: str, text: str
) -> None:
    runs = RunDirectory(layout)
    runs.begin(RECORDED, live)
    (runs.path(WEB) / file).write_text(text)

    with caplog.at_level(logging.ERROR):
        assert runs.load() == ()

    assert "cannot be read" in caplog.text
    assert (runs.path(WEB) / file).read_text() == text


def test_what_a_run_left_and_could_not_be_removed_goes_with_the_next_write(
    layout: Layout, live: DomainDefinition, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = RunDirectory(layout)
    directory.begin(RECORDED, live)
    unlink, broken = os.unlink, [True]

    def refuse(path: str, **options: Any) -> None:
        if broken:
            raise OSError(errno.EIO, "Input/output error", path)
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", refuse)
    directory.remove(WEB)
    assert directory.path(WEB).exists()

    broken.clear()
    directory.write(replace(RECORDED, uuid=UUID(int=2)))
    assert not directory.path(WEB).exists()


def test_what_could_not_be_removed_does_not_take_the_next_run_along(
    layout: Layout, live: DomainDefinition, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = RunDirectory(layout)
    directory.begin(RECORDED, live)
    with monkeypatch.context() as broken:
        broken.setattr(os, "unlink", lambda path, **_: (_ for _ in ()).throw(OSError(errno.EIO, "broken", path)))
        directory.remove(WEB)
    again = replace(RECORDED, restarts=1)
    directory.begin(again, live)
    directory.pay()

    assert loaded(directory) == [(again, live)]


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Files, by name, that cannot be written as long as they are in here."""
    names: set[str] = set()
    write = replace_file

    def refuse(path: str, *rest: Any) -> Commit:
        if os.path.basename(path) in names:
            raise OSError(errno.ENOSPC, "No space left on device", path)
        return write(path, *rest)

    monkeypatch.setattr(rundirectory, "replace_file", refuse)
    return names


def test_what_cannot_be_written_when_it_happened_is_written_with_the_next(
    layout: Layout, live: DomainDefinition, full: set[str]
) -> None:
    directory = RunDirectory(layout)
    directory.begin(RECORDED, live)
    over = ending(RECORDED, StopReason.CRASHED, then=Next.PRESERVE)
    full.add(RECORD)
    directory.write_or_owe(over)
    assert directory.load()[0].record == RECORDED

    full.clear()
    directory.write(replace(RECORDED, uuid=UUID(int=2)))

    assert directory.load()[0].record == over


def test_what_was_owed_is_not_written_over_what_came_later(
    layout: Layout, live: DomainDefinition, full: set[str]
) -> None:
    directory = RunDirectory(layout)
    directory.begin(RECORDED, live)
    full.add(RECORD)
    directory.write_or_owe(ending(RECORDED, StopReason.CRASHED))
    full.clear()
    directory.write(replace(RECORDED, restarts=1))
    directory.write(replace(RECORDED, uuid=UUID(int=2)))

    assert directory.load()[0].record == replace(RECORDED, restarts=1)


def test_what_is_owed_is_written_before_the_daemon_ends(layout: Layout, live: DomainDefinition, full: set[str]) -> None:
    directory = RunDirectory(layout)
    directory.begin(RECORDED, live)
    over = ending(RECORDED, StopReason.CRASHED)
    full.add(RECORD)
    directory.write_or_owe(over)
    full.clear()
    directory.pay()

    assert directory.load()[0].record == over
