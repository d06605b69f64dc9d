"""A run's consoles are read at once, shown at terminals of the host, and logged where the definition says."""

import os
import re
from pathlib import Path

import pytest

from insula.service import consolereaders
from tests.unit.service.fakes import WEB, Rig, domain_xml, until

pytestmark = pytest.mark.asyncio


def xml(log: str = "") -> str:
    return domain_xml().replace("<devices>", f"<devices><console type='pty'>{log}</console>")


async def test_the_terminals_that_show_consoles_are_kept_for_the_next_daemon(rig: Rig) -> None:
    rig.engine.consoles = 1
    await rig.domains.create_xml(xml())
    await until(lambda: rig.engine.kept == {str(WEB): 1})


async def test_without_a_terminal_of_the_host_a_domain_runs_and_that_is_told(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consolereaders, "free_terminals", lambda: consolereaders.LEFT_TO_GUESTS)
    rig.engine.consoles = 1
    ref = await rig.domains.create_xml(xml())

    assert not re.search(r"tty=|<source path", rig.domains.dump_xml(ref))
    assert [each for each in rig.domains.messages(ref) if "the host has few left" in each]
    os.write(rig.engine.terminals[0], b"hello")
    assert await rig.domains.console(ref).read() == b"hello"


async def test_a_run_directory_that_lost_what_was_printed_takes_it_from_the_log(rig: Rig) -> None:
    rig.engine.consoles = 1
    ref = await rig.domains.create_xml(xml())
    os.write(rig.engine.terminals[0], b"hello")
    log = rig.domains.console_log(ref)
    await until(lambda: log.exists() and log.read_bytes() == b"hello")


async def test_a_log_that_the_definition_names_gets_a_copy(rig: Rig, tmp_path: Path) -> None:
    rig.engine.consoles = 1
    file = tmp_path / "given.log"
    file.write_bytes(b"of an earlier run ")
    await rig.domains.create_xml(xml(f"<log file='{file}' append='off'/>"))
    os.write(rig.engine.terminals[0], b"hello")
    await until(lambda: file.read_bytes() == b"hello")
